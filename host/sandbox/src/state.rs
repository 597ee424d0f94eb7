//! What one call has in its hands. The host's side of every import is here, in the host's own
//! words, so that no adapter of a contract version can forget a check.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::{
    backend::{Backend, IssueRefusal, KvChange, KvExpectation, RedeemRefusal, Staged, Unavailable},
    budget::{Budgets, Exceeded, Limiter},
    grants::Grants,
    http::{HttpClient, HttpRefusal, HttpRequest, HttpResponse},
    log::{LogBook, LogLevel, LogLine},
    model::{Attributes, ChallengeBinding, IssuedChallenge, check_binding},
    rehearsal::{Random, StageRandom},
    secrets::{PluginSecrets, SecretRefusal},
    staging::Staging,
};

const KV_KEY: usize = 256;
const KV_VALUE: usize = 64 * 1024;
const CHALLENGE_TEXT: usize = 255;
/// Random bytes at once; wasmtime-wasi would give 64 MiB.
pub(crate) const RANDOM: u64 = 64 * 1024;

/// What the call is for: decides which imports work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// `describe`, `validate-settings`: must be pure.
    Pure,
    /// `verify` for a profile.
    Verify { profile: String },
    /// `challenges-issuer.issue` for a profile.
    Issue { profile: String },
    /// `notify`, `on-event`, `on-schedule`, `settled`.
    News,
}

/// Why an import did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal<E> {
    /// Not from here, or not granted.
    Denied(&'static str),
    /// The arguments are over a limit.
    Invalid(String),
    /// This call has done it often enough.
    Quota(String),
    /// What the backend said.
    Backend(E),
}

/// The guest is stopped because the host has had enough of waiting: no fault of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stopped {
    #[error("the call's time is over")]
    Deadline,
    #[error("nobody waits for the answer any more")]
    Abandoned,
}

/// A refusal the guest can read, or an error that ends the call.
pub(crate) type Imported<T, E> = wasmtime::Result<Result<T, Refusal<E>>>;

/// The data of a store.
pub(crate) struct CallState {
    wasi: WasiCtx,
    table: ResourceTable,
    pub(crate) limiter: Limiter,
    plugin: Arc<str>,
    trace_id: String,
    purpose: Purpose,
    trial: bool,
    grants: Grants,
    reach: Reach,
    backend: Option<Arc<dyn Backend>>,
    staging: Staging,
    log: LogBook,
    host_calls: u32,
    refused: u32,
    challenges: u32,
    stage_random: StageRandom,
    budgets: Arc<Budgets>,
    deadline: Instant,
    abandoned: Arc<AtomicBool>,
}

/// What a plug-in has beyond the host's own store.
#[derive(Clone, Default)]
pub(crate) struct Reach {
    pub(crate) http: Option<Arc<HttpClient>>,
    pub(crate) secrets: Arc<PluginSecrets>,
    /// In rehearsals only.
    pub(crate) random: Option<Random>,
}

/// Everything a call is made with.
pub(crate) struct CallParts {
    pub(crate) plugin: Arc<str>,
    pub(crate) trace_id: String,
    pub(crate) purpose: Purpose,
    /// Nobody waits for the answer: nothing outside may notice the call.
    pub(crate) trial: bool,
    pub(crate) grants: Grants,
    pub(crate) reach: Reach,
    pub(crate) backend: Option<Arc<dyn Backend>>,
    pub(crate) budgets: Arc<Budgets>,
    pub(crate) deadline: Instant,
    pub(crate) abandoned: Arc<AtomicBool>,
}

/// What is left of a call.
pub(crate) struct Remains {
    pub(crate) staged: Staged,
    pub(crate) log: Vec<LogLine>,
    pub(crate) log_dropped: u32,
    pub(crate) memory_bytes: usize,
    pub(crate) host_calls: u32,
    pub(crate) refused: u32,
}

impl CallState {
    pub(crate) fn new(parts: CallParts) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(parts.budgets.resources);
        Self {
            // Empty: no environment, arguments, files; stdin closed, stdout and stderr dropped.
            wasi: WasiCtx::builder()
                .allow_tcp(false)
                .allow_udp(false)
                .allow_ip_name_lookup(false)
                .max_random_size(RANDOM)
                .build(),
            table,
            limiter: Limiter::new(&parts.budgets),
            plugin: parts.plugin,
            trace_id: parts.trace_id,
            purpose: parts.purpose,
            trial: parts.trial,
            grants: parts.grants,
            stage_random: parts.reach.random.as_ref().map_or(StageRandom::System, Into::into),
            reach: parts.reach,
            backend: parts.backend,
            staging: Staging::default(),
            log: LogBook::new(parts.budgets.log_lines, parts.budgets.log_bytes),
            host_calls: 0,
            refused: 0,
            challenges: 0,
            budgets: parts.budgets,
            deadline: parts.deadline,
            abandoned: parts.abandoned,
        }
    }

    /// Asked at every tick of the clock while the guest runs.
    pub(crate) fn may_go_on(&self) -> Result<(), Stopped> {
        if self.abandoned.load(Ordering::Relaxed) {
            Err(Stopped::Abandoned)
        } else if Instant::now() >= self.deadline {
            Err(Stopped::Deadline)
        } else {
            Ok(())
        }
    }

    /// Takes the call apart when it is over.
    pub(crate) fn into_remains(self) -> Remains {
        let (log, log_dropped) = self.log.close(&self.plugin, &self.trace_id);
        Remains {
            staged: self.staging.into_staged(),
            log,
            log_dropped,
            memory_bytes: self.limiter.memory_used(),
            host_calls: self.host_calls,
            refused: self.refused,
        }
    }

    /// `wasi:random/random`, where the linker of a rehearsal leads to it.
    pub(crate) fn stage_random(&mut self) -> &mut StageRandom {
        &mut self.stage_random
    }

    /// `log.log`.
    pub(crate) fn log(
        &mut self,
        level: LogLevel,
        message: &str,
        fields: &Attributes,
    ) -> wasmtime::Result<()> {
        self.count_host_call()?;
        self.log.add(&self.plugin, &self.trace_id, level, message, fields);
        Ok(())
    }

    /// `kv.get`.
    pub(crate) async fn kv_get(&mut self, key: &str) -> Imported<Option<Vec<u8>>, Unavailable> {
        self.count_host_call()?;
        match self.kv_allowed(key) {
            Ok(backend) => self.kv_present(&backend, key).await,
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// `kv.set`.
    pub(crate) fn kv_set(
        &mut self,
        key: &str,
        value: Vec<u8>,
        ttl_seconds: Option<u32>,
    ) -> Imported<(), Unavailable> {
        self.count_host_call()?;
        let change = match self.kv_change(key, value, ttl_seconds) {
            Ok(change) => change,
            Err(refusal) => return Ok(Err(refusal)),
        };
        self.staging.write(key, KvExpectation::Anything, change);
        Ok(Ok(()))
    }

    /// `kv.compare-and-set`.
    pub(crate) async fn kv_compare_and_set(
        &mut self,
        key: &str,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
        ttl_seconds: Option<u32>,
    ) -> Imported<bool, Unavailable> {
        self.count_host_call()?;
        let backend = match self.kv_allowed(key) {
            Ok(backend) => backend,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let change = match self.kv_change(key, value, ttl_seconds) {
            Ok(change) => change,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let present = match self.kv_present(&backend, key).await? {
            Ok(present) => present,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if present != expected {
            return Ok(Ok(false));
        }
        let expectation = expected.map_or(KvExpectation::Nothing, KvExpectation::Value);
        self.staging.write(key, expectation, change);
        Ok(Ok(true))
    }

    /// `kv.delete`.
    pub(crate) fn kv_delete(&mut self, key: &str) -> Imported<(), Unavailable> {
        self.count_host_call()?;
        if let Err(refusal) = self.kv_allowed(key).and_then(|_| self.kv_has_room(key)) {
            return Ok(Err(refusal));
        }
        self.staging.write(key, KvExpectation::Anything, KvChange::Delete);
        Ok(Ok(()))
    }

    /// `challenges.redeem`: looks up and stages, never more.
    pub(crate) async fn redeem(&mut self, text: &str) -> Imported<ChallengeBinding, RedeemRefusal> {
        self.count_host_call()?;
        let Purpose::Verify { profile } = self.purpose.clone() else {
            return Ok(Err(Refusal::Denied("challenges are redeemed in `verify` only")));
        };
        let backend = match self.challenges_allowed() {
            Ok(backend) => backend,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if self.challenges >= self.budgets.challenges {
            return Ok(Err(Refusal::Quota(format!(
                "at most {} challenges can be tried in one call",
                self.budgets.challenges
            ))));
        }
        self.challenges += 1;
        if text.is_empty() || text.len() > CHALLENGE_TEXT {
            return Ok(Err(Refusal::Backend(RedeemRefusal::Unknown)));
        }
        let lookup = backend.challenge_lookup(&self.plugin, &profile, text);
        let found = in_time(self.deadline, lookup).await?;
        Ok(match found {
            Ok(binding) => {
                self.staging.redeem(text, binding.clone());
                Ok(binding)
            }
            Err(refusal) => Err(Refusal::Backend(refusal)),
        })
    }

    /// `challenges.issue`.
    pub(crate) async fn issue(
        &mut self,
        binding: ChallengeBinding,
        ttl_seconds: u32,
    ) -> Imported<IssuedChallenge, IssueRefusal> {
        self.count_host_call()?;
        let Purpose::Issue { profile } = self.purpose.clone() else {
            return Ok(Err(Refusal::Denied(
                "challenges are issued in `challenges-issuer.issue` only",
            )));
        };
        let backend = match self.challenges_allowed() {
            Ok(backend) => backend,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if ttl_seconds == 0 {
            return Ok(Err(Refusal::Invalid("a time to live of 0 seconds".into())));
        }
        if let Err(malformed) = check_binding(&binding) {
            return Ok(Err(Refusal::Invalid(malformed.to_string())));
        }
        // One challenge a call: what was made and not handed out would lie about.
        if self.challenges >= 1 {
            return Ok(Err(Refusal::Quota("one challenge is issued in one call".into())));
        }
        self.challenges += 1;
        let ttl = Duration::from_secs(u64::from(ttl_seconds));
        let issue = backend.challenge_issue(&self.plugin, &profile, binding, ttl);
        Ok(in_time(self.deadline, issue).await?.map_err(Refusal::Backend))
    }

    /// `http.send`.
    pub(crate) async fn http_send(
        &mut self,
        request: HttpRequest,
    ) -> wasmtime::Result<Result<HttpResponse, HttpRefusal>> {
        self.count_host_call()?;
        let denied = |why: &str| Ok(Err(HttpRefusal::Denied(why.into())));
        if self.purpose == Purpose::Pure {
            return denied("`describe` and `validate-settings` must be pure");
        }
        if self.trial {
            return denied("in a trial nothing is sent");
        }
        let Some(client) = self.reach.http.clone() else {
            return denied("http is not granted");
        };
        let sent = client.send(request, self.deadline);
        let answer = in_time(self.deadline, sent).await?;
        self.refused += u32::from(matches!(answer, Err(HttpRefusal::Denied(_))));
        Ok(answer)
    }

    /// `secrets.mac`.
    pub(crate) fn secret_mac(
        &mut self,
        name: &str,
        message: &[u8],
    ) -> wasmtime::Result<Result<Vec<u8>, SecretRefusal>> {
        self.count_host_call()?;
        let made = self.secrets().and_then(|secrets| secrets.mac(&self.plugin, name, message));
        Ok(self.counted(made))
    }

    /// `secrets.verify-mac`.
    pub(crate) fn secret_verify_mac(
        &mut self,
        name: &str,
        message: &[u8],
        tag: &[u8],
    ) -> wasmtime::Result<Result<bool, SecretRefusal>> {
        self.count_host_call()?;
        let verified =
            self.secrets().and_then(|secrets| secrets.verify_mac(&self.plugin, name, message, tag));
        Ok(self.counted(verified))
    }

    /// `secrets.matches`.
    pub(crate) fn secret_matches(
        &mut self,
        name: &str,
        candidate: &[u8],
    ) -> wasmtime::Result<Result<bool, SecretRefusal>> {
        self.count_host_call()?;
        let matched =
            self.secrets().and_then(|secrets| secrets.matches(&self.plugin, name, candidate));
        Ok(self.counted(matched))
    }

    fn counted<T>(&mut self, answer: Result<T, SecretRefusal>) -> Result<T, SecretRefusal> {
        self.refused += u32::from(matches!(answer, Err(SecretRefusal::Denied(_))));
        answer
    }

    fn secrets(&self) -> Result<&PluginSecrets, SecretRefusal> {
        if self.purpose == Purpose::Pure {
            let why = "`describe` and `validate-settings` must be pure";
            return Err(SecretRefusal::Denied(why.into()));
        }
        Ok(&self.reach.secrets)
    }

    fn count_host_call(&mut self) -> wasmtime::Result<()> {
        if self.host_calls >= self.budgets.host_calls {
            return Err(Exceeded::HostCalls(self.budgets.host_calls).into());
        }
        self.host_calls += 1;
        Ok(())
    }

    // `&mut`: a shared borrow over an await would ask for a state that threads can share.
    async fn kv_present(
        &mut self,
        backend: &Arc<dyn Backend>,
        key: &str,
    ) -> Imported<Option<Vec<u8>>, Unavailable> {
        if let Some(own) = self.staging.seen(key) {
            return Ok(Ok(own.map(<[u8]>::to_vec)));
        }
        let stored = in_time(self.deadline, backend.kv_get(&self.plugin, key)).await?;
        Ok(stored.map_err(Refusal::Backend))
    }

    fn kv_allowed(&self, key: &str) -> Result<Arc<dyn Backend>, Refusal<Unavailable>> {
        if !self.grants.kv {
            return Err(Refusal::Denied("kv is not granted"));
        }
        let backend = self.working_backend()?;
        if key.is_empty() || key.len() > KV_KEY {
            return Err(Refusal::Invalid(format!(
                "a key is 1 to {KV_KEY} bytes, this one has {}",
                key.len()
            )));
        }
        Ok(backend)
    }

    fn kv_change(
        &self,
        key: &str,
        value: Vec<u8>,
        ttl_seconds: Option<u32>,
    ) -> Result<KvChange, Refusal<Unavailable>> {
        self.kv_allowed(key)?;
        self.kv_has_room(key)?;
        if value.len() > KV_VALUE {
            return Err(Refusal::Invalid(format!(
                "a value is at most {KV_VALUE} bytes, this one has {}",
                value.len()
            )));
        }
        if ttl_seconds == Some(0) {
            return Err(Refusal::Invalid("a time to live of 0 seconds".into()));
        }
        Ok(KvChange::Set { value, ttl_seconds })
    }

    fn kv_has_room(&self, key: &str) -> Result<(), Refusal<Unavailable>> {
        let most = usize::try_from(self.budgets.kv_writes).unwrap_or(usize::MAX);
        if self.staging.written() < most || self.staging.seen(key).is_some() {
            return Ok(());
        }
        Err(Refusal::Quota(format!("at most {most} keys can be written in one call")))
    }

    fn challenges_allowed<E>(&self) -> Result<Arc<dyn Backend>, Refusal<E>> {
        if self.grants.challenges {
            self.working_backend()
        } else {
            Err(Refusal::Denied("challenges are not granted"))
        }
    }

    fn working_backend<E>(&self) -> Result<Arc<dyn Backend>, Refusal<E>> {
        match (&self.purpose, &self.backend) {
            (Purpose::Pure, _) | (_, None) => {
                Err(Refusal::Denied("`describe` and `validate-settings` must be pure"))
            }
            (_, Some(backend)) => Ok(Arc::clone(backend)),
        }
    }
}

impl WasiView for CallState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// The clock does not see a guest that waits for the host.
async fn in_time<T>(deadline: Instant, wait: impl Future<Output = T>) -> wasmtime::Result<T> {
    match tokio::time::timeout_at(deadline, wait).await {
        Ok(value) => Ok(value),
        Err(_) => Err(Stopped::Deadline.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(deadline: Instant, abandoned: bool) -> CallState {
        CallState::new(CallParts {
            plugin: "p".into(),
            trace_id: "t".into(),
            purpose: Purpose::Pure,
            trial: false,
            grants: Grants::ALL,
            reach: Reach::default(),
            backend: None,
            budgets: Arc::new(Budgets::default()),
            deadline,
            abandoned: Arc::new(AtomicBool::new(abandoned)),
        })
    }

    /// The outer time-out would end such a guest too; this is the inner one, which ends it cleanly.
    #[test]
    fn a_guest_may_go_on_until_its_deadline_or_until_nobody_waits() {
        let now = Instant::now();
        let later = now + Duration::from_secs(60);
        assert_eq!(state(later, false).may_go_on(), Ok(()));
        assert_eq!(state(now, false).may_go_on(), Err(Stopped::Deadline));
        assert_eq!(state(later, true).may_go_on(), Err(Stopped::Abandoned));
    }
}

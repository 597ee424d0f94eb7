use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use super::challenge::Challenges;
use super::exchange::Exchange;
use super::mac::{SHORTEST_KEY, hmac_sha256};
use super::store::Store;
use crate::time::from_unix_seconds;
use crate::{
    Attributes, Binding, HttpError, HttpRequest, HttpResponse, IssueError, IssuedChallenge,
    KvError, Level, Power, RedeemError, SecretError,
};

/// 2026-01-01T00:00:00Z.
const START: u64 = 1_767_225_600;

/// What one call sees of the mock.
#[derive(Default)]
pub(crate) struct Backend {
    pub(super) state: Rc<RefCell<State>>,
    pub(super) call: Call,
}

/// What the mock keeps between calls.
pub(super) struct State {
    pub(super) now: SystemTime,
    pub(super) challenges: Challenges,
    pub(super) store: Store,
    pub(super) secrets: BTreeMap<String, Vec<u8>>,
    pub(super) macs: BTreeMap<(String, Vec<u8>), Vec<u8>>,
    pub(super) answer_mac: Option<AnswerMac>,
    pub(super) random: u64,
    pub(super) exchange: Exchange,
    pub(super) log: Vec<LogLine>,
}

/// Makes the MAC of a message under a named secret; none for a name it does not know.
pub(super) type AnswerMac = Rc<dyn Fn(&str, &[u8]) -> Option<Vec<u8>>>;

/// Which call is running and what it may do.
#[derive(Default)]
pub(super) struct Call {
    pub(super) function: Function,
    pub(super) profile: String,
    pub(super) powers: Vec<Power>,
}

#[derive(Default)]
pub(super) enum Function {
    /// None that may do anything but log.
    #[default]
    Pure,
    Verify {
        csr_sha256: Vec<u8>,
    },
    Notify,
    Issue,
    Event,
}

/// A line that was logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// What it says.
    pub message: String,
    /// The fields beside the message.
    pub fields: Attributes,
}

impl Default for State {
    fn default() -> Self {
        Self {
            now: from_unix_seconds(START),
            challenges: Challenges::default(),
            store: Store::default(),
            secrets: BTreeMap::new(),
            macs: BTreeMap::new(),
            answer_mac: None,
            random: 0,
            exchange: Exchange::default(),
            log: Vec::new(),
        }
    }
}

impl State {
    pub(super) fn commit(&mut self, csr_sha256: &[u8]) {
        self.challenges.hold(csr_sha256);
        self.store.commit();
    }

    pub(super) fn hold(&mut self, csr_sha256: &[u8]) {
        self.challenges.hold(csr_sha256);
        self.store.discard();
    }

    pub(super) fn discard(&mut self) {
        self.challenges.discard();
        self.store.discard();
    }
}

impl Backend {
    /// A power that the description does not ask for is never granted.
    fn denied(&self, power: &Power) -> Option<String> {
        (!self.call.powers.contains(power))
            .then(|| format!("describe() does not ask for {power:?}, so no admin will grant it"))
    }

    pub(crate) fn log(&self, level: Level, message: &str, fields: Attributes) {
        let line = LogLine { level, message: message.to_owned(), fields };
        self.state.borrow_mut().log.push(line);
    }

    pub(crate) fn redeem(&self, text: &str) -> Result<Binding, RedeemError> {
        if let Some(text) = self.denied(&Power::Challenges) {
            return Err(RedeemError::Denied(text));
        }
        let Function::Verify { csr_sha256 } = &self.call.function else {
            return Err(RedeemError::Denied("challenges are redeemed in `verify` only".into()));
        };
        let mut state = self.state.borrow_mut();
        let now = state.now;
        state.challenges.redeem(text, &self.call.profile, csr_sha256, now)
    }

    pub(crate) fn issue(
        &self,
        binding: Binding,
        time_to_live: Duration,
    ) -> Result<IssuedChallenge, IssueError> {
        if let Some(text) = self.denied(&Power::Challenges) {
            return Err(IssueError::Denied(text));
        }
        if !matches!(self.call.function, Function::Issue) {
            return Err(IssueError::Denied("challenges are issued in `issue` only".into()));
        }
        let mut state = self.state.borrow_mut();
        let now = state.now;
        state.challenges.issue(binding, &self.call.profile, time_to_live, now)
    }

    fn store<T>(
        &self,
        act: impl FnOnce(&mut Store, SystemTime) -> Result<T, KvError>,
    ) -> Result<T, KvError> {
        if let Some(text) = self.denied(&Power::Kv) {
            return Err(KvError::Denied(text));
        }
        if matches!(self.call.function, Function::Pure) {
            return Err(KvError::Denied("this call must be pure".into()));
        }
        let mut state = self.state.borrow_mut();
        let now = state.now;
        act(&mut state.store, now)
    }

    pub(crate) fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, KvError> {
        self.store(|store, now| store.read(key, now))
    }

    pub(crate) fn kv_set(
        &self,
        key: &str,
        value: &[u8],
        time_to_live: Option<Duration>,
    ) -> Result<(), KvError> {
        self.store(|store, now| store.write(key, value, time_to_live, now))
    }

    pub(crate) fn kv_compare_and_set(
        &self,
        key: &str,
        expected: Option<&[u8]>,
        value: &[u8],
        time_to_live: Option<Duration>,
    ) -> Result<bool, KvError> {
        self.store(|store, now| {
            if store.read(key, now)?.as_deref() != expected {
                return Ok(false);
            }
            store.write(key, value, time_to_live, now).map(|()| true)
        })
    }

    pub(crate) fn kv_delete(&self, key: &str) -> Result<(), KvError> {
        self.store(|store, _| store.delete(key))
    }

    pub(crate) fn http_send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if !self.call.powers.iter().any(|power| matches!(power, Power::Host(_))) {
            return Err(HttpError::Denied("describe() does not ask for any host".into()));
        }
        if let Some(credential) = &request.auth
            && let Some(text) = self.denied(&Power::Secret(credential.clone()))
        {
            return Err(HttpError::Denied(text));
        }
        // Taken out while it answers, so that an answer may look at the mock itself.
        let mut exchange = std::mem::take(&mut self.state.borrow_mut().exchange);
        let answer = exchange.send(request);
        self.state.borrow_mut().exchange = exchange;
        answer
    }

    pub(crate) fn secret_mac(&self, secret: &str, message: &[u8]) -> Result<Vec<u8>, SecretError> {
        if let Some(text) = self.denied(&Power::Secret(secret.to_owned())) {
            return Err(SecretError::Denied(text));
        }
        let state = self.state.borrow();
        let recorded = state.macs.get(&(secret.to_owned(), message.to_owned())).cloned();
        let made = || state.answer_mac.as_ref().and_then(|answer| answer(secret, message));
        if let Some(tag) = recorded.or_else(made) {
            return Ok(tag);
        }
        match state.secrets.get(secret) {
            Some(key) if key.len() >= SHORTEST_KEY => Ok(hmac_sha256(key, message)),
            Some(_) => Err(SecretError::Unavailable(format!(
                "the secret `{secret}` has fewer than {SHORTEST_KEY} bytes, too few for a key"
            ))),
            None => Err(SecretError::Unavailable(format!(
                "the mock knows no MAC of this message under `{secret}`: give it a secret with \
                 set_secret, record a MAC with set_mac, or make them with answer_mac"
            ))),
        }
    }

    /// Blocks that count up: 1, 2, …, each repeated to the length asked for.
    pub(crate) fn fill_random(&self, bytes: &mut [u8]) {
        let mut state = self.state.borrow_mut();
        state.random = state.random.wrapping_add(1);
        let block = state.random.to_be_bytes();
        bytes.iter_mut().zip(block.iter().rev().cycle()).for_each(|(byte, next)| *byte = *next);
    }

    pub(crate) fn secret_verify_mac(
        &self,
        secret: &str,
        message: &[u8],
        tag: &[u8],
    ) -> Result<bool, SecretError> {
        Ok(self.secret_mac(secret, message)? == tag)
    }

    pub(crate) fn secret_matches(
        &self,
        secret: &str,
        candidate: &[u8],
    ) -> Result<bool, SecretError> {
        if let Some(text) = self.denied(&Power::Secret(secret.to_owned())) {
            return Err(SecretError::Denied(text));
        }
        let state = self.state.borrow();
        state.secrets.get(secret).map(|value| value == candidate).ok_or_else(|| {
            SecretError::Unavailable(format!("the mock has no `{secret}`: set it with set_secret"))
        })
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Backend(mock)")
    }
}

//! The question, asked of every verifier of a profile; their word intersected with what the
//! profile allows; binding, writes and approval committed together; the approval sealed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_config::ProfileSettings;
use countersign_fail_points::{Point, reached};
use countersign_ipc::{
    Approval, ApprovalKey, Bytes, DenialRecord, EnrolmentId, Kind, VerifierRecord, VerifyEnrolment,
    VerifyReply,
};
use countersign_profile::{Boundary, Csr, LegacyDigests, Name, Vouched, approve_names};
use countersign_sandbox::{CallContext, KvWrite, Plugin, model};
use countersign_store::rusqlite::params;
use countersign_store::{ColumnKey, Store, StoreError};
use thiserror::Error;
use tokio::sync::Notify;

use crate::abuse::{self, Abuse, Who};
use crate::backend::RequestBackend;
use crate::challenges::{self, Challenges, Redemption};
use crate::clock::Clock;
use crate::counters::Counters;
use crate::denials::Denials;
use crate::devices::Reach;
use crate::kv::{self, Kv, Written};
use crate::orders::Orders;
use crate::renewal::{NotValid, Renewals, Validated};
use crate::start::now;
use crate::{certificate, names, outbox, question, tombstone};

/// All verifiers of a request together; below what `serve` waits.
const ALL_VERIFIERS: Duration = Duration::from_secs(35);

/// Seconds until a device comes again when a person must mend something first.
const NOT_NOW: u32 = 60;

/// Denials that say somebody came with a wrong or used challenge: guesses, thieves, mistakes.
const CHALLENGE_REFUSALS: [&str; 6] = [
    "challenge-missing",
    "challenge-unknown",
    "challenge-expired",
    "challenge-used",
    "challenge-unbound",
    "otp_identity_mismatch",
];

/// A plug-in with its quota.
#[derive(Debug)]
pub(crate) struct Installed {
    pub(crate) plugin: Plugin,
    pub(crate) kv_entries: u32,
    /// Whether its events may lead to revocations.
    pub(crate) may_revoke: bool,
    /// Seconds between two looks into its feed.
    pub(crate) schedule: Option<u32>,
}

/// Everything a decision needs.
#[derive(Debug)]
pub(crate) struct Verifiers {
    pub(crate) profiles: BTreeMap<String, ProfileSettings>,
    pub(crate) plugins: BTreeMap<String, Installed>,
    pub(crate) clock: Clock,
    pub(crate) challenges: Arc<Challenges>,
    pub(crate) kv: Kv,
    pub(crate) column_key: Arc<ColumnKey>,
    pub(crate) store: Store,
    pub(crate) approval_key: ApprovalKey,
    pub(crate) approval_lifetime: u64,
    pub(crate) config_digest: [u8; 32],
    pub(crate) denials: Denials,
    pub(crate) counters: Counters,
    /// Challenges that were refused.
    pub(crate) abuse: Abuse,
    /// Wakes the outbox.
    pub(crate) outcomes_came: Notify,
    /// Notices that are being told.
    pub(crate) in_hand: Arc<outbox::InHand>,
    pub(crate) renewals: Renewals,
    pub(crate) orders: Arc<Orders>,
    /// Which plug-in reaches which certificates.
    pub(crate) reach: Arc<Reach>,
}

/// Why a request is not approved now.
enum NotApproved {
    Denied {
        code: String,
        detail: String,
    },
    Pending {
        retry_after: u32,
        held: Vec<Redemption>,
    },
    Unavailable {
        retry_after: u32,
        detail: String,
    },
    ListNeeded,
    /// A device repeats its own spent challenge: refused as every spent one, and no attack.
    OwnChallenge(String),
}

/// What one verifier approved.
struct Word {
    record: VerifierRecord,
    vouched: Vouched,
    device_id: Option<String>,
    latest_end: Option<u64>,
    kv_writes: Vec<KvWrite>,
    kv_entries: u32,
}

/// What all verifiers approved.
struct Agreed {
    words: Vec<Word>,
    redemptions: Vec<Redemption>,
    /// For the verifiers that want to hear what comes of it.
    notices: Vec<outbox::Waiting>,
}

#[derive(Debug, Error)]
enum CommitError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the challenge was used by another request in the meantime")]
    Overtaken,
    #[error("plug-in `{plugin}` said that device `{device}` is gone; an admin may lift that")]
    Tombstoned { plugin: String, device: String },
    #[error("another call changed what plug-in `{0}` had read; asking again may help")]
    Conflict(String),
    #[error("the key-value store of plug-in `{0}` is full; raise `kv-entries` in its limits")]
    Full(String),
}

impl From<countersign_store::rusqlite::Error> for CommitError {
    fn from(error: countersign_store::rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Verifiers {
    /// What keeps this process from deciding; empty when all is well. A plug-in that is not asked
    /// because it kept failing makes its own profiles unavailable, not the process.
    pub(crate) async fn why_not_ready(&self) -> Vec<String> {
        let store = self.store.read(|connection| {
            Ok(connection.query_row("SELECT 1 FROM sqlite_schema LIMIT 1", [], |_| Ok(()))?)
        });
        let mut reasons: Vec<_> =
            store.await.err().map(|error| error.to_string()).into_iter().collect();
        reasons.extend(self.why_not_decide(now()));
        reasons
    }

    /// Why nothing is approved and no challenge issued, if so: expiry means nothing under a clock that
    /// went back, and what cannot be written down would be asked again and again.
    pub(crate) fn why_not_decide(&self, now: u64) -> Option<String> {
        self.clock.went_back(now).or_else(|| self.store.too_little_room())
    }

    /// Decides. Denials are reported to the ledger; everything else only answered.
    pub(crate) async fn decide(&self, asked: VerifyEnrolment, now: u64) -> VerifyReply {
        if let Some(detail) = self.why_not_decide(now) {
            tracing::error!(profile = asked.profile, detail, "nothing is decided");
            return VerifyReply::Unavailable { retry_after: NOT_NOW, detail };
        }
        let begin = Instant::now();
        let _will_write = self.store.announce();
        let (reply, names, csr_sha256) = match self.read(&asked) {
            Ok((profile, csr)) => {
                let names: Vec<String> = csr.names().iter().map(ToString::to_string).collect();
                let result = self.judge(&asked, profile, &csr, now).await;
                (result, names, Some(Bytes(csr.sha256().to_vec())))
            }
            Err(refused) => (Err(refused), Vec::new(), None),
        };
        tracing::debug!(profile = asked.profile, micros = begin.elapsed().as_micros(), "decided");
        match reply {
            Ok((approval, tell_first)) => VerifyReply::Approved {
                sealed: self.approval_key.seal(&approval).telling_first(tell_first),
            },
            Err(NotApproved::Denied { code, detail }) => {
                if CHALLENGE_REFUSALS.contains(&code.as_str()) {
                    let labels = [("profile", asked.profile.as_str()), ("code", code.as_str())];
                    self.counters.count("challenges_refused", &labels);
                    self.count_refusal(&asked, &code, now).await;
                }
                self.denials.report(DenialRecord {
                    station: "verify".to_owned(),
                    profile: asked.profile,
                    code: code.clone(),
                    detail,
                    csr_sha256,
                    names,
                    source: asked.source,
                });
                VerifyReply::Denied { code }
            }
            Err(NotApproved::Pending { retry_after, .. }) => VerifyReply::Pending { retry_after },
            Err(NotApproved::Unavailable { retry_after, detail }) => {
                tracing::warn!(profile = asked.profile, detail, "no decision");
                VerifyReply::Unavailable { retry_after, detail }
            }
            Err(NotApproved::ListNeeded) => VerifyReply::RevocationListNeeded,
            Err(NotApproved::OwnChallenge(detail)) => {
                tracing::info!(
                    profile = asked.profile,
                    detail,
                    "a device repeats its own challenge"
                );
                let code = "challenge-used".to_owned();
                let labels = [("profile", asked.profile.as_str()), ("code", code.as_str())];
                self.counters.count("challenges_refused", &labels);
                self.denials.report(DenialRecord {
                    station: "verify".to_owned(),
                    profile: asked.profile,
                    code: code.clone(),
                    detail: format!("its own challenge, spent before: {detail}"),
                    csr_sha256,
                    names,
                    source: asked.source,
                });
                VerifyReply::Denied { code }
            }
        }
    }

    /// Counts a request that was refused for its challenge, for its source and for the device that the
    /// challenge was made for.
    async fn count_refusal(&self, asked: &VerifyEnrolment, code: &str, now: u64) {
        let Some(kind) = abuse::Kind::of(code) else { return };
        let device = match Csr::parse(&asked.csr.0) {
            Ok(csr) => self.holder(asked, &csr).await.and_then(|holder| holder.device_id),
            Err(_) => None,
        };
        let device = device.map(|device| Who::device(&asked.profile, &device));
        let whom = Who::source(&asked.source).into_iter().chain(device);
        self.abuse.refused(kind, whom, &self.counters, now);
    }

    /// Whose challenge a request carries. What cannot be found out is nobody's.
    async fn holder(&self, asked: &VerifyEnrolment, csr: &Csr) -> Option<challenges::Holder> {
        let challenge = csr.challenge()?;
        self.challenges.holder(&asked.profile, challenge.text()).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "whose challenge it is could not be read");
            None
        })
    }

    /// Whether a spent challenge was spent by this very request, or by the certificate that it renews
    /// or another one of the same device.
    async fn is_own_challenge(
        &self,
        asked: &VerifyEnrolment,
        csr: &Csr,
        renewal: Option<&Validated>,
    ) -> bool {
        let Some(holder) = self.holder(asked, csr).await else { return false };
        let is_same_request = holder.info_sha256 == Some(csr.info_sha256());
        is_same_request
            || renewal.is_some_and(|renewal| {
                let device = renewal.device_id();
                holder.certificate_sha256 == Some(renewal.current().sha256())
                    || (device.is_some() && holder.device_id.as_deref() == device)
            })
    }

    /// Who kept coming with wrong challenges waits, unless it is a device with a certificate.
    fn locked(
        &self,
        asked: &VerifyEnrolment,
        who: Option<Who>,
        now: u64,
    ) -> Result<(), NotApproved> {
        let Some(who) = who.filter(|_| asked.kind == Kind::Initial) else { return Ok(()) };
        match self.abuse.locked(&who, now) {
            None => Ok(()),
            Some(left) => Err(denied(
                "challenge-locked",
                format!(
                    "{who} was refused too often for its challenge, and waits another {left} s"
                ),
            )),
        }
    }

    /// Reads the request again: `serve` is believed nothing that matters.
    fn read(&self, asked: &VerifyEnrolment) -> Result<(&ProfileSettings, Csr), NotApproved> {
        let profile = self
            .profiles
            .get(&asked.profile)
            .ok_or_else(|| denied("unknown-profile", "no such profile in the config"))?;
        let legacy = match asked.kind {
            Kind::Initial if profile.accept.sha1_signatures => LegacyDigests::Sha1,
            Kind::Renewal if profile.accept.sha1_renewals => LegacyDigests::Sha1,
            Kind::Initial | Kind::Renewal => LegacyDigests::Refused,
        };
        let csr = Csr::parse(&asked.csr.0)
            .map_err(|error| denied("request-not-readable", error.to_string()))?;
        csr.verify_self_signature(legacy)
            .map_err(|error| denied("request-signature", error.to_string()))?;
        profile.limits.admit(&csr, &Boundary::default()).map_err(|refusals| {
            refusals
                .first()
                .map_or_else(|| denied("refused", ""), |first| denied(first.code, &first.detail))
        })?;
        Ok((profile, csr))
    }

    async fn judge(
        &self,
        asked: &VerifyEnrolment,
        profile: &ProfileSettings,
        csr: &Csr,
        now: u64,
    ) -> Result<(Approval, bool), NotApproved> {
        self.locked(asked, Who::source(&asked.source), now)?;
        let info_sha256 = csr.info_sha256();
        let renewal = self.renewal(asked, profile, csr, now).await?;
        let current = renewal.as_ref().map(|renewal| renewal.current().sha256());
        let transaction_id = &asked.transaction_id.0;
        let id = EnrolmentId::of(&asked.profile, transaction_id, &info_sha256, current.as_ref());
        let agreed = match self.ask_all(asked, profile, csr, renewal.as_ref(), id, now).await {
            Ok(agreed) => agreed,
            Err(NotApproved::Pending { retry_after, held }) => {
                self.hold(held, info_sha256, id, profile, now).await?;
                return Err(NotApproved::Pending { retry_after, held: Vec::new() });
            }
            Err(NotApproved::Denied { code, detail })
                if abuse::Kind::of(&code) == Some(abuse::Kind::Reuse)
                    && self.is_own_challenge(asked, csr, renewal.as_ref()).await =>
            {
                return Err(NotApproved::OwnChallenge(detail));
            }
            Err(other) => return Err(other),
        };
        let approval = self.combine(asked, profile, csr, renewal.as_ref(), id, &agreed, now)?;
        let device = approval.device_id.as_deref();
        self.locked(asked, device.map(|device| Who::device(&asked.profile, device)), now)?;
        let tell_first = agreed.words.iter().any(|word| self.hears_first(&word.record.plugin));
        reached(Point::VerifiersAgreed);
        self.commit(&approval, agreed, info_sha256, profile, now).await?;
        Ok((approval, tell_first))
    }

    /// Whether a plug-in's device management must hear of outcomes before devices do.
    pub(crate) fn hears_first(&self, plugin: &str) -> bool {
        self.plugins
            .get(plugin)
            .is_some_and(|installed| installed.plugin.description().notified_before_answer)
    }

    /// Only a renewal that this process validated itself is one.
    async fn renewal(
        &self,
        asked: &VerifyEnrolment,
        profile: &ProfileSettings,
        csr: &Csr,
        now: u64,
    ) -> Result<Option<Validated>, NotApproved> {
        if asked.kind == Kind::Initial {
            return Ok(None);
        }
        let validated = self.renewals.validate(asked, profile, csr, &self.store, now).await;
        validated.map(Some).map_err(|error| match error {
            NotValid::Refused { code, detail } => denied(code, detail),
            NotValid::ListNeeded => NotApproved::ListNeeded,
            NotValid::Unavailable(error) => unavailable(10, error.to_string()),
        })
    }

    /// All must approve; the first that does not has the word.
    async fn ask_all(
        &self,
        asked: &VerifyEnrolment,
        profile: &ProfileSettings,
        csr: &Csr,
        renewal: Option<&Validated>,
        id: EnrolmentId,
        now: u64,
    ) -> Result<Agreed, NotApproved> {
        let verifiers = match renewal {
            None => &profile.verifiers.initial,
            Some(_) => &profile.verifiers.renewal,
        };
        let current = renewal
            .map(|renewal| certificate::describe(renewal.current()))
            .transpose()
            .map_err(|error| denied("renewal-unreadable", error.to_string()))?;
        if verifiers.is_empty() {
            // The config refuses such a profile; a second lock on the same door (row 1).
            return Err(denied("no-verifier", "the profile has no verifier"));
        }
        let deadline = Instant::now() + ALL_VERIFIERS;
        let backend = Arc::new(RequestBackend {
            challenges: Arc::clone(&self.challenges),
            kv: self.kv.clone(),
            info_sha256: Some(csr.info_sha256()),
            issuing: None,
            now,
        });
        let mut agreed = Agreed { words: Vec::new(), redemptions: Vec::new(), notices: Vec::new() };
        for name in verifiers {
            let installed = self
                .plugins
                .get(name)
                .ok_or_else(|| unavailable(60, format!("verifier `{name}` is not installed")))?;
            let context = CallContext {
                trace_id: id.to_hex().chars().take(16).collect(),
                trial: false,
                now,
                time_left: Some(deadline.saturating_duration_since(Instant::now())),
                attributes: Vec::new(),
            };
            let question = question::question(asked, csr, current.clone());
            let to_hear = installed.plugin.offers().outcomes.then(|| question.clone());
            let outcome = installed
                .plugin
                .verify(context, question, Arc::clone(&backend) as Arc<_>)
                .await
                .map_err(|failure| unavailable(10, format!("verifier `{name}`: {failure}")))?;
            agreed.redemptions.extend(outcome.staged.redeemed.iter().map(|redeemed| {
                self.challenges.redemption(&asked.profile, redeemed.text.expose())
            }));
            match outcome.answer {
                model::Verdict::Approve(approval) => {
                    if let Some(request) = to_hear {
                        let of = (&id, asked.attempt);
                        let key = &self.column_key;
                        let notice = outbox::Waiting::new(key, of, name, request, &approval.memo)
                            .map_err(|error| unavailable(60, error.to_string()))?;
                        agreed.notices.push(notice);
                    }
                    agreed.words.push(word(name, installed, approval, outcome.staged.kv_writes)?)
                }
                model::Verdict::Deny(denial) => {
                    return Err(denied(
                        denial.code.as_str(),
                        format!("verifier `{name}`: {}", denial.detail),
                    ));
                }
                model::Verdict::Pending(retry) => {
                    return Err(NotApproved::Pending {
                        retry_after: whole_seconds(retry.after),
                        held: agreed.redemptions,
                    });
                }
                model::Verdict::Unavailable(retry) => {
                    return Err(unavailable(
                        whole_seconds(retry.after),
                        format!("verifier `{name}`: {}", retry.detail),
                    ));
                }
            }
        }
        Ok(agreed)
    }

    /// Vouched ∩ allowed: CERT VU#971035, which row 2 is about.
    #[expect(clippy::too_many_arguments, reason = "each is a fact that the approval states")]
    fn combine(
        &self,
        asked: &VerifyEnrolment,
        profile: &ProfileSettings,
        csr: &Csr,
        renewal: Option<&Validated>,
        id: EnrolmentId,
        agreed: &Agreed,
        now: u64,
    ) -> Result<Approval, NotApproved> {
        let vouched: Vec<Vouched> = agreed.words.iter().map(|word| word.vouched.clone()).collect();
        let approved = approve_names(csr, &vouched, &profile.limits).map_err(|refusal| {
            if agreed.redemptions.is_empty() {
                denied(refusal.code, refusal.detail)
            } else {
                // The challenge of one identity with the request of another: an attack, or a
                // device that was given somebody else's challenge. It burns nothing.
                denied("otp_identity_mismatch", refusal.detail)
            }
        })?;
        let mut names: Vec<String> = approved.names().iter().map(ToString::to_string).collect();
        names.sort();
        names.dedup();
        Ok(Approval {
            enrolment: id,
            attempt: asked.attempt,
            kind: asked.kind,
            profile: asked.profile.clone(),
            current_certificate_sha256: renewal.map(|renewal| renewal.current().sha256()),
            csr_sha256: csr.sha256(),
            info_sha256: csr.info_sha256(),
            names,
            device_id: one_device(&agreed.words, renewal)?,
            latest_end: latest_end(&agreed.words, profile, now)?,
            verifiers: agreed.words.iter().map(|word| word.record.clone()).collect(),
            config_digest: self.config_digest,
            approved_at: now,
            expires_at: now.saturating_add(self.approval_lifetime),
        })
    }

    /// One transaction: the loser of a race over a challenge is denied here.
    async fn commit(
        &self,
        approval: &Approval,
        agreed: Agreed,
        info_sha256: [u8; 32],
        profile: &ProfileSettings,
        now: u64,
    ) -> Result<(), NotApproved> {
        let held_until = held_until(profile, now);
        let approval = approval.clone();
        let column_key = Arc::clone(&self.column_key);
        let reach = Arc::clone(&self.reach);
        let committed = self
            .store
            .try_write(move |tx| {
                let enrolment = approval.enrolment.0;
                // In this transaction: a wipe that comes in between finds the approval, or the
                // approval finds the wipe.
                if let Some(device) = &approval.device_id
                    && let Some(found) = tombstone::of(tx, &reach, &approval.profile, device)?
                {
                    let device = device.clone();
                    return Err(CommitError::Tombstoned { plugin: found.plugin, device });
                }
                if !challenges::bind(
                    tx,
                    &agreed.redemptions,
                    &info_sha256,
                    &enrolment,
                    held_until,
                    now,
                )? {
                    return Err(CommitError::Overtaken);
                }
                for word in &agreed.words {
                    let plugin = &word.record.plugin;
                    match kv::write(tx, &column_key, plugin, &word.kv_writes, word.kv_entries, now)?
                    {
                        Written::Done => {}
                        Written::Conflict => return Err(CommitError::Conflict(plugin.clone())),
                        Written::Full => return Err(CommitError::Full(plugin.clone())),
                    }
                }
                for notice in &agreed.notices {
                    notice.write(tx, &enrolment, approval.attempt, now)?;
                }
                tx.prepare_cached(
                    "INSERT INTO approval
                        (enrolment, attempt, profile, device_id, approval, approved)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT (enrolment, attempt) DO UPDATE
                     SET device_id = ?4, approval = ?5, approved = ?6 WHERE outcome IS NULL",
                )?
                .execute(params![
                    enrolment,
                    approval.attempt,
                    approval.profile,
                    approval.device_id,
                    approval.to_canonical(),
                    i64::try_from(now).unwrap_or(i64::MAX)
                ])?;
                Ok(())
            })
            .await;
        committed.map_err(|error| match error {
            CommitError::Overtaken => denied("challenge-used", error.to_string()),
            CommitError::Tombstoned { .. } => denied("device-tombstoned", error.to_string()),
            CommitError::Conflict(_) => unavailable(1, error.to_string()),
            CommitError::Full(_) => unavailable(600, error.to_string()),
            CommitError::Store(error) => unavailable(10, error.to_string()),
        })
    }

    /// A pending request holds its challenge: nobody else may use it in the meantime.
    async fn hold(
        &self,
        held: Vec<Redemption>,
        info_sha256: [u8; 32],
        id: EnrolmentId,
        profile: &ProfileSettings,
        now: u64,
    ) -> Result<(), NotApproved> {
        if held.is_empty() {
            return Ok(());
        }
        let until = held_until(profile, now);
        let bound = self
            .store
            .write(move |tx| challenges::bind(tx, &held, &info_sha256, &id.0, until, now))
            .await
            .map_err(|error| unavailable(10, error.to_string()))?;
        if bound { Ok(()) } else { Err(denied("challenge-used", "another request was faster")) }
    }
}

fn word(
    name: &str,
    installed: &Installed,
    approval: model::Approval,
    kv_writes: Vec<KvWrite>,
) -> Result<Word, NotApproved> {
    let vouched = match &approval.vouched {
        // The sandbox gives this through only where the config grants it.
        model::Vouched::ExactlyAsRequested => Vouched::ExactlyAsRequested,
        model::Vouched::Names(list) => {
            let read: Result<Vec<Name>, _> = list.iter().map(names::from_plugin).collect();
            Vouched::Names(read.map_err(|error| {
                // An odd answer is no approval, and none of the device's doing.
                unavailable(
                    60,
                    format!("verifier `{name}` vouches for a name that is none: {error}"),
                )
            })?)
        }
    };
    Ok(Word {
        record: VerifierRecord {
            plugin: name.to_owned(),
            digest: installed.plugin.digest().0,
            evidence: approval.evidence,
        },
        vouched,
        device_id: approval.device_id,
        latest_end: approval.latest_end,
        kv_writes,
        kv_entries: installed.kv_entries,
    })
}

/// Two verifiers that name different devices did not judge the same one. A renewal stays the device's that the current certificate was issued for.
fn one_device(words: &[Word], renewal: Option<&Validated>) -> Result<Option<String>, NotApproved> {
    let mut found = renewal.and_then(Validated::device_id);
    for device in words.iter().filter_map(|word| word.device_id.as_deref()) {
        match found {
            Some(other) if other != device => {
                return Err(denied(
                    "device-mismatch",
                    format!("one verifier means device `{other}`, another `{device}`"),
                ));
            }
            _ => found = Some(device),
        }
    }
    Ok(found.map(str::to_owned))
}

/// The earliest of the ends that verifiers set. Where the CA may issue a longer certificate the
/// request is refused now: afterwards it could only be withheld.
fn latest_end(
    words: &[Word],
    profile: &ProfileSettings,
    now: u64,
) -> Result<Option<u64>, NotApproved> {
    let Some(end) = words.iter().filter_map(|word| word.latest_end).min() else {
        return Ok(None);
    };
    let would_end = now.saturating_add(profile.limits.max_validity.as_secs());
    if would_end > end {
        return Err(denied(
            "validity-too-long",
            format!(
                "a verifier allows validity until {end}, a certificate of this profile may end as \
                 late as {would_end}; lower `max-validity` of the profile and of its template"
            ),
        ));
    }
    Ok(Some(end))
}

fn held_until(profile: &ProfileSettings, now: u64) -> u64 {
    now.saturating_add(u64::from(profile.pending_days) * 86_400)
}

fn whole_seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX).max(1)
}

fn denied(code: &str, detail: impl Into<String>) -> NotApproved {
    NotApproved::Denied { code: code.to_owned(), detail: detail.into() }
}

fn unavailable(retry_after: u32, detail: impl Into<String>) -> NotApproved {
    NotApproved::Unavailable { retry_after, detail: detail.into() }
}

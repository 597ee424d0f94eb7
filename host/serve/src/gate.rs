//! What must be true before a device is served, and what readiness says.
//!
//! Critical findings known at start refuse the start. What can only be known by asking — whether
//! the CA refuses a request without a countersignature (row 48) — closes the gate until it is
//! known to be well: an answer to a device while the CA would issue to anyone means nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use countersign_authority::{Authority, ProbeResult, probe_uncountersigned};
use countersign_config::{Finding, Severity};
use countersign_enrol::{Budgets, Peers, Profile, Records};
use countersign_ipc::{SignReply, SignRequest, VerifyReply, VerifyRequest};
use countersign_keys::{Deadline, KeyPool};
use serde::Serialize;
use tokio::sync::watch;

/// How long one look at the other processes holds.
const FRESH: Duration = Duration::from_secs(2);

const ASK: Duration = Duration::from_secs(3);

/// The pause between two probes of a CA that did not give a clear answer.
const PROBE_AGAIN: Duration = Duration::from_secs(5);

/// Whether devices may be served, and why not.
#[derive(Debug)]
pub(crate) struct Gate {
    findings: Mutex<Vec<Finding>>,
    /// Templates whose CA has not yet refused an un-countersigned request, by authority and name.
    unproven: Mutex<BTreeSet<(String, String)>>,
    peers: Peers,
    records: Records,
    pools: Vec<KeyPool>,
    budgets: Budgets,
    latest: tokio::sync::Mutex<Option<(Instant, Readiness)>>,
}

/// What readiness says to an admin. A load balancer gets the first field only.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Readiness {
    /// Listener, token, store, `verify` and `sign` answer, and there is no critical finding.
    pub(crate) ready: bool,
    /// Ready, but a CA is not reachable or not yet proven, or envelopes fail to open too often.
    pub(crate) degraded: bool,
    /// What is not well.
    pub(crate) reasons: Vec<String>,
}

impl Gate {
    pub(crate) fn new(
        findings: Vec<Finding>,
        profiles: &BTreeMap<String, Arc<Profile>>,
        peers: Peers,
        records: Records,
        pools: Vec<KeyPool>,
        budgets: Budgets,
    ) -> Self {
        let unproven = profiles
            .values()
            .map(|profile| (profile.authority_name.clone(), profile.template.clone()))
            .collect();
        Self {
            findings: Mutex::new(findings),
            unproven: Mutex::new(unproven),
            peers,
            records,
            pools,
            budgets,
            latest: tokio::sync::Mutex::new(None),
        }
    }

    /// Whether a request for this profile may be worked on.
    pub(crate) fn is_open_for(&self, profile: &Profile) -> bool {
        let template = (profile.authority_name.clone(), profile.template.clone());
        !self.has_critical()
            && !self.unproven.lock().unwrap_or_else(PoisonError::into_inner).contains(&template)
    }

    fn has_critical(&self) -> bool {
        self.findings().iter().any(|finding| finding.severity == Severity::Critical)
    }

    pub(crate) fn findings(&self) -> Vec<Finding> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Probes each template until its CA has given a clear answer, then never again until the next
    /// start: a probe that is accepted costs a certificate.
    pub(crate) async fn prove(
        self: Arc<Self>,
        authorities: BTreeMap<String, Arc<dyn Authority>>,
        mut stop: watch::Receiver<bool>,
    ) {
        loop {
            let open: Vec<_> = self
                .unproven
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .iter()
                .cloned()
                .collect();
            let mut again = false;
            for (name, template) in open {
                let Some(authority) = authorities.get(&name) else { continue };
                again |= !self.prove_one(&name, authority.as_ref(), template).await;
            }
            if !again {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(PROBE_AGAIN) => {}
                _ = async { stop.wait_for(|stop| *stop).await.is_ok() } => return,
            }
        }
    }

    /// True if the answer was clear.
    async fn prove_one(&self, name: &str, authority: &dyn Authority, template: String) -> bool {
        match probe_uncountersigned(authority, &template).await {
            ProbeResult::RefusedAsItMust { hresult } => {
                tracing::info!(authority = name, template, %hresult,
                    "the CA refuses a request without a countersignature");
                self.unproven
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(&(name.to_owned(), template));
                true
            }
            ProbeResult::Accepted { disposition } => {
                let finding = accepts_uncountersigned(name, &template);
                tracing::error!(authority = name, template, ?disposition, %finding, "ALARM");
                self.findings.lock().unwrap_or_else(PoisonError::into_inner).push(finding);
                true
            }
            ProbeResult::Inconclusive { reason } => {
                tracing::warn!(authority = name, template, %reason,
                    "whether the CA demands a countersignature is not known yet");
                false
            }
        }
    }

    /// Readiness, at most [`FRESH`] old.
    pub(crate) async fn readiness(&self) -> Readiness {
        let mut latest = self.latest.lock().await;
        if let Some((at, readiness)) = latest.as_ref()
            && at.elapsed() < FRESH
        {
            return readiness.clone();
        }
        let readiness = self.look().await;
        *latest = Some((Instant::now(), readiness.clone()));
        readiness
    }

    async fn look(&self) -> Readiness {
        let (verify, sign, store, token) =
            tokio::join!(self.verify(), self.sign(), self.store(), self.token());
        let mut reasons: Vec<String> = [verify, sign, store, token].into_iter().flatten().collect();
        reasons.extend(
            self.findings()
                .iter()
                .filter(|finding| finding.severity == Severity::Critical)
                .map(|finding| format!("{}: {}", finding.id, finding.message)),
        );
        let ready = reasons.is_empty();
        let unproven: Vec<String> = self
            .unproven
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|(authority, template)| {
                format!(
                    "authority `{authority}` has not yet been seen to refuse a request without a \
                     countersignature for template `{template}`"
                )
            })
            .collect();
        let alarm = self.budgets.alarm();
        let degraded = ready && (!unproven.is_empty() || alarm.is_some());
        reasons.extend(unproven);
        reasons.extend(alarm);
        Readiness { ready, degraded, reasons }
    }

    async fn verify(&self) -> Option<String> {
        match self.peers.verify.call(&VerifyRequest::Health, ASK).await {
            Ok(VerifyReply::Healthy { ready: true, .. }) => None,
            Ok(VerifyReply::Healthy { detail, .. }) => {
                Some(format!("verify: {}", detail.join("; ")))
            }
            Ok(_) => Some("verify gave an answer to another question".to_owned()),
            Err(error) => Some(format!("verify: {error}")),
        }
    }

    async fn sign(&self) -> Option<String> {
        match self.peers.sign.call(&SignRequest::Health, ASK).await {
            Ok(SignReply::Healthy { ready: true, .. }) => None,
            Ok(SignReply::Healthy { detail, .. }) => Some(format!("sign: {}", detail.join("; "))),
            Ok(_) => Some("sign gave an answer to another question".to_owned()),
            Err(error) => Some(format!("sign: {error}")),
        }
    }

    async fn store(&self) -> Option<String> {
        let trouble = self.records.answers().await.err().map(|error| error.to_string());
        let trouble = trouble.or_else(|| self.records.store().too_little_room());
        trouble.map(|trouble| format!("store: {trouble}"))
    }

    async fn token(&self) -> Option<String> {
        for pool in &self.pools {
            // By the pool: where the module hangs, no further thread is lost in it.
            if let Err(error) = pool.health(Deadline::after(ASK)).await {
                let label = pool.token().description().label;
                return Some(format!("token `{label}`: {error}"));
            }
        }
        None
    }
}

fn accepts_uncountersigned(authority: &str, template: &str) -> Finding {
    Finding {
        row: Some(48),
        severity: Severity::Critical,
        id: "ca-accepts-without-countersignature",
        message: format!(
            "authority `{authority}` took a request for template `{template}` that nobody \
             countersigned: whoever may enrol there gets any name"
        ),
        remedy: "set the template's issuance requirements to one authorised signature with the \
                 application policy Certificate Request Agent, revoke the certificate with the \
                 subject `countersign probe: must be refused`, then restart serve"
            .into(),
    }
}

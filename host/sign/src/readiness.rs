//! What keeps this process from signing, and what an admin should mend.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use countersign_config::{Finding, Severity};

/// A trouble that comes and goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Trouble {
    /// The clock went back behind the ledger.
    Clock,
    /// No checkpoint could be written.
    Checkpoint,
    /// The last write to the database failed.
    Store,
    /// The last signature failed in the token.
    Token,
}

impl Trouble {
    /// Whether nothing is signed meanwhile. A database or a token that is well again shows it by
    /// the next signature, so those do not stop one from being tried.
    fn stops_signing(self) -> bool {
        match self {
            Self::Clock | Self::Checkpoint => true,
            Self::Store | Self::Token => false,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Checkpoint => "checkpoint",
            Self::Store => "store",
            Self::Token => "token",
        }
    }
}

/// The state of the process.
#[derive(Debug)]
pub(crate) struct Readiness {
    /// Found at start: a critical one keeps the process from becoming ready (row 14).
    findings: Vec<Finding>,
    halted: OnceLock<String>,
    troubles: Mutex<BTreeMap<Trouble, String>>,
}

impl Readiness {
    pub(crate) fn new(findings: Vec<Finding>) -> Self {
        Self { findings, halted: OnceLock::new(), troubles: Mutex::default() }
    }

    /// Stops signing for good: only a restart, after a look at the ledger, begins again.
    pub(crate) fn halt(&self, reason: &str) {
        if self.halted.set(reason.to_owned()).is_ok() {
            tracing::error!(reason, "signing is halted until a restart");
        }
    }

    pub(crate) fn set(&self, trouble: Trouble, detail: impl Into<String>) {
        let detail = detail.into();
        let before = self.lock().insert(trouble, detail.clone());
        if before.as_ref() != Some(&detail) {
            tracing::error!(trouble = trouble.word(), detail, "not ready");
        }
    }

    pub(crate) fn clear(&self, trouble: Trouble) {
        if self.lock().remove(&trouble).is_some() {
            tracing::info!(trouble = trouble.word(), "well again");
        }
    }

    pub(crate) fn has(&self, trouble: Trouble) -> bool {
        self.lock().contains_key(&trouble)
    }

    /// Why nothing is signed now, if so.
    pub(crate) fn why_not_sign(&self) -> Option<String> {
        if let Some(reason) = self.halted.get() {
            return Some(reason.clone());
        }
        if let Some(finding) =
            self.findings.iter().find(|finding| finding.severity == Severity::Critical)
        {
            return Some(finding.to_string());
        }
        let troubles = self.lock();
        let (_, detail) = troubles.iter().find(|(trouble, _)| trouble.stops_signing())?;
        Some(detail.clone())
    }

    /// Everything that keeps the process from being ready.
    pub(crate) fn details(&self) -> Vec<String> {
        let halted = self.halted.get().map(|reason| format!("halted: {reason}"));
        let critical = self
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Critical)
            .map(ToString::to_string);
        let troubles = self
            .lock()
            .iter()
            .map(|(trouble, detail)| format!("{}: {detail}", trouble.word()))
            .collect::<Vec<_>>();
        halted.into_iter().chain(critical).chain(troubles).collect()
    }

    /// What the start found, of any weight.
    pub(crate) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Trouble, String>> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
    /// Too little room on the disk.
    Room,
    /// The last write to the database failed.
    Store,
    /// The last signature failed in the token.
    Token,
}

impl Trouble {
    /// Whether nothing is signed meanwhile. A token that is well again shows it by the next
    /// signature, so it does not stop one from being tried; a database shows it by another entry,
    /// before the EA key is used for what it may not keep.
    fn stops_signing(self) -> bool {
        match self {
            Self::Clock | Self::Checkpoint | Self::Room | Self::Store => true,
            Self::Token => false,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Checkpoint => "checkpoint",
            Self::Room => "room",
            Self::Store => "store",
            Self::Token => "token",
        }
    }
}

/// The state of the process.
#[derive(Debug)]
pub(crate) struct Readiness {
    /// A critical one keeps the process from becoming ready (row 14) and from signing.
    findings: Mutex<Vec<Finding>>,
    halted: OnceLock<String>,
    troubles: Mutex<BTreeMap<Trouble, String>>,
}

impl Readiness {
    pub(crate) fn new(findings: Vec<Finding>) -> Self {
        Self { findings: Mutex::new(findings), halted: OnceLock::new(), troubles: Mutex::default() }
    }

    /// Stops signing for good: only a restart, after a look at the ledger, begins again.
    pub(crate) fn halt(&self, reason: &str) {
        if self.halted.set(reason.to_owned()).is_ok() {
            tracing::error!(reason, "signing is halted until a restart");
        }
    }

    /// Adds what was found while running; false if it was known. It stays until a restart.
    pub(crate) fn find(&self, finding: Finding) -> bool {
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = findings.iter().all(|known| known.id != finding.id);
        if is_new {
            tracing::error!(%finding, "found");
            findings.push(finding);
        }
        is_new
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
            self.findings().iter().find(|finding| finding.severity == Severity::Critical)
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
        let findings = self.findings();
        let critical = findings
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

    /// What was found at start and since, of any weight.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Trouble, String>> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Why something was not signed, in words that stay the same.

use countersign_ipc::{EnrolmentId, SealedApproval};
use countersign_ledger as ledger;

use crate::digest::sha256;
use crate::seal::ProvenApproval;

/// A definite no. Asking again with the same seal will not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub(crate) struct Refused {
    /// Stable code, for the peer, the ledger and the metrics.
    pub(crate) code: &'static str,
    /// What was expected and what came; for the ledger only.
    pub(crate) detail: String,
}

impl Refused {
    pub(crate) fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

/// What can be said about a request before anything in it is believed, and what its seal added.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub(crate) seal_sha256: [u8; 32],
    pub(crate) csr_sha256: [u8; 32],
    pub(crate) proven: Option<(EnrolmentId, String)>,
}

impl About {
    pub(crate) fn unproven(sealed: &SealedApproval, csr: &[u8]) -> Self {
        Self { seal_sha256: sealed.sha256(), csr_sha256: sha256(csr), proven: None }
    }

    pub(crate) fn proven(mut self, proven: &ProvenApproval) -> Self {
        let approval = proven.approval();
        self.proven = Some((approval.enrolment, approval.profile.clone()));
        self
    }

    /// The ledger's entry for a refusal of this request.
    pub(crate) fn entry(&self, refused: &Refused) -> ledger::Event {
        let (enrolment, profile) = match &self.proven {
            Some((enrolment, profile)) => (Some(enrolment.0.into()), Some(profile.into())),
            None => (None, None),
        };
        ledger::Event::RefusedSeal(ledger::RefusedSeal {
            code: refused.code.into(),
            detail: refused.detail.as_str().into(),
            seal_sha256: self.seal_sha256.into(),
            csr_sha256: self.csr_sha256.into(),
            enrolment,
            profile,
        })
    }
}

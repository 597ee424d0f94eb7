//! First step: is this approval `verify`'s, unaltered? Nothing else is believed before.

use countersign_ipc::{Approval, ApprovalKey, SealError, SealedApproval};

use crate::refusal::Refused;

/// An approval whose seal was opened. Only this file can make one, and only from a seal whose MAC
/// is good; everything that is signed begins here.
///
/// ```compile_fail,E0451
/// fn forge(approval: countersign_ipc::Approval) -> countersign_sign::ProvenApproval {
///     countersign_sign::ProvenApproval { approval, seal_sha256: [0; 32] }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct ProvenApproval {
    approval: Approval,
    seal_sha256: [u8; 32],
}

impl ProvenApproval {
    /// What was approved.
    #[must_use]
    pub fn approval(&self) -> &Approval {
        &self.approval
    }

    /// SHA-256 of the seal, as the ledger names it.
    #[must_use]
    pub fn seal_sha256(&self) -> [u8; 32] {
        self.seal_sha256
    }
}

/// Opens seals with the key that only `verify` and `sign` hold.
#[derive(Debug)]
pub(crate) struct Seals {
    key: ApprovalKey,
}

impl Seals {
    pub(crate) fn new(key: ApprovalKey) -> Self {
        Self { key }
    }

    /// Opens `sealed`.
    ///
    /// # Errors
    /// `seal-not-valid`, whatever is wrong: the peer learns nothing more, the ledger does.
    pub(crate) fn open(&self, sealed: &SealedApproval) -> Result<ProvenApproval, Refused> {
        match self.key.open(sealed) {
            Ok(approval) => Ok(ProvenApproval { approval, seal_sha256: sealed.sha256() }),
            Err(error @ (SealError::Forged | SealError::Malformed | SealError::Key)) => {
                Err(Refused::new("seal-not-valid", error.to_string()))
            }
        }
    }
}

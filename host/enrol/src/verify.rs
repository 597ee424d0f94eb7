//! Station `verify`: asks the process that runs the verifiers. Never treats absence, a time-out or
//! an odd answer as approval.

use std::time::Duration;

use countersign_ipc::{
    Approval, Bytes, Client, Kind, SealedApproval, VerifyEnrolment, VerifyReply, VerifyRequest,
};

use crate::admit::Admitted;
use crate::arrival::Conclusion;

/// All verifiers of a profile together; `verify` keeps its own budgets below this.
const VERIFY: Duration = Duration::from_secs(40);

/// A request with its sealed approval. Only this station makes one, and only of an answer of
/// `verify`; whether the seal is good only `sign` can tell.
#[derive(Debug)]
pub struct Approved {
    admitted: Admitted,
    sealed: SealedApproval,
    approval: Approval,
}

/// What `verify` said, short of approval.
#[derive(Debug)]
pub(crate) enum NotApproved {
    Denied { code: String },
    Pending { retry_after: u32 },
    Unavailable(Conclusion),
}

/// Asks whether the requester is who it claims to be.
pub(crate) async fn verify(
    admitted: Admitted,
    client: &Client<VerifyRequest, VerifyReply>,
) -> Result<Approved, Box<(Admitted, NotApproved)>> {
    let beginning = admitted.beginning();
    let question = VerifyRequest::Verify(VerifyEnrolment {
        profile: beginning.profile.clone(),
        path_suffix: beginning.path_suffix.clone(),
        transaction_id: Bytes(beginning.transaction_id.clone()),
        attempt: beginning.attempt,
        kind: Kind::Initial,
        csr: Bytes(beginning.csr.to_vec()),
        source: beginning.source.clone(),
    });
    let not_approved = match client.call(&question, VERIFY).await {
        Ok(VerifyReply::Approved { sealed }) => match sealed.read_unproven() {
            Ok(approval) if is_about(&approval, &admitted) => {
                return Ok(Approved { admitted, sealed, approval });
            }
            _ => unavailable(60, "verify approved something else than was asked"),
        },
        Ok(VerifyReply::Denied { code }) => NotApproved::Denied { code },
        Ok(VerifyReply::Pending { retry_after }) => NotApproved::Pending { retry_after },
        Ok(VerifyReply::Unavailable { retry_after, detail }) => unavailable(retry_after, &detail),
        Ok(VerifyReply::Done | VerifyReply::Healthy { .. }) => {
            unavailable(60, "verify gave an answer to another question")
        }
        Err(error) => unavailable(10, &error.to_string()),
    };
    Err(Box::new((admitted, not_approved)))
}

impl Approved {
    /// The station before.
    #[must_use]
    pub fn admitted(&self) -> &Admitted {
        &self.admitted
    }

    /// What `sign` will want to see.
    #[must_use]
    pub fn sealed(&self) -> &SealedApproval {
        &self.sealed
    }

    /// What was approved, as far as this process can read it.
    #[must_use]
    pub fn approval(&self) -> &Approval {
        &self.approval
    }
}

fn unavailable(retry_after: u32, detail: &str) -> NotApproved {
    NotApproved::Unavailable(Conclusion::busy(retry_after, detail))
}

fn is_about(approval: &Approval, admitted: &Admitted) -> bool {
    let beginning = admitted.beginning();
    approval.enrolment == beginning.id
        && approval.attempt == beginning.attempt
        && approval.profile == beginning.profile
        && approval.csr_sha256 == admitted.csr().sha256()
}

//! Station `verify`: asks the process that runs the verifiers. Never treats absence, a time-out or
//! an odd answer as approval.

use std::time::Duration;

use countersign_ipc::{
    Approval, Bytes, CallError, Client, Kind, RenewalEvidence, RevocationListPart, SealedApproval,
    VerifyEnrolment, VerifyReply, VerifyRequest,
};
use countersign_profile::RevocationList;

use crate::admit::Admitted;
use crate::arrival::Conclusion;
use crate::profile::Profile;
use crate::renewal::Renewal;

/// All verifiers of a profile together; `verify` keeps its own budgets below this.
const VERIFY: Duration = Duration::from_secs(40);

/// One part of a revocation list.
const PART: Duration = Duration::from_secs(5);

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
    profile: &Profile,
    client: &Client<VerifyRequest, VerifyReply>,
) -> Result<Approved, Box<(Admitted, NotApproved)>> {
    let reply = match admitted.renewal() {
        None => client.call(&question(&admitted, None), VERIFY).await,
        Some(renewal) => match profile.authority.crl().await {
            Ok(list) => ask_about_renewal(&admitted, renewal, profile, &list, client).await,
            // Unreachable is never "not revoked".
            Err(error) => {
                let busy = NotApproved::Unavailable(Conclusion::busy(60, error));
                return Err(Box::new((admitted, busy)));
            }
        },
    };
    let not_approved = match reply {
        Ok(VerifyReply::Approved { sealed }) => match sealed.read_unproven() {
            Ok(approval) if is_about(&approval, &admitted) => {
                return Ok(Approved { admitted, sealed, approval });
            }
            _ => unavailable(60, "verify approved something else than was asked"),
        },
        Ok(VerifyReply::Denied { code }) => NotApproved::Denied { code },
        Ok(VerifyReply::Pending { retry_after }) => NotApproved::Pending { retry_after },
        Ok(VerifyReply::Unavailable { retry_after, detail }) => unavailable(retry_after, &detail),
        Ok(VerifyReply::RevocationListNeeded) => {
            unavailable(60, "verify wants another revocation list than the newest there is")
        }
        Ok(
            VerifyReply::Done
            | VerifyReply::Each(_)
            | VerifyReply::Told { .. }
            | VerifyReply::Healthy { .. },
        ) => unavailable(60, "verify gave an answer to another question"),
        Err(error) => unavailable(10, &error.to_string()),
    };
    Err(Box::new((admitted, not_approved)))
}

/// Asks once; where `verify` lacks the list, sends it and asks once more.
async fn ask_about_renewal(
    admitted: &Admitted,
    renewal: &Renewal,
    profile: &Profile,
    list: &RevocationList,
    client: &Client<VerifyRequest, VerifyReply>,
) -> Result<VerifyReply, CallError> {
    let question = question(
        admitted,
        Some(RenewalEvidence {
            message: Bytes::from(renewal.message()),
            content_key: Bytes::from(renewal.content_key()),
            list_made: list.this_update(),
        }),
    );
    match client.call(&question, VERIFY).await {
        Ok(VerifyReply::RevocationListNeeded) => {}
        other => return other,
    }
    let (der, mut offset) = (list.der(), 0_u64);
    for part in der.chunks(RevocationListPart::LONGEST) {
        let message = VerifyRequest::RevocationList(RevocationListPart {
            authority: profile.authority_name.clone(),
            list_sha256: Bytes(list.sha256().to_vec()),
            length: der.len() as u64,
            offset,
            octets: Bytes::from(part),
        });
        match client.call(&message, PART).await? {
            VerifyReply::Done => offset += part.len() as u64,
            other => return Ok(other),
        }
    }
    client.call(&question, VERIFY).await
}

fn question(admitted: &Admitted, renewal: Option<RenewalEvidence>) -> VerifyRequest {
    let beginning = admitted.beginning();
    VerifyRequest::Verify(VerifyEnrolment {
        profile: beginning.profile.clone(),
        path_suffix: beginning.path_suffix.clone(),
        transaction_id: Bytes(beginning.transaction_id.clone()),
        attempt: beginning.attempt,
        kind: kind(admitted),
        csr: Bytes(beginning.csr.to_vec()),
        source: beginning.source.clone(),
        renewal,
    })
}

impl Approved {
    /// Back to the station before: this approval is not used.
    pub(crate) fn into_admitted(self) -> Admitted {
        self.admitted
    }

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

fn kind(admitted: &Admitted) -> Kind {
    if admitted.renewal().is_some() { Kind::Renewal } else { Kind::Initial }
}

fn is_about(approval: &Approval, admitted: &Admitted) -> bool {
    let beginning = admitted.beginning();
    approval.enrolment == beginning.id
        && approval.attempt == beginning.attempt
        && approval.profile == beginning.profile
        && approval.kind == kind(admitted)
        && approval.current_certificate_sha256
            == admitted.renewal().map(Renewal::certificate_sha256)
        && approval.csr_sha256 == admitted.csr().sha256()
}

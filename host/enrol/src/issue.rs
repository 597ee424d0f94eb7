//! Station `issue`: hands the exact octets to the authority. The intent is durable before; what was
//! signed is never rebuilt.

use countersign_authority::{AuthorityError, Certainty, Disposition, RequestId, Submission};

use crate::countersign::Countersigned;
use crate::profile::Profile;

/// What the authority issued for a countersigned request; not yet compared with what was approved.
/// Only this station makes one.
#[derive(Debug)]
pub struct Issued {
    countersigned: Countersigned,
    certificate: Vec<u8>,
}

/// What became of a submission or a poll.
#[derive(Debug)]
pub(crate) enum Submitted {
    /// A certificate came.
    Issued(Issued),
    /// The authority keeps it.
    Pending(RequestId),
    /// The authority refused definitely.
    Refused { code: String, detail: String },
    /// Surely not processed.
    NotProcessed { detail: String },
    /// A certificate may exist.
    Unknown { detail: String },
}

/// Submits once. The intent must be durable.
pub(crate) async fn submit(countersigned: Countersigned, profile: &Profile) -> Submitted {
    let submission = Submission { cms: countersigned.cms(), template: &profile.template };
    let answer = profile.authority.submit(submission).await;
    conclude(countersigned, answer)
}

/// Asks what became of a pending request.
pub(crate) async fn poll(
    countersigned: Countersigned,
    request_id: RequestId,
    profile: &Profile,
) -> Submitted {
    let answer = profile.authority.poll(request_id).await;
    conclude(countersigned, answer)
}

fn conclude(
    countersigned: Countersigned,
    answer: Result<Disposition, AuthorityError>,
) -> Submitted {
    match answer {
        Ok(Disposition::Issued { certificate_der, .. }) => {
            Submitted::Issued(Issued { countersigned, certificate: certificate_der })
        }
        Ok(Disposition::Pending { request_id, .. }) => Submitted::Pending(request_id),
        Err(error) => {
            let detail = error.to_string();
            match error.certainty() {
                Certainty::Refused => Submitted::Refused { code: code(&error), detail },
                Certainty::NotProcessed => Submitted::NotProcessed { detail },
                Certainty::PerhapsIssued => Submitted::Unknown { detail },
            }
        }
    }
}

fn code(error: &AuthorityError) -> String {
    match error {
        AuthorityError::Refused { hresult, .. } => format!("ca-{hresult}"),
        _ => "ca".to_owned(),
    }
}

impl Issued {
    /// The station before.
    #[must_use]
    pub fn countersigned(&self) -> &Countersigned {
        &self.countersigned
    }

    /// The certificate as the authority gave it, DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }
}

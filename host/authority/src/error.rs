//! Why an authority gave no disposition, and how certain it is that nothing was issued.

use crate::disposition::RequestId;
use crate::hresult::Hresult;

/// Why a call gave no [`crate::Disposition`].
///
/// The variants differ first in what may have happened at the CA ([`AuthorityError::certainty`]):
/// a CA like AD CS has no idempotency, so "not processed" and "perhaps issued" must never be mixed up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// The CA decided: no certificate. Definite.
    #[error(
        "the CA refused the request{}: {hresult} {name}: {explanation} To do: {remedy}",
        request_id.map(|id| format!(" (its request {id})")).unwrap_or_default()
    )]
    Refused {
        /// The CA's error code.
        hresult: Hresult,
        /// The code's symbolic name, or `unknown`.
        name: &'static str,
        /// What the code means, in plain words, with the CA's own text where it gave one.
        explanation: String,
        /// What an admin can do about it.
        remedy: &'static str,
        /// The CA's number for the refused request, where it gave one.
        request_id: Option<RequestId>,
    },

    /// The request left this host and no readable answer came back: the CA may have issued.
    #[error("outcome unknown, the CA may have issued a certificate: {detail}")]
    Unknown {
        /// What was lost, and where.
        detail: String,
    },

    /// The request was surely not processed; trying again later is safe and may help.
    #[error("the CA is unavailable, nothing was submitted: {detail}")]
    Unavailable {
        /// What could not be reached.
        detail: String,
    },

    /// The request was surely not processed, and will not be before an admin changes something.
    #[error(
        "the connection to the CA is wrongly set up, nothing was submitted: {problem} To do: {remedy}"
    )]
    Misconfigured {
        /// What was expected and what was found.
        problem: String,
        /// What to change.
        remedy: String,
    },
}

/// What may have happened at the CA when a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// The CA decided against it; no certificate exists.
    Refused,
    /// The CA never saw the request, or never acted on it.
    NotProcessed,
    /// A certificate may exist.
    PerhapsIssued,
}

impl AuthorityError {
    /// What may have happened at the CA.
    #[must_use]
    pub fn certainty(&self) -> Certainty {
        match self {
            Self::Refused { .. } => Certainty::Refused,
            Self::Unknown { .. } => Certainty::PerhapsIssued,
            Self::Unavailable { .. } | Self::Misconfigured { .. } => Certainty::NotProcessed,
        }
    }

    /// A refusal with what is known about its code; `said` is the CA's own text, perhaps empty.
    pub(crate) fn refused(hresult: Hresult, said: &str, request_id: Option<RequestId>) -> Self {
        let known = hresult.meaning();
        let said = said.trim();
        let explanation = if said.is_empty() {
            known.explanation.to_owned()
        } else {
            format!("{} The CA said: \"{said}\".", known.explanation)
        };
        Self::Refused { hresult, name: known.name, explanation, remedy: known.remedy, request_id }
    }

    pub(crate) fn unknown(detail: impl Into<String>) -> Self {
        Self::Unknown { detail: detail.into() }
    }

    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::Unavailable { detail: detail.into() }
    }

    pub(crate) fn misconfigured(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Misconfigured { problem: problem.into(), remedy: remedy.into() }
    }
}

//! What passes between the host and a plug-in, in the host's own words: the same for every version
//! of the contract. The adapters in `contract` translate; nothing else in the house sees a
//! generated type.

mod answer;
mod event;
mod limits;
mod question;
mod text;

pub use answer::{
    Approval, Denial, DenialCode, Description, Link, Power, Problem, Retry, Verdict, Vouched, Want,
};
pub(crate) use event::bounded_retry;
pub use event::{
    Act, Action, ActionResult, Batch, Challenge, ChallengeBinding, Event, Hint, IssuedChallenge,
    Revocation, RevocationReason, Settlement, Target,
};
pub(crate) use limits::{Check, attributes_fit, is_hidden};
pub use limits::{Malformed, check_binding, check_names, check_text};
pub use question::{
    Attestation, Certificate, CurrentCertificate, Ending, KeyAlgorithm, Outcome, PublicKey,
    Request, RequestKind, Secret,
};
pub use text::{Attributes, Name, RelativeDistinguishedName, SubjectAttribute};

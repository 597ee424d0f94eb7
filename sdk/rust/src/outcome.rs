use crate::{Attributes, Bytes, Certificate, Request};

/// How an enrolment that the plug-in approved ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// What was asked.
    pub request: Request,
    /// How it ended.
    pub ending: Ending,
    /// What was given to [`Approval::memo`](crate::Approval::memo).
    pub memo: Bytes,
    /// The same for every delivery of this outcome, different for every other.
    pub idempotency_key: String,
    /// What the host knows beside.
    pub attributes: Attributes,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "one at a time, and read once")]
pub enum Ending {
    /// The certificate is with us, checked against the approval, and goes to the device.
    Issued(Certificate),
    /// There is no certificate. The text says why, for an admin.
    Failed(String),
    /// The CA issued something that was not approved. It is withheld from the device and its
    /// revocation is ordered. The text says what differed.
    Withheld(String),
    /// One that this version of the contract does not name.
    Other(String),
}

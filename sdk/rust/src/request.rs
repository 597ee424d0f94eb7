use std::fmt;
use std::time::{Duration, SystemTime};

use crate::{Attributes, Bytes, Certificate, Name, PublicKey, RelativeDistinguishedName};

/// What the device asks for.
///
/// The host has checked that the message is well formed, that the request is signed by its own key,
/// and that it fits the profile's limits. It has **not** checked who sent it: everything in here is
/// what a stranger says, but for `profile`, `attempt`, `source_address` and a current certificate
/// marked `host_validated`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// Why the device asks.
    pub kind: RequestKind,
    /// The profile that the device asked at.
    pub profile: String,
    /// What followed the profile in the URL's path, without a leading slash; often empty.
    pub path_suffix: String,
    /// SCEP's transaction ID. Chosen by the client; neither secret nor unique.
    pub transaction_id: String,
    /// 1 for the first attempt at this enrolment, then counting up.
    pub attempt: u32,
    /// The PKCS#10 request as received, DER.
    pub csr: Bytes,
    /// SHA-256 of `csr`: 32 bytes.
    pub csr_sha256: Vec<u8>,
    /// The subject's RDNs in the order of the request.
    pub subject: Vec<RelativeDistinguishedName>,
    /// The subject alternative names that it asks for.
    pub subject_alternative_names: Vec<Name>,
    /// The key that asks.
    pub key: PublicKey,
    /// Object identifiers of the extended key usages asked for.
    pub extended_key_usages: Vec<String>,
    /// The challengePassword.
    pub challenge: Option<Challenge>,
    /// The certificate that a renewal leans on.
    pub current_certificate: Option<CurrentCertificate>,
    /// A statement by the device's hardware about itself.
    pub attestation: Option<Attestation>,
    /// The device's address, or the nearest that the host can vouch for.
    pub source_address: Option<String>,
    /// What the host knows beside.
    pub attributes: Attributes,
}

impl Request {
    /// The value of the first `CN` in the subject.
    pub fn common_name(&self) -> Option<&str> {
        self.subject
            .iter()
            .flatten()
            .find(|attribute| attribute.kind == "CN")
            .map(|attribute| attribute.value.as_str())
    }

    /// Every name that it asks for: the subject's attributes in order, then the subject alternative
    /// names.
    pub fn names(&self) -> impl Iterator<Item = Name> {
        self.subject
            .iter()
            .flatten()
            .cloned()
            .map(Name::SubjectAttribute)
            .chain(self.subject_alternative_names.iter().cloned())
    }
}

/// Why the device asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// A first certificate; the request itself proves nothing about the device.
    Initial,
    /// The device showed that it holds [`Request::current_certificate`].
    Renewal,
    /// One that this version of the contract does not name. Nothing you can approve.
    Other(String),
}

/// A challengePassword: a secret until it is spent, so neither `Debug` nor `Display` shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Challenge(String);

impl Challenge {
    /// Keeps a text as a challenge.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, to be compared or sent to who can judge it. Do not log it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Challenge(not shown)")
    }
}

/// The certificate that a renewal leans on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CurrentCertificate {
    /// The certificate.
    pub certificate: Certificate,
    /// True when the host checked that this certificate signed the request, chains to our CA, is
    /// current and not revoked. When false, it is no evidence: it is what somebody sent.
    pub host_validated: bool,
}

/// A statement by the device's hardware about itself, as it came. The host did not check it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attestation {
    /// What it is: `apple-acme`, `android-key`, `tpm`, …
    pub format: String,
    /// The statement.
    pub evidence: Bytes,
    /// What the host knows beside.
    pub attributes: Attributes,
}

/// What every call that does work is told about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Context {
    /// How long this call may still take when it starts, waiting included.
    pub time_left: Duration,
    /// The host's time when the call started. Prefer it over a clock: it is what the host judges by,
    /// and it makes recorded calls repeatable.
    pub now: SystemTime,
    /// Ties log lines, ledger entries and calls of one request together. Opaque.
    pub trace_id: String,
    /// True when nobody waits for the answer (installation, `profile test`, shadow mode): change
    /// nothing outside.
    pub trial: bool,
    /// What the host knows beside.
    pub attributes: Attributes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_never_shown() {
        assert!(!format!("{:?}", Challenge::new("OPEN-SESAME")).contains("SESAME"));
    }
}

//! What a plug-in says.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Attributes, Name};

/// The answer to a request. Nothing else exists: no abstaining, no approval for lack of knowledge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Yes, and this is what it vouches for.
    Approve(Approval),
    /// No.
    Deny(Denial),
    /// Somebody still has to decide.
    Pending(Retry),
    /// Something that it needs does not answer.
    Unavailable(Retry),
}

/// Approved, as far as this verifier goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Which names it vouches for.
    pub vouched: Vouched,
    /// The device in the words of its management.
    pub device_id: Option<String>,
    /// Latest end of validity, seconds since 1970.
    pub latest_end: Option<u64>,
    /// For the ledger.
    pub evidence: Attributes,
    /// Given back in the outcome.
    pub memo: Vec<u8>,
    /// Open-ended.
    pub attributes: Attributes,
}

/// Which names a verifier vouches for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vouched {
    /// The request as it stands. The caller must check that this power was granted.
    ExactlyAsRequested,
    /// These.
    Names(Vec<Name>),
}

/// Why a request is denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the words are those of wit/types.wit, which explains them")]
pub enum DenialCode {
    ChallengeMissing,
    ChallengeUnknown,
    ChallengeExpired,
    ChallengeUsed,
    NameMismatch,
    DeviceUnknown,
    DeviceNotPermitted,
    DeviceNotCompliant,
    AttestationInvalid,
    NotSupported,
    /// A lower-case kebab word of the plug-in's own.
    Other(String),
}

impl DenialCode {
    /// The word for ledger, log and metrics.
    pub fn as_str(&self) -> &str {
        match self {
            Self::ChallengeMissing => "challenge-missing",
            Self::ChallengeUnknown => "challenge-unknown",
            Self::ChallengeExpired => "challenge-expired",
            Self::ChallengeUsed => "challenge-used",
            Self::NameMismatch => "name-mismatch",
            Self::DeviceUnknown => "device-unknown",
            Self::DeviceNotPermitted => "device-not-permitted",
            Self::DeviceNotCompliant => "device-not-compliant",
            Self::AttestationInvalid => "attestation-invalid",
            Self::NotSupported => "not-supported",
            Self::Other(word) => word,
        }
    }
}

impl fmt::Display for DenialCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// Why.
    pub code: DenialCode,
    /// For the admin; never for the device.
    pub detail: String,
    /// Open-ended.
    pub attributes: Attributes,
}

/// Not now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// When to try again: between a second and a day, whatever the plug-in said.
    pub after: Duration,
    /// For the admin.
    pub detail: String,
    /// Open-ended.
    pub attributes: Attributes,
}

/// Something that a plug-in needs from the admin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Power {
    /// The import `challenges`.
    Challenges,
    /// The import `kv`.
    Kv,
    /// A host to speak to.
    Host(String),
    /// A credential by name.
    Secret(String),
    /// Vouching for whole requests.
    ExactlyAsRequested,
    /// Having certificates revoked.
    Revocation,
    /// Something newer than this host.
    Other(String),
}

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Challenges => f.write_str("challenges"),
            Self::Kv => f.write_str("kv"),
            Self::Host(host) => write!(f, "host {host}"),
            Self::Secret(secret) => write!(f, "secret {secret}"),
            Self::ExactlyAsRequested => f.write_str("exactly-as-requested"),
            Self::Revocation => f.write_str("revocation"),
            Self::Other(other) => f.write_str(other),
        }
    }
}

/// A power and what it is good for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// What.
    pub power: Power,
    /// Why, for the admin.
    pub why: String,
}

/// Where to read on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// `documentation`, `source`, ….
    pub kind: String,
    /// The address.
    pub url: String,
}

/// What a plug-in says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Lower-case kebab.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// Who makes it.
    pub vendor: String,
    /// One sentence.
    pub summary: String,
    /// JSON Schema (2020-12) of the settings.
    pub settings_schema: String,
    /// What it needs.
    pub wants: Vec<Want>,
    /// Kinds of event it understands.
    pub events: Vec<String>,
    /// Whether it vouches for names that a user can change.
    pub vouches_from_user_attributes: bool,
    /// True if the device may be answered only after `notify` has returned ok.
    pub notified_before_answer: bool,
    /// Where to read on.
    pub links: Vec<Link>,
    /// Open-ended.
    pub attributes: Attributes,
}

/// Something wrong with settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// JSON pointer; empty for the whole.
    pub pointer: String,
    /// What was expected, found, and what to do.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pointer.is_empty() {
            f.write_str(&self.text)
        } else {
            write!(f, "{}: {}", self.pointer, self.text)
        }
    }
}

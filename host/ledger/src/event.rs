//! What can be logged. Names of kinds and members are for ever: they are hashed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::canonical::to_canonical;
use crate::{Digest, LedgerError, Text};

/// Something that happened. Each kind has a body of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "made one at a time, written and dropped")]
pub enum Event {
    /// An approval was countersigned.
    Signed(Signed),
    /// An attempt that was countersigned came to its end.
    Outcome(Outcome),
    /// A request was refused.
    Denied(Denial),
    /// Refusals beyond the cap, counted only.
    DeniedExcess(DenialExcess),
    /// A sealed approval was not accepted.
    RefusedSeal(RefusedSeal),
    /// A certificate was ordered revoked.
    Order(Order),
    /// An order was signed for the revoker.
    OrderSigned(OrderSigned),
    /// What became of a signed order.
    OrderEnded(OrderEnded),
    /// An admin did something.
    Admin(Admin),
    /// `sign` started.
    Start(Start),
    /// `sign` stopped in order.
    Stop(Stop),
    /// An operator took note that something is missing.
    Gap(Gap),
}

/// Kind of an [`Event`], with its stable word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `signed`
    Signed,
    /// `outcome`
    Outcome,
    /// `denied`
    Denied,
    /// `denied-excess`
    DeniedExcess,
    /// `refused-seal`
    RefusedSeal,
    /// `order`
    Order,
    /// `order-signed`
    OrderSigned,
    /// `order-ended`
    OrderEnded,
    /// `admin`
    Admin,
    /// `start`
    Start,
    /// `stop`
    Stop,
    /// `gap`
    Gap,
}

/// An approval was countersigned: the entry is durable before the signature leaves `sign`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Signed {
    /// Identity of the enrolment.
    pub enrolment: Digest,
    /// Attempt of the enrolment, from 1.
    pub attempt: u32,
    /// Initial or renewal.
    pub request: RequestKind,
    /// Profile name.
    pub profile: Text,
    /// SHA-256 of the current certificate's DER, for a renewal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_certificate_sha256: Option<Digest>,
    /// SHA-256 of the CSR's DER as received.
    pub csr_sha256: Digest,
    /// SHA-256 of the CertificationRequestInfo as received.
    pub cri_sha256: Digest,
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub spki_sha256: Digest,
    /// The names approved, textual form.
    pub names: Vec<Text>,
    /// What the MDM calls the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<Text>,
    /// Latest end of validity that the approval allows, seconds since 1970 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_end: Option<u64>,
    /// The verifiers that approved.
    pub verifiers: Vec<Verifier>,
    /// SHA-256 of the configuration under which it was approved.
    pub config_sha256: Digest,
    /// SHA-256 of the sealed approval.
    pub seal_sha256: Digest,
    /// When it was approved, seconds since 1970 UTC.
    pub approved_at: u64,
    /// When the approval ends, seconds since 1970 UTC.
    pub expires_at: u64,
    /// SHA-256 of the Enrollment Agent certificate whose key signed.
    pub ea_certificate_sha256: Digest,
    /// SHA-256 of the CMS message that holds the signature.
    pub cms_sha256: Digest,
}

/// First certificate, or a new one on the strength of the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestKind {
    /// No current certificate was shown.
    Initial,
    /// The device proved its current certificate.
    Renewal,
}

/// A plug-in that approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Verifier {
    /// Name in the configuration.
    pub plugin: Text,
    /// SHA-256 of the component that ran.
    pub digest: Digest,
    /// What convinced it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Fact>,
}

/// A name and a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Fact {
    /// Its name.
    pub name: Text,
    /// Its value.
    pub value: Text,
}

/// How an attempt ended. May be told more than once: the first one counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Outcome {
    /// Identity of the enrolment.
    pub enrolment: Digest,
    /// Attempt of the enrolment.
    pub attempt: u32,
    /// Profile name.
    pub profile: Text,
    /// How it ended.
    pub outcome: OutcomeKind,
    /// SHA-256 of the certificate's DER, where one was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_sha256: Option<Digest>,
    /// Serial number of the certificate, lower-case hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<Text>,
    /// Stable code of the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Text>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutcomeKind {
    /// The certificate is the device's.
    Issued,
    /// The CA refused; nothing was issued.
    Refused,
    /// The CA issued what was not approved; it is withheld and ordered revoked.
    Withheld,
    /// The signed octets were never submitted, and never will be.
    Abandoned,
}

/// A request was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Denial {
    /// Who refused.
    pub by: Station,
    /// Profile name.
    pub profile: Text,
    /// Stable code.
    pub code: Text,
    /// What was expected, what came.
    pub detail: Text,
    /// SHA-256 of the CSR's DER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csr_sha256: Option<Digest>,
    /// The names asked for, textual form. At most [`Denial::MAX_NAMES`] are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<Text>,
    /// Where the request came from.
    pub source: Text,
}

impl Denial {
    /// Strangers choose how many names they ask for; the ledger keeps so many.
    pub const MAX_NAMES: usize = 16;

    fn bounded(&self) -> Self {
        let mut denial = self.clone();
        if denial.names.len() > Self::MAX_NAMES {
            let more = denial.names.len() - (Self::MAX_NAMES - 1);
            denial.names.truncate(Self::MAX_NAMES - 1);
            denial.names.push(Text::from(format!("… and {more} more")));
        }
        denial
    }
}

/// Who refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Station {
    /// The profile's limits, in `serve`.
    Admit,
    /// A verifier, in `verify`.
    Verify,
    /// The hard limits or the fuse, in `sign`.
    Sign,
}

/// Refusals that were only counted, because one source provoked too many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DenialExcess {
    /// Who refused.
    pub by: Station,
    /// Profile name.
    pub profile: Text,
    /// Where the requests came from.
    pub source: Text,
    /// How many.
    pub count: u64,
    /// First of them, seconds since 1970 UTC.
    pub since: u64,
    /// Last of them, seconds since 1970 UTC.
    pub until: u64,
}

/// A sealed approval was not accepted: forged, altered, expired, or for another CSR.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RefusedSeal {
    /// Stable code.
    pub code: Text,
    /// What was expected, what came.
    pub detail: Text,
    /// SHA-256 of the seal.
    pub seal_sha256: Digest,
    /// SHA-256 of the CSR that came with it.
    pub csr_sha256: Digest,
    /// Identity of the enrolment, where the seal is genuine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrolment: Option<Digest>,
    /// Profile name, where the seal is genuine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Text>,
}

/// A certificate was ordered revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Order {
    /// Identity of the enrolment that led to the certificate.
    pub enrolment: Digest,
    /// Attempt of it.
    pub attempt: u32,
    /// Profile name.
    pub profile: Text,
    /// Authority name in the configuration.
    pub authority: Text,
    /// SHA-256 of the certificate's DER.
    pub certificate_sha256: Digest,
    /// Serial number, lower-case hexadecimal.
    pub serial: Text,
    /// Stable code of the reason.
    pub reason: Text,
}

/// A revocation order was signed: the entry is durable before the order leaves `sign`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct OrderSigned {
    /// The order's number.
    pub number: u64,
    /// Identity of the enrolment that led to the certificate.
    pub enrolment: Digest,
    /// Attempt of it.
    pub attempt: u32,
    /// Profile name.
    pub profile: Text,
    /// Authority name in the configuration.
    pub authority: Text,
    /// SHA-256 of the certificate's DER.
    pub certificate_sha256: Digest,
    /// Serial number, lower-case hexadecimal.
    pub serial: Text,
    /// Why, in the words of RFC 5280 §5.3.1.
    pub reason: Text,
    /// Who placed it: `check`, `event`, `tombstone`, `admin`.
    pub source: Text,
    /// The rest of that: plug-in and action, or people.
    pub detail: Text,
    /// SHA-256 of the octets that are signed.
    pub document_sha256: Digest,
    /// SHA-256 of the SubjectPublicKeyInfo of the key that signs orders.
    pub order_key_sha256: Digest,
    /// Two people let it through beyond the revocation fuse.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub let_through: bool,
}

/// What became of a signed order. A failed one may end again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct OrderEnded {
    /// The order's number.
    pub number: u64,
    /// Identity of the enrolment that led to the certificate.
    pub enrolment: Digest,
    /// Attempt of it.
    pub attempt: u32,
    /// SHA-256 of the certificate's DER.
    pub certificate_sha256: Digest,
    /// `carried-out`, `nothing-to-do`, `failed`.
    pub end: Text,
    /// Which revoker said so.
    pub revoker: Text,
    /// In its words.
    pub detail: Text,
}

/// An admin did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Admin {
    /// Who: `uid 1001 (anna)`.
    pub who: Text,
    /// Stable code of the act.
    pub act: Text,
    /// The rest.
    pub detail: Text,
}

/// `sign` started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Start {
    /// Version of Countersign.
    pub version: Text,
    /// SHA-256 of the configuration.
    pub config_sha256: Digest,
    /// SHA-256 of the Enrollment Agent certificate, where there is one yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ea_certificate_sha256: Option<Digest>,
}

/// `sign` stopped in order. A `start` without one before it follows a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stop {
    /// Why: a signal, a command.
    pub reason: Text,
}

/// An operator took note that something is missing; whoever verifies is shown it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Gap {
    /// What is missing.
    pub lost: Lost,
    /// Who took note.
    pub who: Text,
    /// In their words.
    pub reason: Text,
}

/// What a [`Gap`] is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Lost {
    /// Entries that a checkpoint covered.
    Entries {
        /// Entries at that checkpoint.
        size: u64,
        /// Root of that checkpoint.
        root: Digest,
        /// Time of that checkpoint, seconds since 1970 UTC.
        time: u64,
    },
    /// All checkpoints.
    Checkpoints,
    /// The order of times: the clock was ahead and was set right.
    Clock {
        /// Time of the last entry under the wrong clock, seconds since 1970 UTC.
        last: u64,
    },
}

impl Event {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Signed(_) => Kind::Signed,
            Self::Outcome(_) => Kind::Outcome,
            Self::Denied(_) => Kind::Denied,
            Self::DeniedExcess(_) => Kind::DeniedExcess,
            Self::RefusedSeal(_) => Kind::RefusedSeal,
            Self::Order(_) => Kind::Order,
            Self::OrderSigned(_) => Kind::OrderSigned,
            Self::OrderEnded(_) => Kind::OrderEnded,
            Self::Admin(_) => Kind::Admin,
            Self::Start(_) => Kind::Start,
            Self::Stop(_) => Kind::Stop,
            Self::Gap(_) => Kind::Gap,
        }
    }

    /// Its body in canonical JSON.
    ///
    /// # Errors
    /// [`LedgerError::TooLarge`].
    pub fn body(&self) -> Result<String, LedgerError> {
        let kind = self.kind().as_str();
        match self {
            Self::Signed(body) => to_canonical(kind, body),
            Self::Outcome(body) => to_canonical(kind, body),
            Self::Denied(body) => to_canonical(kind, &body.bounded()),
            Self::DeniedExcess(body) => to_canonical(kind, body),
            Self::RefusedSeal(body) => to_canonical(kind, body),
            Self::Order(body) => to_canonical(kind, body),
            Self::OrderSigned(body) => to_canonical(kind, body),
            Self::OrderEnded(body) => to_canonical(kind, body),
            Self::Admin(body) => to_canonical(kind, body),
            Self::Start(body) => to_canonical(kind, body),
            Self::Stop(body) => to_canonical(kind, body),
            Self::Gap(body) => to_canonical(kind, body),
        }
    }

    /// The event that `body` tells.
    pub(crate) fn from_body(kind: Kind, body: &str) -> Result<Self, serde_json::Error> {
        Ok(match kind {
            Kind::Signed => Self::Signed(serde_json::from_str(body)?),
            Kind::Outcome => Self::Outcome(serde_json::from_str(body)?),
            Kind::Denied => Self::Denied(serde_json::from_str(body)?),
            Kind::DeniedExcess => Self::DeniedExcess(serde_json::from_str(body)?),
            Kind::RefusedSeal => Self::RefusedSeal(serde_json::from_str(body)?),
            Kind::Order => Self::Order(serde_json::from_str(body)?),
            Kind::OrderSigned => Self::OrderSigned(serde_json::from_str(body)?),
            Kind::OrderEnded => Self::OrderEnded(serde_json::from_str(body)?),
            Kind::Admin => Self::Admin(serde_json::from_str(body)?),
            Kind::Start => Self::Start(serde_json::from_str(body)?),
            Kind::Stop => Self::Stop(serde_json::from_str(body)?),
            Kind::Gap => Self::Gap(serde_json::from_str(body)?),
        })
    }

    /// Whether this entry may be earlier than the one before it.
    pub(crate) fn sets_clock_back(&self) -> bool {
        matches!(self, Self::Gap(Gap { lost: Lost::Clock { .. }, .. }))
    }
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 12] = [
        Self::Signed,
        Self::Outcome,
        Self::Denied,
        Self::DeniedExcess,
        Self::RefusedSeal,
        Self::Order,
        Self::OrderSigned,
        Self::OrderEnded,
        Self::Admin,
        Self::Start,
        Self::Stop,
        Self::Gap,
    ];

    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signed => "signed",
            Self::Outcome => "outcome",
            Self::Denied => "denied",
            Self::DeniedExcess => "denied-excess",
            Self::RefusedSeal => "refused-seal",
            Self::Order => "order",
            Self::OrderSigned => "order-signed",
            Self::OrderEnded => "order-ended",
            Self::Admin => "admin",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Gap => "gap",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            format!("expected a kind of ledger entry ({known}), found `{}`", Text::new(word))
        })
    }
}

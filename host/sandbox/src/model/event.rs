//! Challenges, events and what follows from them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Attributes, Name, Secret};

/// What a challenge of the host stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeBinding {
    /// The names its holder may ask for.
    pub names: Vec<Name>,
    /// The device, if known.
    pub device_id: Option<String>,
    /// The plug-in's own.
    pub attributes: Attributes,
}

/// A challenge that the host made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedChallenge {
    /// What the device shall send.
    pub text: Secret,
    /// Seconds since 1970.
    pub expires: u64,
}

/// What is known about a device that will come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// The profile it will enrol at.
    pub profile: String,
    /// The authenticated identity that asks.
    pub requester: String,
    /// The names it will ask for, as far as known.
    pub names: Vec<Name>,
    /// The device, if known.
    pub device_id: Option<String>,
    /// Of `body`.
    pub media_type: Option<String>,
    /// What came over HTTP.
    pub body: Vec<u8>,
    /// Open-ended.
    pub attributes: Attributes,
}

/// The challenge that a plug-in answers a hint with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// What the device shall send.
    pub text: Secret,
    /// Seconds since 1970.
    pub expires: u64,
    /// Open-ended.
    pub attributes: Attributes,
}

/// A call of the device management.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What followed `/event/<plugin>/`.
    pub path_suffix: String,
    /// Decoded.
    pub query: Vec<(String, String)>,
    /// Lower-case names, no credentials.
    pub headers: Vec<(String, String)>,
    /// As received.
    pub body: Vec<u8>,
    /// Seconds since 1970.
    pub received: u64,
    /// Open-ended.
    pub attributes: Attributes,
}

/// Which certificates are meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// All of a device.
    Device(String),
    /// One certificate.
    Certificate {
        /// RFC 4514 text.
        issuer: String,
        /// Lower-case hex.
        serial_number: String,
    },
}

/// Reasons of RFC 5280 §5.3.1 that make sense here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the words are RFC 5280's")]
pub enum RevocationReason {
    Unspecified,
    KeyCompromise,
    AffiliationChanged,
    Superseded,
    CessationOfOperation,
}

/// A revocation that a plug-in wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// What.
    pub target: Target,
    /// Why, for the CRL.
    pub reason: RevocationReason,
    /// Why, for the ledger.
    pub detail: String,
}

/// What shall be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Order a revocation.
    Revoke(Revocation),
    /// Something newer than this host: to be answered with `Settlement::Refused`.
    Other(String),
}

/// One thing to do, under the plug-in's own id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// The plug-in's own; repeating it repeats nothing.
    pub id: String,
    /// What.
    pub act: Act,
    /// Open-ended.
    pub attributes: Attributes,
}

/// A page of a feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// What shall be done.
    pub actions: Vec<Action>,
    /// Where to go on.
    pub cursor: Vec<u8>,
    /// Ask again at once.
    pub more: bool,
    /// Open-ended.
    pub attributes: Attributes,
}

/// What became of an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Settlement {
    /// Done.
    Done,
    /// No such certificate, or already revoked.
    NothingToDo,
    /// Not done, and will not be.
    Refused(String),
    /// Given up.
    Failed(String),
}

/// An action's id and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionResult {
    /// The plug-in's own.
    pub id: String,
    /// How it ended.
    pub settlement: Settlement,
    /// Open-ended.
    pub attributes: Attributes,
}

/// The host keeps `after-seconds` of a plug-in within these bounds.
pub(crate) fn bounded_retry(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds).clamp(1, 24 * 60 * 60))
}

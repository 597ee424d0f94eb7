use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::exchange::Exchange;

/// What a file says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Case {
    /// For the reader: what the case shows.
    pub summary: String,
    /// As in the configuration.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub settings: Map<String, Value>,
    /// What is there before the first question.
    #[serde(default, skip_serializing_if = "HostState::is_empty")]
    pub host: HostState,
    /// What came before, on the same host. Their answers are not compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Asked>,
    /// The question. None only where settings are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Asked>,
    /// The answer.
    pub expect: Expected,
}

/// What the host has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HostState {
    /// The clock, seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<u64>,
    /// The challenges it keeps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub challenges: Vec<KeptChallenge>,
    /// The plug-in's store.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kv: BTreeMap<String, String>,
    /// Secrets by the name that the plug-in uses: inventions for tests, never real ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
    /// What is sent and answered, in order. Nothing else may be sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<Exchange>,
}

impl HostState {
    /// 2026-01-01T00:00:00Z, where a case does not say.
    pub const NOW: u64 = 1_767_225_600;

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The clock.
    pub fn now(&self) -> u64 {
        self.now.unwrap_or(Self::NOW)
    }
}

/// A challenge that the host keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct KeptChallenge {
    /// What a device sends.
    pub text: String,
    /// The names it is bound to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// The device it is bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// The profile it is for; any if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Seconds since 1970; never if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// Whether it is still good.
    #[serde(default)]
    pub state: KeptState,
    /// The issuer's own words.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// Whether a challenge is still good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeptState {
    /// For whoever comes.
    #[default]
    Open,
    /// For a request that the case does not have.
    HeldByAnother,
    /// For nobody any more.
    Spent,
}

/// A request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Asked {
    /// Why the device asks.
    #[serde(default)]
    pub kind: RequestKind,
    /// Where it asks.
    pub profile: String,
    /// RDNs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subject: Vec<Step>,
    /// Names beside the subject.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subject_alternative_names: Vec<String>,
    /// The challengePassword.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub challenge: Option<String>,
    /// What followed the profile in the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_suffix: Option<String>,
    /// SCEP's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    /// The certificate that a renewal leans on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_certificate: Option<Current>,
    /// Facts that the host knows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// Another verifier of the profile denies.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub denied_elsewhere: bool,
    /// A certificate was issued for it afterwards.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub issued: bool,
}

/// Why a device asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestKind {
    /// A first certificate.
    #[default]
    Initial,
    /// Another one.
    Renewal,
}

/// One RDN: `"CN=a"`, or `["CN=a", "UID=b"]` for a multi-valued one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Step {
    /// Of one attribute.
    One(String),
    /// Of several.
    Many(Vec<String>),
}

impl Step {
    /// Its attributes.
    pub fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Many(names) => names,
        }
    }
}

/// A certificate that a renewal leans on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Current {
    /// Lower-case hex.
    pub serial_number: String,
    /// RDNs of one attribute each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subject: Vec<String>,
    /// Names beside the subject.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subject_alternative_names: Vec<String>,
    /// Seconds since 1970.
    #[serde(default)]
    pub not_before: u64,
    /// Seconds since 1970; left out: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<u64>,
    /// True unless it says else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_validated: Option<bool>,
}

impl Current {
    /// The largest end that a certificate can have (RFC 5280 §4.1.2.5), where the case names none:
    /// 9999-12-31.
    pub const LATEST: u64 = 253_402_300_799;
}

/// What the verifier shall answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", deny_unknown_fields, rename_all = "kebab-case")]
pub enum Expected {
    /// Yes.
    #[serde(rename_all = "kebab-case")]
    Approve {
        /// The names, or null for "exactly as requested".
        vouched: Option<Vec<String>>,
        /// The device.
        #[serde(skip_serializing_if = "Option::is_none")]
        device_id: Option<String>,
    },
    /// No.
    Deny {
        /// The word for it.
        code: String,
        /// A part of the detail.
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// Somebody still has to decide.
    Pending,
    /// It cannot tell now.
    Unavailable,
    /// The settings are refused, with these pointers.
    Settings {
        /// JSON pointers (RFC 6901).
        problems: Vec<String>,
    },
}

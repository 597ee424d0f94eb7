use std::time::{Duration, SystemTime};

use crate::{Attributes, Name};

/// The answer to "is this device who it says it is?".
///
/// `Ok` is the only way to say yes, so `?` on any error fails closed. There is no "abstain" and no
/// "allow because I could not find out".
pub type Verdict = Result<Approval, NotApproved>;

/// The request is approved, as far as this verifier goes. All verifiers of a profile must say so.
///
/// ```
/// use countersign_sdk::{Approval, Name};
///
/// let approval = Approval::of_names([Name::common_name("device-17")])
///     .device_id("17")
///     .evidence("mdm-record", "4711");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Approval {
    pub(crate) vouched: Vouched,
    pub(crate) device_id: Option<String>,
    pub(crate) latest_end: Option<SystemTime>,
    pub(crate) evidence: Attributes,
    pub(crate) memo: Vec<u8>,
    pub(crate) attributes: Attributes,
}

impl Approval {
    /// Vouches for these names: they are this device's, from a source that the device and its user
    /// cannot change. The host refuses a request that asks for more; it may ask for fewer. No names
    /// at all vouches for nobody's name, and another verifier must.
    pub fn of_names(names: impl IntoIterator<Item = Name>) -> Self {
        Self::of(Vouched::Names(names.into_iter().collect()))
    }

    /// Vouches for the request as it stands, every name in it. A power of its own, to be wanted in
    /// [`Description`](crate::Description) and granted in the configuration: only for a service that
    /// validates the whole request (Intune).
    pub fn exactly_as_requested() -> Self {
        Self::of(Vouched::ExactlyAsRequested)
    }

    fn of(vouched: Vouched) -> Self {
        Self {
            vouched,
            device_id: None,
            latest_end: None,
            evidence: Attributes::new(),
            memo: Vec::new(),
            attributes: Attributes::new(),
        }
    }

    /// The device in the words of its management, never changing: what a later revocation will name.
    /// At most 256 bytes.
    pub fn device_id(mut self, id: impl Into<String>) -> Self {
        self.device_id = Some(id.into());
        self
    }

    /// The certificate must not be valid longer than this. Where the CA would issue a longer one, the
    /// request is refused before it is signed.
    pub fn latest_end(mut self, end: SystemTime) -> Self {
        self.latest_end = Some(end);
        self
    }

    /// Adds something that convinced you, for the ledger, where it stays for years. No secrets, and
    /// no more about people than needed.
    pub fn evidence(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.evidence.push(name, value);
        self
    }

    /// Anything that you want back in [`Outcome::memo`](crate::Outcome::memo). At most 4 KiB. Not a
    /// place for secrets.
    pub fn memo(mut self, memo: impl Into<Vec<u8>>) -> Self {
        self.memo = memo.into();
        self
    }

    /// Adds an open-ended fact for the host.
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push(name, value);
        self
    }

    /// Which names it vouches for.
    pub fn vouched(&self) -> &Vouched {
        &self.vouched
    }

    /// The device, if it was named.
    pub fn device(&self) -> Option<&str> {
        self.device_id.as_deref()
    }
}

/// Which names an approval vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vouched {
    /// Every name in the request.
    ExactlyAsRequested,
    /// These and no others.
    Names(Vec<Name>),
}

/// Every answer but yes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotApproved {
    /// No. The same request may be tried again later and is then asked anew.
    Deny(Denial),
    /// Somebody still has to decide. The device is told to come back; its challenge stays held for
    /// this request.
    Pending(Retry),
    /// I cannot tell, because something that I need does not answer. The device is told to come
    /// back; nothing is spent.
    Unavailable(Retry),
}

impl From<Denial> for NotApproved {
    fn from(denial: Denial) -> Self {
        Self::Deny(denial)
    }
}

/// No, with the reason. Converts into [`NotApproved`], so `Err(deny(…))?` and `ok_or_else` work.
///
/// `detail` is for the admin who looks for the reason: what was expected, what was found. The device
/// never sees it. Do not repeat a challenge or a token in it.
pub fn deny(code: DenialCode, detail: impl Into<String>) -> NotApproved {
    NotApproved::Deny(Denial::new(code, detail))
}

/// Somebody still has to decide: ask again after this time. `detail` says what is waited for.
pub fn pending(retry_after: Duration, detail: impl Into<String>) -> NotApproved {
    NotApproved::Pending(Retry::new(retry_after, detail))
}

/// Something that the answer needs does not answer: ask again after this time.
pub fn unavailable(retry_after: Duration, detail: impl Into<String>) -> NotApproved {
    NotApproved::Unavailable(Retry::new(retry_after, detail))
}

/// No.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The reason as one word; the ledger and the metrics count by it.
    pub code: DenialCode,
    /// For the admin: what was expected, what was found.
    pub detail: String,
    /// Open-ended facts for the host.
    pub attributes: Attributes,
}

impl Denial {
    /// A denial without further attributes.
    pub fn new(code: DenialCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), attributes: Attributes::new() }
    }
}

/// Why a request is denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DenialCode {
    /// The request carries no challenge and needs one.
    ChallengeMissing,
    /// No such challenge, or it is not for this profile or plug-in.
    ChallengeUnknown,
    /// It was valid once.
    ChallengeExpired,
    /// It belongs to another request.
    ChallengeUsed,
    /// The request asks for a name that is not this device's.
    NameMismatch,
    /// The device management does not know this device.
    DeviceUnknown,
    /// It knows the device and does not want it to have a certificate: retired, blocked, lost.
    DeviceNotPermitted,
    /// The device is known but not in the state that is asked for (compliance).
    DeviceNotCompliant,
    /// The attestation is missing, does not verify, or is about another key.
    AttestationInvalid,
    /// The request is of a kind that this verifier does not answer.
    NotSupported,
    /// Anything else, as a lower-case kebab word of at most 64 bytes.
    Other(String),
}

impl DenialCode {
    /// The word that the ledger, the metrics and golden cases show: `challenge-missing`, ….
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

/// Not now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// When to try again. The host keeps it between one second and one day.
    pub after: Duration,
    /// For the admin: what is being waited for.
    pub detail: String,
    /// Open-ended facts for the host.
    pub attributes: Attributes,
}

impl Retry {
    /// A retry without further attributes.
    pub fn new(after: Duration, detail: impl Into<String>) -> Self {
        Self { after, detail: detail.into(), attributes: Attributes::new() }
    }
}

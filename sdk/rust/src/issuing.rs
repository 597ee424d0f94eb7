use std::time::SystemTime;

use crate::{Attributes, Bytes, Challenge, Name};

/// What is known about the device that a challenge is wanted for. Whoever asks was authenticated by
/// the host and may issue for this profile; what it says about the device may be little.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hint {
    /// The profile that the device will ask at.
    pub profile: String,
    /// Who asks: the identity that the host authenticated.
    pub requester: String,
    /// The names the device will ask for, as far as the requester says.
    pub names: Vec<Name>,
    /// The device, as far as the requester says.
    pub device_id: Option<String>,
    /// The media type of `body`, where the question came over HTTP.
    pub media_type: Option<String>,
    /// What came with the question, 64 KiB at most.
    pub body: Bytes,
    /// What the host knows beside.
    pub attributes: Attributes,
}

/// A challenge for a device that will come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedChallenge {
    /// What the device shall send as challengePassword. At most 255 bytes of printable ASCII.
    pub text: Challenge,
    /// When it ends to be accepted.
    pub expires: SystemTime,
    /// Open-ended facts for the host.
    pub attributes: Attributes,
}

impl IssuedChallenge {
    /// A challenge that the device management keeps, to be handed on.
    pub fn new(text: impl Into<String>, expires: SystemTime) -> Self {
        Self { text: Challenge::new(text), expires, attributes: Attributes::new() }
    }
}

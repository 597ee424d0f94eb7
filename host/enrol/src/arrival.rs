//! What comes in and what goes out: the two ends of the way.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use countersign_profile::RevocationList;
use countersign_scep::FailInfo;

use crate::profile::Profile;

/// A pkiMessage as a device sent it.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The profile that the URL names.
    pub profile: Arc<Profile>,
    /// What followed it in the URL, decoded.
    pub path_suffix: String,
    /// Where it came from.
    pub source: Source,
    /// The message; the listener has bounded its size.
    pub message: Vec<u8>,
}

/// Where a message came from, as far as the listener knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The address of the peer.
    Address(IpAddr),
    /// A Unix socket, with a reverse proxy behind it.
    Unix,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

/// What the listener gives the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A signed CertRep, HTTP 200.
    CertRep(Vec<u8>),
    /// Bytes that cannot become a CertRep, HTTP 400.
    NotAMessage,
    /// HTTP 503 with Retry-After.
    Busy {
        /// Seconds.
        retry_after: u32,
    },
}

/// How a request ends for now, before it is put into a CertRep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Conclusion {
    /// The certificate is the device's.
    Success {
        certificate: Vec<u8>,
    },
    /// The CA's revocation list.
    List {
        list: Arc<RevocationList>,
    },
    Pending,
    /// Refused. A text only after approval: before, the device is told no reason.
    Failure {
        fail_info: FailInfo,
        text: Option<&'static str>,
        /// For log and metrics.
        code: String,
    },
    /// Nothing was decided.
    Busy {
        retry_after: u32,
        reason: String,
    },
}

impl Conclusion {
    /// The one refusal of zone B: whatever admit or a verifier has against the request.
    pub(crate) fn refused(code: impl Into<String>) -> Self {
        Self::Failure { fail_info: FailInfo::BadRequest, text: None, code: code.into() }
    }

    /// A refusal after approval, where the device may know.
    pub(crate) fn refused_after_approval(code: impl Into<String>, text: &'static str) -> Self {
        Self::Failure { fail_info: FailInfo::BadRequest, text: Some(text), code: code.into() }
    }

    pub(crate) fn busy(retry_after: u32, reason: impl fmt::Display) -> Self {
        Self::Busy { retry_after, reason: reason.to_string() }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Success { .. } | Self::List { .. } => "success",
            Self::Pending => "pending",
            Self::Failure { .. } => "failure",
            Self::Busy { .. } => "busy",
        }
    }
}

//! Why a certificate is revoked, in the words of RFC 5280 §5.3.1.

use std::str::FromStr;

/// A reason that both AD CS and the lab CA put into their lists. Hold and remove-from-CRL are
/// not among them: an order is never taken back at the CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// None is given.
    Unspecified,
    /// The private key is, or may be, in other hands.
    KeyCompromise,
    /// The names no longer hold.
    AffiliationChanged,
    /// Another certificate has taken its place.
    Superseded,
    /// The device is gone: wiped, retired, lost to its management.
    CessationOfOperation,
}

impl Reason {
    const ALL: [Self; 5] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
    ];

    /// The stable word: in the database, in orders, on the command line.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "key-compromise",
            Self::AffiliationChanged => "affiliation-changed",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessation-of-operation",
        }
    }
}

impl FromStr for Reason {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            format!("`{}` is no reason; expected one of {known}", word.escape_debug())
        })
    }
}

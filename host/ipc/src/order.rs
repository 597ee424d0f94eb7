//! Revocation orders on their way from `verify`, which places them, through `sign`, which puts them
//! into the ledger and signs them.

use serde::{Deserialize, Serialize};

use crate::approval::EnrolmentId;
use crate::bytes_as_text::Bytes;

/// An order that shall be signed. `sign` believes none of it: it signs only for certificates that
/// its own signatures led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OrderToSign {
    /// Authority name in the config.
    pub authority: String,
    /// Serial number, lower-case hexadecimal.
    pub serial: String,
    /// SHA-256 of the certificate's DER.
    pub certificate_sha256: Bytes,
    /// Profile it was issued under.
    pub profile: String,
    /// Enrolment that led to it.
    pub enrolment: EnrolmentId,
    /// Attempt of it.
    pub attempt: u32,
    /// Why, in the words of RFC 5280 §5.3.1: `cessation-of-operation`.
    pub reason: String,
    /// Who placed it: `check`, `event`, `tombstone`, `admin`.
    pub source: String,
    /// The rest of that, for the ledger.
    pub detail: String,
}

/// An order that is in the ledger, with its signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SignedOrder {
    /// `sign` counts orders from 1.
    pub number: u64,
    /// The octets that are signed; `host/sign/src/order/document.rs` says what they are.
    pub document: Bytes,
    /// ECDSA with SHA-256 on P-256, as 64 octets r‖s.
    pub signature: Bytes,
}

/// How an order ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderEnd {
    /// The CA has revoked the certificate.
    CarriedOut,
    /// The CA knows no such certificate, or had revoked it before.
    NothingToDo,
    /// Not done, and not tried again.
    Failed,
}

impl OrderEnd {
    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CarriedOut => "carried-out",
            Self::NothingToDo => "nothing-to-do",
            Self::Failed => "failed",
        }
    }
}

/// The end of an order, for the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EndedOrder {
    /// Its number.
    pub number: u64,
    /// How it ended.
    pub end: OrderEnd,
    /// Which revoker said so.
    pub revoker: String,
    /// In its words; bounded and escaped by the ledger.
    pub detail: String,
}

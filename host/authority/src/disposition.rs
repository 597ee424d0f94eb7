//! What an authority decided.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The CA's decision on a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// A certificate was issued. It is not yet checked against the approval.
    Issued {
        /// The end-entity certificate, DER.
        certificate_der: Vec<u8>,
        /// The CA's number for the request, where it gave one.
        request_id: Option<RequestId>,
    },
    /// The CA keeps the request under submission (a certificate manager has to approve it).
    Pending {
        /// The number to poll with.
        request_id: RequestId,
        /// The CA's own words (in its language), for the admin; may be empty.
        message: String,
    },
}

/// The CA's number for a request: a number by type, so that no other text can travel in its place
/// (AD CS numbers its requests with a 32-bit counter).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub u32);

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for RequestId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

//! What a renewal leans on: the message that the current certificate signed, and what opens it.
//! `verify` gets both and validates them itself.

use std::fmt;

use countersign_profile::Certificate;
use zeroize::Zeroizing;

use crate::open::sha256;

/// A received renewal, whole.
#[derive(Clone, PartialEq, Eq)]
pub struct Renewal {
    /// SHA-256 of the certificate that signed it.
    certificate_sha256: [u8; 32],
    /// The content key of its envelope: at most 32 octets.
    content_key: Zeroizing<Vec<u8>>,
    /// The pkiMessage as received.
    message: Vec<u8>,
}

impl Renewal {
    pub(crate) fn new(current: &Certificate, content_key: &[u8], message: &[u8]) -> Self {
        Self {
            certificate_sha256: sha256(current.der()),
            content_key: Zeroizing::new(content_key.to_vec()),
            message: message.to_vec(),
        }
    }

    /// SHA-256 of the certificate that signed it.
    #[must_use]
    pub fn certificate_sha256(&self) -> [u8; 32] {
        self.certificate_sha256
    }

    pub(crate) fn content_key(&self) -> &[u8] {
        &self.content_key
    }

    pub(crate) fn message(&self) -> &[u8] {
        &self.message
    }

    /// The form of an encrypted column: hash, length of the key, key, message.
    pub(crate) fn to_column(&self) -> Zeroizing<Vec<u8>> {
        let length = u8::try_from(self.content_key.len()).unwrap_or(u8::MAX);
        Zeroizing::new(
            [&self.certificate_sha256[..], &[length], &self.content_key, &self.message].concat(),
        )
    }

    /// Reads that form.
    pub(crate) fn from_column(octets: &[u8]) -> Option<Self> {
        let (certificate_sha256, rest) = octets.split_first_chunk()?;
        let (&length, rest) = rest.split_first()?;
        let (content_key, message) = rest.split_at_checked(usize::from(length))?;
        Some(Self {
            certificate_sha256: *certificate_sha256,
            content_key: Zeroizing::new(content_key.to_vec()),
            message: message.to_vec(),
        })
    }
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal")
            .field("certificate_sha256", &hex::encode(self.certificate_sha256))
            .finish_non_exhaustive()
    }
}

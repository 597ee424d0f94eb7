//! Transaction IDs and nonces: what ties an answer to its request (RFC 8894 §3.2.1.1, §3.2.1.5).

use std::fmt;

use crate::tlv::{self, Element};

/// A transaction ID: opaque bytes that the client chose, with the string type they came in.
///
/// Seen in the wild: hex digests, decimal counters, base64 with `/` and `=`, 76 digits. Never put
/// the raw bytes into a path, a log or a page: [`Display`](fmt::Display) escapes them.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransactionId {
    tag: u8,
    bytes: Vec<u8>,
}

impl TransactionId {
    /// The most bytes that a transaction ID may have.
    pub const LONGEST: usize = 255;

    /// A transaction ID of our own as PrintableString; `None` if it is empty, too long or not of
    /// that alphabet.
    pub fn new(text: &str) -> Option<TransactionId> {
        let printable = |byte: u8| byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&byte);
        if text.is_empty() || text.len() > Self::LONGEST || !text.bytes().all(printable) {
            return None;
        }
        Some(TransactionId { tag: tlv::PRINTABLE_STRING, bytes: text.as_bytes().to_vec() })
    }

    /// The recommended form: the hash of the public key, so that a retry repeats it
    /// (RFC 8894 §3.2.1.1).
    pub fn of_public_key(spki_der: &[u8]) -> TransactionId {
        let digest = countersign_profile::DigestAlgorithm::Sha256.digest(spki_der);
        TransactionId { tag: tlv::PRINTABLE_STRING, bytes: hex::encode(digest).into_bytes() }
    }

    /// The bytes as they came.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The universal tag they came with (0x13 for PrintableString): the answer repeats it.
    pub fn tag(&self) -> u8 {
        self.tag
    }

    pub(crate) fn read(value: &Element<'_>) -> Option<TransactionId> {
        let text = matches!(
            value.tag,
            tlv::PRINTABLE_STRING | tlv::UTF8_STRING | tlv::IA5_STRING | tlv::OCTET_STRING | 0x14
        );
        if !text || value.content.is_empty() || value.content.len() > Self::LONGEST {
            return None;
        }
        Some(TransactionId { tag: value.tag, bytes: value.content.to_vec() })
    }

    pub(crate) fn to_der(&self) -> Vec<u8> {
        tlv::element(self.tag, &[&self.bytes])
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.bytes.escape_ascii())
    }
}

impl fmt::Debug for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransactionId({self})")
    }
}

/// A nonce of 8 to 64 bytes: RFC 8894 says 16, older Cisco sends 8.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Nonce(Vec<u8>);

impl Nonce {
    /// A fresh nonce of 16 bytes.
    pub fn random() -> Result<Nonce, RandomError> {
        let mut bytes = vec![0; 16];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| RandomError)?;
        Ok(Nonce(bytes))
    }

    /// A nonce with these bytes; `None` if it has fewer than 8 or more than 64.
    pub fn new(bytes: &[u8]) -> Option<Nonce> {
        (8..=64).contains(&bytes.len()).then(|| Nonce(bytes.to_vec()))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn read(value: &Element<'_>) -> Option<Nonce> {
        if value.tag == tlv::OCTET_STRING { Nonce::new(value.content) } else { None }
    }

    pub(crate) fn to_der(&self) -> Vec<u8> {
        tlv::element(tlv::OCTET_STRING, &[&self.0])
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nonce({})", hex::encode(&self.0))
    }
}

/// The system's random numbers failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gave no random numbers; nothing can be signed or encrypted without them")]
pub struct RandomError;

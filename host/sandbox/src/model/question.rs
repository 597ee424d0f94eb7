//! What a plug-in is asked about.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Attributes, Name, RelativeDistinguishedName};

/// Text that no log, no `Debug` and no error shows, wiped when dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text over.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The kind of a public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyAlgorithm {
    /// RSA.
    Rsa,
    /// NIST P-256.
    EcP256,
    /// NIST P-384.
    EcP384,
    /// NIST P-521.
    EcP521,
    /// Ed25519.
    Ed25519,
    /// Something newer than the contract.
    Other(String),
}

/// A public key, described.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKey {
    /// Its kind.
    pub algorithm: KeyAlgorithm,
    /// Modulus bits for RSA, field bits for elliptic curves.
    pub bits: u32,
    /// SHA-256 of the DER SubjectPublicKeyInfo.
    pub spki_sha256: [u8; 32],
}

/// Why the device asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestKind {
    /// A first certificate.
    Initial,
    /// The device showed that it holds its current certificate.
    Renewal,
}

/// A certificate, parsed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The certificate itself.
    pub der: Vec<u8>,
    /// SHA-256 of `der`.
    pub sha256: [u8; 32],
    /// Lower-case hex without leading zeros.
    pub serial_number: String,
    /// RFC 4514 text.
    pub issuer: String,
    /// RDNs in the order of the certificate.
    pub subject: Vec<RelativeDistinguishedName>,
    /// Subject alternative names.
    pub subject_alternative_names: Vec<Name>,
    /// Seconds since 1970.
    pub not_before: u64,
    /// Seconds since 1970.
    pub not_after: u64,
    /// Dotted object identifiers.
    pub extended_key_usages: Vec<String>,
    /// Its key.
    pub key: PublicKey,
    /// Open-ended.
    pub attributes: Attributes,
}

/// The certificate that a renewal leans on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrentCertificate {
    /// The certificate.
    pub certificate: Certificate,
    /// Whether the host checked signature, chain, currency and revocation.
    pub host_validated: bool,
}

/// A device's statement about itself, unchecked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// What it is.
    pub format: String,
    /// The statement.
    pub evidence: Vec<u8>,
    /// Open-ended.
    pub attributes: Attributes,
}

/// What the device asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// First certificate or renewal.
    pub kind: RequestKind,
    /// The profile that was asked at.
    pub profile: String,
    /// What followed the profile in the path.
    pub path_suffix: String,
    /// SCEP's transaction ID.
    pub transaction_id: String,
    /// From 1.
    pub attempt: u32,
    /// PKCS#10 as received, DER.
    pub csr: Vec<u8>,
    /// SHA-256 of `csr`.
    pub csr_sha256: [u8; 32],
    /// RDNs in the order of the request.
    pub subject: Vec<RelativeDistinguishedName>,
    /// Subject alternative names asked for.
    pub subject_alternative_names: Vec<Name>,
    /// The key.
    pub key: PublicKey,
    /// Dotted object identifiers.
    pub extended_key_usages: Vec<String>,
    /// The challengePassword.
    pub challenge: Option<Secret>,
    /// For renewals.
    pub current_certificate: Option<CurrentCertificate>,
    /// If the device sent one.
    pub attestation: Option<Attestation>,
    /// The device's address.
    pub source_address: Option<String>,
    /// Open-ended.
    pub attributes: Attributes,
}

/// How an enrolment ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Issued and checked.
    Issued(Box<Certificate>),
    /// No certificate; why.
    Failed(String),
    /// Issued otherwise than approved, withheld; what differed.
    Withheld(String),
}

/// What `outcomes.notify` tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The request that was approved.
    pub request: Request,
    /// How it ended.
    pub ending: Ending,
    /// The plug-in's own, from its approval.
    pub memo: Vec<u8>,
    /// The same for each delivery of this outcome.
    pub idempotency_key: String,
    /// Open-ended.
    pub attributes: Attributes,
}

use std::time::SystemTime;

use crate::{Attributes, Bytes, Name, RelativeDistinguishedName};

/// A certificate, parsed, so that no plug-in needs an ASN.1 parser.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Certificate {
    /// The certificate itself, DER.
    pub der: Bytes,
    /// SHA-256 of `der`: 32 bytes.
    pub sha256: Vec<u8>,
    /// Lower-case hex without leading zeros.
    pub serial_number: String,
    /// The issuer in the text form of RFC 4514.
    pub issuer: String,
    /// The subject's RDNs in the order of the certificate.
    pub subject: Vec<RelativeDistinguishedName>,
    /// The subject alternative names.
    pub subject_alternative_names: Vec<Name>,
    /// Start of validity.
    pub not_before: SystemTime,
    /// End of validity.
    pub not_after: SystemTime,
    /// Object identifiers of the extended key usages.
    pub extended_key_usages: Vec<String>,
    /// Its key.
    pub key: PublicKey,
    /// What the host knows beside.
    pub attributes: Attributes,
}

/// A public key as the host saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PublicKey {
    /// Its kind.
    pub algorithm: KeyAlgorithm,
    /// Modulus bits for RSA, field bits for elliptic curves.
    pub bits: u32,
    /// SHA-256 of the DER SubjectPublicKeyInfo: 32 bytes.
    pub spki_sha256: Vec<u8>,
}

/// The kind of a public key.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// One that this version of the contract does not name.
    Other(String),
}

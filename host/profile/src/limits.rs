//! What a profile allows, whoever vouches for it: keys, purposes, names, extensions, validity.

mod admit;
mod duration;
mod problems;

use serde::{Deserialize, Serialize};

pub use self::{
    admit::Boundary,
    duration::{Duration, DurationError},
    problems::LimitsProblem,
};
use crate::{
    extension::{ExtendedKeyUsage, KeyUsageBit},
    name::Name,
    oid::{Oid, known},
    san::SanKind,
    subject::AttributeType,
};

/// The hard limits of a profile: neither a verifier nor the network-facing process can widen them.
///
/// The default is the narrowest that serves an ordinary device: RSA 2048 to 4096 bits or a NIST
/// curve, clientAuth, a subject of the usual attributes, no subject alternative names, 398 days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Limits {
    /// Kinds and sizes of device keys.
    pub keys: KeyLimits,
    /// Extended key usages that a certificate may have; a request may ask for no other.
    pub ekus: Vec<ExtendedKeyUsage>,
    /// Key usages that a certificate may have; a request may ask for no other.
    pub key_usage: Vec<KeyUsageBit>,
    /// What the subject may be made of.
    pub subject: SubjectLimits,
    /// Subject alternative names.
    pub sans: SanLimits,
    /// The template at the CA that this profile stands for. A request that names another is refused;
    /// one that names any is refused when this is not set.
    pub template: TemplateReference,
    /// Extensions that a request may ask for beside the usual ones.
    pub extensions: Vec<Oid>,
    /// Attributes that a request may carry beside the usual ones.
    pub attributes: Vec<Oid>,
    /// Extensions that an issued certificate may have beside the usual ones of AD CS. The SID
    /// extension 1.3.6.1.4.1.311.25.2 must stand here if the CA adds it.
    pub issued_extensions: Vec<Oid>,
    /// The longest validity of a certificate, from its start to its end.
    pub max_validity: Duration,
}

/// Kinds and sizes of device keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct KeyLimits {
    /// Accepted kinds.
    pub kinds: Vec<KeyKind>,
    /// Smallest RSA modulus in bits; never below 2048.
    pub rsa_min_bits: u32,
    /// Largest RSA modulus in bits; never above 8192.
    pub rsa_max_bits: u32,
    /// Smallest public exponent of RSA; 3 is never accepted.
    pub rsa_min_exponent: u32,
}

/// A kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum KeyKind {
    /// RSA, within the limits of bits and exponent.
    #[serde(rename = "rsa")]
    Rsa,
    /// ECDSA on P-256.
    #[serde(rename = "p-256")]
    P256,
    /// ECDSA on P-384.
    #[serde(rename = "p-384")]
    P384,
    /// ECDSA on P-521.
    #[serde(rename = "p-521")]
    P521,
    /// Ed25519.
    #[serde(rename = "ed25519")]
    Ed25519,
}

/// What the subject of a certificate may be made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SubjectLimits {
    /// Attribute types that may occur: short names or object identifiers.
    pub allowed: Vec<AttributeType>,
    /// Attribute types that must occur.
    pub required: Vec<AttributeType>,
    /// Most attributes in a subject.
    pub max_attributes: usize,
    /// Accept RDNs of several attributes.
    pub multi_valued: bool,
    /// Attributes that the CA adds, or that every device may ask for unvouched: `O=Example`.
    pub fixed: Vec<Name>,
}

/// Which subject alternative names may occur. Each must also be vouched for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SanLimits {
    /// Kinds that may occur; none by default.
    pub allowed: Vec<SanKind>,
    /// Kinds that must occur.
    pub required: Vec<SanKind>,
    /// Most names in a certificate.
    pub max_names: usize,
    /// Accept the URI in which Intune puts a SID (`tag:microsoft.com,2022-09-14:sid:S-1-5-…`).
    /// Domain controllers take it for a strong mapping: whoever holds it logs on as that account.
    pub sid_uri: bool,
}

/// A certificate template of AD CS.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TemplateReference {
    /// Its name (not its display name).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its object identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oid: Option<Oid>,
}

/// Why a request is not admitted, or its names not approved.
///
/// Codes of [`Limits::admit`]: `own-key`, `key-kind`, `key-size`, `rsa-exponent`, `weak-key`, `eku`,
/// `key-usage`, `ca-true`, `no-names`, `multi-valued-rdn`, `subject-size`, `subject-attribute`,
/// `subject-required`, `san-count`, `san-kind`, `wildcard-name`, `sid-uri`, `san-required`,
/// `name-constraint`, `sid-extension`, `application-policies`, `template`, `extension`,
/// `name-value-pair`, `attribute`. Of [`approve_names`](crate::approve_names): `no-names`,
/// `name-not-vouched-for`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Refusal {
    /// What kind of refusal: stable, kebab-case.
    pub code: &'static str,
    /// What was expected and what came, for the ledger and the admin.
    pub detail: String,
}

impl Refusal {
    pub(crate) fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            keys: KeyLimits::default(),
            ekus: vec![known::CLIENT_AUTH.into()],
            key_usage: vec![KeyUsageBit::DigitalSignature, KeyUsageBit::KeyEncipherment],
            subject: SubjectLimits::default(),
            sans: SanLimits::default(),
            template: TemplateReference::default(),
            extensions: Vec::new(),
            attributes: Vec::new(),
            issued_extensions: Vec::new(),
            max_validity: Duration::from_days(398),
        }
    }
}

impl Default for KeyLimits {
    fn default() -> Self {
        Self {
            kinds: vec![KeyKind::Rsa, KeyKind::P256, KeyKind::P384, KeyKind::P521],
            rsa_min_bits: 2048,
            rsa_max_bits: 4096,
            rsa_min_exponent: 65_537,
        }
    }
}

impl Default for SubjectLimits {
    fn default() -> Self {
        Self {
            allowed: ["CN", "serialNumber", "C", "ST", "L", "O", "OU", "DC"]
                .into_iter()
                .filter_map(|name| name.parse().ok())
                .collect(),
            required: Vec::new(),
            max_attributes: 16,
            multi_valued: false,
            fixed: Vec::new(),
        }
    }
}

impl Default for SanLimits {
    fn default() -> Self {
        Self { allowed: Vec::new(), required: Vec::new(), max_names: 16, sid_uri: false }
    }
}

#[cfg(test)]
mod tests;

//! Public halves: what a certificate and its key must have in common.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use const_oid::ObjectIdentifier;
use der::Decode;
use spki::SubjectPublicKeyInfoRef;

use crate::algorithm::SignatureAlgorithm;

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SECP256R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// Kinds of key a role may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// RSA with a modulus of so many bits.
    Rsa {
        /// Length of the modulus.
        bits: usize,
    },
    /// NIST P-256.
    EcP256,
    /// NIST P-384.
    EcP384,
}

impl std::fmt::Display for KeyKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rsa { bits } => write!(f, "RSA-{bits}"),
            Self::EcP256 => f.write_str("P-256"),
            Self::EcP384 => f.write_str("P-384"),
        }
    }
}

/// A public key as its SubjectPublicKeyInfo.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PublicKey {
    spki_der: Vec<u8>,
    kind: KeyKind,
    modulus: Option<Vec<u8>>,
}

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// Not DER, or neither RSA of 2048 to 4096 bits nor P-256 nor P-384.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, PublicKeyError> {
        let spki = SubjectPublicKeyInfoRef::from_der(der).map_err(PublicKeyError::Malformed)?;
        let (kind, modulus) = match spki.algorithm.oid {
            RSA_ENCRYPTION => {
                let modulus = rsa_modulus(&spki)?;
                let bits = bit_length(&modulus);
                if !(2048..=4096).contains(&bits) {
                    return Err(PublicKeyError::Unsupported(format!("RSA-{bits}")));
                }
                (KeyKind::Rsa { bits }, Some(modulus))
            }
            EC_PUBLIC_KEY => {
                let curve = spki
                    .algorithm
                    .parameters_oid()
                    .map_err(|_| PublicKeyError::Unsupported("EC without a named curve".into()))?;
                match curve {
                    SECP256R1 => (KeyKind::EcP256, None),
                    SECP384R1 => (KeyKind::EcP384, None),
                    other => return Err(PublicKeyError::Unsupported(format!("EC curve {other}"))),
                }
            }
            other => return Err(PublicKeyError::Unsupported(format!("algorithm {other}"))),
        };
        Ok(Self { spki_der: der.to_vec(), kind, modulus })
    }

    /// DER SubjectPublicKeyInfo, as received.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    /// SHA-256 of the SubjectPublicKeyInfo.
    pub fn spki_sha256(&self) -> [u8; 32] {
        let mut out = [0u8; 32];
        for (to, from) in out.iter_mut().zip(digest(&SHA256, &self.spki_der).as_ref()) {
            *to = *from;
        }
        out
    }

    /// What kind of key it is.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The RSA modulus, big-endian without leading zeros.
    pub fn rsa_modulus(&self) -> Option<&[u8]> {
        self.modulus.as_deref()
    }

    /// Whether both are the same key. RSA keys are compared by modulus, so that a second
    /// exponent on one modulus does not pass as a second key; other keys by the whole value.
    pub fn is_same_key(&self, other: &Self) -> bool {
        match (&self.modulus, &other.modulus) {
            (Some(one), Some(two)) => one == two,
            (None, None) => self.spki_der == other.spki_der,
            _ => false,
        }
    }

    /// Verifies a signature over `message`.
    ///
    /// # Errors
    /// The algorithm is not for this kind of key, or the signature is bad.
    pub fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), VerifyError> {
        let verifier: &'static dyn VerificationAlgorithm = match (algorithm, self.kind) {
            (SignatureAlgorithm::RsaPkcs1Sha256, KeyKind::Rsa { .. }) => {
                &signature::RSA_PKCS1_2048_8192_SHA256
            }
            (SignatureAlgorithm::RsaPkcs1Sha384, KeyKind::Rsa { .. }) => {
                &signature::RSA_PKCS1_2048_8192_SHA384
            }
            (SignatureAlgorithm::RsaPkcs1Sha512, KeyKind::Rsa { .. }) => {
                &signature::RSA_PKCS1_2048_8192_SHA512
            }
            (SignatureAlgorithm::EcdsaP256Sha256, KeyKind::EcP256) => {
                &signature::ECDSA_P256_SHA256_ASN1
            }
            (SignatureAlgorithm::EcdsaP384Sha384, KeyKind::EcP384) => {
                &signature::ECDSA_P384_SHA384_ASN1
            }
            _ => {
                return Err(VerifyError::WrongAlgorithm { algorithm, kind: self.kind });
            }
        };
        UnparsedPublicKey::new(verifier, &self.spki_der)
            .verify(message, signature)
            .map_err(|_| VerifyError::BadSignature)
    }
}

/// Why bytes are not a public key a role may use.
#[derive(Debug, thiserror::Error)]
pub enum PublicKeyError {
    /// Not a DER SubjectPublicKeyInfo.
    #[error("not a DER SubjectPublicKeyInfo: {0}")]
    Malformed(der::Error),
    /// A key, but not one of those supported.
    #[error("a public key of {0}; expected RSA of 2048 to 4096 bits, P-256 or P-384")]
    Unsupported(String),
}

/// Why a signature does not verify.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The algorithm is not for this kind of key.
    #[error("{algorithm} does not go with a key of {kind}")]
    WrongAlgorithm {
        /// Algorithm asked for.
        algorithm: SignatureAlgorithm,
        /// Kind of the key.
        kind: KeyKind,
    },
    /// The signature does not verify.
    #[error("the signature does not verify")]
    BadSignature,
}

fn rsa_modulus(spki: &SubjectPublicKeyInfoRef<'_>) -> Result<Vec<u8>, PublicKeyError> {
    #[derive(der::Sequence)]
    struct RsaPublicKey<'a> {
        modulus: der::asn1::UintRef<'a>,
        exponent: der::asn1::UintRef<'a>,
    }
    let bytes = spki
        .subject_public_key
        .as_bytes()
        .ok_or_else(|| PublicKeyError::Unsupported("RSA in a bit string with odd bits".into()))?;
    let key = RsaPublicKey::from_der(bytes).map_err(PublicKeyError::Malformed)?;
    let exponent = key.exponent.as_bytes();
    // e odd and above 3, at most 2^32: RFC 8017 §3.1 and threat T12 (verification cost).
    let odd = exponent.last().is_some_and(|byte| byte & 1 == 1);
    if !odd || exponent.len() > 4 || (exponent.len() == 1 && exponent <= [3].as_slice()) {
        return Err(PublicKeyError::Unsupported("RSA with an unusual exponent".into()));
    }
    Ok(key.modulus.as_bytes().to_vec())
}

fn bit_length(modulus: &[u8]) -> usize {
    modulus.first().map_or(0, |first| modulus.len() * 8 - first.leading_zeros() as usize)
}

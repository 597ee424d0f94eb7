//! Public keys: read from SubjectPublicKeyInfo, sane in themselves; limits decide on acceptance.

use std::fmt;

use aws_lc_rs::digest;

use crate::{
    der::{DerError, Reader, only, tag},
    oid::{Oid, known},
    signature::{LegacyDigests, SignatureError, SignatureScheme},
};

/// A public key with the bytes it came in.
///
/// Parsing refuses what no honest key is (an even modulus, an exponent that is even, 1 or beyond 32
/// bits, explicit curve parameters, points that are not uncompressed). Sizes and small exponents are
/// left to [`Limits`](crate::Limits): certificates of old CAs must stay readable.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    spki: Vec<u8>,
    key_bits: Vec<u8>,
    algorithm: KeyAlgorithm,
    rsa_exponent: Option<u32>,
    sha256: [u8; 32],
}

/// Algorithm and size of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyAlgorithm {
    /// RSA with a modulus of this many bits.
    Rsa {
        /// Significant bits of the modulus.
        bits: u32,
    },
    /// ECDSA on P-256.
    EcP256,
    /// ECDSA on P-384.
    EcP384,
    /// ECDSA on P-521.
    EcP521,
    /// Ed25519.
    Ed25519,
}

/// Why bytes are no key that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a SubjectPublicKeyInfo.
    #[error("public key is not well-formed: {0}")]
    Der(#[from] DerError),
    /// An algorithm other than RSA, ECDSA on a named NIST curve and Ed25519.
    #[error(
        "public key algorithm {0} is not supported; RSA, ECDSA (P-256, P-384, P-521) and Ed25519 are"
    )]
    Algorithm(Oid),
    /// An elliptic curve that is not P-256, P-384 or P-521, or is not given by name.
    #[error("elliptic curve is not named, or none of P-256, P-384 and P-521")]
    Curve,
    /// A point that is compressed, or of a length that is not its curve's.
    #[error("elliptic curve point is not an uncompressed point of its curve")]
    Point,
    /// A modulus no RSA key has.
    #[error("RSA modulus is {0}")]
    Modulus(&'static str),
    /// An exponent no RSA key should have.
    #[error("RSA exponent is {0}; it must be odd, at least 3 and below 2^32")]
    Exponent(&'static str),
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa { bits } => write!(f, "RSA-{bits}"),
            Self::EcP256 => f.write_str("P-256"),
            Self::EcP384 => f.write_str("P-384"),
            Self::EcP521 => f.write_str("P-521"),
            Self::Ed25519 => f.write_str("Ed25519"),
        }
    }
}

impl KeyAlgorithm {
    /// Size in bits, as people name it: modulus, or curve.
    #[must_use]
    pub fn bits(self) -> u32 {
        match self {
            Self::Rsa { bits } => bits,
            Self::EcP256 | Self::Ed25519 => 256,
            Self::EcP384 => 384,
            Self::EcP521 => 521,
        }
    }

    /// Family: `RSA`, `EC` or `Ed25519`.
    #[must_use]
    pub fn family(self) -> &'static str {
        match self {
            Self::Rsa { .. } => "RSA",
            Self::EcP256 | Self::EcP384 | Self::EcP521 => "EC",
            Self::Ed25519 => "Ed25519",
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, sha256 {})", self.algorithm, hex::encode(self.sha256))
    }
}

/// No key is larger (RSA-16384 with its frame takes 2 090 octets).
const MAX_SPKI: usize = 4096;
/// The largest modulus read; the largest verified with is 8192 bits.
const MAX_MODULUS_BITS: u32 = 16_384;

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        if der.len() > MAX_SPKI {
            return Err(DerError::TooMany { what: "octets in a key", limit: MAX_SPKI }.into());
        }
        let mut reader = only(der)?.expect(tag::SEQUENCE)?.reader();
        let mut identifier = reader.sequence()?;
        let key_bits = reader.bit_string_octets()?;
        reader.finish()?;
        let oid = Oid::from_tlv(identifier.any()?)?;
        let mut rsa_exponent = None;
        let algorithm = if oid == known::RSA_ENCRYPTION {
            // NULL by RFC 3279 §2.3.1; some leave it out.
            if identifier.optional(tag::NULL)?.is_some_and(|null| !null.value.is_empty()) {
                return Err(DerError::Value("NULL").into());
            }
            let (bits, exponent) = rsa(key_bits)?;
            rsa_exponent = Some(exponent);
            KeyAlgorithm::Rsa { bits }
        } else if oid == known::EC_PUBLIC_KEY {
            let curve = identifier.any()?;
            let curve = Oid::from_tlv(curve).map_err(|_| KeyError::Curve)?;
            point(&curve, key_bits)?
        } else if oid == known::ED25519 {
            if key_bits.len() != 32 {
                return Err(KeyError::Point);
            }
            KeyAlgorithm::Ed25519
        } else {
            return Err(KeyError::Algorithm(oid));
        };
        identifier.finish()?;
        Ok(Self {
            spki: der.to_vec(),
            key_bits: key_bits.to_vec(),
            algorithm,
            rsa_exponent,
            sha256: sha256(der),
        })
    }

    /// Algorithm and size.
    #[must_use]
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// The public exponent of an RSA key.
    #[must_use]
    pub fn rsa_exponent(&self) -> Option<u32> {
        self.rsa_exponent
    }

    /// The modulus of an RSA key: big-endian octets without leading zeros. Two keys with one modulus
    /// are one key, whatever else differs.
    #[must_use]
    pub fn rsa_modulus(&self) -> Option<&[u8]> {
        self.rsa_exponent?;
        let mut reader = only(&self.key_bits).ok()?.reader();
        positive(&mut reader).ok()
    }

    /// The SubjectPublicKeyInfo as received.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// The contents of the BIT STRING: RSAPublicKey, point, or Ed25519 key.
    #[must_use]
    pub fn key_bits(&self) -> &[u8] {
        &self.key_bits
    }

    /// SHA-256 of the SubjectPublicKeyInfo as received.
    #[must_use]
    pub fn spki_sha256(&self) -> [u8; 32] {
        self.sha256
    }

    /// Verifies a signature over `message` (not over its digest).
    ///
    /// # Errors
    /// [`SignatureError::Invalid`] for a wrong signature, others for a scheme that does not fit the
    /// key or is refused.
    pub fn verify(
        &self,
        scheme: SignatureScheme,
        legacy: LegacyDigests,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        scheme.verify(self, legacy, message, signature)
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// Size and exponent of an RSAPublicKey (RFC 8017 §A.1.1).
fn rsa(key: &[u8]) -> Result<(u32, u32), KeyError> {
    let mut reader = only(key)?.expect(tag::SEQUENCE)?.reader();
    let modulus = positive(&mut reader)?;
    let exponent = positive(&mut reader)?;
    reader.finish()?;
    let &[first, ..] = modulus else {
        return Err(KeyError::Modulus("zero"));
    };
    if modulus.last().is_none_or(|last| last & 1 == 0) {
        return Err(KeyError::Modulus("even"));
    }
    let bits = u32::try_from(modulus.len() * 8).unwrap_or(u32::MAX) - first.leading_zeros();
    if bits > MAX_MODULUS_BITS {
        return Err(KeyError::Modulus("larger than 16384 bits"));
    }
    if exponent.len() > 4 {
        return Err(KeyError::Exponent("too large"));
    }
    let exponent = exponent.iter().fold(0_u32, |sum, &octet| sum << 8 | u32::from(octet));
    match exponent {
        0..3 => Err(KeyError::Exponent("too small")),
        even if even % 2 == 0 => Err(KeyError::Exponent("even")),
        odd => Ok((bits, odd)),
    }
}

/// The octets of a positive INTEGER without leading zeros; empty for zero.
fn positive<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DerError> {
    match reader.expect(tag::INTEGER)?.value {
        [] | [0x80..=0xff, ..] => Err(DerError::Value("a positive INTEGER")),
        octets => {
            let zeros = octets.iter().take_while(|&&octet| octet == 0).count();
            Ok(octets.get(zeros..).unwrap_or_default())
        }
    }
}

fn point(curve: &Oid, key: &[u8]) -> Result<KeyAlgorithm, KeyError> {
    let (algorithm, length) = if *curve == known::P256 {
        (KeyAlgorithm::EcP256, 65)
    } else if *curve == known::P384 {
        (KeyAlgorithm::EcP384, 97)
    } else if *curve == known::P521 {
        (KeyAlgorithm::EcP521, 133)
    } else {
        return Err(KeyError::Curve);
    };
    if key.first() == Some(&4) && key.len() == length {
        Ok(algorithm)
    } else {
        Err(KeyError::Point)
    }
}

#[cfg(test)]
mod tests;

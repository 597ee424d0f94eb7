//! Signature schemes: named by certificates in one way and by CMS in another, verified in one place.

use aws_lc_rs::{digest, signature as lc};

use crate::{
    der::{DerError, Reader, only, tag},
    key::{KeyAlgorithm, PublicKey},
    oid::{Oid, known},
};

/// How a signature was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureScheme {
    /// RSASSA-PKCS1-v1_5.
    RsaPkcs1(DigestAlgorithm),
    /// RSASSA-PSS with MGF1 of the same digest and a salt as long as it.
    RsaPss(DigestAlgorithm),
    /// ECDSA, signature in DER.
    Ecdsa(DigestAlgorithm),
    /// Ed25519.
    Ed25519,
}

/// A digest. MD5 is not among them, so nothing can accept it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DigestAlgorithm {
    /// SHA-1, for what old devices send, never for what we make.
    Sha1,
    /// SHA-256
    Sha256,
    /// SHA-384
    Sha384,
    /// SHA-512
    Sha512,
}

/// Whether broken digests are accepted: the caller answers from a named legacy switch of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LegacyDigests {
    /// SHA-256 and up only.
    #[default]
    Refused,
    /// SHA-1 too.
    Sha1,
}

/// Why a signature was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not an AlgorithmIdentifier.
    #[error("signature algorithm is not well-formed: {0}")]
    Der(#[from] DerError),
    /// A signature or digest algorithm that is not accepted at all (MD5 and SHA-224 are among them).
    #[error("signature or digest algorithm {0} is not accepted")]
    Algorithm(Oid),
    /// PSS parameters other than MGF1 with the same digest and a salt of its length.
    #[error("PSS parameters are not MGF1 with the same digest and a salt as long as the digest")]
    PssParameters,
    /// The digest that CMS names is not the one in the signature algorithm.
    #[error("digest algorithm and signature algorithm name different digests")]
    DigestMismatch,
    /// SHA-1 without the legacy switch.
    #[error("SHA-1 signatures are refused unless the profile's legacy switch allows them")]
    LegacyDigest,
    /// A scheme that is not for this kind or size of key.
    #[error("signature scheme does not fit a {0} key")]
    KeyMismatch(KeyAlgorithm),
    /// The signature is wrong.
    #[error("signature is not valid")]
    Invalid,
}

impl DigestAlgorithm {
    /// Reads a DER AlgorithmIdentifier of a digest.
    ///
    /// # Errors
    /// Malformed, or none of SHA-1, SHA-256, SHA-384 and SHA-512.
    pub fn from_algorithm_identifier(der: &[u8]) -> Result<Self, SignatureError> {
        let (oid, parameters) = algorithm_identifier(der)?;
        absent_or_null(parameters)?;
        Self::from_oid(oid)
    }

    fn from_oid(oid: Oid) -> Result<Self, SignatureError> {
        [
            (known::SHA1, Self::Sha1),
            (known::SHA256, Self::Sha256),
            (known::SHA384, Self::Sha384),
            (known::SHA512, Self::Sha512),
        ]
        .into_iter()
        .find_map(|(known, digest)| (oid == known).then_some(digest))
        .ok_or(SignatureError::Algorithm(oid))
    }

    /// The digest of `message`.
    #[must_use]
    pub fn digest(self, message: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, message).as_ref().to_vec()
    }

    /// Octets of its output.
    #[must_use]
    pub fn output_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

impl SignatureScheme {
    /// Reads the AlgorithmIdentifier of a certificate, request or CRL, which names the digest in the
    /// signature algorithm (`sha256WithRSAEncryption`).
    ///
    /// # Errors
    /// Malformed, not accepted, or PSS with other than the usual parameters.
    pub fn from_algorithm_identifier(der: &[u8]) -> Result<Self, SignatureError> {
        use DigestAlgorithm::{Sha1, Sha256, Sha384, Sha512};
        let (oid, parameters) = algorithm_identifier(der)?;
        if oid == known::RSASSA_PSS {
            return pss(parameters).map(Self::RsaPss);
        }
        let scheme = [
            (known::SHA1_WITH_RSA, Self::RsaPkcs1(Sha1)),
            (known::SHA256_WITH_RSA, Self::RsaPkcs1(Sha256)),
            (known::SHA384_WITH_RSA, Self::RsaPkcs1(Sha384)),
            (known::SHA512_WITH_RSA, Self::RsaPkcs1(Sha512)),
            (known::ECDSA_SHA1, Self::Ecdsa(Sha1)),
            (known::ECDSA_SHA256, Self::Ecdsa(Sha256)),
            (known::ECDSA_SHA384, Self::Ecdsa(Sha384)),
            (known::ECDSA_SHA512, Self::Ecdsa(Sha512)),
            (known::ED25519, Self::Ed25519),
        ]
        .into_iter()
        .find_map(|(known, scheme)| (oid == known).then_some(scheme))
        .ok_or(SignatureError::Algorithm(oid))?;
        absent_or_null(parameters)?;
        Ok(scheme)
    }

    /// Reads the two AlgorithmIdentifiers of a CMS SignerInfo. RFC 8894 clients write either
    /// `rsaEncryption` (the digest stands in digestAlgorithm alone) or the long form.
    ///
    /// # Errors
    /// As [`Self::from_algorithm_identifier`], and when the two name different digests.
    pub fn from_signer_info(
        signature_algorithm: &[u8],
        digest_algorithm: &[u8],
    ) -> Result<Self, SignatureError> {
        let digest = DigestAlgorithm::from_algorithm_identifier(digest_algorithm)?;
        let (oid, parameters) = algorithm_identifier(signature_algorithm)?;
        if oid == known::RSA_ENCRYPTION {
            absent_or_null(parameters)?;
            return Ok(Self::RsaPkcs1(digest));
        }
        if oid == known::EC_PUBLIC_KEY {
            return Ok(Self::Ecdsa(digest));
        }
        let scheme = Self::from_algorithm_identifier(signature_algorithm)?;
        match scheme.digest() {
            Some(named) if named != digest => Err(SignatureError::DigestMismatch),
            // RFC 8419 §3.1: Ed25519 goes with SHA-512.
            None if digest != DigestAlgorithm::Sha512 => Err(SignatureError::DigestMismatch),
            _ => Ok(scheme),
        }
    }

    /// The digest of the message, where the scheme has one of its own choice.
    #[must_use]
    pub fn digest(self) -> Option<DigestAlgorithm> {
        match self {
            Self::RsaPkcs1(digest) | Self::RsaPss(digest) | Self::Ecdsa(digest) => Some(digest),
            Self::Ed25519 => None,
        }
    }

    pub(crate) fn verify(
        self,
        key: &PublicKey,
        legacy: LegacyDigests,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        if self.digest() == Some(DigestAlgorithm::Sha1) && legacy == LegacyDigests::Refused {
            return Err(SignatureError::LegacyDigest);
        }
        let algorithm = self
            .implementation(key.algorithm())
            .ok_or(SignatureError::KeyMismatch(key.algorithm()))?;
        lc::UnparsedPublicKey::new(algorithm, key.key_bits())
            .verify(message, signature)
            .map_err(|_| SignatureError::Invalid)
    }

    fn implementation(self, key: KeyAlgorithm) -> Option<&'static dyn lc::VerificationAlgorithm> {
        use DigestAlgorithm::{Sha1, Sha256, Sha384, Sha512};
        use KeyAlgorithm::{EcP256, EcP384, EcP521, Ed25519, Rsa};
        Some(match (self, key) {
            // Keys below 2048 bits can be verified with, so that a refusal can name their size;
            // limits never admit them.
            (Self::RsaPkcs1(Sha1), Rsa { .. }) => &lc::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
            (Self::RsaPkcs1(Sha256), Rsa { bits: ..2048 }) => {
                &lc::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY
            }
            (Self::RsaPkcs1(Sha512), Rsa { bits: ..2048 }) => {
                &lc::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY
            }
            (Self::RsaPkcs1(Sha256), Rsa { .. }) => &lc::RSA_PKCS1_2048_8192_SHA256,
            (Self::RsaPkcs1(Sha384), Rsa { .. }) => &lc::RSA_PKCS1_2048_8192_SHA384,
            (Self::RsaPkcs1(Sha512), Rsa { .. }) => &lc::RSA_PKCS1_2048_8192_SHA512,
            (Self::RsaPss(Sha256), Rsa { .. }) => &lc::RSA_PSS_2048_8192_SHA256,
            (Self::RsaPss(Sha384), Rsa { .. }) => &lc::RSA_PSS_2048_8192_SHA384,
            (Self::RsaPss(Sha512), Rsa { .. }) => &lc::RSA_PSS_2048_8192_SHA512,
            (Self::Ecdsa(Sha1), EcP256) => &lc::ECDSA_P256_SHA1_ASN1,
            (Self::Ecdsa(Sha256), EcP256) => &lc::ECDSA_P256_SHA256_ASN1,
            (Self::Ecdsa(Sha384), EcP256) => &lc::ECDSA_P256_SHA384_ASN1,
            (Self::Ecdsa(Sha512), EcP256) => &lc::ECDSA_P256_SHA512_ASN1,
            (Self::Ecdsa(Sha256), EcP384) => &lc::ECDSA_P384_SHA256_ASN1,
            (Self::Ecdsa(Sha384), EcP384) => &lc::ECDSA_P384_SHA384_ASN1,
            (Self::Ecdsa(Sha512), EcP384) => &lc::ECDSA_P384_SHA512_ASN1,
            (Self::Ecdsa(Sha1), EcP521) => &lc::ECDSA_P521_SHA1_ASN1,
            (Self::Ecdsa(Sha256), EcP521) => &lc::ECDSA_P521_SHA256_ASN1,
            (Self::Ecdsa(Sha384), EcP521) => &lc::ECDSA_P521_SHA384_ASN1,
            (Self::Ecdsa(Sha512), EcP521) => &lc::ECDSA_P521_SHA512_ASN1,
            (Self::Ed25519, Ed25519) => &lc::ED25519,
            _ => return None,
        })
    }
}

/// Identifier and the encoding of its parameters.
fn algorithm_identifier(der: &[u8]) -> Result<(Oid, Option<&[u8]>), DerError> {
    let mut reader = only(der)?.expect(tag::SEQUENCE)?.reader();
    let oid = Oid::from_tlv(reader.any()?)?;
    let parameters = if reader.is_empty() { None } else { Some(reader.any()?.raw) };
    reader.finish()?;
    Ok((oid, parameters))
}

fn absent_or_null(parameters: Option<&[u8]>) -> Result<(), SignatureError> {
    match parameters {
        None | Some([tag::NULL, 0]) => Ok(()),
        Some(_) => Err(DerError::Value("algorithm parameters that should be NULL").into()),
    }
}

/// RSASSA-PSS-params (RFC 4055 §3.1). The defaults there are SHA-1, so all fields must be present.
fn pss(parameters: Option<&[u8]>) -> Result<DigestAlgorithm, SignatureError> {
    const ERROR: SignatureError = SignatureError::PssParameters;
    let mut reader = only(parameters.ok_or(ERROR)?)?.expect(tag::SEQUENCE)?.reader();
    let hash = reader.expect(tag::context_constructed(0)).map_err(|_| ERROR)?.value;
    let digest = DigestAlgorithm::from_algorithm_identifier(hash)?;
    let mask = reader.expect(tag::context_constructed(1)).map_err(|_| ERROR)?.value;
    let (mask, mask_digest) = algorithm_identifier(mask)?;
    let mask_digest = DigestAlgorithm::from_algorithm_identifier(mask_digest.ok_or(ERROR)?)?;
    let salt = reader.expect(tag::context_constructed(2)).map_err(|_| ERROR)?;
    let salt = only(salt.value)?.expect(tag::INTEGER)?.value;
    trailer_field(reader)?;
    let salt_fits = matches!(salt, [octet] if usize::from(*octet) == digest.output_len());
    if mask == known::MGF1 && mask_digest == digest && salt_fits { Ok(digest) } else { Err(ERROR) }
}

/// `trailerField [3]` may be written out with its only value.
fn trailer_field(mut reader: Reader<'_>) -> Result<(), SignatureError> {
    if let Some(field) = reader.optional(tag::context_constructed(3))?
        && only(field.value)?.expect(tag::INTEGER)?.value != [1]
    {
        return Err(SignatureError::PssParameters);
    }
    Ok(reader.finish()?)
}

#[cfg(test)]
mod tests;

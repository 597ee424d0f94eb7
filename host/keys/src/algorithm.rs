//! Algorithms and how each place of a message names them.

use std::fmt;

use crate::public_key::KeyKind;

/// Digests used for signatures. SHA-1 and MD5 are never signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DigestAlgorithm {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl DigestAlgorithm {
    /// DER of the AlgorithmIdentifier for `SignerInfo.digestAlgorithm`; parameters absent
    /// (RFC 5754 §2).
    pub fn identifier_der(self) -> &'static [u8] {
        match self {
            Self::Sha256 => {
                &[0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01]
            }
            Self::Sha384 => {
                &[0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02]
            }
            Self::Sha512 => {
                &[0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03]
            }
        }
    }

    /// The digest of `message`.
    pub fn digest(self, message: &[u8]) -> Vec<u8> {
        use aws_lc_rs::digest::{SHA256, SHA384, SHA512, digest};
        let algorithm = match self {
            Self::Sha256 => &SHA256,
            Self::Sha384 => &SHA384,
            Self::Sha512 => &SHA512,
        };
        digest(algorithm, message).as_ref().to_vec()
    }
}

/// Signature algorithms a token is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// RSA PKCS#1 v1.5 over SHA-256.
    RsaPkcs1Sha256,
    /// RSA PKCS#1 v1.5 over SHA-384.
    RsaPkcs1Sha384,
    /// RSA PKCS#1 v1.5 over SHA-512.
    RsaPkcs1Sha512,
    /// ECDSA on P-256 over SHA-256, signature as DER (`Ecdsa-Sig-Value`).
    EcdsaP256Sha256,
    /// ECDSA on P-384 over SHA-384, signature as DER.
    EcdsaP384Sha384,
}

impl SignatureAlgorithm {
    /// What a key of this kind signs with where nobody asks for more.
    pub fn preferred_for(kind: KeyKind) -> Self {
        match kind {
            KeyKind::Rsa { .. } => Self::RsaPkcs1Sha256,
            KeyKind::EcP256 => Self::EcdsaP256Sha256,
            KeyKind::EcP384 => Self::EcdsaP384Sha384,
        }
    }

    /// What a key of this kind signs with over this digest, if it can.
    pub fn for_key_and_digest(kind: KeyKind, digest: DigestAlgorithm) -> Option<Self> {
        match (kind, digest) {
            (KeyKind::Rsa { .. }, DigestAlgorithm::Sha256) => Some(Self::RsaPkcs1Sha256),
            (KeyKind::Rsa { .. }, DigestAlgorithm::Sha384) => Some(Self::RsaPkcs1Sha384),
            (KeyKind::Rsa { .. }, DigestAlgorithm::Sha512) => Some(Self::RsaPkcs1Sha512),
            (KeyKind::EcP256, DigestAlgorithm::Sha256) => Some(Self::EcdsaP256Sha256),
            (KeyKind::EcP384, DigestAlgorithm::Sha384) => Some(Self::EcdsaP384Sha384),
            (KeyKind::EcP256 | KeyKind::EcP384, _) => None,
        }
    }

    /// The digest inside.
    pub fn digest(self) -> DigestAlgorithm {
        match self {
            Self::RsaPkcs1Sha256 | Self::EcdsaP256Sha256 => DigestAlgorithm::Sha256,
            Self::RsaPkcs1Sha384 | Self::EcdsaP384Sha384 => DigestAlgorithm::Sha384,
            Self::RsaPkcs1Sha512 => DigestAlgorithm::Sha512,
        }
    }

    /// DER of the AlgorithmIdentifier for `SignerInfo.signatureAlgorithm`: plain
    /// `rsaEncryption` with NULL for RSA, which every SCEP client understands (RFC 3370 §3.2),
    /// `ecdsa-with-SHA*` without parameters for ECDSA (RFC 5754 §3.3).
    pub fn cms_identifier_der(self) -> &'static [u8] {
        match self {
            Self::RsaPkcs1Sha256 | Self::RsaPkcs1Sha384 | Self::RsaPkcs1Sha512 => &[
                0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05,
                0x00,
            ],
            Self::EcdsaP256Sha256 | Self::EcdsaP384Sha384 => self.certificate_identifier_der(),
        }
    }

    /// DER of the AlgorithmIdentifier for certificates, CSRs and CRLs (RFC 4055 §5, RFC 5758
    /// §3.2).
    pub fn certificate_identifier_der(self) -> &'static [u8] {
        match self {
            Self::RsaPkcs1Sha256 => &[
                0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05,
                0x00,
            ],
            Self::RsaPkcs1Sha384 => &[
                0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c, 0x05,
                0x00,
            ],
            Self::RsaPkcs1Sha512 => &[
                0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d, 0x05,
                0x00,
            ],
            Self::EcdsaP256Sha256 => {
                &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]
            }
            Self::EcdsaP384Sha384 => {
                &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03]
            }
        }
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RsaPkcs1Sha256 => "RSA PKCS#1 v1.5 with SHA-256",
            Self::RsaPkcs1Sha384 => "RSA PKCS#1 v1.5 with SHA-384",
            Self::RsaPkcs1Sha512 => "RSA PKCS#1 v1.5 with SHA-512",
            Self::EcdsaP256Sha256 => "ECDSA P-256 with SHA-256",
            Self::EcdsaP384Sha384 => "ECDSA P-384 with SHA-384",
        })
    }
}

/// How a content key was wrapped for the CEP key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyTransport {
    /// RSAES-PKCS1-v1_5, what nearly every SCEP client sends.
    Pkcs1v15,
    /// RSAES-OAEP with SHA-1 and MGF1-SHA-1 (the defaults of RFC 8017).
    OaepSha1,
    /// RSAES-OAEP with SHA-256 and MGF1-SHA-256.
    OaepSha256,
}

#[cfg(test)]
mod tests {
    use der::Decode;
    use spki::AlgorithmIdentifierRef;

    use super::*;

    fn oid(der: &[u8]) -> (String, bool) {
        let parsed = AlgorithmIdentifierRef::from_der(der).unwrap();
        (parsed.oid.to_string(), parsed.parameters.is_some())
    }

    #[test]
    fn a_signer_info_names_rsa_plainly_and_a_certificate_with_its_digest() {
        let rsa = SignatureAlgorithm::RsaPkcs1Sha256;
        assert_eq!(oid(rsa.cms_identifier_der()), ("1.2.840.113549.1.1.1".into(), true));
        assert_eq!(oid(rsa.certificate_identifier_der()), ("1.2.840.113549.1.1.11".into(), true));
        assert_eq!(
            oid(SignatureAlgorithm::RsaPkcs1Sha384.certificate_identifier_der()).0,
            "1.2.840.113549.1.1.12"
        );
        assert_eq!(
            oid(SignatureAlgorithm::RsaPkcs1Sha512.certificate_identifier_der()).0,
            "1.2.840.113549.1.1.13"
        );
    }

    #[test]
    fn ecdsa_is_named_with_its_digest_and_without_parameters_everywhere() {
        for (algorithm, expected) in [
            (SignatureAlgorithm::EcdsaP256Sha256, "1.2.840.10045.4.3.2"),
            (SignatureAlgorithm::EcdsaP384Sha384, "1.2.840.10045.4.3.3"),
        ] {
            assert_eq!(oid(algorithm.cms_identifier_der()), (expected.into(), false));
            assert_eq!(oid(algorithm.certificate_identifier_der()), (expected.into(), false));
        }
    }

    #[test]
    fn digests_are_named_without_parameters() {
        for (digest, expected, length) in [
            (DigestAlgorithm::Sha256, "2.16.840.1.101.3.4.2.1", 32),
            (DigestAlgorithm::Sha384, "2.16.840.1.101.3.4.2.2", 48),
            (DigestAlgorithm::Sha512, "2.16.840.1.101.3.4.2.3", 64),
        ] {
            assert_eq!(oid(digest.identifier_der()), (expected.into(), false));
            assert_eq!(digest.digest(b"x").len(), length);
        }
    }
}

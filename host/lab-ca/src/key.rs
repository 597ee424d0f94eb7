//! The CA's key: made, kept in a PKCS#8 file, used to sign.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::encoding::{Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use der::Decode;
use der::asn1::Any;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::LabCaError;

/// What kind of key the CA signs with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// RSA with 2048 bits: what most AD CS installations have.
    #[default]
    #[serde(rename = "rsa-2048")]
    Rsa2048,
    /// RSA with 3072 bits.
    #[serde(rename = "rsa-3072")]
    Rsa3072,
    /// ECDSA on P-256.
    #[serde(rename = "p-256")]
    P256,
}

/// A key pair that signs with SHA-256.
pub(crate) enum CaKey {
    Rsa(rsa::KeyPair),
    P256(EcdsaKeyPair),
}

/// `sha256WithRSAEncryption`, NULL.
const RSA_SHA256: &[u8] =
    &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00];
/// `ecdsa-with-SHA256`, no parameters (RFC 5758 §3.2).
const ECDSA_SHA256: &[u8] =
    &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

impl CaKey {
    pub(crate) fn generate(algorithm: Algorithm) -> Result<Self, LabCaError> {
        const FAILED: LabCaError = LabCaError::Cryptography("no key could be made");
        let rsa = |size| rsa::KeyPair::generate(size).map(Self::Rsa).map_err(|_| FAILED);
        match algorithm {
            Algorithm::Rsa2048 => rsa(KeySize::Rsa2048),
            Algorithm::Rsa3072 => rsa(KeySize::Rsa3072),
            Algorithm::P256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
                .map(Self::P256)
                .map_err(|_| FAILED),
        }
    }

    pub(crate) fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, LabCaError> {
        if let Ok(key) = rsa::KeyPair::from_pkcs8(pkcs8) {
            return Ok(Self::Rsa(key));
        }
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8)
            .map(Self::P256)
            .map_err(|_| LabCaError::Cryptography("not an RSA or P-256 key in PKCS#8"))
    }

    pub(crate) fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, LabCaError> {
        const FAILED: LabCaError = LabCaError::Cryptography("the key could not be written");
        match self {
            Self::Rsa(key) => AsDer::<Pkcs8V1Der<'_>>::as_der(key)
                .map(|der| Zeroizing::new(der.as_ref().to_vec()))
                .map_err(|_| FAILED),
            Self::P256(key) => key
                .to_pkcs8v1()
                .map(|der| Zeroizing::new(der.as_ref().to_vec()))
                .map_err(|_| FAILED),
        }
    }

    /// SubjectPublicKeyInfo.
    pub(crate) fn spki(&self) -> Result<Vec<u8>, LabCaError> {
        const FAILED: LabCaError = LabCaError::Cryptography("the public key could not be written");
        let der: PublicKeyX509Der<'_> = match self {
            Self::Rsa(key) => key.public_key().as_der().map_err(|_| FAILED)?,
            Self::P256(key) => key.public_key().as_der().map_err(|_| FAILED)?,
        };
        Ok(der.as_ref().to_vec())
    }

    /// The AlgorithmIdentifier that [`Self::sign`] makes signatures of, as certificates name it.
    pub(crate) fn signature_algorithm(&self) -> Result<Any, LabCaError> {
        Ok(Any::from_der(match self {
            Self::Rsa(_) => RSA_SHA256,
            Self::P256(_) => ECDSA_SHA256,
        })?)
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, LabCaError> {
        const FAILED: LabCaError = LabCaError::Cryptography("signing failed");
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(|_| FAILED)?;
                Ok(signature)
            }
            Self::P256(key) => key
                .sign(&random, message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| FAILED),
        }
    }
}

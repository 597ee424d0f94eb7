//! The key that signs revocation orders and nothing else. Never EA, never the checkpoint key.

use std::fmt;

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

use crate::digest::sha256;

/// The private key.
pub(crate) struct OrderKey {
    pair: EcdsaKeyPair,
    /// SubjectPublicKeyInfo, DER.
    public: Vec<u8>,
}

/// Why there is no order key, or no signature of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OrderKeyError {
    /// Not a key of the kind.
    #[error(
        "expected a P-256 private key (PKCS#8, PEM or DER), as `countersign keys init` makes it"
    )]
    Kind,
    /// It is another role's key.
    #[error("it is also the key of {0}; name a file of its own and run `countersign keys init`")]
    Shared(&'static str),
    /// The cryptographic library refused. Never seen.
    #[error("the cryptographic library refused")]
    Sign,
}

impl OrderKey {
    pub(crate) fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, OrderKeyError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)
            .map_err(|_| OrderKeyError::Kind)?;
        let spki: PublicKeyX509Der<'_> =
            pair.public_key().as_der().map_err(|_| OrderKeyError::Kind)?;
        let public = spki.as_ref().to_vec();
        Ok(Self { pair, public })
    }

    /// 64 octets r‖s.
    pub(crate) fn sign(&self, document: &[u8]) -> Result<Vec<u8>, OrderKeyError> {
        self.pair
            .sign(&SystemRandom::new(), document)
            .map(|signature| signature.as_ref().to_vec())
            .map_err(|_| OrderKeyError::Sign)
    }

    pub(crate) fn public_sha256(&self) -> [u8; 32] {
        sha256(&self.public)
    }

    /// The public half, to be pinned by revokers.
    pub(crate) fn public_pem(&self) -> String {
        // Writing PEM of a few octets does not fail.
        der::pem::encode_string("PUBLIC KEY", der::pem::LineEnding::LF, &self.public)
            .unwrap_or_default()
    }
}

impl fmt::Debug for OrderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OrderKey({})", hex::encode(self.public_sha256()))
    }
}

//! An RSA key in software, as a device has one: signs requests, opens answers.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{
    KeyPair, OaepPrivateDecryptingKey, Pkcs1PrivateDecryptingKey, PrivateDecryptingKey,
};
use aws_lc_rs::signature::{
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaEncoding,
};
use countersign_profile::DigestAlgorithm;
use zeroize::Zeroizing;

use crate::algorithm::{KeyTransport, identifier};
use crate::envelope::Addressed;
use crate::oid;
use crate::seal;
use crate::tlv;

/// Sizes that a key can be made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySize {
    /// 2048 bits.
    Rsa2048,
    /// 3072 bits.
    Rsa3072,
    /// 4096 bits.
    Rsa4096,
}

/// A device's private RSA key.
pub struct DeviceKey {
    signing: KeyPair,
    opening: PrivateDecryptingKey,
    pkcs8: Zeroizing<Vec<u8>>,
    spki: Vec<u8>,
}

/// Why a key cannot do what was asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceKeyError {
    /// Not an RSA key in PKCS#8.
    #[error("not an RSA private key of 2048 to 8192 bits in PKCS#8 DER")]
    NotAKey,
    /// Key generation or signing failed.
    #[error("the cryptographic library refused the operation")]
    Failed,
    /// SHA-1 signatures are not made.
    #[error("SHA-1 signatures are read from old peers but not made")]
    Sha1,
}

impl DeviceKey {
    /// A new key.
    pub fn generate(size: KeySize) -> Result<DeviceKey, DeviceKeyError> {
        let size = match size {
            KeySize::Rsa2048 => aws_lc_rs::rsa::KeySize::Rsa2048,
            KeySize::Rsa3072 => aws_lc_rs::rsa::KeySize::Rsa3072,
            KeySize::Rsa4096 => aws_lc_rs::rsa::KeySize::Rsa4096,
        };
        let pair = KeyPair::generate(size).map_err(|_| DeviceKeyError::Failed)?;
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| DeviceKeyError::Failed)?;
        Self::from_pkcs8(pkcs8.as_ref())
    }

    /// A key in PKCS#8 DER.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<DeviceKey, DeviceKeyError> {
        let signing = KeyPair::from_pkcs8(pkcs8).map_err(|_| DeviceKeyError::NotAKey)?;
        let opening =
            PrivateDecryptingKey::from_pkcs8(pkcs8).map_err(|_| DeviceKeyError::NotAKey)?;
        let key = tlv::element(tlv::BIT_STRING, &[&[0], signing.public_key().as_ref()]);
        let spki = tlv::sequence(&[&identifier(oid::RSA_ENCRYPTION, &tlv::null()), &key]);
        Ok(DeviceKey { signing, opening, pkcs8: Zeroizing::new(pkcs8.to_vec()), spki })
    }

    /// The key in PKCS#8 DER.
    pub fn to_pkcs8(&self) -> &Zeroizing<Vec<u8>> {
        &self.pkcs8
    }

    /// The public key as SubjectPublicKeyInfo.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// An RSASSA-PKCS1-v1_5 signature over the message.
    pub fn sign(&self, digest: DigestAlgorithm, message: &[u8]) -> Result<Vec<u8>, DeviceKeyError> {
        let encoding: &'static dyn RsaEncoding = match digest {
            DigestAlgorithm::Sha1 => return Err(DeviceKeyError::Sha1),
            DigestAlgorithm::Sha256 => &RSA_PKCS1_SHA256,
            DigestAlgorithm::Sha384 => &RSA_PKCS1_SHA384,
            DigestAlgorithm::Sha512 => &RSA_PKCS1_SHA512,
        };
        let mut signature = vec![0; self.signing.public_modulus_len()];
        self.signing
            .sign(encoding, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| DeviceKeyError::Failed)?;
        Ok(signature)
    }

    /// The content key of an envelope for this key.
    ///
    /// Tells wrong padding from right: for a client opening what it was sent, never for a server.
    pub fn unwrap(&self, addressed: &Addressed<'_>) -> Result<Zeroizing<Vec<u8>>, DeviceKeyError> {
        let mut content_key = Zeroizing::new(vec![0; self.opening.key_size_bytes()]);
        let key = self.opening.clone();
        let found = match addressed.transport {
            KeyTransport::Pkcs1v15 => Pkcs1PrivateDecryptingKey::new(key).and_then(|key| {
                key.decrypt(addressed.encrypted_key, &mut content_key).map(|bytes| bytes.len())
            }),
            KeyTransport::Oaep { digest } => OaepPrivateDecryptingKey::new(key).and_then(|key| {
                key.decrypt(seal::oaep(digest), addressed.encrypted_key, &mut content_key, None)
                    .map(|bytes| bytes.len())
            }),
        };
        content_key.truncate(found.map_err(|_| DeviceKeyError::Failed)?);
        Ok(content_key)
    }
}

/// Shows the size and nothing of the key.
impl std::fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DeviceKey(RSA-{})", self.signing.public_modulus_len() * 8)
    }
}

//! The development token: private keys in files, for the lab.
//!
//! Its limits, stated: keys lie on disk and in memory; and the safe API of the cryptographic
//! library reports a bad PKCS#1 v1.5 padding as an error and not in constant time down to the
//! last instruction (the padding scan itself is constant time; the medians of good and bad
//! paddings differ by about a microsecond in 815). The outcome is masked here, as far as safe
//! code can. It is refused in production for the first reason alone.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey,
    Pkcs1PrivateDecryptingKey, PrivateDecryptingKey,
};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaKeyPair,
};
use zeroize::Zeroizing;

use crate::algorithm::{KeyTransport, SignatureAlgorithm};
use crate::error::{LoadError, TokenError};
use crate::finding::{Finding, Mode};
use crate::public_key::{KeyKind, PublicKey};
use crate::role::RoleKind;
use crate::secret_file::{self, Readers};
use crate::token::{Capacity, ContentKey, Deadline, KeyName, Token, TokenDescription};
use crate::unwrap::Substitute;

/// Private keys from PKCS#8 files of mode 0600. Only in the lab.
pub struct DevelopmentToken {
    keys: BTreeMap<KeyName, LoadedKey>,
    substitute: Substitute,
}

impl DevelopmentToken {
    /// Loads each key from its file.
    ///
    /// # Errors
    /// The mode is production (row 5); a file others can read; a file that is no PKCS#8 key of
    /// a supported kind; two keys of one name.
    pub fn open<'a>(
        mode: Mode,
        files: impl IntoIterator<Item = (KeyName, &'a Path)>,
    ) -> Result<Self, LoadError> {
        match mode {
            Mode::Lab => {}
            Mode::Production => return Err(LoadError::Production),
        }
        let substitute =
            Substitute::new().map_err(|_| LoadError::File(secret_file::SecretFileError::Random))?;
        let mut keys = BTreeMap::new();
        for (name, path) in files {
            let key = LoadedKey::read(path)?;
            if keys.insert(name.clone(), key).is_some() {
                return Err(LoadError::DuplicateName(name.as_str().to_owned()));
            }
        }
        Ok(Self { keys, substitute })
    }

    /// The names of its keys.
    pub fn key_names(&self) -> impl Iterator<Item = &KeyName> {
        self.keys.keys()
    }

    fn key(&self, name: &KeyName) -> Result<&LoadedKey, TokenError> {
        self.keys
            .get(name)
            .ok_or_else(|| TokenError::NoSuchKey { name: name.as_str().to_owned(), found: 0 })
    }
}

impl Token for DevelopmentToken {
    fn description(&self) -> TokenDescription {
        TokenDescription {
            label: "development".into(),
            hardware: false,
            serial: None,
            model: None,
            manufacturer: None,
        }
    }

    fn capacity(&self) -> Capacity {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        // Nothing can hang in memory, so signing need not be reserved for; it only goes first.
        Capacity { sessions: cores, reserved_for_signing: 0 }
    }

    fn public_key(&self, key: &KeyName) -> Result<PublicKey, TokenError> {
        Ok(self.key(key)?.public_key.clone())
    }

    fn sign(
        &self,
        key: &KeyName,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        deadline: Deadline,
    ) -> Result<Vec<u8>, TokenError> {
        deadline.check()?;
        let key = self.key(key)?;
        let signature = key.private_key.sign(algorithm, message)?;
        key.public_key.verify(algorithm, message, &signature).map_err(|_| TokenError::Faulty)?;
        Ok(signature)
    }

    fn rsa_unwrap(
        &self,
        key: &KeyName,
        transport: KeyTransport,
        ciphertext: &[u8],
        wanted_length: usize,
        deadline: Deadline,
    ) -> Result<ContentKey, TokenError> {
        deadline.check()?;
        let PrivateKey::Rsa { pkcs1, oaep, .. } = &self.key(key)?.private_key else {
            return Err(TokenError::Refused(format!("`{key}` is not an RSA key")));
        };
        let room = pkcs1.min_output_size();
        self.substitute.select(ciphertext, wanted_length, room, |found| {
            let plaintext = match transport {
                KeyTransport::Pkcs1v15 => pkcs1.decrypt(ciphertext, found),
                KeyTransport::OaepSha1 => {
                    oaep.decrypt(&OAEP_SHA1_MGF1SHA1, ciphertext, found, None)
                }
                KeyTransport::OaepSha256 => {
                    oaep.decrypt(&OAEP_SHA256_MGF1SHA256, ciphertext, found, None)
                }
            };
            plaintext.ok().map(|plaintext| plaintext.len())
        })
    }

    fn health(&self, deadline: Deadline) -> Result<(), TokenError> {
        deadline.check()
    }

    /// A file has no attributes; that it is one is the finding `lab-mode`.
    fn examine(
        &self,
        key: &KeyName,
        _: RoleKind,
        deadline: Deadline,
    ) -> Result<Vec<Finding>, TokenError> {
        deadline.check()?;
        self.key(key).map(|_| Vec::new())
    }

    fn holds(&self, key: &PublicKey, deadline: Deadline) -> Result<bool, TokenError> {
        deadline.check()?;
        Ok(self.keys.values().any(|held| held.public_key.is_same_key(key)))
    }
}

impl fmt::Debug for DevelopmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevelopmentToken").field("keys", &self.keys.keys()).finish()
    }
}

struct LoadedKey {
    public_key: PublicKey,
    private_key: PrivateKey,
}

enum PrivateKey {
    Rsa {
        signing: Box<RsaKeyPair>,
        pkcs1: Pkcs1PrivateDecryptingKey,
        oaep: OaepPrivateDecryptingKey,
    },
    EcP256(EcdsaKeyPair),
    EcP384(EcdsaKeyPair),
}

impl LoadedKey {
    fn read(path: &Path) -> Result<Self, LoadError> {
        let bytes = secret_file::read(path, Readers::OwnerOnly)?;
        let wrong = |what: &str| LoadError::Key { path: path.to_owned(), what: what.to_owned() };
        let pkcs8 = pkcs8_der(&bytes).map_err(|what| wrong(&what))?;
        let (private_key, spki_der) =
            load(&pkcs8).ok_or_else(|| wrong("holds no key this token can use"))?;
        let public_key = PublicKey::from_spki_der(&spki_der)
            .map_err(|source| LoadError::PublicKey { path: path.to_owned(), source })?;
        Ok(Self { public_key, private_key })
    }
}

impl PrivateKey {
    fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        let random = SystemRandom::new();
        let failed = |_| TokenError::Refused("the signature failed".into());
        let rsa_padding = match algorithm {
            SignatureAlgorithm::RsaPkcs1Sha256 => Some(&RSA_PKCS1_SHA256),
            SignatureAlgorithm::RsaPkcs1Sha384 => Some(&RSA_PKCS1_SHA384),
            SignatureAlgorithm::RsaPkcs1Sha512 => Some(&RSA_PKCS1_SHA512),
            SignatureAlgorithm::EcdsaP256Sha256 | SignatureAlgorithm::EcdsaP384Sha384 => None,
        };
        match (self, rsa_padding, algorithm) {
            (Self::Rsa { signing, .. }, Some(padding), _) => {
                let mut signature = vec![0u8; signing.public_modulus_len()];
                signing.sign(padding, &random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
            (Self::EcP256(pair), None, SignatureAlgorithm::EcdsaP256Sha256)
            | (Self::EcP384(pair), None, SignatureAlgorithm::EcdsaP384Sha384) => {
                Ok(pair.sign(&random, message).map_err(failed)?.as_ref().to_vec())
            }
            _ => Err(TokenError::Refused(format!("{algorithm} does not go with this key"))),
        }
    }
}

/// PKCS#8 DER out of a file that is PEM or DER.
fn pkcs8_der(bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
    if bytes.first() == Some(&0x30) {
        return Ok(Zeroizing::new(bytes.to_vec()));
    }
    let trimmed = bytes.trim_ascii();
    let (label, der) = der::pem::decode_vec(trimmed)
        .map_err(|error| format!("is neither DER nor PEM ({error})"))?;
    let der = Zeroizing::new(der);
    match label {
        "PRIVATE KEY" => Ok(der),
        other => Err(format!("holds a PEM block `{other}`, not `PRIVATE KEY`")),
    }
}

fn load(pkcs8: &[u8]) -> Option<(PrivateKey, Vec<u8>)> {
    if let Ok(signing) = RsaKeyPair::from_pkcs8(pkcs8) {
        let spki = AsDer::<PublicKeyX509Der<'_>>::as_der(signing.public_key()).ok()?;
        let decrypting = || PrivateDecryptingKey::from_pkcs8(pkcs8).ok();
        let pkcs1 = Pkcs1PrivateDecryptingKey::new(decrypting()?).ok()?;
        let oaep = OaepPrivateDecryptingKey::new(decrypting()?).ok()?;
        let key = PrivateKey::Rsa { signing: Box::new(signing), pkcs1, oaep };
        return Some((key, spki.as_ref().to_vec()));
    }
    for kind in [KeyKind::EcP256, KeyKind::EcP384] {
        let algorithm = match kind {
            KeyKind::EcP256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
            _ => &ECDSA_P384_SHA384_ASN1_SIGNING,
        };
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8) {
            let spki = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).ok()?;
            let spki = spki.as_ref().to_vec();
            let key = match kind {
                KeyKind::EcP256 => PrivateKey::EcP256(pair),
                _ => PrivateKey::EcP384(pair),
            };
            return Some((key, spki));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{KeySpec, generate_key};
    use crate::token::Deadline;

    #[test]
    fn a_signature_that_does_not_verify_never_leaves_the_token() {
        let signing = generate_key(KeySpec::EcP256).unwrap();
        let another = generate_key(KeySpec::EcP256).unwrap();
        let (private_key, _) = load(signing.pkcs8_der()).unwrap();
        // As after a fault in the computation: the signature is not the public key's.
        let broken = LoadedKey { public_key: another.public_key().clone(), private_key };
        let name = KeyName::new("ea");
        let token = DevelopmentToken {
            keys: BTreeMap::from([(name.clone(), broken)]),
            substitute: Substitute::new().unwrap(),
        };
        let deadline = Deadline::after(std::time::Duration::from_secs(60));
        let signed = token.sign(&name, SignatureAlgorithm::EcdsaP256Sha256, b"m", deadline);
        assert_eq!(signed, Err(TokenError::Faulty));
    }
}

//! The key that signs checkpoints and nothing else: P-256, never EA or the order key.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
    ParsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::Digest;

const PRIVATE: &str = "PRIVATE KEY";
const PUBLIC: &str = "PUBLIC KEY";

/// No key file is larger than this.
const MAX_FILE: u64 = 16 * 1024;

/// The private key.
pub struct CheckpointKey {
    pair: EcdsaKeyPair,
    verifying: VerifyingKey,
}

/// The public key, for whoever verifies.
#[derive(Clone)]
pub struct VerifyingKey {
    spki: Vec<u8>,
    key: ParsedPublicKey,
}

/// Why a checkpoint key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file cannot be used.
    #[error("cannot use the checkpoint key {path}: {problem}; {remedy}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Not a key of the kind.
    #[error("expected {0}")]
    Kind(&'static str),
    /// The cryptographic library refused. Never seen.
    #[error("the cryptographic library refused")]
    Sign,
}

impl CheckpointKey {
    /// A new key, in memory only.
    ///
    /// # Errors
    /// [`KeyError::Sign`].
    pub fn generate() -> Result<Self, KeyError> {
        Self::from_pkcs8(&generate_pkcs8()?)
    }

    /// Makes a new key in a new file (PKCS#8 PEM, mode 0600), durable when this returns.
    ///
    /// # Errors
    /// [`KeyError::File`], also if the file exists: a key is never overwritten.
    pub fn create_file(path: &Path) -> Result<Self, KeyError> {
        let pkcs8 = generate_pkcs8()?;
        let key = Self::from_pkcs8(&pkcs8)?;
        let pem = to_pem(PRIVATE, &pkcs8);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .and_then(|mut file| file.write_all(pem.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => {
                    std::fs::File::open(parent)?.sync_all()
                }
                _ => Ok(()),
            })
            .map_err(|error| KeyError::File {
                path: path.into(),
                problem: error.to_string(),
                remedy: "give a new path in a directory of this process",
            })?;
        Ok(key)
    }

    /// Reads the key from a file that only its owner may read.
    ///
    /// # Errors
    /// [`KeyError::File`].
    pub fn from_file(path: &Path) -> Result<Self, KeyError> {
        let own = rustix::process::geteuid().as_raw();
        let pem = read_file(path, |metadata| {
            if metadata.uid() != own && metadata.uid() != 0 {
                Some(format!("it belongs to uid {}, this process is uid {own}", metadata.uid()))
            } else if metadata.mode() & 0o177 != 0 {
                Some(format!("expected mode 0600, found {:04o}", metadata.mode() & 0o7777))
            } else {
                None
            }
        })?;
        from_pem(PRIVATE, &pem)
            .ok_or(KeyError::Kind("a PKCS#8 private key in PEM"))
            .and_then(|pkcs8| Self::from_pkcs8(&pkcs8))
            .map_err(|error| in_file(path, &error))
    }

    /// A key from PKCS#8 DER.
    ///
    /// # Errors
    /// [`KeyError::Kind`].
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8)
            .map_err(|_| KeyError::Kind("a P-256 private key"))?;
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_| KeyError::Sign)?;
        let verifying = VerifyingKey::from_spki(spki.as_ref())?;
        Ok(Self { pair, verifying })
    }

    /// Its public half.
    #[must_use]
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.pair
            .sign(&SystemRandom::new(), message)
            .map(|signature| signature.as_ref().to_vec())
            .map_err(|_| KeyError::Sign)
    }
}

impl VerifyingKey {
    /// A P-256 key from its SubjectPublicKeyInfo, DER.
    ///
    /// # Errors
    /// [`KeyError::Kind`].
    pub fn from_spki(spki: &[u8]) -> Result<Self, KeyError> {
        let wrong = || KeyError::Kind("a P-256 public key (SubjectPublicKeyInfo)");
        let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, spki).map_err(|_| wrong())?;
        // aws-lc-rs also takes bare points; the key ID is of the whole structure.
        if spki.first() == Some(&0x30) {
            Ok(Self { spki: spki.to_vec(), key })
        } else {
            Err(wrong())
        }
    }

    /// A key from PEM text (`PUBLIC KEY`).
    ///
    /// # Errors
    /// [`KeyError::Kind`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let spki = from_pem(PUBLIC, pem).ok_or(KeyError::Kind("a public key in PEM"))?;
        Self::from_spki(&spki)
    }

    /// Reads a PEM file.
    ///
    /// # Errors
    /// [`KeyError::File`].
    pub fn from_file(path: &Path) -> Result<Self, KeyError> {
        let pem = read_file(path, |_| None)?;
        Self::from_pem(&pem).map_err(|error| in_file(path, &error))
    }

    /// PEM text, to be given to whoever verifies.
    #[must_use]
    pub fn to_pem(&self) -> String {
        to_pem(PUBLIC, &self.spki).to_string()
    }

    /// First four octets of the SHA-256 of the SubjectPublicKeyInfo, as in a note's signature.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let Digest([a, b, c, d, ..]) = Digest::of(&self.spki);
        [a, b, c, d]
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }
}

impl PartialEq for VerifyingKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki == other.spki
    }
}

impl Eq for VerifyingKey {}

impl std::fmt::Debug for CheckpointKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CheckpointKey({})", hex::encode(self.verifying.id()))
    }
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VerifyingKey({})", hex::encode(self.id()))
    }
}

fn generate_pkcs8() -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let document =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
            .map_err(|_| KeyError::Sign)?;
    Ok(Zeroizing::new(document.as_ref().to_vec()))
}

fn read_file(
    path: &Path,
    objection: impl FnOnce(&std::fs::Metadata) -> Option<String>,
) -> Result<Zeroizing<String>, KeyError> {
    let file_error = |problem: String| KeyError::File {
        path: path.into(),
        problem,
        remedy: "give the right file to the right user, mode 0600 for a private key",
    };
    let unreadable = |error: std::io::Error| file_error(error.to_string());
    let file = std::fs::File::open(path).map_err(unreadable)?;
    if let Some(problem) = objection(&file.metadata().map_err(unreadable)?) {
        return Err(file_error(problem));
    }
    let mut text = Zeroizing::new(String::with_capacity(4096));
    file.take(MAX_FILE).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

fn in_file(path: &Path, error: &KeyError) -> KeyError {
    KeyError::File {
        path: path.into(),
        problem: error.to_string(),
        remedy: "make a new key if this one is lost; keep the old public key to verify with",
    }
}

/// RFC 7468.
fn to_pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    let mut pem = Zeroizing::new(format!("-----BEGIN {label}-----\n"));
    for line in der.chunks(48) {
        pem.push_str(&Zeroizing::new(STANDARD.encode(line)));
        pem.push('\n');
    }
    pem.push_str("-----END ");
    pem.push_str(label);
    pem.push_str("-----\n");
    pem
}

fn from_pem(label: &str, pem: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (_, rest) = pem.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let body: Zeroizing<String> =
        Zeroizing::new(body.chars().filter(|c| !c.is_ascii_whitespace()).collect());
    STANDARD.decode(&*body).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{CheckpointKey, KeyError, VerifyingKey};

    #[test]
    fn a_key_file_is_made_once_and_read_by_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("checkpoint.key");
        let made = CheckpointKey::create_file(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = CheckpointKey::from_file(&path).unwrap();
        assert_eq!(made.verifying_key(), read.verifying_key());
        assert!(matches!(CheckpointKey::create_file(&path), Err(KeyError::File { .. })));

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = CheckpointKey::from_file(&path).unwrap_err().to_string();
        assert!(error.contains("expected mode 0600, found 0640"), "{error}");
    }

    #[test]
    fn the_public_key_travels_as_pem() {
        let key = CheckpointKey::generate().unwrap();
        let read = VerifyingKey::from_pem(&key.verifying_key().to_pem()).unwrap();
        assert_eq!(&read, key.verifying_key());
        assert!(read.verify(b"text", &key.sign(b"text").unwrap()));
        assert!(!read.verify(b"other", &key.sign(b"text").unwrap()));
        assert!(
            VerifyingKey::from_pem("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----")
                .is_err()
        );
    }
}

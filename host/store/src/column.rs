//! Encryption of single columns: a stored CSR or CMS holds a challenge inside.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, MAX_TAG_LEN, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand;
use thiserror::Error;
use zeroize::Zeroizing;

const KEY_LEN: usize = 32;
const VERSION: u8 = 1;

/// AES-256-GCM under a random nonce, bound to the place of the value: what was sealed for one row
/// opens in no other.
///
/// Sealed form: one octet version (1), 12 octets nonce, ciphertext, 16 octets tag. With random
/// nonces a key is good for 2^32 values (NIST SP 800-38D §8.3).
pub struct ColumnKey(RandomizedNonceKey);

/// Why a column key or a sealed value is not usable.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ColumnKeyError {
    /// The key file cannot be used.
    #[error("cannot use the column key {path}: {problem}; {remedy}", path = .path.display())]
    File {
        /// The key file.
        path: PathBuf,
        /// What was expected and found.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// Not 32 octets.
    #[error("a column key has exactly 32 octets, found {0}")]
    Length(usize),
    /// The value was altered, moved to another row or column, or sealed under another key.
    #[error(
        "the encrypted value in {table}.{column} does not open: altered, moved from another row, or sealed under another key; restore the database and its column key from the same backup"
    )]
    Open {
        /// Table.
        table: String,
        /// Column.
        column: String,
    },
    /// The cryptographic library refused. Never seen.
    #[error("sealing a value failed")]
    Seal,
}

impl ColumnKey {
    /// Reads the key from a file of exactly 32 octets, mode 0600, owned by this user.
    ///
    /// # Errors
    /// [`ColumnKeyError::File`].
    pub fn from_file(path: &Path) -> Result<Self, ColumnKeyError> {
        let problem = |problem: String, remedy: String| ColumnKeyError::File {
            path: path.into(),
            problem,
            remedy,
        };
        let unreadable =
            |error: std::io::Error| problem(error.to_string(), "check path and owner".into());
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        let own = rustix::process::geteuid().as_raw();
        if metadata.uid() != own && metadata.uid() != 0 {
            return Err(problem(
                format!("it belongs to uid {}, this process is uid {own}", metadata.uid()),
                "give it to the process that uses it".into(),
            ));
        }
        if metadata.mode() & 0o177 != 0 {
            return Err(problem(
                format!("expected mode 0600, found {:04o}", metadata.mode() & 0o7777),
                format!("chmod 0600 {}, and replace the key if others read it", path.display()),
            ));
        }
        let mut octets = Zeroizing::new(Vec::with_capacity(KEY_LEN + 1));
        file.take(KEY_LEN as u64 + 1).read_to_end(&mut octets).map_err(unreadable)?;
        Self::new(&octets).map_err(|_| {
            problem(
                format!("expected exactly {KEY_LEN} octets, found {}", metadata.len()),
                "restore the file, or make a new one if no database uses it yet".into(),
            )
        })
    }

    /// Makes a new random key in a new file, mode 0600, durable when this returns.
    ///
    /// # Errors
    /// [`ColumnKeyError::File`], also if the file exists: a key is never overwritten.
    pub fn create_file(path: &Path) -> Result<Self, ColumnKeyError> {
        let octets = random_key()?;
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .and_then(|mut file| file.write_all(&*octets).and_then(|()| file.sync_all()))
            .and_then(|()| match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => {
                    std::fs::File::open(parent)?.sync_all()
                }
                _ => Ok(()),
            });
        written.map_err(|error| ColumnKeyError::File {
            path: path.into(),
            problem: error.to_string(),
            remedy: "give a new path in a directory of this process".into(),
        })?;
        Self::new(&*octets)
    }

    /// A key from exactly 32 secret octets.
    ///
    /// # Errors
    /// [`ColumnKeyError::Length`].
    pub fn new(octets: &[u8]) -> Result<Self, ColumnKeyError> {
        RandomizedNonceKey::new(&AES_256_GCM, octets)
            .map(Self)
            .map_err(|_| ColumnKeyError::Length(octets.len()))
    }

    /// Encrypts `value` for one row and column. `row` is what names the row for ever: an ID, a
    /// hash; for a number its big-endian octets.
    ///
    /// # Errors
    /// [`ColumnKeyError::Seal`], in theory.
    pub fn seal(
        &self,
        table: &str,
        column: &str,
        row: &[u8],
        value: &[u8],
    ) -> Result<Vec<u8>, ColumnKeyError> {
        let mut text = Vec::with_capacity(value.len() + MAX_TAG_LEN);
        text.extend_from_slice(value);
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(place(table, column, row)), &mut text)
            .map_err(|_| ColumnKeyError::Seal)?;
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + text.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(nonce.as_ref());
        sealed.append(&mut text);
        Ok(sealed)
    }

    /// Decrypts what [`ColumnKey::seal`] made for the same table, column and row.
    ///
    /// # Errors
    /// [`ColumnKeyError::Open`].
    pub fn open(
        &self,
        table: &str,
        column: &str,
        row: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, ColumnKeyError> {
        let refused = || ColumnKeyError::Open { table: table.into(), column: column.into() };
        let (version, rest) = sealed.split_first().ok_or_else(refused)?;
        let (nonce, text) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(refused)?;
        if *version != VERSION {
            return Err(refused());
        }
        let mut value = Zeroizing::new(text.to_vec());
        let length = self
            .0
            .open_in_place(Nonce::from(nonce), Aad::from(place(table, column, row)), &mut value)
            .map_err(|_| refused())?
            .len();
        value.truncate(length);
        Ok(value)
    }
}

impl std::fmt::Debug for ColumnKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ColumnKey(..)")
    }
}

fn random_key() -> Result<Zeroizing<[u8; KEY_LEN]>, ColumnKeyError> {
    let mut octets = Zeroizing::new([0; KEY_LEN]);
    rand::fill(&mut *octets).map_err(|_| ColumnKeyError::Seal)?;
    Ok(octets)
}

/// Additional data: every part with its length, so that no two places read alike.
fn place(table: &str, column: &str, row: &[u8]) -> Vec<u8> {
    let mut place = b"countersign column 1\n".to_vec();
    for part in [table.as_bytes(), column.as_bytes(), row] {
        place.extend_from_slice(&(part.len() as u64).to_be_bytes());
        place.extend_from_slice(part);
    }
    place
}

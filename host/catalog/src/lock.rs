//! `plugins.lock`: what was installed last, so that a change of powers is seen when it comes. A
//! record for people and for comparison; what may run is decided by the configuration alone.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use countersign_sandbox::{Offers, model::Want};
use serde::{Deserialize, Serialize};

const FORMAT: u32 = 1;
const LOCK_BYTES: u64 = 4 << 20;

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockFile {
    format: u32,
    /// By the name in the configuration.
    pub plugins: BTreeMap<String, Locked>,
}

/// One plug-in as it was installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Locked {
    /// `sha256:…` of the component.
    pub digest: String,
    /// The version of the contract.
    pub contract: String,
    /// The plug-in's own version.
    pub version: String,
    /// What it imports of the contract.
    pub imports: Vec<String>,
    /// Which optional interfaces it has.
    pub offers: Offers,
    /// What it says it wants.
    pub wants: Vec<Want>,
    /// Whether it says that it vouches for names that a user can change.
    pub vouches_from_user_attributes: bool,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Reading or writing.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not ours.
    #[error(
        "{path}: expected a lock file of format {FORMAT}, found something else ({found}); remove \
         it, and it is written anew from the configuration"
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        found: String,
    },
}

impl Default for LockFile {
    fn default() -> Self {
        Self { format: FORMAT, plugins: BTreeMap::new() }
    }
}

impl LockFile {
    /// Reads it; an absent file is an empty one.
    pub fn read(path: &Path) -> Result<Self, LockError> {
        let fail = |source| LockError::Io { path: path.into(), source };
        let file = match fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(fail(error)),
        };
        let mut text = Vec::new();
        file.take(LOCK_BYTES).read_to_end(&mut text).map_err(fail)?;
        let format = |found: String| LockError::Format { path: path.into(), found };
        let lock: Self =
            serde_json::from_slice(&text).map_err(|error| format(error.to_string()))?;
        if lock.format == FORMAT {
            Ok(lock)
        } else {
            Err(format(format!("format {}", lock.format)))
        }
    }

    /// Writes it beside and renames, so that a crash leaves the old one or the new one.
    pub fn write(&self, path: &Path) -> Result<(), LockError> {
        let fail = |source| LockError::Io { path: path.into(), source };
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| fail(error.into()))?;
        text.push(b'\n');
        let beside = path.with_extension("lock.new");
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&beside)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&beside, path)
        };
        write().map_err(fail)
    }
}

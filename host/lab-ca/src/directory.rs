//! The CA's directory: key, certificate, settings, and the journal of all that it did.
//!
//! | file | holds |
//! |---|---|
//! | `ca.pem`, `ca.key.pem` | certificate; key (PKCS#8, mode 0600) |
//! | `settings.json` | name, algorithm, users, templates; read anew when another is there |
//! | `journal.jsonl` | one line for everything received, issued, denied, revoked; only appended |
//!
//! The journal is the state: whoever wants to change it locks the file, reads what others appended,
//! decides, appends, unlocks and syncs; those who wait for the disk at the same time share one sync.
//! So an admin's command works beside a serving process.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use der::pem::{self, LineEnding};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::LabCaError;
use crate::key::Algorithm;
use crate::state::{Entry, State};
use crate::template::Template;

/// How a lab CA is made; also what `settings.json` holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Options {
    /// Common name of the CA, and part of its URLs.
    pub name: String,
    /// The CA's key.
    pub algorithm: Algorithm,
    /// How long the CA's own certificate is valid, days.
    pub validity_days: u32,
    /// Accounts for the UsernamePassword service.
    pub users: Vec<User>,
    /// The templates it issues.
    pub templates: Vec<Template>,
    /// Where its CRL and certificate are published (`http://127.0.0.1:port`); set by the first
    /// `serve`, so that certificates issued later name a place that answers.
    pub publication: Option<String>,
}

/// An account of the UsernamePassword service. A lab's secret: it stands in a file.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// `DOMAIN\account` or whatever the client sends.
    pub name: String,
    /// Its password.
    pub password: Zeroizing<String>,
}

impl std::fmt::Debug for User {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "Countersign-Lab-CA".into(),
            algorithm: Algorithm::default(),
            validity_days: 3650,
            users: Vec::new(),
            templates: vec![
                Template::named("CountersignDevice"),
                Template::named("CountersignDevicePending").pending(),
            ],
            publication: None,
        }
    }
}

pub(crate) struct Directory {
    path: PathBuf,
    journal: Mutex<Journal>,
    durable: Mutex<Durable>,
    settings: Mutex<Option<(Stamp, Arc<Options>)>>,
}

/// Which file the settings were read from: each change of them is a new file.
#[derive(PartialEq, Eq)]
struct Stamp {
    inode: u64,
    changed: (i64, i64),
    length: u64,
}

/// How much of the journal is on the disk for certain.
struct Durable {
    file: File,
    length: u64,
}

struct Journal {
    file: File,
    read: u64,
    state: State,
}

/// The state, locked against other threads and processes until dropped.
pub(crate) struct Locked<'a> {
    journal: MutexGuard<'a, Journal>,
}

impl Directory {
    pub(crate) const CERTIFICATE: &'static str = "ca.pem";
    const KEY: &'static str = "ca.key.pem";
    const SETTINGS: &'static str = "settings.json";
    const JOURNAL: &'static str = "journal.jsonl";

    /// A new, empty directory; one that holds a CA is refused.
    pub(crate) fn create(path: &Path) -> Result<Self, LabCaError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(LabCaError::file(path))?;
        if path.join(Self::KEY).exists() || path.join(Self::JOURNAL).exists() {
            return Err(LabCaError::Exists(path.to_owned()));
        }
        Self::with_journal(path, true)
    }

    pub(crate) fn open(path: &Path) -> Result<Self, LabCaError> {
        Self::with_journal(path, false)
    }

    fn with_journal(path: &Path, create: bool) -> Result<Self, LabCaError> {
        let journal = path.join(Self::JOURNAL);
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create_new(create)
            .mode(0o600)
            .open(&journal)
            .map_err(LabCaError::file(&journal))?;
        let durable = file.try_clone().map_err(LabCaError::file(&journal))?;
        Ok(Self {
            path: path.to_owned(),
            journal: Mutex::new(Journal { file, read: 0, state: State::default() }),
            durable: Mutex::new(Durable { file: durable, length: 0 }),
            settings: Mutex::new(None),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn write_key(&self, pkcs8: &[u8]) -> Result<(), LabCaError> {
        let text = Zeroizing::new(pem_text("PRIVATE KEY", pkcs8)?);
        self.write(Self::KEY, text.as_bytes())
    }

    pub(crate) fn read_key(&self) -> Result<Zeroizing<Vec<u8>>, LabCaError> {
        self.read_pem(Self::KEY, "PRIVATE KEY").map(Zeroizing::new)
    }

    pub(crate) fn write_certificate(&self, der: &[u8]) -> Result<(), LabCaError> {
        let text = pem_text("CERTIFICATE", der)?;
        self.write(Self::CERTIFICATE, text.as_bytes())
    }

    pub(crate) fn read_certificate(&self) -> Result<Vec<u8>, LabCaError> {
        self.read_pem(Self::CERTIFICATE, "CERTIFICATE")
    }

    /// The settings as they are now; read anew when the file is another.
    pub(crate) fn settings(&self) -> Result<Arc<Options>, LabCaError> {
        let path = self.path.join(Self::SETTINGS);
        let found = fs::metadata(&path).map_err(LabCaError::file(&path))?;
        let stamp = Stamp {
            inode: found.ino(),
            changed: (found.mtime(), found.mtime_nsec()),
            length: found.len(),
        };
        let mut known = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some((read, settings)) if *read == stamp => Ok(Arc::clone(settings)),
            _ => {
                let bytes = fs::read(&path).map_err(LabCaError::file(&path))?;
                let settings: Options = serde_json::from_slice(&bytes)
                    .map_err(|error| LabCaError::File { path, source: error.into() })?;
                let settings = Arc::new(settings);
                *known = Some((stamp, Arc::clone(&settings)));
                Ok(settings)
            }
        }
    }

    pub(crate) fn write_settings(&self, settings: &Options) -> Result<(), LabCaError> {
        let path = self.path.join(Self::SETTINGS);
        let bytes = serde_json::to_vec_pretty(settings)
            .map_err(|error| LabCaError::File { path, source: error.into() })?;
        self.write(Self::SETTINGS, &bytes)
    }

    /// Locks the state and brings it up to date.
    pub(crate) fn lock(&self) -> Result<Locked<'_>, LabCaError> {
        let path = self.path.join(Self::JOURNAL);
        let journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        journal.file.lock().map_err(LabCaError::file(&path))?;
        // From here the guard unlocks the file.
        let mut locked = Locked { journal };
        locked.catch_up(&path)?;
        Ok(locked)
    }

    /// Returns when the journal is on the disk up to `length`. Not to be called with the lock held:
    /// whoever comes while one syncs finds it done.
    pub(crate) fn make_durable(&self, length: u64) -> Result<(), LabCaError> {
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        if durable.length >= length {
            return Ok(());
        }
        let written = durable.file.metadata().map_err(journal_error)?.len();
        durable.file.sync_data().map_err(journal_error)?;
        durable.length = written;
        Ok(())
    }

    /// Through a file beside it, so that nobody reads half of one.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), LabCaError> {
        let path = self.path.join(name);
        let beside = self.path.join(format!(".{name}.{}", std::process::id()));
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)
            .and_then(|mut file| {
                file.write_all(bytes)?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&beside, &path));
        written.map_err(LabCaError::file(&path))
    }

    fn read_pem(&self, name: &str, expected: &'static str) -> Result<Vec<u8>, LabCaError> {
        let path = self.path.join(name);
        let text = Zeroizing::new(fs::read(&path).map_err(LabCaError::file(&path))?);
        match pem::decode_vec(&text) {
            Ok((label, der)) if label == expected => Ok(der),
            _ => Err(LabCaError::Damaged { path, expected }),
        }
    }
}

impl Locked<'_> {
    pub(crate) fn state(&self) -> &State {
        &self.journal.state
    }

    /// Appends durably.
    pub(crate) fn append(&mut self, entry: Entry) -> Result<(), LabCaError> {
        self.note(entry)?;
        self.journal.file.sync_data().map_err(journal_error)
    }

    /// Appends and applies. Nothing may be answered on it before [`Directory::make_durable`] with
    /// the length returned here.
    pub(crate) fn note(&mut self, entry: Entry) -> Result<u64, LabCaError> {
        let journal = &mut *self.journal;
        let mut line =
            serde_json::to_vec(&entry).map_err(io::Error::from).map_err(journal_error)?;
        line.push(b'\n');
        journal.file.write_all(&line).map_err(journal_error)?;
        journal.read += line.len() as u64;
        journal.state.apply(entry);
        Ok(journal.read)
    }

    fn catch_up(&mut self, path: &Path) -> Result<(), LabCaError> {
        let journal = &mut *self.journal;
        let length = journal.file.metadata().map_err(LabCaError::file(path))?.len();
        if length == journal.read {
            return Ok(());
        }
        let mut appended = Vec::new();
        journal
            .file
            .seek(SeekFrom::Start(journal.read))
            .and_then(|_| journal.file.read_to_end(&mut appended))
            .map_err(LabCaError::file(path))?;
        let whole = appended.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for line in appended.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice(line) {
                Ok(entry) => journal.state.apply(entry),
                // A line that a crash cut short was never acted upon: it is cut off.
                Err(_) if !appended.ends_with(b"\n") && appended.ends_with(line) => {}
                Err(_) => {
                    return Err(LabCaError::Damaged {
                        path: path.to_owned(),
                        expected: "one JSON entry a line",
                    });
                }
            }
        }
        journal.read += whole as u64;
        if whole < appended.len() {
            journal.file.set_len(journal.read).map_err(LabCaError::file(path))?;
        }
        Ok(())
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // The lock goes with the file at the latest; nothing to do about a failure here.
        let _ = self.journal.file.unlock();
    }
}

pub(crate) fn pem_text(label: &'static str, der: &[u8]) -> Result<String, LabCaError> {
    pem::encode_string(label, LineEnding::LF, der)
        .map_err(|error| LabCaError::Asn1(der::Error::from(error)))
}

fn journal_error(source: io::Error) -> LabCaError {
    LabCaError::File { path: Directory::JOURNAL.into(), source }
}

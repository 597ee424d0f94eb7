use std::path::PathBuf;

use countersign_store::{StoreError, rusqlite};
use thiserror::Error;

use crate::{CLOCK_TOLERANCE, Digest, EntryError, KeyError, NoteError};

/// Why an entry or a checkpoint was not written, or entries were not read.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The clock went back: entries would no longer be in the order of their times. Nothing is
    /// signed until it is right again.
    #[error(
        "the clock went back: now {now}, last ledger entry {last} (seconds since 1970 UTC), allowed {CLOCK_TOLERANCE} s: set the clock right; if the last entry was made under a clock that was ahead, record a gap (`clock`)"
    )]
    ClockBackwards {
        /// Time of the last entry.
        last: u64,
        /// Time now.
        now: u64,
    },
    /// The body has too many octets.
    #[error("a ledger entry of kind `{kind}` would have {octets} octets, allowed are {max}", max = crate::MAX_BODY)]
    TooLarge {
        /// Kind of the entry.
        kind: String,
        /// Octets of the body.
        octets: usize,
    },
    /// The body has no canonical form.
    #[error("a ledger entry of kind `{kind}` has no canonical form: {problem}")]
    NotCanonical {
        /// Kind of the entry.
        kind: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An entry in the database is not as it was written.
    #[error(
        "the ledger is damaged at entry {index}: {problem}; stop, keep a copy of the database, run `countersign ledger verify`"
    )]
    Damaged {
        /// Index of the entry.
        index: u64,
        /// What was expected and found.
        problem: String,
    },
    /// The checkpoint could not be made durable.
    #[error("cannot write the checkpoint file {path}: {problem}", path = .path.display())]
    CheckpointFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// The checkpoint could not be signed.
    #[error("cannot sign a checkpoint: {0}")]
    Key(#[from] KeyError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for LedgerError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<EntryError> for LedgerError {
    fn from(error: EntryError) -> Self {
        Self::Damaged { index: error.index, problem: error.problem }
    }
}

/// Why the ledger was not opened. `sign` does not start then.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The database has fewer entries than a checkpoint says.
    #[error("the ledger was cut off or an old copy was restored: {path} has a checkpoint of {size} entries (time {time}), the database has {entries}; restore the newest database, or have the operator record the gap", path = .path.display())]
    Truncated {
        /// Checkpoint file.
        path: PathBuf,
        /// Entries at the checkpoint.
        size: u64,
        /// Time of the checkpoint, seconds since 1970 UTC.
        time: u64,
        /// Entries in the database.
        entries: u64,
    },
    /// The database has other entries than those of the checkpoint.
    #[error("the ledger was rewritten or is another one: {path} has a checkpoint of {size} entries with root {expected}, the database's root at that size is {found}; keep copies of both, run `countersign ledger verify`", path = .path.display())]
    Differs {
        /// Checkpoint file.
        path: PathBuf,
        /// Entries at the checkpoint.
        size: u64,
        /// Root in the checkpoint.
        expected: Digest,
        /// Root in the database.
        found: Digest,
    },
    /// There are entries but no checkpoint.
    #[error("the checkpoint file {path} is missing or empty, but the ledger has {entries} entries: put the file back, or have the operator record the gap", path = .path.display())]
    CheckpointsMissing {
        /// Checkpoint file.
        path: PathBuf,
        /// Entries in the database.
        entries: u64,
    },
    /// The last checkpoint is not one, or is not signed by our key.
    #[error("the last checkpoint in {path} is not valid: {problem}; put back the file or the key that belong together", path = .path.display())]
    BadCheckpoint {
        /// Checkpoint file.
        path: PathBuf,
        /// What is wrong.
        problem: NoteError,
    },
    /// The checkpoint file belongs to another ledger.
    #[error("the checkpoint file {path} is of the ledger `{found}`, this one is `{expected}`: give each ledger a file of its own", path = .path.display())]
    ForeignOrigin {
        /// Checkpoint file.
        path: PathBuf,
        /// Origin in the configuration.
        expected: String,
        /// Origin in the file.
        found: String,
    },
    /// The checkpoint file cannot be used.
    #[error("cannot use the checkpoint file {path}: {problem}; {remedy}", path = .path.display())]
    File {
        /// Checkpoint file.
        path: PathBuf,
        /// What was expected and found.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The database could not be read, an entry in it is damaged, or nothing could be written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::ErrorCode;
use thiserror::Error;

use crate::Owner;

/// What went wrong with a database, and what to do. Cheap to copy, because one failed commit
/// answers every job of its batch.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The job was not started in time; it left no trace and may be tried again.
    #[error("the database is busy: not begun within {waited:?}; nothing was written, try again")]
    Busy {
        /// How long the job waited.
        waited: Duration,
    },
    /// No room to write. Nothing of the job was kept.
    #[error(
        "no room to write the database ({detail}): free space on its file system; nothing was written"
    )]
    Full {
        /// What SQLite or the file system said.
        detail: String,
    },
    /// A rule of the schema refused the row (UNIQUE, NOT NULL, CHECK, foreign key).
    #[error("the database's schema refused a row: {0}")]
    Constraint(String),
    /// The store was closed before the job was begun.
    #[error("the database is closed: the process is shutting down; nothing was written")]
    Closed,
    /// An earlier commit failed in a way that leaves open what the disk holds. Only a restart
    /// reads it back.
    #[error(
        "the database takes no more writes since a commit failed ({reason}): check the disk and the kernel's log, then restart the process"
    )]
    Failed {
        /// What the failed commit said.
        reason: String,
    },
    /// The job panicked. It was rolled back alone.
    #[error(
        "a database job panicked and was rolled back: this is a fault in Countersign, please report it with the log"
    )]
    JobPanicked,
    /// A job waited for another job: the writer would wait for itself.
    #[error(
        "a database job waits for another one, which cannot begin before it ends: this is a fault in Countersign, please report it"
    )]
    Nested,
    /// SQLite gave up the transaction that the job shared with its neighbours: out of room or
    /// memory, or one of them ended it. Nothing of it was kept.
    #[error(
        "the database gave up a transaction (no room, no memory, or a job that ended it); nothing was written; see the log, check the disk, try again"
    )]
    TransactionLost,
    /// Any other error of SQLite.
    #[error("database error: {0}")]
    Sql(#[source] Arc<rusqlite::Error>),

    /// The file or its directory cannot be used.
    #[error("cannot use the database {path}: {problem}; {remedy}", path = .path.display())]
    Place {
        /// The file, its directory or its lock.
        path: PathBuf,
        /// What was expected and found.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// Another process has this database open for writing.
    #[error("the database {path} is in use: another process holds {path}.lock; stop it first (two writers would break the ledger and the fuses)", path = .path.display())]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// The file is another process's database.
    #[error("{path} is the database of `{found}`, not of `{expected}`: each process opens only its own; check the paths in the configuration", path = .path.display())]
    ForeignOwner {
        /// The database.
        path: PathBuf,
        /// Who tried to open it.
        expected: Owner,
        /// Whose it is.
        found: Owner,
    },
    /// The file is not a database of Countersign.
    #[error("{path} is not a database of Countersign ({found}): point the configuration to a new file, nothing was changed in this one", path = .path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What it looks like.
        found: String,
    },
    /// The database was written by a later version.
    #[error("{path} was written by a newer version of Countersign (it holds the migration `{found}`, unknown here): install that version or restore the backup made before the upgrade", path = .path.display())]
    SchemaNewer {
        /// The database.
        path: PathBuf,
        /// First migration that this version does not know.
        found: String,
    },
    /// A migration that was applied differs from the one in this program.
    #[error("{path}: the applied migration `{found}` is not the one this program has at that place (`{expected}`): the program or the database was altered; install the version that made it", path = .path.display())]
    MigrationChanged {
        /// The database.
        path: PathBuf,
        /// Name in the database.
        found: String,
        /// Name in the program.
        expected: String,
    },
    /// A migration failed; it was rolled back whole.
    #[error("{path}: migration `{name}` failed and was rolled back: {reason}", path = .path.display())]
    MigrationFailed {
        /// The database.
        path: PathBuf,
        /// The migration.
        name: String,
        /// What SQLite said.
        reason: String,
    },
}

impl StoreError {
    /// Whether the same job may succeed a little later without anybody doing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::TransactionLost)
    }

    /// Whether a rule of the schema refused the row: how a lost race on a UNIQUE column shows.
    #[must_use]
    pub fn is_constraint(&self) -> bool {
        matches!(self, Self::Constraint(_))
    }

    /// Whether a query for exactly one row found none.
    #[must_use]
    pub fn is_no_rows(&self) -> bool {
        matches!(self, Self::Sql(error) if matches!(**error, rusqlite::Error::QueryReturnedNoRows))
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { detail: error.to_string() },
            Some(ErrorCode::ConstraintViolation) => Self::Constraint(error.to_string()),
            _ => Self::Sql(Arc::new(error)),
        }
    }
}

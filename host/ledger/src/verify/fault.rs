use std::fmt;
use std::path::PathBuf;

use serde::Serialize;
use thiserror::Error;

use super::Report;
use crate::Digest;

/// So many faults are listed; one broken ledger may have millions.
const LISTED: usize = 100;

/// Something that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Error)]
#[serde(tag = "fault", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Fault {
    /// The database or a checkpoint file could not be read.
    #[error("cannot be read: {problem}")]
    Unreadable {
        /// What the system or SQLite said.
        problem: String,
    },
    /// SQLite's own structure is damaged, or the table is not the ledger's.
    #[error("the database is damaged: {problem}")]
    Structure {
        /// What SQLite said.
        problem: String,
    },
    /// An entry cannot be one that we wrote.
    #[error("entry {index} is not as we write entries: {problem}")]
    Malformed {
        /// Its index.
        index: u64,
        /// What was expected and found.
        problem: String,
    },
    /// An entry's content is not what was hashed.
    #[error("entry {index} was rewritten: {problem}")]
    Rewritten {
        /// Its index.
        index: u64,
        /// Both hashes.
        problem: String,
    },
    /// An entry does not follow the one before it.
    #[error("entry {index} does not follow entry {}: it names {named} as the hash before it, found {found}; entries were inserted, removed or rewritten there", .index.saturating_sub(1))]
    Unlinked {
        /// Its index.
        index: u64,
        /// Hash that it names.
        named: Digest,
        /// Hash of the entry before.
        found: Digest,
    },
    /// Entries are missing in the middle.
    #[error("entries {from} to {to} are missing")]
    Missing {
        /// First.
        from: u64,
        /// Last.
        to: u64,
    },
    /// An entry is earlier than the one before it.
    #[error("entry {index} is earlier than the one before it: {time} after {before}")]
    TimeBackwards {
        /// Its index.
        index: u64,
        /// Its time, seconds since 1970 UTC.
        time: u64,
        /// Time of the one before.
        before: u64,
    },
    /// One attempt was countersigned twice.
    #[error(
        "entry {index}: attempt {attempt} of enrolment {enrolment} was signed a second time, first in entry {first}"
    )]
    SignedTwice {
        /// Index of the second.
        index: u64,
        /// Index of the first.
        first: u64,
        /// Which enrolment.
        enrolment: Digest,
        /// Which attempt.
        attempt: u32,
    },
    /// A note in a checkpoint file is no checkpoint signed by one of the keys.
    #[error("{}: checkpoint {number} is not valid: {problem}", .file.display())]
    BadCheckpoint {
        /// The file.
        file: PathBuf,
        /// Which note of it, from 1.
        number: u64,
        /// What is wrong.
        problem: String,
    },
    /// Checkpoints of different ledgers lie together.
    #[error("{}: checkpoint {number} is of the ledger `{found}`, others are of `{expected}`", .file.display())]
    ForeignOrigin {
        /// The file.
        file: PathBuf,
        /// Which note of it, from 1.
        number: u64,
        /// Origin of the first checkpoint.
        expected: String,
        /// Origin of this one.
        found: String,
    },
    /// The database has fewer entries than a checkpoint says.
    #[error("the ledger was cut off: {} says {size} entries (checkpoint {number}, time {time}), the database has {entries}", .file.display())]
    Truncated {
        /// The file.
        file: PathBuf,
        /// Which note of it, from 1.
        number: u64,
        /// Entries it says.
        size: u64,
        /// Its time, seconds since 1970 UTC.
        time: u64,
        /// Entries in the database.
        entries: u64,
    },
    /// The database had other entries when a checkpoint was made.
    #[error("the first {size} entries were rewritten: {} says root {expected} (checkpoint {number}, time {time}), the database has {found}", .file.display())]
    Differs {
        /// The file.
        file: PathBuf,
        /// Which note of it, from 1.
        number: u64,
        /// Entries it covers.
        size: u64,
        /// Its time, seconds since 1970 UTC.
        time: u64,
        /// Root it says.
        expected: Digest,
        /// Root in the database.
        found: Digest,
    },
    /// Two checkpoints, both signed, say different things of the same size: somebody was shown
    /// another ledger.
    #[error("the ledger was forked: at {size} entries {} says root {first}, {} says root {second}, and both are signed", .first_file.display(), .second_file.display())]
    Fork {
        /// Entries.
        size: u64,
        /// One file.
        first_file: PathBuf,
        /// Root in it.
        first: Digest,
        /// Another file, or the same.
        second_file: PathBuf,
        /// Root in that.
        second: Digest,
    },
}

/// Everything that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Faults {
    /// The first hundred.
    pub faults: Vec<Fault>,
    /// How many there are.
    pub count: u64,
    /// What was read all the same. Do not rely on it.
    pub report: Box<Report>,
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the ledger is not sound, {} faults", self.count)?;
        for fault in &self.faults {
            write!(f, "\n- {fault}")?;
        }
        if self.count > self.faults.len() as u64 {
            write!(f, "\n- and {} more", self.count - self.faults.len() as u64)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

#[derive(Debug, Default)]
pub(super) struct Collector {
    faults: Vec<Fault>,
    count: u64,
}

impl Collector {
    pub(super) fn add(&mut self, fault: Fault) {
        self.count += 1;
        if self.faults.len() < LISTED {
            self.faults.push(fault);
        }
    }

    pub(super) fn finish(self, report: Report) -> Result<Report, Faults> {
        if self.count == 0 {
            return Ok(report);
        }
        Err(Faults { faults: self.faults, count: self.count, report: Box::new(report) })
    }
}

//! The offline proof: reads the database and the checkpoints without trusting either.

mod chain;
mod fault;
mod witness;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use countersign_store::{Owner, open_offline};
use serde::Serialize;

pub use fault::{Fault, Faults};

use crate::{Digest, Gap, VerifyingKey};

/// Checkpoints to hold against a database.
#[derive(Debug, Clone)]
pub struct Witness {
    /// Checkpoint files; more than one where copies were kept in several places.
    pub files: Vec<PathBuf>,
    /// Keys that may have signed them.
    pub keys: Vec<VerifyingKey>,
}

/// What a ledger holds, as far as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Report {
    /// Entries in the database.
    pub entries: u64,
    /// Hash of the last one; zeros if there is none.
    pub head: Digest,
    /// Entries that a valid checkpoint covers. Those after it can have been rewritten or cut off
    /// without a trace.
    pub covered: u64,
    /// Valid checkpoints that fit the database.
    pub checkpoints: u64,
    /// Checkpoints that do not fit, because of a loss that an operator recorded.
    pub explained: u64,
    /// Entries by kind.
    pub kinds: BTreeMap<String, u64>,
    /// Entries made in lab mode: they prove nothing.
    pub lab: u64,
    /// Countersigned attempts without an outcome.
    pub unsettled: u64,
    /// Gaps that operators recorded: index and what they recorded.
    pub gaps: Vec<(u64, Gap)>,
    /// Files that end within a checkpoint, as a power failure leaves them.
    pub torn: Vec<PathBuf>,
    /// Time of the first and of the last entry, seconds since 1970 UTC.
    pub times: Option<(u64, u64)>,
}

/// Verifies the ledger in the database at `database`, offline and read-only: every hash and link,
/// order of times, one signature an attempt, SQLite's own structure, and with `witness` every
/// checkpoint.
///
/// Without a witness a ledger that was rewritten from some entry to its end, or cut off, looks
/// sound: [`Report::covered`] is 0 then.
///
/// # Errors
/// [`Faults`]: everything that does not fit, with the report of what was read.
pub fn verify_database(database: &Path, witness: Option<&Witness>) -> Result<Report, Faults> {
    let mut faults = fault::Collector::default();
    let mut report = Report::default();

    let checkpoints = witness.map(|witness| witness::read(witness, &mut report, &mut faults));
    match open_offline(database, Owner::Sign) {
        Ok(connection) => {
            let checkpoints = checkpoints.unwrap_or_default();
            let sizes = checkpoints.iter().map(|found| found.checkpoint.size).collect();
            let roots = chain::verify(&connection, sizes, &mut report, &mut faults);
            witness::compare(checkpoints, &roots, &mut report, &mut faults);
        }
        Err(error) => faults.add(Fault::Unreadable { problem: error.to_string() }),
    }
    faults.finish(report)
}

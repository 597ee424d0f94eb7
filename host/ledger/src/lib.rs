//! The tamper-evident log of `sign`: a hash chain in the database, signed checkpoints outside it.
//!
//! Whoever rewrites, removes, inserts or cuts off entries, or shows different people different
//! logs, is found by [`verify_database`] with the checkpoints, by [`Ledger::open`] at the next
//! start, and by [`Ledger::checkpoint`] within a minute. Entries after the last checkpoint are only
//! as safe as the database: keep copies of the checkpoint file elsewhere.
//!
//! This crate never decides what is logged, never reads the clock (callers pass seconds since 1970
//! UTC), never changes or removes an entry, and never holds a secret but the checkpoint key.
//!
//! | Type | Is |
//! |---|---|
//! | [`Event`] | what can be logged, typed |
//! | [`append`] | writes one entry inside the caller's transaction |
//! | [`Ledger`] | the open ledger: checks itself at start, writes checkpoints |
//! | [`Entry`], [`Filter`], [`entries`], [`summary`] | reading it |
//! | [`Checkpoint`], [`CheckpointKey`], [`VerifyingKey`] | the signed notes |
//! | [`verify_database`] | the offline proof |

mod append;
mod canonical;
mod checkpoint;
mod checkpoint_file;
mod checkpoint_key;
mod digest;
mod entry;
mod error;
mod event;
mod ledger;
mod query;
mod text;
mod verify;

pub use append::{CLOCK_TOLERANCE, MIGRATION, Position, append};
pub use canonical::MAX_BODY;
pub use checkpoint::{Checkpoint, NoteError};
pub use checkpoint_key::{CheckpointKey, KeyError, VerifyingKey};
pub use digest::Digest;
pub use entry::{Entry, EntryError};
pub use error::{LedgerError, OpenError};
pub use event::{
    Admin, Denial, DenialExcess, Event, Fact, Gap, Kind, Lost, Order, OrderEnded, OrderSigned,
    Outcome, OutcomeKind, RefusedSeal, RequestKind, Signed, Start, Station, Stop, Verifier,
};
pub use ledger::{CheckpointSettings, Ledger, QUIET_INTERVAL};
pub use query::{Filter, Summary, count, entries, size, summary};
pub use text::{MAX_TEXT, Text};
pub use verify::{Fault, Faults, Report, Witness, verify_database};

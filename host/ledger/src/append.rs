use countersign_store::Migration;
use countersign_store::rusqlite::{OptionalExtension as _, Transaction, params};

use crate::entry::{Entry, GENESIS};
use crate::{Digest, Event, LedgerError};

/// The ledger's table. Belongs into the list that the owner opens its store with.
///
/// The triggers are against our own mistakes; against others stand the hashes.
pub const MIGRATION: Migration = Migration {
    name: "ledger-0001",
    sql: "
        CREATE TABLE ledger (
            idx      INTEGER PRIMARY KEY,
            time     INTEGER NOT NULL,
            kind     TEXT NOT NULL,
            lab      INTEGER NOT NULL,
            body     TEXT NOT NULL,
            previous BLOB NOT NULL,
            hash     BLOB NOT NULL
        ) STRICT;
        CREATE INDEX ledger_by_enrolment ON ledger (json_extract(body, '$.enrolment'))
            WHERE json_extract(body, '$.enrolment') IS NOT NULL;
        CREATE TRIGGER ledger_has_no_gaps BEFORE INSERT ON ledger
            WHEN NEW.idx <> (SELECT coalesce(max(idx) + 1, 0) FROM ledger)
            BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
        CREATE TRIGGER ledger_is_not_rewritten BEFORE UPDATE ON ledger
            BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
        CREATE TRIGGER ledger_is_not_cut BEFORE DELETE ON ledger
            BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
    ",
};

/// Seconds that the clock may go back, as time synchronisation does. The entry then gets the time
/// of the one before it.
pub const CLOCK_TOLERANCE: u64 = 5;

/// Where an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Its index, from 0.
    pub index: u64,
    /// Its hash.
    pub hash: Digest,
}

/// Appends `event` inside the caller's transaction: both are kept, or neither.
///
/// `now` is seconds since 1970 UTC; `lab` says that keys are in files and nothing is proved.
///
/// # Errors
/// [`LedgerError::ClockBackwards`], [`LedgerError::TooLarge`], or the store's error. The caller
/// must let its job fail then, so that nothing happens without its entry.
pub fn append(
    tx: &Transaction<'_>,
    event: &Event,
    now: u64,
    lab: bool,
) -> Result<Position, LedgerError> {
    let last = tx
        .prepare_cached("SELECT idx, time, hash FROM ledger ORDER BY idx DESC LIMIT 1")?
        .query_row([], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, [u8; 32]>(2)?))
        })
        .optional()?;
    let (index, previous, earliest) = match last {
        None => (0, GENESIS, 0),
        Some((index, time, hash)) => {
            let index = u64::try_from(index).map_err(|_| damaged("negative index"))?;
            let time = u64::try_from(time).map_err(|_| damaged("negative time"))?;
            (index + 1, Digest(hash), time)
        }
    };
    let time = if event.sets_clock_back() || now >= earliest {
        now
    } else if earliest - now <= CLOCK_TOLERANCE {
        earliest
    } else {
        return Err(LedgerError::ClockBackwards { last: earliest, now });
    };

    let kind = event.kind().as_str().to_owned();
    let mut entry =
        Entry { index, time, kind, lab, body: event.body()?, previous, hash: Digest::default() };
    entry.hash = entry.computed_hash();
    let too_far = |_| LedgerError::NotCanonical {
        kind: entry.kind.clone(),
        problem: "a number beyond 63 bits".into(),
    };
    tx.prepare_cached(
        "INSERT INTO ledger (idx, time, kind, lab, body, previous, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        i64::try_from(entry.index).map_err(too_far)?,
        i64::try_from(entry.time).map_err(too_far)?,
        entry.kind,
        entry.lab,
        entry.body,
        entry.previous.0,
        entry.hash.0,
    ])?;
    Ok(Position { index: entry.index, hash: entry.hash })
}

fn damaged(problem: &str) -> LedgerError {
    LedgerError::Damaged { index: 0, problem: problem.into() }
}

//! Whether the clock is behind what this process has seen (threat T36): a challenge that has expired
//! would be good again.
//!
//! What was seen outlives the process: each sweep writes it down, so that a clock set back while the
//! process is away is noticed by the next start; all but the last minutes of what went before.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use countersign_config::Config;
use countersign_store::rusqlite::{OptionalExtension as _, Transaction, params};
use countersign_store::{Owner, Store, StoreError};

use crate::schema::SCHEMA;
use crate::start::{StartError, now, refuse_root};

/// A few seconds are time synchronisation's, as in `sign`.
const TOLERANCE: u64 = 5;

/// The highest time seen, in seconds since 1970 UTC.
#[derive(Debug)]
pub(crate) struct Clock {
    highest: AtomicU64,
}

impl Clock {
    /// Knows what earlier runs wrote down.
    pub(crate) async fn of(store: &Store) -> Result<Self, StoreError> {
        let seen = store.read(|connection| {
            let row =
                connection.query_row("SELECT seen FROM clock", [], |row| row.get::<_, i64>(0));
            Ok(row.optional()?)
        });
        let seen = seen.await?.and_then(|seen| u64::try_from(seen).ok());
        Ok(Self { highest: AtomicU64::new(seen.unwrap_or(0)) })
    }

    /// Why nothing may be decided at `now`, if it is behind what was seen.
    pub(crate) fn went_back(&self, now: u64) -> Option<String> {
        let last = self.highest.fetch_max(now, Ordering::Relaxed);
        (now.saturating_add(TOLERANCE) < last).then(|| {
            format!(
                "the clock says {now} (seconds since 1970) and has been at {last}: what has expired \
                 would be good again. Set it right; or, if it was ahead then and is right now, stop \
                 verify and run `countersign-verify --config FILE accept-clock`"
            )
        })
    }
}

/// Writes down how late it is, if it is later than ever.
pub(crate) fn keep(tx: &Transaction<'_>, now: u64) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO clock (one, seen) VALUES (1, ?1)
         ON CONFLICT (one) DO UPDATE SET seen = max(seen, excluded.seen)",
    )?
    .execute(params![i64::try_from(now).unwrap_or(i64::MAX)])?;
    Ok(())
}

/// Takes the clock as right, while the process is stopped: it was ahead before. Challenges that
/// expired under it are good again until their own end.
///
/// # Errors
/// The config; root, whose files the process could not use; or the database, which a process that runs
/// keeps to itself.
pub fn accept_clock(config: &Path) -> Result<String, StartError> {
    let loaded = Config::load(config).map_err(|problems| {
        StartError::Config(problems.iter().map(ToString::to_string).collect())
    })?;
    refuse_root(loaded.config.mode)?;
    let about = "the database";
    let database = loaded.config.verify.state.join("verify.db");
    let store = Store::open(&database, Owner::Verify, SCHEMA).map_err(StartError::of(about))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::of("the runtime"))?;
    runtime.block_on(async {
        let (before, now) = (Clock::of(&store).await.map_err(StartError::of(about))?, now());
        let said = before.went_back(now);
        if said.is_some() {
            store.write(move |tx| set(tx, now)).await.map_err(StartError::of(about))?;
        }
        store.close().await.map_err(StartError::of(about))?;
        Ok(match said {
            Some(_) => format!("the clock is taken as right: {now}; verify can be started now"),
            None => "the clock is not behind what verify has seen; nothing was changed".to_owned(),
        })
    })
}

fn set(tx: &Transaction<'_>, now: u64) -> Result<(), StoreError> {
    tx.execute("UPDATE clock SET seen = ?1", params![i64::try_from(now).unwrap_or(i64::MAX)])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Fails when `went_back` no longer compares, or `of` forgets what was written down.
    #[tokio::test]
    async fn it_is_behind_what_it_said_and_what_an_earlier_run_wrote() {
        let directory = tempfile::tempdir().unwrap();
        let open = || Store::open(&directory.path().join("verify.db"), Owner::Verify, SCHEMA);
        let store = open().unwrap();
        let clock = Clock::of(&store).await.unwrap();
        assert_eq!(clock.went_back(1000), None);
        assert_eq!(clock.went_back(1000 - TOLERANCE), None);
        assert!(clock.went_back(999 - TOLERANCE).is_some());
        store.write(|tx| keep(tx, 2000)).await.unwrap();
        // Never back, whatever a sweep is told.
        store.write(|tx| keep(tx, 500)).await.unwrap();
        store.close().await.unwrap();

        let clock = Clock::of(&open().unwrap()).await.unwrap();
        assert!(clock.went_back(1999 - TOLERANCE).is_some());
        assert_eq!(clock.went_back(2000), None);
    }
}

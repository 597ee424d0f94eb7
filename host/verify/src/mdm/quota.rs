//! Challenges of a credential in the last hour. On disk, so that a restart gives nobody a new hour.

use countersign_store::rusqlite::{Transaction, params};
use countersign_store::{Store, StoreError};

const MINUTE: u64 = 60;

/// An hour, and the minute that has begun.
const MINUTES: u64 = 61;

/// Counts one more, if the last hour has room for it. Counted before the plug-in is asked: what it
/// then refuses is counted too, or refusals would be free.
pub(super) async fn take(
    store: &Store,
    credential: &str,
    per_hour: u32,
    now: u64,
) -> Result<bool, StoreError> {
    let credential = credential.to_owned();
    store.write(move |tx| take_in(tx, &credential, per_hour, now)).await
}

fn take_in(
    tx: &Transaction<'_>,
    credential: &str,
    per_hour: u32,
    now: u64,
) -> Result<bool, StoreError> {
    let minute = now / MINUTE;
    // Minutes of the future count too: a clock set back makes no room.
    let taken: i64 = tx
        .prepare_cached(
            "SELECT coalesce(sum(count), 0) FROM mdm_fetched
             WHERE credential = ?1 AND minute > ?2",
        )?
        .query_row(params![credential, number(minute.saturating_sub(MINUTES))], |row| row.get(0))?;
    if taken >= i64::from(per_hour) {
        return Ok(false);
    }
    tx.prepare_cached(
        "INSERT INTO mdm_fetched (credential, minute, count) VALUES (?1, ?2, 1)
         ON CONFLICT (credential, minute) DO UPDATE SET count = count + 1",
    )?
    .execute(params![credential, number(minute)])?;
    Ok(true)
}

/// Removes minutes that no longer count.
pub(crate) fn sweep(tx: &Transaction<'_>, now: u64) -> Result<usize, StoreError> {
    let before = (now / MINUTE).saturating_sub(MINUTES);
    Ok(tx
        .prepare_cached("DELETE FROM mdm_fetched WHERE minute <= ?1")?
        .execute([number(before)])?)
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use countersign_store::Owner;

    use super::*;
    use crate::schema::SCHEMA;

    fn open(directory: &tempfile::TempDir) -> Store {
        Store::open(&directory.path().join("verify.db"), Owner::Verify, SCHEMA).unwrap()
    }

    #[tokio::test]
    async fn row_51_an_hour_holds_so_many_challenges_and_a_restart_gives_no_more() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory);
        let start = 1_800_000_000;
        for second in [0, 30, 1800] {
            assert!(take(&store, "jamf", 3, start + second).await.unwrap());
        }
        assert!(!take(&store, "jamf", 3, start + 1801).await.unwrap());
        assert!(take(&store, "other", 3, start + 1801).await.unwrap(), "each has its own");
        store.close().await.unwrap();
        let store = open(&directory);
        assert!(!take(&store, "jamf", 3, start + 3599).await.unwrap());
        assert!(!take(&store, "jamf", 3, start - 86_400).await.unwrap(), "a clock set back");
        assert!(take(&store, "jamf", 3, start + 3660).await.unwrap(), "the first minute is over");
    }

    #[tokio::test]
    async fn what_no_longer_counts_is_removed_and_what_counts_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory);
        assert!(take(&store, "jamf", 1, 1_800_000_000).await.unwrap());
        let kept = store.write(|tx| sweep(tx, 1_800_000_000 + 3000)).await.unwrap();
        assert_eq!(kept, 0);
        assert!(!take(&store, "jamf", 1, 1_800_000_000 + 3000).await.unwrap());
        let removed = store.write(|tx| sweep(tx, 1_800_000_000 + 3700)).await.unwrap();
        assert_eq!(removed, 1);
    }
}

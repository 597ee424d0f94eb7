//! What jobs owe each other: one commit for many, and nobody pays for a neighbour's failure.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests state what they know"
)]

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use countersign_store::rusqlite::{Transaction, params};
use countersign_store::{Migration, Options, Owner, Store, StoreError};
use tempfile::TempDir;

const SCHEMA: &[Migration] = &[Migration {
    name: "0001",
    sql: "CREATE TABLE parent (id INTEGER PRIMARY KEY) STRICT;
          CREATE TABLE item (
              id INTEGER PRIMARY KEY, note TEXT NOT NULL UNIQUE,
              parent INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED
          ) STRICT",
}];

fn new_store(options: Options) -> (TempDir, PathBuf, Store) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("test.db");
    let store = Store::open_with(&path, Owner::Verify, SCHEMA, options).unwrap();
    (directory, path, store)
}

fn insert(tx: &Transaction<'_>, note: &str) -> Result<(), StoreError> {
    tx.execute("INSERT INTO item (note) VALUES (?1)", [note])?;
    Ok(())
}

fn notes(store: &Store) -> Vec<String> {
    store
        .read_blocking(|connection| {
            let mut statement = connection.prepare("SELECT note FROM item ORDER BY note")?;
            let notes = statement.query_map([], |row| row.get(0))?;
            Ok::<_, StoreError>(notes.collect::<Result<_, _>>()?)
        })
        .unwrap()
}

/// Keeps the writer in a job until the sender is dropped or used, so that others queue up behind.
fn hold_writer(store: &Store) -> (mpsc::Sender<()>, std::thread::JoinHandle<()>) {
    let (begun, has_begun) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let store = store.clone();
    let thread = std::thread::spawn(move || {
        let held = store.write_blocking(move |_| {
            begun.send(()).unwrap();
            let _ = released.recv();
            Ok(())
        });
        held.unwrap();
    });
    has_begun.recv().unwrap();
    (release, thread)
}

async fn wait_for_queue(store: &Store, jobs: usize) {
    while store.queued() < jobs {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_wait_share_one_commit() {
    let (_directory, _path, store) = new_store(Options::default());
    let (release, holder) = hold_writer(&store);
    let jobs: Vec<_> = (0..50)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(
                async move { store.write(move |tx| insert(tx, &format!("{number:02}"))).await },
            )
        })
        .collect();
    wait_for_queue(&store, 50).await;
    let before = store.metrics();
    release.send(()).unwrap();
    for job in jobs {
        job.await.unwrap().unwrap();
    }
    holder.join().unwrap();

    let after = store.metrics();
    assert_eq!(
        after.commits - before.commits,
        2,
        "the held job's and one for all fifty: {after:?}"
    );
    assert_eq!(after.jobs - before.jobs, 51);
    assert_eq!(after.largest_batch, 50);
    assert_eq!(notes(&store).len(), 50);
}

// Fails without `Writer::gather`.
#[tokio::test(flavor = "multi_thread")]
async fn while_several_have_announced_a_write_one_commit_waits_for_them() {
    let gather = Duration::from_millis(500);
    let (_directory, _path, store) = new_store(Options { gather, ..Options::default() });
    let announced: Vec<_> = (0..4).map(|_| store.announce()).collect();
    let before = store.metrics();
    let jobs: Vec<_> = (0..4)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(number * 20)).await;
                store.write(move |tx| insert(tx, &number.to_string())).await
            })
        })
        .collect();
    for job in jobs {
        job.await.unwrap().unwrap();
    }
    drop(announced);
    assert_eq!(store.metrics().commits - before.commits, 1);
    assert_eq!(notes(&store).len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_alone_is_never_waited_for_nor_what_is_done() {
    let gather = Duration::from_secs(3600);
    let (_directory, _path, store) = new_store(Options { gather, ..Options::default() });
    drop((store.announce(), store.announce(), store.announce()));
    let announced = store.announce();
    store.write(|tx| insert(tx, "alone")).await.unwrap();
    drop(announced);
    store.write(|tx| insert(tx, "not announced")).await.unwrap();
    assert_eq!(notes(&store).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_bounded() {
    let (_directory, _path, store) = new_store(Options { batch: 10, ..Options::default() });
    let (release, holder) = hold_writer(&store);
    let jobs: Vec<_> = (0..30)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(
                async move { store.write(move |tx| insert(tx, &number.to_string())).await },
            )
        })
        .collect();
    wait_for_queue(&store, 30).await;
    release.send(()).unwrap();
    for job in jobs {
        job.await.unwrap().unwrap();
    }
    holder.join().unwrap();
    assert_eq!(store.metrics().largest_batch, 10);
    assert_eq!(store.metrics().commits, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_and_a_panicking_job_are_undone_alone() {
    let (_directory, _path, store) = new_store(Options::default());
    let (release, holder) = hold_writer(&store);
    let job = |work: fn(&Transaction<'_>) -> Result<(), StoreError>| {
        let store = store.clone();
        tokio::spawn(async move { store.write(work).await })
    };
    let first = job(|tx| insert(tx, "first"));
    let failing = job(|tx| {
        insert(tx, "of the failing job")?;
        insert(tx, "of the failing job")
    });
    let panicking = job(|tx| {
        insert(tx, "of the panicking job")?;
        panic!("on purpose")
    });
    let last = job(|tx| insert(tx, "last"));
    wait_for_queue(&store, 4).await;
    release.send(()).unwrap();
    holder.join().unwrap();

    first.await.unwrap().unwrap();
    assert!(failing.await.unwrap().unwrap_err().is_constraint());
    assert!(matches!(panicking.await.unwrap(), Err(StoreError::JobPanicked)));
    last.await.unwrap().unwrap();
    assert_eq!(notes(&store), ["first", "last"]);
    assert_eq!(store.metrics().commits, 2, "all four were in one batch");
    assert_eq!(store.metrics().failed_jobs, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_commit_answers_every_job_of_the_batch() {
    let (_directory, _path, store) = new_store(Options::default());
    let (release, holder) = hold_writer(&store);
    let good = tokio::spawn({
        let store = store.clone();
        async move { store.write(|tx| insert(tx, "good")).await }
    });
    let orphan = tokio::spawn({
        let store = store.clone();
        async move {
            let insert = "INSERT INTO item (note, parent) VALUES ('orphan', 77)";
            store.write(|tx| Ok(tx.execute(insert, [])?)).await
        }
    });
    wait_for_queue(&store, 2).await;
    release.send(()).unwrap();
    holder.join().unwrap();

    assert!(good.await.unwrap().is_err());
    assert!(orphan.await.unwrap().is_err());
    assert_eq!(notes(&store), [""; 0]);
    // A refused commit leaves no doubt: the store goes on.
    store.write(|tx| insert(tx, "after")).await.unwrap();
    assert_eq!(notes(&store), ["after"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ends_the_shared_transaction_harms_only_its_batch() {
    let (_directory, _path, store) = new_store(Options::default());
    let ended = store.write(|tx| Ok(tx.execute_batch("ROLLBACK")?)).await;
    assert!(matches!(ended, Err(StoreError::TransactionLost)), "{ended:?}");
    store.write(|tx| insert(tx, "after")).await.unwrap();
    assert_eq!(notes(&store), ["after"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_for_another_is_told_so_instead_of_hanging() {
    let (_directory, _path, store) = new_store(Options::default());
    let inner = store.clone();
    let nested = store.write(move |_| inner.write_blocking(|tx| insert(tx, "inner"))).await;
    assert!(matches!(nested, Err(StoreError::Nested)), "{nested:?}");
    store.write(|tx| insert(tx, "after")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_says_busy_and_writes_nothing() {
    let wait = Duration::from_millis(50);
    let (_directory, _path, store) = new_store(Options { queue: 1, wait, ..Options::default() });
    let (release, holder) = hold_writer(&store);
    let queued = tokio::spawn({
        let store = store.clone();
        async move { store.write(|tx| insert(tx, "waited too long")).await }
    });
    wait_for_queue(&store, 1).await;
    let refused = store.write(|tx| insert(tx, "found no place")).await;
    assert!(matches!(refused, Err(StoreError::Busy { .. })), "{refused:?}");
    let refused = store.write_blocking(|tx| insert(tx, "found no place either"));
    assert!(matches!(refused, Err(StoreError::Busy { .. })), "{refused:?}");
    release.send(()).unwrap();
    holder.join().unwrap();

    let too_late = queued.await.unwrap();
    assert!(matches!(too_late, Err(StoreError::Busy { .. })), "{too_late:?}");
    assert_eq!(notes(&store), [""; 0]);
    assert_eq!(store.metrics().busy, 3);
    store.write(|tx| insert(tx, "after")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_nobody_waits_for_any_more_is_not_begun() {
    let (_directory, _path, store) = new_store(Options::default());
    let (release, holder) = hold_writer(&store);
    let abandoned = tokio::spawn({
        let store = store.clone();
        async move { store.write(|tx| insert(tx, "abandoned")).await }
    });
    wait_for_queue(&store, 1).await;
    abandoned.abort();
    assert!(abandoned.await.unwrap_err().is_cancelled());
    release.send(()).unwrap();
    holder.join().unwrap();
    store.write(|tx| insert(tx, "kept")).await.unwrap();
    assert_eq!(notes(&store), ["kept"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_room_is_said_as_such_and_nothing_is_kept() {
    let (_directory, _path, store) = new_store(Options::default());
    let pages = |number: i64| {
        move |tx: &Transaction<'_>| -> Result<(), StoreError> {
            tx.pragma_update_and_check(None, "max_page_count", number, |row| row.get::<_, i64>(0))?;
            Ok(())
        }
    };
    store.write(pages(20)).await.unwrap();
    let (release, holder) = hold_writer(&store);
    let job = |note: String| {
        let store = store.clone();
        tokio::spawn(async move { store.write(move |tx| insert(tx, &note)).await })
    };
    let before = job("before".into());
    wait_for_queue(&store, 1).await;
    let full = job("x".repeat(400_000));
    wait_for_queue(&store, 2).await;
    let behind = job("behind".into());
    wait_for_queue(&store, 3).await;
    release.send(()).unwrap();
    holder.join().unwrap();

    // Here SQLite gives up the whole transaction: who was in it is told so, who was not yet is
    // served by the next one.
    for job in [before, full] {
        let error = job.await.unwrap().unwrap_err();
        assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
        assert!(error.to_string().contains("free space"), "{error}");
    }
    behind.await.unwrap().unwrap();
    assert_eq!(notes(&store), ["behind"]);
    store.write(pages(1_000_000)).await.unwrap();
    store.write(|tx| insert(tx, "after")).await.unwrap();
    assert_eq!(notes(&store), ["after", "behind"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_may_have_an_error_of_their_own() {
    #[derive(Debug)]
    enum Refusal {
        Known,
        Store(#[allow(dead_code, reason = "shown by Debug")] StoreError),
    }
    impl From<StoreError> for Refusal {
        fn from(error: StoreError) -> Self {
            Self::Store(error)
        }
    }
    let (_directory, _path, store) = new_store(Options::default());
    let refused: Result<(), Refusal> = store
        .try_write(|tx| {
            insert(tx, "undone")?;
            Err(Refusal::Known)
        })
        .await;
    assert!(matches!(refused, Err(Refusal::Known)));
    assert_eq!(notes(&store), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_sees_one_snapshot_and_cannot_write() {
    let (_directory, _path, store) = new_store(Options::default());
    store.write(|tx| insert(tx, "one")).await.unwrap();
    let writer = store.clone();
    let (before, after) = store
        .read(move |connection| {
            let count = || connection.query_row("SELECT count(*) FROM item", [], |row| row.get(0));
            let before: i64 = count()?;
            writer.write_blocking(|tx| insert(tx, "two"))?;
            let after: i64 = count()?;
            Ok((before, after))
        })
        .await
        .unwrap();
    assert_eq!((before, after), (1, 1));
    assert_eq!(notes(&store), ["one", "two"]);
    let write = store
        .read(|connection| Ok(connection.execute("INSERT INTO item (note) VALUES ('x')", [])?))
        .await;
    assert!(write.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_are_bounded_and_survive_a_panic() {
    let wait = Duration::from_millis(50);
    let (_directory, _path, store) = new_store(Options { readers: 1, wait, ..Options::default() });
    let panicked = store.read(|_| -> Result<(), StoreError> { panic!("on purpose") }).await;
    assert!(matches!(panicked, Err(StoreError::JobPanicked)));
    let inner = store.clone();
    let second = store.read(move |_| Ok(inner.read_blocking(|_| Ok::<_, StoreError>(())))).await;
    assert!(matches!(second.unwrap(), Err(StoreError::Busy { .. })));
    assert_eq!(notes(&store), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_finishes_what_is_queued_and_empties_the_wal() {
    let (_directory, path, store) = new_store(Options::default());
    let (release, holder) = hold_writer(&store);
    let queued = tokio::spawn({
        let store = store.clone();
        async move { store.write(|tx| insert(tx, "queued")).await }
    });
    wait_for_queue(&store, 1).await;
    let closing = tokio::spawn({
        let store = store.clone();
        async move { store.close().await }
    });
    wait_for_queue(&store, 2).await;
    release.send(()).unwrap();
    holder.join().unwrap();
    queued.await.unwrap().unwrap();
    closing.await.unwrap().unwrap();

    let late = store.write(|tx| insert(tx, "late")).await;
    assert!(matches!(late, Err(StoreError::Closed)), "{late:?}");
    assert!(matches!(store.read(|_| Ok(())).await, Err(StoreError::Closed)));
    assert!(!path.with_extension("db-wal").exists(), "SQLite removes an emptied WAL");
    let again = Store::open(&path, Owner::Verify, SCHEMA).unwrap();
    assert_eq!(notes(&again), ["queued"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wal_is_copied_in_a_pause_and_under_load() {
    let (_directory, path, store) = new_store(Options::default());
    store.write(|tx| insert(tx, "one")).await.unwrap();
    let size = std::fs::metadata(&path).unwrap().len();
    assert_eq!(store.metrics().wal_checkpoints, 0, "not on the way of a job");
    let begin = std::time::Instant::now();
    while store.metrics().wal_checkpoints == 0 {
        assert!(begin.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(std::fs::metadata(&path).unwrap().len() > size);

    let (_directory, path, store) = new_store(Options { wal_frames: 64, ..Options::default() });
    let wal = path.with_extension("db-wal");
    for number in 0..400 {
        let write = move |tx: &Transaction<'_>| {
            let long = format!("{number}{}", "x".repeat(8000));
            Ok(tx.execute("INSERT INTO item (note) VALUES (?1)", params![long])?)
        };
        store.write(write).await.unwrap();
    }
    assert!(store.metrics().wal_checkpoints > 3, "{:?}", store.metrics());
    let wal = std::fs::metadata(wal).unwrap().len();
    assert!(wal < 200 * 4096, "the WAL does not grow with what is written: {wal}");
}

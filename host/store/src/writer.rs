//! The one thread that writes: batches of jobs, one commit each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_fail_points::{Point, reached};
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::announce::Announcements;
use crate::job::{Job, Message, Ran};
use crate::metrics::Counters;
use crate::place::Lock;
use crate::{Options, StoreError};

/// Commits between two looks at the length of the WAL.
const LOOK_EVERY: u32 = 16;

/// Announced writes beside those at hand that are worth waiting for. One alone is never waited for.
const SIBLINGS: usize = 2;

/// After this long without a job the WAL is copied into the database, when nobody waits.
const IDLE: Duration = Duration::from_millis(200);

pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) queue: mpsc::Receiver<Message>,
    pub(crate) runtime: Runtime,
    pub(crate) counters: Arc<Counters>,
    pub(crate) announced: Announcements,
    pub(crate) options: Options,
    /// Set once a commit left open what the disk holds.
    pub(crate) failed: Option<String>,
    /// Let go last, when the database is closed.
    pub(crate) lock: Lock,
}

enum Next {
    Jobs,
    Idle,
    End,
}

impl Writer {
    /// Until the queue is closed and empty; then checkpoints and closes the database.
    pub(crate) fn run(mut self) -> Result<(), StoreError> {
        let mut messages = Vec::new();
        let mut jobs = Vec::new();
        let mut wal_has_news = false;
        let mut unlooked = 0;
        loop {
            match self.wait(&mut messages, wal_has_news) {
                Next::End => break,
                Next::Idle => {
                    self.copy_wal();
                    wal_has_news = false;
                }
                Next::Jobs => {
                    for message in messages.drain(..) {
                        match message {
                            Message::Job(job) => jobs.push(job),
                            Message::Close => self.queue.close(),
                        }
                    }
                    self.work_off(&mut jobs);
                    wal_has_news = true;
                    unlooked += 1;
                    if unlooked == LOOK_EVERY {
                        unlooked = 0;
                        if self.wal_frames() >= self.options.wal_frames {
                            self.copy_wal();
                        }
                    }
                }
            }
        }
        let Self { connection, lock, .. } = self;
        let copied = checkpoint(&connection, "TRUNCATE");
        let closed = connection.close().map_err(|(_, error)| error);
        drop(lock);
        copied.map_err(StoreError::from).and(closed.map_err(StoreError::from))
    }

    fn wait(&mut self, messages: &mut Vec<Message>, wal_has_news: bool) -> Next {
        let Self { runtime, queue, options, .. } = self;
        let taken = runtime.block_on(async {
            let taken = queue.recv_many(messages, options.batch.max(1));
            if wal_has_news {
                tokio::time::timeout(IDLE, taken).await.ok()
            } else {
                Some(taken.await)
            }
        });
        match taken {
            None => Next::Idle,
            Some(0) => Next::End,
            Some(_) => {
                self.gather(messages);
                Next::Jobs
            }
        }
    }

    /// Takes what comes within a moment, where more is announced: one commit for all of it.
    fn gather(&mut self, messages: &mut Vec<Message>) {
        if self.announced.count() < messages.len() + SIBLINGS {
            return;
        }
        // Not woken for each: that would cost what gathering saves.
        std::thread::sleep(self.options.gather);
        while messages.len() < self.options.batch
            && let Ok(message) = self.queue.try_recv()
        {
            messages.push(message);
        }
    }

    /// Runs all `jobs`, usually in one transaction; in more only where SQLite itself gave one up.
    fn work_off(&mut self, jobs: &mut Vec<Box<dyn Job>>) {
        let mut waiting = self.still_wanted(jobs).into_iter();
        while waiting.len() > 0 {
            if let Some(reason) = &self.failed {
                let error = StoreError::Failed { reason: reason.clone() };
                return answer(&self.counters, waiting.collect(), Err(error));
            }
            let (done, committed) =
                match self.connection.transaction_with_behavior(TransactionBehavior::Immediate) {
                    Ok(tx) => run_batch(tx, &mut waiting, &self.counters),
                    Err(error) => (waiting.by_ref().collect(), Err(error.into())),
                };
            match &committed {
                Ok(()) => {
                    Counters::count(&self.counters.commits, 1);
                    self.counters.batch(done.len());
                }
                Err(error) => {
                    Counters::count(&self.counters.failed_commits, 1);
                    tracing::error!(%error, jobs = done.len(), "a database transaction failed");
                    self.failed = leaves_doubt(error).then(|| error.to_string());
                }
            }
            answer(&self.counters, done, committed);
        }
    }

    fn still_wanted(&self, jobs: &mut Vec<Box<dyn Job>>) -> Vec<Box<dyn Job>> {
        let mut wanted = Vec::with_capacity(jobs.len());
        for job in jobs.drain(..) {
            let (waited, too_long) = job.waited();
            if too_long {
                Counters::count(&self.counters.busy, 1);
                job.answer(Err(StoreError::Busy { waited }));
            } else if !job.is_abandoned() {
                self.counters.waited(waited);
                wanted.push(job);
            }
        }
        wanted
    }

    fn wal_frames(&self) -> i64 {
        // NOOP only counts (SQLite 3.51).
        checkpoint(&self.connection, "NOOP").unwrap_or(0)
    }

    /// PASSIVE waits for nobody: readers keep what they see, and what cannot be copied now is
    /// copied next time.
    fn copy_wal(&mut self) {
        match checkpoint(&self.connection, "PASSIVE") {
            Ok(_) => Counters::count(&self.counters.wal_checkpoints, 1),
            // Nothing is lost: all of it is still in the WAL.
            Err(error) => tracing::warn!(%error, "could not copy the WAL into the database"),
        }
    }
}

/// Frames in the WAL, of which as many as the mode allows are now in the database.
fn checkpoint(connection: &Connection, mode: &str) -> Result<i64, rusqlite::Error> {
    connection
        .prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?
        .query_row([], |row| row.get(1))
}

/// Runs jobs one by one, each in a savepoint of its own, and commits. Gives back the jobs that
/// took part; `waiting` keeps the rest where SQLite gave the transaction up.
fn run_batch(
    tx: Transaction<'_>,
    waiting: &mut std::vec::IntoIter<Box<dyn Job>>,
    counters: &Counters,
) -> (Vec<Box<dyn Job>>, Result<(), StoreError>) {
    let mut done = Vec::with_capacity(waiting.len());
    let mut kept = 0;
    // A job that has the transaction for itself needs no savepoint: undone alone, it is all undone.
    let undo = if waiting.len() == 1 { Undo::Transaction } else { Undo::Savepoint };
    for mut job in waiting {
        let ran = run_one(&tx, &mut *job, undo);
        done.push(job);
        match ran {
            Ok(well) => kept += usize::from(well),
            Err(error) => return (done, Err(error)),
        }
    }
    reached(Point::CommitNext);
    let begin = Instant::now();
    let committed = tx.commit().map_err(StoreError::from);
    counters.committing(begin.elapsed());
    reached(Point::Committed);
    if committed.is_ok() {
        Counters::count(&counters.jobs, kept);
        Counters::count(&counters.failed_jobs, done.len() - kept);
    }
    (done, committed)
}

/// How the work of one job is undone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Undo {
    Savepoint,
    Transaction,
}

/// Whether the job's work is kept. An error means that the whole transaction is lost.
fn run_one(tx: &Transaction<'_>, job: &mut dyn Job, undo: Undo) -> Result<bool, StoreError> {
    if undo == Undo::Savepoint {
        tx.prepare_cached("SAVEPOINT job")?.execute([])?;
    }
    let ran = job.run(tx);
    // Out of room or out of memory, SQLite rolls back everything by itself.
    if tx.is_autocommit() {
        return Err(match ran {
            Ran::Badly(Some(full @ StoreError::Full { .. })) => full,
            Ran::Badly(_) | Ran::Well => StoreError::TransactionLost,
        });
    }
    match (undo, &ran) {
        (Undo::Transaction, Ran::Well) => {}
        (Undo::Transaction, Ran::Badly(_)) => {
            // What commits afterwards is an empty transaction.
            tx.execute_batch("ROLLBACK; BEGIN")?;
        }
        (Undo::Savepoint, ran) => {
            if let Ran::Badly(_) = ran {
                tx.prepare_cached("ROLLBACK TO job")?.execute([])?;
            }
            tx.prepare_cached("RELEASE job")?.execute([])?;
        }
    }
    Ok(matches!(ran, Ran::Well))
}

fn answer(counters: &Counters, jobs: Vec<Box<dyn Job>>, committed: Result<(), StoreError>) {
    if committed.is_err() {
        Counters::count(&counters.failed_jobs, jobs.len());
    }
    for job in jobs {
        job.answer(committed.clone());
    }
}

/// After a failed fsync the kernel may have dropped the pages and call the next one a success, so
/// nobody knows what the disk holds until it is read anew.
fn leaves_doubt(error: &StoreError) -> bool {
    match error {
        StoreError::Sql(error) => matches!(
            error.sqlite_error_code(),
            Some(
                ErrorCode::SystemIoFailure
                    | ErrorCode::DatabaseCorrupt
                    | ErrorCode::NotADatabase
                    | ErrorCode::ReadOnly
            )
        ),
        _ => false,
    }
}

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets of [`StoreMetrics::batch_sizes`]; the last bucket has none.
pub const BATCH_SIZE_BOUNDS: [u64; 7] = [1, 2, 4, 8, 16, 32, 64];

/// Counters since the store was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreMetrics {
    /// Transactions committed: each is one wait for the disk.
    pub commits: u64,
    /// Transactions that could not be begun or committed.
    pub failed_commits: u64,
    /// Jobs whose work was kept.
    pub jobs: u64,
    /// Jobs that failed, panicked or shared a failed commit.
    pub failed_jobs: u64,
    /// Jobs turned away because the writer or the readers had no time for them.
    pub busy: u64,
    /// Most jobs in one transaction.
    pub largest_batch: u64,
    /// Transactions by number of jobs, bounds in [`BATCH_SIZE_BOUNDS`].
    pub batch_sizes: [u64; 8],
    /// Sum over all jobs of the time between queue and begin.
    pub waited: Duration,
    /// Sum over all transactions of the time in COMMIT.
    pub committing: Duration,
    /// Reads answered.
    pub reads: u64,
    /// WAL checkpoints done (SQLite's; nothing to do with the ledger's).
    pub wal_checkpoints: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) commits: AtomicU64,
    pub(crate) failed_commits: AtomicU64,
    pub(crate) jobs: AtomicU64,
    pub(crate) failed_jobs: AtomicU64,
    pub(crate) busy: AtomicU64,
    pub(crate) reads: AtomicU64,
    pub(crate) wal_checkpoints: AtomicU64,
    largest_batch: AtomicU64,
    batch_sizes: [AtomicU64; 8],
    waited_nanos: AtomicU64,
    committing_nanos: AtomicU64,
}

impl Counters {
    pub(crate) fn count(counter: &AtomicU64, more: usize) {
        counter.fetch_add(more as u64, Ordering::Relaxed);
    }

    pub(crate) fn batch(&self, jobs: usize) {
        let jobs = jobs as u64;
        self.largest_batch.fetch_max(jobs, Ordering::Relaxed);
        let bucket = BATCH_SIZE_BOUNDS.iter().position(|bound| jobs <= *bound);
        if let Some(bucket) = self.batch_sizes.get(bucket.unwrap_or(BATCH_SIZE_BOUNDS.len())) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn waited(&self, time: Duration) {
        self.waited_nanos.fetch_add(nanos(time), Ordering::Relaxed);
    }

    pub(crate) fn committing(&self, time: Duration) {
        self.committing_nanos.fetch_add(nanos(time), Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> StoreMetrics {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StoreMetrics {
            commits: of(&self.commits),
            failed_commits: of(&self.failed_commits),
            jobs: of(&self.jobs),
            failed_jobs: of(&self.failed_jobs),
            busy: of(&self.busy),
            largest_batch: of(&self.largest_batch),
            batch_sizes: self.batch_sizes.each_ref().map(of),
            waited: Duration::from_nanos(of(&self.waited_nanos)),
            committing: Duration::from_nanos(of(&self.committing_nanos)),
            reads: of(&self.reads),
            wal_checkpoints: of(&self.wal_checkpoints),
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

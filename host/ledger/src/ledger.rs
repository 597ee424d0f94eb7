use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use countersign_store::Store;
use countersign_store::rusqlite::Connection;

use crate::checkpoint_file::CheckpointFile;
use crate::entry::{Entry, GENESIS};
use crate::{
    CLOCK_TOLERANCE, Checkpoint, CheckpointKey, Digest, Event, Filter, Gap, LedgerError, Lost,
    OpenError, Position, Summary, Text, VerifyingKey, append, query,
};

/// Seconds after which a quiet ledger gets a checkpoint all the same: it shows that `sign` lives.
pub const QUIET_INTERVAL: u64 = 3600;

/// The ledger of a running `sign`. Copies share it.
#[derive(Debug, Clone)]
pub struct Ledger {
    store: Store,
    checkpoints: Arc<Mutex<Checkpoints>>,
}

/// Where checkpoints go and who signs them.
#[derive(Debug)]
pub struct CheckpointSettings {
    /// The file, outside the database; best where something copies it to another machine.
    pub path: PathBuf,
    /// Name of this ledger in checkpoints: no white space, no `+`, at most 128 octets, such as
    /// `ra1.example.com/countersign`.
    pub origin: String,
    /// Signs checkpoints, nothing else.
    pub key: CheckpointKey,
    /// Keys before it: the last checkpoint may be of one of them.
    pub older_keys: Vec<VerifyingKey>,
}

#[derive(Debug)]
struct Checkpoints {
    file: CheckpointFile,
    origin: String,
    key: CheckpointKey,
    /// What the last checkpoint says, or the state that an operator accepted.
    size: u64,
    root: Digest,
    written: Option<Checkpoint>,
}

impl Ledger {
    /// Compares the ledger in `store` with its last checkpoint and checks the chain from there to
    /// the end. A new ledger gets its first checkpoint, so that from then on a missing file shows.
    ///
    /// Blocks; call it before the runtime is busy. `now` is seconds since 1970 UTC.
    ///
    /// # Errors
    /// [`OpenError`]: `sign` must not start.
    pub fn open(store: &Store, settings: CheckpointSettings, now: u64) -> Result<Self, OpenError> {
        let (checkpoints, found) = Checkpoints::open(store, settings)?;
        if let Some(problem) = found {
            return Err(problem.error);
        }
        if let Some(last) = checkpoints.ahead_of(store, now)? {
            return Err(LedgerError::ClockBackwards { last, now }.into());
        }
        Self::start(store, checkpoints, now)
    }

    /// [`Ledger::open`] where an operator accepts that entries or checkpoints are lost, or that the
    /// clock was ahead: records a `gap` for each and goes on from what the database has. Whoever
    /// verifies is shown it for ever.
    ///
    /// # Errors
    /// As [`Ledger::open`], but for what was accepted: damaged entries, a bad checkpoint and a
    /// foreign file are never accepted.
    pub fn open_after_gap(
        store: &Store,
        settings: CheckpointSettings,
        who: &str,
        reason: &str,
        lab: bool,
        now: u64,
    ) -> Result<Self, OpenError> {
        let (mut checkpoints, found) = Checkpoints::open(store, settings)?;
        let clock = checkpoints.ahead_of(store, now)?.map(|last| Lost::Clock { last });
        if found.is_some() {
            let (size, root) = store.read_blocking(|c| check_chain(c, 0, GENESIS))?;
            (checkpoints.size, checkpoints.root) = (size, root);
        }
        // The clock first: only its own entry may be earlier than the one before it.
        for lost in clock.into_iter().chain(found.map(|problem| problem.lost)) {
            let gap = Gap { lost, who: Text::new(who), reason: Text::new(reason) };
            let event = Event::Gap(gap);
            store.try_write_blocking(move |tx| append(tx, &event, now, lab))?;
        }
        Self::start(store, checkpoints, now)
    }

    fn start(store: &Store, checkpoints: Checkpoints, now: u64) -> Result<Self, OpenError> {
        let checkpoints = Arc::new(Mutex::new(checkpoints));
        let ledger = Self { store: store.clone(), checkpoints };
        ledger.checkpoint_blocking(now)?;
        Ok(ledger)
    }

    /// Appends one event in a transaction of its own; durable when this returns. Where something
    /// else must be kept with it, use [`append`] inside [`Store::try_write`].
    ///
    /// # Errors
    /// As [`append`].
    pub async fn append(&self, event: Event, now: u64, lab: bool) -> Result<Position, LedgerError> {
        self.store.try_write(move |tx| append(tx, &event, now, lab)).await
    }

    /// Checks the chain since the last checkpoint, then signs and appends a new one; durable when
    /// this returns. To be called at start and at stop.
    ///
    /// # Errors
    /// [`LedgerError::Damaged`] if an entry is not as it was written or the last checkpoint no
    /// longer fits: stop signing then.
    pub async fn checkpoint(&self, now: u64) -> Result<Checkpoint, LedgerError> {
        let checkpoints = Arc::clone(&self.checkpoints);
        // The snapshot begins with the first statement, which comes after the lock: it is never
        // older than the checkpoint before.
        self.store.try_read(move |connection| lock(&checkpoints).write(connection, now)).await
    }

    /// What a timer calls: [`Ledger::checkpoint`], but in a quiet ledger only each
    /// [`QUIET_INTERVAL`], so that the file grows with what happens and not with time. The chain
    /// is checked in any case.
    ///
    /// # Errors
    /// As [`Ledger::checkpoint`].
    pub async fn checkpoint_if_due(&self, now: u64) -> Result<Option<Checkpoint>, LedgerError> {
        let checkpoints = Arc::clone(&self.checkpoints);
        let write = move |connection: &Connection| lock(&checkpoints).write_if_due(connection, now);
        self.store.try_read(write).await
    }

    /// [`Ledger::checkpoint`] for threads outside an async runtime.
    ///
    /// # Errors
    /// As [`Ledger::checkpoint`].
    pub fn checkpoint_blocking(&self, now: u64) -> Result<Checkpoint, LedgerError> {
        self.store.read_blocking(|connection| lock(&self.checkpoints).write(connection, now))
    }

    /// The checkpoint written last.
    #[must_use]
    pub fn last_checkpoint(&self) -> Option<Checkpoint> {
        lock(&self.checkpoints).written.clone()
    }

    /// The entries that `filter` asks for.
    ///
    /// # Errors
    /// As [`query::entries`].
    pub async fn entries(&self, filter: Filter) -> Result<Vec<Entry>, LedgerError> {
        self.store.try_read(move |connection| query::entries(connection, &filter)).await
    }

    /// All that names one enrolment.
    ///
    /// # Errors
    /// As [`query::summary`].
    pub async fn summary(&self, enrolment: Digest) -> Result<Summary, LedgerError> {
        self.store.try_read(move |connection| query::summary(connection, enrolment)).await
    }

    /// How many entries there are.
    ///
    /// # Errors
    /// The store's.
    pub async fn size(&self) -> Result<u64, LedgerError> {
        self.store.try_read(query::size).await
    }
}

/// What does not fit at start, and what an operator would have to accept as lost.
struct Problem {
    error: OpenError,
    lost: Lost,
}

impl Checkpoints {
    fn open(
        store: &Store,
        settings: CheckpointSettings,
    ) -> Result<(Self, Option<Problem>), OpenError> {
        let CheckpointSettings { path, origin, key, older_keys } = settings;
        if !Checkpoint::is_origin(&origin) {
            return Err(OpenError::File {
                path,
                problem: format!("its origin `{}` is not usable", Text::new(&origin)),
                remedy: "use 1 to 128 visible ASCII characters without `+`",
            });
        }
        let mut keys = vec![key.verifying_key().clone()];
        keys.extend(older_keys);
        let (file, last) = CheckpointFile::open(&path, &keys)?;

        let (size, root, problem) = match &last {
            Some(last) if last.origin != origin => {
                return Err(OpenError::ForeignOrigin {
                    path,
                    expected: origin,
                    found: last.origin.clone(),
                });
            }
            Some(last) => {
                let problem = store.read_blocking(|c| compare(c, last, &path))?;
                (last.size, last.root, problem)
            }
            None => {
                let entries = store.read_blocking(query::size)?;
                let problem = (entries > 0).then(|| Problem {
                    error: OpenError::CheckpointsMissing { path: path.clone(), entries },
                    lost: Lost::Checkpoints,
                });
                (0, GENESIS, problem)
            }
        };
        Ok((Self { file, origin, key, size, root, written: last }, problem))
    }

    /// The highest time that the ledger or its last checkpoint has, where `now` is behind it: after a
    /// restart only this shows that the clock went back.
    fn ahead_of(&self, store: &Store, now: u64) -> Result<Option<u64>, LedgerError> {
        let entry = store.read_blocking(last_time)?;
        let checkpoint = self.written.as_ref().map_or(0, |checkpoint| checkpoint.time);
        let last = entry.max(checkpoint);
        Ok((now.saturating_add(CLOCK_TOLERANCE) < last).then_some(last))
    }

    fn write(&mut self, connection: &Connection, now: u64) -> Result<Checkpoint, LedgerError> {
        let (size, root) = check_chain(connection, self.size, self.root)?;
        let checkpoint = Checkpoint { origin: self.origin.clone(), size, root, time: now };
        self.file.append(&checkpoint.to_note(&self.key)?)?;
        tracing::debug!(size, path = %self.file.path().display(), "ledger checkpoint");
        (self.size, self.root) = (size, root);
        self.written = Some(checkpoint.clone());
        Ok(checkpoint)
    }
}

impl Checkpoints {
    fn write_if_due(
        &mut self,
        connection: &Connection,
        now: u64,
    ) -> Result<Option<Checkpoint>, LedgerError> {
        let (size, _) = check_chain(connection, self.size, self.root)?;
        let quiet = self.written.as_ref().is_some_and(|last| {
            last.size == size && (last.time..last.time + QUIET_INTERVAL).contains(&now)
        });
        if quiet { Ok(None) } else { self.write(connection, now).map(Some) }
    }
}

/// What the database says against `last`, if anything.
fn compare(
    connection: &Connection,
    last: &Checkpoint,
    path: &std::path::Path,
) -> Result<Option<Problem>, LedgerError> {
    let lost = || Lost::Entries { size: last.size, root: last.root, time: last.time };
    let entries = query::size(connection)?;
    if entries < last.size {
        let error =
            OpenError::Truncated { path: path.into(), size: last.size, time: last.time, entries };
        return Ok(Some(Problem { error, lost: lost() }));
    }
    let found = root_at(connection, last.size)?;
    if found != last.root {
        let error =
            OpenError::Differs { path: path.into(), size: last.size, expected: last.root, found };
        return Ok(Some(Problem { error, lost: lost() }));
    }
    Ok(None)
}

/// Time of the last entry; 0 for an empty ledger.
fn last_time(connection: &Connection) -> Result<u64, LedgerError> {
    let Some(from) = query::size(connection)?.checked_sub(1) else { return Ok(0) };
    let filter = Filter { from, limit: 1, ..Filter::default() };
    Ok(query::entries(connection, &filter)?.first().map_or(0, |entry| entry.time))
}

/// Hash that the entry before `size` should have by its content, so that only the content counts.
fn root_at(connection: &Connection, size: u64) -> Result<Digest, LedgerError> {
    let Some(index) = size.checked_sub(1) else {
        return Ok(GENESIS);
    };
    let filter = Filter { from: index, limit: 1, ..Filter::default() };
    match query::entries(connection, &filter)?.first() {
        Some(entry) if entry.index == index => Ok(entry.hash),
        _ => Err(LedgerError::Damaged { index, problem: "the entry is missing".into() }),
    }
}

/// Checks that the ledger still has `root` at `size`, and every link from there to the end. Gives
/// back size and root at the end.
fn check_chain(
    connection: &Connection,
    size: u64,
    root: Digest,
) -> Result<(u64, Digest), LedgerError> {
    let found = root_at(connection, size)?;
    if found != root {
        let problem =
            format!("the last checkpoint says {root} for the first {size} entries, found {found}");
        return Err(LedgerError::Damaged { index: size.saturating_sub(1), problem });
    }
    let (mut size, mut root) = (size, root);
    loop {
        let filter = Filter { from: size, ..Filter::default() };
        let entries = query::entries(connection, &filter)?;
        if entries.is_empty() {
            return Ok((size, root));
        }
        for entry in entries {
            let damaged = |problem| LedgerError::Damaged { index: size, problem };
            if entry.index != size {
                return Err(damaged(format!("missing; the next one is {}", entry.index)));
            }
            if entry.previous != root {
                return Err(damaged(format!(
                    "it follows {}, the entry before it is {root}",
                    entry.previous
                )));
            }
            (size, root) = (size + 1, entry.hash);
        }
    }
}

fn lock(checkpoints: &Mutex<Checkpoints>) -> std::sync::MutexGuard<'_, Checkpoints> {
    checkpoints.lock().unwrap_or_else(PoisonError::into_inner)
}

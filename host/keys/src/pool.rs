//! As many threads as the token can serve at once, and two bounded queues in front of them.
//!
//! Private-key work blocks (a core, or an HSM's session), so it does not run on the threads
//! that serve connections. Signing has its own queue and goes first: strangers cause unwraps,
//! so unwraps never keep an answer from being signed (threat T11).

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::error::TokenError;
use crate::token::{Deadline, Token};

/// How long the end waits for what is being done.
const LAST_WORK: Duration = Duration::from_secs(5);

/// How much may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLimits {
    /// Signatures that may wait for a thread.
    pub waiting_signatures: usize,
    /// Unwraps that may wait for a thread.
    pub waiting_unwraps: usize,
    /// A token whose every thread has been in it for longer than this hangs: what is asked
    /// then fails at once, until one of them comes back.
    pub stalled_after: Duration,
}

impl Default for PoolLimits {
    fn default() -> Self {
        // About half a second of RSA-2048 work on two cores; more would only wait to time out.
        Self {
            waiting_signatures: 1024,
            waiting_unwraps: 1024,
            stalled_after: Duration::from_secs(10),
        }
    }
}

/// What a pool is doing, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStatus {
    /// Signatures waiting.
    pub waiting_signatures: usize,
    /// Unwraps waiting.
    pub waiting_unwraps: usize,
    /// Threads at work.
    pub running: usize,
}

/// The threads of one token. Cheap to clone; the threads end when the last clone is dropped.
#[derive(Clone)]
pub struct KeyPool {
    owner: Arc<Owner>,
}

/// The two kinds of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Sign,
    Unwrap,
}

impl KeyPool {
    /// Starts the threads: as many as the token serves at once.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(token: Arc<dyn Token>, limits: PoolLimits) -> Result<Self, TokenError> {
        let capacity = token.capacity();
        let threads = capacity.sessions.max(1);
        // At least one thread may unwrap, or nothing would ever be opened.
        let most_unwraps = threads.saturating_sub(capacity.reserved_for_signing).max(1);
        let shared = Arc::new(Shared {
            token,
            limits,
            most_unwraps,
            state: Mutex::new(State { at_work: vec![None; threads], ..State::default() }),
            changed: Condvar::new(),
        });
        let mut owner = Owner { shared, threads: Vec::new() };
        for number in 0..threads {
            let shared = Arc::clone(&owner.shared);
            let thread = std::thread::Builder::new()
                .name(format!("key-{number}"))
                .spawn(move || shared.work(number))
                .map_err(|error| TokenError::Lost(format!("no thread for the token: {error}")))?;
            owner.threads.push(thread);
        }
        Ok(Self { owner: Arc::new(owner) })
    }

    /// The token behind it.
    pub fn token(&self) -> &Arc<dyn Token> {
        &self.owner.shared.token
    }

    /// What it is doing now.
    pub fn status(&self) -> PoolStatus {
        let state = self.owner.shared.lock();
        PoolStatus {
            waiting_signatures: state.signatures.len(),
            waiting_unwraps: state.unwraps.len(),
            running: state.running,
        }
    }

    /// Whether the token answers before the deadline, asked through the signing queue.
    ///
    /// # Errors
    /// As the token says, or `Deadline`, or `Busy`.
    pub async fn health(&self, deadline: Deadline) -> Result<(), TokenError> {
        self.run(Work::Sign, deadline, move |token| token.health(deadline)).await
    }

    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: Work,
        deadline: Deadline,
        operation: impl FnOnce(&dyn Token) -> Result<T, TokenError> + Send + 'static,
    ) -> Result<T, TokenError> {
        let (sender, receiver) = oneshot::channel();
        self.owner.shared.push(
            work,
            Box::new(move |token| {
                // Nobody waits any more, or it is too late: leave the token to the next.
                if sender.is_closed() {
                    return;
                }
                let result = deadline.check().and_then(|()| operation(token));
                let _ = sender.send(result);
            }),
        )?;
        match tokio::time::timeout_at(deadline.instant().into(), receiver).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(TokenError::Lost("the operation ended without an answer".into())),
            Err(_) => Err(TokenError::Deadline),
        }
    }
}

impl fmt::Debug for KeyPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPool").field("token", &self.owner.shared.token).finish()
    }
}

/// Ends the threads in order: they finish what they do, and the token is dropped after the
/// last of them (PKCS#11: sessions closing while the process exits crash some modules). A thread
/// that hangs in the token is left behind, and the token with it: nothing is closed under it.
struct Owner {
    shared: Arc<Shared>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.closed = true;
            state.signatures.clear();
            state.unwraps.clear();
        }
        self.shared.changed.notify_all();
        let me = std::thread::current().id();
        let patience = Instant::now() + LAST_WORK;
        for thread in self.threads.drain(..).filter(|thread| thread.thread().id() != me) {
            while !thread.is_finished() && Instant::now() < patience {
                std::thread::sleep(Duration::from_millis(2));
            }
            if thread.is_finished() {
                let _ = thread.join();
            } else {
                let label = self.shared.token.description().label;
                tracing::error!(token = label, "a thread hangs in the token and is left behind");
            }
        }
    }
}

type Job = Box<dyn FnOnce(&dyn Token) + Send>;

#[derive(Default)]
struct State {
    signatures: VecDeque<Job>,
    unwraps: VecDeque<Job>,
    running: usize,
    running_unwraps: usize,
    /// What each thread does, and since when.
    at_work: Vec<Option<(Work, Instant)>>,
    closed: bool,
}

impl State {
    fn note(&mut self, number: usize, what: Option<(Work, Instant)>) {
        if let Some(place) = self.at_work.get_mut(number) {
            *place = what;
        }
    }
}

/// Since when nothing of this kind has moved: the latest start among the threads that could do
/// it, where all of them are in the token.
fn stalled_since(
    at_work: &[Option<(Work, Instant)>],
    work: Work,
    most_unwraps: usize,
) -> Option<Instant> {
    let all = at_work.iter().copied().collect::<Option<Vec<_>>>();
    if let Some(all) = all {
        return all.into_iter().map(|(_, since)| since).max();
    }
    if work == Work::Sign {
        return None;
    }
    let unwraps: Vec<Instant> = at_work
        .iter()
        .flatten()
        .filter(|(work, _)| *work == Work::Unwrap)
        .map(|(_, since)| *since)
        .collect();
    if unwraps.len() < most_unwraps { None } else { unwraps.into_iter().max() }
}

struct Shared {
    token: Arc<dyn Token>,
    limits: PoolLimits,
    most_unwraps: usize,
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Jobs run outside the lock, so a panic never leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, work: Work, job: Job) -> Result<(), TokenError> {
        let mut state = self.lock();
        let (waiting, most) = match work {
            Work::Sign => (state.signatures.len(), self.limits.waiting_signatures),
            Work::Unwrap => (state.unwraps.len(), self.limits.waiting_unwraps),
        };
        if waiting >= most {
            return Err(TokenError::Busy);
        }
        if let Some(since) = stalled_since(&state.at_work, work, self.most_unwraps)
            && since.elapsed() >= self.limits.stalled_after
        {
            return Err(TokenError::Lost(format!(
                "it has not answered for {} seconds",
                since.elapsed().as_secs()
            )));
        }
        let queue = match work {
            Work::Sign => &mut state.signatures,
            Work::Unwrap => &mut state.unwraps,
        };
        queue.push_back(job);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    fn work(&self, number: usize) {
        while let Some((work, job)) = self.next(number) {
            // A panic is the token's fault and one caller's loss, not the end of the thread.
            let ended = catch_unwind(AssertUnwindSafe(|| job(self.token.as_ref())));
            if ended.is_err() {
                tracing::error!(token = ?self.token.description().label, "a token operation panicked");
            }
            let mut state = self.lock();
            state.running -= 1;
            state.note(number, None);
            if work == Work::Unwrap {
                state.running_unwraps -= 1;
                drop(state);
                // An unwrap that had to wait for this one may run now.
                self.changed.notify_one();
            }
        }
    }

    fn next(&self, number: usize) -> Option<(Work, Job)> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(job) = state.signatures.pop_front() {
                state.running += 1;
                state.note(number, Some((Work::Sign, Instant::now())));
                return Some((Work::Sign, job));
            }
            if state.running_unwraps < self.most_unwraps
                && let Some(job) = state.unwraps.pop_front()
            {
                state.running += 1;
                state.running_unwraps += 1;
                state.note(number, Some((Work::Unwrap, Instant::now())));
                return Some((Work::Unwrap, job));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

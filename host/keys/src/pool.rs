//! As many threads as the token can serve at once, and two bounded queues in front of them.
//!
//! Private-key work blocks (a core, or an HSM's session), so it does not run on the threads
//! that serve connections. Signing has its own queue and goes first: strangers cause unwraps,
//! so unwraps never keep an answer from being signed (threat T11).

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::error::TokenError;
use crate::token::{Deadline, Token};

/// How much may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLimits {
    /// Signatures that may wait for a thread.
    pub waiting_signatures: usize,
    /// Unwraps that may wait for a thread.
    pub waiting_unwraps: usize,
}

impl Default for PoolLimits {
    fn default() -> Self {
        // About half a second of RSA-2048 work on two cores; more would only wait to time out.
        Self { waiting_signatures: 1024, waiting_unwraps: 1024 }
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
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
        });
        let mut owner = Owner { shared, threads: Vec::new() };
        for number in 0..threads {
            let shared = Arc::clone(&owner.shared);
            let thread = std::thread::Builder::new()
                .name(format!("key-{number}"))
                .spawn(move || shared.work())
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
/// last of them (PKCS#11: sessions closing while the process exits crash some modules).
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
        for thread in self.threads.drain(..) {
            if thread.thread().id() != me {
                let _ = thread.join();
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
    closed: bool,
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
        let (queue, most) = match work {
            Work::Sign => (&mut state.signatures, self.limits.waiting_signatures),
            Work::Unwrap => (&mut state.unwraps, self.limits.waiting_unwraps),
        };
        if queue.len() >= most {
            return Err(TokenError::Busy);
        }
        queue.push_back(job);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    fn work(&self) {
        while let Some((work, job)) = self.next() {
            // A panic is the token's fault and one caller's loss, not the end of the thread.
            let ended = catch_unwind(AssertUnwindSafe(|| job(self.token.as_ref())));
            if ended.is_err() {
                tracing::error!(token = ?self.token.description().label, "a token operation panicked");
            }
            let mut state = self.lock();
            state.running -= 1;
            if work == Work::Unwrap {
                state.running_unwraps -= 1;
                drop(state);
                // An unwrap that had to wait for this one may run now.
                self.changed.notify_one();
            }
        }
    }

    fn next(&self) -> Option<(Work, Job)> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(job) = state.signatures.pop_front() {
                state.running += 1;
                return Some((Work::Sign, job));
            }
            if state.running_unwraps < self.most_unwraps
                && let Some(job) = state.unwraps.pop_front()
            {
                state.running += 1;
                state.running_unwraps += 1;
                return Some((Work::Unwrap, job));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

//! One call: a fresh store, a deadline from two sides, and a reason for every way it can fail.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use wasmtime::{
    Engine, PoolConcurrencyLimitError, Store, Trap, UpdateDeadline, component::ResourceTableError,
};

use crate::{
    backend::Staged,
    budget::{Budgets, Exceeded},
    contract::Adapter,
    log::LogLine,
    model::{Attributes, Malformed},
    state::{CallParts, CallState, Stopped},
};

/// A guest that waits inside WASI is not seen by the clock; so long after its deadline it is taken
/// down from outside.
const GRACE: Duration = Duration::from_millis(50);
/// Never used up: fuel is measured, and the clock ends calls.
const FUEL: u64 = u64::MAX / 2;

/// What a call is made for, as far as the plug-in may know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallContext {
    /// Ties log lines and ledger entries together. Opaque to plug-ins.
    pub trace_id: String,
    /// Nobody waits for the answer; the caller drops what is staged.
    pub trial: bool,
    /// The host's time, seconds since 1970.
    pub now: u64,
    /// What the caller has left for this call, where that is less than the plug-in's own budget.
    pub time_left: Option<Duration>,
    /// Open-ended.
    pub attributes: Attributes,
}

/// A call that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallOutcome<T> {
    /// What the plug-in said.
    pub answer: T,
    /// What it wants to change. Nothing of it has happened.
    pub staged: Staged,
    /// What it wrote into the log; the process's log has it already.
    pub log: Vec<LogLine>,
    /// What it used.
    pub used: Used,
}

/// What a call used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// From instantiation to answer.
    pub time: Duration,
    /// Linear memory.
    pub memory_bytes: usize,
    /// Calls of our host functions.
    pub host_calls: u32,
    /// Lines that were over the log's limits.
    pub log_dropped: u32,
    /// Calls of `http` and `secrets` that were refused for want of a grant.
    pub refused: u32,
    /// WebAssembly's own measure of work, where the sandbox meters: about an instruction each, and the
    /// same on every machine.
    pub fuel: Option<u64>,
}

/// A call without an answer. Whoever asked must treat it as "unavailable", never as approval.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct CallFailure {
    /// Why.
    #[source]
    pub error: CallError,
    /// What the plug-in wrote before: often the best hint.
    pub log: Vec<LogLine>,
    /// What it used.
    pub used: Used,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Too many calls of this plug-in, or of all together.
    #[error(
        "the plug-in has too many calls already; grant it more concurrency or queue if this lasts"
    )]
    Busy,
    /// It failed so often that it is not asked for a while.
    #[error("the plug-in failed too often in a row and is not asked for another {0:?}")]
    Suspended(Duration),
    /// It took too long.
    #[error("the plug-in did not answer within {0:?}")]
    Deadline(Duration),
    /// It wanted more than it may have.
    #[error("the plug-in is over its budget: {0}")]
    Budget(#[from] Exceeded),
    /// It broke.
    #[error("the plug-in trapped: {0}")]
    Trap(String),
    /// Its answer makes no sense.
    #[error("the plug-in's answer is malformed: {0}")]
    Malformed(#[from] Malformed),
    /// It has no such interface: ask `Plugin::offers` first.
    #[error(transparent)]
    NotExported(#[from] NotExported),
    /// It used a power that it was not granted.
    #[error(
        "the plug-in vouched for the request exactly as requested, which is not granted; grant it \
         with `exactly-as-requested = true` under `[plugin.NAME.grants]` only if its service \
         validates whole requests"
    )]
    Ungranted,
    /// Nobody waited any more.
    #[error("the call was abandoned")]
    Abandoned,
    /// A fault of the host.
    #[error("the host failed to run the plug-in: {0}")]
    Host(String),
}

impl CallError {
    /// Whether it speaks against the plug-in, so that the breaker counts it.
    pub(crate) fn is_the_plugins(&self) -> bool {
        match self {
            Self::Deadline(_) | Self::Budget(_) | Self::Trap(_) | Self::Malformed(_) => true,
            Self::Busy
            | Self::Suspended(_)
            | Self::NotExported(_)
            | Self::Ungranted
            | Self::Abandoned
            | Self::Host(_) => false,
        }
    }

    /// A word for metrics and the ledger.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Suspended(_) => "suspended",
            Self::Deadline(_) => "deadline",
            Self::Budget(_) => "budget",
            Self::Trap(_) => "trap",
            Self::Malformed(_) => "malformed",
            Self::NotExported(_) => "not-exported",
            Self::Ungranted => "ungranted",
            Self::Abandoned => "abandoned",
            Self::Host(_) => "host",
        }
    }
}

impl From<CallError> for CallFailure {
    fn from(error: CallError) -> Self {
        Self { error, log: Vec::new(), used: Used::default() }
    }
}

/// An optional interface that the component does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the plug-in does not export `{0}`")]
pub struct NotExported(pub &'static str);

/// What is asked of an instance.
pub(crate) type Asking<'a, T> = Pin<Box<dyn Future<Output = wasmtime::Result<T>> + Send + 'a>>;

/// Everything that a call needs beside its question.
pub(crate) struct Call {
    pub(crate) engine: Engine,
    pub(crate) adapter: Arc<Adapter>,
    pub(crate) parts: CallParts,
    /// Held until the instance is gone, not only until nobody waits any more.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
    /// For the message when it is over.
    pub(crate) time: Duration,
}

impl Call {
    /// Runs to an answer or a failure. The guest runs in a task of its own: a caller that goes away
    /// never drops it half-way (CVE-2026-27195), it only asks it to stop at the next tick.
    pub(crate) async fn run<T, A>(self, ask: A) -> Result<CallOutcome<T>, CallFailure>
    where
        T: Send + 'static,
        A: for<'a> FnOnce(&'a Adapter, &'a mut Store<CallState>) -> Asking<'a, T> + Send + 'static,
    {
        let abandon = AbandonOnDrop(Arc::clone(&self.parts.abandoned));
        let finished = tokio::spawn(self.finish(ask)).await;
        drop(abandon);
        match finished {
            Ok(result) => result,
            Err(panic) => Err(CallError::Host(panic.to_string()).into()),
        }
    }

    async fn finish<T, A>(self, ask: A) -> Result<CallOutcome<T>, CallFailure>
    where
        A: for<'a> FnOnce(&'a Adapter, &'a mut Store<CallState>) -> Asking<'a, T>,
    {
        let _permit = self.permit;
        let started = Instant::now();
        let deadline = self.parts.deadline;
        let budgets = Arc::clone(&self.parts.budgets);
        let mut store = store(&self.engine, self.parts);
        let asked = tokio::time::timeout_at(deadline + GRACE, ask(&self.adapter, &mut store)).await;
        let answer = match asked {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(reason(&error, &budgets, self.time)),
            Err(_) => Err(CallError::Deadline(self.time)),
        };
        let fuel = store.get_fuel().ok().map(|left| FUEL - left);
        // After a trap or a time-out the store is not used again; in fact, it never is.
        let remains = store.into_data().into_remains();
        let used = Used {
            time: started.elapsed(),
            memory_bytes: remains.memory_bytes,
            host_calls: remains.host_calls,
            log_dropped: remains.log_dropped,
            refused: remains.refused,
            fuel,
        };
        match answer {
            Ok(answer) => {
                Ok(CallOutcome { answer, staged: remains.staged, log: remains.log, used })
            }
            Err(error) => Err(CallFailure { error, log: remains.log, used }),
        }
    }
}

struct AbandonOnDrop(Arc<AtomicBool>);

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn store(engine: &Engine, parts: CallParts) -> Store<CallState> {
    let budgets = Arc::clone(&parts.budgets);
    let mut store = Store::new(engine, CallState::new(parts));
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(budgets.crossing_bytes);
    store.set_max_component_handles(budgets.component_handles);
    // An engine that does not meter has none to set.
    let _ = store.set_fuel(FUEL);
    store.set_epoch_deadline(1);
    // Reads the host's own data only: a callback that touched the store could be called within a
    // bulk operation (RUSTSEC-2026-0223).
    store.epoch_deadline_callback(|context| match context.data().may_go_on() {
        // Tokio's own yield: wasmtime's plain one is queued first again and starves others.
        Ok(()) => Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))),
        Err(stopped) => Err(stopped.into()),
    });
    store
}

/// Finds out what an error of wasmtime was about.
fn reason(error: &wasmtime::Error, budgets: &Budgets, time: Duration) -> CallError {
    if let Some(stopped) = error.downcast_ref::<Stopped>() {
        return match stopped {
            Stopped::Deadline => CallError::Deadline(time),
            Stopped::Abandoned => CallError::Abandoned,
        };
    }
    if let Some(exceeded) = error.downcast_ref::<Exceeded>() {
        return CallError::Budget(*exceeded);
    }
    if let Some(malformed) = error.downcast_ref::<Malformed>() {
        return CallError::Malformed(malformed.clone());
    }
    if let Some(missing) = error.downcast_ref::<NotExported>() {
        return CallError::NotExported(*missing);
    }
    if error.is::<PoolConcurrencyLimitError>() {
        return CallError::Busy;
    }
    if error.is::<ResourceTableError>() {
        return CallError::Budget(Exceeded::Resources(budgets.resources));
    }
    if let Some(Trap::StackOverflow) = error.downcast_ref::<Trap>() {
        return CallError::Budget(Exceeded::Stack);
    }
    let root = error.root_cause().to_string();
    // These have no types of their own; tests hold the texts.
    if root.contains("fuel allocated for hostcalls") {
        return CallError::Budget(Exceeded::Crossing(budgets.crossing_bytes));
    }
    if root.contains("store handle limit exceeded") {
        return CallError::Budget(Exceeded::Handles(budgets.component_handles));
    }
    if root.contains("instance count too high") {
        return CallError::Budget(Exceeded::CoreInstances(budgets.core_instances));
    }
    if root.contains("memory count too high") {
        return CallError::Budget(Exceeded::Memories(budgets.memories));
    }
    if root.contains("table count too high") {
        return CallError::Budget(Exceeded::Tables(budgets.tables));
    }
    CallError::Trap(crate::log::escaped(&root, 512))
}

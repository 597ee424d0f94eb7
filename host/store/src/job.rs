use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rusqlite::Transaction;
use tokio::sync::oneshot;

use crate::StoreError;

/// A piece of work in the writer's queue, its type forgotten.
pub(crate) trait Job: Send {
    /// Whether nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;
    /// How long it has waited, and whether that is longer than it may.
    fn waited(&self) -> (Duration, bool);
    /// Does the work.
    fn run(&mut self, tx: &Transaction<'_>) -> Ran;
    /// Tells the one who waits, after the commit or its failure.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

/// What became of a job's work.
pub(crate) enum Ran {
    /// Keep what it wrote.
    Well,
    /// Undo it; the store's own error, where it failed with one.
    Badly(Option<StoreError>),
}

/// What the writer thread is told.
pub(crate) enum Message {
    Job(Box<dyn Job>),
    /// Take nothing new, finish what is queued, end.
    Close,
}

pub(crate) fn queue_up<T, E, F>(
    work: F,
    wait: Duration,
) -> (Message, oneshot::Receiver<Result<T, E>>)
where
    F: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    let job = Pending { work: Some(work), result: None, reply, queued: Instant::now(), wait };
    (Message::Job(Box::new(job)), answer)
}

struct Pending<T, E, F> {
    work: Option<F>,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
    queued: Instant,
    wait: Duration,
}

impl<T, E, F> Job for Pending<T, E, F>
where
    F: FnOnce(&Transaction<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<StoreError> + Send + 'static,
{
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn waited(&self) -> (Duration, bool) {
        let waited = self.queued.elapsed();
        (waited, waited > self.wait)
    }

    fn run(&mut self, tx: &Transaction<'_>) -> Ran {
        let Some(work) = self.work.take() else {
            return Ran::Badly(None);
        };
        // The connection survives an unwind: statements are reset when dropped, and whatever was
        // written is undone with the savepoint.
        let result = catch_unwind(AssertUnwindSafe(|| work(tx))).unwrap_or_else(|panic| {
            tracing::error!(panic = panic_text(&*panic), "a database job panicked");
            Err(E::from(StoreError::JobPanicked))
        });
        let ran = match &result {
            Ok(_) => Ran::Well,
            Err(error) => Ran::Badly((error as &dyn Any).downcast_ref().cloned()),
        };
        self.result = Some(result);
        ran
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        // A refusal may rest on what a neighbour wrote in the same transaction, so it too is only
        // as good as the commit.
        let result = match committed {
            Err(error) => Err(E::from(error)),
            Ok(()) => self.result.unwrap_or_else(|| Err(E::from(StoreError::Closed))),
        };
        // Nobody waiting is no fault: a device may hang up at any time.
        let _ = self.reply.send(result);
    }
}

pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no text)")
}

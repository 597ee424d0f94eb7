//! Plug-ins whose world is a script: for golden cases, and for whoever writes a plug-in.
//!
//! What is rehearsed is a [`Rehearsal`] and never a [`Plugin`]. Nothing in the configuration leads
//! here, and whoever asks plug-ins about devices takes a [`Plugin`], which speaks over TLS and has
//! the system's random numbers. All checks of grants, credentials, budgets and answers are the same.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use wasmtime::component::HasData;
use wasmtime_wasi::p2::bindings::random::random;

use crate::{
    backend::{Answer, Backend},
    call::{CallContext, CallFailure, CallOutcome},
    contract::Offers,
    http::{HttpRefusal, HttpRequest, HttpResponse},
    model::{
        Action, ActionResult, Batch, Challenge, Denial, Description, Event, Hint, Outcome, Request,
        Retry, Verdict,
    },
    plugin::Plugin,
};

/// The other end of `http`, without a network.
pub trait Upstream: Send + Sync + 'static {
    /// Answers a request that was granted and could be sent. One that never answers is ended by the
    /// deadline, as a service would be.
    fn answer<'a>(
        &'a self,
        request: &'a HttpRequest,
    ) -> Answer<'a, Result<HttpResponse, HttpRefusal>>;
}

/// Sees what goes over the network and what comes back, without credentials, which the host puts in
/// further down.
pub trait Watcher: Send + Sync + 'static {
    /// A request that was granted, and what the plug-in got for it.
    fn saw(&self, request: &HttpRequest, answer: Result<&HttpResponse, &HttpRefusal>);
}

/// What stands where the network is.
#[derive(Clone)]
pub enum Wire {
    /// A script; nothing is sent.
    Scripted(Arc<dyn Upstream>),
    /// The network, watched.
    Watched(Arc<dyn Watcher>),
}

/// The world that a plug-in is rehearsed in.
#[derive(Clone)]
pub struct Stage {
    /// The other end of `http`.
    pub wire: Wire,
    /// Where random numbers come from.
    pub random: Random,
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage").field("random", &self.random).finish_non_exhaustive()
    }
}

/// Where random numbers come from.
#[derive(Debug, Clone)]
pub enum Random {
    /// The system: as in earnest.
    System,
    /// They count up, call by call and as those of the SDK's mock do, so that what was recorded comes
    /// again. Each call of the plug-in for bytes gets the next number, little-endian, repeated to the
    /// length that was asked for.
    Counting(Arc<AtomicU64>),
}

impl Random {
    /// From 1 on.
    pub fn counting() -> Self {
        Self::Counting(Arc::default())
    }
}

/// A plug-in on a stage.
#[derive(Debug)]
pub struct Rehearsal(Plugin);

impl Rehearsal {
    pub(crate) fn new(plugin: Plugin) -> Self {
        Self(plugin)
    }

    /// What it says about itself.
    pub fn description(&self) -> &Description {
        self.0.description()
    }

    /// Which optional interfaces it has.
    pub fn offers(&self) -> Offers {
        self.0.offers()
    }

    /// As [`Plugin::verify`].
    pub async fn verify(
        &self,
        context: CallContext,
        request: Request,
        backend: Arc<dyn Backend>,
    ) -> Result<CallOutcome<Verdict>, CallFailure> {
        self.0.verify(context, request, backend).await
    }

    /// As [`Plugin::notify`].
    pub async fn notify(
        &self,
        context: CallContext,
        outcome: Outcome,
        backend: Arc<dyn Backend>,
    ) -> Result<CallOutcome<Result<(), Retry>>, CallFailure> {
        self.0.notify(context, outcome, backend).await
    }

    /// As [`Plugin::issue`].
    pub async fn issue(
        &self,
        context: CallContext,
        hint: Hint,
        backend: Arc<dyn Backend>,
    ) -> Result<CallOutcome<Result<Challenge, Denial>>, CallFailure> {
        self.0.issue(context, hint, backend).await
    }

    /// As [`Plugin::on_event`].
    pub async fn on_event(
        &self,
        context: CallContext,
        event: Event,
        backend: Arc<dyn Backend>,
    ) -> Result<CallOutcome<Result<Vec<Action>, Denial>>, CallFailure> {
        self.0.on_event(context, event, backend).await
    }

    /// As [`Plugin::on_schedule`].
    pub async fn on_schedule(
        &self,
        context: CallContext,
        cursor: Option<Vec<u8>>,
        backend: Arc<dyn Backend>,
    ) -> Result<CallOutcome<Result<Batch, Retry>>, CallFailure> {
        self.0.on_schedule(context, cursor, backend).await
    }

    /// As [`Plugin::settled`].
    pub async fn settled(
        &self,
        context: CallContext,
        results: Vec<ActionResult>,
        backend: Arc<dyn Backend>,
    ) -> Result<CallOutcome<Result<(), Retry>>, CallFailure> {
        self.0.settled(context, results, backend).await
    }
}

/// `wasi:random/random` of a stage.
pub(crate) enum StageRandom {
    System,
    Counting(Arc<AtomicU64>),
}

impl From<&Random> for StageRandom {
    fn from(random: &Random) -> Self {
        match random {
            Random::System => Self::System,
            Random::Counting(counter) => Self::Counting(Arc::clone(counter)),
        }
    }
}

impl HasData for StageRandom {
    type Data<'a> = &'a mut Self;
}

impl random::Host for StageRandom {
    fn get_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        if length > crate::state::RANDOM {
            wasmtime::bail!("at most {} random bytes at once, not {length}", crate::state::RANDOM);
        }
        let length = usize::try_from(length)?;
        match self {
            Self::System => {
                let mut bytes = vec![0; length];
                aws_lc_rs::rand::fill(&mut bytes)
                    .map_err(|_| wasmtime::format_err!("the system gives no random bytes"))?;
                Ok(bytes)
            }
            Self::Counting(counter) => Ok(next(counter).into_iter().cycle().take(length).collect()),
        }
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        match self {
            Self::System => {
                let mut bytes = [0; 8];
                aws_lc_rs::rand::fill(&mut bytes)
                    .map_err(|_| wasmtime::format_err!("the system gives no random bytes"))?;
                Ok(u64::from_le_bytes(bytes))
            }
            Self::Counting(counter) => Ok(u64::from_le_bytes(next(counter))),
        }
    }
}

fn next(counter: &AtomicU64) -> [u8; 8] {
    counter.fetch_add(1, Ordering::Relaxed).wrapping_add(1).to_le_bytes()
}

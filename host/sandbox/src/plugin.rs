//! A plug-in, loaded: what the rest of the house asks.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant as Clock},
};

use tokio::time::Instant;
use wasmtime::{Engine, Store};

use crate::{
    backend::Backend,
    breaker::{Breaker, BreakerSettings},
    budget::Budgets,
    bulkhead::{Bulkhead, BulkheadSettings},
    call::{Asking, Call, CallContext, CallError, CallFailure, CallOutcome, NotExported},
    component::Digest,
    contract::{Adapter, Offers, WireContext},
    grants::Grants,
    http::{HostRule, HttpSettings},
    model::{
        Action, ActionResult, Approval, Batch, Challenge, Check, Denial, Description, Event, Hint,
        Malformed, Outcome, Problem, Request, Retry, Verdict, Vouched,
    },
    secrets::PluginSecrets,
    state::{CallParts, CallState, Purpose, Reach},
};

/// What the configuration says about a plug-in.
#[derive(Debug, Clone)]
pub struct PluginSettings {
    /// Its name there, and everywhere on the host.
    pub name: String,
    /// What it may import.
    pub grants: Grants,
    /// Grants the import `http`, and says where it leads.
    pub http: Option<HttpSettings>,
    /// Grants the import `secrets`, where there are any.
    pub secrets: PluginSecrets,
    /// Its own settings.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// For each call.
    pub budgets: Budgets,
    /// For all calls together.
    pub bulkhead: BulkheadSettings,
    /// When to stop asking.
    pub breaker: BreakerSettings,
}

impl PluginSettings {
    /// A plug-in without grants and settings, with the default budgets.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            grants: Grants::default(),
            http: None,
            secrets: PluginSecrets::default(),
            settings: serde_json::Map::new(),
            budgets: Budgets::default(),
            bulkhead: BulkheadSettings::default(),
            breaker: BreakerSettings::default(),
        }
    }

    /// What it may import, with what its other settings grant.
    pub(crate) fn grants(&self) -> Grants {
        Grants { http: self.http.is_some(), secrets: !self.secrets.is_empty(), ..self.grants }
    }
}

/// A plug-in that was checked, tried once, and can be asked. Every call gets a fresh instance.
///
/// No answer is never approval: the caller treats each [`CallFailure`] as "unavailable".
pub struct Plugin {
    name: Arc<str>,
    digest: Digest,
    description: Description,
    runner: Runner,
    bulkhead: Bulkhead,
    breaker: Breaker,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin").field("name", &self.name).field("digest", &self.digest).finish()
    }
}

/// What all calls of a component have in common.
pub(crate) struct Runner {
    pub(crate) engine: Engine,
    pub(crate) adapter: Arc<Adapter>,
    pub(crate) name: Arc<str>,
    pub(crate) grants: Grants,
    pub(crate) reach: Reach,
    pub(crate) settings: Arc<str>,
    pub(crate) budgets: Arc<Budgets>,
}

impl Plugin {
    pub(crate) fn new(
        runner: Runner,
        digest: Digest,
        description: Description,
        settings: &PluginSettings,
    ) -> Self {
        Self {
            name: Arc::clone(&runner.name),
            digest,
            description,
            runner,
            bulkhead: Bulkhead::new(settings.bulkhead.clone()),
            breaker: Breaker::new(settings.breaker.clone()),
        }
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Of the component that runs.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What it may do.
    pub fn grants(&self) -> Grants {
        self.runner.grants
    }

    /// The hosts it may speak to.
    pub fn hosts(&self) -> impl Iterator<Item = &HostRule> {
        self.runner.reach.http.iter().flat_map(|client| client.hosts())
    }

    /// The names of the secrets it may use.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.runner.reach.secrets.names()
    }

    /// What it says about itself.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Which optional interfaces it has.
    pub fn offers(&self) -> Offers {
        self.runner.adapter.offers()
    }

    /// Whether it is not asked at the moment because it kept failing.
    pub fn is_suspended(&self) -> bool {
        self.breaker.is_open(Clock::now())
    }

    /// Asks for a verdict. Commit `staged` with the approval, or drop it.
    pub async fn verify(
        &self,
        context: CallContext,
        request: Request,
        backend: Arc<dyn Backend>,
    ) -> Result<CallOutcome<Verdict>, CallFailure> {
        let purpose = Purpose::Verify { profile: request.profile.clone() };
        let wire = self.runner.wire(&context);
        let outcome = self
            .call(purpose, context, backend, move |adapter, store| {
                Box::pin(adapter.verify(store, wire, request))
            })
            .await?;
        match &outcome.answer {
            Verdict::Approve(Approval { vouched: Vouched::ExactlyAsRequested, .. })
                if !self.runner.grants.exactly_as_requested =>
            {
                Err(CallFailure {
                    error: CallError::Ungranted,
                    log: outcome.log,
                    used: outcome.used,
                })
            }
            _ => Ok(outcome),
        }
    }

    /// Tells an outcome. Commit `staged` when it is `Ok`.
    pub async fn notify(
        &self,
        context: CallContext,
        outcome: Outcome,
        backend: Arc<dyn Backend>,
    ) -> Result<CallOutcome<Result<(), Retry>>, CallFailure> {
        self.offered(self.offers().outcomes, "outcomes")?;
        let wire = self.runner.wire(&context);
        self.call(Purpose::News, context, backend, move |adapter, store| {
            Box::pin(adapter.notify(store, wire, outcome))
        })
        .await
    }

    /// Asks for a challenge. `backend` has stored it already if the plug-in had the host make it.
    pub async fn issue(
        &self,
        context: CallContext,
        hint: Hint,
        backend: Arc<dyn Backend>,
    ) -> Result<CallOutcome<Result<Challenge, Denial>>, CallFailure> {
        self.offered(self.offers().challenges_issuer, "challenges-issuer")?;
        let purpose = Purpose::Issue { profile: hint.profile.clone() };
        let wire = self.runner.wire(&context);
        self.call(purpose, context, backend, move |adapter, store| {
            Box::pin(adapter.issue(store, wire, hint))
        })
        .await
    }

    /// Has an event understood. Commit `staged` together with the actions.
    pub async fn on_event(
        &self,
        context: CallContext,
        event: Event,
        backend: Arc<dyn Backend>,
    ) -> Result<CallOutcome<Result<Vec<Action>, Denial>>, CallFailure> {
        self.offered(self.offers().events, "events")?;
        let wire = self.runner.wire(&context);
        self.call(Purpose::News, context, backend, move |adapter, store| {
            Box::pin(adapter.on_event(store, wire, event))
        })
        .await
    }

    /// Pulls a page of a feed. Commit `staged` together with actions and cursor.
    pub async fn on_schedule(
        &self,
        context: CallContext,
        cursor: Option<Vec<u8>>,
        backend: Arc<dyn Backend>,
    ) -> Result<CallOutcome<Result<Batch, Retry>>, CallFailure> {
        self.offered(self.offers().events, "events")?;
        let wire = self.runner.wire(&context);
        self.call(Purpose::News, context, backend, move |adapter, store| {
            Box::pin(adapter.on_schedule(store, wire, cursor))
        })
        .await
    }

    /// Tells what became of actions. Commit `staged` when it is `Ok`.
    pub async fn settled(
        &self,
        context: CallContext,
        results: Vec<ActionResult>,
        backend: Arc<dyn Backend>,
    ) -> Result<CallOutcome<Result<(), Retry>>, CallFailure> {
        self.offered(self.offers().events, "events")?;
        let wire = self.runner.wire(&context);
        self.call(Purpose::News, context, backend, move |adapter, store| {
            Box::pin(adapter.settled(store, wire, results))
        })
        .await
    }

    async fn call<T, A>(
        &self,
        purpose: Purpose,
        context: CallContext,
        backend: Arc<dyn Backend>,
        ask: A,
    ) -> Result<CallOutcome<T>, CallFailure>
    where
        T: Check + Send + 'static,
        A: for<'a> FnOnce(&'a Adapter, &'a mut Store<CallState>) -> Asking<'a, T> + Send + 'static,
    {
        // First without waiting for a place: a suspended plug-in shall fail at once.
        if self.breaker.is_open(Clock::now()) {
            self.breaker.admit(Clock::now()).map_err(CallError::Suspended)?;
        }
        let permit = self.bulkhead.enter().await.ok_or(CallError::Busy)?;
        self.breaker.admit(Clock::now()).map_err(CallError::Suspended)?;
        let mut call = self.runner.prepare(purpose, &context, Some(backend));
        call.permit = Some(permit);
        let result = self.runner.run(call, ask).await;
        match &result {
            Ok(_) => self.breaker.answered(),
            Err(failure) if failure.error.is_the_plugins() => self.breaker.failed(Clock::now()),
            Err(_) => {}
        }
        result
    }

    fn offered(&self, offered: bool, interface: &'static str) -> Result<(), CallError> {
        if offered { Ok(()) } else { Err(NotExported(interface).into()) }
    }
}

impl Runner {
    /// `describe`, with no grants in effect.
    pub(crate) async fn describe(&self) -> Result<Description, CallFailure> {
        let call = self.prepare(Purpose::Pure, &pure(), None);
        let asked = self.run(call, |adapter, store| Box::pin(adapter.describe(store)));
        Ok(asked.await?.answer)
    }

    /// `validate-settings`.
    pub(crate) async fn validate_settings(
        &self,
        settings: Arc<str>,
    ) -> Result<Vec<Problem>, CallFailure> {
        let call = self.prepare(Purpose::Pure, &pure(), None);
        let asked = self.run(call, move |adapter, store| {
            Box::pin(async move { adapter.validate_settings(store, &settings).await })
        });
        Ok(asked.await?.answer)
    }

    fn wire(&self, context: &CallContext) -> WireContext {
        WireContext {
            milliseconds_left: u32::try_from(self.time(context).as_millis()).unwrap_or(u32::MAX),
            settings: Arc::clone(&self.settings),
            call: context.clone(),
        }
    }

    fn time(&self, context: &CallContext) -> Duration {
        context.time_left.map_or(self.budgets.time, |left| left.min(self.budgets.time))
    }

    fn prepare(
        &self,
        purpose: Purpose,
        context: &CallContext,
        backend: Option<Arc<dyn Backend>>,
    ) -> Call {
        let time = self.time(context);
        Call {
            engine: self.engine.clone(),
            adapter: Arc::clone(&self.adapter),
            parts: CallParts {
                plugin: Arc::clone(&self.name),
                trace_id: context.trace_id.clone(),
                purpose,
                trial: context.trial,
                grants: self.grants,
                reach: self.reach.clone(),
                backend,
                budgets: Arc::clone(&self.budgets),
                deadline: Instant::now() + time,
                abandoned: Arc::new(AtomicBool::new(false)),
            },
            permit: None,
            time,
        }
    }

    /// Runs a call, and lets no answer through that is over the contract's limits.
    async fn run<T, A>(&self, call: Call, ask: A) -> Result<CallOutcome<T>, CallFailure>
    where
        T: Check + Send + 'static,
        A: for<'a> FnOnce(&'a Adapter, &'a mut Store<CallState>) -> Asking<'a, T> + Send + 'static,
    {
        if call.time.is_zero() {
            return Err(CallError::Deadline(call.time).into());
        }
        let outcome = call.run(ask).await?;
        match outcome.answer.check() {
            Ok(()) => Ok(outcome),
            Err(malformed) => {
                Err(CallFailure { error: malformed.into(), log: outcome.log, used: outcome.used })
            }
        }
    }
}

fn pure() -> CallContext {
    CallContext {
        trace_id: "installation".into(),
        trial: true,
        now: 0,
        time_left: None,
        attributes: Vec::new(),
    }
}

impl<T: Check, E: Check> Check for Result<T, E> {
    fn check(&self) -> Result<(), Malformed> {
        match self {
            Ok(answer) => answer.check(),
            Err(refusal) => refusal.check(),
        }
    }
}

impl Check for () {
    fn check(&self) -> Result<(), Malformed> {
        Ok(())
    }
}

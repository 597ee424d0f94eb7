//! One adapter per version of the contract. An adapter translates between a version's generated
//! types and the host's own, and nothing else: every check and limit is below, in `state` and
//! `model`, where none can skip it.

mod rc_2;

use wasmtime::{
    Store,
    component::{InstancePre, Linker},
};

use crate::{
    call::CallContext,
    grants::Grants,
    model::{
        Action, ActionResult, Batch, Challenge, Denial, Description, Event, Hint, Outcome, Problem,
        Request, Retry, Verdict,
    },
    state::CallState,
};

/// The package of the contract.
pub const PACKAGE: &str = "countersign:verifier";

/// The version this host speaks, matched exactly while it is a release candidate.
pub const VERSION: &str = "1.0.0-rc.2";

/// What a component offers beside the interface that all must have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Offers {
    /// `outcomes`.
    pub outcomes: bool,
    /// `challenges-issuer`.
    pub challenges_issuer: bool,
    /// `events`.
    pub events: bool,
}

/// A call as the contract's `context` record wants it.
#[derive(Debug, Clone)]
pub(crate) struct WireContext {
    pub(crate) call: CallContext,
    pub(crate) settings: std::sync::Arc<str>,
    pub(crate) milliseconds_left: u32,
}

/// A component whose exports were found, ready to be instantiated.
pub(crate) enum Adapter {
    Rc2(rc_2::Exports),
}

/// Puts the granted imports of all versions into a linker.
pub(crate) fn link(linker: &mut Linker<CallState>, grants: Grants) -> wasmtime::Result<()> {
    rc_2::link(linker, grants)
}

impl Adapter {
    /// Finds what the component exports, and proves the types of both sides.
    pub(crate) fn new(pre: InstancePre<CallState>) -> wasmtime::Result<Self> {
        rc_2::Exports::new(pre).map(Self::Rc2)
    }

    pub(crate) fn offers(&self) -> Offers {
        let Self::Rc2(exports) = self;
        exports.offers()
    }

    pub(crate) async fn describe(
        &self,
        store: &mut Store<CallState>,
    ) -> wasmtime::Result<Description> {
        let Self::Rc2(exports) = self;
        exports.describe(store).await
    }

    pub(crate) async fn validate_settings(
        &self,
        store: &mut Store<CallState>,
        settings: &str,
    ) -> wasmtime::Result<Vec<Problem>> {
        let Self::Rc2(exports) = self;
        exports.validate_settings(store, settings).await
    }

    pub(crate) async fn verify(
        &self,
        store: &mut Store<CallState>,
        context: WireContext,
        request: Request,
    ) -> wasmtime::Result<Verdict> {
        let Self::Rc2(exports) = self;
        exports.verify(store, context, request).await
    }

    pub(crate) async fn notify(
        &self,
        store: &mut Store<CallState>,
        context: WireContext,
        outcome: Outcome,
    ) -> wasmtime::Result<Result<(), Retry>> {
        let Self::Rc2(exports) = self;
        exports.notify(store, context, outcome).await
    }

    pub(crate) async fn issue(
        &self,
        store: &mut Store<CallState>,
        context: WireContext,
        hint: Hint,
    ) -> wasmtime::Result<Result<Challenge, Denial>> {
        let Self::Rc2(exports) = self;
        exports.issue(store, context, hint).await
    }

    pub(crate) async fn on_event(
        &self,
        store: &mut Store<CallState>,
        context: WireContext,
        event: Event,
    ) -> wasmtime::Result<Result<Vec<Action>, Denial>> {
        let Self::Rc2(exports) = self;
        exports.on_event(store, context, event).await
    }

    pub(crate) async fn on_schedule(
        &self,
        store: &mut Store<CallState>,
        context: WireContext,
        cursor: Option<Vec<u8>>,
    ) -> wasmtime::Result<Result<Batch, Retry>> {
        let Self::Rc2(exports) = self;
        exports.on_schedule(store, context, cursor).await
    }

    pub(crate) async fn settled(
        &self,
        store: &mut Store<CallState>,
        context: WireContext,
        results: Vec<ActionResult>,
    ) -> wasmtime::Result<Result<(), Retry>> {
        let Self::Rc2(exports) = self;
        exports.settled(store, context, results).await
    }
}

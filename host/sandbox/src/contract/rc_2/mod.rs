//! Version 1.0.0-rc.2.

mod from_guest;
mod host;
mod to_guest;

use wasmtime::{
    Store,
    component::{HasSelf, Instance, InstancePre, Linker},
};

use super::{Offers, PACKAGE, VERSION, WireContext};
use crate::{
    grants::Grants,
    model::{
        Action, ActionResult, Batch, Challenge, Denial, Description, Event, Hint, Outcome, Problem,
        Request, Retry, Verdict,
    },
    state::CallState,
};

use self::bindings::exports::countersign::verifier::{
    challenges_issuer, events, outcomes, verifier,
};

#[allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::all,
    clippy::pedantic,
    reason = "generated from wit/, which is documented there"
)]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "plugin-with-everything",
        imports: {
            "countersign:verifier/kv.get": async | trappable,
            "countersign:verifier/kv.compare-and-set": async | trappable,
            "countersign:verifier/challenges.issue": async | trappable,
            "countersign:verifier/challenges.redeem": async | trappable,
            "countersign:verifier/http.send": async | trappable,
            default: trappable,
        },
        exports: { default: async },
    });
}

/// Where a component's exports are; optional ones only if it has them.
pub(crate) struct Exports {
    pre: InstancePre<CallState>,
    verifier: verifier::GuestIndices,
    outcomes: Option<outcomes::GuestIndices>,
    challenges_issuer: Option<challenges_issuer::GuestIndices>,
    events: Option<events::GuestIndices>,
}

/// Links what is granted.
pub(crate) fn link(linker: &mut Linker<CallState>, grants: Grants) -> wasmtime::Result<()> {
    use bindings::countersign::verifier::{challenges, http, kv, log, secrets};
    if grants.log {
        log::add_to_linker::<_, HasSelf<_>>(linker, |state: &mut CallState| state)?;
    }
    if grants.kv {
        kv::add_to_linker::<_, HasSelf<_>>(linker, |state: &mut CallState| state)?;
    }
    if grants.challenges {
        challenges::add_to_linker::<_, HasSelf<_>>(linker, |state: &mut CallState| state)?;
    }
    if grants.http {
        http::add_to_linker::<_, HasSelf<_>>(linker, |state: &mut CallState| state)?;
    }
    if grants.secrets {
        secrets::add_to_linker::<_, HasSelf<_>>(linker, |state: &mut CallState| state)?;
    }
    Ok(())
}

impl Exports {
    pub(crate) fn new(pre: InstancePre<CallState>) -> wasmtime::Result<Self> {
        let has = |interface: &str| {
            let name = format!("{PACKAGE}/{interface}@{VERSION}");
            pre.component().get_export_index(None, &name).is_some()
        };
        let verifier = verifier::GuestIndices::new(&pre)?;
        let outcomes = has("outcomes").then(|| outcomes::GuestIndices::new(&pre)).transpose()?;
        let challenges_issuer = has("challenges-issuer")
            .then(|| challenges_issuer::GuestIndices::new(&pre))
            .transpose()?;
        let events = has("events").then(|| events::GuestIndices::new(&pre)).transpose()?;
        Ok(Self { pre, verifier, outcomes, challenges_issuer, events })
    }

    pub(crate) fn offers(&self) -> Offers {
        Offers {
            outcomes: self.outcomes.is_some(),
            challenges_issuer: self.challenges_issuer.is_some(),
            events: self.events.is_some(),
        }
    }

    pub(crate) async fn describe(
        &self,
        store: &mut Store<CallState>,
    ) -> wasmtime::Result<Description> {
        let instance = self.instance(store).await?;
        // Loading checks the types of all exports: once here, at installation, for each of them.
        if let Some(indices) = &self.outcomes {
            indices.load(&mut *store, &instance)?;
        }
        if let Some(indices) = &self.challenges_issuer {
            indices.load(&mut *store, &instance)?;
        }
        if let Some(indices) = &self.events {
            indices.load(&mut *store, &instance)?;
        }
        let guest = self.verifier.load(&mut *store, &instance)?;
        Ok(guest.call_describe(store).await?.into())
    }

    pub(crate) async fn validate_settings(
        &self,
        store: &mut Store<CallState>,
        settings: &str,
    ) -> wasmtime::Result<Vec<Problem>> {
        let instance = self.instance(store).await?;
        let guest = self.verifier.load(&mut *store, &instance)?;
        let problems = guest.call_validate_settings(store, settings).await?;
        Ok(problems.into_iter().map(Into::into).collect())
    }

    pub(crate) async fn verify(
        &self,
        store: &mut Store<CallState>,
        context: WireContext,
        request: Request,
    ) -> wasmtime::Result<Verdict> {
        let instance = self.instance(store).await?;
        let guest = self.verifier.load(&mut *store, &instance)?;
        let verdict = guest.call_verify(store, &context.into(), &request.into()).await?;
        Ok(verdict.into())
    }

    pub(crate) async fn notify(
        &self,
        store: &mut Store<CallState>,
        context: WireContext,
        outcome: Outcome,
    ) -> wasmtime::Result<Result<(), Retry>> {
        let instance = self.instance(store).await?;
        let indices = exported(&self.outcomes, "outcomes")?;
        let guest = indices.load(&mut *store, &instance)?;
        let told = guest.call_notify(store, &context.into(), &outcome.into()).await?;
        Ok(told.map_err(Into::into))
    }

    pub(crate) async fn issue(
        &self,
        store: &mut Store<CallState>,
        context: WireContext,
        hint: Hint,
    ) -> wasmtime::Result<Result<Challenge, Denial>> {
        let instance = self.instance(store).await?;
        let indices = exported(&self.challenges_issuer, "challenges-issuer")?;
        let guest = indices.load(&mut *store, &instance)?;
        let issued = guest.call_issue(store, &context.into(), &hint.into()).await?;
        Ok(issued.map(Into::into).map_err(Into::into))
    }

    pub(crate) async fn on_event(
        &self,
        store: &mut Store<CallState>,
        context: WireContext,
        event: Event,
    ) -> wasmtime::Result<Result<Vec<Action>, Denial>> {
        let instance = self.instance(store).await?;
        let guest = exported(&self.events, "events")?.load(&mut *store, &instance)?;
        let answer = guest.call_on_event(store, &context.into(), &event.into()).await?;
        Ok(match answer {
            Ok(actions) => Ok(from_guest::actions(actions)?),
            Err(denial) => Err(denial.into()),
        })
    }

    pub(crate) async fn on_schedule(
        &self,
        store: &mut Store<CallState>,
        context: WireContext,
        cursor: Option<Vec<u8>>,
    ) -> wasmtime::Result<Result<Batch, Retry>> {
        let instance = self.instance(store).await?;
        let guest = exported(&self.events, "events")?.load(&mut *store, &instance)?;
        let answer = guest.call_on_schedule(store, &context.into(), cursor.as_deref()).await?;
        Ok(match answer {
            Ok(batch) => Ok(from_guest::batch(batch)?),
            Err(retry) => Err(retry.into()),
        })
    }

    pub(crate) async fn settled(
        &self,
        store: &mut Store<CallState>,
        context: WireContext,
        results: Vec<ActionResult>,
    ) -> wasmtime::Result<Result<(), Retry>> {
        let instance = self.instance(store).await?;
        let guest = exported(&self.events, "events")?.load(&mut *store, &instance)?;
        let results: Vec<_> = results.into_iter().map(Into::into).collect();
        let told = guest.call_settled(store, &context.into(), &results).await?;
        Ok(told.map_err(Into::into))
    }

    async fn instance(&self, store: &mut Store<CallState>) -> wasmtime::Result<Instance> {
        self.pre.instantiate_async(store).await
    }
}

/// The caller asks `Plugin::offers` first; this is for the one that forgot.
fn exported<'a, T>(indices: &'a Option<T>, interface: &'static str) -> wasmtime::Result<&'a T> {
    indices.as_ref().ok_or_else(|| crate::call::NotExported(interface).into())
}

use std::marker::PhantomData;
use std::time::Duration;

use crate::bindings::challenges_issuer::exports::countersign::verifier::challenges_issuer as issuer;
use crate::bindings::events::exports::countersign::verifier::events;
use crate::bindings::outcomes::exports::countersign::verifier::outcomes;
use crate::bindings::plugin::countersign::verifier::types as wire;
use crate::bindings::plugin::exports::countersign::verifier::verifier;
use crate::{
    ChallengesIssuer, Context, Denial, DenialCode, Events, Host, NotApproved, Outcomes, Problem,
    Retry, Verifier, settings, wire as convert,
};

/// How soon to ask again where the settings of a running plug-in do not fit. The host has checked
/// them when it loaded the configuration, so this should be gone with its next load.
const MISCONFIGURED_RETRY: Duration = Duration::from_secs(300);

/// Makes a component's exports of a [`Verifier`].
#[derive(Debug)]
pub struct Adapter<V>(PhantomData<V>);

/// What a call that does work begins with.
struct Call<S> {
    settings: S,
    context: Context,
    host: Host,
}

impl<S: serde::de::DeserializeOwned> Call<S> {
    fn begin(context: wire::Context) -> Result<Self, Problem> {
        report_panics();
        let settings = settings::read(&context.settings)?;
        Ok(Self { settings, context: context.into(), host: host() })
    }
}

impl From<Problem> for Retry {
    fn from(problem: Problem) -> Self {
        Retry::new(MISCONFIGURED_RETRY, problem.to_string())
    }
}

impl From<Problem> for Denial {
    fn from(problem: Problem) -> Self {
        Denial::new(DenialCode::Other("misconfigured".to_owned()), problem.to_string())
    }
}

impl<V: Verifier> verifier::Guest for Adapter<V> {
    fn describe() -> verifier::Description {
        report_panics();
        V::describe().into_wire(settings::schema::<V::Settings>())
    }

    fn validate_settings(text: String) -> Vec<verifier::Problem> {
        report_panics();
        settings::check::<V>(&text).into_iter().map(Into::into).collect()
    }

    fn verify(context: wire::Context, request: wire::Request) -> wire::Verdict {
        let verdict = Call::begin(context)
            .map_err(|problem| NotApproved::Unavailable(problem.into()))
            .and_then(|call| V::verify(&call.settings, &call.context, &request.into(), &call.host));
        convert::verdict(verdict)
    }
}

impl<V: Outcomes> outcomes::Guest for Adapter<V> {
    fn notify(context: wire::Context, outcome: outcomes::Outcome) -> Result<(), wire::Retry> {
        let call = Call::begin(context).map_err(Retry::from)?;
        Ok(V::notify(&call.settings, &call.context, &outcome.into(), &call.host)?)
    }
}

impl<V: ChallengesIssuer> issuer::Guest for Adapter<V> {
    fn issue(
        context: wire::Context,
        hint: issuer::Hint,
    ) -> Result<issuer::Challenge, wire::Denial> {
        let call = Call::begin(context).map_err(Denial::from)?;
        Ok(V::issue(&call.settings, &call.context, &hint.into(), &call.host)?.into())
    }
}

impl<V: Events> events::Guest for Adapter<V> {
    fn on_event(
        context: wire::Context,
        event: events::Event,
    ) -> Result<Vec<events::Action>, wire::Denial> {
        let call = Call::begin(context).map_err(Denial::from)?;
        let actions = V::on_event(&call.settings, &call.context, &event.into(), &call.host)?;
        Ok(actions.into_iter().map(Into::into).collect())
    }

    fn on_schedule(
        context: wire::Context,
        cursor: Option<Vec<u8>>,
    ) -> Result<events::Batch, wire::Retry> {
        let call = Call::begin(context).map_err(Retry::from)?;
        let batch = V::on_schedule(&call.settings, &call.context, cursor.as_deref(), &call.host)?;
        Ok(batch.into())
    }

    fn settled(
        context: wire::Context,
        results: Vec<events::ActionResult>,
    ) -> Result<(), wire::Retry> {
        let call = Call::begin(context).map_err(Retry::from)?;
        let results: Vec<_> = results.into_iter().map(Into::into).collect();
        Ok(V::settled(&call.settings, &call.context, &results, &call.host)?)
    }
}

#[cfg(target_arch = "wasm32")]
fn host() -> Host {
    Host::new(crate::host::Backend)
}

/// The exports are compiled natively too, so that compiler and lints see them, but only a component
/// has a host behind its imports.
#[cfg(not(target_arch = "wasm32"))]
fn host() -> Host {
    Host::new(crate::host::Backend::default())
}

/// A panic traps, and a trap says only where in the machine code it was: tell the log before.
fn report_panics() {
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| {
        host().log().error(panic.to_string());
    }));
}

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{
    Action, ActionResult, Batch, Context, Denial, Description, Event, Hint, Host, IssuedChallenge,
    Outcome, Problem, Request, Retry, Verdict,
};

/// Answers one question for one kind of device management: is this device who it says it is, and
/// which names are its own?
///
/// Every call gets a fresh instance, so there is no `self`: state lives in [`Host::kv`], or travels
/// to [`Outcomes::notify`] in [`Approval::memo`](crate::Approval::memo). A panic counts as
/// `unavailable`, never as approval; its message is found in the host's log.
pub trait Verifier {
    /// The settings of the configuration, `[plugin.NAME.settings]`. Their JSON Schema is made from
    /// this type: put `#[serde(deny_unknown_fields, rename_all = "kebab-case")]` on it and a doc
    /// comment on every field, which becomes its description.
    /// [`NoSettings`](crate::NoSettings) if there are none.
    type Settings: DeserializeOwned + JsonSchema;

    /// Says what the plug-in is. Runs at installation without any grant, so it must be pure.
    fn describe() -> Description;

    /// Checks the settings beyond what their type says; report everything at once. As pure as
    /// [`Verifier::describe`].
    fn check_settings(settings: &Self::Settings) -> Vec<Problem> {
        let _ = settings;
        Vec::new()
    }

    /// Answers the question. May be called again for the same request, also at the same time on
    /// another instance: do nothing here that must happen once. What is done with [`Host::kv`] and
    /// [`Host::challenges`] is kept aside and comes true only when all verifiers have approved.
    ///
    /// # Errors
    ///
    /// Everything but a yes: [`deny`](crate::deny), [`pending`](crate::pending),
    /// [`unavailable`](crate::unavailable). The errors of [`Host`] convert by `?`.
    fn verify(
        settings: &Self::Settings,
        context: &Context,
        request: &Request,
        host: &Host,
    ) -> Verdict;
}

/// For plug-ins that tell the device management how an enrolment ended: `export!(… with outcomes)`.
pub trait Outcomes: Verifier {
    /// Tells it. Delivered at least once, in order per transaction, until it returns `Ok`: use
    /// [`Outcome::idempotency_key`] where the other side cannot take a repetition.
    ///
    /// # Errors
    ///
    /// [`Retry`], if it could not be told: it is delivered again. The errors of [`Host`] convert by
    /// `?`.
    fn notify(
        settings: &Self::Settings,
        context: &Context,
        outcome: &Outcome,
        host: &Host,
    ) -> Result<(), Retry>;
}

/// For device managements that fetch a challenge before the device enrols: `export!(… with
/// challenges)`.
pub trait ChallengesIssuer: Verifier {
    /// Makes a challenge: with `host.challenges().issue(…)` where the host keeps it, or fetched from
    /// the device management where that keeps its own.
    ///
    /// # Errors
    ///
    /// [`Denial`], if there is none for this hint.
    fn issue(
        settings: &Self::Settings,
        context: &Context,
        hint: &Hint,
        host: &Host,
    ) -> Result<IssuedChallenge, Denial>;
}

/// For plug-ins that hear from the device management, pushed or pulled: `export!(… with events)`.
pub trait Events: Verifier {
    /// Understands an event. The caller gets a 2xx answer once the actions are safely stored.
    ///
    /// # Errors
    ///
    /// [`Denial`], if the event is none that this plug-in understands.
    fn on_event(
        settings: &Self::Settings,
        context: &Context,
        event: &Event,
        host: &Host,
    ) -> Result<Vec<Action>, Denial>;

    /// Pulls news. Called on the schedule of the configuration; `cursor` is that of the last batch.
    /// Unless written, there is nothing to pull.
    ///
    /// # Errors
    ///
    /// [`Retry`], if the feed does not answer.
    fn on_schedule(
        settings: &Self::Settings,
        context: &Context,
        cursor: Option<&[u8]>,
        host: &Host,
    ) -> Result<Batch, Retry> {
        let _ = (settings, context, host);
        Ok(Batch::last(Vec::new(), cursor.unwrap_or_default()))
    }

    /// Tells what became of actions, for feeds that want a report. At least once. Unless written,
    /// nobody is told.
    ///
    /// # Errors
    ///
    /// [`Retry`], if they could not be told: they are delivered again.
    fn settled(
        settings: &Self::Settings,
        context: &Context,
        results: &[ActionResult],
        host: &Host,
    ) -> Result<(), Retry> {
        let _ = (settings, context, results, host);
        Ok(())
    }
}

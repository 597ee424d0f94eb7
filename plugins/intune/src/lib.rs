//! Microsoft Intune decides: it put an encrypted challenge into the device's request, and it is asked
//! whether the request is the one that it has in mind, whole, with every name, usage and length of key.
//!
//! Intune is told of a certificate before the device has it, and of each failure. Where the admin
//! grants it, certificates that Intune wants revoked are fetched from its feed, and it is told what
//! became of them.
//!
//! Only the answer `Success` approves. Nothing is kept of a challenge, and nothing of it is logged.

mod address;
mod answer;
mod code;
mod correlation;
mod discovery;
mod notice;
mod pending;
mod revocation;
mod settings;
mod time;
mod upstream;

use countersign_sdk::{
    Action, ActionResult, Batch, Context, Denial, DenialCode, Description, Event, Events, Host,
    NotApproved, Outcome, Outcomes, Power, Problem, Request, RequestKind, Retry, Verdict, Verifier,
    deny,
};

pub use settings::Settings;

use upstream::Call;

/// The verifier.
#[derive(Debug)]
pub struct Intune;

/// The credential for Microsoft Graph, by the name that the configuration gives it.
pub const GRAPH: &str = "graph";
/// The credential for Intune's own services.
pub const INTUNE: &str = "intune";

impl Verifier for Intune {
    type Settings = Settings;

    fn describe() -> Description {
        Description::new("intune", env!("CARGO_PKG_VERSION"), "Countersign")
            .summary(
                "Devices managed by Microsoft Intune: Intune validates each request against the \
                 challenge and the SCEP profile that it gave the device",
            )
            .wants(
                Power::Host("{/graph-url}".to_owned()),
                "Microsoft Graph, which says where Intune's services of this tenant are",
            )
            .wants(
                Power::Host("*.{/service-domain}".to_owned()),
                "Intune's services: to have requests validated and to report what became of them",
            )
            .wants(
                Power::Secret(GRAPH.to_owned()),
                "An OAuth 2.0 credential for Microsoft Graph (Application.Read.All)",
            )
            .wants(
                Power::Secret(INTUNE.to_owned()),
                "An OAuth 2.0 credential for Intune (scep_challenge_provider)",
            )
            .wants(
                Power::Kv,
                "To remember where Intune's services are, and which revocations it awaits word of",
            )
            .wants(
                Power::ExactlyAsRequested,
                "Intune validates the request as a whole and does not say which names are in it",
            )
            .wants(
                Power::Revocation,
                "With a schedule: to have the certificates revoked that Intune wants revoked",
            )
            .notified_before_answer()
            .link(
                "documentation",
                "https://learn.microsoft.com/mem/intune/protect/scep-libraries-apis",
            )
    }

    fn check_settings(settings: &Settings) -> Vec<Problem> {
        settings.problems()
    }

    fn verify(settings: &Settings, context: &Context, request: &Request, host: &Host) -> Verdict {
        suits(request)?;
        let call = Call { settings, context, host };
        let question = answer::question(request);
        let answer = call
            .post(discovery::Service::Validation, "ScepActions/validateRequest", &question)
            .map_err(NotApproved::Unavailable)?;
        answer::verdict(&answer, request)
    }
}

impl Outcomes for Intune {
    fn notify(
        settings: &Settings,
        context: &Context,
        outcome: &Outcome,
        host: &Host,
    ) -> Result<(), Retry> {
        notice::tell(Call { settings, context, host }, outcome)
    }
}

impl Events for Intune {
    fn on_event(_: &Settings, _: &Context, _: &Event, _: &Host) -> Result<Vec<Action>, Denial> {
        Err(Denial::new(
            DenialCode::NotSupported,
            "Intune pushes nothing: its revocations are fetched on a schedule",
        ))
    }

    fn on_schedule(
        settings: &Settings,
        context: &Context,
        cursor: Option<&[u8]>,
        host: &Host,
    ) -> Result<Batch, Retry> {
        revocation::pull(Call { settings, context, host }, cursor)
    }

    fn settled(
        settings: &Settings,
        context: &Context,
        results: &[ActionResult],
        host: &Host,
    ) -> Result<(), Retry> {
        revocation::report(Call { settings, context, host }, results)
    }
}

/// Intune has no renewals of its own: each request brings a new challenge, whatever it leans on.
fn suits(request: &Request) -> Result<(), NotApproved> {
    if let RequestKind::Other(kind) = &request.kind {
        return Err(deny(DenialCode::NotSupported, format!("a request of the kind `{kind}`")));
    }
    if request.challenge.as_ref().is_none_or(|challenge| challenge.reveal().is_empty()) {
        return Err(deny(
            DenialCode::ChallengeMissing,
            "the request carries no challengePassword; Intune puts a new one into every request, \
             also into those for renewal, so this one does not come by an SCEP profile of Intune's",
        ));
    }
    Ok(())
}

countersign_sdk::export!(Intune with outcomes, events);

//! An HTTPS end point of your own decides: the plug-in posts the request as JSON, signed, and reads
//! whether it is allowed and which names are the device's.
//!
//! It speaks in one of two ways. `step-ca` is the request and signature of step-ca's webhooks, which
//! receivers that exist understand. `countersign` signs a time stamp, a nonce and the address as
//! well, and believes no answer that is not signed for that nonce. Neither way ever vouches for a
//! name because the device asked for it, unless the admin granted exactly that.

mod answer;
mod body;
mod event;
mod notice;
mod seal;
mod settings;
mod time;

use countersign_sdk::{
    Action, ActionResult, Context, Denial, DenialCode, Description, Event, Events, Host,
    HttpRequest, Outcome, Outcomes, Power, Problem, Request, RequestKind, Retry, Verdict, Verifier,
    deny,
};

pub use settings::{Format, Settings, Vouch};

/// The verifier.
#[derive(Debug)]
pub struct Webhook;

/// The key under which both sides sign, by the name that the configuration gives it.
pub const KEY: &str = "webhook-key";
/// The credential that the host puts in, where the settings say so.
pub const CREDENTIAL: &str = "webhook-credential";

impl Verifier for Webhook {
    type Settings = Settings;

    fn describe() -> Description {
        Description::new("webhook", env!("CARGO_PKG_VERSION"), "Countersign")
            .summary("Devices that an HTTPS end point of your own allows")
            .wants(Power::Host("{/url}".to_owned()), "The end point that decides")
            .wants(
                Power::Secret(KEY.to_owned()),
                "To sign what is sent and to check what is answered",
            )
            .wants(
                Power::Secret(CREDENTIAL.to_owned()),
                "With `send-credential`: to log in to the end point",
            )
            .wants(
                Power::ExactlyAsRequested,
                "With `vouch = \"exactly-as-requested\"`: an allowance is for every name in the \
                 request",
            )
            .wants(
                Power::Revocation,
                "If the end point posts events: to have certificates of its devices revoked",
            )
            .event("revoke")
    }

    fn check_settings(settings: &Settings) -> Vec<Problem> {
        settings.problems()
    }

    fn verify(settings: &Settings, context: &Context, request: &Request, host: &Host) -> Verdict {
        suits(settings, request)?;
        let body = body::question(settings, context, request);
        let sent = seal::seal(settings, &settings.url, context, host, body)?;
        let response = host.http().send(sent.request)?;
        let body = sent.seal.open(context, host, &response)?;
        answer::read(settings, request, response.status, body)
    }
}

impl Outcomes for Webhook {
    fn notify(
        settings: &Settings,
        context: &Context,
        outcome: &Outcome,
        host: &Host,
    ) -> Result<(), Retry> {
        let Some(url) = settings.notice_url() else {
            return Ok(());
        };
        let body = notice::notice(settings, context, outcome);
        let mut sent = seal::seal(settings, url, context, host, body).map_err(notice::later)?;
        sent.request = identified(sent.request, outcome);
        let response = host.http().send(sent.request)?;
        if !response.is_success() {
            return Err(notice::refused(response.status));
        }
        sent.seal.open(context, host, &response).map(drop).map_err(notice::later)
    }
}

impl Events for Webhook {
    fn on_event(
        settings: &Settings,
        context: &Context,
        event: &Event,
        host: &Host,
    ) -> Result<Vec<Action>, Denial> {
        event::read(settings, context.now, event, host)
    }

    fn settled(
        settings: &Settings,
        context: &Context,
        results: &[ActionResult],
        host: &Host,
    ) -> Result<(), Retry> {
        let Some(url) = settings.notice_url() else {
            return Ok(());
        };
        let body = notice::settled(context, results);
        let sent = seal::seal(settings, url, context, host, body).map_err(notice::later)?;
        let response = host.http().send(sent.request)?;
        if !response.is_success() {
            return Err(notice::refused(response.status));
        }
        sent.seal.open(context, host, &response).map(drop).map_err(notice::later)
    }
}

/// One delivery may come twice: this is how the receiver knows.
fn identified(request: HttpRequest, outcome: &Outcome) -> HttpRequest {
    request
        .header("x-request-id", &outcome.idempotency_key)
        .header("idempotency-key", &outcome.idempotency_key)
}

/// What an end point of step-ca's judges is the challenge; it cannot know a renewal.
fn suits(settings: &Settings, request: &Request) -> Result<(), countersign_sdk::NotApproved> {
    match (&settings.format, &request.kind) {
        (_, RequestKind::Other(kind)) => {
            Err(deny(DenialCode::NotSupported, format!("a request of the kind `{kind}`")))
        }
        (Format::StepCa, RequestKind::Renewal) => Err(deny(
            DenialCode::NotSupported,
            "step-ca's request has no renewals; use `format = \"countersign\"`, or another verifier \
             for renewals",
        )),
        (Format::StepCa, RequestKind::Initial) if request.challenge.is_none() => Err(deny(
            DenialCode::ChallengeMissing,
            "the request carries no challengePassword, which is what step-ca's end points judge",
        )),
        _ => Ok(()),
    }
}

countersign_sdk::export!(Webhook with outcomes, events);

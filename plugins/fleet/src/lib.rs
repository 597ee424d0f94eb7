//! Hosts that Fleet manages: with a challenge that Fleet fetched here as it fetches from NDES or from
//! Smallstep, or with the static one of a custom SCEP certificate authority.
//!
//! Which host it is stands behind the profile in the URL (Fleet's own identifier), or in a field of the
//! request. Fleet's record of it says whether it is managed, and what its names are. Where Fleet says the
//! device when it fetches the challenge, the challenge is bound to that record.

mod api;
mod question;
mod settings;
mod suffix;

use std::time::{Duration, UNIX_EPOCH};

use countersign_device_record::{Field, Identity, Record, identity, life, names, settle, take};
use countersign_sdk::{
    Approval, Binding, Challenge, ChallengesIssuer, Context, Denial, DenialCode, Description, Hint,
    Host, IssuedChallenge, Name, NotApproved, Outcome, Outcomes, Power, Problem, Request,
    RequestKind, Retry, Verdict, Verifier, deny,
};

pub use api::CREDENTIAL;
use question::Asked;
pub use settings::{ChallengeKind, Settings};
use suffix::Suffix;

/// The static challenge, by the name that the configuration gives it.
pub const CHALLENGE: &str = "fleet-challenge";

/// How far the time in a question may be from ours: Fleet sends it at once, clocks differ.
const STALE: Duration = Duration::from_secs(15 * 60);

/// The verifier.
#[derive(Debug)]
pub struct Fleet;

impl Verifier for Fleet {
    type Settings = Settings;

    fn describe() -> Description {
        Description::new("fleet", env!("CARGO_PKG_VERSION"), "Countersign")
            .summary("Hosts that Fleet manages, by Fleet's challenge and its record of the host")
            .wants(Power::Host("{/url}".to_owned()), "To look hosts up in Fleet")
            .wants(
                Power::Secret(CREDENTIAL.to_owned()),
                "The API-only user that may read hosts in Fleet",
            )
            .wants(Power::Challenges, "To issue challenges, and redeem the one that a device sends")
            .wants(
                Power::Secret(CHALLENGE.to_owned()),
                "The static challenge, to compare: needed only where `challenge` is \"static\"",
            )
            .wants(Power::Kv, "To remember which hosts have got their certificate")
            // Only where the settings name such a field; but they are not known here.
            .vouches_from_user_attributes()
            // Fleet's body is not the host's, and it takes the answer as it is for the challenge.
            .attribute("challenge-question", "own")
            .link("documentation", "https://fleetdm.com/docs/rest-api/rest-api")
    }

    fn check_settings(settings: &Settings) -> Vec<Problem> {
        settings.problems()
    }

    fn verify(settings: &Settings, _: &Context, request: &Request, host: &Host) -> Verdict {
        let Some(challenge) = &request.challenge else {
            return Err(deny(DenialCode::ChallengeMissing, missing(&request.kind)));
        };
        let bound = match settings.challenge {
            ChallengeKind::Issued => host.challenges().redeem(challenge)?.device_id,
            ChallengeKind::Static => matches(challenge, host).map(|()| None)?,
        };
        let said = who(settings, request)?;
        let sought = match &bound {
            Some(uuid) => Identity { field: Field::Uuid, value: uuid.clone() },
            None => said.clone(),
        };
        let record = api::find(settings, &sought, host)?
            .ok_or_else(|| deny(DenialCode::DeviceUnknown, format!("Fleet holds no {sought}")))?;
        let uuid = api::permitted(settings, &record)?;
        if !record.is(&said) {
            return Err(deny(
                DenialCode::NameMismatch,
                format!(
                    "the challenge was fetched for host {uuid}, and the request is from {said}"
                ),
            ));
        }
        let vouched = vouched(settings, &record, &uuid)?;
        if bound.is_none() {
            take(host, &uuid, &api::enrolled(&record), request, settings.again_after())?;
        }
        let tie = if bound.is_some() { "for this host" } else { "for any host" };
        Ok(Approval::of_names(vouched)
            .evidence("fleet-host", &uuid)
            .evidence("fleet-challenge", tie)
            .memo(uuid.as_bytes())
            .device_id(uuid))
    }
}

impl ChallengesIssuer for Fleet {
    fn issue(
        settings: &Settings,
        context: &Context,
        hint: &Hint,
        host: &Host,
    ) -> Result<IssuedChallenge, Denial> {
        if settings.challenge == ChallengeKind::Static {
            let detail = "the setting `challenge` is \"static\": there is none to fetch";
            return Err(Denial::new(DenialCode::NotSupported, detail));
        }
        let says_whom = !hint.names.is_empty()
            || hint.device_id.is_some()
            || hint.attributes.get("ndes-params").is_some();
        if says_whom {
            let detail = "whoever asks says a device in another way than Fleet does: let the plug-in \
                          `ndes-otp` give out challenges that are bound to names";
            return Err(Denial::new(DenialCode::NotSupported, detail));
        }
        let asked = Asked::read(&hint.body).map_err(|why| {
            let detail = format!("this is no question of Fleet's: {why}");
            Denial::new(DenialCode::NotSupported, detail)
        })?;
        fresh(context, asked.sent)?;
        let binding = match asked.device.first() {
            None => Binding::default(),
            Some(sought) => {
                let record = api::find(settings, sought, host)?
                    // A question that says two things must mean one host by them.
                    .filter(|record| asked.device.iter().all(|said| record.is(said)))
                    .ok_or_else(|| {
                        let detail = format!("Fleet holds no {sought}");
                        Denial::new(DenialCode::DeviceUnknown, detail)
                    })?;
                let uuid = api::permitted(settings, &record)?;
                let names = vouched(settings, &record, &uuid)?;
                Binding { names, device_id: Some(uuid), ..Binding::default() }
            }
        };
        Ok(host.challenges().issue(binding, life(settings.lifetime(), hint)?)?)
    }
}

impl Outcomes for Fleet {
    /// Fleet is not told. A host that got no certificate may ask with another key.
    fn notify(_: &Settings, _: &Context, outcome: &Outcome, host: &Host) -> Result<(), Retry> {
        settle(outcome, host)
    }
}

fn matches(challenge: &Challenge, host: &Host) -> Result<(), NotApproved> {
    if host.secrets().matches(CHALLENGE, challenge.reveal().as_bytes())? {
        return Ok(());
    }
    Err(deny(
        DenialCode::ChallengeUnknown,
        "not the static challenge of Fleet's certificate authority: are both the same, without a \
         blank or line end around them?",
    ))
}

/// Which host the request says that it is from.
fn who(settings: &Settings, request: &Request) -> Result<Identity, Denial> {
    if let Some(template) = &settings.identity {
        return identity(template, request);
    }
    let mismatch = |detail: String| Denial::new(DenialCode::NameMismatch, detail);
    let suffix = Suffix::read(&request.path_suffix).map_err(|why| {
        mismatch(format!(
            "what follows the profile in the URL is no identifier of Fleet's: {why}; expected \
             hostUUID,profileUUID,CA"
        ))
    })?;
    if settings.ca.is_some() && settings.ca != suffix.ca {
        let profile = suffix.profile.as_deref().unwrap_or("none");
        return Err(mismatch(format!(
            "the URL (profile {profile}) names another certificate authority than the setting `ca`"
        )));
    }
    Ok(Identity { field: Field::Uuid, value: suffix.host })
}

fn vouched(settings: &Settings, record: &Record, uuid: &str) -> Result<Vec<Name>, Denial> {
    let vouched = names(&settings.names, &settings.user_changeable_fields, record);
    if vouched.is_empty() {
        return Err(Denial::new(
            DenialCode::Other("record-without-names".to_owned()),
            format!("the record of host {uuid} has none of the fields that `names` wants"),
        ));
    }
    Ok(vouched)
}

/// Whether a question was sent now.
fn fresh(context: &Context, sent: Option<Duration>) -> Result<(), Denial> {
    let now = context.now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let apart = sent.map_or(Duration::ZERO, |sent| now.abs_diff(sent));
    if apart <= STALE {
        return Ok(());
    }
    Err(Denial::new(
        DenialCode::Other("question-stale".to_owned()),
        format!(
            "the question's time is {} seconds from ours, at most {} are taken: is it sent again by \
             somebody, or is a clock wrong?",
            apart.as_secs(),
            STALE.as_secs()
        ),
    ))
}

fn missing(kind: &RequestKind) -> &'static str {
    match kind {
        RequestKind::Renewal => {
            "a renewal without a challenge: name a verifier for renewals in the profile, such as \
             `managed-renewal`, or let Fleet send the profile again"
        }
        RequestKind::Initial | RequestKind::Other(_) => {
            "the request carries no challengePassword: put Fleet's variable for the challenge into \
             the SCEP payload"
        }
    }
}

countersign_sdk::export!(Fleet with challenges, outcomes);

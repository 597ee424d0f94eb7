//! Devices that Jamf Pro manages, with a challenge that Jamf Pro fetched for them.
//!
//! Jamf Pro asks for a challenge with its webhook `SCEPChallenge` while it writes a profile. The plug-in
//! looks the target device up in Jamf Pro's own inventory, and binds the challenge to the record's id
//! and to names made of fields that the admin declared. What the device then asks for is never looked
//! at: a request for another name than those is refused by the host. Before the certificate, the
//! record is looked at again.
//!
//! A webhook is only a reason to look: whoever could write one still names no device that the inventory
//! does not hold as managed.

mod api;
mod event;
mod message;
mod record;
mod settings;
mod template;
mod xml;

use std::time::{Duration, UNIX_EPOCH};

use countersign_sdk::{
    Action, ActionResult, Approval, Batch, Binding, ChallengesIssuer, Context, Denial, DenialCode,
    Description, Event, Events, Hint, Host, IssuedChallenge, NotApproved, Power, Problem, Request,
    RequestKind, Retry, Verdict, Verifier, deny,
};

pub use api::CREDENTIAL;
use message::{Message, Sought};
use record::{Kind, Record};
pub use settings::{ComputersInventory, DeviceKind, RevokeGroups, Settings};
pub use template::Field;

/// How far the time in a webhook may be from ours: Jamf Pro sends it at once, clocks differ.
const STALE: Duration = Duration::from_secs(15 * 60);

/// The verifier.
#[derive(Debug)]
pub struct JamfPro;

impl Verifier for JamfPro {
    type Settings = Settings;

    fn describe() -> Description {
        let description = Description::new("jamf-pro", env!("CARGO_PKG_VERSION"), "Countersign")
            .summary(
                "Devices that Jamf Pro manages, with a challenge that Jamf Pro fetched for them",
            )
            .wants(Power::Host("{/url}".to_owned()), "To look devices up in Jamf Pro's inventory")
            .wants(
                Power::Secret(CREDENTIAL.to_owned()),
                "The API client that may read computers and mobile devices",
            )
            .wants(Power::Challenges, "To issue challenges, and redeem the one that a device sends")
            .wants(
                Power::Revocation,
                "To have the certificates of devices revoked that left Jamf Pro",
            )
            // Only where the settings name such a field; but they are not known here.
            .vouches_from_user_attributes()
            // Jamf Pro's body is not the host's, and it takes the answer as it is for the challenge.
            .attribute("challenge-question", "own")
            .link("documentation", "https://developer.jamf.com/jamf-pro/docs/webhooks-1");
        event::KINDS.iter().fold(description, |description, kind| description.event(*kind))
    }

    fn check_settings(settings: &Settings) -> Vec<Problem> {
        settings.problems()
    }

    fn verify(settings: &Settings, _: &Context, request: &Request, host: &Host) -> Verdict {
        let Some(challenge) = &request.challenge else {
            return Err(deny(DenialCode::ChallengeMissing, missing(&request.kind)));
        };
        let binding = host.challenges().redeem(challenge)?;
        let Some(device) = &binding.device_id else {
            // Fetched without a target device: it vouches for nobody.
            return Ok(Approval::of_names(binding.names)
                .evidence("jamf-challenge", "without target device"));
        };
        if settings.recheck {
            still_managed(settings, device, &binding, host)?;
        }
        let looked_at = if settings.recheck { "when it enrolled" } else { "when it was announced" };
        Ok(Approval::of_names(binding.names.clone())
            .device_id(device)
            .evidence("jamf-record", device)
            .evidence("jamf-managed", looked_at))
    }
}

impl ChallengesIssuer for JamfPro {
    fn issue(
        settings: &Settings,
        context: &Context,
        hint: &Hint,
        host: &Host,
    ) -> Result<IssuedChallenge, Denial> {
        let message = Message::read(&hint.body).map_err(|why| {
            let detail = format!("this is no webhook of Jamf Pro: {why}");
            Denial::new(DenialCode::NotSupported, detail)
        })?;
        let asked =
            message.challenge().map_err(|why| Denial::new(DenialCode::NotSupported, why))?;
        suits(settings, context, &message, asked.scep_server_url.as_deref())?;
        let sought = asked.target.or_else(|| {
            let serial = settings.payloads.get(asked.payload_identifier.as_deref()?)?;
            Some(Sought { serial_number: Some(serial.clone()), ..Sought::default() })
        });
        let binding = match sought {
            Some(sought) => binding(settings, &sought, host)?,
            None if settings.require_target_device => {
                return Err(other(
                    "target-device-missing",
                    "the webhook names no target device, and the setting `require-target-device` \
                     demands one",
                ));
            }
            None => Binding::default(),
        };
        Ok(host.challenges().issue(binding, life(settings, hint)?)?)
    }
}

impl Events for JamfPro {
    fn on_event(
        settings: &Settings,
        _: &Context,
        event: &Event,
        host: &Host,
    ) -> Result<Vec<Action>, Denial> {
        event::actions(settings, event, host)
    }

    /// Nothing is pulled: Jamf Pro pushes.
    fn on_schedule(
        _: &Settings,
        _: &Context,
        cursor: Option<&[u8]>,
        _: &Host,
    ) -> Result<Batch, Retry> {
        Ok(Batch::last(Vec::new(), cursor.unwrap_or_default()))
    }

    /// Jamf Pro does not ask what became of it.
    fn settled(_: &Settings, _: &Context, _: &[ActionResult], _: &Host) -> Result<(), Retry> {
        Ok(())
    }
}

/// Whether the webhook is one for us, now.
fn suits(
    settings: &Settings,
    context: &Context,
    message: &Message,
    scep_server_url: Option<&str>,
) -> Result<(), Denial> {
    if let Some(sent) = message.timestamp() {
        let now = context.now.duration_since(UNIX_EPOCH).unwrap_or_default();
        if now.abs_diff(sent) > STALE {
            return Err(other(
                "webhook-stale",
                &format!(
                    "the webhook's time stamp is {} seconds from ours, at most {} are taken: is it \
                     sent again by somebody, or is a clock wrong?",
                    now.abs_diff(sent).as_secs(),
                    STALE.as_secs()
                ),
            ));
        }
    }
    match (&settings.scep_server_url, scep_server_url) {
        (Some(expected), found) if found != Some(expected.as_str()) => Err(other(
            "other-scep-server",
            &format!(
                "the profile is for the SCEP server `{}`, and the setting `scep-server-url` expects \
                 `{expected}`",
                found.unwrap_or_default()
            ),
        )),
        _ => Ok(()),
    }
}

/// What a challenge for this device stands for.
fn binding(settings: &Settings, sought: &Sought, host: &Host) -> Result<Binding, Denial> {
    let record = api::find(settings, sought, host)?.ok_or_else(|| {
        let detail = format!("Jamf Pro's inventory holds no {sought}");
        Denial::new(DenialCode::DeviceUnknown, detail)
    })?;
    managed(&record)?;
    let names = settings.names_of(&record);
    if names.is_empty() {
        return Err(other(
            "record-without-names",
            &format!("{} has none of the fields that `names` wants", record.device_id()),
        ));
    }
    let mut binding = Binding { names, device_id: Some(record.device_id()), ..Binding::default() };
    for field in [Field::SerialNumber, Field::Udid] {
        if let Some(value) = record.field(field) {
            binding.attributes.push(field.word(), value);
        }
    }
    Ok(binding)
}

/// The device that the challenge was made for is still there, is still the same one, and is still
/// managed.
fn still_managed(
    settings: &Settings,
    device: &str,
    binding: &Binding,
    host: &Host,
) -> Result<(), NotApproved> {
    let gone = |detail: String| deny(DenialCode::DeviceNotPermitted, detail);
    let (kind, id) = Kind::of_device_id(device)
        .ok_or_else(|| gone(format!("`{device}` is no device id of this plug-in")))?;
    let record = api::by_id(settings, kind, id, host)?.ok_or_else(|| {
        gone(format!("{device} has left Jamf Pro since its challenge was fetched"))
    })?;
    managed(&record)?;
    for field in [Field::SerialNumber, Field::Udid] {
        let bound = binding.attributes.get(field.word());
        if bound.is_some() && record.field(field) != bound {
            return Err(gone(format!(
                "{device} has another {} than when its challenge was fetched",
                field.word()
            )));
        }
    }
    Ok(())
}

fn managed(record: &Record) -> Result<(), Denial> {
    if record.managed() == Some(true) {
        return Ok(());
    }
    let detail = format!("Jamf Pro holds {}, and does not manage it", record.device_id());
    Err(Denial::new(DenialCode::DeviceNotPermitted, detail))
}

/// As long as the settings say, and never longer than the host does.
fn life(settings: &Settings, hint: &Hint) -> Result<Duration, Denial> {
    let longest = match hint.attributes.get("ttl-seconds") {
        None => settings.lifetime(),
        Some(text) => text.parse().map(Duration::from_secs).map_err(|_| {
            Denial::new(DenialCode::NotSupported, "`ttl-seconds` is no number of seconds")
        })?,
    };
    Ok(settings.lifetime().min(longest))
}

fn other(code: &str, detail: &str) -> Denial {
    Denial::new(DenialCode::Other(code.to_owned()), detail)
}

fn missing(kind: &RequestKind) -> &'static str {
    match kind {
        RequestKind::Renewal => {
            "a renewal without a challenge: this plug-in verifies nothing but challenges; name a \
             verifier for renewals in the profile, or let Jamf Pro redistribute the profile"
        }
        RequestKind::Initial | RequestKind::Other(_) => {
            "the request carries no challengePassword: choose the challenge type `dynamic` in the \
             SCEP payload of Jamf Pro"
        }
    }
}

countersign_sdk::export!(JamfPro with challenges, events);

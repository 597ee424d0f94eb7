//! Devices that Kandji (now Iru) manages: a request with the challenge of its SCEP library item, from a
//! device that Kandji's own inventory holds, for names of that record only.
//!
//! Kandji has no other challenge than a static one: everybody who was ever given the profile knows it. It
//! is one factor, and never enough. The other is the record: of a device that is there, that is managed,
//! that nobody has told to erase itself, and that has not got its certificate yet since it was enrolled.

mod api;
mod settings;

use countersign_device_record::{Field, identity, names, settle, take};
use countersign_sdk::{
    Approval, Context, Denial, DenialCode, Description, Host, Outcome, Outcomes, Power, Problem,
    Request, RequestKind, Retry, Verdict, Verifier, deny,
};

pub use api::CREDENTIAL;
pub use settings::Settings;

/// The static challenge, by the name that the configuration gives it.
pub const CHALLENGE: &str = "kandji-challenge";

/// The verifier.
#[derive(Debug)]
pub struct Kandji;

impl Verifier for Kandji {
    type Settings = Settings;

    fn describe() -> Description {
        Description::new("kandji", env!("CARGO_PKG_VERSION"), "Countersign")
            .summary("Devices that Kandji (Iru) manages, by static challenge and inventory record")
            .wants(Power::Host("{/url}".to_owned()), "To look devices up in Kandji's inventory")
            .wants(
                Power::Secret(CREDENTIAL.to_owned()),
                "The API token that may read devices, their details and commands",
            )
            .wants(
                Power::Secret(CHALLENGE.to_owned()),
                "The static challenge of the SCEP library item, to compare",
            )
            .wants(Power::Kv, "To remember which devices have got their certificate")
            // Only where the settings name such a field; but they are not known here.
            .vouches_from_user_attributes()
            .link("documentation", "https://api-docs.kandji.io")
    }

    fn check_settings(settings: &Settings) -> Vec<Problem> {
        settings.problems()
    }

    fn verify(settings: &Settings, _: &Context, request: &Request, host: &Host) -> Verdict {
        let Some(challenge) = &request.challenge else {
            return Err(deny(DenialCode::ChallengeMissing, missing(&request.kind)));
        };
        // First: a stranger without it has nothing looked up.
        if !host.secrets().matches(CHALLENGE, challenge.reveal().as_bytes())? {
            return Err(deny(
                DenialCode::ChallengeUnknown,
                "not the static challenge of the SCEP library item: are both the same, without a \
                 blank or line end around them?",
            ));
        }
        let sought = identity(&settings.identity, request)?;
        let record = api::find(settings, &sought, host)?.ok_or_else(|| {
            deny(DenialCode::DeviceUnknown, format!("Kandji's inventory holds no {sought}"))
        })?;
        let device = api::permitted(settings, &record, host)?;
        let record = api::with_details(settings, record, &device, host)?;
        let vouched = names(&settings.names, &settings.user_changeable_fields, &record);
        if vouched.is_empty() {
            return Err(Denial::new(
                DenialCode::Other("record-without-names".to_owned()),
                format!("the record of {device} has none of the fields that `names` wants"),
            )
            .into());
        }
        let enrolled = record.text("/last_enrollment").unwrap_or_default();
        take(host, &device, &enrolled, request, settings.again_after())?;
        let mut approval = Approval::of_names(vouched)
            .evidence("kandji-record", &device)
            .evidence("looked-up-by", sought.field.word());
        if let Some(serial) = record.field(Field::SerialNumber) {
            approval = approval.evidence("kandji-serial-number", serial);
        }
        Ok(approval.memo(device.as_bytes()).device_id(device))
    }
}

impl Outcomes for Kandji {
    /// Kandji is not told. A device that got no certificate may ask with another key.
    fn notify(_: &Settings, _: &Context, outcome: &Outcome, host: &Host) -> Result<(), Retry> {
        settle(outcome, host)
    }
}

fn missing(kind: &RequestKind) -> &'static str {
    match kind {
        RequestKind::Renewal => {
            "a renewal without a challenge: name a verifier for renewals in the profile, such as \
             `managed-renewal`, or let Kandji install the profile again"
        }
        RequestKind::Initial | RequestKind::Other(_) => {
            "the request carries no challengePassword: enter the challenge in the SCEP library item"
        }
    }
}

countersign_sdk::export!(Kandji with outcomes);

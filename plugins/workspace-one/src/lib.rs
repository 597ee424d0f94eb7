//! Devices that Workspace ONE UEM manages, with a challenge that it fetched while it wrote the profile.
//!
//! UEM fetches from a page like NDES's and does not say for whom. So the challenge vouches for nobody;
//! the request names the device, in a field that the settings declare, and UEM's own record of it says
//! whether it is enrolled and what its names are. What ties the two is little: that a challenge is good
//! once, and that a device that has its certificate gets no other until it is enrolled anew.

mod api;
mod settings;

use countersign_device_record::{identity, life, names, settle, take};
use countersign_sdk::{
    Approval, Binding, ChallengesIssuer, Context, Denial, DenialCode, Description, Hint, Host,
    IssuedChallenge, Outcome, Outcomes, Power, Problem, Request, RequestKind, Retry, Verdict,
    Verifier, deny,
};

pub use api::CREDENTIAL;
pub use settings::{Ownership, Settings};

/// Who fetched the challenge, among the words that it is bound to.
const FETCHED_BY: &str = "fetched-by";

/// The verifier.
#[derive(Debug)]
pub struct WorkspaceOne;

impl Verifier for WorkspaceOne {
    type Settings = Settings;

    fn describe() -> Description {
        Description::new("workspace-one", env!("CARGO_PKG_VERSION"), "Countersign")
            .summary("Devices that Workspace ONE UEM manages, with a challenge that UEM fetched")
            .wants(Power::Host("{/url}".to_owned()), "To look devices up in UEM")
            .wants(
                Power::Secret(CREDENTIAL.to_owned()),
                "The account or OAuth client that may read devices in UEM's REST API",
            )
            .wants(Power::Challenges, "To issue challenges, and redeem the one that a device sends")
            .wants(Power::Kv, "To remember which devices have got their certificate")
            // Only where the settings name such a field; but they are not known here.
            .vouches_from_user_attributes()
            .link("documentation", "https://developer.omnissa.com/workspace-one-uem-apis")
    }

    fn check_settings(settings: &Settings) -> Vec<Problem> {
        settings.problems()
    }

    fn verify(settings: &Settings, _: &Context, request: &Request, host: &Host) -> Verdict {
        let Some(challenge) = &request.challenge else {
            return Err(deny(DenialCode::ChallengeMissing, missing(&request.kind)));
        };
        let binding = host.challenges().redeem(challenge)?;
        let sought = identity(&settings.identity, request)?;
        let record = api::find(settings, &sought, host)?.ok_or_else(|| {
            deny(DenialCode::DeviceUnknown, format!("Workspace ONE UEM holds no {sought}"))
        })?;
        let device = api::permitted(settings, &record)?;
        let vouched = names(&settings.names, &settings.user_changeable_fields, &record);
        if vouched.is_empty() {
            return Err(Denial::new(
                DenialCode::Other("record-without-names".to_owned()),
                format!("the record of {device} has none of the fields that `names` wants"),
            )
            .into());
        }
        let enrolled = record.text("/LastEnrolledOn").unwrap_or_default();
        take(host, &device, &enrolled, request, settings.again_after())?;
        let mut approval = Approval::of_names(vouched)
            .evidence("uem-record", &device)
            .evidence("looked-up-by", sought.field.word());
        if let Some(requester) = binding.attributes.get(FETCHED_BY) {
            approval = approval.evidence("challenge-fetched-by", requester);
        }
        Ok(approval.memo(device.as_bytes()).device_id(device))
    }
}

impl ChallengesIssuer for WorkspaceOne {
    /// A challenge for one request, which vouches for no name.
    fn issue(
        settings: &Settings,
        _: &Context,
        hint: &Hint,
        host: &Host,
    ) -> Result<IssuedChallenge, Denial> {
        // Whoever says a device means that the challenge is for it and for no other.
        let says_whom = !hint.names.is_empty()
            || hint.device_id.is_some()
            || hint.attributes.get("ndes-params").is_some();
        if says_whom {
            return Err(Denial::new(
                DenialCode::NotSupported,
                "whoever asks says a device, and Workspace ONE UEM does not: let the plug-in \
                 `ndes-otp` give out challenges that are bound to names",
            ));
        }
        let mut binding = Binding::default();
        binding.attributes.push(FETCHED_BY, &hint.requester);
        Ok(host.challenges().issue(binding, life(settings.lifetime(), hint)?)?)
    }
}

impl Outcomes for WorkspaceOne {
    /// UEM is not told. A device that got no certificate may ask with another key.
    fn notify(_: &Settings, _: &Context, outcome: &Outcome, host: &Host) -> Result<(), Retry> {
        settle(outcome, host)
    }
}

fn missing(kind: &RequestKind) -> &'static str {
    match kind {
        RequestKind::Renewal => {
            "a renewal without a challenge: name a verifier for renewals in the profile, such as \
             `managed-renewal`, or let UEM push the profile again"
        }
        RequestKind::Initial | RequestKind::Other(_) => {
            "the request carries no challengePassword: choose the challenge type `dynamic` in UEM's \
             certificate authority"
        }
    }
}

countersign_sdk::export!(WorkspaceOne with challenges, outcomes);

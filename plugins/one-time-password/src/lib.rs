//! A device is the one it says it is when it comes with a challenge that was issued for it.
//!
//! The host makes and keeps the challenges; this plug-in redeems the one in a request and vouches for
//! the names it was issued for. It never vouches for a name that came from the device, and has no
//! setting that would let a challenge be used twice or be left out.

use countersign_sdk::{
    Approval, Context, DenialCode, Description, Host, Power, Request, RequestKind, Verdict,
    Verifier, deny,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// The verifier.
#[derive(Debug)]
pub struct OneTimePassword;

/// The settings of the plug-in. All may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Deny challenges that were issued without a device id. Needed where certificates shall be
    /// revoked by device: without an id there is nothing to name.
    pub require_device_id: bool,
    /// Deny challenges that were issued without names. The default, false, lets them through without
    /// vouching for any name, so that another verifier of the profile must.
    pub require_names: bool,
}

impl Verifier for OneTimePassword {
    type Settings = Settings;

    fn describe() -> Description {
        Description::new("one-time-password", env!("CARGO_PKG_VERSION"), "Countersign")
            .summary("Devices that come with a one-time challenge which this host issued for them")
            .wants(Power::Challenges, "To redeem the challenge that a device sends")
    }

    fn verify(settings: &Settings, _: &Context, request: &Request, host: &Host) -> Verdict {
        let Some(challenge) = &request.challenge else {
            return Err(deny(DenialCode::ChallengeMissing, missing(&request.kind)));
        };
        let binding = host.challenges().redeem(challenge)?;
        if settings.require_names && binding.names.is_empty() {
            return Err(unbound("names", "require-names", "--name"));
        }
        let approval = Approval::of_names(binding.names);
        match binding.device_id {
            Some(id) => Ok(approval.device_id(id)),
            None if settings.require_device_id => {
                Err(unbound("a device id", "require-device-id", "--device-id"))
            }
            None => Ok(approval),
        }
    }
}

fn missing(kind: &RequestKind) -> &'static str {
    match kind {
        RequestKind::Renewal => {
            "a renewal without a challenge: this plug-in verifies nothing but challenges; name a \
             verifier for renewals in the profile, or issue the device a new challenge"
        }
        RequestKind::Initial | RequestKind::Other(_) => {
            "the request carries no challengePassword: issue a challenge for the device and have it \
             sent with the request"
        }
    }
}

fn unbound(what: &str, setting: &str, option: &str) -> countersign_sdk::NotApproved {
    deny(
        DenialCode::Other("challenge-unbound".to_owned()),
        format!(
            "the challenge was issued without {what}, and the setting `{setting}` demands it: \
             issue one with {option}"
        ),
    )
}

countersign_sdk::export!(OneTimePassword);

//! A device is the one it says it is when it comes with a challenge that was issued for it.
//!
//! The host makes and keeps the challenges; this plug-in redeems the one in a request and vouches for
//! the names it was issued for. It never vouches for a name that came from the device, and has no
//! setting that would let a challenge be used twice or be left out.

use std::time::Duration;

use countersign_sdk::{
    Approval, Binding, ChallengesIssuer, Context, Denial, DenialCode, Description, Hint, Host,
    IssuedChallenge, Power, Request, RequestKind, Verdict, Verifier, deny,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// How long a challenge lives where whoever asks for it does not say: NDES's hour.
const USUAL_LIFE: Duration = Duration::from_secs(3600);

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
            .wants(Power::Challenges, "To issue challenges, and redeem the one that a device sends")
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

impl ChallengesIssuer for OneTimePassword {
    /// A challenge for what the hint says and nothing else: without names it vouches for none.
    fn issue(
        settings: &Settings,
        _: &Context,
        hint: &Hint,
        host: &Host,
    ) -> Result<IssuedChallenge, Denial> {
        // Whoever sends them means to tie the password to something. One that is not tied to it
        // would be more than was asked for.
        if hint.attributes.get("ndes-params").is_some() {
            return Err(Denial::new(
                DenialCode::NotSupported,
                "the request came with Params that are not a JSON object with `names` or \
                 `device-id`: this plug-in understands no others",
            ));
        }
        if settings.require_names && hint.names.is_empty() {
            return Err(unissued("names", "require-names"));
        }
        if settings.require_device_id && hint.device_id.is_none() {
            return Err(unissued("a device id", "require-device-id"));
        }
        let life = match hint.attributes.get("ttl-seconds") {
            None => USUAL_LIFE,
            Some(text) => text.parse().map(Duration::from_secs).map_err(|_| {
                Denial::new(DenialCode::NotSupported, "`ttl-seconds` is no number of seconds")
            })?,
        };
        let binding = Binding {
            names: hint.names.clone(),
            device_id: hint.device_id.clone(),
            ..Binding::default()
        };
        Ok(host.challenges().issue(binding, life)?)
    }
}

fn unissued(what: &str, setting: &str) -> Denial {
    Denial::new(
        DenialCode::Other("challenge-unbound".to_owned()),
        format!(
            "a challenge without {what} is wanted, and the setting `{setting}` would have it \
             denied: say {what} with the request for it"
        ),
    )
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

countersign_sdk::export!(OneTimePassword with challenges);

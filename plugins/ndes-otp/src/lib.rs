//! A device is the one it says it is when it comes with a password that its device management fetched
//! from a page like NDES's `mscep_admin`.
//!
//! The host makes and guards a challenge for every password, and this plug-in gives it the form that
//! callers of NDES expect: upper-case hexadecimal digits. It remembers which password stands for which
//! challenge under a keyed hash, and redeems the challenge; so a password is as single-use as the
//! challenge behind it. It never vouches for a name that came from the device, and has no setting that
//! would let a password be shared or be left out.

mod params;
mod password;
mod settings;

use std::time::Duration;

use countersign_sdk::{
    Approval, Binding, Challenge, ChallengesIssuer, Context, Denial, DenialCode, Description, Hint,
    Host, IssuedChallenge, NotApproved, Power, Problem, Request, RequestKind, Verdict, Verifier,
    deny, unavailable,
};

pub use password::KEY;
pub use settings::{AbsentFromHere, Settings};

/// Who fetched the password, among the words that the challenge is bound to.
const FETCHED_BY: &str = "fetched-by";

/// The verifier.
#[derive(Debug)]
pub struct NdesOtp;

impl Verifier for NdesOtp {
    type Settings = Settings;

    fn describe() -> Description {
        Description::new("ndes-otp", env!("CARGO_PKG_VERSION"), "Countersign")
            .summary("Devices that come with a password from a page like NDES's mscep_admin")
            .wants(Power::Challenges, "To issue and redeem the challenge behind each password")
            .wants(
                Power::Kv,
                "To remember, by keyed hash, which password stands for which challenge",
            )
            .wants(
                Power::Secret(KEY.to_owned()),
                "The key of those hashes: who reads the store learns no password",
            )
    }

    fn check_settings(settings: &Settings) -> Vec<Problem> {
        settings.problems()
    }

    fn verify(settings: &Settings, _: &Context, request: &Request, host: &Host) -> Verdict {
        let Some(sent) = &request.challenge else {
            return Err(deny(DenialCode::ChallengeMissing, missing(&request.kind)));
        };
        let challenge = behind(sent, &request.profile, host)?;
        let binding = host.challenges().redeem(&challenge)?;
        if settings.require_names && binding.names.is_empty() {
            return Err(unbound("names", "require-names").into());
        }
        if settings.require_device_id && binding.device_id.is_none() {
            return Err(unbound("a device id", "require-device-id").into());
        }
        let mut approval = Approval::of_names(binding.names);
        if let Some(id) = binding.device_id {
            approval = approval.device_id(id);
        }
        if let Some(requester) = binding.attributes.get(FETCHED_BY) {
            approval = approval.evidence("password-fetched-by", requester);
        }
        Ok(approval)
    }
}

impl ChallengesIssuer for NdesOtp {
    /// A password for what the caller says and nothing else: without names it vouches for none.
    fn issue(
        settings: &Settings,
        _: &Context,
        hint: &Hint,
        host: &Host,
    ) -> Result<IssuedChallenge, Denial> {
        let binding = binding(hint)?;
        if settings.require_names && binding.names.is_empty() {
            return Err(unbound("names", "require-names"));
        }
        if settings.require_device_id && binding.device_id.is_none() {
            return Err(unbound("a device id", "require-device-id"));
        }
        let issued = host.challenges().issue(binding, life(settings, hint)?)?;
        let password = password::make(settings.password_bytes, host);
        let entry = password::entry(&hint.profile, &password, host)?;
        let kept = settings.remembered();
        let challenge = issued.text.reveal().as_bytes();
        if !host.kv().compare_and_set(&entry, None, challenge, Some(kept))? {
            // Two passwords of 64 random bits that are equal: not by chance.
            let detail = "the password that was drawn is in use already: ask again";
            return Err(Denial::new(DenialCode::Other("host-unavailable".to_owned()), detail));
        }
        Ok(IssuedChallenge::new(password, issued.expires))
    }
}

/// The host's challenge that a password stands for.
fn behind(sent: &Challenge, profile: &str, host: &Host) -> Result<Challenge, NotApproved> {
    let unknown = || {
        let detail = "no password like this was given out for this profile, or it was too long ago";
        deny(DenialCode::ChallengeUnknown, detail)
    };
    let password = password::read(sent.reveal()).ok_or_else(unknown)?;
    let entry = password::entry(profile, &password, host)?;
    let kept = host.kv().get(&entry)?.ok_or_else(unknown)?;
    String::from_utf8(kept).map(Challenge::new).map_err(|_| {
        let detail = "the store holds something else than a challenge under this password";
        unavailable(Duration::from_secs(60), detail)
    })
}

/// What the password shall stand for: what the host read from JSON, or `Params` in our own words.
fn binding(hint: &Hint) -> Result<Binding, Denial> {
    let mut binding = Binding {
        names: hint.names.clone(),
        device_id: hint.device_id.clone(),
        ..Binding::default()
    };
    binding.attributes.push(FETCHED_BY, &hint.requester);
    // Whoever sends Params means to tie the password to something. One that is not tied to it would
    // be worth more than was asked for.
    if let Some(text) = hint.attributes.get("ndes-params") {
        let params = params::read(text).map_err(|why| {
            Denial::new(
                DenialCode::NotSupported,
                format!(
                    "Params say something that this plug-in does not understand: {why}; expected \
                     names apart by `;`, such as `device-id=17;CN=device-17`, or a JSON object with \
                     `names` and `device-id`"
                ),
            )
        })?;
        binding.names.extend(params.names);
        binding.device_id = binding.device_id.or(params.device_id);
    }
    Ok(binding)
}

/// As long as the settings say, and never longer than the host and the caller do.
fn life(settings: &Settings, hint: &Hint) -> Result<Duration, Denial> {
    let longest = match hint.attributes.get("ttl-seconds") {
        None => settings.lifetime(),
        Some(text) => text.parse().map(Duration::from_secs).map_err(|_| {
            Denial::new(DenialCode::NotSupported, "`ttl-seconds` is no number of seconds")
        })?,
    };
    Ok(settings.lifetime().min(longest))
}

fn unbound(what: &str, setting: &str) -> Denial {
    Denial::new(
        DenialCode::Other("challenge-unbound".to_owned()),
        format!(
            "a password without {what}, and the setting `{setting}` demands it: have {what} said in \
             Params when the password is fetched"
        ),
    )
}

fn missing(kind: &RequestKind) -> &'static str {
    match kind {
        RequestKind::Renewal => {
            "a renewal without a password: this plug-in verifies nothing but passwords; name a \
             verifier for renewals in the profile, or have a new password fetched"
        }
        RequestKind::Initial | RequestKind::Other(_) => {
            "the request carries no challengePassword: have the device management fetch one from \
             the page and send it with the request"
        }
    }
}

countersign_sdk::export!(NdesOtp with challenges);

//! Challenges for rules to look at.

use std::time::Duration;

use countersign_sdk::{
    Attributes, Binding, ChallengesIssuer, Context, Denial, DenialCode, Hint, Host, IssuedChallenge,
};

use crate::Rules;
use crate::settings::{ChallengeUse, Settings};

/// How long a challenge lives where whoever asks for it does not say: NDES's hour.
const USUAL_LIFE: Duration = Duration::from_secs(3600);

impl ChallengesIssuer for Rules {
    /// A challenge for what the hint says and nothing else. Rules find who asked for it as
    /// `challenge.attributes.requester`.
    fn issue(
        settings: &Settings,
        _: &Context,
        hint: &Hint,
        host: &Host,
    ) -> Result<IssuedChallenge, Denial> {
        let refused = |text: &str| Denial::new(DenialCode::NotSupported, text);
        if settings.challenge == ChallengeUse::Ignored {
            return Err(refused("the setting `challenge` is \"ignored\": nobody would look at it"));
        }
        // Whoever sends them means to tie the password to something.
        if hint.attributes.get("ndes-params").is_some() {
            return Err(refused(
                "the request came with Params that are not a JSON object with `names` or \
                 `device-id`: this plug-in understands no others",
            ));
        }
        let life = match hint.attributes.get("ttl-seconds") {
            None => USUAL_LIFE,
            Some(text) => text
                .parse()
                .map(Duration::from_secs)
                .map_err(|_| refused("`ttl-seconds` is no number of seconds"))?,
        };
        let binding = Binding {
            names: hint.names.clone(),
            device_id: hint.device_id.clone(),
            attributes: Attributes::from([("requester", hint.requester.as_str())]),
        };
        Ok(host.challenges().issue(binding, life)?)
    }
}

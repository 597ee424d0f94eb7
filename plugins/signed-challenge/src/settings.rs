//! What the admin says.

use std::time::Duration;

use countersign_sdk::Problem;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::Algorithm;
use crate::keys::KeySet;

/// The settings of the plug-in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// What tokens may be signed with; a token of any other is denied. `HS256` stands alone, and is
    /// verified under the secret `challenge-key`; the others are verified with public keys.
    #[schemars(length(min = 1, max = 3))]
    pub algorithms: Vec<Algorithm>,
    /// Where the device management publishes its public keys: an `https` URL of a JSON Web Key Set.
    /// Its host is granted by `hosts = ["{/jwks-url}"]`.
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// The public keys themselves, as a JSON Web Key Set, in the place of `jwks-url`.
    #[serde(default)]
    pub jwks: Option<Map<String, Value>>,
    /// What `iss` must be. Demanded with `jwks-url`, where the same keys may sign for others too.
    #[serde(default)]
    pub issuer: Option<String>,
    /// What stands before the profile's name in `aud`: `https://scep.example.com/scep/`. Without it,
    /// `aud` is the profile's name.
    #[serde(default)]
    pub audience_prefix: String,
    /// What `typ` in the header must be. Without it, `typ` is `JWT` or left out.
    #[serde(default)]
    pub token_type: Option<String>,
    /// How long a token may live, from `iat` to `exp`.
    #[serde(default = "hour")]
    #[schemars(range(min = 60, max = 604_800))]
    pub max_lifetime_seconds: u32,
    /// How far the clock of the device management may be from this host's.
    #[serde(default = "half_a_minute")]
    #[schemars(range(max = 300))]
    pub clock_skew_seconds: u32,
    /// Deny tokens without `names`. The default, false, lets them through without vouching for any
    /// name, so that another verifier of the profile must.
    #[serde(default)]
    pub require_names: bool,
    /// Deny tokens without `sub`, the device's id. Needed where certificates shall be revoked by
    /// device.
    #[serde(default)]
    pub require_device_id: bool,
    /// Deny tokens that are not bound to the key of the request by `cnf`. Only for device managements
    /// that know the device's key before it asks.
    #[serde(default)]
    pub require_key_binding: bool,
    /// How old the keys of `jwks-url` may be. A key that was withdrawn there is good for as long.
    #[serde(default = "quarter_of_an_hour")]
    #[schemars(range(min = 60, max = 86_400))]
    pub jwks_max_age_seconds: u32,
    /// A token with a `kid` that is not among the keys has them fetched anew, unless they are younger
    /// than this.
    #[serde(default = "five_minutes")]
    #[schemars(range(min = 10, max = 86_400))]
    pub jwks_min_interval_seconds: u32,
    /// How long `jwks-url` may take to answer, in milliseconds.
    #[serde(default = "five_seconds")]
    #[schemars(range(min = 100, max = 60_000))]
    pub timeout_ms: u32,
}

/// Where the keys are.
pub(crate) enum KeySource<'s> {
    /// With the host: `challenge-key`.
    Secret,
    /// In the settings.
    Set(&'s Map<String, Value>),
    /// At this URL.
    Url(&'s str),
    /// Nowhere: settings that do not pass their check.
    None,
}

impl Settings {
    /// Where the keys are. One source, so that no token can choose.
    pub(crate) fn keys(&self) -> KeySource<'_> {
        let secret = self.algorithms.contains(&Algorithm::Hs256);
        match (&self.jwks_url, &self.jwks) {
            (None, None) if secret && self.algorithms.len() == 1 => KeySource::Secret,
            (Some(url), None) if !secret => KeySource::Url(url),
            (None, Some(set)) if !secret => KeySource::Set(set),
            _ => KeySource::None,
        }
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.into())
    }

    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut problem = |pointer: &str, text: &str| problems.push(Problem::new(pointer, text));
        let secret = self.algorithms.contains(&Algorithm::Hs256);
        if self.algorithms.is_empty() {
            problem("/algorithms", "expected at least one of ES256, EdDSA, RS256 and HS256");
        }
        if secret && self.algorithms.len() > 1 {
            problem(
                "/algorithms",
                "expected HS256 alone, or none of it: where both kinds of keys are good, a token \
                 could choose the weaker one",
            );
        } else if secret && (self.jwks_url.is_some() || self.jwks.is_some()) {
            problem(
                "/algorithms",
                "HS256 is verified under the secret `challenge-key`, and public keys would not be \
                 used: remove `jwks-url` and `jwks`, or HS256",
            );
        } else if !secret {
            self.public_key_problems(&mut problem);
        }
        if self.issuer.as_deref() == Some("") {
            problem("/issuer", "expected the issuer's name; leave it out where there is none");
        }
        if self.token_type.as_deref() == Some("") {
            problem("/token-type", "expected a media type such as `countersign-challenge+jwt`");
        }
        for (pointer, found, range) in [
            ("/max-lifetime-seconds", self.max_lifetime_seconds, 60..=604_800),
            ("/clock-skew-seconds", self.clock_skew_seconds, 0..=300),
            ("/jwks-max-age-seconds", self.jwks_max_age_seconds, 60..=86_400),
            ("/jwks-min-interval-seconds", self.jwks_min_interval_seconds, 10..=86_400),
            ("/timeout-ms", self.timeout_ms, 100..=60_000),
        ] {
            if !range.contains(&found) {
                let (least, most) = (range.start(), range.end());
                problem(pointer, &format!("expected {least} to {most}, found {found}"));
            }
        }
        problems
    }

    fn public_key_problems(&self, problem: &mut impl FnMut(&str, &str)) {
        match (&self.jwks_url, &self.jwks) {
            (None, None) => problem(
                "",
                "the algorithms need public keys: add `jwks-url` with their https URL, or `jwks` \
                 with the keys themselves",
            ),
            (Some(_), Some(_)) => {
                problem("/jwks", "expected the keys from one place: remove `jwks`, or `jwks-url`")
            }
            (Some(url), None) => {
                if !is_https(url) {
                    problem(
                        "/jwks-url",
                        "expected an absolute https URL without user, password and fragment: \
                         write https://host/path",
                    );
                }
                if self.issuer.is_none() {
                    problem(
                        "",
                        "with `jwks-url`, add `issuer`: the same keys may sign tokens for others, \
                         and `iss` is what tells them apart",
                    );
                }
            }
            (None, Some(set)) => match KeySet::read(set) {
                Err(why) => problem("/jwks", &why),
                Ok(keys) => {
                    if let Some(algorithm) = keys.lacks(&self.algorithms) {
                        let name = algorithm.as_str();
                        problem("/jwks", &format!("`algorithms` has {name}, and no key is for it"));
                    }
                }
            },
        }
    }
}

fn is_https(url: &str) -> bool {
    url.strip_prefix("https://").is_some_and(|rest| {
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        !authority.is_empty()
            && !authority.contains('@')
            && !url.contains('#')
            && url.bytes().all(|byte| byte.is_ascii_graphic())
    })
}

fn hour() -> u32 {
    3600
}

fn half_a_minute() -> u32 {
    30
}

fn quarter_of_an_hour() -> u32 {
    900
}

fn five_minutes() -> u32 {
    300
}

fn five_seconds() -> u32 {
    5_000
}

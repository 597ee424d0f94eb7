//! What the admin says.

use std::time::Duration;

use countersign_device_api::Address;
use countersign_sdk::Problem;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::device::KINDS;
use crate::proof::Terms;

/// The settings of the plug-in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Where the device management answers a GET about one device with a JSON object, or with 404: an
    /// `https` URL with a name of the current certificate in braces, such as
    /// `https://mdm.example.com/devices/{SERIALNUMBER}`. Attributes of the subject stand there by
    /// their type; other names as `{DNS}`, `{email}`, `{URI}`, `{IP}` and `{UPN}`. Its host is granted
    /// by `hosts = ["{/url}"]`.
    pub url: String,
    /// What that name begins with before the device's id, and is left out: `IntuneDeviceId://`.
    #[serde(default)]
    pub strip_prefix: Option<String>,
    /// Have the host put the credential `device-api` in.
    #[serde(default)]
    pub credential: bool,
    /// Where in the answer the state of the device stands, as a JSON pointer (RFC 6901):
    /// `/management/state`. Without it, a device that has a record is managed.
    #[serde(default)]
    pub pointer: Option<String>,
    /// The values there that say that the device is managed: texts, numbers, true or false.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub expected: Vec<Value>,
    /// How long the API may take, in milliseconds.
    #[serde(default = "five_seconds")]
    #[schemars(range(min = 100, max = 60_000))]
    pub timeout_ms: u32,
    /// Renew only in the last so many days of the current certificate, 1 to 3650. Left out: at any
    /// time while it is valid.
    #[serde(default)]
    #[schemars(range(min = 1, max = 3650))]
    pub last_days: Option<u32>,
    /// Demand another key than the current certificate's. micromdm's scepclient keeps its key.
    #[serde(default)]
    pub new_key: bool,
}

impl Settings {
    /// What the proof is held to.
    pub(crate) fn terms(&self) -> Terms {
        Terms { last_days: self.last_days, new_key: self.new_key }
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.into())
    }

    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = self.terms().problems();
        let mut problem = |pointer: &str, text: &str| problems.push(Problem::new(pointer, text));
        match Address::parse(&self.url) {
            Err(error) => problem("/url", &error.to_string()),
            Ok(address) => {
                let places: Vec<_> = address.places().collect();
                if places.is_empty() || !places.iter().all(|place| is_kind(place)) {
                    problem(
                        "/url",
                        "expected a name of the current certificate in braces: the type of a \
                         subject's attribute such as `{SERIALNUMBER}`, or `{DNS}`, `{email}`, \
                         `{URI}`, `{IP}`, `{UPN}`",
                    );
                }
            }
        }
        match &self.pointer {
            Some(pointer) if !is_pointer(pointer) => problem(
                "/pointer",
                "expected a JSON pointer such as `/management/state`: it begins with `/`, and `~` \
                 is written `~0`",
            ),
            Some(_) if self.expected.is_empty() => {
                problem("/expected", "expected the values at `pointer` that say \"managed\"");
            }
            None if !self.expected.is_empty() => {
                problem("/pointer", "expected the place of `expected` in the answer");
            }
            Some(_) | None => {}
        }
        if self.expected.iter().any(|value| value.is_object() || value.is_array()) {
            problem("/expected", "expected texts, numbers, true or false");
        }
        if !(100..=60_000).contains(&self.timeout_ms) {
            problem("/timeout-ms", "expected 100 to 60000 milliseconds");
        }
        problems
    }
}

/// A kind of subject alternative name, or the type of a subject's attribute as the contract has it.
fn is_kind(place: &str) -> bool {
    let identifier = place.split('.').count() > 1
        && place.split('.').all(|arc| !arc.is_empty() && arc.bytes().all(|b| b.is_ascii_digit()));
    KINDS.contains(&place) || place.bytes().all(|b| b.is_ascii_uppercase()) || identifier
}

fn is_pointer(text: &str) -> bool {
    let escapes = text.split('~').skip(1);
    text.starts_with('/') && escapes.into_iter().all(|rest| rest.starts_with(['0', '1']))
}

fn five_seconds() -> u32 {
    5_000
}

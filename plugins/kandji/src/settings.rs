//! What the admin says.

use std::collections::BTreeSet;
use std::time::Duration;

use countersign_device_record::{Field, Template, identity_problem, name_problems, url_problem};
use countersign_sdk::Problem;
use schemars::JsonSchema;
use serde::Deserialize;

/// The fields that records have.
const FIELDS: [Field; 7] = [
    Field::SerialNumber,
    Field::Udid,
    Field::Uuid,
    Field::DeviceName,
    Field::AssetTag,
    Field::Username,
    Field::Email,
];

/// The settings of the plug-in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The tenant's API: `https://example.api.kandji.io`, or `https://example.api.eu.kandji.io`. Its
    /// host is granted by `hosts = ["{/url}"]`.
    pub url: String,
    /// Which name of the request says what device it is from, and as what: `CN={serial-number}`, or
    /// `{uuid}` for Kandji's own id of the device, with whatever stands before and after it.
    #[serde(default = "serial_number")]
    pub identity: String,
    /// Which names are vouched for: names with fields of the record in braces. Fields: `serial-number`,
    /// `udid`, `uuid`; and those that a user can change: `device-name`, `asset-tag`, `username`,
    /// `email`.
    #[serde(default = "usual_names")]
    pub names: Vec<String>,
    /// The fields in `names` that a device's user can change, each said by name: somebody who names
    /// his device like another one is given that one's certificate.
    #[serde(default)]
    pub user_changeable_fields: BTreeSet<Field>,
    /// Look at the device's commands: one that was told to erase itself gets no certificate.
    #[serde(default = "yes")]
    pub commands: bool,
    /// Days after which a device that has its certificate may get another one for another key without
    /// having been enrolled anew: shorter than the time after which Kandji installs the profile again.
    #[serde(default = "thirty")]
    #[schemars(range(min = 1, max = 400))]
    pub again_after_days: u32,
    /// How long one answer of Kandji may take, in milliseconds.
    #[serde(default = "three_seconds")]
    #[schemars(range(min = 100, max = 30_000))]
    pub timeout_ms: u32,
}

impl Settings {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.into())
    }

    pub(crate) fn again_after(&self) -> Duration {
        Duration::from_secs(u64::from(self.again_after_days) * 24 * 3600)
    }

    /// Whether a name is made of this field.
    pub(crate) fn needs(&self, field: Field) -> bool {
        let templates = self.names.iter().filter_map(|text| text.parse::<Template>().ok());
        templates.into_iter().any(|template| template.fields().any(|found| found == field))
    }

    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<_> =
            url_problem(&self.url, "https://example.api.kandji.io").into_iter().collect();
        problems.extend(identity_problem(&self.identity, &[Field::SerialNumber, Field::Uuid]));
        problems.extend(name_problems(&self.names, &self.user_changeable_fields, &FIELDS));
        if !(1..=400).contains(&self.again_after_days) {
            problems.push(Problem::new("/again-after-days", "expected 1 to 400 days"));
        }
        if !(100..=30_000).contains(&self.timeout_ms) {
            problems.push(Problem::new("/timeout-ms", "expected 100 to 30000 milliseconds"));
        }
        problems
    }
}

fn serial_number() -> String {
    "CN={serial-number}".to_owned()
}

fn usual_names() -> Vec<String> {
    vec![serial_number()]
}

fn yes() -> bool {
    true
}

fn thirty() -> u32 {
    30
}

fn three_seconds() -> u32 {
    3_000
}

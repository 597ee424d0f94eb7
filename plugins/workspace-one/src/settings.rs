//! What the admin says.

use std::collections::BTreeSet;
use std::time::Duration;

use countersign_device_record::{Field, identity_problem, name_problems, url_problem};
use countersign_sdk::Problem;
use schemars::JsonSchema;
use serde::Deserialize;

/// The settings of the plug-in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// UEM's REST API server: `https://as1234.awmdm.com`, without a path. Its host is granted by
    /// `hosts = ["{/url}"]`.
    pub url: String,
    /// The key of the REST API that UEM shows for the organization group, sent as `aw-tenant-code`. It
    /// says which tenant is meant and opens nothing without the credential `workspace-one-api`.
    pub tenant_code: String,
    /// Which name of the request says what device it is from, and as what: `CN={serial-number}` or
    /// `CN={udid}`, with whatever stands before and after the field.
    #[serde(default = "serial_number")]
    pub identity: String,
    /// Which names are vouched for: names with fields of the record in braces. Fields: `serial-number`,
    /// `udid`, `uuid`, `record-id`; and those that a user can change: `device-name`, `asset-tag`,
    /// `username`, `email`.
    #[serde(default = "usual_names")]
    pub names: Vec<String>,
    /// The fields in `names` that a device's user can change, each said by name: somebody who names
    /// his device like another one is given that one's certificate.
    #[serde(default)]
    pub user_changeable_fields: BTreeSet<Field>,
    /// The ownerships that are permitted; any where there is none.
    #[serde(default)]
    pub ownership: Vec<Ownership>,
    /// The organization groups that are permitted, by number (`LocationGroupId`): the group in which a
    /// device is, not one above it. Any where there is none.
    #[serde(default)]
    pub organization_groups: Vec<u64>,
    /// Refuse devices that UEM does not call compliant. One that it calls compromised is always
    /// refused.
    #[serde(default)]
    pub require_compliant: bool,
    /// Minutes that a challenge lives, where the listener's `longest-ttl-seconds` does not say less.
    #[serde(default = "an_hour")]
    #[schemars(range(min = 1, max = 1440))]
    pub lifetime_minutes: u32,
    /// Days after which a device that has its certificate may get another one for another key without
    /// having been enrolled anew: shorter than the time after which UEM pushes the profile again.
    #[serde(default = "thirty")]
    #[schemars(range(min = 1, max = 400))]
    pub again_after_days: u32,
    /// How long one answer of UEM may take, in milliseconds.
    #[serde(default = "three_seconds")]
    #[schemars(range(min = 100, max = 30_000))]
    pub timeout_ms: u32,
}

/// Whose a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ownership {
    /// The company's, for one person.
    CorporateDedicated,
    /// The company's, for many.
    CorporateShared,
    /// The employee's own.
    EmployeeOwned,
}

impl Ownership {
    /// As the API writes it.
    pub(crate) fn letter(self) -> &'static str {
        match self {
            Self::CorporateDedicated => "C",
            Self::CorporateShared => "S",
            Self::EmployeeOwned => "E",
        }
    }
}

impl Settings {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.into())
    }

    pub(crate) fn lifetime(&self) -> Duration {
        Duration::from_secs(u64::from(self.lifetime_minutes) * 60)
    }

    pub(crate) fn again_after(&self) -> Duration {
        Duration::from_secs(u64::from(self.again_after_days) * 24 * 3600)
    }

    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<_> =
            url_problem(&self.url, "https://as1234.awmdm.com").into_iter().collect();
        let code = self.tenant_code.as_bytes();
        if !(1..=256).contains(&code.len()) || !code.iter().all(u8::is_ascii_graphic) {
            let text = "expected the key of the REST API: letters, digits and signs without blanks";
            problems.push(Problem::new("/tenant-code", text));
        }
        problems.extend(identity_problem(&self.identity, &[Field::SerialNumber, Field::Udid]));
        problems.extend(name_problems(&self.names, &self.user_changeable_fields, &Field::ALL));
        if !(1..=1440).contains(&self.lifetime_minutes) {
            problems.push(Problem::new("/lifetime-minutes", "expected 1 to 1440 minutes, a day"));
        }
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

fn an_hour() -> u32 {
    60
}

fn thirty() -> u32 {
    30
}

fn three_seconds() -> u32 {
    3_000
}

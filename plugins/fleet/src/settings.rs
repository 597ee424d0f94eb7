//! What the admin says.

use std::collections::BTreeSet;
use std::time::Duration;

use countersign_device_record::{Field, identity_problem, name_problems, url_problem};
use countersign_sdk::Problem;
use schemars::JsonSchema;
use serde::Deserialize;

/// The fields that records have.
const FIELDS: [Field; 4] = [Field::SerialNumber, Field::Uuid, Field::RecordId, Field::DeviceName];

/// The settings of the plug-in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The Fleet server: `https://fleet.example.com`, without a path. Its host is granted by
    /// `hosts = ["{/url}"]`.
    pub url: String,
    /// Which challenge devices bring: one that Fleet fetched here, or the static one of a custom SCEP
    /// certificate authority.
    #[serde(default)]
    pub challenge: ChallengeKind,
    /// Which name of the request says what host it is from, and as what: `CN={serial-number}` or
    /// `CN={uuid}`, with whatever stands before and after the field. Left out, it is the host's UUID
    /// behind the profile in the URL.
    pub identity: Option<String>,
    /// The certificate authority in Fleet that must stand in the URL; any where this is left out.
    pub ca: Option<String>,
    /// Which names are vouched for: names with fields of the record in braces. Fields: `serial-number`,
    /// `uuid`, `record-id`; and one that a user can change: `device-name`.
    #[serde(default = "usual_names")]
    pub names: Vec<String>,
    /// The fields in `names` that a device's user can change, each said by name: somebody who names
    /// his device like another one is given that one's certificate.
    #[serde(default)]
    pub user_changeable_fields: BTreeSet<Field>,
    /// The teams whose hosts are permitted, by number; any where there is none.
    #[serde(default)]
    pub teams: Vec<u64>,
    /// Minutes that a challenge lives, where the listener's `longest-ttl-seconds` does not say less.
    /// Fleet takes one from an NDES page for good for 57 minutes, one from Smallstep for 4.
    #[serde(default = "an_hour")]
    #[schemars(range(min = 1, max = 1440))]
    pub lifetime_minutes: u32,
    /// Days after which a host that has its certificate may get another one for another key without
    /// having been enrolled anew: shorter than the time after which Fleet sends the profile again.
    #[serde(default = "thirty")]
    #[schemars(range(min = 1, max = 400))]
    pub again_after_days: u32,
    /// How long one answer of Fleet may take, in milliseconds.
    #[serde(default = "three_seconds")]
    #[schemars(range(min = 100, max = 30_000))]
    pub timeout_ms: u32,
}

/// Which challenge devices bring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChallengeKind {
    /// One for one request, which Fleet fetched here as from NDES or from Smallstep.
    #[default]
    Issued,
    /// The same for all, the secret `fleet-challenge`: one factor and never enough.
    Static,
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
            url_problem(&self.url, "https://fleet.example.com").into_iter().collect();
        if let Some(identity) = &self.identity {
            problems.extend(identity_problem(identity, &[Field::SerialNumber, Field::Uuid]));
            if self.ca.is_some() {
                let text = "the name of the CA stands in the URL, and `identity` says that nothing \
                            there is read: leave one of them out";
                problems.push(Problem::new("/ca", text));
            }
        }
        problems.extend(name_problems(&self.names, &self.user_changeable_fields, &FIELDS));
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

fn usual_names() -> Vec<String> {
    vec!["CN={serial-number}".to_owned(), "CN={uuid}".to_owned()]
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

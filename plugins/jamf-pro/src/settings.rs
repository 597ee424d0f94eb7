//! What the admin says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use countersign_sdk::{Name, Problem};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::record::Record;
use crate::template::{Field, Template};

/// The settings of the plug-in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The Jamf Pro server: `https://example.jamfcloud.com`, without a path. Its host is granted by
    /// `hosts = ["{/url}"]`.
    pub url: String,
    /// Which names a device's challenge vouches for: names with fields of its inventory record in
    /// braces, such as `CN={serial-number}`. Fields: `serial-number`, `udid`, `management-id`,
    /// `record-id`; and those that a user can change: `device-name`, `asset-tag`, `username`,
    /// `email`.
    #[serde(default = "usual_names")]
    pub names: Vec<String>,
    /// The fields in `names` that a device's user can change, each said by name: somebody who names
    /// his device like another one is given that one's certificate.
    #[serde(default)]
    pub user_changeable_fields: BTreeSet<Field>,
    /// Where devices are looked for, in this order.
    #[serde(default = "both_kinds")]
    pub devices: Vec<DeviceKind>,
    /// The version of the end point `computers-inventory`. Jamf gives up old ones some time after a
    /// new one is there.
    #[serde(default)]
    pub computers_inventory: ComputersInventory,
    /// Look a device up once more when it enrols: it may have left since its challenge was fetched.
    #[serde(default = "yes")]
    pub recheck: bool,
    /// Refuse webhooks that name no target device. The default, false, answers them with a challenge
    /// that vouches for no name, so that another verifier of the profile must.
    #[serde(default)]
    pub require_target_device: bool,
    /// For webhooks without target device: the identifiers of profiles that go to one device only
    /// (`payloadIdentifier`), and that device's serial number.
    #[serde(default)]
    pub payloads: BTreeMap<String, String>,
    /// The SCEP server that must stand in the webhook; any where this is left out.
    pub scep_server_url: Option<String>,
    /// Minutes that a challenge lives, where the listener's `longest-ttl-seconds` does not say less.
    #[serde(default = "an_hour")]
    #[schemars(range(min = 1, max = 1440))]
    pub lifetime_minutes: u32,
    /// Smart groups whose members lose their certificates when they enter: devices that are lost, or no
    /// longer managed.
    #[serde(default)]
    pub revoke_groups: RevokeGroups,
    /// How long one answer of Jamf Pro may take, in milliseconds.
    #[serde(default = "three_seconds")]
    #[schemars(range(min = 100, max = 30_000))]
    pub timeout_ms: u32,
}

/// A kind of device, each with an inventory of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceKind {
    /// Macs.
    Computers,
    /// iPhone, iPad, Apple TV, Apple Watch and Vision Pro.
    MobileDevices,
}

/// A version of `/api/<version>/computers-inventory`. What is read of it is the same in all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ComputersInventory {
    /// Up to Jamf Pro 11.16; deprecated since June 2025.
    V1,
    /// Between the others.
    V2,
    /// Deprecated with Jamf Pro 11.30, and there for a year from then at least.
    #[default]
    V3,
    /// Jamf Pro 11.30 and later.
    V4,
}

impl ComputersInventory {
    pub(crate) fn segment(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::V3 => "v3",
            Self::V4 => "v4",
        }
    }
}

/// Smart groups by their ids in Jamf Pro.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RevokeGroups {
    /// Smart computer groups.
    pub computers: BTreeSet<u64>,
    /// Smart device groups.
    pub mobile_devices: BTreeSet<u64>,
}

impl Settings {
    /// The usual settings for a server.
    pub fn of(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            names: usual_names(),
            user_changeable_fields: BTreeSet::new(),
            devices: both_kinds(),
            computers_inventory: ComputersInventory::default(),
            recheck: true,
            require_target_device: false,
            payloads: BTreeMap::new(),
            scep_server_url: None,
            lifetime_minutes: an_hour(),
            revoke_groups: RevokeGroups::default(),
            timeout_ms: three_seconds(),
        }
    }

    pub(crate) fn lifetime(&self) -> Duration {
        Duration::from_secs(u64::from(self.lifetime_minutes) * 60)
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.into())
    }

    /// The names of a device; those whose fields its record lacks are left out. A field that a user
    /// can change counts only where the settings name it.
    pub(crate) fn names_of(&self, record: &Record) -> Vec<Name> {
        let allowed = |field: Field| {
            !field.is_user_changeable() || self.user_changeable_fields.contains(&field)
        };
        let mut names = Vec::new();
        for template in self.names.iter().filter_map(|text| text.parse::<Template>().ok()) {
            let filled = template.fill(|field| record.field(field).filter(|_| allowed(field)));
            names.extend(filled.filter(|name| !names.contains(name)));
        }
        names
    }

    /// Whether a record must hold who uses the device; nothing more about people is asked for.
    pub(crate) fn wants_user(&self) -> bool {
        self.user_changeable_fields.iter().any(|field| field.is_of_user())
    }

    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !is_server(&self.url) {
            problems.push(Problem::new(
                "/url",
                "expected the address of a Jamf Pro server and nothing after it: write \
                 https://example.jamfcloud.com",
            ));
        }
        self.name_problems(&mut problems);
        if self.devices.is_empty() {
            let text = "expected `computers`, `mobile-devices`, or both: devices are looked for \
                        nowhere";
            problems.push(Problem::new("/devices", text));
        }
        for (payload, serial) in &self.payloads {
            if !crate::message::is_identifier(serial) {
                let at = format!("/payloads/{}", payload.replace('~', "~0").replace('/', "~1"));
                problems.push(Problem::new(at, "expected a serial number"));
            }
        }
        if !(1..=1440).contains(&self.lifetime_minutes) {
            problems.push(Problem::new("/lifetime-minutes", "expected 1 to 1440 minutes, a day"));
        }
        if !(100..=30_000).contains(&self.timeout_ms) {
            problems.push(Problem::new("/timeout-ms", "expected 100 to 30000 milliseconds"));
        }
        problems
    }

    fn name_problems(&self, problems: &mut Vec<Problem>) {
        if self.names.is_empty() {
            problems.push(Problem::new(
                "/names",
                "expected at least one name, such as `CN={serial-number}`: challenges would vouch \
                 for none",
            ));
        }
        let mut used = BTreeSet::new();
        for (index, text) in self.names.iter().enumerate() {
            let at = format!("/names/{index}");
            match text.parse::<Template>() {
                Err(why) => problems.push(Problem::new(at, why)),
                Ok(template) => {
                    for field in template.fields().filter(|field| field.is_user_changeable()) {
                        used.insert(field);
                        if !self.user_changeable_fields.contains(&field) {
                            let word = field.word();
                            problems.push(Problem::new(
                                &at,
                                format!(
                                    "`{{{word}}}` can be changed by the device's user, who then \
                                     chooses whose certificate he is given: use `serial-number` or \
                                     `udid`, or add \"{word}\" to `user-changeable-fields`"
                                ),
                            ));
                        }
                    }
                }
            }
        }
        for field in self.user_changeable_fields.difference(&used) {
            let word = field.word();
            let text = format!(
                "no name uses `{{{word}}}` as a field that a user can change: \
                                remove it"
            );
            problems.push(Problem::new("/user-changeable-fields", text));
        }
    }
}

fn is_server(url: &str) -> bool {
    url.strip_prefix("https://").is_some_and(|authority| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        !authority.is_empty() && authority.bytes().all(plain)
    })
}

fn usual_names() -> Vec<String> {
    vec!["CN={serial-number}".to_owned(), "CN={udid}".to_owned()]
}

fn both_kinds() -> Vec<DeviceKind> {
    vec![DeviceKind::Computers, DeviceKind::MobileDevices]
}

fn yes() -> bool {
    true
}

fn an_hour() -> u32 {
    60
}

fn three_seconds() -> u32 {
    3_000
}

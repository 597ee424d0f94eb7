//! What the admin says.

use std::borrow::Cow;
use std::time::Duration;

use countersign_sdk::Problem;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

/// The settings of the plug-in. All may be left out.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Bytes of randomness in a password, each of which is two upper-case hexadecimal digits: what
    /// NDES calls PasswordLength. 8, as NDES has it, is the least.
    #[schemars(range(min = 8, max = 32))]
    pub password_bytes: u8,
    /// Minutes that a password lives, where neither the listener's `longest-ttl-seconds` nor the
    /// caller says less: what NDES calls PasswordValidity, there an hour too.
    #[schemars(range(min = 1, max = 1440))]
    pub lifetime_minutes: u32,
    /// Refuse passwords without names. The default, false, gives them out without vouching for any
    /// name, so that another verifier of the profile must.
    pub require_names: bool,
    /// Refuse passwords without a device id. Needed where certificates shall be revoked by device.
    pub require_device_id: bool,
    /// Days that a password is remembered, so that a request which waits for a decision still finds
    /// it and a reuse is known as one: at least the profile's `pending-days`.
    #[schemars(range(min = 1, max = 90))]
    pub remember_days: u32,
    /// Refused, whatever its value: every request needs a password.
    #[serde(rename = "EnforcePassword")]
    pub enforce_password: AbsentFromHere,
    /// Refused, whatever its value: every password is good for one request.
    #[serde(rename = "UseSinglePassword")]
    pub use_single_password: AbsentFromHere,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            password_bytes: 8,
            lifetime_minutes: 60,
            require_names: false,
            require_device_id: false,
            remember_days: 7,
            enforce_password: AbsentFromHere,
            use_single_password: AbsentFromHere,
        }
    }
}

impl Settings {
    pub(crate) fn lifetime(&self) -> Duration {
        Duration::from_secs(u64::from(self.lifetime_minutes) * 60)
    }

    /// Past its life a password is only recognised.
    pub(crate) fn remembered(&self) -> Duration {
        Duration::from_secs(u64::from(self.remember_days) * 86_400)
    }

    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !(8..=32).contains(&self.password_bytes) {
            let text = "expected 8 to 32 bytes: a shorter password could be guessed";
            problems.push(Problem::new("/password-bytes", text));
        }
        if !(1..=1440).contains(&self.lifetime_minutes) {
            problems.push(Problem::new("/lifetime-minutes", "expected 1 to 1440 minutes, a day"));
        }
        if !(1..=90).contains(&self.remember_days) {
            problems.push(Problem::new("/remember-days", "expected 1 to 90 days"));
        }
        problems
    }
}

/// A setting of NDES that weakens its passwords. It is known here so that who carries his old
/// registry over is told why it cannot be had, rather than that it is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AbsentFromHere;

impl<'de> Deserialize<'de> for AbsentFromHere {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom(
            "NDES's EnforcePassword and UseSinglePassword do not exist here, with any value: every \
             request needs a password, and every password is good for one request only; remove it. \
             For devices that cannot bring one, use another verifier",
        ))
    }
}

/// Anything, so that the explanation is reached.
impl JsonSchema for AbsentFromHere {
    fn schema_name() -> Cow<'static, str> {
        "AbsentFromHere".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "deprecated": true })
    }
}

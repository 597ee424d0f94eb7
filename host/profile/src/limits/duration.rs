//! Lengths of validity as people write them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time in whole hours, written `398d` or `12h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration {
    hours: u32,
}

/// Text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no duration: days such as `398d` or hours such as `12h` are expected, from 1h to 36500d"
)]
pub struct DurationError(String);

/// A hundred years: beyond it seconds and dates stop meaning anything.
const MAX_HOURS: u32 = 36_500 * 24;

impl Duration {
    /// So many days, cut at a hundred years.
    #[must_use]
    pub const fn from_days(days: u32) -> Self {
        let hours = days.saturating_mul(24);
        Self { hours: if hours > MAX_HOURS { MAX_HOURS } else { hours } }
    }

    /// In seconds.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.hours as u64 * 3600
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let error = || DurationError(text.chars().take(40).flat_map(char::escape_debug).collect());
        let (number, unit) = if let Some(days) = text.strip_suffix('d') {
            (days, 24)
        } else {
            (text.strip_suffix('h').ok_or_else(error)?, 1)
        };
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(error());
        }
        let hours = number.parse::<u32>().ok().and_then(|number| number.checked_mul(unit));
        match hours {
            Some(hours @ 1..=MAX_HOURS) => Ok(Self { hours }),
            _ => Err(error()),
        }
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.hours.is_multiple_of(24) {
            write!(f, "{}d", self.hours / 24)
        } else {
            write!(f, "{}h", self.hours)
        }
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Duration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Validity".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "Days such as 398d, or hours such as 12h.",
            "pattern": "^[0-9]+[dh]$",
        })
    }
}

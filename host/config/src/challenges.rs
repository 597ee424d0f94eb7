//! `[verify.challenges]`: when refused challenges are an alarm, and when somebody has to wait.

use schemars::JsonSchema;
use serde::Deserialize;

/// `[verify.challenges]`: requests refused for their challenge are counted by kind (spent before, of
/// another device, wrong), by source and by the device that the challenge was made for.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ChallengeSettings {
    /// Refusals older than this are forgotten.
    #[schemars(range(min = 60, max = 86_400))]
    pub window_seconds: u32,
    /// Refusals of one kind that raise an alarm, of one source or one device; each doubling raises
    /// the next.
    #[schemars(range(min = 1, max = 100_000))]
    pub alarm_after: u32,
    /// Refusals after which a device must wait; 0: it never must.
    #[schemars(range(min = 0, max = 100_000))]
    pub lock_device_after: u32,
    /// Refusals after which a source must wait; 0: it never must. All devices behind one address
    /// wait together: a device management that relays requests, a reverse proxy without
    /// `source-header`.
    #[schemars(range(min = 0, max = 100_000))]
    pub lock_source_after: u32,
    /// How long.
    #[schemars(range(min = 10, max = 86_400))]
    pub lock_seconds: u32,
}

impl Default for ChallengeSettings {
    fn default() -> Self {
        Self {
            window_seconds: 600,
            alarm_after: 10,
            lock_device_after: 10,
            lock_source_after: 100,
            lock_seconds: 900,
        }
    }
}

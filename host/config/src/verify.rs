//! `[verify]`: the process that runs verifiers.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::challenges::ChallengeSettings;
use crate::mdm::MdmSettings;
use crate::revoker::{RevocationSettings, RevokerListener};
use crate::secret::SecretRef;
use crate::user::User;
use crate::value::LoopbackAddress;

/// `[verify]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct VerifySettings {
    /// The user it runs as. Required in production, and different from the others'.
    pub user: Option<User>,
    /// Directory of its database and of compiled plug-ins.
    pub state: PathBuf,
    /// Where Prometheus reads metrics; loopback only.
    pub metrics: Option<LoopbackAddress>,
    /// The key, 32 random bytes, under which challenges are stored as MACs.
    pub challenge_key: SecretRef,
    /// The key, 32 random bytes, of encrypted database columns.
    pub column_key: SecretRef,
    /// When refused challenges are an alarm.
    #[serde(default)]
    pub challenges: ChallengeSettings,
    /// Where device managements fetch challenges and post events; without it there is no such
    /// listener.
    pub mdm: Option<MdmSettings>,
    /// Where revokers pull orders; without it there is no such listener.
    pub revoker: Option<RevokerListener>,
    /// Revocations by hand.
    #[serde(default)]
    pub revocation: RevocationSettings,
    /// Bounds of the sandbox as a whole.
    #[serde(default)]
    pub sandbox: SandboxSettings,
}

/// `[verify.sandbox]`: bounds of all plug-ins together; each has its own in
/// `[plugin.NAME.limits]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SandboxSettings {
    /// Plug-in instances alive at once.
    #[schemars(range(min = 1, max = 1024))]
    pub instances: u32,
    /// Core instances one component may consist of (Rust 3, JavaScript 9, Python up to 38).
    #[schemars(range(min = 3, max = 64))]
    pub core_instances_per_component: u32,
    /// The most memory any plug-in may be granted, in MiB.
    #[schemars(range(min = 1, max = 1024))]
    pub max_memory_mib: u32,
}

impl Default for SandboxSettings {
    fn default() -> Self {
        Self { instances: 64, core_instances_per_component: 40, max_memory_mib: 128 }
    }
}

//! `[sign]`: the process that holds the Enrollment-Agent key.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::secret::SecretRef;
use crate::token::KeyRef;
use crate::user::User;

/// `[sign]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SignSettings {
    /// The user it runs as. Required in production, and different from the others'.
    pub user: Option<User>,
    /// Directory of its database: the ledger and what was signed.
    pub state: PathBuf,
    /// The key, 32 random bytes, of encrypted database columns.
    pub column_key: SecretRef,
    /// Signed checkpoints of the ledger.
    pub checkpoint: CheckpointSettings,
    /// How many signatures in how long, whatever is approved.
    #[serde(default)]
    pub fuse: FuseSettings,
    /// How many revocation orders in how long, whoever places them.
    #[serde(default)]
    pub revocation_fuse: RevocationFuseSettings,
    /// The signature of revocation orders; needed where there is a revoker.
    pub order: Option<OrderSettings>,
    /// The key of the role EA.
    pub keys: SignKeys,
}

/// `[sign.order]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OrderSettings {
    /// The P-256 private key that signs revocation orders and nothing else, PKCS#8.
    pub key: SecretRef,
}

/// `[sign.revocation-fuse]`: beyond these numbers no revocation order is signed until two people
/// reset the fuse. A device management in the wrong hands would wipe everything at once.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RevocationFuseSettings {
    /// Orders in any minute.
    #[schemars(range(min = 1))]
    pub per_minute: u32,
    /// Orders in any hour.
    #[schemars(range(min = 1))]
    pub per_hour: u32,
    /// Orders in any day.
    #[schemars(range(min = 1))]
    pub per_day: u32,
}

impl Default for RevocationFuseSettings {
    fn default() -> Self {
        Self { per_minute: 10, per_hour: 50, per_day: 200 }
    }
}

/// `[sign.checkpoint]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CheckpointSettings {
    /// The P-256 private key that signs checkpoints and nothing else, PKCS#8.
    pub key: SecretRef,
    /// The file that checkpoints are appended to; outside `state`, best on another disk.
    pub file: PathBuf,
    /// Seconds between two checkpoints.
    #[serde(default = "one_minute")]
    #[schemars(range(min = 1, max = 3600))]
    pub interval_seconds: u32,
}

/// `[sign.fuse]`: beyond these numbers nothing is countersigned until the window moves on.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct FuseSettings {
    /// Signatures in any minute.
    #[schemars(range(min = 1))]
    pub per_minute: u32,
    /// Signatures in any hour.
    #[schemars(range(min = 1))]
    pub per_hour: u32,
    /// Signatures in any day.
    #[schemars(range(min = 1))]
    pub per_day: u32,
}

impl Default for FuseSettings {
    fn default() -> Self {
        Self { per_minute: 120, per_hour: 2_000, per_day: 10_000 }
    }
}

/// `[sign.keys]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SignKeys {
    /// Countersigns approved requests.
    pub ea: KeyPairSettings,
}

/// A private key and its certificate.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KeyPairSettings {
    /// The certificate, PEM or DER. A PEM file may hold the chain after it.
    pub certificate: PathBuf,
    /// Where the private key is.
    pub key: KeyRef,
}

fn one_minute() -> u32 {
    60
}

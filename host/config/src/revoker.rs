//! `[revoker.NAME]`, `[verify.revoker]` and `[verify.revocation]`: who carries out revocations, where
//! orders are pulled from, and how many one person may place by hand.

use std::path::PathBuf;

use countersign_profile::Name;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::mdm::TcpAddress;
use crate::secret::SecretRef;

/// `[revoker.NAME]`: an agent beside a CA. It pulls signed orders, revokes, and says what became of
/// them. It is never the account that enrols (row 39).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RevokerSettings {
    /// What it is.
    pub kind: RevokerKind,
    /// The authorities whose certificates it revokes, by their names here. Each has one revoker.
    pub authorities: Vec<String>,
    /// A name that its client certificate must carry, beside chaining to `client-ca` of
    /// [verify.revoker]: `DNS:revoker.example.com`, `CN=revoker`.
    pub client: Name,
}

/// What a revoker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RevokerKind {
    /// `countersign-lab-ca revoke-agent`.
    Lab,
    /// The PowerShell task of `countersign revoker script`, on an AD CS CA.
    AdCs,
}

/// `[verify.revoker]`: where revokers pull orders. Always TLS with client certificates.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RevokerListener {
    /// Where revokers connect, an IP address and port: `192.0.2.7:8446`. TLS 1.2 and 1.3 only.
    pub listen: TcpAddress,
    /// The listener's certificate and its chain, PEM, end entity first.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: SecretRef,
    /// Authorities of the revokers' client certificates, PEM.
    pub client_ca: PathBuf,
    /// Most connections at once.
    #[serde(default = "sixteen")]
    #[schemars(range(min = 1, max = 256))]
    pub max_connections: u32,
}

/// `[verify.revocation]`: revocations by hand.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RevocationSettings {
    /// Certificates that may be ordered revoked by one person alone in any 24 hours, all persons
    /// together. Beyond it a second one must confirm.
    #[schemars(range(min = 0, max = 1000))]
    pub alone_per_day: u32,
}

impl Default for RevocationSettings {
    fn default() -> Self {
        Self { alone_per_day: 5 }
    }
}

fn sixteen() -> u32 {
    16
}

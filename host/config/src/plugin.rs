//! `[plugin.NAME]`: a verifier plug-in, its settings and what it may do.

pub(crate) mod credential;
pub(crate) mod host;

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::secret::SecretRef;
use crate::value::ComponentDigest;

use self::credential::{CredentialSettings, PluginSecret};
use self::host::{AddressRange, HostPattern};

/// `[plugin.NAME]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PluginSettings {
    /// The WebAssembly component.
    pub component: PathBuf,
    /// Its digest, `sha256:` and 64 hexadecimal digits; nothing else is ever run.
    pub digest: ComponentDigest,
    /// What the plug-in itself is told; its own schema says what may stand here.
    #[serde(default)]
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// What it may use of the host. Nothing, unless granted here.
    #[serde(default)]
    pub grants: Grants,
    /// How its requests go out; needed where hosts are granted.
    pub http: Option<PluginHttp>,
    /// Who its requests are from, by the names that the plug-in uses.
    #[serde(default)]
    pub credentials: BTreeMap<String, CredentialSettings>,
    /// Its secrets, by the names that the plug-in uses; each is granted in `grants.secrets`.
    #[serde(default)]
    pub secrets: BTreeMap<String, PluginSecret>,
    /// Seconds between two looks into the feed of its device management (`events.on-schedule`);
    /// without it nothing is pulled.
    #[schemars(range(min = 5, max = 86_400))]
    pub schedule_seconds: Option<u32>,
    /// Its budgets.
    #[serde(default)]
    pub limits: PluginLimits,
}

/// `[plugin.NAME.grants]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Grants {
    /// Write to the host's log.
    pub log: bool,
    /// Issue and redeem one-time challenges kept by the host.
    pub challenges: bool,
    /// A key-value store of its own.
    pub kv: bool,
    /// Send requests over HTTPS to these hosts, and to no others.
    pub hosts: Vec<HostPattern>,
    /// Addresses beside the public ones that those hosts may have: a private network's.
    pub addresses: Vec<AddressRange>,
    /// Use these secrets by reference: sign with them, compare with them, never see them.
    pub secrets: Vec<String>,
    /// Vouch for a whole request `exactly-as-requested`, without knowing its names.
    pub exactly_as_requested: bool,
    /// Have certificates revoked that were issued under its profiles; needs a [revoker.NAME].
    pub revocation: bool,
}

/// `[plugin.NAME.http]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PluginHttp {
    /// The only roots that its hosts' certificates may chain to, PEM. For public services, the
    /// system's: `/etc/ssl/certs/ca-certificates.crt`.
    pub roots: PathBuf,
    /// A TLS client certificate, for hosts that want one.
    pub client_certificate: Option<PluginClientCertificate>,
    /// Milliseconds one request may take; never more than is left of the call.
    #[serde(default = "ten_seconds")]
    #[schemars(range(min = 10, max = 120_000))]
    pub timeout_ms: u32,
    /// Bytes of a request's body.
    #[serde(default = "quarter_mebibyte")]
    #[schemars(range(min = 1, max = 524_288))]
    pub max_request_bytes: u32,
    /// Bytes of an answer's body.
    #[serde(default = "quarter_mebibyte")]
    #[schemars(range(min = 1, max = 524_288))]
    pub max_response_bytes: u32,
    /// Requests at once.
    #[serde(default = "sixteen")]
    #[schemars(range(min = 1, max = 1024))]
    pub concurrency: u32,
}

/// A TLS client certificate, shown to some hosts only.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PluginClientCertificate {
    /// The hosts that are shown it.
    pub hosts: Vec<HostPattern>,
    /// The certificate and its chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: SecretRef,
}

fn ten_seconds() -> u32 {
    10_000
}

fn quarter_mebibyte() -> u32 {
    256 * 1024
}

fn sixteen() -> u32 {
    16
}

/// `[plugin.NAME.limits]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PluginLimits {
    /// Milliseconds one call may take, host calls included.
    #[schemars(range(min = 10, max = 120_000))]
    pub time_ms: u32,
    /// Memory of one instance in MiB.
    #[schemars(range(min = 1, max = 1024))]
    pub memory_mib: u32,
    /// Calls at once.
    #[schemars(range(min = 1, max = 1024))]
    pub concurrency: u32,
    /// Calls that may wait; one more is `unavailable`.
    #[schemars(range(max = 65_536))]
    pub queue: u32,
    /// Calls to the host in one call.
    #[schemars(range(min = 1, max = 10_000))]
    pub host_calls: u32,
    /// Bytes of log in one call.
    #[schemars(range(max = 1_048_576))]
    pub log_bytes: u32,
    /// Entries in its key-value store.
    #[schemars(range(max = 10_000_000))]
    pub kv_entries: u32,
}

impl Default for PluginLimits {
    fn default() -> Self {
        Self {
            time_ms: 5_000,
            memory_mib: 64,
            concurrency: 16,
            queue: 128,
            host_calls: 256,
            log_bytes: 16_384,
            kv_entries: 100_000,
        }
    }
}

//! `[serve]`: the process that faces devices and the CA.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::secret::SecretRef;
use crate::sign::KeyPairSettings;
use crate::user::User;
use crate::value::{BadValue, LoopbackAddress, string_value};

/// `[serve]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ServeSettings {
    /// The user it runs as. Required in production, and different from the others'.
    pub user: Option<User>,
    /// Directory of its database.
    pub state: PathBuf,
    /// Where devices connect: `127.0.0.1:8085`, or `unix:/path` behind a reverse proxy. Any
    /// other address needs `[serve.tls]`.
    pub listen: Listen,
    /// TLS of the listener. Without it the listener must be loopback or a Unix socket.
    pub tls: Option<TlsSettings>,
    /// Where Prometheus reads metrics; loopback only.
    pub metrics: Option<LoopbackAddress>,
    /// URL paths that stand for a profile: `"/certsrv/mscep/mscep.dll" = "wifi"`.
    #[serde(default)]
    pub aliases: BTreeMap<String, String>,
    /// Bounds of the listener.
    #[serde(default)]
    pub limits: ServeLimits,
    /// The key, 32 random bytes, of encrypted database columns.
    pub column_key: SecretRef,
    /// Keys of the roles CEP and REP.
    pub keys: ServeKeys,
}

/// `[serve.tls]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TlsSettings {
    /// The certificate and its chain, PEM, end entity first.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: SecretRef,
}

/// `[serve.limits]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ServeLimits {
    /// Longest request body in bytes; a longer one gets 413.
    #[schemars(range(min = 4096, max = 1_048_576))]
    pub max_body_bytes: u32,
    /// Most requests at once; one more gets 503.
    #[schemars(range(min = 1, max = 65_536))]
    pub max_in_flight: u32,
    /// Most connections at once.
    #[schemars(range(min = 1, max = 65_536))]
    pub max_connections: u32,
    /// Seconds in which a request's header must have come.
    #[schemars(range(min = 1, max = 300))]
    pub header_seconds: u32,
    /// Seconds in which a request's body must have come.
    #[schemars(range(min = 1, max = 300))]
    pub body_seconds: u32,
    /// Seconds in which an answer must be ready, all stations together.
    #[schemars(range(min = 1, max = 600))]
    pub request_seconds: u32,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            max_body_bytes: 65_536,
            max_in_flight: 256,
            max_connections: 1024,
            header_seconds: 10,
            body_seconds: 15,
            request_seconds: 60,
        }
    }
}

/// `[serve.keys]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ServeKeys {
    /// Opens envelopes.
    pub cep: KeyPairSettings,
    /// Signs replies.
    pub rep: KeyPairSettings,
    /// Former CEP keys: still opened with, no longer handed out (roll-over).
    #[serde(default)]
    pub previous_cep: Vec<KeyPairSettings>,
}

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// An IP address and port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Listen {
    /// Whether only this host can connect.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl FromStr for Listen {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        match text.strip_prefix("unix:") {
            Some("") => {}
            Some(path) => return Ok(Self::Unix(PathBuf::from(path))),
            None => {
                if let Ok(address) = text.parse() {
                    return Ok(Self::Tcp(address));
                }
            }
        }
        Err(BadValue::new(
            "bad-listen-address",
            format!("`{text}` is not an address to listen on"),
            "write an IP address with its port (`127.0.0.1:8085`, `[::1]:8085`) or \
             `unix:/path/to/socket`",
        ))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

string_value!(Listen, "listen-address", "`127.0.0.1:8085`, `[::1]:8085` or `unix:/path`.");

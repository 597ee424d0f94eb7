//! `[serve]`: the process that faces devices and the CA.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
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
    /// What strangers may spend, each a minute.
    #[serde(default)]
    pub budgets: ServeBudgets,
    /// The header in which the reverse proxy on this host says who asked, such as
    /// `x-forwarded-for` (its last address counts: the one that this proxy saw). Without it
    /// everybody behind the proxy shares one source. Only for a local listener.
    pub source_header: Option<SourceHeader>,
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
    /// Milliseconds from the unwrap of an envelope to the answer of every failure to open it: the
    /// same for all failures. Longer than the slowest good unwrap under full load: twice the
    /// station `open`'s p99.9 of `countersign_station_seconds`; if
    /// `countersign_zone_a_overruns_total` grows, it is too short. Devices that succeed do not
    /// wait for it.
    #[schemars(range(min = 10, max = 10_000))]
    pub zone_a_milliseconds: u32,
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
            // Software and network HSMs unwrap in 1 to 20 ms, and a hundred may wait in line.
            zone_a_milliseconds: 250,
        }
    }
}

/// `[serve.budgets]`: what strangers may spend, each a minute: so many at once, then one every
/// 60/N seconds. Over budget the device gets 503 with Retry-After, and no key is used. Messages
/// from this host (loopback or Unix socket, no source header) have no budget per source.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ServeBudgets {
    /// Messages of one source: an IPv4 address, an IPv6 /64. All devices behind one NAT are one
    /// source.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub messages_per_source: NonZeroU32,
    /// Messages of one source whose envelope did not open.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub failures_per_source: NonZeroU32,
    /// Envelopes opened with one CEP key, whoever sent them.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub unwraps_per_key: NonZeroU32,
    /// Envelopes that one CEP key did not open, whoever sent them. Beyond it an alarm, and only
    /// sources without a failure of their own are served.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub failures_per_key: NonZeroU32,
    /// Most sources remembered; further ones share one budget.
    #[schemars(range(min = 16, max = 1_048_576))]
    pub sources: u32,
}

impl Default for ServeBudgets {
    fn default() -> Self {
        let number = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        Self {
            messages_per_source: number(1200),
            failures_per_source: number(30),
            unwraps_per_key: number(60_000),
            failures_per_key: number(600),
            sources: 16_384,
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

/// The name of an HTTP header, lower-case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceHeader(String);

impl SourceHeader {
    /// The name, lower-case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SourceHeader {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        // RFC 7239's Forwarded has a syntax of its own, which is not read here.
        if text.is_empty()
            || text.len() > 64
            || !text.bytes().all(plain)
            || text.eq_ignore_ascii_case("forwarded")
        {
            return Err(BadValue::new(
                "bad-source-header",
                format!("`{text}` is no header with the address of a client in it"),
                "write the name of a header with addresses, such as `x-forwarded-for` or \
                 `x-real-ip`",
            ));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for SourceHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

string_value!(SourceHeader, "source-header", "The name of an HTTP header: `x-forwarded-for`.");

string_value!(Listen, "listen-address", "`127.0.0.1:8085`, `[::1]:8085` or `unix:/path`.");

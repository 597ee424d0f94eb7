//! Values that are text in the file and more than text to us.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use url::Url;

/// Text that is not the value it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadValue {
    /// Row of the founding checklist, where it belongs to one.
    pub row: Option<u8>,
    /// Stable name of the fault.
    pub id: &'static str,
    /// What was found.
    pub message: String,
    /// What to write instead.
    pub remedy: String,
}

impl BadValue {
    pub(crate) fn new(
        id: &'static str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { row: None, id, message: message.into(), remedy: remedy.into() }
    }

    pub(crate) fn of_row(self, row: u8) -> Self {
        Self { row: Some(row), ..self }
    }
}

impl fmt::Display for BadValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message, self.remedy)
    }
}

impl std::error::Error for BadValue {}

/// Gives a type that parses from text its serde and schema sides. The schema's `format` names
/// the type, so that the walk over the file can check every such value and not only the first.
macro_rules! string_value {
    ($type:ident, $format:literal, $description:literal) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "format": $format,
                    "description": $description,
                })
            }
        }
    };
}
pub(crate) use string_value;

/// The SHA-256 digest of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ComponentDigest([u8; 32]);

impl ComponentDigest {
    /// The digest's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for ComponentDigest {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        read_sha256(text).map(Self).ok_or_else(|| {
            BadValue::new(
                "bad-digest",
                format!("`{text}` is not a component's digest"),
                "write `sha256:` and 64 hexadecimal digits, as `countersign plugin inspect` \
                 prints them",
            )
        })
    }
}

/// `sha256:` and 64 hexadecimal digits: how every digest is written in the file.
pub(crate) fn read_sha256(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0u8; 32];
    hex::decode_to_slice(text.strip_prefix("sha256:")?, &mut digest).ok()?;
    Some(digest)
}

impl fmt::Display for ComponentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex::encode(self.0))
    }
}

string_value!(ComponentDigest, "component-digest", "`sha256:` and 64 hexadecimal digits.");

/// A URL that is `https`, and holds no credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpsUrl(Url);

impl HttpsUrl {
    /// The URL.
    pub fn url(&self) -> &Url {
        &self.0
    }
}

impl FromStr for HttpsUrl {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let url = Url::parse(text).map_err(|error| {
            BadValue::new(
                "bad-url",
                format!("not a URL ({error})"),
                "write it as https://ca.example.com/path",
            )
        })?;
        if url.scheme() != "https" {
            return Err(BadValue::new(
                "plaintext-authority",
                format!("the scheme is `{}`: this link would not be protected", url.scheme()),
                "write an `https://` URL; there is no option to use a link without TLS",
            )
            .of_row(65));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadValue::new(
                "credential-in-url",
                "the URL holds a user name or password",
                "remove it and use `authentication` with references to secrets",
            ));
        }
        Ok(Self(url))
    }
}

impl fmt::Display for HttpsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

string_value!(HttpsUrl, "https-url", "A URL with the scheme `https`.");

/// An address that only this host can connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopbackAddress(SocketAddr);

impl LoopbackAddress {
    /// The address.
    pub fn address(&self) -> SocketAddr {
        self.0
    }
}

impl FromStr for LoopbackAddress {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let remedy = "write a loopback address with its port, such as `127.0.0.1:9185`";
        let address: SocketAddr = text.parse().map_err(|_| {
            BadValue::new("bad-address", format!("`{text}` is not an address with a port"), remedy)
        })?;
        if !address.ip().to_canonical().is_loopback() {
            return Err(BadValue::new(
                "metrics-off-loopback",
                format!("`{text}` is not a loopback address; metrics are not for the network"),
                remedy,
            )
            .of_row(64));
        }
        Ok(Self(address))
    }
}

impl fmt::Display for LoopbackAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

string_value!(LoopbackAddress, "loopback-address", "A loopback address with its port.");

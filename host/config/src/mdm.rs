//! `[verify.mdm]`: where device managements fetch challenges and post events. Always TLS: there is no
//! key that would turn it off (rows 8 and 65).

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use countersign_profile::Name;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::secret::SecretRef;
use crate::value::{BadValue, read_sha256, string_value};

/// `[verify.mdm]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MdmSettings {
    /// Where device managements connect, an IP address and port: `192.0.2.7:8443`. TLS 1.2 and 1.3
    /// only.
    pub listen: TcpAddress,
    /// The listener's certificate and its chain, PEM, end entity first.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: SecretRef,
    /// Authorities of client certificates, PEM. Needed where a credential is a `client-certificate`;
    /// use an authority that issues to device managements only.
    pub client_ca: Option<PathBuf>,
    /// The longest life of a challenge in seconds, and the usual one where the question says none.
    #[serde(default = "an_hour")]
    #[schemars(range(min = 60, max = 86_400))]
    pub longest_ttl_seconds: u32,
    /// Bounds of the listener.
    #[serde(default)]
    pub limits: MdmLimits,
    /// Pages like NDES's by URL path: `[verify.mdm.page."/certsrv/mscep_admin/"]`.
    #[serde(default)]
    pub page: BTreeMap<String, PageSettings>,
    /// Who may fetch challenges or post events, by a name for ledger and log.
    #[serde(default)]
    pub credential: BTreeMap<String, MdmCredential>,
}

/// `[verify.mdm.limits]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct MdmLimits {
    /// Most connections at once.
    #[schemars(range(min = 1, max = 4096))]
    pub max_connections: u32,
    /// Most requests at once; one more gets 503.
    #[schemars(range(min = 1, max = 1024))]
    pub max_in_flight: u32,
    /// Passwords hashed at once: each takes a processor and the memory that its hash names.
    #[schemars(range(min = 1, max = 16))]
    pub max_hashing: u32,
    /// Log-ins of one source that may fail before it has to wait; the wait doubles with each
    /// further one.
    #[schemars(range(min = 1, max = 100))]
    pub failed_log_ins: u32,
}

impl Default for MdmLimits {
    fn default() -> Self {
        Self { max_connections: 128, max_in_flight: 32, max_hashing: 1, failed_log_ins: 5 }
    }
}

/// `[verify.mdm.page.PATH]`: a page that device managements read as NDES's `mscep_admin`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PageSettings {
    /// The profile whose challenges it shows.
    pub profile: String,
    /// Its text encoding; NDES's is UTF-16LE.
    #[serde(default)]
    pub encoding: PageEncoding,
    /// Refuse questions whose `Params` name nothing: for a profile whose only verifier redeems
    /// challenges. A challenge without names vouches for no names.
    #[serde(default)]
    pub require_names: bool,
    /// The profile's only verifier looks each device up and knows its names by itself, as `fleet` and
    /// `workspace-one` do: a challenge without names then only shows that the device was sent. A
    /// verifier that knows none approves none, whatever is written here.
    #[serde(default)]
    pub verifier_knows_names: bool,
}

/// How a page is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PageEncoding {
    /// UTF-16, little endian, without a mark and without saying so, as NDES does.
    #[default]
    #[serde(rename = "utf-16le")]
    Utf16le,
    /// UTF-8, as others do that imitate NDES.
    #[serde(rename = "utf-8")]
    Utf8,
}

/// `[verify.mdm.credential.NAME]`: one device management, what it may do, and how it shows who it
/// is.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MdmCredential {
    /// The profiles that it may fetch challenges for, and nothing else.
    #[serde(default)]
    pub profiles: Vec<String>,
    /// The plug-ins whose events it may post, at `/event/NAME`. A credential of its own for each kind
    /// of call is the safer way: who can have challenges made need not be able to revoke.
    #[serde(default)]
    pub events: Vec<String>,
    /// Challenges that it may fetch in an hour; needed where it has profiles.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub quota_per_hour: Option<u32>,
    /// How it shows who it is.
    pub authentication: CredentialProof,
}

/// How a device management shows who it is. NTLM and Negotiate are never spoken (row 60).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialProof {
    /// HTTP Basic, against a hash.
    Basic(BasicCredential),
    /// A bearer token, against its digest.
    Bearer(BearerCredential),
    /// A client certificate that chains to `client-ca` and carries a name.
    ClientCertificate(PinnedName),
}

/// User and hashed password.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BasicCredential {
    /// The user name that it sends.
    pub user: String,
    /// What `countersign mdm hash-password` prints, or `file:/path`, or `credential:NAME`.
    pub password_hash: PasswordHash,
}

/// A token's digest.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BearerCredential {
    /// What `countersign mdm new-token` prints: `sha256:` and 64 hexadecimal digits.
    pub token: TokenDigest,
}

/// A name in a client certificate.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PinnedName {
    /// A name that its certificate must carry: `DNS:mdm.example.com`, `CN=mdm`.
    pub name: Name,
}

/// An IP address and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpAddress(SocketAddr);

impl TcpAddress {
    /// The address.
    pub fn address(&self) -> SocketAddr {
        self.0
    }
}

impl FromStr for TcpAddress {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        text.parse().map(Self).map_err(|_| {
            BadValue::new(
                "bad-address",
                format!("`{text}` is not an address with a port"),
                "write an IP address with its port, such as `192.0.2.7:8443` or `[2001:db8::7]:8443`",
            )
        })
    }
}

impl fmt::Display for TcpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

string_value!(TcpAddress, "tcp-address", "An IP address with its port.");

/// The SHA-256 digest of a bearer token. A random token needs no slow hash.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// The digest's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(..)")
    }
}

impl FromStr for TokenDigest {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        read_sha256(text).map(Self).ok_or_else(|| {
            // The text is not repeated: it may be the token itself.
            BadValue::new(
                "bad-token-digest",
                "this is not a token's digest",
                "write `sha256:` and 64 hexadecimal digits, as `countersign mdm new-token` \
                 prints them; the token itself is never written here",
            )
        })
    }
}

string_value!(TokenDigest, "token-digest", "`sha256:` and 64 hexadecimal digits.");

/// A password's hash, or where it is.
#[derive(Clone, PartialEq, Eq)]
pub enum PasswordHash {
    /// argon2id in the PHC string format.
    Phc(String),
    /// A file or systemd credential that holds such a string.
    Secret(SecretRef),
}

/// Memory in KiB, passes and lanes that a hash may have: OWASP's least, and what one log-in may
/// cost us.
const MEMORY_KIB: std::ops::RangeInclusive<u32> = 7_168..=262_144;
const PASSES: std::ops::RangeInclusive<u32> = 1..=16;
const LANES: std::ops::RangeInclusive<u32> = 1..=4;

impl PasswordHash {
    pub(crate) fn anchor(&mut self, base: &Path) {
        if let Self::Secret(reference) = self {
            reference.anchor(base);
        }
    }

    /// Checks that text is a hash of the one kind that is accepted, with costs within bounds.
    ///
    /// # Errors
    /// What is wrong with it; the text is not repeated.
    pub fn check_phc(text: &str) -> Result<(), BadValue> {
        let bad = |what: &str| {
            BadValue::new(
                "bad-password-hash",
                format!("this is not a password's hash: {what}"),
                "write what `countersign mdm hash-password` prints, or `file:/path`, or \
                 `credential:NAME`; the password itself is never written here",
            )
        };
        let parts: Vec<&str> = text.split('$').collect();
        let ["", "argon2id", "v=19", costs, salt, hash] = parts.as_slice() else {
            return Err(bad("expected `$argon2id$v=19$m=…,t=…,p=…$salt$hash`"));
        };
        let cost = |name: &str| -> Option<u32> {
            let mut found = costs.split(',').filter_map(|cost| cost.strip_prefix(name));
            found.next().filter(|_| found.next().is_none())?.parse().ok()
        };
        let within = |name: &str, range: &std::ops::RangeInclusive<u32>| {
            cost(name).is_some_and(|found| range.contains(&found))
        };
        if costs.split(',').count() != 3
            || !within("m=", &MEMORY_KIB)
            || !within("t=", &PASSES)
            || !within("p=", &LANES)
        {
            return Err(bad(&format!(
                "expected m (KiB) {} to {}, t {} to {}, p {} to {}",
                MEMORY_KIB.start(),
                MEMORY_KIB.end(),
                PASSES.start(),
                PASSES.end(),
                LANES.start(),
                LANES.end()
            )));
        }
        if salt.len() < 16 || hash.len() < 43 {
            return Err(bad("expected a salt of 12 bytes or more and a hash of 32 or more"));
        }
        Ok(())
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Phc(_) => f.write_str("Phc(..)"),
            Self::Secret(reference) => f.debug_tuple("Secret").field(reference).finish(),
        }
    }
}

impl FromStr for PasswordHash {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        if text.starts_with("file:") || text.starts_with("credential:") {
            return text.parse().map(Self::Secret);
        }
        Self::check_phc(text).map(|()| Self::Phc(text.to_owned()))
    }
}

string_value!(
    PasswordHash,
    "password-hash",
    "An argon2id hash in the PHC string format, `file:/path` or `credential:NAME`."
);

fn an_hour() -> u32 {
    3600
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$\
                        AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    #[test]
    fn a_hash_is_argon2id_with_bounded_costs_and_never_a_password() {
        assert!(GOOD.parse::<PasswordHash>().is_ok());
        for bad in [
            "hunter2",
            "",
            "$2b$12$abcdefghijklmnopqrstuv",
            &GOOD.replace("argon2id", "argon2i"),
            &GOOD.replace("v=19", "v=16"),
            &GOOD.replace("m=19456", "m=8"),
            &GOOD.replace("m=19456", "m=4294967295"),
            &GOOD.replace("t=2", "t=1000"),
            &GOOD.replace("p=1", "p=64"),
            &GOOD.replace("p=1", "p=1,p=1"),
            &GOOD.replace("c29tZXNhbHRzb21lc2FsdA", "c2FsdA"),
        ] {
            let error = bad.parse::<PasswordHash>().unwrap_err();
            assert_eq!(error.id, "bad-password-hash");
            assert!(bad.is_empty() || !error.to_string().contains(bad), "{error}");
        }
    }

    #[test]
    fn neither_hash_nor_digest_shows_in_debug() {
        let hash: PasswordHash = GOOD.parse().unwrap();
        assert_eq!(format!("{hash:?}"), "Phc(..)");
        let digest: TokenDigest = format!("sha256:{}", "ab".repeat(32)).parse().unwrap();
        assert_eq!(format!("{digest:?}"), "TokenDigest(..)");
        assert!("secret-token".parse::<TokenDigest>().is_err());
    }
}

//! `[token.NAME]`: PKCS#11 tokens, and how keys and PINs are named.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use countersign_keys::pkcs11::{KeyUri, PinSource, Pkcs11Settings};
use countersign_keys::{KeyPlace, TokenPlace};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::secret::SecretRef;
use crate::value::{BadValue, string_value};

/// `[token.NAME]`: a token that keys are on. A key names it by its label:
/// `pkcs11:token=LABEL;object=KEY`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TokenSettings {
    /// The PKCS#11 module: the shared library that the token's vendor gives. Whoever can change
    /// it can use the keys, so only root may write it.
    pub module: PathBuf,
    /// The file that configures the module, where it has one: its mode is checked (0640 or
    /// less). That the module finds it is for its own means, an environment variable mostly.
    pub module_config: Option<PathBuf>,
    /// Label of the token.
    #[schemars(length(min = 1, max = 32))]
    pub label: String,
    /// Its serial number, where the module shows several tokens of this label.
    #[schemars(length(min = 1, max = 16))]
    pub serial: Option<String>,
    /// Where the PIN comes from: `file:/path` (mode 0600 or 0400), `credential:NAME` (systemd),
    /// or `prompt` (typed at the process's terminal after each start).
    pub pin: PinRef,
    /// Sessions that work at the same time; one of them is never used for unwrapping. Without
    /// it one more than there are cores; more only help where the token is across a network.
    #[schemars(range(min = 1, max = 256))]
    pub sessions: Option<u16>,
}

impl TokenSettings {
    /// The token, as `host/keys` opens it.
    pub fn place(&self) -> TokenPlace {
        TokenPlace {
            settings: Pkcs11Settings {
                module: self.module.clone(),
                label: self.label.clone(),
                serial: self.serial.clone(),
                sessions: self.sessions.map_or_else(Pkcs11Settings::default_sessions, usize::from),
            },
            module_config: self.module_config.clone(),
            pin: self.pin.source().clone(),
        }
    }

    pub(crate) fn anchor(&mut self, base: &Path) {
        self.module = base.join(&self.module);
        if let Some(path) = &mut self.module_config {
            *path = base.join(&*path);
        }
        if let PinSource::File(path) = &mut self.pin.0 {
            *path = base.join(&*path);
        }
    }
}

/// Where a PIN comes from. Never a PIN, an argument or a variable of the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinRef(PinSource);

impl PinRef {
    /// The source.
    pub fn source(&self) -> &PinSource {
        &self.0
    }
}

impl FromStr for PinRef {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        if text == "prompt" {
            return Ok(Self(PinSource::Prompt));
        }
        match text.parse() {
            Ok(SecretRef::File(path)) => Ok(Self(PinSource::File(path))),
            Ok(SecretRef::Credential(name)) => Ok(Self(PinSource::Credential(name))),
            // The text may be the PIN itself: it is not repeated.
            Err(_) => Err(BadValue::new(
                "pin-not-a-reference",
                "expected where the PIN comes from, found other text",
                "write `file:/path` (mode 0600), `credential:NAME` or `prompt`; if the PIN itself \
                 stood here, change it at the token, for it was in a file that others read",
            )
            .of_row(21)),
        }
    }
}

impl fmt::Display for PinRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

string_value!(PinRef, "pin-reference", "`file:/path`, `credential:NAME` or `prompt`.");

/// Where a role's private key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyRef {
    /// A PKCS#8 file, `file:/path`: the development token, in lab mode only.
    File(PathBuf),
    /// A key on a token, `pkcs11:token=LABEL;object=KEY` (RFC 7512).
    Pkcs11(KeyUri),
}

impl KeyRef {
    /// The place, as `host/keys` finds it.
    pub fn place(&self) -> KeyPlace {
        match self {
            Self::File(path) => KeyPlace::File(path.clone()),
            Self::Pkcs11(uri) => KeyPlace::Pkcs11(uri.clone()),
        }
    }

    pub(crate) fn anchor(&mut self, base: &Path) {
        match self {
            Self::File(path) => *path = base.join(&*path),
            Self::Pkcs11(_) => {}
        }
    }
}

impl FromStr for KeyRef {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("pkcs11", _)) => match text.parse() {
                Ok(uri) => Ok(Self::Pkcs11(uri)),
                Err(error) => Err(BadValue::new(
                    "bad-key-uri",
                    format!("not the URI of a key: {error}"),
                    "write `pkcs11:token=LABEL;object=KEY`, or `;id=%01` in the place of `object`",
                )),
            },
            _ => Err(BadValue::new(
                "bad-key-reference",
                "expected a reference to a private key, found other text",
                "write `pkcs11:token=LABEL;object=KEY`, or in lab mode `file:/path` (PKCS#8, mode \
                 0600)",
            )),
        }
    }
}

impl fmt::Display for KeyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Pkcs11(uri) => uri.fmt(f),
        }
    }
}

string_value!(
    KeyRef,
    "key-reference",
    "`pkcs11:token=LABEL;object=KEY` (RFC 7512), or `file:/path` (lab mode only)."
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_comes_from_a_file_a_credential_or_a_person() {
        for text in ["file:/etc/ra/pin", "credential:ea-pin", "prompt"] {
            assert_eq!(text.parse::<PinRef>().unwrap().to_string(), text);
        }
    }

    /// Fails when `PinRef::from_str` takes other text, or repeats it.
    #[test]
    fn row_21_a_pin_written_into_the_file_is_refused_and_not_repeated() {
        for text in ["hunter2", "env:hunter2", "pin:hunter2", "", "prompt hunter2"] {
            let refused = text.parse::<PinRef>().unwrap_err();
            assert_eq!((refused.id, refused.row), ("pin-not-a-reference", Some(21)));
            assert!(!refused.to_string().contains("hunter2"));
        }
        let uri = "pkcs11:token=ra;object=ea?pin-value=hunter2".parse::<KeyRef>().unwrap_err();
        assert_eq!(uri.id, "bad-key-uri");
        assert!(!uri.to_string().contains("hunter2"));
    }

    #[test]
    fn a_key_is_on_a_token_or_in_a_file() {
        let uri: KeyRef = "pkcs11:object=ea;token=ra".parse().unwrap();
        assert_eq!(uri.to_string(), "pkcs11:token=ra;object=ea;type=private");
        assert_eq!("file:/a".parse(), Ok(KeyRef::File("/a".into())));
        assert_eq!("ea".parse::<KeyRef>().unwrap_err().id, "bad-key-reference");
    }
}

//! `[plugin.NAME.credentials.X]` and `[plugin.NAME.secrets.X]`: what the host uses on a plug-in's
//! behalf, and the plug-in never sees.

use std::path::PathBuf;

use base64::Engine as _;
use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::plugin::host::HostPattern;
use crate::secret::{SecretError, SecretRef};
use crate::value::HttpsUrl;

/// `[plugin.NAME.secrets.X]`: a key or text that the plug-in uses by the name X.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PluginSecret {
    /// Where it is.
    pub value: SecretRef,
    /// How it is written there.
    #[serde(default)]
    pub encoding: SecretEncoding,
}

/// How a secret is written in its file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SecretEncoding {
    /// UTF-8 text; one line end at its end does not belong to it.
    #[default]
    Text,
    /// Base64 of its bytes, as step-ca writes the secrets of webhooks.
    Base64,
    /// Hexadecimal digits of its bytes.
    Hex,
    /// Its very bytes.
    Raw,
}

/// Why a plug-in's secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PluginSecretError {
    /// It cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// It is not what it should be.
    #[error("{reference} is not {expected}; set its `encoding`, or write it anew")]
    Encoding {
        /// Where it is.
        reference: SecretRef,
        /// What it should be.
        expected: &'static str,
    },
}

impl PluginSecret {
    /// Reads it.
    ///
    /// # Errors
    /// As [`SecretRef::read`]; or it is not written as `encoding` says, or is empty.
    pub fn read(&self) -> Result<Zeroizing<Vec<u8>>, PluginSecretError> {
        let bytes = self.value.read()?;
        let wrong =
            |expected| PluginSecretError::Encoding { reference: self.value.clone(), expected };
        let decoded = match self.encoding {
            SecretEncoding::Raw => bytes,
            SecretEncoding::Text => line(&bytes).ok_or_else(|| wrong("UTF-8 text"))?,
            SecretEncoding::Base64 => line(&bytes)
                .and_then(|text| base64::engine::general_purpose::STANDARD.decode(&*text).ok())
                .map(Zeroizing::new)
                .ok_or_else(|| wrong("base64"))?,
            SecretEncoding::Hex => line(&bytes)
                .and_then(|text| hex::decode(&*text).ok())
                .map(Zeroizing::new)
                .ok_or_else(|| wrong("hexadecimal"))?,
        };
        if decoded.is_empty() { Err(wrong("a secret, but empty")) } else { Ok(decoded) }
    }
}

/// Reads a secret that is text, such as a token: without the line end at its end.
///
/// # Errors
/// As [`PluginSecret::read`].
pub fn read_text(reference: &SecretRef) -> Result<Zeroizing<String>, PluginSecretError> {
    let secret = PluginSecret { value: reference.clone(), encoding: SecretEncoding::Text };
    let bytes = secret.read()?;
    // Checked there already.
    Ok(Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned()))
}

fn line(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    Some(Zeroizing::new(text.as_bytes().to_vec()))
}

/// `[plugin.NAME.credentials.X]`: who the plug-in's requests are from. The host puts it in.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CredentialSettings {
    /// The hosts that it is for. It goes to no other.
    pub hosts: Vec<HostPattern>,
    /// What it is: exactly one of these.
    pub authentication: CredentialKind,
}

/// What a credential is: one of these.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum CredentialKind {
    /// `Authorization: Bearer …`.
    Bearer(BearerToken),
    /// `Authorization: Basic …`.
    Basic(BasicPassword),
    /// A header field of its own, such as an API key.
    Header(HeaderValue),
    /// OAuth 2.0 client credentials: the host fetches tokens and renews them.
    Oauth2(Oauth2Settings),
}

/// A bearer token.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BearerToken {
    /// The token, text.
    pub token: SecretRef,
}

/// A user and a password.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BasicPassword {
    /// The user.
    pub username: String,
    /// The password, text.
    pub password: SecretRef,
}

/// A header field.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HeaderValue {
    /// Its name, such as `X-Api-Key`.
    pub name: String,
    /// Its value, text.
    pub value: SecretRef,
}

/// OAuth 2.0 client credentials (RFC 6749 §4.4).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Oauth2Settings {
    /// The token end point.
    pub token_url: HttpsUrl,
    /// The client's id there.
    pub client_id: String,
    /// Scopes, apart by spaces.
    pub scope: Option<String>,
    /// How the client proves itself: exactly one of these.
    pub client: Oauth2Client,
}

/// How an OAuth client proves itself: one of these.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Oauth2Client {
    /// A shared secret, text, sent in the form (`client_secret_post`).
    Secret(SecretRef),
    /// A signed assertion (`private_key_jwt`, RFC 7523).
    Assertion(AssertionKey),
}

/// The key of a signed assertion.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AssertionKey {
    /// RSA (PS256) or P-256 (ES256), PKCS#8 PEM.
    pub key: SecretRef,
    /// Its id there, `kid`.
    pub key_id: Option<String>,
    /// Its certificate, PEM, named by hash in the assertion (`x5t#S256`), as Entra ID wants it.
    pub certificate: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_read_as_its_encoding_says() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let read = |bytes: &[u8], encoding| {
            std::fs::write(&path, bytes).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            let secret = PluginSecret { value: SecretRef::File(path.clone()), encoding };
            secret.read().map(|secret| secret.to_vec()).map_err(|error| error.to_string())
        };
        assert_eq!(read(b"hunter2\n", SecretEncoding::Text).unwrap(), b"hunter2");
        assert_eq!(read(b"hunter2\r\n", SecretEncoding::Text).unwrap(), b"hunter2");
        assert_eq!(read(b"aGk=\n", SecretEncoding::Base64).unwrap(), b"hi");
        assert_eq!(read(b"6869\n", SecretEncoding::Hex).unwrap(), b"hi");
        assert_eq!(read(b"\xff\n", SecretEncoding::Raw).unwrap(), b"\xff\n");
        for (bytes, encoding) in [
            (&b"\n"[..], SecretEncoding::Text),
            (b"\xff", SecretEncoding::Text),
            (b"hunter2!", SecretEncoding::Base64),
            (b"hunter2!", SecretEncoding::Hex),
        ] {
            let refused = read(bytes, encoding).unwrap_err();
            assert!(!refused.contains("hunter2"), "{refused}");
        }
    }
}

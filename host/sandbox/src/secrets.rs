//! The import `secrets`: keys used by reference. A plug-in never sees one, nor does a log.

use std::{collections::BTreeMap, fmt};

use aws_lc_rs::{constant_time, digest, hmac};
use zeroize::Zeroizing;

/// Shorter keys can be guessed from what they signed.
const SHORTEST_KEY: usize = 16;

/// The secrets of a plug-in, by the name that it uses.
#[derive(Clone, Default)]
pub struct PluginSecrets(BTreeMap<String, Zeroizing<Vec<u8>>>);

/// Why a secret was not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SecretRefusal {
    #[error("{0}")]
    Denied(String),
    #[error("{0}")]
    Unavailable(String),
}

impl PluginSecrets {
    /// Adds a secret, as its octets are.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, secret: Zeroizing<Vec<u8>>) -> Self {
        self.0.insert(name.into(), secret);
        self
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// HMAC-SHA256.
    pub(crate) fn mac(
        &self,
        plugin: &str,
        name: &str,
        message: &[u8],
    ) -> Result<Vec<u8>, SecretRefusal> {
        Ok(hmac::sign(&self.key(plugin, name)?, message).as_ref().to_vec())
    }

    /// Compares in constant time.
    pub(crate) fn verify_mac(
        &self,
        plugin: &str,
        name: &str,
        message: &[u8],
        tag: &[u8],
    ) -> Result<bool, SecretRefusal> {
        Ok(hmac::verify(&self.key(plugin, name)?, message, tag).is_ok())
    }

    /// Compares in constant time, also where the lengths differ: hashes are compared. Nothing is
    /// never the secret.
    pub(crate) fn matches(
        &self,
        plugin: &str,
        name: &str,
        candidate: &[u8],
    ) -> Result<bool, SecretRefusal> {
        let secret = self.secret(plugin, name)?;
        let hash = |bytes: &[u8]| digest::digest(&digest::SHA256, bytes);
        let equal =
            constant_time::verify_slices_are_equal(hash(secret).as_ref(), hash(candidate).as_ref());
        Ok(equal.is_ok() && !candidate.is_empty())
    }

    fn key(&self, plugin: &str, name: &str) -> Result<hmac::Key, SecretRefusal> {
        let secret = self.secret(plugin, name)?;
        if secret.len() < SHORTEST_KEY {
            return Err(SecretRefusal::Unavailable(format!(
                "the secret `{name}` has fewer than {SHORTEST_KEY} bytes, too few for a key"
            )));
        }
        Ok(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    fn secret(&self, plugin: &str, name: &str) -> Result<&[u8], SecretRefusal> {
        self.0.get(name).map(|secret| secret.as_slice()).ok_or_else(|| {
            SecretRefusal::Denied(format!(
                "no secret `{0}` is granted; to grant it, write `secrets = [\"{0}\"]` under \
                 `[plugin.{plugin}.grants]`",
                name.escape_debug()
            ))
        })
    }
}

/// Names only.
impl fmt::Debug for PluginSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> PluginSecrets {
        PluginSecrets::default()
            .with("key", Zeroizing::new(vec![0x0b; 20]))
            .with("password", Zeroizing::new(b"hunter2".to_vec()))
            .with("empty", Zeroizing::new(Vec::new()))
    }

    /// RFC 4231 §4.2, test case 1.
    #[test]
    fn a_mac_is_hmac_sha256() {
        let tag = secrets().mac("p", "key", b"Hi There").unwrap();
        let expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
        assert_eq!(hex::encode(&tag), expected);
        assert_eq!(secrets().verify_mac("p", "key", b"Hi There", &tag), Ok(true));
        assert_eq!(secrets().verify_mac("p", "key", b"Hi There", &tag[..31]), Ok(false));
        assert_eq!(secrets().verify_mac("p", "key", b"Hi there", &tag), Ok(false));
        assert_eq!(secrets().verify_mac("p", "key", b"Hi There", &[]), Ok(false));
    }

    /// Fails when `!candidate.is_empty()` is removed from `matches`.
    #[test]
    fn nothing_never_matches_not_even_an_empty_secret() {
        assert_eq!(secrets().matches("p", "password", b"hunter2"), Ok(true));
        for candidate in [&b""[..], b"hunter", b"hunter22", b"HUNTER2"] {
            assert_eq!(secrets().matches("p", "password", candidate), Ok(false));
        }
        assert_eq!(secrets().matches("p", "empty", b""), Ok(false));
    }

    #[test]
    fn what_was_not_granted_is_refused_with_the_line_that_grants_it() {
        let Err(SecretRefusal::Denied(why)) = secrets().mac("hook", "other", b"x") else {
            panic!("it was granted")
        };
        assert!(why.contains("`secrets = [\"other\"]` under `[plugin.hook.grants]`"), "{why}");
    }

    /// Fails when `SHORTEST_KEY` is not looked at in `key`.
    #[test]
    fn a_password_is_no_key() {
        let refused = secrets().mac("p", "password", b"x");
        assert!(matches!(refused, Err(SecretRefusal::Unavailable(_))));
    }

    #[test]
    fn debug_shows_names_only() {
        let shown = format!("{:?}", secrets());
        assert!(shown.contains("password") && !shown.contains("hunter2"), "{shown}");
    }
}

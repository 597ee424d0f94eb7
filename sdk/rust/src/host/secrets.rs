use super::{Backend, SecretError};

/// Keys used by reference: the plug-in never sees them. See [`Host::secrets`](super::Host::secrets).
#[derive(Clone, Copy, Debug)]
pub struct Secrets<'a>(pub(super) &'a Backend);

impl Secrets<'_> {
    /// HMAC-SHA256 of a message under a secret: 32 bytes.
    ///
    /// # Errors
    ///
    /// [`SecretError`], if no secret of this name was granted or it cannot be used now.
    pub fn mac(&self, secret: &str, message: &[u8]) -> Result<Vec<u8>, SecretError> {
        self.0.secret_mac(secret, message)
    }

    /// Whether `tag` is that HMAC-SHA256. Compared in constant time.
    ///
    /// # Errors
    ///
    /// As [`Secrets::mac`].
    pub fn verify_mac(
        &self,
        secret: &str,
        message: &[u8],
        tag: &[u8],
    ) -> Result<bool, SecretError> {
        self.0.secret_verify_mac(secret, message, tag)
    }

    /// Whether a text is equal to a secret. Compared in constant time.
    ///
    /// # Errors
    ///
    /// As [`Secrets::mac`].
    pub fn matches(&self, secret: &str, candidate: &[u8]) -> Result<bool, SecretError> {
        self.0.secret_matches(secret, candidate)
    }
}

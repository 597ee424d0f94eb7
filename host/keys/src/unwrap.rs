//! The substitute key that an unwrap gives where the ciphertext is not good.
//!
//! RFC 8017 §7.2.2 and RFC 3218 §2.3: an attacker who learns whether a padding was good can
//! decrypt and, with the same key, sign. So a failure must look like a success with a random
//! key. The substitute is derived from the ciphertext, not drawn: asked twice, the token gives
//! the same key twice, as it would for a good ciphertext.

use aws_lc_rs::hmac;
use aws_lc_rs::rand;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::error::TokenError;
use crate::token::ContentKey;

/// The longest content key: AES-256.
pub(crate) const LONGEST_CONTENT_KEY: usize = 32;

/// Makes substitute keys; its secret is drawn once per process and never leaves it.
pub(crate) struct Substitute {
    secret: hmac::Key,
}

impl Substitute {
    pub(crate) fn new() -> Result<Self, TokenError> {
        let mut secret = Zeroizing::new([0u8; 32]);
        rand::fill(secret.as_mut_slice())
            .map_err(|_| TokenError::Lost("the system gives no random bytes".into()))?;
        Ok(Self { secret: hmac::Key::new(hmac::HMAC_SHA256, secret.as_slice()) })
    }

    /// Runs `decrypt` and selects, without branching on the outcome, between what it found and
    /// the substitute. `decrypt` writes into the buffer it is given and returns how many bytes
    /// it wrote, or nothing.
    ///
    /// # Errors
    /// As [`Self::prepare`].
    pub(crate) fn select(
        &self,
        ciphertext: &[u8],
        wanted_length: usize,
        buffer_length: usize,
        decrypt: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Result<ContentKey, TokenError> {
        let prepared = self.prepare(ciphertext, wanted_length)?;
        let mut found = Zeroizing::new(vec![0u8; buffer_length.max(LONGEST_CONTENT_KEY)]);
        let outcome = decrypt(&mut found);
        // The number of bytes found, or one that can never be wanted.
        let found_length = outcome.unwrap_or(usize::MAX) as u64;
        Ok(prepared.choose(&found, found_length.ct_eq(&(wanted_length as u64))))
    }

    /// Makes the substitute for a ciphertext: always, and before the private-key operation, so
    /// that it does not tell by its time.
    ///
    /// # Errors
    /// [`TokenError::Refused`] for a wanted length of 0 or above 32: that is a fault of the
    /// caller, known before the ciphertext is looked at.
    pub(crate) fn prepare(
        &self,
        ciphertext: &[u8],
        wanted_length: usize,
    ) -> Result<Prepared, TokenError> {
        if wanted_length == 0 || wanted_length > LONGEST_CONTENT_KEY {
            return Err(TokenError::Refused(format!(
                "a content key of {wanted_length} bytes; expected 1 to {LONGEST_CONTENT_KEY}"
            )));
        }
        let mut substitute = Zeroizing::new([0u8; LONGEST_CONTENT_KEY]);
        let tag = hmac::sign(&self.secret, ciphertext);
        for (to, from) in substitute.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
        Ok(Prepared { substitute, wanted_length })
    }
}

/// The substitute of one ciphertext, ready before the ciphertext is decrypted.
pub(crate) struct Prepared {
    substitute: Zeroizing<[u8; LONGEST_CONTENT_KEY]>,
    wanted_length: usize,
}

impl Prepared {
    /// The first bytes of `found` where it is good, else the substitute. Takes the same time.
    pub(crate) fn choose(self, found: &[u8], good: Choice) -> ContentKey {
        let mut key = Zeroizing::new(vec![0u8; self.wanted_length]);
        let found = found.iter().chain(std::iter::repeat(&0));
        for ((to, bad), well) in key.iter_mut().zip(self.substitute.iter()).zip(found) {
            *to = u8::conditional_select(bad, well, good);
        }
        ContentKey::new(key)
    }
}

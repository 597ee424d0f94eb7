//! A token: the place where private keys are and stay.

use std::fmt;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::algorithm::{KeyTransport, SignatureAlgorithm};
use crate::error::TokenError;
use crate::finding::Finding;
use crate::public_key::PublicKey;
use crate::role::RoleKind;

/// A token that holds private keys: a set of key files (development) or an HSM by PKCS#11.
///
/// Calls block; [`KeyPool`](crate::KeyPool) makes them awaitable. What an implementation owes:
///
/// - **Sessions.** It serves [`Capacity::sessions`] calls at once, each in a session of its own;
///   a session that saw any error is closed and replaced, so that no remote client can drain
///   the pool with bad ciphertexts.
/// - **Deadlines.** It gives up at the deadline with [`TokenError::Deadline`] where the device
///   lets it; where a device call hangs, the pool answers the caller in its place.
/// - **Loss.** A removed or restarted device is [`TokenError::Lost`]; a later call tries to
///   recover (find the key again, open a session again, re-initialise the module), never
///   holding a lock beyond its deadline.
/// - **Log-in.** One attempt per start. After a refused PIN every call is
///   [`TokenError::LogInRefused`] and the device is not asked again.
/// - **Fault check.** A signature is verified with the public key before it is returned.
/// - **Unwrap.** Whatever is wrong with a ciphertext (padding, length, range, the device's
///   return code) gives a substitute key and `Ok`. Errors are only about the token.
pub trait Token: Send + Sync + fmt::Debug {
    /// What this token is, for people and the ledger.
    fn description(&self) -> TokenDescription;

    /// How much it can do at once.
    fn capacity(&self) -> Capacity;

    /// The public half of a key; there must be exactly one key of that name.
    fn public_key(&self, key: &KeyName) -> Result<PublicKey, TokenError>;

    /// Signs `message` (hashing is part of it).
    fn sign(
        &self,
        key: &KeyName,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        deadline: Deadline,
    ) -> Result<Vec<u8>, TokenError>;

    /// Unwraps a content key of `wanted_length` bytes (1 to 32), the length that the content
    /// cipher declares. Never fails because of the ciphertext.
    fn rsa_unwrap(
        &self,
        key: &KeyName,
        transport: KeyTransport,
        ciphertext: &[u8],
        wanted_length: usize,
        deadline: Deadline,
    ) -> Result<ContentKey, TokenError>;

    /// Whether the token answers: a cheap operation with no effect.
    fn health(&self, deadline: Deadline) -> Result<(), TokenError>;

    /// Whether a key is kept as its role demands (row 20): what the token says of it, attribute
    /// by attribute. Empty when all is well.
    ///
    /// # Errors
    /// The token does not answer, or has no such key.
    fn examine(
        &self,
        key: &KeyName,
        role: RoleKind,
        deadline: Deadline,
    ) -> Result<Vec<Finding>, TokenError>;

    /// Whether this key is on the token, by whatever name: `serve` must not see EA's.
    ///
    /// # Errors
    /// The token does not answer.
    fn holds(&self, key: &PublicKey, deadline: Deadline) -> Result<bool, TokenError>;
}

/// What a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenDescription {
    /// Its label, or `development`.
    pub label: String,
    /// Whether private keys cannot leave it. False for the development token.
    pub hardware: bool,
    /// Its serial number, where it has one.
    pub serial: Option<String>,
    /// Its model, where it says.
    pub model: Option<String>,
    /// Who made it, where it says.
    pub manufacturer: Option<String>,
}

/// How much a token does at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Calls served at the same time (PKCS#11: sessions beside the keeper session).
    pub sessions: usize,
    /// Of these, how many unwraps may never occupy: strangers cause unwraps, so the signing of
    /// answers must not wait behind them (threat T11).
    pub reserved_for_signing: usize,
}

/// The name of a key on its token.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyName(String);

impl KeyName {
    /// A name as the token knows it.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The moment after which an operation's result is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline that lies `duration` from now.
    pub fn after(duration: Duration) -> Self {
        let now = Instant::now();
        // A duration beyond the clock's range is a day: no operation takes longer.
        Self(now.checked_add(duration).unwrap_or(now + Duration::from_secs(86_400)))
    }

    /// The deadline at `instant`.
    pub fn at(instant: Instant) -> Self {
        Self(instant)
    }

    /// The instant itself.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// Whether it has passed.
    pub fn has_passed(self) -> bool {
        Instant::now() >= self.0
    }

    /// [`TokenError::Deadline`] if it has passed.
    pub fn check(self) -> Result<(), TokenError> {
        if self.has_passed() { Err(TokenError::Deadline) } else { Ok(()) }
    }
}

/// An unwrapped content key, or its substitute: nobody can tell which. Zeroed when dropped.
pub struct ContentKey(Zeroizing<Vec<u8>>);

impl ContentKey {
    pub(crate) fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentKey(..)")
    }
}

//! What can go wrong with a token, in the words a caller must tell apart.

use std::path::PathBuf;

use crate::public_key::PublicKeyError;

/// Why a token did not do what it was asked.
///
/// Bad padding is not among them: an unwrap that fails gives a substitute key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The token, its session or its module is gone. The token recovers on a later call by
    /// itself; until then the process is not ready.
    #[error("the token is lost: {0}; check that it is plugged in and its module runs")]
    Lost(String),
    /// The operation's deadline passed. Whether the token did the work is unknown.
    #[error("the token did not answer before the deadline")]
    Deadline,
    /// The bounded queue for this kind of work is full; try again later.
    #[error("the token is busy: its queue is full")]
    Busy,
    /// The token refuses this operation with this key, now and on every repetition.
    #[error("the token refuses: {0}")]
    Refused(String),
    /// The one log-in attempt was refused. There is no second one before a restart, because
    /// tokens lock after a few.
    #[error(
        "the token refused its PIN; no second attempt is made before a restart, so that the \
         token does not lock: correct the PIN, then restart"
    )]
    LogInRefused,
    /// The token warns about its PIN, so no log-in was attempted: one more wrong PIN could lock
    /// it. Looked at again on a later call, still without an attempt while it warns.
    #[error(
        "the token warns ({0}), so no log-in is attempted; log in once with the right PIN by the \
         token's own tool, which clears the warning, or have its PIN reset"
    )]
    LogInWithheld(&'static str),
    /// The token holds no such key, or more than one.
    #[error("the token holds {found} keys named `{name}`; expected exactly one")]
    NoSuchKey {
        /// Name asked for.
        name: String,
        /// How many there are.
        found: usize,
    },
    /// A fresh signature did not verify with the public key: a fault in the token. The bytes
    /// were discarded, since a faulty RSA signature can give the key away.
    #[error("a fresh signature does not verify: the token is faulty; the signature was discarded")]
    Faulty,
}

/// Why a key file could not be loaded into a development token.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Development tokens are for the lab (row 5).
    #[error(
        "a development token keeps keys in files and is refused in production; \
         keep the keys on an HSM, or set mode = \"lab\" for a trial"
    )]
    Production,
    /// The file cannot be read, or others can read it.
    #[error(transparent)]
    File(#[from] crate::secret_file::SecretFileError),
    /// The file is not a private key this token can use.
    #[error(
        "{path}: {what}; expected an unencrypted PKCS#8 key (PEM or DER), RSA 2048 to 4096 bits, P-256 or P-384"
    )]
    Key {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// Its public half is unusable.
    #[error("{path}: {source}")]
    PublicKey {
        /// The file.
        path: PathBuf,
        /// Why.
        source: PublicKeyError,
    },
    /// Two keys under one name.
    #[error("two keys are named `{0}`; give each key of a token its own name")]
    DuplicateName(String),
}

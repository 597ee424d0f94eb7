//! Why a token could not be opened, in words for the admin who set it up.

use std::path::PathBuf;

use super::pin::PinError;
use crate::error::TokenError;

/// Why a PKCS#11 token could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum TokenOpenError {
    /// The module cannot be loaded or initialised.
    #[error(
        "the PKCS#11 module {path} cannot be used: {why}; check the path and the module's own \
         configuration", path = .path.display()
    )]
    Module {
        /// The module.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// Something else in this process uses the module.
    #[error(
        "the PKCS#11 module {path} is initialised by something else in this process; whoever \
         finalizes it would break the other, so it is not used", path = .path.display()
    )]
    ForeignOwner {
        /// The module.
        path: PathBuf,
    },
    /// There is no PIN.
    #[error("the PIN of the token `{label}`: {source}")]
    Pin {
        /// Label of the token.
        label: String,
        /// Why.
        source: PinError,
    },
    /// The token is not there, does not let us in, or does not answer.
    #[error("the token `{label}`: {source}")]
    Token {
        /// Its label.
        label: String,
        /// Why.
        source: TokenError,
    },
    /// A key's URI is for another token.
    #[error("the key `{key}` is not on the token `{label}`")]
    OtherToken {
        /// The key.
        key: String,
        /// Label of the token that was opened.
        label: String,
    },
}

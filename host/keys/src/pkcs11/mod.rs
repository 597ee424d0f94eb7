//! PKCS#11: keys on a token of their own, by the token's own module.
//!
//! - `module`: the one owner of a module in this process, and its initialising again;
//! - `connection`: the log-in and its sessions;
//! - `failure`: what a return code means, and the ladder an operation climbs;
//! - `operation`: one operation in a session, climbing;
//! - `token`: [`Pkcs11Token`] itself;
//! - `sign`, `unwrap`, `public_key`: the operations;
//! - `proof`: what a key must say of itself before it takes a role;
//! - `generate`: new key pairs and their CSRs;
//! - `files`: whose the module and its configuration are;
//! - `uri`, `pin`: how a config names keys, and where PINs come from.
//!
//! No call of this module waits beyond its deadline for anything but the module itself; where a
//! call into the module hangs, [`KeyPool`](crate::KeyPool) answers in its place.

mod connection;
mod error;
mod failure;
mod files;
mod generate;
mod module;
mod operation;
mod pause;
mod pin;
mod proof;
mod public_key;
mod sign;
mod token;
mod unwrap;
mod uri;

pub use error::TokenOpenError;
pub use files::check_files;
pub use pin::{Pin, PinError, PinSource};
pub use token::{Pkcs11Settings, Pkcs11Token};
pub use uri::{KeyUri, KeyUriError};

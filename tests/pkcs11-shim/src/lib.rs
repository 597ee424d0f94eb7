//! A PKCS#11 module that stands before a real one and misbehaves as a script says: it refuses,
//! delays, forgets its token, signs wrongly, tells wrong attributes.
//!
//! [`Shim`] is for tests: it puts a copy of the module into a folder, beside its script
//! (`<module>.script`, read anew at each call, so that a test changes the mind of a process that
//! runs) and the names of the functions called (`<module>.calls`). A copy is a library of its own
//! to the dynamic loader; so is its script.
//!
//! It never writes down a PIN, data or a signature, and production code never links it.
#![allow(unsafe_code, reason = "PKCS#11 is a C interface")]

mod answers;
mod forward;
mod functions;
mod objects;
mod running;
mod script;
mod shim;

pub use cryptoki_sys as ck;
pub use script::{Change, Class, Objects, Script, ScriptError, TokenPresence, When};
pub use shim::Shim;

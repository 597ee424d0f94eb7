//! A whole installation under test: the real binaries on loopback and Unix sockets, the real
//! plug-in, the lab CA in this process, and devices that speak SCEP to it.
//!
//! [`Installation`] is the public type; tests and the bench build one, play devices with
//! [`Device`], and look at what CA and ledger have seen. It panics where a test would: whoever uses
//! it wants to be told at once, with the logs of the three processes.
//!
//! It never reaches into a process: everything goes over the sockets that devices, admins and the
//! other processes use. Production code never links it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is test code: it states what it knows and panics where that is not so"
)]

mod binaries;
mod builder;
mod config;
mod device;
mod http_client;
mod installation;
mod keys;
pub mod openssl;
mod process;
mod sweep;
mod tokens;

pub use binaries::{component, program};
pub use builder::Builder;
pub use config::{Plugin, Profile};
pub use device::{Answer, Device, Issued, Sent, csr};
pub use http_client::{Connection, HttpReply};
pub use installation::Installation;
pub use process::{Ended, Program, Running};
pub use sweep::Sweep;
pub use tokens::Tokens;

pub use countersign_ipc as ipc;
pub use countersign_lab_ca as lab_ca;
pub use countersign_pkcs11_shim as pkcs11_shim;
pub use countersign_scep as scep;

/// The profile of an installation that asks for none of its own.
pub const PROFILE: &str = "devices";

/// The template of that profile, as the lab CA makes it.
pub const TEMPLATE: &str = "CountersignDevice";

/// The template whose requests wait for a certificate manager.
pub const PENDING_TEMPLATE: &str = "CountersignDevicePending";

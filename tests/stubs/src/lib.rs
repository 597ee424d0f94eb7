//! Stubs of the services that Countersign's plug-ins speak to, faithful to each one's protocol: for
//! tests, and runnable by hand.
//!
//! [`Server`] is the HTTPS server under all of them; [`Receiver`] is what stands at the other end of
//! the plug-in `webhook`. Production code never links this crate. It panics where a test
//! would.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is test code: it states what it knows and panics where that is not so"
)]

mod client;
mod device_api;
mod identity;
mod intune;
mod jamf_pro;
mod server;
mod webhook;

pub use client::{Answer, Client};
pub use device_api::{DeviceApi, DeviceApiServer, TokenSigner};
pub use identity::Identity;
pub use intune::{CODES as INTUNE_CODES, IntuneServer, IntuneTenant, Told, Trouble};
pub use jamf_pro::{Form, JamfDevice, JamfPro, JamfServer};
pub use server::{Received, Reply, Server};
pub use webhook::{KnownDevice, Notice, Receiver, WebhookReceiver};

//! Stubs of the services that Countersign's plug-ins speak to, faithful to each one's protocol: for
//! tests, and runnable by hand.
//!
//! [`Server`] is the HTTPS server under all of them; [`Receiver`] is what stands at the other end of
//! the plug-in `webhook`, [`JamfPro`] at that of `jamf-pro`, [`IntuneTenant`] at that of
//! `intune`, [`UemConsole`], [`KandjiTenant`] and [`Fleet`] at those of `workspace-one`, `kandji` and
//! `fleet`, [`DeviceApi`] at those of `rules`, `managed-renewal` and `signed-challenge`. Production
//! code never links this crate. It panics where a test would.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is test code: it states what it knows and panics where that is not so"
)]

mod client;
mod device_api;
mod fleet;
mod identity;
mod intune;
mod jamf_pro;
mod kandji;
mod script;
mod server;
mod webhook;
mod workspace_one;

pub use client::{Answer, Client};
pub use device_api::{DeviceApi, DeviceApiServer, TokenSigner};
pub use fleet::{Fleet, FleetHost, FleetServer};
pub use identity::Identity;
pub use intune::{CODES as INTUNE_CODES, IntuneServer, IntuneTenant, Told, Trouble};
pub use jamf_pro::{Form, JamfDevice, JamfPro, JamfServer};
pub use kandji::{KandjiDevice, KandjiServer, KandjiTenant};
pub use server::{Received, Reply, Server};
pub use webhook::{KnownDevice, Notice, Receiver, WebhookReceiver};
pub use workspace_one::{UemConsole, UemDevice, UemServer};

//! Write verifier plug-ins for Countersign in Rust.
//!
//! A device asks for a certificate over SCEP, and SCEP cannot tell who is asking. A plug-in answers
//! that one question for one kind of device management; the host does the rest. This crate turns a
//! type that implements [`Verifier`] into a WebAssembly component of the contract
//! `countersign:verifier`, and runs it natively against a [mocked host](mock::Host) in unit tests.
//!
//! It never decides anything itself, and gives a plug-in no power that the contract does not have:
//! no files, no sockets, no clock but [`Context::now`].
//!
//! ```
//! use countersign_sdk::{
//!     Approval, Context, DenialCode, Description, Host, Name, NoSettings, Request, Verdict,
//!     Verifier, deny,
//! };
//!
//! /// Vouches for the devices of a list.
//! struct Inventory;
//!
//! impl Verifier for Inventory {
//!     type Settings = NoSettings;
//!
//!     fn describe() -> Description {
//!         Description::new("inventory", env!("CARGO_PKG_VERSION"), "Example AG")
//!             .summary("Devices of our inventory, by their serial number")
//!     }
//!
//!     fn verify(_: &NoSettings, _: &Context, request: &Request, host: &Host) -> Verdict {
//!         let Some("device-17") = request.common_name() else {
//!             return Err(deny(DenialCode::DeviceUnknown, "no such device in the inventory"));
//!         };
//!         host.log().info("found in the inventory");
//!         Ok(Approval::of_names([Name::common_name("device-17")]).device_id("17"))
//!     }
//! }
//!
//! countersign_sdk::export!(Inventory);
//!
//! # fn main() {
//! // In a unit test:
//! use countersign_sdk::mock;
//!
//! let host = mock::Host::new();
//! let request = mock::request("laptops").common_name("device-17").build();
//! assert!(host.verify::<Inventory>(&NoSettings {}, &request).is_ok());
//! # }
//! ```
//!
//! `cargo build --target wasm32-wasip2` of a crate with `crate-type = ["cdylib"]` makes the
//! component. The guide is `sdk/README.md`.

mod adapter;
mod attributes;
#[doc(hidden)]
pub mod bindings;
mod bytes;
mod certificate;
mod description;
mod event;
mod export;
mod host;
mod issuing;
#[cfg(not(target_arch = "wasm32"))]
#[cfg(not(target_arch = "wasm32"))]
pub mod mock;
mod name;
mod outcome;
mod request;
mod settings;
mod time;
mod verdict;
mod verifier;
mod wire;

pub use self::attributes::Attributes;
pub use self::bytes::Bytes;
pub use self::certificate::{Certificate, KeyAlgorithm, PublicKey};
pub use self::description::{Description, Power};
pub use self::event::{
    Act, Action, ActionResult, Batch, Event, Reason, ResultKind, Revocation, Target,
};
#[doc(hidden)]
pub use self::export::__rt;
pub use self::host::{
    Binding, Challenges, Host, Http, HttpError, HttpRequest, HttpResponse, IssueError, Kv, KvError,
    Level, Log, RedeemError, SecretError, Secrets,
};
pub use self::issuing::{Hint, IssuedChallenge};
pub use self::name::{Name, NameError, RelativeDistinguishedName, SubjectAttribute};
pub use self::outcome::{Ending, Outcome};
pub use self::request::{
    Attestation, Challenge, Context, CurrentCertificate, Request, RequestKind,
};
pub use self::settings::{NoSettings, Problem};
pub use self::verdict::{
    Approval, Denial, DenialCode, NotApproved, Retry, Verdict, Vouched, deny, pending, unavailable,
};
pub use self::verifier::{ChallengesIssuer, Events, Outcomes, Verifier};
pub use {schemars, serde, serde_json};

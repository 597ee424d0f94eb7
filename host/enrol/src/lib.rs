//! The way of a request, one station a file. Each station takes what the one before it made, and
//! only that station can make the next: what is not approved cannot be countersigned, because
//! there is no value to pass.
//!
//! | Station | Makes | Of |
//! |---|---|---|
//! | `receive` | [`Received`] | bytes from a device |
//! | `open` | [`Opened`] | a message whose signature holds, opened with CEP |
//! | `admit` | [`Admitted`] | a request that fits its profile |
//! | `verify` | [`Approved`] | the word of every verifier, sealed |
//! | `countersign` | [`Countersigned`] | the signature of `sign` over the untouched PKCS#10 |
//! | `issue` | [`Issued`] | what the authority made of it |
//! | `check` | [`Checked`] | a certificate that says no more than was approved |
//! | `answer` | CertRep | for the device |
//! | `notify` | | messages to `verify` and `sign` that must arrive |
//!
//! This crate never approves, never holds a key that countersigns, never opens a listening socket.
//! [`Enrolments`] leads a message along the way; [`Records`] is its durable memory.
//!
//! # What does not compile
//!
//! Each pair differs in one word, so that the second fails for its reason and no other.
//!
//! A countersigned request can be passed on; an approved one is not one:
//! ```
//! use countersign_enrol::{Approved, Countersigned};
//! fn submit(_: &Countersigned) {}
//! fn way(given: &Countersigned) { submit(given) }
//! ```
//! ```compile_fail,E0308
//! use countersign_enrol::{Approved, Countersigned};
//! fn submit(_: &Countersigned) {}
//! fn way(given: &Approved) { submit(given) }
//! ```
//!
//! What was admitted is not approved, and no conversion makes it so:
//! ```
//! use countersign_enrol::{Admitted, Approved};
//! fn way(given: Approved) -> Approved { given.into() }
//! ```
//! ```compile_fail,E0277
//! use countersign_enrol::{Admitted, Approved};
//! fn way(given: Admitted) -> Approved { given.into() }
//! ```
//!
//! Nobody outside a station can write its value down; a record of plain data can be:
//! ```
//! let one = |attempt| countersign_enrol::Answer::Busy { retry_after: attempt };
//! ```
//! ```compile_fail,E0451
//! use countersign_enrol::{Admitted, Approved};
//! fn forge(admitted: Admitted, real: Approved) -> Approved {
//!     Approved { admitted, ..real }
//! }
//! ```
//! ```compile_fail,E0451
//! use countersign_enrol::Countersigned;
//! fn forge(cms: zeroize::Zeroizing<Vec<u8>>, real: Countersigned) -> Countersigned {
//!     Countersigned { cms, ..real }
//! }
//! ```
//!
//! Nor read it from anywhere:
//! ```
//! let read = serde_json::from_str::<countersign_ipc::SealedApproval>;
//! ```
//! ```compile_fail,E0277
//! let read = serde_json::from_str::<countersign_enrol::Approved>;
//! ```

mod access;
mod admit;
mod answer;
mod arrival;
mod budget;
mod check;
mod countersign;
mod enrolments;
mod issue;
mod metrics;
mod notify;
mod one_at_a_time;
mod open;
mod profile;
mod receive;
mod record;
mod renewal;
mod settle;
mod state;
mod verify;
mod zone_a;

pub use admit::Admitted;
pub use answer::Responder;
pub use arrival::{Answer, Arrival, Source};
pub use budget::{BudgetLimits, Budgets};
pub use check::Checked;
pub use countersign::Countersigned;
pub use enrolments::{Enrolments, Parts, Peers};
pub use issue::Issued;
pub use metrics::Metrics;
pub use notify::Outbox;
pub use open::{Opened, Opener};
pub use profile::Profile;
pub use receive::Received;
pub use record::{Record, RecordError, Records, SCHEMA};
pub use renewal::Renewal;
pub use settle::settle;
pub use state::State;
pub use verify::Approved;
pub use zone_a::{ZoneA, ZoneALimits};

//! The process that holds the Enrollment-Agent key: it countersigns what `verify` approved, and
//! nothing else, and what it signed leaves only after the ledger holds it.
//!
//! It never speaks HTTP, never runs a plug-in, never parses a SCEP message, never listens on TCP,
//! and never lets two signatures out for one attempt of an enrolment. It links neither wasmtime
//! nor axum nor hyper; a test reads its dependency tree.
//!
//! A signature goes through four types, each made in one file only, each from the one before:
//!
//! | Type | Made in | Says |
//! |---|---|---|
//! | [`ProvenApproval`] | `seal.rs` | the MAC is `verify`'s |
//! | [`Admissible`] | `recheck.rs` | request and approval belong together and keep the hard limits |
//! | [`Signed`] | `countersign.rs` | the EA key signed, and what it signed reads back |
//! | [`Durable`] | `book.rs` | ledger entry and octets are on the disk; the reply is made of this |
//!
//! [`Sign`] is the whole process; [`run`] is its `main`.

mod admin;
mod answer;
mod book;
mod certificate_file;
mod clock;
mod cms;
mod countersign;
mod denials;
mod digest;
mod fuse;
mod in_flight;
mod look;
mod metrics;
mod order;
mod process;
mod readiness;
mod recheck;
mod reconcile;
mod refusal;
mod room;
mod run;
mod schema;
mod seal;
mod start;

pub use book::Durable;
pub use certificate_file::CertificateFileError;
pub use clock::Clock;
pub use cms::ReadBackError;
pub use countersign::Signed;
pub use order::OrderKeyError;
pub use recheck::Admissible;
pub use room::Room;
pub use run::{Sign, run};
pub use seal::ProvenApproval;
pub use start::{Acceptance, Gap, StartError, accept_gap};

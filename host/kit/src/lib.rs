//! The kit to write verifier plug-ins with: a project to begin from, golden cases and the rules of
//! conformance on the real component in the real sandbox, recording and replaying, measuring.
//!
//! This crate decides nothing about devices, keeps nothing but the files it is asked for, and prints
//! nothing: `host/cli` renders. What it runs are [rehearsals](countersign_sandbox::rehearsal), which no
//! process that serves devices can load.

mod answer;
mod bench;
mod by_hand;
pub mod check;
mod grants;
mod memory;
mod names;
mod play;
mod project;
mod question;
mod recording;
mod upstream;
mod workshop;

pub use answer::{Answered, panic_of, say};
pub use bench::{Bench, Measure, bench};
pub use by_hand::{Asking, ByHand, ByHandError, Seen, run};
pub use grants::{Fragment, FragmentError};
pub use play::{PlayError, Played};
pub use project::{Chosen, Extra, NewError, Project, Sdk, create};
pub use question::csr_request;
pub use recording::{RecordError, ReplayError, record, replay};
pub use workshop::{OpenError, Workshop};

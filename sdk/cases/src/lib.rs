//! Golden cases: one JSON file each, so that a new case of a verifier is a file and not code. The
//! SDK's mock runs them natively, `countersign plugin check` on the component.
//!
//! This crate is the form of the files and what both must do alike: it runs nothing, holds no host,
//! and knows names as the text they are written in. `sdk/README.md` tells the form to authors.

mod case;
mod digest;
mod exchange;
mod folder;

pub use case::{
    Asked, Case, Current, Expected, HostState, KeptChallenge, KeptState, RequestKind, Step,
};
pub use digest::{stand_in, stand_in_digest};
pub use exchange::{Answered, Exchange, NoAnswer, Script, Sent};
pub use folder::{CaseError, CaseFile, read, read_all};

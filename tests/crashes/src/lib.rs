//! The three processes in a build that can be told to die, for the test that tells them. Each is the
//! delivered process's own library under another `main`.
//!
//! Such a process says so at its start, and refuses a config that is not of a lab.
//!
//! One command builds and runs it:
//!
//! ```text
//! cargo test --workspace --features countersign-crashes/armed --test crashes
//! ```

#[cfg(feature = "armed")]
mod armed;

#[cfg(feature = "armed")]
pub use armed::{orders, prepare};

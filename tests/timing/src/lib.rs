//! Whether the failures of zone A can be told apart by their time, asked of statistics.
//!
//! Zone A is from the unwrap of a content key to "the signer's key is the key of the PKCS#10"
//! (`host/enrol/src/zone_a.rs`). Two measurements, each with a verdict on every pair of classes of
//! failure under one content cipher:
//!
//! - [`work`]: what opening does, in this process, without the time bucket, so that the bucket
//!   hides nothing that need not be there;
//! - [`answers`]: what a stranger sees of a whole installation over a loopback socket, with it.
//!
//! The classes are interleaved in random order, many messages stand for each, and the test makes
//! no assumption about the shape of times ([`statistics`]). What counts as a difference is fixed
//! before the measurement ([`verdict`]).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measuring tool: it states what it knows and stops where that is not so"
)]

#[path = "../../../host/scep/tests/forge/mod.rs"]
mod forge;

pub mod answers;
pub mod classes;
pub mod schedule;
pub mod statistics;
pub mod verdict;
pub mod work;

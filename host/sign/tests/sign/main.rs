//! The process from outside: over its sockets, as a peer that may have been stolen.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test states what it knows"
)]

mod halts;
mod life;
mod limits;
mod linked;
mod orders;
mod outcome;
mod stolen_serve;
mod support;

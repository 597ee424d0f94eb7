//! The connector against the lab CA over real TLS, with requests countersigned by OpenSSL: a third
//! party's CMS, read by the lab CA, which shares no code with `host/sign`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "tests state what they know"
)]

mod certainty;
mod issuing;
mod laboratory;
mod misbehaving;
mod refusals;
mod transport;

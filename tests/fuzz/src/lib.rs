//! Everything in the product that reads bytes from somebody else, as functions of bytes: what the
//! fuzz targets run for hours and the smoke test for seconds.
//!
//! A target panics where the product would, and where something that was read does not say what it
//! said before. It opens no socket, no file but the golden messages, and no key but theirs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code: it states what it knows and stops where that is not so"
)]

mod certificates;
mod config;
mod frames;
mod http;
mod messages;
pub mod mutate;
mod seeds;
mod wstep;

#[path = "../../../host/scep/tests/forge/mod.rs"]
mod forge;

/// One way in.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// Who can send such bytes.
    pub from: &'static str,
    /// Reads the bytes. True if they were accepted as what they pretend to be.
    pub run: fn(&[u8]) -> bool,
    /// Bytes to begin with, each of which is accepted.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: [Target; 9] = [
    Target {
        name: "ber",
        from: "anybody: certificates and lists of certificates, in BER or DER",
        run: certificates::run,
        seeds: seeds::certificates,
    },
    Target {
        name: "message",
        from: "anybody: a signed message or its answer",
        run: messages::signed,
        seeds: seeds::messages,
    },
    Target {
        name: "envelope",
        from: "a device: what stands behind a good signature",
        run: messages::enveloped,
        seeds: seeds::envelopes,
    },
    Target {
        name: "content",
        from: "a device: what stands inside a good envelope",
        run: messages::content,
        seeds: seeds::requests,
    },
    Target {
        name: "csr",
        from: "a device, and `serve` once it is stolen: a PKCS#10 and the limits of a profile",
        run: certificates::request,
        seeds: seeds::requests,
    },
    Target {
        name: "http",
        from: "anybody: the query of a URL",
        run: http::run,
        seeds: seeds::queries,
    },
    Target {
        name: "wstep",
        from: "whoever answers for the CA",
        run: wstep::run,
        seeds: seeds::answers,
    },
    Target {
        name: "frame",
        from: "another process of ours, stolen",
        run: frames::run,
        seeds: frames::seeds,
    },
    Target {
        name: "config",
        from: "an admin who mistypes",
        run: config::run,
        seeds: config::seeds,
    },
];

/// The target of this name.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn target(name: &str) -> Target {
    TARGETS.into_iter().find(|target| target.name == name).expect("a target of TARGETS")
}

//! Each target with its seeds, cut short and changed at random, for a few seconds: whatever comes,
//! nothing panics. `cargo xtask fuzz` runs the same functions for as long as you like.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test states what it knows"
)]

use std::time::{Duration, Instant};

use countersign_fuzz::mutate::Random;
use countersign_fuzz::{TARGETS, Target, target};

/// At most so long for one target, beside its seeds.
const EACH: Duration = Duration::from_secs(4);

/// Mutations of all seeds of a target together; fewer where time runs out.
const MUTATIONS: usize = 200_000;

/// Seeds that are accepted, mutations of them that are not all.
fn smoke(name: &str) {
    let Target { run, seeds, .. } = target(name);
    let seeds = seeds();
    for (number, seed) in seeds.iter().enumerate() {
        assert!(run(seed), "seed {number} of {name} is not accepted");
    }
    let begin = Instant::now();
    let mut random = Random::new(0x5eed_0001);
    let (mut tried, mut refused) = (0_usize, 0_usize);
    'all: for _ in 0..MUTATIONS.div_ceil(seeds.len()) {
        for seed in &seeds {
            if begin.elapsed() > EACH {
                break 'all;
            }
            tried += 1;
            refused += usize::from(!run(&random.mutate(seed)));
        }
    }
    assert!(tried >= 500, "only {tried} mutations of {name} in {EACH:?}");
    assert!(refused > 0, "{name} accepts everything");
}

/// None of these is something whole.
fn cut_short(name: &str) {
    let Target { run, seeds, .. } = target(name);
    for seed in seeds() {
        let step = (seed.len() / 400).max(1);
        for length in (0..seed.len()).step_by(step) {
            assert!(!run(&seed[..length]), "{name} takes {length} octets of {}", seed.len());
        }
    }
}

#[test]
fn ber() {
    smoke("ber");
    cut_short("ber");
}

#[test]
fn message() {
    smoke("message");
    cut_short("message");
}

#[test]
fn envelope() {
    smoke("envelope");
}

#[test]
fn content() {
    smoke("content");
}

#[test]
fn csr() {
    smoke("csr");
    cut_short("csr");
}

#[test]
fn http() {
    smoke("http");
}

#[test]
fn wstep() {
    smoke("wstep");
    cut_short("wstep");
}

#[test]
fn frame() {
    smoke("frame");
    cut_short("frame");
}

#[test]
fn config() {
    smoke("config");
}

#[test]
fn every_target_has_its_smoke_and_its_long_run() {
    let smoke = include_str!("smoke.rs");
    let manifest = include_str!("../libfuzzer/Cargo.toml");
    for Target { name, .. } in TARGETS {
        assert!(smoke.contains(&format!("smoke(\"{name}\");")), "{name} has no smoke");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} has no long run");
    }
}

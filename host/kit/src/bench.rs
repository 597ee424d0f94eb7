//! How much a plug-in costs.

use std::time::Duration;

use countersign_cases::{Case, Expected};
use serde::Serialize;

use crate::play::{Manner, PlayError};
use crate::workshop::Workshop;

/// What was measured: medians of fresh instances, of metered code.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Bench {
    /// The case that was asked.
    pub case: String,
    /// How often.
    pub times: usize,
    /// From the file to machine code, once.
    pub compile_milliseconds: u64,
    /// `describe` twice, the settings and all checks of an installation.
    pub load: Measure,
    /// `verify` in a fresh instance, first calls all.
    pub verify: Measure,
    /// Bytes of linear memory.
    pub memory_bytes: usize,
    /// WebAssembly's own measure of work.
    pub fuel: u64,
    /// Calls of the host's functions.
    pub host_calls: u32,
}

/// Times of one kind.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Measure {
    /// Half are shorter.
    pub median_microseconds: u64,
    /// One in a hundred is longer.
    pub p99_microseconds: u64,
}

impl Measure {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |numerator: usize| {
            let place = times.len().saturating_sub(1) * numerator / 100;
            let time = times.get(place).copied().unwrap_or_default();
            u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
        };
        Self { median_microseconds: at(50), p99_microseconds: at(99) }
    }
}

/// Asks a case many times, each in a fresh instance as in earnest.
///
/// # Errors
///
/// The case cannot be played.
pub async fn bench(
    workshop: &Workshop,
    name: String,
    case: &Case,
    times: usize,
    compile: Duration,
) -> Result<Bench, PlayError> {
    let (mut loads, mut calls, mut memory, mut fuel, mut host_calls) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), 0);
    if matches!(case.expect, Expected::Settings { .. }) {
        return Err(PlayError::Case("it asks nothing: name a case with a request".to_owned()));
    }
    for _ in 0..times.max(1) {
        let began = std::time::Instant::now();
        let _ = workshop.set(case, &Manner::AS_RECORDED).await?;
        loads.push(began.elapsed());
        let played = workshop.play(case, &Manner::AS_RECORDED).await?;
        calls.push(played.used.time);
        memory.push(played.used.memory_bytes);
        fuel.push(played.used.fuel.unwrap_or_default());
        host_calls = played.used.host_calls;
    }
    memory.sort_unstable();
    fuel.sort_unstable();
    Ok(Bench {
        case: name,
        times,
        compile_milliseconds: u64::try_from(compile.as_millis()).unwrap_or(u64::MAX),
        load: Measure::of(loads),
        verify: Measure::of(calls),
        memory_bytes: memory.get(memory.len() / 2).copied().unwrap_or_default(),
        fuel: fuel.get(fuel.len() / 2).copied().unwrap_or_default(),
        host_calls,
    })
}

//! The engine: one configuration, one pool, one clock for everything that runs in this process.

use std::{
    thread,
    time::{Duration, Instant},
};

use wasmtime::{
    Config, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig, Strategy,
};

use crate::budget::Budgets;

/// The wasmtime that this binary is linked with.
pub const WASMTIME_VERSION: &str = env!("COUNTERSIGN_WASMTIME_VERSION");

/// Below this there are known ways out of the sandbox or to stop the host
/// (RUSTSEC-2026-0313 to -0359).
const WASMTIME_FLOOR: (u64, u64, u64) = (48, 0, 8);

/// How often running guests are looked at.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Whether the work of calls is counted. It decides what code is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Metering {
    Off,
    On,
}

/// How much room the pool has, for all plug-ins together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSize {
    /// Calls that may run at the same time. Each reserves about 6 GiB of *address space* per memory
    /// and uses only what it touches.
    pub concurrent_calls: u32,
    /// Core instances for each of them: Rust 3, Go 4, QuickJS 9, Python up to 38.
    pub core_instances_per_call: u32,
    /// Linear memories for each of them.
    pub memories_per_call: u32,
    /// Tables for each of them.
    pub tables_per_call: u32,
    /// The largest linear memory of all plug-ins.
    pub memory_bytes: usize,
    /// The largest table of all plug-ins.
    pub table_elements: usize,
    /// Bytes of a used memory that are wiped in place and not given back to the system: speed for
    /// memory.
    pub keep_resident_bytes: usize,
}

impl Default for PoolSize {
    fn default() -> Self {
        let budgets = Budgets::default();
        Self {
            concurrent_calls: 32,
            core_instances_per_call: 16,
            memories_per_call: 4,
            tables_per_call: 16,
            memory_bytes: budgets.memory_bytes,
            table_elements: budgets.table_elements,
            keep_resident_bytes: 512 * 1024,
        }
    }
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// An old wasmtime.
    #[error(
        "linked with wasmtime {found}, but {expected} or a later patch of that line is needed: \
         below are known ways out of the sandbox; rebuild with a current Cargo.lock"
    )]
    BelowFloor {
        /// The floor.
        expected: String,
        /// What is linked.
        found: String,
    },
    /// A processor whose compiler back end is not of tier 1.
    #[error(
        "plug-ins run on x86-64 only, this is {found}: the compiler for other processors had \
         sandbox escapes lately (CVE-2026-34971, CVE-2026-34987); run `verify` on x86-64"
    )]
    Processor {
        /// `std::env::consts::ARCH`.
        found: &'static str,
    },
    /// The configuration was not accepted, or the pool does not fit.
    #[error("the WebAssembly engine did not start, is the pool too large for this machine? {0}")]
    Engine(wasmtime::Error),
    /// No thread for the clock.
    #[error("no thread for the plug-ins' clock: {0}")]
    Clock(#[source] std::io::Error),
}

/// Builds the engine that runs plug-ins, and starts its clock, which ends with the engine.
pub(crate) fn running(pool: &PoolSize, metering: Metering) -> Result<Engine, EngineError> {
    check_floor(WASMTIME_VERSION)?;
    check_processor(std::env::consts::ARCH)?;
    let mut config = config(metering);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(allocation(pool)));
    let engine = Engine::new(&config).map_err(EngineError::Engine)?;
    start_clock(engine.weak()).map_err(EngineError::Clock)?;
    Ok(engine)
}

/// Builds an engine that only compiles: the same code comes out, and no address space is reserved,
/// so that it works under tight limits.
pub(crate) fn compiling(metering: Metering) -> Result<Engine, EngineError> {
    check_floor(WASMTIME_VERSION)?;
    check_processor(std::env::consts::ARCH)?;
    let mut config = config(metering);
    // One thread: a child under a limit on its address space has no room for a pool of them.
    config.parallel_compilation(false);
    Engine::new(&config).map_err(EngineError::Engine)
}

/// Everything that decides what code is made and what a guest may use of WebAssembly.
fn config(metering: Metering) -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        // No component-model async: it had the callback stack overflow class (CVE-2026-115384).
        .concurrency_support(false)
        .epoch_interruption(true)
        .consume_fuel(metering == Metering::On)
        .wasm_gc(false)
        .wasm_exceptions(false)
        .wasm_threads(false)
        .wasm_memory64(false)
        .wasm_tail_call(false)
        .wasm_relaxed_simd(false)
        .wasm_wide_arithmetic(false)
        // Stays on: 48.0.8 panics while compiling nested components without it.
        .wasm_multi_memory(true)
        // Stacks are shared between plug-ins, and those do not trust each other.
        .async_stack_zeroing(true);
    config
}

fn allocation(pool: &PoolSize) -> PoolingAllocationConfig {
    let calls = pool.concurrent_calls.max(1);
    let mut allocation = PoolingAllocationConfig::new();
    allocation
        .total_component_instances(calls)
        .total_core_instances(calls.saturating_mul(pool.core_instances_per_call))
        .total_memories(calls.saturating_mul(pool.memories_per_call))
        .total_tables(calls.saturating_mul(pool.tables_per_call))
        .total_stacks(calls)
        // The limiter counts per call; a single module may take a call's whole share.
        .max_memories_per_module(pool.memories_per_call)
        .max_tables_per_module(pool.tables_per_call)
        .max_memory_size(pool.memory_bytes)
        .table_elements(pool.table_elements)
        .linear_memory_keep_resident(pool.keep_resident_bytes)
        .table_keep_resident(pool.keep_resident_bytes.min(64 * 1024))
        // Zeroed in full before another plug-in gets it (CVE-2026-34988 was about such reuse).
        .async_stack_keep_resident(0);
    allocation
}

/// A thread of its own: ticks that hang on the executor come in bursts when it is busy, and expire
/// guests that did nothing wrong.
fn start_clock(engine: EngineWeak) -> std::io::Result<()> {
    thread::Builder::new().name("plugin-clock".into()).spawn(move || {
        let mut next = Instant::now();
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            next += TICK;
            let now = Instant::now();
            match next.checked_duration_since(now) {
                Some(wait) => thread::sleep(wait),
                // Late: go on from here, do not catch up.
                None => next = now,
            }
        }
    })?;
    Ok(())
}

fn check_floor(found: &str) -> Result<(), EngineError> {
    let mut numbers = found.split(['.', '-', '+']).map(|part| part.parse::<u64>().ok());
    let parsed = match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(Some(major)), Some(Some(minor)), Some(Some(patch))) => Some((major, minor, patch)),
        _ => None,
    };
    let (major, minor, patch) = WASMTIME_FLOOR;
    // Exactly this line: the settings above were read and tried with it.
    match parsed {
        Some(version) if version >= WASMTIME_FLOOR && version.0 == major => Ok(()),
        _ => Err(EngineError::BelowFloor {
            expected: format!("{major}.{minor}.{patch}"),
            found: found.to_owned(),
        }),
    }
}

fn check_processor(found: &'static str) -> Result<(), EngineError> {
    if found == "x86_64" { Ok(()) } else { Err(EngineError::Processor { found }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wasmtime_below_the_floor_or_of_another_line_is_refused() {
        assert!(check_floor("48.0.8").is_ok());
        assert!(check_floor("48.1.0").is_ok());
        for refused in ["48.0.7", "47.9.9", "49.0.5", "", "48", "forty.eight.0"] {
            let error = check_floor(refused).unwrap_err();
            assert!(matches!(error, EngineError::BelowFloor { .. }), "{refused}: {error}");
        }
        assert!(check_floor(WASMTIME_VERSION).is_ok());
    }

    #[test]
    fn processors_without_a_tier_1_compiler_are_refused() {
        assert!(check_processor("x86_64").is_ok());
        assert!(matches!(check_processor("aarch64"), Err(EngineError::Processor { .. })));
    }

    #[test]
    fn the_clock_ends_with_the_engine() {
        let engine =
            running(&PoolSize { concurrent_calls: 1, ..PoolSize::default() }, Metering::Off)
                .unwrap();
        let weak = engine.weak();
        drop(engine);
        thread::sleep(TICK * 5);
        assert!(weak.upgrade().is_none());
    }
}

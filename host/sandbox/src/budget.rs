//! How much one call of a plug-in may use, and the limiter that holds it to that.

use std::time::Duration;

use wasmtime::ResourceLimiter;

/// What one call may use. The defaults fit Rust and Go guests; Python wants more core instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budgets {
    /// From the first instruction to the answer, waiting for the host included.
    pub time: Duration,
    /// Bytes of all linear memories together (wasmtime itself counts each alone).
    pub memory_bytes: usize,
    /// Linear memories.
    pub memories: usize,
    /// Elements of all tables together.
    pub table_elements: usize,
    /// Tables.
    pub tables: usize,
    /// Core instances: Rust 3, Go 4, QuickJS 9, Python up to 38.
    pub core_instances: usize,
    /// Bytes that cross the boundary in one direction in one call of a host function or as answer.
    pub crossing_bytes: usize,
    /// Handles to host resources that a component holds.
    pub component_handles: usize,
    /// Host resources behind them.
    pub resources: usize,
    /// Calls of our own host functions.
    pub host_calls: u32,
    /// Lines in the log; the rest is counted.
    pub log_lines: u32,
    /// Bytes in the log; a line that does not fit any more is counted, not cut.
    pub log_bytes: u32,
    /// Writes to kv.
    pub kv_writes: u32,
    /// Challenges tried: one is usual, many is guessing.
    pub challenges: u32,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(2),
            memory_bytes: 64 << 20,
            memories: 4,
            table_elements: 50_000,
            tables: 16,
            core_instances: 16,
            crossing_bytes: 1 << 20,
            component_handles: 256,
            resources: 256,
            host_calls: 1_000,
            log_lines: 64,
            log_bytes: 16 * 1024,
            kv_writes: 64,
            challenges: 4,
        }
    }
}

/// Which budget a call used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[allow(missing_docs, reason = "the words are those of `Budgets`")]
pub enum Exceeded {
    #[error("linear memory: more than {0} bytes together")]
    Memory(usize),
    #[error("linear memories: more than {0}")]
    Memories(usize),
    #[error("tables: more than {0} elements together")]
    TableElements(usize),
    #[error("tables: more than {0}")]
    Tables(usize),
    #[error("core instances: more than {0}")]
    CoreInstances(usize),
    #[error("data across the boundary: more than {0} bytes at once")]
    Crossing(usize),
    #[error("handles to host resources: more than {0}")]
    Handles(usize),
    #[error("host resources: more than {0}")]
    Resources(usize),
    #[error("host calls: more than {0}")]
    HostCalls(u32),
    #[error("stack: recursion too deep")]
    Stack,
}

/// Sums over all memories and tables of a store.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory_bytes: usize,
    memory_used: usize,
    table_elements: usize,
    table_used: usize,
    memories: usize,
    tables: usize,
    core_instances: usize,
}

impl Limiter {
    pub(crate) fn new(budgets: &Budgets) -> Self {
        Self {
            memory_bytes: budgets.memory_bytes,
            memory_used: 0,
            table_elements: budgets.table_elements,
            table_used: 0,
            memories: budgets.memories,
            tables: budgets.tables,
            core_instances: budgets.core_instances,
        }
    }

    /// Bytes of linear memory that the call took.
    pub(crate) fn memory_used(&self) -> usize {
        self.memory_used
    }
}

impl ResourceLimiter for Limiter {
    // An error, not `Ok(false)`: a guest that is told "no" aborts with a message that hides why.
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let grown = self.memory_used.saturating_add(desired.saturating_sub(current));
        if grown > self.memory_bytes {
            return Err(Exceeded::Memory(self.memory_bytes).into());
        }
        self.memory_used = grown;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let grown = self.table_used.saturating_add(desired.saturating_sub(current));
        if grown > self.table_elements {
            return Err(Exceeded::TableElements(self.table_elements).into());
        }
        self.table_used = grown;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.core_instances
    }

    fn tables(&self) -> usize {
        self.tables
    }

    fn memories(&self) -> usize {
        self.memories
    }
}

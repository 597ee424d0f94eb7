//! Keeps what the process knows out of core files and out of other processes' reach.

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, dumpable_behavior, set_dumpable_behavior, setrlimit,
};

/// The operating system refused to make the process non-dumpable.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// A call failed.
    #[error("cannot make the process non-dumpable ({call}): {source}")]
    Call {
        /// Which call.
        call: &'static str,
        /// What the operating system said.
        source: rustix::io::Errno,
    },
    /// The call succeeded and had no effect.
    #[error("the process is still dumpable after it was made non-dumpable")]
    StillDumpable,
}

/// Makes this process non-dumpable: no core file, and no `ptrace` or `/proc/PID/mem` by another
/// process of the same user. Call it first thing, before any secret is read.
///
/// # Errors
/// The operating system refuses. The caller must not go on to read secrets.
pub fn forbid_core_dumps() -> Result<(), ProcessError> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none)
        .map_err(|source| ProcessError::Call { call: "setrlimit RLIMIT_CORE", source })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|source| ProcessError::Call { call: "prctl PR_SET_DUMPABLE", source })?;
    match dumpable_behavior() {
        Ok(DumpableBehavior::NotDumpable) => Ok(()),
        _ => Err(ProcessError::StillDumpable),
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::getrlimit;

    use super::*;

    #[test]
    fn a_non_dumpable_process_leaves_no_core_and_cannot_be_made_to() {
        forbid_core_dumps().unwrap();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        let limit = getrlimit(Resource::Core);
        assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
    }
}

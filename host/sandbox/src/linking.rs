//! One linker for each set of grants, made once: what was not granted is not there to be called.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use wasmtime::{Engine, component::Linker};
use wasmtime_wasi::{
    cli::{WasiCli, WasiCliView as _},
    p2::bindings::{cli, random},
    random::{WasiRandom, WasiRandomView as _},
};

use crate::{contract, grants::Grants, rehearsal::StageRandom, state::CallState};

/// The linkers made so far.
pub(crate) struct Linkers {
    made: Mutex<HashMap<Grants, Arc<Linker<CallState>>>>,
    for_rehearsals: bool,
}

impl Linkers {
    /// For plug-ins in earnest.
    pub(crate) fn in_earnest() -> Self {
        Self { made: Mutex::default(), for_rehearsals: false }
    }

    /// For plug-ins on a stage: random numbers are the stage's.
    pub(crate) fn for_rehearsals() -> Self {
        Self { made: Mutex::default(), for_rehearsals: true }
    }

    /// The linker that has exactly what is granted.
    pub(crate) fn for_grants(
        &self,
        engine: &Engine,
        grants: Grants,
    ) -> wasmtime::Result<Arc<Linker<CallState>>> {
        let mut known = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(linker) = known.get(&grants) {
            return Ok(Arc::clone(linker));
        }
        let mut linker = Linker::new(engine);
        link_start_up(&mut linker)?;
        if self.for_rehearsals {
            linker.allow_shadowing(true);
            random::random::add_to_linker::<CallState, StageRandom>(
                &mut linker,
                CallState::stage_random,
            )?;
            linker.allow_shadowing(false);
        }
        contract::link(&mut linker, grants)?;
        let linker = Arc::new(linker);
        known.insert(grants, Arc::clone(&linker));
        Ok(linker)
    }
}

/// What languages need before the first line of a plug-in runs, and nothing that reaches outside.
fn link_start_up(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    type S = CallState;
    // io, both clocks, random, stdio.
    wasmtime_wasi::p2::add_to_linker_proxy_interfaces_async::<S>(linker)?;
    random::insecure::add_to_linker::<S, WasiRandom>(linker, |s| s.random())?;
    random::insecure_seed::add_to_linker::<S, WasiRandom>(linker, |s| s.random())?;
    cli::environment::add_to_linker::<S, WasiCli>(linker, S::cli)?;
    cli::exit::add_to_linker::<S, WasiCli>(linker, S::cli)?;
    cli::terminal_input::add_to_linker::<S, WasiCli>(linker, S::cli)?;
    cli::terminal_output::add_to_linker::<S, WasiCli>(linker, S::cli)?;
    cli::terminal_stdin::add_to_linker::<S, WasiCli>(linker, S::cli)?;
    cli::terminal_stdout::add_to_linker::<S, WasiCli>(linker, S::cli)?;
    cli::terminal_stderr::add_to_linker::<S, WasiCli>(linker, S::cli)?;
    Ok(())
}

//! One owner for each module of the process.
//!
//! C_Initialize and C_Finalize are the process's, not a caller's: a finalize anywhere breaks
//! everyone who uses the module (CryptokiNotInitialized). So each module has exactly one
//! [`Module`], found by its path in a table of the process; calls hold it for reading, and only
//! when no call runs is it finalized and initialised again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use parking_lot::{Mutex, RwLock, RwLockReadGuard};

use super::error::TokenOpenError;
use super::pause::Pause;
use crate::error::TokenError;
use crate::token::Deadline;

/// The longest pause between vain attempts to bring a module back, or the only token that is used of
/// it: it is used again at most this much later.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The same for a token that is away while others of its module are used: each attempt ends their
/// sessions and has them log in again.
const LONGEST_PAUSE_BESIDE_OTHERS: Duration = Duration::from_secs(30);
/// How long calls that run may take to end before the module is initialised again.
const QUIET: Duration = Duration::from_secs(2);
/// How long an owner that is just giving up a module may take to do so.
const GIVING_UP: Duration = Duration::from_secs(10);

/// The modules of this process. An entry keeps its library loaded for good: unloading one whose
/// threads have destructors registered crashes at their end.
static MODULES: Mutex<BTreeMap<PathBuf, Entry>> = Mutex::new(BTreeMap::new());

struct Entry {
    library: Pkcs11,
    owner: Weak<Module>,
    /// Whether an owner initialised it and has not finalized it yet.
    initialised: bool,
}

/// A module, initialised by us and by nobody else. Finalized when dropped.
pub(super) struct Module {
    path: PathBuf,
    life: RwLock<Life>,
    /// Between attempts to initialise it where it did not come up.
    pause: Pause,
}

struct Life {
    context: Pkcs11,
    /// Counts initialisations: sessions and handles of an earlier one are void.
    generation: u64,
    up: bool,
}

/// The right to call the module; while it is held the module is not finalized.
pub(super) struct Alive<'m> {
    life: RwLockReadGuard<'m, Life>,
}

impl Alive<'_> {
    pub(super) fn context(&self) -> &Pkcs11 {
        &self.life.context
    }

    pub(super) fn generation(&self) -> u64 {
        self.life.generation
    }
}

impl Module {
    /// Loads and initialises the module at `path`, or finds it where this process has it.
    ///
    /// # Errors
    /// It cannot be loaded; it does not initialise; something else in this process has
    /// initialised it already.
    pub(super) fn open(path: &Path) -> Result<Arc<Self>, TokenOpenError> {
        let failed = |why: String| TokenOpenError::Module { path: path.to_owned(), why };
        let path = path.canonicalize().map_err(|error| failed(error.to_string()))?;
        let patience = Instant::now() + GIVING_UP;
        loop {
            let mut modules = MODULES.lock();
            if let Some(entry) = modules.get(&path) {
                if let Some(owner) = entry.owner.upgrade() {
                    return Ok(owner);
                }
                if entry.initialised {
                    // Its last owner is about to finalize it, on another thread.
                    drop(modules);
                    if Instant::now() > patience {
                        return Err(failed("its last user does not give it up".into()));
                    }
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                }
            }
            let library = match modules.get(&path) {
                Some(entry) => entry.library.clone(),
                None => Pkcs11::new(&path).map_err(|error| failed(error.to_string()))?,
            };
            match initialise(&library) {
                Ok(()) => {}
                Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {
                    return Err(TokenOpenError::ForeignOwner { path: path.clone() });
                }
                Err(error) => return Err(failed(error.to_string())),
            }
            let module = Arc::new(Self {
                path: path.clone(),
                life: RwLock::new(Life { context: library.clone(), generation: 1, up: true }),
                pause: Pause::default(),
            });
            let owner = Arc::downgrade(&module);
            modules.insert(path, Entry { library, owner, initialised: true });
            return Ok(module);
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The right to call it. Waits at most until the deadline while it is initialised again.
    pub(super) fn enter(&self, deadline: Deadline) -> Result<Alive<'_>, TokenError> {
        loop {
            let life = self.life.try_read_until(deadline.instant()).ok_or(TokenError::Deadline)?;
            if life.up {
                return Ok(Alive { life });
            }
            let generation = life.generation;
            drop(life);
            let why = "the module is not initialised";
            self.renew(generation, why, &self.pause, LONGEST_PAUSE, deadline)?;
        }
    }

    /// Finalizes and initialises again for a token that is away, unless somebody did since `seen`.
    /// At most one attempt in each of the token's own pauses, which what other tokens do well does not
    /// shorten: between them its calls fail at once, and the others work on.
    pub(super) fn renew_for_token(
        self: &Arc<Self>,
        seen: u64,
        why: &str,
        pause: &Pause,
        deadline: Deadline,
    ) -> Result<(), TokenError> {
        // Each token holds the module once.
        let is_alone = Arc::strong_count(self) == 1;
        let longest = if is_alone { LONGEST_PAUSE } else { LONGEST_PAUSE_BESIDE_OTHERS };
        self.renew(seen, why, pause, longest, deadline)
    }

    fn renew(
        &self,
        seen: u64,
        why: &str,
        pause: &Pause,
        longest: Duration,
        deadline: Deadline,
    ) -> Result<(), TokenError> {
        // Whoever waits for quiet keeps others out: not for long where a call hangs.
        let patience = deadline.instant().min(Instant::now() + QUIET);
        let Some(mut life) = self.life.try_write_until(patience) else {
            deadline.check()?;
            return Err(TokenError::Lost(format!("{why}; and a call hangs in the module")));
        };
        if life.generation != seen {
            return Ok(());
        }
        pause.attempt(longest).map_err(|rest| {
            TokenError::Lost(format!("{why}; looked for again in {} ms", rest.as_millis()))
        })?;
        tracing::warn!(module = %self.path.display(), why, "initialising the module again");
        if let Err(error) = life.context.clone().finalize() {
            tracing::debug!(%error, "the module could not be finalized");
        }
        life.generation += 1;
        life.up = false;
        match initialise(&life.context) {
            // Not initialised anew but by somebody else, or never finalized: its sessions may
            // be void or not, and nobody can say. It is used; what fails is looked for again.
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {
                life.up = true;
                Ok(())
            }
            Err(error) => Err(TokenError::Lost(format!("{why}; then {error}"))),
        }
    }

    /// An operation succeeded: the next loss is met without a pause.
    pub(super) fn worked(&self) {
        self.pause.is_over();
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        let mut modules = MODULES.lock();
        // Sessions were closed by their tokens, which held this module.
        if let Err(error) = self.life.get_mut().context.clone().finalize() {
            tracing::debug!(%error, "the module could not be finalized");
        }
        if let Some(entry) = modules.get_mut(&self.path) {
            entry.initialised = false;
        }
    }
}

fn initialise(library: &Pkcs11) -> Result<(), Error> {
    library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
}

//! What a call meets before it reaches the real module: the script as it is now, the counts, the
//! log, and the token's absence.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use cryptoki_sys::{
    CK_FUNCTION_LIST, CK_RV, CK_SESSION_HANDLE, CK_TRUE, CKR_DEVICE_REMOVED, CKR_FUNCTION_FAILED,
    CKR_OK, CKR_TOKEN_NOT_PRESENT,
};

use crate::objects::Search;
use crate::script::{Effect, Script, TokenPresence, When};

/// A call that is to be answered.
pub(crate) struct Call {
    /// The functions of the real module.
    pub(crate) real: &'static CK_FUNCTION_LIST,
    /// The script at the time of the call.
    pub(crate) script: Arc<Script>,
    /// Whether the token is out of its slot.
    pub(crate) is_removed: bool,
}

static RUNNING: LazyLock<Mutex<Running>> = LazyLock::new(|| Mutex::new(Running::new()));

struct Running {
    place: PathBuf,
    text: String,
    script: Arc<Script>,
    /// How often each rule of the script has been met.
    met: Vec<u32>,
    signatures: Vec<u32>,
    real: Option<&'static CK_FUNCTION_LIST>,
    removed: Option<TokenPresence>,
    searches: HashMap<CK_SESSION_HANDLE, Search>,
}

/// Notes the call and does what the script says comes before the answer. An error is the answer.
pub(crate) fn begin(function: &'static str) -> Result<Call, CK_RV> {
    begin_with(function, "")
}

/// The same, with a word more for the log: a mechanism, a user type.
pub(crate) fn begin_with(function: &'static str, detail: &str) -> Result<Call, CK_RV> {
    let (call, delay, code) = {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        running.note(function, detail);
        running.read_script()?;
        let real = running.real()?;
        running.move_token(function, real);
        let (delay, code) = running.effects(function);
        let is_removed = running.removed.is_some();
        (Call { real, script: Arc::clone(&running.script), is_removed }, delay, code)
    };
    // Without the lock: others call meanwhile.
    std::thread::sleep(delay);
    match code {
        Some(code) => Err(code),
        None if call.is_removed => absent(function).map_or(Ok(call), Err),
        None => Ok(call),
    }
}

/// Whether the signature that was just made is to come out wrong.
pub(crate) fn signs_wrongly() -> bool {
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let script = Arc::clone(&running.script);
    let mut wrong = false;
    for (rule, met) in script.rules.iter().zip(&mut running.signatures) {
        if rule.effect == Effect::WrongSignature {
            *met = met.saturating_add(1);
            wrong |= rule.when.is_for(*met);
        }
    }
    wrong
}

/// The search that the session has begun.
pub(crate) fn with_search<T>(session: CK_SESSION_HANDLE, act: impl FnOnce(&mut Search) -> T) -> T {
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    act(running.searches.entry(session).or_default())
}

impl When {
    fn is_for(self, call: u32) -> bool {
        match self {
            Self::Always => true,
            Self::OnCall(wanted) => call == wanted,
            Self::FirstCalls(calls) => call <= calls,
        }
    }
}

/// What a function answers without a token (PKCS#11 2.40 §5.1.3, §5.1.5); nothing where it does not
/// need one.
fn absent(function: &str) -> Option<CK_RV> {
    match function {
        "C_Initialize" | "C_Finalize" | "C_GetInfo" | "C_GetSlotList" | "C_GetSlotInfo"
        | "C_WaitForSlotEvent" => None,
        "C_GetTokenInfo" | "C_GetMechanismList" | "C_GetMechanismInfo" | "C_InitToken"
        | "C_OpenSession" | "C_CloseAllSessions" => Some(CKR_TOKEN_NOT_PRESENT),
        _ => Some(CKR_DEVICE_REMOVED),
    }
}

impl Running {
    fn new() -> Self {
        Self {
            place: place(),
            text: String::new(),
            script: Arc::new(Script::forwarding_to("")),
            met: Vec::new(),
            signatures: Vec::new(),
            real: None,
            removed: None,
            searches: HashMap::new(),
        }
    }

    /// One line, in one write, so that lines of several processes do not mix.
    fn note(&self, function: &str, detail: &str) {
        let file = OpenOptions::new().append(true).create(true).open(beside(&self.place, ".calls"));
        if let Ok(mut file) = file {
            let _ = file.write_all(format!("{function}{detail}\n").as_bytes());
        }
    }

    fn read_script(&mut self) -> Result<(), CK_RV> {
        let path = beside(&self.place, ".script");
        let text = fs::read_to_string(&path)
            .map_err(|error| refuse(&format!("{}: {error}", path.display())))?;
        if text != self.text {
            let script: Script =
                text.parse().map_err(|error| refuse(&format!("{}: {error}", path.display())))?;
            self.met = vec![0; script.rules.len()];
            self.signatures = vec![0; script.rules.len()];
            self.script = Arc::new(script);
            self.text = text;
        }
        Ok(())
    }

    /// The real module, loaded once and never unloaded.
    fn real(&mut self) -> Result<&'static CK_FUNCTION_LIST, CK_RV> {
        if let Some(real) = self.real {
            return Ok(real);
        }
        let path = &self.script.module;
        // SAFETY: the test names a PKCS#11 module; loading it runs its initialisers.
        let library = unsafe { cryptoki_sys::Pkcs11::new(path) }
            .map_err(|error| refuse(&format!("{}: {error}", path.display())))?;
        // For as long as the process runs: its functions are called until then.
        let library = Box::leak(Box::new(library));
        let mut list = std::ptr::null_mut();
        if library.C_GetFunctionList.is_err() {
            return Err(refuse(&format!("{} has no C_GetFunctionList", path.display())));
        }
        // SAFETY: the symbol is there, and `list` is a place for the pointer.
        let code = unsafe { library.C_GetFunctionList(&raw mut list) };
        // SAFETY: a module that answers CKR_OK has pointed it at its own static list.
        match unsafe { list.as_ref() } {
            Some(real) if code == CKR_OK => {
                self.real = Some(real);
                Ok(real)
            }
            _ => Err(refuse(&format!("{}: C_GetFunctionList: {code}", path.display()))),
        }
    }

    /// Takes the token out of its slot or puts it back, as the script says.
    fn move_token(&mut self, function: &str, real: &CK_FUNCTION_LIST) {
        match (self.removed, self.script.token) {
            (None, TokenPresence::Present) => {}
            (None, presence) => {
                close_all_sessions(real);
                self.removed = Some(presence);
            }
            (Some(TokenPresence::RemovedUntilInitialize), TokenPresence::Present) => {
                if function == "C_Initialize" {
                    self.removed = None;
                }
            }
            (Some(_), TokenPresence::Present) => self.removed = None,
            (Some(_), presence) => self.removed = Some(presence),
        }
    }

    /// How long this call takes longer, and what it answers if not what the real module does.
    fn effects(&mut self, function: &str) -> (Duration, Option<CK_RV>) {
        let (mut delay, mut code) = (Duration::ZERO, None);
        for (rule, met) in self.script.rules.iter().zip(&mut self.met) {
            if rule.function != function {
                continue;
            }
            *met = met.saturating_add(1);
            match rule.effect {
                Effect::Delay(by) if rule.when.is_for(*met) => delay += by,
                Effect::Return(with) if rule.when.is_for(*met) => code = code.or(Some(with)),
                Effect::Delay(_) | Effect::Return(_) | Effect::WrongSignature => {}
            }
        }
        (delay, code)
    }
}

/// A token that is removed takes its sessions, and the log-in, with it.
fn close_all_sessions(real: &CK_FUNCTION_LIST) {
    let (Some(slot_list), Some(close)) = (real.C_GetSlotList, real.C_CloseAllSessions) else {
        return;
    };
    let mut slots = [0; 64];
    let mut count = slots.len() as u64;
    // SAFETY: room for `count` slots.
    let code = unsafe { slot_list(CK_TRUE, slots.as_mut_ptr(), &raw mut count) };
    if code == CKR_OK {
        for slot in slots.into_iter().take(usize::try_from(count).unwrap_or(0)) {
            // SAFETY: takes a slot's number only.
            unsafe { close(slot) };
        }
    }
}

/// A script that cannot be followed must not look like one that says nothing.
#[expect(clippy::print_stderr, reason = "a module has no other way to say it")]
fn refuse(why: &str) -> CK_RV {
    eprintln!("pkcs11-shim: {why}");
    CKR_FUNCTION_FAILED
}

fn beside(place: &std::path::Path, suffix: &str) -> PathBuf {
    let mut path: OsString = place.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// The file that this code was loaded from. Each copy of the module has its own.
fn place() -> PathBuf {
    let here = place as fn() -> PathBuf as usize;
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    maps.lines().find_map(|line| file_of(line, here)).unwrap_or_default()
}

/// `7f0c…-7f0d… r-xp 00001000 08:01 1234   /path/to/file` (proc_pid_maps(5)).
fn file_of(line: &str, address: usize) -> Option<PathBuf> {
    let (range, _) = line.split_once(' ')?;
    let (from, to) = range.split_once('-')?;
    let from = usize::from_str_radix(from, 16).ok()?;
    let to = usize::from_str_radix(to, 16).ok()?;
    let path = line.find('/').and_then(|at| line.get(at..))?;
    (from..to).contains(&address).then(|| PathBuf::from(path))
}

//! Compiling, in a process that may die of it.
//!
//! A component is a stranger's input to a large program. The compiler therefore runs in a child
//! with limits on memory, processor time and files; if the child dies, the plug-in is refused.

use std::{
    ffi::OsString,
    io::{Read, Write},
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::engine::{self, Metering};

/// The hidden argument by which a binary knows that it was started as compiler.
pub const CHILD_ARGUMENT: &str = "__compile-plugin";
/// Behind it and the limits: code that counts its work.
const METERED: &str = "metered";

/// The largest component.
pub const COMPONENT_BYTES: usize = 32 << 20;

/// Machine code is up to four times the component; a little more for small ones.
const CODE_BYTES: u64 = 4 * (COMPONENT_BYTES as u64) + (16 << 20);
const COMPLAINT_BYTES: u64 = 4 * 1024;
/// Before the code, so that a child that prints something else is noticed.
const MAGIC: &[u8; 8] = b"CSCWASM1";

/// How components are compiled.
#[derive(Debug, Clone)]
pub enum Compiler {
    /// In a child process: for everything that an admin or a vendor brings.
    Child(ChildCompiler),
    /// In this process: for the child itself, and for tests with components of their own.
    InThisProcess,
}

/// A binary that calls [`run_if_child`] first thing in its `main`, and the limits it gets.
#[derive(Debug, Clone)]
pub struct ChildCompiler {
    /// Usually `std::env::current_exe()`.
    pub program: PathBuf,
    /// Before the hidden argument.
    pub arguments: Vec<OsString>,
    /// Wall-clock.
    pub time: Duration,
    /// Bytes of address space.
    pub memory_bytes: u64,
}

impl ChildCompiler {
    /// The given binary with limits that fit Rust and Go guests many times over.
    pub fn new(program: PathBuf) -> Self {
        Self {
            program,
            arguments: Vec::new(),
            time: Duration::from_secs(120),
            memory_bytes: 4 << 30,
        }
    }
}

/// Why a component was not compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// Too large to look at.
    #[error("the component has {found} bytes, at most {COMPONENT_BYTES} are accepted")]
    TooLarge {
        /// Its size.
        found: usize,
    },
    /// No valid component.
    #[error("not a usable WebAssembly component: {0}")]
    Invalid(String),
    /// The compiler did not survive it.
    #[error("the compiler ended with {0} over this component; the plug-in is refused")]
    Died(String),
    /// The compiler did not end.
    #[error("the compiler did not end within {0:?}; the plug-in is refused")]
    Deadline(Duration),
    /// The compiler did not start.
    #[error("the compiler did not start ({program}): {source}")]
    Start {
        /// What was to be run.
        program: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The engine did not start.
    #[error(transparent)]
    Engine(#[from] engine::EngineError),
}

impl Compiler {
    /// Machine code for engines of this configuration.
    pub(crate) fn compile(
        &self,
        component: &[u8],
        metering: Metering,
    ) -> Result<Vec<u8>, CompileError> {
        if component.len() > COMPONENT_BYTES {
            return Err(CompileError::TooLarge { found: component.len() });
        }
        match self {
            Self::Child(child) => compile_in_child(child, component, metering),
            Self::InThisProcess => compile_here(component, metering),
        }
    }
}

/// For the first line of `main` in a binary that is used as compiler: if the hidden argument is
/// there, compiles standard input to standard output and gives the exit code to leave with.
pub fn run_if_child(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter().skip_while(|argument| argument != CHILD_ARGUMENT);
    arguments.next()?;
    let memory_bytes = arguments.next()?.into_string().ok()?.parse().ok()?;
    let seconds = arguments.next()?.into_string().ok()?.parse().ok()?;
    let metering = match arguments.next() {
        Some(word) if word == METERED => Metering::On,
        _ => Metering::Off,
    };
    Some(match be_child(memory_bytes, seconds, metering) {
        Ok(()) => ExitCode::SUCCESS,
        Err(complaint) => {
            let _ = writeln!(std::io::stderr(), "{complaint}");
            ExitCode::from(2)
        }
    })
}

fn be_child(memory_bytes: u64, seconds: u64, metering: Metering) -> Result<(), String> {
    // Before the first byte of the component is read.
    limit(memory_bytes, seconds).map_err(|error| format!("limits: {error}"))?;
    let mut component = Vec::new();
    let most = u64::try_from(COMPONENT_BYTES).unwrap_or(u64::MAX) + 1;
    std::io::stdin()
        .take(most)
        .read_to_end(&mut component)
        .map_err(|error| format!("reading: {error}"))?;
    let code = compile_here(&component, metering).map_err(|error| error.to_string())?;
    let mut out = std::io::stdout().lock();
    out.write_all(MAGIC)
        .and_then(|()| out.write_all(&code))
        .and_then(|()| out.flush())
        .map_err(|error| format!("writing: {error}"))
}

fn limit(memory_bytes: u64, seconds: u64) -> rustix::io::Result<()> {
    let at_most = |most| Rlimit { current: Some(most), maximum: Some(most) };
    setrlimit(Resource::As, at_most(memory_bytes))?;
    setrlimit(Resource::Cpu, at_most(seconds))?;
    // Writes go to the pipe only.
    setrlimit(Resource::Fsize, at_most(0))?;
    setrlimit(Resource::Core, at_most(0))?;
    setrlimit(Resource::Nofile, at_most(16))
}

fn compile_here(component: &[u8], metering: Metering) -> Result<Vec<u8>, CompileError> {
    if !is_component(component) {
        // Text, a core module, or machine code: `precompile_component` would take the first.
        return Err(CompileError::Invalid(
            "it does not begin like a component; build one with `cargo build --target \
             wasm32-wasip2`, or make one from a core module with `wasm-tools component new`"
                .into(),
        ));
    }
    let engine = engine::compiling(metering)?;
    engine
        .precompile_component(component)
        .map_err(|error| CompileError::Invalid(crate::log::escaped(&format!("{error:#}"), 2048)))
}

/// `\0asm`, then layer 1 of the component encoding.
pub fn is_component(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\0asm") && bytes.get(6..8) == Some(&[1, 0])
}

fn compile_in_child(
    child: &ChildCompiler,
    component: &[u8],
    metering: Metering,
) -> Result<Vec<u8>, CompileError> {
    let seconds = child.time.as_secs().max(1);
    let mut process = Command::new(&child.program)
        .args(&child.arguments)
        .arg(CHILD_ARGUMENT)
        .arg(child.memory_bytes.to_string())
        .arg(seconds.to_string())
        .args((metering == Metering::On).then_some(METERED))
        // What is in the environment may be secret, and none of it is needed.
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| CompileError::Start { program: child.program.clone(), source })?;
    let stdin = process.stdin.take();
    let stdout = process.stdout.take();
    let stderr = process.stderr.take();
    thread::scope(|scope| {
        scope.spawn(move || {
            // A child that does not read to the end says why on standard error.
            stdin.map(|mut stdin| stdin.write_all(component))
        });
        let code = scope.spawn(move || read_up_to(stdout, CODE_BYTES));
        let complaint = scope.spawn(move || read_up_to(stderr, COMPLAINT_BYTES));
        let deadline = Instant::now() + child.time;
        let status = loop {
            match process.try_wait() {
                Ok(Some(status)) => break Ok(status),
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
                Ok(None) => break Err(CompileError::Deadline(child.time)),
                Err(error) => break Err(CompileError::Died(error.to_string())),
            }
        };
        if status.is_err() {
            let _ = process.kill();
            let _ = process.wait();
        }
        let code = code.join().unwrap_or_default();
        let complaint = complaint.join().unwrap_or_default();
        let status = status?;
        match (status.code(), code.strip_prefix(MAGIC)) {
            (Some(0), Some(code)) if !code.is_empty() => Ok(code.to_vec()),
            (Some(2), _) => {
                let complaint = String::from_utf8_lossy(&complaint);
                Err(CompileError::Invalid(crate::log::escaped(complaint.trim(), 2048)))
            }
            _ => Err(CompileError::Died(status.to_string())),
        }
    })
}

/// Reads to the end but keeps only so much, so that the child is never stopped by a full pipe.
fn read_up_to(stream: Option<impl Read>, most: u64) -> Vec<u8> {
    let mut kept = Vec::new();
    if let Some(mut stream) = stream {
        let _ = stream.by_ref().take(most).read_to_end(&mut kept);
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    }
    kept
}

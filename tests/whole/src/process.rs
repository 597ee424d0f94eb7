//! One of the three processes as a child: its log kept, ended by the id it was started with.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::binaries::program;

/// How long a start, an end or a line in the log may take before the test is told.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Which of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
    /// Holds EA.
    Sign,
    /// Runs the plug-ins.
    Verify,
    /// Faces devices.
    Serve,
}

impl Program {
    /// In the order in which they are started.
    pub const ALL: [Self; 3] = [Self::Sign, Self::Verify, Self::Serve];

    /// Its short name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sign => "sign",
            Self::Verify => "verify",
            Self::Serve => "serve",
        }
    }
}

/// How a process ended by itself.
#[derive(Debug, Clone)]
pub struct Ended {
    /// What it left.
    pub status: ExitStatus,
    /// Everything it wrote to standard error.
    pub stderr: String,
}

/// A running process.
#[derive(Debug)]
pub struct Running {
    program: Program,
    child: Child,
    log: Log,
    reader: JoinHandle<()>,
}

/// Lines of standard error, shared with the task that reads them.
type Log = Arc<Mutex<Vec<String>>>;

impl Running {
    pub(crate) fn start(
        which: Program,
        binary: Option<&Path>,
        environment: Option<(&'static str, &Path)>,
        config: &Path,
    ) -> Self {
        let mut child = Command::new(binary.map_or_else(|| program(which.name()), Path::to_owned))
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .env_remove("COUNTERSIGN_LOG")
            .env_remove("RUST_LOG")
            .envs(environment)
            .kill_on_drop(true)
            .spawn()
            .expect("the process starts");
        let stderr = child.stderr.take().expect("standard error is piped");
        let log = Log::default();
        let kept = Arc::clone(&log);
        let reader = tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Self { program: which, child, log, reader }
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Everything logged so far, one line after the other.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// The lines logged so far that are JSON.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        let lines = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The first line in the log that `wanted` takes.
    ///
    /// # Panics
    /// It does not come, or the process ends before.
    pub async fn event(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let ended = self.child.try_wait().expect("a child can be asked");
            if let Some(event) = self.events().into_iter().find(&wanted) {
                return event;
            }
            let name = self.program.name();
            assert!(ended.is_none(), "{name} ended ({ended:?}) before {what}:\n{}", self.log());
            assert!(started.elapsed() < PATIENCE, "{name} never: {what}:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_some()
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// It does not.
    pub async fn ended(mut self) -> Ended {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| {
            panic!("{} did not end:\n{}", self.program.name(), self.log());
        });
        // The pipe closes with the process; then the log is whole.
        (&mut self.reader).await.expect("the log is read");
        Ended { status: status.expect("a child can be waited for"), stderr: self.log() }
    }

    /// SIGTERM, and waits until it has drained.
    pub async fn stop(self) -> Ended {
        self.signal(Signal::TERM);
        self.ended().await
    }

    /// SIGKILL: as a crash or a power cut ends it.
    pub async fn kill(self) -> Ended {
        self.signal(Signal::KILL);
        self.ended().await
    }

    fn signal(&self, signal: Signal) {
        let id = self.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        // Fails only if it has ended already.
        let _ = id.map(|id| kill_process(id, signal));
    }
}

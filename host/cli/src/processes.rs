//! Child processes of `up` and `demo`: the other binaries of this installation, found beside this
//! one, their structured logs read line by line, ended by the id they were started with.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use crate::failure::Failure;

/// How long a process may take to drain before it is killed.
const DRAIN: Duration = Duration::from_secs(40);

/// The longest log line that is read; the rest of a longer one is dropped.
const LONGEST_LINE: usize = 64 * 1024;

/// One line of a process's log.
#[derive(Debug, Clone)]
pub(crate) struct LogLine {
    /// Name of the process: `serve`, `verify`, `sign`, `lab-ca`.
    pub(crate) process: &'static str,
    /// The line's fields, if it was JSON.
    pub(crate) fields: Value,
    /// The line as it came.
    pub(crate) text: String,
}

impl LogLine {
    /// A field as text; empty if it is not there.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

/// Sets what the processes log.
const LOG: &str = "COUNTERSIGN_LOG";

/// A running child.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
}

/// The binary `name` beside this one.
pub(crate) fn beside(name: &str) -> Result<PathBuf, Failure> {
    let this = std::env::current_exe()
        .map_err(|error| Failure::new(format!("where this program lies is not known: {error}")))?;
    let path = this.with_file_name(name);
    if path.is_file() {
        Ok(path)
    } else {
        Err(Failure::new(format!(
            "{} is not there; build or install all of Countersign's binaries into one folder \
             (`cargo xtask build` does)",
            path.display()
        )))
    }
}

impl Process {
    /// Starts `countersign-<name>` with `arguments`; its log goes to `log`.
    pub(crate) fn start(
        name: &'static str,
        arguments: &[&str],
        log: &mpsc::UnboundedSender<LogLine>,
    ) -> Result<Self, Failure> {
        let binary = beside(&format!("countersign-{name}"))?;
        let mut command = Command::new(&binary);
        if name == "serve" && std::env::var_os(LOG).is_none() {
            // Whoever watches wants to see each station, not only the answers.
            command.env(LOG, "info,hyper=warn,rustls=warn,countersign_enrol=debug");
        }
        let mut child = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Failure::new(format!("{}: {error}", binary.display())))?;
        if let Some(stderr) = child.stderr.take() {
            let log = log.clone();
            tokio::spawn(async move {
                let mut lines = BufReader::new(stderr).lines();
                while let Ok(Some(mut text)) = lines.next_line().await {
                    if text.len() > LONGEST_LINE {
                        text = text.chars().take(LONGEST_LINE).collect();
                    }
                    let fields = serde_json::from_str(&text).unwrap_or(Value::Null);
                    if log.send(LogLine { process: name, fields, text }).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Self { name, child })
    }

    /// Waits until it ends by itself, and says how.
    pub(crate) async fn ended(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => format!("countersign-{} ended: {status}", self.name),
            Err(error) => format!("countersign-{}: {error}", self.name),
        }
    }

    /// Asks it to drain and end (SIGTERM), and kills it if it does not.
    pub(crate) async fn stop(mut self) {
        let id = self
            .child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(rustix::process::Pid::from_raw);
        if let Some(id) = id {
            // Fails only if it has ended already.
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
        if tokio::time::timeout(DRAIN, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

/// The three processes of one installation.
#[derive(Debug)]
pub(crate) struct Three {
    processes: Vec<Process>,
}

impl Three {
    /// Starts `sign`, `verify` and `serve` on one config.
    pub(crate) fn start(
        config: &Path,
        log: &mpsc::UnboundedSender<LogLine>,
    ) -> Result<Self, Failure> {
        let config = config
            .to_str()
            .ok_or_else(|| Failure::new("the config's path is not UTF-8".to_owned()))?;
        // `serve` last: what it asks should be there.
        let processes = ["sign", "verify", "serve"]
            .into_iter()
            .map(|name| Process::start(name, &["--config", config], log))
            .collect::<Result<_, _>>()?;
        Ok(Self { processes })
    }

    /// Waits until one of them ends by itself, and says which and how.
    pub(crate) async fn one_ended(&mut self) -> String {
        let endings = self.processes.iter_mut().map(|process| Box::pin(process.ended()));
        let mut endings: Vec<_> = endings.collect();
        std::future::poll_fn(|context| {
            endings
                .iter_mut()
                .find_map(|ending| match ending.as_mut().poll(context) {
                    std::task::Poll::Ready(text) => Some(std::task::Poll::Ready(text)),
                    std::task::Poll::Pending => None,
                })
                .unwrap_or(std::task::Poll::Pending)
        })
        .await
    }

    /// Ends them in the order that lets each finish: `serve`, `verify`, `sign`.
    pub(crate) async fn stop(mut self) {
        while let Some(process) = self.processes.pop() {
            process.stop().await;
        }
    }
}

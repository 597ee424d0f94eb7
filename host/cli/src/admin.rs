//! Questions to the three processes through their admin sockets.

use std::path::{Path, PathBuf};
use std::time::Duration;

use countersign_config::{Config, Loaded};
use countersign_ipc::{AdminReply, AdminRequest, Client, Role};
use serde_json::Value;

use crate::failure::{Exit, Failure};

/// How long a process may take to answer.
const DEADLINE: Duration = Duration::from_secs(20);

/// Which process is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Process {
    Serve,
    Verify,
    Sign,
}

impl Process {
    pub(crate) const ALL: [Self; 3] = [Self::Serve, Self::Verify, Self::Sign];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Verify => "verify",
            Self::Sign => "sign",
        }
    }

    fn socket(self, config: &Config) -> PathBuf {
        match self {
            Self::Serve => config.sockets.serve_admin(),
            Self::Verify => config.sockets.verify_admin(),
            Self::Sign => config.sockets.sign_admin(),
        }
    }
}

/// The config file, or all its problems.
pub(crate) fn load(path: &Path) -> Result<Loaded, Failure> {
    Config::load(path).map_err(Failure::config)
}

/// Asks one process one question; its refusal is a failure.
pub(crate) fn ask(
    loaded: &Loaded,
    process: Process,
    question: &AdminRequest,
) -> Result<AdminReply, Failure> {
    let socket = process.socket(&loaded.config);
    let digest = loaded.digest;
    let reply = runtime()?.block_on(async {
        let client: Client<AdminRequest, AdminReply> = Client::new(&socket, Role::Admin, digest);
        client.call(question, DEADLINE).await
    })?;
    match reply {
        AdminReply::Refused { message } => {
            Err(Failure::of(Exit::Refused, format!("{}: {message}", process.name())))
        }
        reply => Ok(reply),
    }
}

/// Asks for facts.
pub(crate) fn facts(
    loaded: &Loaded,
    process: Process,
    question: &AdminRequest,
) -> Result<Value, Failure> {
    match ask(loaded, process, question)? {
        AdminReply::Facts(facts) => Ok(facts),
        _ => Err(Failure::new(format!(
            "{} gave another kind of answer than facts; are all binaries of one version?",
            process.name()
        ))),
    }
}

/// For commands that wait for a socket or a server.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("no runtime: {error}")))
}

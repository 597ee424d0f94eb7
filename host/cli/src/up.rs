//! `countersign up`: all three processes in the foreground, for the lab.

use std::path::PathBuf;

use clap::Args;
use countersign_config::{Config, Mode};
use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::processes::Three;

/// Starts sign, verify and serve in the foreground, and ends them together. For lab use: in
/// production each runs as its own user, started by systemd or as its own container.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  countersign up --config lab/countersign.toml")]
pub(crate) struct Arguments {
    /// The config file; its `mode` must be `lab`.
    #[arg(long, value_name = "FILE", default_value = "/etc/countersign/countersign.toml")]
    config: PathBuf,
}

/// Runs until Ctrl-C, SIGTERM, or until one of the three ends.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let loaded = Config::load(&arguments.config).map_err(Failure::config)?;
    if loaded.config.mode != Mode::Lab {
        return Err(Failure::new(
            "`up` starts all three processes as one user, which only `mode = \"lab\"` allows; in \
             production start countersign-serve, countersign-verify and countersign-sign each as \
             its own user",
        ));
    }
    tokio::runtime::Runtime::new()
        .map_err(|error| Failure::new(error.to_string()))?
        .block_on(up(&arguments.config))
}

async fn up(config: &std::path::Path) -> Result<(), Failure> {
    let (log, mut lines) = mpsc::unbounded_channel();
    let mut three = Three::start(config, &log)?;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .map_err(|error| Failure::new(error.to_string()))?;
    let ended = loop {
        tokio::select! {
            Some(line) = lines.recv() => crate::output::error_line(&format!("{:<6} {}", line.process, line.text)),
            _ = tokio::signal::ctrl_c() => break None,
            _ = terminate.recv() => break None,
            ended = three.one_ended() => break Some(ended),
        }
    };
    three.stop().await;
    while let Ok(line) = lines.try_recv() {
        crate::output::error_line(&format!("{:<6} {}", line.process, line.text));
    }
    match ended {
        None => Ok(()),
        Some(how) => Err(Failure::new(format!("{how}; the others were stopped"))),
    }
}

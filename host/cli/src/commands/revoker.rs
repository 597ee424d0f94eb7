//! `countersign revoker key|script`: what an agent beside a CA needs.

mod script;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use countersign_config::Loaded;
use countersign_ipc::{AdminReply, AdminRequest};

use crate::admin::{self, Process};
use crate::commands::ConfigArgument;
use crate::failure::Failure;
use crate::file::{self, Existing};
use crate::output;

/// What the agent needs that carries out revocations beside a CA.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Key(Key),
    Script(script::Script),
}

/// Print the public half of the key that signs revocation orders, for agents to pin.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  countersign revoker key --out order.pub")]
struct Key {
    #[command(flatten)]
    config: ConfigArgument,
    /// Write it into this new file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Key(key) => {
            let loaded = admin::load(&key.config.config)?;
            let pem = order_key(&loaded)?;
            match &key.out {
                Some(path) => file::write(path, pem.as_bytes(), 0o644, Existing::Refuse),
                None => {
                    output::line(pem.trim_end());
                    Ok(())
                }
            }
        }
        Command::Script(script) => script::run(&script),
    }
}

/// The public key, from `sign`: no other process reads the private one.
fn order_key(loaded: &Loaded) -> Result<String, Failure> {
    match admin::ask(loaded, Process::Sign, &AdminRequest::OrderKey)? {
        AdminReply::Text(pem) => Ok(pem),
        _ => Err(Failure::new(
            "sign gave another kind of answer than a key; are all binaries of one version?",
        )),
    }
}

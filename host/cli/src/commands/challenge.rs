//! `countersign challenge issue`: a one-time challenge, for the names of one device.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use countersign_ipc::{AdminReply, AdminRequest};
use countersign_keys::secret_file;
use countersign_profile::Name;

use crate::admin::{self, Process};
use crate::commands::ConfigArgument;
use crate::failure::Failure;
use crate::{output, time};

/// One-time challenges.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Issue(Issue),
}

/// Issue a challenge for one device. It is printed once and kept nowhere: only its MAC is.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  countersign challenge issue --profile wifi --name CN=device-17 --name DNS:device-17.example.com\n\nStandard output holds the challenge alone, so that a script can take it."
)]
struct Issue {
    #[command(flatten)]
    config: ConfigArgument,
    /// The profile it is for.
    #[arg(long, value_name = "PROFILE")]
    profile: String,
    /// A name that the challenge vouches for: CN=…, DNS:…, email:…, URI:…, IP:…, UPN:…; repeat
    /// it for more.
    #[arg(long = "name", value_name = "NAME", required = true)]
    names: Vec<Name>,
    /// What the device management calls the device.
    #[arg(long, value_name = "ID")]
    device_id: Option<String>,
    /// Seconds until it dies.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..))]
    ttl: u32,
    /// Write it into this new file (mode 0600) and not to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Issue(issue) => run_issue(issue),
    }
}

fn run_issue(issue: Issue) -> Result<(), Failure> {
    let loaded = admin::load(&issue.config.config)?;
    let question = AdminRequest::IssueChallenge {
        profile: issue.profile,
        names: issue.names.iter().map(ToString::to_string).collect(),
        device_id: issue.device_id,
        ttl: issue.ttl,
    };
    let AdminReply::Challenge { text, expires_at } =
        admin::ask(&loaded, Process::Verify, &question)?
    else {
        return Err(Failure::new(
            "verify gave another kind of answer than a challenge; are all binaries of one version?",
        ));
    };
    match &issue.out {
        None => output::line(&text),
        Some(path) => secret_file::create(path, text.as_bytes())
            .map_err(|error| Failure::new(error.to_string()))?,
    }
    output::error_line(&format!("valid until {}, for one certificate", time::rfc3339(expires_at)));
    Ok(())
}

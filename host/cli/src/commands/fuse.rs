//! `countersign fuse status|reset`: the revocation fuse, which stops a mass wipe.

use clap::{Args, Subcommand};
use countersign_ipc::AdminRequest;
use serde_json::Value;

use crate::admin::{self, Process};
use crate::commands::{ConfigArgument, PersonArgument};
use crate::failure::Failure;
use crate::output::{self, Format, Table};

/// The revocation fuse: so many orders in a minute, an hour and a day; beyond that it holds all of
/// them until two people reset it.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Status(Status),
    Reset(Reset),
}

/// Show whether it has blown, how full its windows are, and what somebody proposed.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  countersign fuse status --format json")]
struct Status {
    #[command(flatten)]
    config: ConfigArgument,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Propose to reset it, or confirm what another person proposed within a quarter of an hour.
///
/// First find out who ordered so much: `countersign orders list`. If nobody wanted it, take the held
/// orders back before the reset (`countersign orders withdraw`), or they go through with it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  countersign fuse reset --let-through 300     (anna proposes)\n  countersign fuse reset --let-through 300     (berta confirms)\n\nBoth stand in the ledger. Each runs it under their own user, listed in [admin] persons."
)]
struct Reset {
    #[command(flatten)]
    config: ConfigArgument,
    /// So many orders go through within the next hour whatever the limits: those that are held, if
    /// they are honest.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    let_through: u32,
    #[command(flatten)]
    person: PersonArgument,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Status(status) => show_status(&status),
        Command::Reset(reset) => run_reset(reset),
    }
}

fn show_status(status: &Status) -> Result<(), Failure> {
    let loaded = admin::load(&status.config.config)?;
    let facts = admin::facts(&loaded, Process::Sign, &AdminRequest::FuseStatus)?;
    if status.format == Format::Json {
        output::json(&facts);
        return Ok(());
    }
    match facts.get("blown-at").and_then(Value::as_u64) {
        Some(_) => output::line(&format!(
            "{} since {}: too many orders in one {}; it holds all until two people reset it",
            output::red("BLOWN"),
            output::moment(&facts, "blown-at"),
            output::fact(&facts, "blown-window")
        )),
        None => output::line(&output::green("whole")),
    }
    let mut table = Table::new(&["window", "orders", "limit"]);
    for window in facts.get("windows").and_then(Value::as_array).into_iter().flatten() {
        table.row(["window", "used", "limit"].map(|member| output::fact(window, member)).to_vec());
    }
    output::line(&table.to_string());
    if facts.get("let-through").and_then(Value::as_u64).is_some_and(|number| number > 0) {
        let number = output::fact(&facts, "let-through");
        output::line(&format!("{number} more are let through, by two people's word"));
    }
    if let Some(proposal) = facts.get("proposal").filter(|proposal| !proposal.is_null()) {
        output::line(&output::yellow(&format!(
            "{} proposed a reset that lets {} through; another person can confirm it for {} s",
            output::fact(proposal, "person"),
            output::fact(proposal, "let-through"),
            output::fact(proposal, "seconds-left")
        )));
    }
    Ok(())
}

fn run_reset(reset: Reset) -> Result<(), Failure> {
    let loaded = admin::load(&reset.config.config)?;
    let question =
        AdminRequest::FuseReset { let_through: reset.let_through, person: reset.person.person };
    let facts = admin::facts(&loaded, Process::Sign, &question)?;
    if reset.format == Format::Json {
        output::json(&facts);
        return Ok(());
    }
    match facts.get("state").and_then(Value::as_str) {
        Some("reset") => output::line(&format!(
            "reset by {}; {} orders are let through",
            output::fact(&facts, "persons"),
            output::fact(&facts, "let-through")
        )),
        _ => output::line(&format!("proposed; {}", output::fact(&facts, "remedy"))),
    }
    Ok(())
}

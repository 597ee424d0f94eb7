//! `countersign orders withdraw`: the answer to a mass wipe that nobody wanted.

use clap::Args;
use countersign_ipc::AdminRequest;
use serde_json::Value;

use crate::admin::{self, Process};
use crate::commands::{ConfigArgument, PersonArgument};
use crate::failure::Failure;
use crate::output::{self, Format};

/// Take back the orders that the revocation fuse holds. Needs two people: one proposes, another
/// confirms with the same command within a quarter of an hour; both stand in the ledger.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  countersign orders withdraw --plugin intune     (anna proposes, berta confirms)\n\nWhat was signed before the fuse blew is on its way and cannot be taken back."
)]
pub(super) struct Withdraw {
    #[command(flatten)]
    config: ConfigArgument,
    /// Only what this plug-in ordered.
    #[arg(long, value_name = "PLUGIN")]
    plugin: Option<String>,
    #[command(flatten)]
    person: PersonArgument,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(withdraw: Withdraw) -> Result<(), Failure> {
    let loaded = admin::load(&withdraw.config.config)?;
    let question =
        AdminRequest::WithdrawOrders { plugin: withdraw.plugin, person: withdraw.person.person };
    let facts = admin::facts(&loaded, Process::Verify, &question)?;
    if withdraw.format == Format::Json {
        output::json(&facts);
        return Ok(());
    }
    match facts.get("state").and_then(Value::as_str) {
        Some("withdrawn") => output::line(&format!(
            "{} orders were taken back by {}",
            output::fact(&facts, "orders"),
            output::fact(&facts, "persons")
        )),
        _ => output::line(&format!("proposed; {}", output::fact(&facts, "remedy"))),
    }
    Ok(())
}

//! `countersign orders list|orphans|withdraw`: certificates that must be revoked and are not yet.

mod orphans;
mod withdraw;

use clap::{Args, Subcommand};
use countersign_ipc::AdminRequest;

use crate::admin::{self, Process};
use crate::commands::ConfigArgument;
use crate::failure::Failure;
use crate::output::{self, Format, Table};

/// Revocation orders.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Orphans(orphans::Orphans),
    Withdraw(withdraw::Withdraw),
}

/// List the certificates that must be revoked and are not. Without a revoker, revoke them by hand on
/// the CA.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  countersign orders list --format json")]
struct List {
    #[command(flatten)]
    config: ConfigArgument,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::List(list) => show_list(&list),
        Command::Orphans(orphans) => orphans::run(&orphans),
        Command::Withdraw(withdraw) => withdraw::run(withdraw),
    }
}

fn show_list(list: &List) -> Result<(), Failure> {
    let loaded = admin::load(&list.config.config)?;
    let facts = admin::facts(&loaded, Process::Verify, &AdminRequest::Orders)?;
    match list.format {
        Format::Json => output::json(&facts),
        Format::Text => {
            let orders = facts.as_array().map(Vec::as_slice).unwrap_or_default();
            if orders.is_empty() {
                output::line("no open orders");
                return Ok(());
            }
            let mut table =
                Table::new(&["ordered", "state", "authority", "serial", "reason", "profile"]);
            for order in orders {
                table.row(vec![
                    output::moment(order, "ordered"),
                    output::fact(order, "state"),
                    output::fact(order, "authority"),
                    output::fact(order, "serial"),
                    output::fact(order, "reason"),
                    output::fact(order, "profile"),
                ]);
            }
            output::line(&table.to_string());
        }
    }
    Ok(())
}

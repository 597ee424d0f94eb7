//! `countersign device tombstones|lift`: devices that get no further certificate.

use clap::{Args, Subcommand};
use countersign_ipc::AdminRequest;

use crate::admin::{self, Process};
use crate::commands::ConfigArgument;
use crate::failure::Failure;
use crate::output::{self, Format, Table};

/// Devices, as far as their management spoke of them.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Tombstones(Tombstones),
    Lift(Lift),
}

/// List the devices that get no further certificate: their management said that they are wiped, retired
/// or lost.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  countersign device tombstones")]
struct Tombstones {
    #[command(flatten)]
    config: ConfigArgument,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Let a device have certificates again. What was ordered revoked stays ordered.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  countersign device lift 3F2C-17 --plugin jamf")]
struct Lift {
    /// The device, in the words of its management.
    #[arg(value_name = "DEVICE")]
    device_id: String,
    /// The plug-in that placed the tombstone.
    #[arg(long, value_name = "NAME")]
    plugin: String,
    #[command(flatten)]
    config: ConfigArgument,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Tombstones(arguments) => tombstones(&arguments),
        Command::Lift(arguments) => lift(arguments),
    }
}

fn tombstones(arguments: &Tombstones) -> Result<(), Failure> {
    let loaded = admin::load(&arguments.config.config)?;
    let facts = admin::facts(&loaded, Process::Verify, &AdminRequest::Tombstones)?;
    if arguments.format == Format::Json {
        output::json(&facts);
        return Ok(());
    }
    let tombstones = facts.as_array().map(Vec::as_slice).unwrap_or_default();
    if tombstones.is_empty() {
        output::line("no tombstones");
        return Ok(());
    }
    let mut table = Table::new(&["placed", "device", "plugin", "reason", "profiles", "detail"]);
    for tombstone in tombstones {
        table.row(vec![
            output::moment(tombstone, "placed"),
            output::fact(tombstone, "device-id"),
            output::fact(tombstone, "plugin"),
            output::fact(tombstone, "reason"),
            output::fact(tombstone, "profiles"),
            output::fact(tombstone, "detail"),
        ]);
    }
    output::line(&table.to_string());
    Ok(())
}

fn lift(arguments: Lift) -> Result<(), Failure> {
    let Lift { device_id, plugin, config, format } = arguments;
    let loaded = admin::load(&config.config)?;
    let question = AdminRequest::LiftTombstone { plugin, device_id };
    let lifted = admin::facts(&loaded, Process::Verify, &question)?;
    match format {
        Format::Json => output::json(&lifted),
        Format::Text => output::line(&format!(
            "device {} may have certificates again",
            output::fact(&lifted, "device-id")
        )),
    }
    Ok(())
}

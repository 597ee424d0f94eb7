//! `countersign orders orphans`: what came to nothing.

use clap::Args;
use countersign_ipc::AdminRequest;
use serde_json::Value;

use crate::admin::{self, Process};
use crate::commands::ConfigArgument;
use crate::failure::Failure;
use crate::output::{self, Format, Table};

/// List orders that failed or keep failing, and certificates of wiped devices that nobody ordered
/// revoked.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  countersign orders orphans --format json")]
pub(super) struct Orphans {
    #[command(flatten)]
    config: ConfigArgument,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(orphans: &Orphans) -> Result<(), Failure> {
    let loaded = admin::load(&orphans.config.config)?;
    let facts = admin::facts(&loaded, Process::Verify, &AdminRequest::Orphans)?;
    if orphans.format == Format::Json {
        output::json(&facts);
        return Ok(());
    }
    show(
        &facts,
        "failed-orders",
        "no failed orders",
        &["authority", "serial", "state", "tries", "result"],
    );
    show(
        &facts,
        "left-behind",
        "no certificates left behind",
        &["profile", "device", "certificate-sha256"],
    );
    Ok(())
}

fn show(facts: &Value, list: &str, none: &str, columns: &[&str]) {
    let rows = facts.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        output::line(none);
        return;
    }
    let mut table = Table::new(columns);
    for row in rows {
        table.row(columns.iter().map(|column| output::fact(row, column)).collect());
    }
    output::line(&table.to_string());
}

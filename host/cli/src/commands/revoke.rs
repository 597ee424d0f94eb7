//! `countersign revoke`: by hand, one certificate or all of a device.

use clap::Args;
use countersign_ipc::AdminRequest;
use serde_json::Value;

use crate::admin::{self, Process};
use crate::commands::{ConfigArgument, PersonArgument};
use crate::failure::Failure;
use crate::output::{self, Format, Table};

/// Order certificates revoked that were issued here.
///
/// One person may order a few in a day (verify.revocation.alone-per-day); more is proposed, and
/// another person confirms it with the same command within a quarter of an hour. Orders are signed,
/// stand in the ledger, and are carried out by the authority's revoker.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  countersign revoke --serial 6100000002f3 --reason key-compromise\n  countersign revoke --device 4c4c4544-0042 --reason cessation-of-operation"
)]
#[group(id = "target", required = true, multiple = false, args = ["serial", "device"])]
pub(crate) struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// The certificate's serial number, hexadecimal.
    #[arg(long, value_name = "HEX")]
    serial: Option<String>,
    /// What the device management calls the device: all its certificates.
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    /// Why: unspecified, key-compromise, affiliation-changed, superseded, cessation-of-operation.
    #[arg(long, value_name = "REASON")]
    reason: String,
    #[command(flatten)]
    person: PersonArgument,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let loaded = admin::load(&arguments.config.config)?;
    let question = AdminRequest::Revoke {
        serial: arguments.serial,
        device_id: arguments.device,
        reason: arguments.reason,
        person: arguments.person.person,
    };
    let facts = admin::facts(&loaded, Process::Verify, &question)?;
    if arguments.format == Format::Json {
        output::json(&facts);
        return Ok(());
    }
    let mut table = Table::new(&["serial", "profile"]);
    for certificate in facts.get("certificates").and_then(Value::as_array).into_iter().flatten() {
        table.row(["serial", "profile"].map(|member| output::fact(certificate, member)).to_vec());
    }
    match facts.get("state").and_then(Value::as_str) {
        Some("ordered") => {
            output::line(&format!("ordered revoked by {}:", output::fact(&facts, "persons")));
        }
        _ => output::line(&format!("proposed, not ordered: {}", output::fact(&facts, "remedy"))),
    }
    output::line(&table.to_string());
    Ok(())
}

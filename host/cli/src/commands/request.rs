//! `countersign request list|show|resend`: enrolments that `serve` knows, and what their device
//! managements were not told.

use clap::{Args, Subcommand};
use countersign_config::Loaded;
use countersign_ipc::AdminRequest;
use serde_json::Value;

use crate::admin::{self, Process};
use crate::commands::ConfigArgument;
use crate::failure::Failure;
use crate::output::{self, Format, Table};

/// Members of a request that hold seconds since 1970.
const MOMENTS: [&str; 3] = ["created", "updated", "not-after"];

/// Enrolments: approved ones and what became of them. Refused requests are in the ledger.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Show(Show),
    Resend(Resend),
}

/// List the newest enrolments.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  countersign request list --limit 20\n  countersign request list --dead"
)]
struct List {
    #[command(flatten)]
    config: ConfigArgument,
    /// At most so many, up to 1000.
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// List what device managements could not be told and was given up, in their place.
    #[arg(long)]
    dead: bool,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Show all that is known of an enrolment.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  countersign request show 3fa85f64")]
struct Show {
    /// Its identity, or at least the first 8 digits of it.
    #[arg(value_name = "ID")]
    enrolment: String,
    #[command(flatten)]
    config: ConfigArgument,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Tell a device management again what was given up.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  countersign request resend notice-17")]
struct Resend {
    /// As `countersign request list --dead` shows it.
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    config: ConfigArgument,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::List(arguments) => list(&arguments),
        Command::Show(arguments) => show(&arguments),
        Command::Resend(arguments) => resend(arguments),
    }
}

fn list(arguments: &List) -> Result<(), Failure> {
    let loaded = admin::load(&arguments.config.config)?;
    if arguments.dead {
        return list_dead(&loaded, arguments.format);
    }
    let question = AdminRequest::Requests { limit: arguments.limit };
    let facts = admin::facts(&loaded, Process::Serve, &question)?;
    if arguments.format == Format::Json {
        output::json(&facts);
        return Ok(());
    }
    let records = facts.as_array().map(Vec::as_slice).unwrap_or_default();
    if records.is_empty() {
        output::line("no enrolments; refused requests are in the ledger");
        return Ok(());
    }
    let mut table = Table::new(&["created", "enrolment", "attempt", "profile", "state", "names"]);
    for record in records {
        table.row(vec![
            output::moment(record, "created"),
            output::fact(record, "enrolment").chars().take(12).collect(),
            output::fact(record, "attempt"),
            output::fact(record, "profile"),
            output::fact(record, "state"),
            output::fact(record, "names"),
        ]);
    }
    output::line(&table.to_string());
    Ok(())
}

fn list_dead(loaded: &Loaded, format: Format) -> Result<(), Failure> {
    let facts = admin::facts(loaded, Process::Verify, &AdminRequest::DeadLetters)?;
    if format == Format::Json {
        output::json(&facts);
        return Ok(());
    }
    let letters = facts.as_array().map(Vec::as_slice).unwrap_or_default();
    if letters.is_empty() {
        output::line("no dead letters");
        return Ok(());
    }
    let mut table = Table::new(&["id", "plugin", "about", "outcome", "tries", "failure"]);
    for letter in letters {
        let about = if letter["enrolment"].is_string() { "enrolment" } else { "action" };
        table.row(vec![
            output::fact(letter, "id"),
            output::fact(letter, "plugin"),
            output::fact(letter, about).chars().take(36).collect(),
            output::fact(letter, "outcome"),
            output::fact(letter, "tries"),
            output::fact(letter, "failure"),
        ]);
    }
    output::line(&table.to_string());
    output::line("`countersign request resend ID` tells one again");
    Ok(())
}

fn resend(arguments: Resend) -> Result<(), Failure> {
    let loaded = admin::load(&arguments.config.config)?;
    let question = AdminRequest::Resend { id: arguments.id };
    let facts = admin::facts(&loaded, Process::Verify, &question)?;
    match arguments.format {
        Format::Json => output::json(&facts),
        Format::Text => {
            output::line(&format!("{} is told again, from now on", output::fact(&facts, "id")));
        }
    }
    Ok(())
}

fn show(arguments: &Show) -> Result<(), Failure> {
    let loaded = admin::load(&arguments.config.config)?;
    let question = AdminRequest::Request { enrolment: arguments.enrolment.clone() };
    let facts = admin::facts(&loaded, Process::Serve, &question)?;
    if arguments.format == Format::Json {
        output::json(&facts);
        return Ok(());
    }
    for (index, record) in facts.as_array().into_iter().flatten().enumerate() {
        if index > 0 {
            output::line("");
        }
        show_one(record);
    }
    Ok(())
}

fn show_one(record: &Value) {
    for (member, value) in record.as_object().into_iter().flatten() {
        let text = match (member.as_str(), value) {
            (moment, Value::Number(_)) if MOMENTS.contains(&moment) => {
                output::moment(record, moment)
            }
            ("verifiers", Value::Array(verifiers)) => verifiers
                .iter()
                .map(|verifier| {
                    format!(
                        "{} {}",
                        output::fact(verifier, "plugin"),
                        output::fact(verifier, "digest")
                    )
                })
                .collect::<Vec<_>>()
                .join(", "),
            (_, value) => output::shown(value),
        };
        output::line(&format!("{member:<20} {text}"));
    }
}

//! `countersign ledger show|verify`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use countersign_ipc::{AdminRequest, EnrolmentId};
use countersign_ledger::{Digest, Filter, Report, VerifyingKey, Witness, verify_database};
use countersign_store::{Owner, open_offline};
use serde_json::{Value, json};

use crate::admin::{self, Process};
use crate::commands::ConfigArgument;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};
use crate::processes::beside;
use crate::time;

/// The tamper-evident ledger: approvals signed, outcomes, denials, orders, acts, starts.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Show(Show),
    Verify(Verify),
    AcceptGap(AcceptGap),
}

/// Show entries, oldest first: from sign, or offline from its database.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  countersign ledger show --limit 20\n  countersign ledger show --database backup/sign.db --format json"
)]
struct Show {
    #[command(flatten)]
    config: ConfigArgument,
    /// Read this database (sign.db) and ask nobody.
    #[arg(long, value_name = "FILE")]
    database: Option<PathBuf>,
    /// First entry; without it the last ones are shown.
    #[arg(long, value_name = "INDEX")]
    from: Option<u64>,
    /// At most so many, up to 1000.
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Only those that name this enrolment (64 hexadecimal digits, from `request list --format json`).
    #[arg(long, value_name = "ID")]
    enrolment: Option<Digest>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Prove offline that a ledger was not rewritten, cut off or forked.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  countersign ledger verify --database sign.db --checkpoint ledger.checkpoints --key checkpoint.pub\n\n`countersign keys status --checkpoint-key-out checkpoint.pub` writes the key. Without --checkpoint a\nledger that was rewritten from some entry to its end, or cut off, looks sound.\n\nExit code 1 if anything does not fit."
)]
struct Verify {
    /// The database (sign.db), best a copy.
    #[arg(long, value_name = "FILE")]
    database: PathBuf,
    /// A file of checkpoints, best a copy from elsewhere; repeat it for more.
    #[arg(long = "checkpoint", value_name = "FILE", requires = "keys")]
    checkpoints: Vec<PathBuf>,
    /// The public key (PEM) that checkpoints are signed with; repeat it for older ones.
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<PathBuf>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Take note that entries or checkpoints are lost, or that the clock was ahead, so that sign starts.
///
/// Run it as sign's user while sign is stopped. The first run only shows what is lost and a word; the
/// second, with the word, writes it into the ledger, where everybody who verifies it sees it for
/// ever. Damaged entries are never accepted.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  countersign ledger accept-gap --who 'A. Admin' --reason 'disk lost, backup of 3 May restored'\n\nExit code 1 if there is something to confirm."
)]
struct AcceptGap {
    #[command(flatten)]
    config: ConfigArgument,
    /// Who takes note.
    #[arg(long, value_name = "NAME")]
    who: String,
    /// What happened.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// The word that the first run showed.
    #[arg(long, value_name = "WORD")]
    confirm: Option<String>,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Show(arguments) => show(&arguments),
        Command::Verify(arguments) => verify(&arguments),
        Command::AcceptGap(arguments) => accept_gap(&arguments),
    }
}

fn show(arguments: &Show) -> Result<(), Failure> {
    let facts = match &arguments.database {
        Some(database) => from_database(arguments, database)?,
        None => from_sign(arguments)?,
    };
    if arguments.format == Format::Json {
        output::json(&facts);
        return Ok(());
    }
    for entry in facts.get("entries").and_then(Value::as_array).into_iter().flatten() {
        show_entry(entry);
    }
    output::error_line(&format!("the ledger has {} entries", output::fact(&facts, "size")));
    Ok(())
}

fn from_sign(arguments: &Show) -> Result<Value, Failure> {
    let loaded = admin::load(&arguments.config.config)?;
    let enrolment = arguments.enrolment.map(|digest| EnrolmentId(digest.0));
    let ask = |from, limit| {
        admin::facts(&loaded, Process::Sign, &AdminRequest::Ledger { from, limit, enrolment })
    };
    let from = match arguments.from {
        Some(from) => from,
        None if enrolment.is_some() => 0,
        None => {
            let size = ask(0, 1)?.get("size").and_then(Value::as_u64).unwrap_or_default();
            size.saturating_sub(arguments.limit.into())
        }
    };
    ask(from, arguments.limit)
}

fn from_database(arguments: &Show, database: &std::path::Path) -> Result<Value, Failure> {
    let failed = |error: &dyn std::error::Error| Failure::new(error.to_string());
    let connection = open_offline(database, Owner::Sign).map_err(|error| failed(&error))?;
    let size = countersign_ledger::size(&connection).map_err(|error| failed(&error))?;
    let from = match arguments.from {
        Some(from) => from,
        None if arguments.enrolment.is_some() => 0,
        None => size.saturating_sub(arguments.limit.into()),
    };
    let filter = Filter {
        from,
        limit: arguments.limit,
        enrolment: arguments.enrolment,
        ..Filter::default()
    };
    let entries =
        countersign_ledger::entries(&connection, &filter).map_err(|error| failed(&error))?;
    Ok(json!({ "size": size, "entries": entries }))
}

fn show_entry(entry: &Value) {
    let lab = entry.get("lab").and_then(Value::as_bool).unwrap_or(false);
    output::line(&format!(
        "{:>6}  {}  {}{}",
        output::fact(entry, "index"),
        output::moment(entry, "time"),
        output::bold(&output::fact(entry, "kind")),
        if lab { "  lab" } else { "" },
    ));
    for (member, value) in entry.get("body").and_then(Value::as_object).into_iter().flatten() {
        let empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        if !empty {
            output::line(&format!("        {}: {}", output::escaped(member), output::shown(value)));
        }
    }
}

/// By sign's own binary: the checkpoint key is for no other program to read.
fn accept_gap(arguments: &AcceptGap) -> Result<(), Failure> {
    let binary = beside("countersign-sign")?;
    let status = std::process::Command::new(&binary)
        .arg("--config")
        .arg(&arguments.config.config)
        .args(["accept-gap", &arguments.who, &arguments.reason])
        .args(&arguments.confirm)
        .status()
        .map_err(|error| Failure::new(format!("{}: {error}", binary.display())))?;
    match status.success() {
        true => Ok(()),
        false => Err(Failure::silent(Exit::Failed)),
    }
}

fn verify(arguments: &Verify) -> Result<(), Failure> {
    let keys = arguments
        .keys
        .iter()
        .map(|path| VerifyingKey::from_file(path))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Failure::new(error.to_string()))?;
    let witness = (!arguments.checkpoints.is_empty())
        .then(|| Witness { files: arguments.checkpoints.clone(), keys });
    let found = verify_database(&arguments.database, witness.as_ref());
    if arguments.format == Format::Json {
        output::json(&match &found {
            Ok(report) => json!({ "sound": true, "report": report, "faults": [] }),
            Err(faults) => json!({
                "sound": false,
                "report": faults.report,
                "faults": faults.faults,
                "fault-count": faults.count,
            }),
        });
        return found.map(|_| ()).map_err(|_| Failure::silent(Exit::Failed));
    }
    match found {
        Ok(report) => {
            output::line(&output::green("SOUND"));
            show_report(&report, witness.is_some());
            Ok(())
        }
        Err(faults) => {
            output::line(&output::red("NOT SOUND"));
            for fault in &faults.faults {
                output::line(&format!("  {}", output::escaped(&fault.to_string())));
            }
            let listed = faults.faults.len() as u64;
            if faults.count > listed {
                output::line(&format!("  and {} more", faults.count - listed));
            }
            show_report(&faults.report, witness.is_some());
            Err(Failure::silent(Exit::Failed))
        }
    }
}

fn show_report(report: &Report, with_checkpoints: bool) {
    output::line(&format!("{} entries, {} of them lab", report.entries, report.lab));
    if let Some((first, last)) = report.times {
        output::line(&format!("from {} to {}", time::rfc3339(first), time::rfc3339(last)));
    }
    for (kind, count) in &report.kinds {
        output::line(&format!("  {:<16} {count}", output::escaped(kind)));
    }
    if report.unsettled > 0 {
        output::line(&format!("{} signatures without an outcome", report.unsettled));
    }
    if with_checkpoints {
        output::line(&format!(
            "{} of {} entries are covered by {} checkpoints{}",
            report.covered,
            report.entries,
            report.checkpoints,
            match report.entries.saturating_sub(report.covered) {
                0 => String::new(),
                after => format!(
                    "; the {after} after them can have been rewritten or cut off without a trace"
                ),
            }
        ));
    } else {
        output::line(&output::yellow(
            "no checkpoint was given: a ledger that was rewritten from some entry to its end, or cut \
             off, looks sound; give --checkpoint and --key",
        ));
    }
    for (index, gap) in &report.gaps {
        output::line(&format!(
            "gap recorded in entry {index} by {}: {}",
            output::escaped(&gap.who),
            output::escaped(&gap.reason)
        ));
    }
    for file in &report.torn {
        output::line(&format!("{} ends within a checkpoint (power failure?)", file.display()));
    }
}

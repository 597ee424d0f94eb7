//! `countersign config check|schema`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use countersign_config::{Config, Finding, Severity};
use serde_json::json;

use crate::arguments::DEFAULT_CONFIG;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};

/// The config file: check it, or print its schema.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(Check),
    Schema(Schema),
}

/// Show every problem of a config file, by line and column, and what is allowed but worth mending.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  countersign config check lab/countersign.toml\n\nExit code 3 if the file has problems or a critical finding."
)]
struct Check {
    /// The config file.
    #[arg(value_name = "FILE", default_value = DEFAULT_CONFIG)]
    file: PathBuf,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Print the JSON Schema (2020-12) of the config file, for editors.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  countersign config schema > countersign.schema.json")]
struct Schema {}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Check(arguments) => check(&arguments),
        Command::Schema(Schema {}) => {
            output::json(&countersign_config::schema());
            Ok(())
        }
    }
}

fn check(arguments: &Check) -> Result<(), Failure> {
    let loaded = match Config::load(&arguments.file) {
        Ok(loaded) => loaded,
        Err(problems) => {
            if arguments.format == Format::Json {
                output::json(&json!({ "good": false, "problems": problems, "findings": [] }));
                return Err(Failure::silent(Exit::Config));
            }
            return Err(Failure::config(problems));
        }
    };
    let critical = is_critical(&loaded.findings);
    match arguments.format {
        Format::Json => output::json(&json!({
            "good": !critical,
            "mode": loaded.config.mode,
            "digest": hex::encode(loaded.digest),
            "problems": [],
            "findings": loaded.findings,
        })),
        Format::Text => {
            for finding in &loaded.findings {
                output::line(&format!("{finding}\n"));
            }
            output::line(&format!(
                "{} is {} (mode {}, {} findings)",
                arguments.file.display(),
                if critical { output::red("not ready") } else { output::green("good") },
                loaded.config.mode,
                loaded.findings.len(),
            ));
        }
    }
    if critical { Err(Failure::silent(Exit::Config)) } else { Ok(()) }
}

fn is_critical(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Critical)
}

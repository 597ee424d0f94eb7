//! `countersign plugin`: what runs, what a component is, and the kit to write one with.

mod bench;
mod check;
mod inspect;
mod new;
mod run;

use std::path::Path;

use clap::{Args, Subcommand};
use countersign_catalog::LockFile;
use countersign_config::Loaded;
use countersign_ipc::AdminRequest;
use countersign_kit::Workshop;
use countersign_sandbox::{ChildCompiler, Compiler};
use serde_json::{Value, json};

use crate::admin::{self, Process};
use crate::commands::ConfigArgument;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format, Table};

/// Verifier plug-ins.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Inspect(inspect::Inspect),
    New(new::New),
    Check(check::Check),
    Run(Box<run::Run>),
    Record(Box<run::Record>),
    Replay(run::Replay),
    Bench(bench::Bench),
}

/// List the plug-ins that verify runs; if it does not answer, those it ran last.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  countersign plugin list --config lab/countersign.toml")]
struct List {
    #[command(flatten)]
    config: ConfigArgument,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::List(arguments) => list(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::New(arguments) => new::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Record(arguments) => run::record(&arguments),
        Command::Replay(arguments) => run::replay(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
    }
}

fn list(arguments: &List) -> Result<(), Failure> {
    let loaded = admin::load(&arguments.config.config)?;
    let (plugins, live) = match admin::facts(&loaded, Process::Verify, &AdminRequest::Plugins) {
        Ok(plugins) => (plugins, true),
        Err(failure) if failure.exit() == Exit::NotReachable => {
            output::error_line(&format!("{failure}"));
            output::error_line("showing the lock file: what was installed last");
            (locked(&loaded)?, false)
        }
        Err(failure) => return Err(failure),
    };
    if arguments.format == Format::Json {
        output::json(&json!({ "live": live, "plugins": plugins }));
        return Ok(());
    }
    let mut table = Table::new(&["name", "version", "grants", "profiles", "state", "digest"]);
    for plugin in plugins.as_array().into_iter().flatten() {
        let state = match plugin.get("suspended").and_then(Value::as_bool) {
            Some(true) => "suspended",
            Some(false) => "runs",
            None => "not asked",
        };
        table.row(vec![
            output::fact(plugin, "name"),
            output::fact(plugin, "version"),
            granted(plugin),
            output::fact(plugin, "profiles"),
            state.to_owned(),
            output::fact(plugin, "digest"),
        ]);
    }
    output::line(&table.to_string());
    Ok(())
}

fn granted(plugin: &Value) -> String {
    let granted: Vec<String> = plugin
        .get("grants")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(power, granted)| match granted {
            Value::Bool(true) => Some(power.clone()),
            // Hosts and secrets: which.
            Value::Array(which) if !which.is_empty() => {
                let which: Vec<&str> = which.iter().filter_map(Value::as_str).collect();
                Some(format!("{power} ({})", which.join(" ")))
            }
            _ => None,
        })
        .collect();
    if granted.is_empty() { "-".to_owned() } else { granted.join(", ") }
}

/// The lock file beside the compiled plug-ins, with the grants that the config gives now.
fn locked(loaded: &Loaded) -> Result<Value, Failure> {
    let path = loaded.config.verify.state.join("artefacts").join("plugins.lock");
    let lock = LockFile::read(&path).map_err(|error| Failure::new(error.to_string()))?;
    let shown = lock.plugins.iter().map(|(name, plugin)| {
        let grants = loaded.config.plugin.get(name).map(|settings| {
            json!({
                "log": settings.grants.log,
                "kv": settings.grants.kv,
                "challenges": settings.grants.challenges,
                "hosts": settings.grants.hosts.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "secrets": settings.grants.secrets,
                "exactly-as-requested": settings.grants.exactly_as_requested,
            })
        });
        let profiles: Vec<&String> = loaded
            .config
            .profile
            .iter()
            .filter(|(_, profile)| profile.verifiers.initial.contains(name))
            .map(|(profile, _)| profile)
            .collect();
        json!({
            "name": name,
            "version": plugin.version,
            "contract": plugin.contract,
            "digest": plugin.digest,
            "grants": grants,
            "profiles": profiles,
        })
    });
    Ok(shown.collect())
}

/// Components are compiled in a child of this program.
fn compiler() -> Result<Compiler, Failure> {
    Ok(Compiler::Child(ChildCompiler::new(std::env::current_exe()?)))
}

/// A component on the bench; a usage error where there is none, so that scripts can tell "not checked"
/// from "not good".
async fn open(component: &Path) -> Result<Workshop, Failure> {
    Workshop::open(component, &compiler()?)
        .await
        .map_err(|error| Failure::of(Exit::Usage, error.to_string()))
}

fn failed(error: &dyn std::error::Error) -> Failure {
    Failure::new(error.to_string())
}

//! `countersign plugin list|inspect`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use countersign_catalog::{Inspection, LockFile};
use countersign_config::Loaded;
use countersign_ipc::AdminRequest;
use countersign_sandbox::{ChildCompiler, Compiler, PoolSize, Sandbox, Standing};
use serde_json::{Value, json};

use crate::admin::{self, Process};
use crate::commands::ConfigArgument;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format, Table, escaped};

/// Verifier plug-ins.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Inspect(Inspect),
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

/// Show what a component is and wants, before anything is granted to it. Runs nothing of it but
/// its `describe`, in the sandbox.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  countersign plugin inspect one-time-password.wasm\n\nExit code 1 if it would not run here."
)]
struct Inspect {
    /// The component, a .wasm file.
    #[arg(value_name = "COMPONENT")]
    component: PathBuf,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::List(arguments) => list(&arguments),
        Command::Inspect(arguments) => inspect(&arguments),
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

fn inspect(arguments: &Inspect) -> Result<(), Failure> {
    let failed = |error: &dyn std::error::Error| Failure::new(error.to_string());
    let sandbox = Sandbox::new(PoolSize::default()).map_err(|error| failed(&error))?;
    let program = std::env::current_exe()?;
    let compiler = Compiler::Child(ChildCompiler::new(program));
    let seen = admin::runtime()?
        .block_on(countersign_catalog::inspect(&sandbox, &compiler, &arguments.component))
        .map_err(|error| failed(&error))?;
    match arguments.format {
        Format::Json => {
            let mut facts = serde_json::to_value(&seen).map_err(|error| failed(&error))?;
            if let Value::Object(members) = &mut facts {
                members.insert("toml".to_owned(), Value::String(seen.to_toml()));
            }
            output::json(&facts);
        }
        Format::Text => show(&seen),
    }
    if seen.obstacles.is_empty() { Ok(()) } else { Err(Failure::silent(Exit::Failed)) }
}

fn show(seen: &Inspection) {
    output::line(&format!("{}  {} bytes", seen.path.display(), seen.size));
    output::line(&format!("  digest    {}", seen.digest));
    match &seen.contract_version {
        Some(version) => output::line(&format!(
            "  contract  {} (this host: {})",
            escaped(version),
            seen.host_contract_version
        )),
        None => output::line("  contract  none: not a verifier"),
    }
    if let Some(description) = &seen.description {
        output::line(&format!(
            "  is        {} {} by {}: {}",
            escaped(&description.name),
            escaped(&description.version),
            escaped(&description.vendor),
            escaped(&description.summary)
        ));
        if description.vouches_from_user_attributes {
            output::line(&output::yellow("  vouches for names that a user can change"));
        }
    }
    if let Some(sdk) = &seen.metadata.sdk {
        output::line(&format!("  made with {}", escaped(sdk)));
    }
    if let Some(description) = seen.description.as_ref().filter(|seen| !seen.wants.is_empty()) {
        output::line("wants");
        for want in &description.wants {
            output::line(&format!(
                "  {}: {}",
                escaped(&want.power.to_string()),
                escaped(&want.why)
            ));
        }
    }
    output::line("exports");
    for export in &seen.exports {
        output::line(&format!("  {}: {}", escaped(&export.name), export.why));
    }
    output::line("imports");
    for import in &seen.imports {
        let standing = match import.standing {
            Standing::Free => "free".to_owned(),
            Standing::Grant => output::bold("needs a grant"),
            Standing::NotOffered => output::red("not offered by this host"),
            Standing::Forbidden => output::red("forbidden"),
        };
        output::line(&format!(
            "  {} ({standing}): {}",
            escaped(&import.name),
            escaped(&import.why)
        ));
    }
    if seen.obstacles.is_empty() {
        output::line("\nto enable it:\n");
        output::line(seen.to_toml().trim_end());
    } else {
        output::line(&output::red("would not run here"));
        for obstacle in &seen.obstacles {
            output::line(&format!("  {}", escaped(obstacle)));
        }
    }
}

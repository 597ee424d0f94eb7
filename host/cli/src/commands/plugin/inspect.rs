//! `countersign plugin inspect`.

use std::path::PathBuf;

use clap::Args;
use countersign_catalog::Inspection;
use countersign_sandbox::{Import, PoolSize, Sandbox, Standing, model::Power};
use serde_json::Value;

use super::failed;
use crate::admin;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format, escaped};

/// Show what a component is and wants, before anything is granted to it. Runs nothing of it but
/// its `describe`, in the sandbox.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  countersign plugin inspect one-time-password.wasm\n\nExit code 1 if it would not run here."
)]
pub(super) struct Inspect {
    /// The component, a .wasm file.
    #[arg(value_name = "COMPONENT")]
    component: PathBuf,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(arguments: &Inspect) -> Result<(), Failure> {
    let sandbox = Sandbox::new(PoolSize::default()).map_err(|error| failed(&error))?;
    let compiler = super::compiler()?;
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
            output::line(&output::yellow(
                "  names     some that a user can change, as it says itself",
            ));
        } else {
            output::line("  names     none that a user can change, as it says itself");
        }
        if description.notified_before_answer {
            output::line(
                "  answers   only after it was told of the certificate (notified before answer)",
            );
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
        for why in reasons(seen, import) {
            output::line(&format!("    because: {}", escaped(&why)));
        }
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

/// Why an import is there, in the plug-in's own words.
fn reasons(seen: &Inspection, import: &Import) -> Vec<String> {
    let interface = import.name.split_once('/').and_then(|(_, rest)| rest.split('@').next());
    let (Some(interface), Some(description)) = (interface, &seen.description) else {
        return Vec::new();
    };
    if import.standing != Standing::Grant {
        return Vec::new();
    }
    let wanted = description.wants.iter().filter(|want| {
        matches!(
            (interface, &want.power),
            ("kv", Power::Kv)
                | ("challenges", Power::Challenges)
                | ("http", Power::Host(_))
                | ("secrets" | "http", Power::Secret(_))
        )
    });
    wanted.map(|want| format!("{} ({})", want.why, want.power)).collect()
}

//! `countersign plugin new`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use countersign_kit::{Chosen, Extra, NewError, Sdk, create};

use crate::failure::{Exit, Failure};
use crate::output::{self, escaped};

/// Write a project for a verifier: it builds and passes at once, with settings and their schema, golden
/// cases, tests, a README and a CI file.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  countersign plugin new inventory\n  countersign plugin new inventory --with challenges --with outcomes"
)]
pub(super) struct New {
    /// Of plug-in, crate and folder: lower-case letters, digits and hyphens.
    #[arg(value_name = "NAME")]
    name: String,
    /// What it does beside answering the question; may be given more than once.
    #[arg(long, value_enum, value_name = "WHAT")]
    with: Vec<With>,
    /// The folder of the SDK, `sdk/rust`. By default the one beside the source that this program was
    /// built from; where that is not there, its version.
    #[arg(long, value_name = "FOLDER")]
    sdk: Option<PathBuf>,
    /// Where to write it; by default a folder of that name, here.
    #[arg(long, value_name = "FOLDER")]
    directory: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum With {
    /// Issues challenges that the host keeps.
    Challenges,
    /// Tells the device management how enrolments ended.
    Outcomes,
    /// Listens to the device management: retired devices lose their certificates.
    Events,
}

pub(super) fn run(arguments: &New) -> Result<(), Failure> {
    let chosen = Chosen {
        name: arguments.name.clone(),
        folder: arguments.directory.clone().unwrap_or_else(|| PathBuf::from(&arguments.name)),
        extras: arguments
            .with
            .iter()
            .map(|with| match with {
                With::Challenges => Extra::Challenges,
                With::Outcomes => Extra::Outcomes,
                With::Events => Extra::Events,
            })
            .collect(),
        sdk: Sdk::find(arguments.sdk.as_deref()).map_err(refused)?,
    };
    let project = create(&chosen).map_err(refused)?;
    output::line(&format!("{}: {} files", project.folder.display(), project.files.len()));
    if chosen.sdk == Sdk::Version {
        output::error_line("the SDK is not beside this program: see its line in Cargo.toml");
    }
    output::line(&format!(
        "\nnext:\n  cd {}\n  cargo test\n  cargo build --release --target wasm32-wasip2\n  \
         countersign plugin check {} --cases cases",
        escaped(&project.folder.display().to_string()),
        project.component.display()
    ));
    Ok(())
}

fn refused(error: NewError) -> Failure {
    let exit = match error {
        NewError::Name { .. } | NewError::Exists { .. } | NewError::NoSdk { .. } => Exit::Usage,
        NewError::Template { .. } | NewError::Io { .. } => Exit::Failed,
    };
    Failure::of(exit, error.to_string())
}

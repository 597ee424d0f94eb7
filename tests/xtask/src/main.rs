//! What cargo alone cannot do: build plug-ins and binaries together, run the demo, run every test
//! with what it needs installed. Called through the aliases in `.cargo/config.toml`.

mod bench;
mod build;
mod check;
mod command;
mod fuzz;
mod packages;
mod stages;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::command::Failed;

/// Tasks of the workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Build the plug-ins (adding the wasm target if it is missing) and all binaries.
    Build,
    /// The main job: build, then enrol a device in a throw-away installation.
    Demo {
        /// Passed on to `countersign demo`; see `cargo demo -- --help`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Every check and every test, with what they need installed from Debian's packages.
    Test,
    /// Run the fuzz targets under libFuzzer and the address sanitizer.
    Fuzz {
        /// Seconds for each target.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
        /// Which of them; all if none is named.
        targets: Vec<String>,
    },
    /// Ask of statistics whether failures to open an envelope can be told apart by their time;
    /// 100,000 samples of each take about ten minutes, best on a quiet machine.
    Timing {
        /// Passed on; `cargo xtask timing -- --help` says what there is.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Measure whole enrolments beside micromdm's scepserver and step-ca, in one run and one table.
    Bench {
        /// Passed on to the bench.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Build => build::all(),
        Task::Demo { arguments } => build::all().and_then(|()| build::demo(&arguments)),
        Task::Test => check::all(),
        Task::Fuzz { seconds, targets } => fuzz::for_seconds(seconds, &targets),
        Task::Timing { arguments } => build::all().and_then(|()| build::timing(&arguments)),
        Task::Bench { arguments } => packages::install()
            .and_then(|()| build::as_delivered())
            .and_then(|()| bench::run_in_its_own_network(&arguments)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed(message)) => {
            command::say(&format!("xtask: {message}"));
            ExitCode::FAILURE
        }
    }
}

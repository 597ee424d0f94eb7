//! `countersign plugin bench`.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use super::failed;
use crate::admin;
use crate::failure::Failure;
use crate::output::{self, Format, escaped};

/// Measure what a component costs: compile, load, first call, memory and fuel, as medians over fresh
/// instances. Times are of metered code, two to three times slower than in earnest.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  countersign plugin bench inventory.wasm cases/approved.json")]
pub(super) struct Bench {
    /// The component, a .wasm file.
    #[arg(value_name = "COMPONENT")]
    component: PathBuf,
    /// The golden case that is asked.
    #[arg(value_name = "CASE")]
    case: PathBuf,
    /// How often.
    #[arg(long, value_name = "N", default_value_t = 200)]
    times: usize,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(arguments: &Bench) -> Result<(), Failure> {
    let file = countersign_cases::read(&arguments.case)
        .map_err(|error| Failure::new(format!("{}: {error}", arguments.case.display())))?;
    let found = admin::runtime()?.block_on(async {
        let began = Instant::now();
        let workshop = super::open(&arguments.component).await?;
        let compile = began.elapsed();
        countersign_kit::bench(&workshop, file.name(), &file.case, arguments.times, compile)
            .await
            .map_err(|error| failed(&error))
    })?;
    match arguments.format {
        Format::Json => {
            output::json(&serde_json::to_value(&found).map_err(|error| failed(&error))?);
        }
        Format::Text => {
            let (load, verify) = (found.load, found.verify);
            output::line(&format!("{}, {} times", escaped(&found.case), found.times));
            output::line(&format!("  compile  {} ms, once", found.compile_milliseconds));
            output::line(&format!(
                "  load     {} µs, p99 {} µs",
                load.median_microseconds, load.p99_microseconds
            ));
            output::line(&format!(
                "  verify   {} µs, p99 {} µs",
                verify.median_microseconds, verify.p99_microseconds
            ));
            output::line(&format!("  memory   {} KiB", found.memory_bytes / 1024));
            output::line(&format!("  fuel     {}", found.fuel));
            output::line(&format!("  calls    {} of the host", found.host_calls));
        }
    }
    Ok(())
}

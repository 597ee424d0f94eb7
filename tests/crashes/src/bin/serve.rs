//! `countersign-serve` with fail-points.

use std::process::ExitCode;

#[expect(clippy::print_stderr, reason = "a start that fails tells the person who started it")]
fn main() -> ExitCode {
    let config = match countersign_crashes::prepare("serve") {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    match countersign_serve::run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(error.exit_code())
        }
    }
}

//! `countersign-sign` with fail-points.

use std::process::ExitCode;

#[expect(clippy::print_stderr, reason = "a start that fails tells the person who started it")]
fn main() -> ExitCode {
    let config = match countersign_crashes::prepare("sign") {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    countersign_sign::run(&config)
}

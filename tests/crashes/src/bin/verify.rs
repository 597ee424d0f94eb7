//! `countersign-verify` with fail-points.

use std::process::ExitCode;

#[expect(clippy::print_stderr, reason = "a start that fails tells the person who started it")]
fn main() -> ExitCode {
    // Plug-ins are compiled in a child of this binary, under limits.
    if let Some(code) = countersign_sandbox::run_if_child(std::env::args_os().skip(1)) {
        return code;
    }
    let config = match countersign_crashes::prepare("verify") {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    match countersign_verify::run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(error.exit_code())
        }
    }
}

//! `countersign-verify --config FILE`.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Plug-ins are compiled in a child of this binary, under limits.
    if let Some(code) = countersign_sandbox::run_if_child(std::env::args_os().skip(1)) {
        return code;
    }
    let mut arguments = std::env::args_os().skip(1);
    let config = match (arguments.next(), arguments.next(), arguments.next()) {
        (Some(flag), Some(path), None) if flag == "--config" => PathBuf::from(path),
        _ => {
            complain("usage: countersign-verify --config FILE");
            return ExitCode::from(2);
        }
    };
    match countersign_verify::run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(error.exit_code())
        }
    }
}

/// The one place that speaks to a person: before there is a log.
#[expect(clippy::print_stderr, reason = "a start that fails tells the person who started it")]
fn complain(message: &str) {
    eprintln!("countersign-verify: {message}");
}

//! `countersign-serve --config FILE`.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let config = match (arguments.next(), arguments.next(), arguments.next()) {
        (Some(flag), Some(path), None) if flag == "--config" => PathBuf::from(path),
        _ => {
            complain("usage: countersign-serve --config FILE");
            return ExitCode::from(2);
        }
    };
    match countersign_serve::run(&config) {
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
    eprintln!("countersign-serve: {message}");
}

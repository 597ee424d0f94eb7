//! `countersign-verify --config FILE [accept-clock]`.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Plug-ins are compiled in a child of this binary, under limits.
    if let Some(code) = countersign_sandbox::run_if_child(std::env::args_os().skip(1)) {
        return code;
    }
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let done = match arguments.as_slice() {
        [flag, config] if flag == "--config" => countersign_verify::run(Path::new(config)),
        [flag, config, command] if flag == "--config" && command == "accept-clock" => {
            countersign_verify::accept_clock(Path::new(config)).map(|said| complain(&said))
        }
        _ => {
            complain("usage: countersign-verify --config FILE [accept-clock]");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(error.exit_code())
        }
    }
}

/// The one place that speaks to a person: before there is a log.
#[expect(clippy::print_stderr, reason = "whoever starts it by hand is told what came of it")]
fn complain(message: &str) {
    eprintln!("countersign-verify: {message}");
}

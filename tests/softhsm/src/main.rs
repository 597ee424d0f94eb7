//! Makes one token in SoftHSM2: label, officer's PIN and user's PIN come as three lines on standard
//! input, so that no PIN is ever on a command line.

use std::io::{self, BufRead as _};
use std::process::ExitCode;

fn main() -> ExitCode {
    let lines: Result<Vec<String>, _> = io::stdin().lock().lines().collect();
    match lines.as_deref() {
        Ok([label, so_pin, pin]) => {
            countersign_softhsm::init_token(label, so_pin, pin);
            ExitCode::SUCCESS
        }
        _ => ExitCode::FAILURE,
    }
}

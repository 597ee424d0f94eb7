//! `countersign-sign --config PATH`.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use countersign_config::Config;
use countersign_sign::{Acceptance, Clock, Gap, accept_gap};

const USAGE: &str = "\
Holds the Enrollment-Agent key and countersigns what `verify` approved.

Usage: countersign-sign --config PATH
       countersign-sign --config PATH accept-gap WHO REASON [WORD]

The second form is what `countersign ledger accept-gap` calls.

Example: countersign-sign --config /etc/countersign/countersign.toml

Stops in order on SIGTERM and SIGINT. Logs JSON lines to standard error; RUST_LOG sets what.";

#[allow(clippy::print_stdout, clippy::print_stderr, reason = "the program's usage")]
fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [flag, path] if flag == "--config" => countersign_sign::run(Path::new(path)),
        [flag, path, command, said @ ..]
            if flag == "--config" && command == "accept-gap" && (2..=3).contains(&said.len()) =>
        {
            gap(Path::new(path), said)
        }
        [flag] if flag == "--version" => {
            println!("countersign-sign {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        [flag] if flag == "--help" || flag == "-h" => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Looks for a gap; with the word, records it.
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "the program's answer to a person")]
fn gap(config: &Path, said: &[OsString]) -> ExitCode {
    let loaded = match Config::load(config) {
        Ok(loaded) => loaded,
        Err(problems) => {
            for problem in problems {
                eprintln!("{problem}");
            }
            return ExitCode::from(3);
        }
    };
    let mut said = said.iter().map(|word| word.to_string_lossy().into_owned());
    let said = Acceptance {
        who: said.next().unwrap_or_default(),
        reason: said.next().unwrap_or_default(),
        confirm: said.next(),
    };
    match accept_gap(&loaded, &Clock::system(), &said) {
        Ok(Gap::None) => {
            println!("nothing is lost: the ledger is what its last checkpoint says");
            ExitCode::SUCCESS
        }
        Ok(Gap::Found { problem, word }) => {
            println!(
                "{problem}\n\nNothing was changed. First keep copies of sign.db and of the \
                 checkpoint file, and look for the newest backup.\nTo go on from what the database \
                 has, and to have that in the ledger for ever, repeat the command with \
                 `--confirm {word}`."
            );
            ExitCode::FAILURE
        }
        Ok(Gap::Accepted { problem }) => {
            println!("recorded as a gap by {}: {problem}\nsign can be started now", said.who);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

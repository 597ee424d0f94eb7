//! `countersign-sign --config PATH`.

use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "\
Holds the Enrollment-Agent key and countersigns what `verify` approved.

Usage: countersign-sign --config PATH

Example: countersign-sign --config /etc/countersign/countersign.toml

Stops in order on SIGTERM and SIGINT. Logs JSON lines to standard error; RUST_LOG sets what.";

#[allow(clippy::print_stdout, clippy::print_stderr, reason = "the program's usage")]
fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [flag, path] if flag == "--config" => countersign_sign::run(Path::new(path)),
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

//! OpenSSL's command line: a second opinion on everything we make.

use std::process::{Command, Output, Stdio};

/// `openssl` with these arguments and no standard input.
#[must_use]
pub fn openssl(arguments: &[&str]) -> Command {
    let mut command = Command::new("openssl");
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs a command to its end.
///
/// # Panics
/// The program is not installed.
pub fn output(command: &mut Command) -> Output {
    let program = command.get_program().to_owned();
    command.output().unwrap_or_else(|error| panic!("{}: {error}", program.display()))
}

/// Runs a command that must succeed and returns what it printed.
///
/// # Panics
/// It fails; with everything that it said.
pub fn run(command: &mut Command) -> String {
    let output = output(command);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{printed}{complaint}", output.status);
    printed
}

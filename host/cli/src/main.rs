//! The binary `countersign`, for people: parses a command line, calls the crate that knows, renders
//! what it said.
//!
//! It holds no secret of its own, decides nothing about a request, and never links the lab CA:
//! `demo` starts it as a process like the others.

mod admin;
mod arguments;
mod commands;
mod demo;
mod failure;
mod file;
mod output;
mod processes;
mod scep_client;
mod terminal;
mod time;
mod up;

use std::process::ExitCode;

use clap::Parser as _;

use crate::arguments::{Arguments, Command};
use crate::failure::Failure;

fn main() -> ExitCode {
    // The sandbox compiles components in a child of whatever program it runs in.
    if let Some(code) = countersign_sandbox::run_if_child(std::env::args_os()) {
        return code;
    }
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Demo(arguments) => demo::run(arguments),
        Command::Up(arguments) => up::run(&arguments),
        Command::Enrol(arguments) => commands::enrol::run(&arguments),
        Command::Request(arguments) => commands::request::run(arguments),
        Command::Status(arguments) => commands::status::run(&arguments),
        Command::Plugin(arguments) => commands::plugin::run(arguments),
        Command::Keys(arguments) => commands::keys::run(arguments),
        Command::Challenge(arguments) => commands::challenge::run(arguments),
        Command::Device(arguments) => commands::device::run(arguments),
        Command::Mdm(arguments) => commands::mdm::run(arguments),
        Command::Orders(arguments) => commands::orders::run(arguments),
        Command::Revoke(arguments) => commands::revoke::run(arguments),
        Command::Fuse(arguments) => commands::fuse::run(arguments),
        Command::Revoker(arguments) => commands::revoker::run(arguments),
        Command::Ledger(arguments) => commands::ledger::run(arguments),
        Command::Config(arguments) => commands::config::run(arguments),
        Command::Scep(arguments) => commands::scep::run(arguments),
    }
}

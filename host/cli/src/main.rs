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
mod output;
mod processes;
mod scep_client;
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
    }
}

//! The command line as a whole: which commands there are.

use clap::{Parser, Subcommand};

use crate::{commands, demo, up};

/// Countersign: a SCEP registration authority whose plug-ins verify and whose own process signs.
#[derive(Debug, Parser)]
#[command(name = "countersign", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(demo::Arguments),
    Up(up::Arguments),
    Enrol(Box<commands::enrol::Arguments>),
    Request(commands::request::Arguments),
    Status(commands::status::Arguments),
    Plugin(commands::plugin::Arguments),
    Keys(commands::keys::Arguments),
    Challenge(commands::challenge::Arguments),
    Device(commands::device::Arguments),
    Mdm(commands::mdm::Arguments),
    Orders(commands::orders::Arguments),
    Revoke(commands::revoke::Arguments),
    Fuse(commands::fuse::Arguments),
    Revoker(commands::revoker::Arguments),
    Ledger(commands::ledger::Arguments),
    Config(commands::config::Arguments),
    Scep(commands::scep::Arguments),
}

/// Where the config is if nobody says otherwise.
pub(crate) const DEFAULT_CONFIG: &str = "/etc/countersign/countersign.toml";

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed: the message says what was expected, what was found, what to do
  2  the command line is wrong
  3  the config file, or what it names, has problems
  4  refused: by a SCEP server, by a CA, or by one of the three processes
  5  not reachable: no answer on a socket or from a server";

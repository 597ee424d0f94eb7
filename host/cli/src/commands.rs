//! One file per command: its arguments, what it calls, how it is shown.

pub(crate) mod challenge;
pub(crate) mod config;
pub(crate) mod device;
pub(crate) mod enrol;
pub(crate) mod fuse;
pub(crate) mod keys;
pub(crate) mod ledger;
pub(crate) mod mdm;
pub(crate) mod orders;
pub(crate) mod plugin;
pub(crate) mod request;
pub(crate) mod revoke;
pub(crate) mod revoker;
pub(crate) mod scep;
pub(crate) mod status;

use std::path::PathBuf;

use clap::Args;

use crate::arguments::DEFAULT_CONFIG;

/// The config file of the installation that a command is about.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgument {
    /// The config file.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub(crate) config: PathBuf,
}

/// Who asks, where two people are needed and the lab has one user for all.
#[derive(Debug, Args)]
pub(crate) struct PersonArgument {
    /// In the lab only, where all are one user: the name you go by. Elsewhere your user says it.
    #[arg(long, value_name = "NAME")]
    pub(crate) person: Option<String>,
}

//! `countersign keys init|status`: keys of the roles and secrets of the processes.

mod init;
mod places;
mod status;
mod tokens;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use countersign_keys::{KeySpec, RoleKind};

use crate::commands::ConfigArgument;
use crate::failure::Failure;
use crate::output::Format;

/// Keys of the roles EA, CEP and REP, and the processes' secrets.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(Init),
    Status(Status),
}

/// Make every key and secret that the config names and that is missing, and a CSR for each role
/// without a certificate. Keys on tokens are made on the token and never leave it. Nothing that
/// is there is overwritten.
///
/// Outside the lab, secrets in files are left to the users of their processes.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  countersign keys init --config lab/countersign.toml --out csr --organisation Example\n  sudo -u countersign-sign countersign keys init --role ea --ask-pin --out csr\n\nKeys cannot be imported: a key that was outside a token may have a copy. Keys of NDES stay\nwhere they are; new ones are made and enrolled here."
)]
struct Init {
    #[command(flatten)]
    config: ConfigArgument,
    /// Write CSRs into this folder (ea.csr, cep.csr, rep.csr); without it they are printed.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Only these roles: where each process's user makes its own keys.
    #[arg(long, value_enum, value_name = "ROLE")]
    role: Vec<Role>,
    /// Ask for the tokens' PINs at the terminal, whatever the config says of them.
    #[arg(long)]
    ask_pin: bool,
    /// CSRs for roles that have a certificate, too: to renew it.
    #[arg(long)]
    renew: bool,
    /// Kind of a new EA key. CEP and REP are RSA-2048: SCEP clients need RSA there.
    #[arg(long, value_enum, default_value = "rsa-2048")]
    ea_key: EaKey,
    /// O= of the CSRs' subjects.
    #[arg(long, value_name = "TEXT", value_parser = plain)]
    organisation: Option<String>,
}

/// Show where each key stands and when its certificate ends, what is wrong with it, and which
/// secrets are there.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  countersign keys status --config lab/countersign.toml\n\nExit code 3 if something is missing or a finding is critical. Run it as root: each secret is\nreadable by its own process only."
)]
struct Status {
    #[command(flatten)]
    config: ConfigArgument,
    /// Only these roles: where each process's user looks at its own keys.
    #[arg(long, value_enum, value_name = "ROLE")]
    role: Vec<Role>,
    /// Ask for the tokens' PINs at the terminal, whatever the config says of them.
    #[arg(long)]
    ask_pin: bool,
    /// Write the public half of the checkpoint key into this file, for `ledger verify --key`.
    #[arg(long, value_name = "FILE")]
    checkpoint_key_out: Option<PathBuf>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EaKey {
    #[value(name = "rsa-2048")]
    Rsa2048,
    #[value(name = "rsa-3072")]
    Rsa3072,
    #[value(name = "rsa-4096")]
    Rsa4096,
    #[value(name = "p-256")]
    P256,
    #[value(name = "p-384")]
    P384,
}

impl From<EaKey> for KeySpec {
    fn from(kind: EaKey) -> Self {
        match kind {
            EaKey::Rsa2048 => Self::Rsa2048,
            EaKey::Rsa3072 => Self::Rsa3072,
            EaKey::Rsa4096 => Self::Rsa4096,
            EaKey::P256 => Self::EcP256,
            EaKey::P384 => Self::EcP384,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    Ea,
    Cep,
    Rep,
}

impl From<Role> for RoleKind {
    fn from(role: Role) -> Self {
        match role {
            Role::Ea => Self::Ea,
            Role::Cep => Self::Cep,
            Role::Rep => Self::Rep,
        }
    }
}

/// Whether a role is among those asked for; none means all.
fn is_asked_for(roles: &[Role], role: RoleKind) -> bool {
    roles.is_empty() || roles.iter().any(|asked| RoleKind::from(*asked) == role)
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Init(arguments) => init::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
    }
}

/// Text that means itself in a distinguished name (RFC 4514 §2.4).
fn plain(text: &str) -> Result<String, String> {
    let means_more = |character: char| ",+\"\\<>;=#".contains(character) || character.is_control();
    if text.trim().is_empty() || text.trim() != text || text.contains(means_more) {
        return Err("expected text without , + \" \\ < > ; = #".to_owned());
    }
    Ok(text.to_owned())
}

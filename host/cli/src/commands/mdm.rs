//! `countersign mdm`: what a credential of `[verify.mdm]` is made of. Nothing here asks a process or
//! writes the config.

use std::path::PathBuf;

use argon2::{Argon2, PasswordHasher as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use countersign_keys::secret_file;
use zeroize::Zeroizing;

use crate::failure::{Exit, Failure};
use crate::{output, terminal};

/// The shortest password that is hashed: what a device management sends is typed by nobody.
const SHORTEST: usize = 12;

/// The longest: what `verify` would still check.
const LONGEST: usize = 1024;

/// Credentials of device managements.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    HashPassword(HashPassword),
    NewToken(NewToken),
}

/// Hash a password (argon2id) for `password-hash` in the config. It is asked for on the terminal, or
/// read from standard input; never from the command line or the environment, which others on this host
/// can see.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  countersign mdm hash-password\n  countersign mdm hash-password --stdin < password.txt\n\n[verify.mdm.credential.jamf]\nprofiles = [\"wifi\"]\nquota-per-hour = 500\nauthentication.basic = { user = \"jamf\", password-hash = \"$argon2id$…\" }"
)]
struct HashPassword {
    /// Read the first line of standard input.
    #[arg(long)]
    stdin: bool,
}

/// Make a random bearer token and print the digest that the config wants.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  countersign mdm new-token --out jamf.token\n\n[verify.mdm.credential.jamf]\nprofiles = [\"wifi\"]\nquota-per-hour = 500\nauthentication.bearer = { token = \"sha256:…\" }"
)]
struct NewToken {
    /// Write the token into this new file (mode 0600).
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::HashPassword(arguments) => hash_password(&arguments),
        Command::NewToken(arguments) => new_token(&arguments),
    }
}

fn hash_password(arguments: &HashPassword) -> Result<(), Failure> {
    let password = if arguments.stdin {
        terminal::first_line_of_input()?
    } else {
        let first = terminal::prompt("password", "use --stdin")?;
        if first != terminal::prompt("once more", "use --stdin")? {
            return Err(Failure::of(Exit::Usage, "the two passwords differ; nothing was hashed"));
        }
        first
    };
    if !(SHORTEST..=LONGEST).contains(&password.len()) {
        return Err(Failure::of(
            Exit::Usage,
            format!(
                "the password has {} bytes; take {SHORTEST} to {LONGEST}, at random",
                password.len()
            ),
        ));
    }
    let salt: [u8; 16] = random()?;
    let hash = Argon2::default()
        .hash_password_with_salt(password.as_bytes(), &salt)
        .map_err(|error| Failure::new(format!("the password could not be hashed: {error}")))?;
    output::line(&hash.to_string());
    Ok(())
}

fn new_token(arguments: &NewToken) -> Result<(), Failure> {
    let octets = Zeroizing::new(random::<32>()?);
    let token = Zeroizing::new(URL_SAFE_NO_PAD.encode(octets.as_slice()));
    secret_file::create(&arguments.out, token.as_bytes())
        .map_err(|error| Failure::new(error.to_string()))?;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    output::line(&format!("sha256:{}", hex::encode(digest)));
    output::error_line("the token is in the file alone; give it to the device management");
    Ok(())
}

fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], Failure> {
    let mut octets = [0_u8; LENGTH];
    aws_lc_rs::rand::fill(&mut octets)
        .map_err(|_| Failure::new("the system gives no random bytes".to_owned()))?;
    Ok(octets)
}

//! Does one thing at a token of SoftHSM2. The order comes as lines on standard input, so that no PIN
//! is ever on a command line:
//!
//! - `init`, label, officer's PIN, user's PIN: makes a token;
//! - `import`, label, user's PIN, modulus as hex: puts a public RSA key onto a token.

use std::io::{self, BufRead as _};
use std::process::ExitCode;

fn main() -> ExitCode {
    let lines: Result<Vec<String>, _> = io::stdin().lock().lines().collect();
    match lines.as_deref() {
        Ok([order, label, so_pin, pin]) if order == "init" => {
            countersign_softhsm::init_token(label, so_pin, pin);
            ExitCode::SUCCESS
        }
        Ok([order, label, pin, modulus]) if order == "import" => match octets(modulus) {
            Some(modulus) => {
                countersign_softhsm::import_public_rsa(label, pin, &modulus);
                ExitCode::SUCCESS
            }
            None => ExitCode::FAILURE,
        },
        _ => ExitCode::FAILURE,
    }
}

fn octets(hex: &str) -> Option<Vec<u8>> {
    let octet = |at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    (0..hex.len()).step_by(2).map(octet).collect()
}

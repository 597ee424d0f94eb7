//! `countersign revoker script`: the PowerShell task of an AD CS authority.
//!
//! What is put into it is checked against an alphabet in which nothing can be quoted or ended, and
//! stands in single quotes, where PowerShell expands nothing.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use countersign_config::{Config, RevokerKind};

use super::order_key;
use crate::admin;
use crate::commands::ConfigArgument;
use crate::failure::Failure;
use crate::file::{self, Existing};
use crate::output;

/// The task, with marks where values belong.
const TASK: &str = include_str!("task.ps1");

/// What SubjectPublicKeyInfo of a P-256 key begins with, up to its two coordinates.
const P256_HEAD: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];

/// Print the PowerShell task that carries out an AD CS authority's revocation orders.
///
/// It runs on the CA every minute, as an account of its own that is a certificate manager restricted
/// to the device templates. host/README.md says how to set that up.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  countersign revoker script --authority ad --address ra.example.com:8446 --client-certificate 0123456789ABCDEF0123456789ABCDEF01234567 --out Invoke-CountersignRevoker.ps1"
)]
pub(super) struct Script {
    #[command(flatten)]
    config: ConfigArgument,
    /// The authority, by its name in the config; its revoker is of the kind `ad-cs`.
    #[arg(long, value_name = "NAME")]
    authority: String,
    /// Host and port at which the CA reaches [verify.revoker].
    #[arg(long, value_name = "HOST:PORT")]
    address: String,
    /// SHA-1 thumbprint of the task's client certificate, as Windows shows it.
    #[arg(long, value_name = "HEX")]
    client_certificate: String,
    /// Read the public order key from this file (PEM) and ask no process.
    #[arg(long, value_name = "FILE")]
    order_key: Option<PathBuf>,
    /// Write it into this new file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(script: &Script) -> Result<(), Failure> {
    let loaded = admin::load(&script.config.config)?;
    check_revoker(&loaded.config, &script.authority)?;
    let pem = match &script.order_key {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?,
        None => order_key(&loaded)?,
    };
    let task = write(&script.authority, &script.address, &script.client_certificate, &pem)
        .map_err(Failure::new)?;
    // Windows PowerShell reads a file without a mark in the machine's code page; this one is ASCII.
    match &script.out {
        Some(path) => file::write(path, task.as_bytes(), 0o644, Existing::Refuse),
        None => {
            output::line(task.trim_end());
            Ok(())
        }
    }
}

fn check_revoker(config: &Config, authority: &str) -> Result<(), Failure> {
    let revoker = config
        .revoker
        .values()
        .find(|revoker| revoker.authorities.iter().any(|named| named == authority));
    match revoker.map(|revoker| revoker.kind) {
        Some(RevokerKind::AdCs) => Ok(()),
        Some(RevokerKind::Lab) => Err(Failure::new(format!(
            "the revoker of the authority `{authority}` is of the kind `lab`: run \
             `countersign-lab-ca revoke-agent` beside the lab CA"
        ))),
        None => Err(Failure::new(format!(
            "no [revoker.NAME] with `authorities = [\"{authority}\"]` is in the config"
        ))),
    }
}

/// The task with its values.
fn write(authority: &str, address: &str, thumbprint: &str, pem: &str) -> Result<String, String> {
    let within = |text: &str, longest: usize, more: &[u8]| {
        !text.is_empty()
            && text.len() <= longest
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
    };
    if !within(authority, 64, b"-_") {
        return Err("expected the name of an authority as --authority".to_owned());
    }
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    if !within(address, 260, b".-:[]") || port.is_none() {
        return Err("expected --address as HOST:PORT, such as ra.example.com:8446".to_owned());
    }
    let thumbprint: String =
        thumbprint.chars().filter(|c| !c.is_ascii_whitespace() && *c != ':').collect();
    if thumbprint.len() != 40 || !thumbprint.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err("expected 40 hexadecimal digits as --client-certificate; copied from the \
                    certificate's window they begin with an invisible character: type the first one"
            .to_owned());
    }
    let (x, y) = coordinates(pem)?;
    Ok(TASK
        .replace("@THUMBPRINT@", &thumbprint.to_ascii_uppercase())
        .replace("@SERVER@", address)
        .replace("@AUTHORITY@", authority)
        .replace("@X@", &x)
        .replace("@Y@", &y))
}

/// Both coordinates, base64: .NET Framework knows no SubjectPublicKeyInfo.
fn coordinates(pem: &str) -> Result<(String, String), String> {
    let wrong =
        || "expected the public order key, P-256 in PEM (`countersign revoker key`)".to_owned();
    let (label, spki) = der::pem::decode_vec(pem.trim().as_bytes()).map_err(|_| wrong())?;
    let point =
        spki.strip_prefix(&P256_HEAD).filter(|_| label == "PUBLIC KEY").ok_or_else(wrong)?;
    match point.split_at_checked(32) {
        Some((x, y)) if y.len() == 32 => Ok((STANDARD.encode(x), STANDARD.encode(y))),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE1QO8L6BJDMEdSsd2TWy5iWwa48IK\n\
        aNELRkqfWNdPNRSlOJQxYyS4SOc8m1z/nmI3D4i7HwBLmd9txPx9etZNxg==\n\
        -----END PUBLIC KEY-----\n";
    const THUMBPRINT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn task() -> String {
        write("ad", "ra.example.com:8446", THUMBPRINT, KEY).unwrap()
    }

    #[test]
    fn the_task_is_the_golden_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/revoker-task.ps1");
        if std::env::var_os("COUNTERSIGN_BLESS").is_some() {
            std::fs::write(path, task()).unwrap();
        }
        let golden = std::fs::read_to_string(path).unwrap_or_default();
        assert!(task() == golden, "{path} differs; COUNTERSIGN_BLESS=1 writes it anew");
    }

    #[test]
    fn nothing_in_the_task_is_expanded_or_executed_as_text() {
        let task = task();
        assert!(task.is_ascii(), "Windows PowerShell reads it in the machine's code page");
        assert!(task.contains("Set-StrictMode -Version Latest"));
        assert!(task.contains("$ErrorActionPreference = 'Stop'"));
        // Double quotes are where PowerShell expands; there are none, so nothing is.
        assert!(!task.contains('"'));
        let lower = task.to_ascii_lowercase();
        for word in [
            "invoke-expression",
            "iex ",
            "cmd.exe",
            "cmd /c",
            "start-process",
            "add-type",
            "servercertificatevalidationcallback",
            "skipcertificatecheck",
            "@x@",
            "@server@",
        ] {
            assert!(!lower.contains(word), "{word}");
        }
        // No call operator: nothing but functions and COM methods is run.
        assert!(!task.lines().any(|line| line.trim_start().starts_with("& ")));
    }

    #[test]
    fn brackets_and_quotes_of_the_task_are_balanced() {
        let task = task();
        let mut open = Vec::new();
        let (mut quoted, mut comment, mut block) = (false, false, false);
        let mut characters = task.chars().peekable();
        while let Some(c) = characters.next() {
            if block {
                if c == '#' && characters.peek() == Some(&'>') {
                    block = false;
                }
            } else if comment {
                comment = c != '\n';
            } else if quoted {
                // Two in a row would be one inside; there are none.
                quoted = c != '\'';
                assert_ne!(c, '\n', "a quoted text goes over a line");
            } else {
                match c {
                    '\'' => quoted = true,
                    '#' => comment = true,
                    '<' if characters.peek() == Some(&'#') => block = true,
                    '(' => open.push(')'),
                    '{' => open.push('}'),
                    '[' => open.push(']'),
                    ')' | '}' | ']' => assert_eq!(open.pop(), Some(c)),
                    _ => {}
                }
            }
        }
        assert!(open.is_empty() && !quoted && !block, "{open:?}");
    }

    #[test]
    fn no_value_can_end_its_quotes() {
        let good = ("ad", "ra.example.com:8446", THUMBPRINT);
        for (authority, address, thumbprint) in [
            ("a'd", good.1, good.2),
            ("", good.1, good.2),
            (good.0, "ra.example.com", good.2),
            (good.0, "ra.example.com:8446/'; calc #", good.2),
            (good.0, "$(calc):8446", good.2),
            (good.0, "ra.example.com:99999", good.2),
            (good.0, good.1, "0123"),
            (good.0, good.1, "0123456789abcdef0123456789abcdef0123456'"),
        ] {
            assert!(write(authority, address, thumbprint, KEY).is_err(), "{authority} {address}");
        }
        assert!(write(good.0, good.1, good.2, "-----BEGIN PUBLIC KEY-----\nAAAA\n").is_err());
        assert!(
            write(
                "ad",
                "[2001:db8::7]:8446",
                "01:23:45:67:89:ab:cd:ef:01:23:45:67:89:ab:cd:ef:01:23:45:67",
                KEY
            )
            .is_ok()
        );
    }
}

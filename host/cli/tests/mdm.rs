//! Credentials of device managements: what is printed is what the config takes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test says what it found by panicking"
)]

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};

use argon2::{Argon2, PasswordVerifier as _};
use countersign_config::{PasswordHash, TokenDigest};

fn countersign(arguments: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

#[test]
fn a_password_is_hashed_with_a_salt_of_its_own_each_time() {
    let hash = || {
        let output = countersign(&["mdm", "hash-password", "--stdin"], "correct horse battery\n");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let (one, two) = (hash(), hash());
    assert_ne!(one, two);
    for hash in [one, two] {
        assert!(hash.parse::<PasswordHash>().is_ok(), "{hash}");
        let verify = |password: &str| {
            Argon2::default().verify_password(password.as_bytes(), hash.as_str()).is_ok()
        };
        assert!(verify("correct horse battery"));
        assert!(!verify("correct horse battery\n"));
    }
}

#[test]
fn a_token_is_in_its_file_alone_and_its_digest_on_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let output = countersign(&["mdm", "new-token", "--out", path.to_str().unwrap()], "");
    let token = std::fs::read_to_string(&path).unwrap();
    assert_eq!(token.len(), 43, "256 random bits");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let printed = String::from_utf8([output.stdout.clone(), output.stderr].concat()).unwrap();
    assert!(!printed.contains(&token));
    let digest: TokenDigest = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    let expected = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    assert_eq!(digest.as_bytes(), expected.as_ref());
}

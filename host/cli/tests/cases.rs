//! Golden cases of the command line: each file in `cases/` is a command, the files it finds, and
//! what must come of it. A new case is a file. `COUNTERSIGN_BLESS=1` writes what came instead of
//! comparing it: read the difference before it is committed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test says what it found by panicking"
)]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What the case shows, as a sentence.
    behaviour: String,
    arguments: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    stdin: String,
    exit: i32,
    /// Lines that must come in this order, or the whole output where `whole` says so.
    #[serde(default)]
    stdout: String,
    #[serde(default)]
    stderr: String,
    /// Texts that must not come at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    never: Vec<String>,
    /// Made in the folder that the command runs in, mode 0600. `golden/` leads to the recorded
    /// SCEP messages, `config/` to the crate of the config.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    files: BTreeMap<String, String>,
}

#[test]
fn every_golden_case_of_the_command_line_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut paths: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 10, "the cases are gone");
    let bless = std::env::var_os("COUNTERSIGN_BLESS").is_some();
    let mut wrong = Vec::new();
    for path in paths {
        let case: Case = toml::from_str(&std::fs::read_to_string(&path).unwrap())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let found = run(&case);
        if found == case {
            continue;
        }
        if bless {
            std::fs::write(&path, toml::to_string_pretty(&found).unwrap()).unwrap();
        }
        wrong.push(format!("{} ({}):\n{found:#?}\n", path.display(), case.behaviour));
    }
    assert!(wrong.is_empty() || bless, "{}", wrong.join("\n"));
}

fn run(case: &Case) -> Case {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let link = |to: &str, name: &str| {
        std::os::unix::fs::symlink(here.join(to).canonicalize().unwrap(), folder.path().join(name))
            .unwrap();
    };
    link("../../tests/golden/scep", "golden");
    link("../config", "config");
    for (name, text) in &case.files {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(&case.arguments)
        .current_dir(folder.path())
        .env("COLUMNS", "100")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(case.stdin.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    for text in &case.never {
        let comes = stdout.contains(text) || stderr.contains(text);
        assert!(!comes, "{}: `{text}` was printed", case.behaviour);
    }
    Case { exit: output.status.code().unwrap(), stdout, stderr, ..case.clone() }
}

#[test]
fn the_schema_that_is_printed_is_the_one_that_is_checked_in() {
    let output = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(["config", "schema"])
        .output()
        .unwrap();
    let printed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let checked_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/schema.json");
    let checked_in: serde_json::Value =
        serde_json::from_slice(&std::fs::read(checked_in).unwrap()).unwrap();
    assert_eq!(printed, checked_in);
}

#[test]
fn every_command_has_a_help_with_an_example() {
    let commands = [
        "demo",
        "up",
        "enrol",
        "request list",
        "request show",
        "request resend",
        "status",
        "plugin list",
        "plugin inspect",
        "plugin new",
        "plugin check",
        "plugin run",
        "plugin record",
        "plugin replay",
        "plugin bench",
        "keys init",
        "keys status",
        "challenge issue",
        "device tombstones",
        "device lift",
        "orders list",
        "orders orphans",
        "orders withdraw",
        "revoke",
        "fuse status",
        "fuse reset",
        "revoker key",
        "revoker script",
        "ledger show",
        "ledger verify",
        "config check",
        "config schema",
        "scep open",
    ];
    for command in commands {
        let output = Command::new(env!("CARGO_BIN_EXE_countersign"))
            .args(command.split(' '))
            .arg("--help")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{command}");
        assert!(text.contains("Example"), "{command}: no example\n{text}");
        assert!(text.contains(&format!("countersign {command}")), "{command}:\n{text}");
        assert!(!text.contains('\u{1b}'), "{command}: colours without a terminal");
    }
}

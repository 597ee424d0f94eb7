//! `keys init` and `keys status` on a config without a single key.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test says what it found by panicking"
)]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

/// Content of every file under the folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for name in ["keys", "secrets", "csr"] {
        for entry in folder.join(name).read_dir().unwrap() {
            let path = entry.unwrap().path();
            found.insert(path.display().to_string(), std::fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn what_is_missing_is_made_once_and_never_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("c.toml");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/example.toml");
    std::fs::write(&config, std::fs::read(example).unwrap()).unwrap();
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o600)).unwrap();

    let init = ["keys", "init", "--config", "c.toml", "--out", "csr", "--organisation", "Example"];
    let first = run(folder.path(), &init);
    assert!(first.status.success(), "{first:?}");
    assert!(first.stdout.is_empty(), "with --out nothing is printed: {first:?}");
    let made = files(folder.path());
    assert_eq!(made.len(), 13, "three keys, seven secrets, three CSRs: {:?}", made.keys());
    for path in made.keys().filter(|path| path.ends_with(".key")) {
        let mode = std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, 0o600, "{path}");
    }

    let second = run(folder.path(), &init);
    assert!(second.status.success(), "{second:?}");
    assert_eq!(files(folder.path()), made);

    let status = ["keys", "status", "--config", "c.toml", "--format", "json"];
    let told = run(folder.path(), &status);
    assert_eq!(told.status.code(), Some(3), "certificates are missing");
    let facts: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(facts["good"], false);
    assert_eq!(facts["keys"][0]["algorithm"], "RSA-2048");
    assert!(facts["secrets"].as_array().unwrap().iter().all(|secret| secret["good"] == true));

    let challenge = folder.path().join("secrets/challenge.key");
    std::fs::set_permissions(&challenge, std::fs::Permissions::from_mode(0o644)).unwrap();
    let told = run(folder.path(), &["keys", "status", "--config", "c.toml"]);
    let text = String::from_utf8(told.stdout).unwrap();
    assert!(text.contains("chmod 0600"), "{text}");
}

#[test]
fn the_lab_ca_is_not_linked() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--edges", "normal", "--package", "countersign"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let tree = String::from_utf8(tree.stdout).unwrap();
    assert!(tree.contains("countersign-scep"), "{tree}");
    assert!(!tree.contains("countersign-lab-ca"), "{tree}");
}

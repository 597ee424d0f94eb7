//! What the built component is: its powers are its imports, so they are listed here in full.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may state what they know"
)]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use wasmparser::{Parser, Payload};

/// A plug-in of this size is read, checked and compiled in well under a second.
const LARGEST: usize = 560 * 1024;

#[test]
fn the_component_imports_http_kv_secrets_and_what_starting_needs() {
    let component = std::fs::read(build()).unwrap();
    let (imports, exports) = interfaces(&component);

    let ours: Vec<_> = imports.iter().filter(|name| name.starts_with("countersign:")).collect();
    assert_eq!(
        ours,
        [
            "countersign:verifier/http@1.0.0-rc.2",
            "countersign:verifier/kv@1.0.0-rc.2",
            "countersign:verifier/log@1.0.0-rc.2",
            "countersign:verifier/secrets@1.0.0-rc.2",
            "countersign:verifier/types@1.0.0-rc.2",
        ]
    );
    for import in imports.iter().filter(|name| !name.starts_with("countersign:")) {
        let allowed = ["wasi:cli/", "wasi:clocks/", "wasi:io/", "wasi:random/"];
        assert!(allowed.iter().any(|package| import.starts_with(package)), "{import}");
    }
    let offered =
        ["outcomes", "verifier"].map(|name| format!("countersign:verifier/{name}@1.0.0-rc.2"));
    assert_eq!(exports, BTreeSet::from(offered));
    assert!(component.len() < LARGEST, "{} bytes", component.len());
}

#[test]
fn the_component_says_which_sdk_made_it() {
    let component = std::fs::read(build()).unwrap();
    let sdk = Parser::new(0).parse_all(&component).find_map(|payload| match payload.unwrap() {
        Payload::CustomSection(section) if section.name() == "countersign-sdk" => {
            Some(String::from_utf8(section.data().to_vec()).unwrap())
        }
        _ => None,
    });
    assert!(sdk.expect("a custom section `countersign-sdk`").starts_with("rust "));
}

/// Builds the component as an author does and says where it is.
fn build() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--profile", "plugin", "--target", "wasm32-wasip2"])
        .args(["--lib", "--message-format", "json"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "the component does not build");
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter_map(|message| message["filenames"].as_array().cloned())
        .flatten()
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .find(|file| file.ends_with("countersign_plugin_kandji.wasm"))
        .expect("a component among the artefacts")
}

/// Names of what the outermost component imports and exports.
fn interfaces(component: &[u8]) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut imports, mut exports) = (BTreeSet::new(), BTreeSet::new());
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(component) {
        match payload.unwrap() {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 0 => {
                imports
                    .extend(section.into_iter().map(|import| import.unwrap().name.name.to_owned()));
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                exports
                    .extend(section.into_iter().map(|export| export.unwrap().name.name.to_owned()));
            }
            _ => {}
        }
    }
    (imports, exports)
}

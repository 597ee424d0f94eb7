//! Every plug-in of this repository passes the kit that others are held to.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests may state what they know"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use countersign_kit::check::{Options, Outcome, check};
use countersign_sandbox::Compiler;

const WORKSPACE: &str = include_str!("../../../Cargo.toml");

#[tokio::test(flavor = "multi_thread")]
async fn every_plug_in_of_ours_passes() {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
    let mut folders: Vec<PathBuf> = fs::read_dir(plugins)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        // Libraries that plug-ins share are none, and folders outside the workspace are nobody's yet.
        .filter(|folder| {
            let name = folder.file_name().unwrap().to_string_lossy();
            WORKSPACE.contains(&format!("\"plugins/{name}\""))
                && fs::read_to_string(folder.join("Cargo.toml"))
                    .is_ok_and(|manifest| manifest.contains("cdylib"))
        })
        .collect();
    folders.sort();
    assert!(folders.len() >= 3, "the plug-ins are gone");
    let mut wrong = Vec::new();
    for folder in folders {
        let Some(component) = build(&folder) else {
            wrong.push(format!("{} does not build", folder.display()));
            continue;
        };
        let options = Options { cases: Some(folder.join("cases")), settings: None };
        let report = check(&component, &Compiler::InThisProcess, &options).await.unwrap();
        let asked =
            report.checks.iter().find(|group| group.id == "cases").map(|group| &group.checks);
        if asked.is_none_or(Vec::is_empty) {
            wrong.push(format!("{} has no golden case, or does not load", folder.display()));
        }
        for group in &report.checks {
            for check in group.checks.iter().filter(|check| check.outcome == Outcome::Failed) {
                let plugin = folder.file_name().unwrap().to_string_lossy();
                wrong.push(format!("{plugin} {}: {}: {}", group.id, check.name, check.detail));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Builds the component as an author does and says where it is.
fn build(folder: &Path) -> Option<PathBuf> {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--profile", "plugin", "--target", "wasm32-wasip2"])
        .args(["--lib", "--message-format", "json"])
        .current_dir(folder)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    if !output.status.success() {
        return None;
    }
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter_map(|message| message["filenames"].as_array().cloned())
        .flatten()
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .rfind(|file| file.extension().is_some_and(|ending| ending == "wasm"))
}

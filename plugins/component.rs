//! What the test `component` of every plug-in here needs: the component as an author builds it, and
//! what it says about itself. Each includes this file; it compiles within the plug-in's own test.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use wasmparser::{Parser, Payload};

/// Builds the component as an author does and says where it is.
pub(crate) fn build() -> PathBuf {
    let file_name = format!("{}.wasm", env!("CARGO_PKG_NAME").replace('-', "_"));
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
        .find(|file| file.ends_with(&file_name))
        .expect("a component among the artefacts")
}

/// Names of what the outermost component imports and exports.
pub(crate) fn interfaces(component: &[u8]) -> (BTreeSet<String>, BTreeSet<String>) {
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

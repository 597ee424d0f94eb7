//! Where cargo put what is tested.

use std::path::PathBuf;

/// The folder of the binaries: two above the test's own (`target/debug/deps/…`), or the one that
/// this program itself lies in.
fn folder() -> PathBuf {
    let this = std::env::current_exe().expect("where this program lies");
    let beside = this.parent().expect("a program lies in a folder");
    if beside.ends_with("deps") {
        beside.parent().expect("deps lies in a folder").to_owned()
    } else {
        beside.to_owned()
    }
}

/// The binary `countersign-<name>`.
///
/// # Panics
/// It is not built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    built(folder().join(format!("countersign-{name}")))
}

/// A first-party plug-in as a component, by the name of its folder.
///
/// # Panics
/// It is not built.
#[must_use]
pub fn component(name: &str) -> PathBuf {
    let file = format!("countersign_plugin_{}.wasm", name.replace('-', "_"));
    let target = folder();
    let target = target.parent().expect("the profile's folder lies in the target folder");
    built(target.join("wasm32-wasip2/plugin").join(file))
}

fn built(path: PathBuf) -> PathBuf {
    assert!(path.is_file(), "{} is not there: run `cargo xtask build` first", path.display());
    path
}

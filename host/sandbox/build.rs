//! Tells the crate which wasmtime it is linked with, for the floor that is checked at start:
//! wasmtime itself does not say at run time.

use std::{env, fs, path::Path};

fn main() {
    let here = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let lock = Path::new(&here)
        .ancestors()
        .map(|folder| folder.join("Cargo.lock"))
        .find(|path| path.exists());
    let version = lock.as_deref().and_then(|path| {
        println!("cargo::rerun-if-changed={}", path.display());
        let text = fs::read_to_string(path).ok()?;
        let (_, after) = text.split_once("name = \"wasmtime\"\nversion = \"")?;
        Some(after.split('"').next()?.to_owned())
    });
    match version {
        Some(version) => println!("cargo::rustc-env=COUNTERSIGN_WASMTIME_VERSION={version}"),
        None => println!("cargo::error=expected a Cargo.lock above {here} that names wasmtime"),
    }
}

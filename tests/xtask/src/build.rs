//! Plug-ins first, then the binaries that run them.

use std::process::Command;

use crate::command::{Failed, cargo, is_there, read, run, say, target_folder};

const WASM: &str = "wasm32-wasip2";

/// The first-party plug-ins: package and the file that cargo makes of it.
const PLUGINS: [&str; 12] = [
    "countersign-plugin-fleet",
    "countersign-plugin-intune",
    "countersign-plugin-jamf-pro",
    "countersign-plugin-kandji",
    "countersign-plugin-managed-renewal",
    "countersign-plugin-ndes-otp",
    "countersign-plugin-one-time-password",
    "countersign-plugin-renewal",
    "countersign-plugin-rules",
    "countersign-plugin-signed-challenge",
    "countersign-plugin-webhook",
    "countersign-plugin-workspace-one",
];

/// Everything that an installation is made of.
pub(crate) fn all() -> Result<(), Failed> {
    plugins()?;
    binaries()
}

/// The plug-ins, as components.
pub(crate) fn plugins() -> Result<(), Failed> {
    add_wasm_target()?;
    for plugin in PLUGINS {
        run(cargo()
            .args(["build", "--locked", "--profile", "plugin", "--target", WASM])
            .args(["--package", plugin]))?;
    }
    Ok(())
}

/// The binaries. Of the whole workspace at once: cargo chooses the features of dependencies by what
/// is built together, and another choice would compile wasmtime again.
pub(crate) fn binaries() -> Result<(), Failed> {
    run(cargo().args(["build", "--locked", "--workspace", "--bins"]))
}

/// Our crates as they are delivered: optimised, without debug assertions, with overflow checks. What
/// they stand on stays as the one profile has it, so that wasmtime compiles once.
const AS_DELIVERED: [&str; 6] = [
    "--config",
    "profile.dev.opt-level=3",
    "--config",
    "profile.dev.debug-assertions=false",
    "--config",
    "profile.dev.overflow-checks=true",
];

/// Plug-ins and binaries for measuring, with the module that tests put before a token. The next build
/// of any other task puts the usual binaries into their place again.
pub(crate) fn as_delivered() -> Result<(), Failed> {
    plugins()?;
    run(cargo().args(["build", "--locked", "--workspace", "--bins", "--lib"]).args(AS_DELIVERED))
}

/// Binaries and tests, with the features that the tests choose.
pub(crate) fn binaries_and_tests() -> Result<(), Failed> {
    run(cargo().args(["build", "--locked", "--workspace", "--all-targets"]))
}

/// The main job.
pub(crate) fn demo(arguments: &[String]) -> Result<(), Failed> {
    let target = target_folder()?;
    let component = target.join(WASM).join("plugin/countersign_plugin_one_time_password.wasm");
    run(Command::new(target.join("debug/countersign"))
        .args(["demo", "--plugin"])
        .arg(component)
        .args(arguments))
}

/// The comparison of times; it ends with an error where two failures can be told apart.
pub(crate) fn timing(arguments: &[String]) -> Result<(), Failed> {
    run(Command::new(target_folder()?.join("debug/countersign-timing")).args(arguments))
}

/// Adds the wasm target to the toolchain that rust-toolchain.toml names.
fn add_wasm_target() -> Result<(), Failed> {
    let root = read(Command::new("rustc").args(["--print", "sysroot"]))?;
    let library = std::path::Path::new(root.trim()).join("lib/rustlib").join(WASM);
    if library.is_dir() {
        return Ok(());
    }
    if !is_there("rustup") {
        return Err(Failed(format!(
            "the Rust target {WASM} is missing and there is no rustup to add it; install it with \
             your distribution's tools (Debian: `libstd-rust-dev-wasm32`)"
        )));
    }
    say(&format!("adding the Rust target {WASM}"));
    run(Command::new("rustup").args(["target", "add", WASM]))
}

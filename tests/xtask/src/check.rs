//! Every check and every test.

use std::process::Command;

use crate::command::{Failed, cargo, is_there, run, say};
use crate::stages::Stages;
use crate::{build, packages};

/// The processes built once more with fail-points: our own crates only, because a test of the whole
/// workspace chooses the same features of what they stand on as the stage before it.
const CRASHES: [&str; 4] = ["--features", "countersign-crashes/armed", "--test", "crashes"];

/// All of it, stage by stage.
pub(crate) fn all() -> Result<(), Failed> {
    let mut stages = Stages::default();
    stages.run("packages", packages::install)?;
    stages.run("format", || run(cargo().args(["fmt", "--all", "--check"])))?;
    stages.run("plug-ins", build::plugins)?;
    stages.run("binaries and tests", build::binaries_and_tests)?;
    stages.run("the main job", || build::demo(&[]))?;
    stages.run("tests", || run(cargo().args(["test", "--locked", "--workspace"])))?;
    stages
        .run("crashes", || run(cargo().args(["test", "--locked", "--workspace"]).args(CRASHES)))?;
    stages.run("clippy", || {
        run(cargo()
            .args(["clippy", "--locked", "--workspace", "--all-targets"])
            .args(["--features", "countersign-crashes/armed", "--"])
            .args(["-D", "warnings"]))
    })?;
    stages.run("documentation", || {
        run(cargo()
            .args(["doc", "--locked", "--workspace", "--no-deps", "--quiet"])
            .env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    stages.run("licences and bans", dependencies)?;
    stages.report();
    Ok(())
}

/// `cargo deny`. Where it is not installed a stranger is told; in CI that is a failure, so it is
/// installed there.
fn dependencies() -> Result<(), Failed> {
    if !is_there("cargo-deny") {
        if std::env::var_os("CI").is_none() {
            say("SKIPPED: cargo-deny is not installed (`cargo install --locked cargo-deny`)");
            return Ok(());
        }
        run(cargo().args(["install", "--locked", "cargo-deny"]))?;
    }
    run(cargo().args(["deny", "--offline", "check", "bans", "licenses", "sources"]))?;
    // The advisory database is fetched from its public repository; where it cannot be reached the
    // rest of the run still counts, and the log says so.
    let advisories = Command::new("cargo").args(["deny", "check", "advisories"]).output();
    match advisories {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            if said.contains("failed to fetch") || said.contains("failed to open advisory") {
                say("SKIPPED: the advisory database cannot be reached from here");
                Ok(())
            } else {
                Err(Failed(format!("cargo deny check advisories:\n{said}")))
            }
        }
        Err(error) => Err(Failed(format!("cargo deny did not start: {error}"))),
    }
}

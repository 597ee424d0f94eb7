//! The bench and the other servers it compares with.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{Failed, is_there, run, say, target_folder};

/// What `go install` fetches; the Debian package that its smart-card code is compiled against.
const STEP_CA: &str = "github.com/smallstep/certificates/cmd/step-ca@v0.30.2";
const HEADER_OF_PCSC: &str = "/usr/include/PCSC/winscard.h";

/// The bench, in a network of its own that has nothing but loopback: micromdm's scepserver listens
/// on every interface and cannot be told otherwise.
pub(crate) fn run_in_its_own_network(arguments: &[String]) -> Result<(), Failed> {
    let target = target_folder()?;
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--net", "sh", "-c"])
        .args(["ip link set lo up && exec \"$0\" \"$@\""])
        .arg(target.join("debug/countersign-bench"));
    if let Some(step_ca) = step_ca(&target)? {
        command.arg("--step-ca").arg(step_ca);
    }
    run(command.args(arguments))
}

/// step-ca, built once; none where there is no Go.
fn step_ca(target: &Path) -> Result<Option<PathBuf>, Failed> {
    let folder = target.join("step-ca-v0.30.2");
    let program = folder.join("step-ca");
    if program.is_file() {
        return Ok(Some(program));
    }
    if !is_there("go") {
        say("SKIPPED: step-ca is not compared with, since there is no Go to build it");
        return Ok(None);
    }
    if !Path::new(HEADER_OF_PCSC).is_file() {
        say("SKIPPED: step-ca is not compared with; it needs `apt-get install libpcsclite-dev`");
        return Ok(None);
    }
    say("building step-ca");
    run(Command::new("go").env("GOBIN", &folder).args(["install", STEP_CA]))?;
    Ok(Some(program))
}

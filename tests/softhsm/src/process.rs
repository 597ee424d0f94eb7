//! A test in a process of its own.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::{ENVIRONMENT, SoftHsm};

/// Says to the started process that it is the one.
const INSIDE: &str = "COUNTERSIGN_SOFTHSM_TEST_FOLDER";

/// Runs `body` in a process of its own that sees the tokens of a new, empty [`SoftHsm`]; it gets
/// the folder, which is gone afterwards. `test` is the test function's path within its program, and
/// this call is all that the function does.
///
/// The test program starts itself again for this one test; a crash at its end, as of a module
/// that is not finalised in order, fails the test too.
///
/// # Panics
/// The process does not end well; with what it said.
pub fn in_a_process(test: &str, body: impl FnOnce(&Path)) {
    if let Some(folder) = std::env::var_os(INSIDE) {
        return body(Path::new(&folder));
    }
    let folder = TempDir::new().expect("a temporary folder");
    let tokens = SoftHsm::create(folder.path());
    let output = Command::new(std::env::current_exe().expect("where this program lies"))
        .args([test, "--exact", "--nocapture", "--include-ignored"])
        .env(INSIDE, folder.path())
        .env(ENVIRONMENT, tokens.config())
        .output()
        .expect("the test program starts again");
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "`{test}` in a process of its own: {}\n{said}\n{complaint}",
        output.status
    );
}

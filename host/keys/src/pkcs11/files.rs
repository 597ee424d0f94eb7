//! The files that a token's use hangs on (row 57): who can change the module, or the file that
//! configures it, can use the keys.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::finding::{Finding, Severity};
use crate::place::TokenPlace;

/// What is wrong with the module and its configuration file. The PIN's file is checked where it
/// is read, and refused.
pub fn check_files(place: &TokenPlace) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(check(
        &place.settings.module,
        0o022,
        "module-changed-by-others",
        "the PKCS#11 module",
        "0755",
    ));
    if let Some(path) = &place.module_config {
        findings.extend(check(
            path,
            0o027,
            "module-config-open-to-others",
            "the PKCS#11 module's configuration",
            "0640",
        ));
    }
    findings
}

/// Owned by root or by this process's user, and no more than `forbidden` leaves.
fn check(
    path: &Path,
    forbidden: u32,
    id: &'static str,
    what: &str,
    expected: &str,
) -> Option<Finding> {
    let shown = path.display();
    let problem = match path.metadata() {
        Err(error) => format!("cannot be looked at ({error})"),
        Ok(metadata) => {
            let mode = metadata.mode() & 0o7777;
            let me = rustix::process::geteuid().as_raw();
            if metadata.uid() != 0 && metadata.uid() != me {
                format!("belongs to uid {}", metadata.uid())
            } else if mode & forbidden != 0 {
                format!("has mode {mode:04o}")
            } else {
                return None;
            }
        }
    };
    Some(Finding {
        row: Some(57),
        severity: Severity::Critical,
        id,
        message: format!(
            "{what} {shown} {problem}; expected it to belong to root or this process's user, with \
             mode {expected} or less: who can change it can use the keys"
        ),
        remedy: format!("run `chown root {shown}` and `chmod {expected} {shown}`"),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Fails when `check` forgets a bit, or the file of `module_config` is not looked at.
    #[test]
    fn row_57_a_module_or_its_configuration_that_others_can_change_is_a_finding() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("softhsm2.conf");
        std::fs::write(&path, b"directories.tokendir = /x").unwrap();
        for (mode, config_good, module_good) in [
            (0o600, true, true),
            (0o640, true, true),
            (0o644, false, true),
            (0o660, false, false),
            (0o666, false, false),
            (0o755, false, true),
            (0o775, false, false),
        ] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let config = check(&path, 0o027, "c", "the configuration", "0640");
            assert_eq!(config.is_none(), config_good, "{mode:o}");
            let module = check(&path, 0o022, "m", "the module", "0755");
            assert_eq!(module.is_none(), module_good, "{mode:o}");
        }
        assert!(check(Path::new("/does/not/exist"), 0o022, "m", "the module", "0755").is_some());
    }
}

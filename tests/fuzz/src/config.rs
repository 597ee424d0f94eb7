//! The configuration file, up to all that is wrong with it, told line by line.

use std::path::Path;

use countersign_config::Config;

pub(crate) fn run(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    match Config::from_text(text, Path::new("/etc/countersign/countersign.toml")) {
        Ok(_) => true,
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason");
            for problem in problems {
                let _ = problem.to_string();
            }
            false
        }
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    vec![include_bytes!("../../../host/config/example.toml").to_vec()]
}

//! What each of the three `main`s does first.

use std::path::{Path, PathBuf};

use countersign_config::{Config, Mode};

/// The order file of one process: beside its config file.
#[must_use]
pub fn orders(config: &Path, process: &str) -> PathBuf {
    config.with_file_name(format!("{process}.die-at"))
}

/// The config file that the command line names, once it is sure that this is a lab; the process
/// obeys its order file from then on.
///
/// # Errors
/// What to tell the person who started it.
#[expect(clippy::print_stderr, reason = "whoever starts this must know what it is")]
pub fn prepare(process: &str) -> Result<PathBuf, String> {
    let mut arguments = std::env::args_os().skip(1);
    let config = match (arguments.next(), arguments.next(), arguments.next()) {
        (Some(flag), Some(path), None) if flag == "--config" => PathBuf::from(path),
        _ => return Err(format!("usage: countersign-{process}-crashing --config FILE")),
    };
    eprintln!(
        "THIS IS A TEST BUILD of countersign-{process}: it dies where a file tells it to. Never \
         use it outside a test."
    );
    let loaded = Config::load(&config).map_err(|problems| {
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    })?;
    if loaded.config.mode != Mode::Lab {
        return Err("a build with fail-points runs in the lab only (`mode = \"lab\"`); use the \
                    binaries without `-crashing`"
            .to_owned());
    }
    countersign_fail_points::arm(orders(&config, process));
    Ok(config)
}

//! The fuzz targets, for as long as one likes.

use std::path::Path;
use std::process::Command;

use crate::command::{Failed, cargo, is_there, read, run, say, target_folder};

const FOLDER: &str = "tests/fuzz/libfuzzer";

/// Runs these targets, or all, for so long each.
pub(crate) fn for_seconds(seconds: u32, targets: &[String]) -> Result<(), Failed> {
    if !is_there("cargo-fuzz") {
        return Err(Failed(
            "the fuzz targets need cargo-fuzz and a nightly compiler: `cargo install --locked \
             cargo-fuzz` and `rustup toolchain install nightly`"
                .into(),
        ));
    }
    let known = read(nightly().args(["fuzz", "list"]))?;
    let known: Vec<&str> = known.split_whitespace().collect();
    if let Some(unknown) = targets.iter().find(|asked| !known.contains(&asked.as_str())) {
        return Err(Failed(format!("there is no target `{unknown}`; there are {known:?}")));
    }
    let build = target_folder()?.join("fuzz");
    for name in known {
        if !targets.is_empty() && !targets.iter().any(|asked| asked == name) {
            continue;
        }
        let corpus = build.join("corpus").join(name);
        write_seeds(name, &corpus)?;
        say(&format!("fuzzing {name} for {seconds} s"));
        run(nightly()
            .args(["fuzz", "run", "--target-dir"])
            .arg(&build)
            .arg(name)
            .arg(corpus)
            .args(["--", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"])
            .arg(format!("-max_total_time={seconds}")))?;
    }
    Ok(())
}

/// The seeds as files: libFuzzer reads folders.
fn write_seeds(name: &str, corpus: &Path) -> Result<(), Failed> {
    run(cargo()
        .args(["run", "--quiet", "--package", "countersign-fuzz", "--bin", "seeds", "--", name])
        .arg(corpus))
}

fn nightly() -> Command {
    let mut command = Command::new("cargo");
    // Cargo sets this for what it starts; it would win over `+nightly`.
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").arg("+nightly").current_dir(FOLDER);
    command
}

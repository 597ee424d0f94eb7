//! `countersign plugin check`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use countersign_kit::check::{self, Checks, Options, Outcome, Report};

use crate::admin;
use crate::failure::{Exit, Failure};
use crate::output::{self, escaped};

/// Ask a component everything that every verifier must get right: the conformance kit, in the sandbox
/// that it will run in, offline.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  countersign plugin check target/wasm32-wasip2/release/inventory.wasm --cases cases\n  countersign plugin check inventory.wasm --format junit > conformance.xml\n\nExit codes: 0 all is as it must be, 1 something is not, 2 nothing could be checked."
)]
pub(super) struct Check {
    /// The component, a .wasm file.
    #[arg(value_name = "COMPONENT")]
    component: PathBuf,
    /// A folder of golden cases; by default `cases`, where that is there.
    #[arg(long, value_name = "FOLDER")]
    cases: Option<PathBuf>,
    /// Settings that it must accept, TOML or JSON: alone, or in a [plugin.NAME].
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Text,
    /// For scripts: one JSON value, in a stable shape.
    Json,
    /// For CI servers: JUnit's XML.
    Junit,
}

pub(super) fn run(arguments: &Check) -> Result<(), Failure> {
    let beside = Path::new("cases");
    let options = Options {
        cases: arguments.cases.clone().or_else(|| beside.is_dir().then(|| beside.to_owned())),
        settings: arguments.settings.clone(),
    };
    let compiler = super::compiler()?;
    let report = admin::runtime()?
        .block_on(check::check(&arguments.component, &compiler, &options))
        .map_err(|error| Failure::of(Exit::Usage, error.to_string()))?;
    match arguments.format {
        Format::Text => show(&report),
        Format::Json => {
            output::json(&serde_json::to_value(&report).map_err(|error| super::failed(&error))?);
        }
        Format::Junit => output::line(report.junit().trim_end()),
    }
    if report.passed { Ok(()) } else { Err(Failure::silent(Exit::Failed)) }
}

fn show(report: &Report) {
    let name = report.plugin.as_deref().unwrap_or("not a plug-in that could say its name");
    output::line(&format!("{}  {}", output::bold(&escaped(name)), report.component.display()));
    output::line(&format!("  {}\n", report.digest));
    for group in &report.checks {
        show_group(group);
    }
    let count = |outcome| -> usize { report.checks.iter().map(|group| group.count(outcome)).sum() };
    let (passed, failed, warned) =
        (count(Outcome::Passed), count(Outcome::Failed), count(Outcome::Warned));
    let seconds = format!("{}.{} s", report.milliseconds / 1000, report.milliseconds % 1000 / 100);
    let warned = if warned == 0 { String::new() } else { format!(", {warned} worth a look") };
    output::line("");
    if failed == 0 {
        let all = output::green(&format!("all {passed} checks passed"));
        output::line(&format!("{all}{warned}, in {seconds}"));
    } else {
        let some = output::red(&format!("{failed} of {} checks failed", passed + failed));
        output::line(&format!("{some}{warned}, in {seconds}"));
    }
}

/// One line, and below it what is not as it must be.
fn show_group(group: &Checks) {
    let all = group.checks.len();
    let (mark, count) = match group.outcome() {
        None => ("-   ".to_owned(), "nothing".to_owned()),
        Some(Outcome::Failed) => {
            (output::red("FAIL"), format!("{} of {all}", group.count(Outcome::Failed)))
        }
        Some(Outcome::Warned) => (output::yellow("look"), format!("{all}")),
        Some(Outcome::Passed) => (output::green("ok  "), format!("{all}")),
    };
    let rule = group.note.as_deref().unwrap_or(group.rule);
    output::line(&format!("  {mark}  {:<12} {count:>8}  {rule}", group.id));
    for check in &group.checks {
        let shown = match check.outcome {
            Outcome::Passed => continue,
            Outcome::Failed => output::red(&escaped(&check.name)),
            Outcome::Warned => output::yellow(&escaped(&check.name)),
        };
        output::line(&format!("        {shown}"));
        for line in check.detail.lines() {
            output::line(&format!("          {}", escaped(line)));
        }
    }
}

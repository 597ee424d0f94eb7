//! `countersign status`: is everything well, by the word of all three processes.

use clap::Args;
use countersign_config::Loaded;
use countersign_ipc::AdminRequest;
use serde_json::{Value, json};

use crate::admin::{self, Process};
use crate::commands::ConfigArgument;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};

/// Ask serve, verify and sign whether they are ready, and show what is not well.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  countersign status --format json\n\nExit code 0 if all three are ready, 1 if one is not, 5 if one does not answer."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What one process says, or why it says nothing.
struct Answer {
    process: Process,
    facts: Result<Value, Failure>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let loaded = admin::load(&arguments.config.config)?;
    let answers = Process::ALL.map(|process| ask(&loaded, process));
    match arguments.format {
        Format::Json => output::json(&answers.iter().map(as_json).collect()),
        Format::Text => answers.iter().for_each(show),
    }
    if answers.iter().any(|answer| answer.facts.is_err()) {
        return Err(Failure::silent(Exit::NotReachable));
    }
    if answers.iter().any(|answer| !answer.facts.as_ref().is_ok_and(is_ready)) {
        return Err(Failure::silent(Exit::Failed));
    }
    Ok(())
}

fn ask(loaded: &Loaded, process: Process) -> Answer {
    Answer { process, facts: admin::facts(loaded, process, &AdminRequest::Status) }
}

fn as_json(answer: &Answer) -> Value {
    match &answer.facts {
        Ok(facts) => facts.clone(),
        Err(failure) => {
            json!({ "process": answer.process.name(), "ready": false, "error": failure.to_string() })
        }
    }
}

/// `serve` has its readiness under a member of its own, because there is more to it.
fn is_ready(facts: &Value) -> bool {
    let ready = facts.get("ready").or_else(|| facts.pointer("/readiness/ready"));
    ready.and_then(Value::as_bool).unwrap_or(false)
}

fn show(answer: &Answer) {
    let name = answer.process.name();
    let facts = match &answer.facts {
        Ok(facts) => facts,
        Err(failure) => {
            output::line(&format!("{name:<7} {}  {failure}", output::red("no answer")));
            return;
        }
    };
    let degraded = facts.pointer("/readiness/degraded").and_then(Value::as_bool).unwrap_or(false);
    let state = match (is_ready(facts), degraded) {
        (true, false) => output::green("ready"),
        (true, true) => output::yellow("ready, degraded"),
        (false, _) => output::red("not ready"),
    };
    output::line(&format!("{name:<7} {state}{}", summary(answer.process, facts)));
    let reasons = facts.pointer("/readiness/reasons").or_else(|| facts.get("detail"));
    for reason in reasons.and_then(Value::as_array).into_iter().flatten() {
        output::line(&format!("        {}", output::shown(reason)));
    }
    for finding in facts.get("findings").and_then(Value::as_array).into_iter().flatten() {
        output::line(&format!(
            "        {}[{}]: {}",
            output::fact(finding, "severity"),
            output::fact(finding, "id"),
            output::fact(finding, "message"),
        ));
        output::line(&format!("          remedy: {}", output::fact(finding, "remedy")));
    }
}

/// The few figures that are worth a glance.
fn summary(process: Process, facts: &Value) -> String {
    match process {
        Process::Serve => {
            let states: Vec<String> = facts
                .get("enrolments")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .map(|(state, count)| format!("{count} {state}"))
                .collect();
            let enrolments = if states.is_empty() { "none".to_owned() } else { states.join(", ") };
            format!("  profiles {}; enrolments: {enrolments}", output::fact(facts, "profiles"))
        }
        Process::Verify => {
            let plugins: Vec<String> = facts
                .get("plugins")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .map(|plugin| output::fact(plugin, "name"))
                .collect();
            format!("  plug-ins {}", plugins.join(", "))
        }
        Process::Sign => {
            let ledger = facts.get("ledger").unwrap_or(&Value::Null);
            let lab = facts.get("lab").and_then(Value::as_bool).unwrap_or(false);
            format!(
                "  {} ledger entries, {} signatures without an outcome{}",
                output::fact(ledger, "size"),
                output::fact(facts, "unsettled"),
                if lab { "; LAB: nothing here proves anything" } else { "" }
            )
        }
    }
}

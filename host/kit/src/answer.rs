//! What a plug-in answered, in words and against what a case expects.

use countersign_cases::Expected;
use countersign_sandbox::{
    CallFailure, CallOutcome, LogLevel, LogLine,
    model::{Name, Verdict, Vouched},
};

/// The answer of one call.
pub type Answered = Result<CallOutcome<Verdict>, CallFailure>;

/// Where a plug-in panicked, with file, line and message, if it did: the SDK writes it into the log
/// before the instance ends.
pub fn panic_of(log: &[LogLine]) -> Option<&str> {
    log.iter()
        .rev()
        .filter(|line| line.level == LogLevel::Error)
        .map(|line| line.message.as_str())
        .find(|message| message.contains("panicked at "))
}

/// An answer as a person reads it, on one line.
pub fn say(answer: &Answered) -> String {
    match answer {
        Err(failure) => fail(failure),
        Ok(outcome) => say_verdict(&outcome.answer),
    }
}

/// A call without an answer, on one line.
pub(crate) fn fail(failure: &CallFailure) -> String {
    match panic_of(&failure.log) {
        Some(panic) => format!("no answer: the plug-in {panic}"),
        None => format!("no answer: {failure}"),
    }
}

pub(crate) fn say_verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Approve(approval) => {
            let vouched = match &approval.vouched {
                Vouched::ExactlyAsRequested => "exactly as requested".to_owned(),
                Vouched::Names(names) if names.is_empty() => "vouching for no name".to_owned(),
                Vouched::Names(names) => texts(names).join(", "),
            };
            let device =
                approval.device_id.as_ref().map_or(String::new(), |id| format!(" (device {id})"));
            format!("approve: {vouched}{device}")
        }
        Verdict::Deny(denial) => format!("deny {}: {}", denial.code, denial.detail),
        Verdict::Pending(retry) => {
            format!("pending for {} s: {}", retry.after.as_secs(), retry.detail)
        }
        Verdict::Unavailable(retry) => {
            format!("unavailable for {} s: {}", retry.after.as_secs(), retry.detail)
        }
    }
}

/// Holds an answer against what a case expects.
pub(crate) fn compare(expected: &Expected, answer: &Answered) -> Result<(), String> {
    let wrong = || Err(format!("expected {}, found {}", want(expected), say(answer)));
    let Ok(outcome) = answer else { return wrong() };
    match (expected, &outcome.answer) {
        (Expected::Approve { vouched, device_id }, Verdict::Approve(approval)) => {
            let found = match &approval.vouched {
                Vouched::ExactlyAsRequested => None,
                Vouched::Names(names) => Some(texts(names)),
            };
            if found == *vouched && *device_id == approval.device_id { Ok(()) } else { wrong() }
        }
        (Expected::Deny { code, detail }, Verdict::Deny(denial)) => {
            let part = detail.as_deref().unwrap_or_default();
            let fits = denial.code.as_str() == code
                && !denial.detail.is_empty()
                && denial.detail.contains(part);
            if fits { Ok(()) } else { wrong() }
        }
        (Expected::Pending, Verdict::Pending(_))
        | (Expected::Unavailable, Verdict::Unavailable(_)) => Ok(()),
        _ => wrong(),
    }
}

fn want(expected: &Expected) -> String {
    match expected {
        Expected::Approve { vouched, device_id } => {
            let vouched = match vouched {
                None => "exactly as requested".to_owned(),
                Some(names) if names.is_empty() => "vouching for no name".to_owned(),
                Some(names) => names.join(", "),
            };
            let device = device_id.as_ref().map_or(String::new(), |id| format!(" (device {id})"));
            format!("approve: {vouched}{device}")
        }
        Expected::Deny { code, detail: None } => format!("deny {code} with a detail"),
        Expected::Deny { code, detail: Some(part) } => {
            format!("deny {code} with `{part}` in its detail")
        }
        Expected::Pending => "pending".to_owned(),
        Expected::Unavailable => "unavailable".to_owned(),
        Expected::Settings { problems } => {
            format!("settings refused at {}", problems.join(", "))
        }
    }
}

pub(crate) fn texts(names: &[Name]) -> Vec<String> {
    names.iter().map(Name::to_string).collect()
}

#[cfg(test)]
mod tests {
    use countersign_sandbox::{CallError, Used};

    use super::*;

    #[test]
    fn a_panic_is_said_with_its_file_and_line() {
        let line = |level, message: &str| LogLine {
            level,
            message: message.to_owned(),
            fields: Vec::new(),
        };
        let failure = CallFailure {
            error: CallError::Trap("wasm `unreachable` instruction executed".to_owned()),
            log: vec![
                line(LogLevel::Info, "asked"),
                line(LogLevel::Error, "panicked at src/lib.rs:17:5: no such device"),
            ],
            used: Used::default(),
        };
        let said = say(&Err(failure));
        assert_eq!(said, "no answer: the plug-in panicked at src/lib.rs:17:5: no such device");
    }
}

//! What is said about keys: unknown ones, missing ones, and the two that are no options.

use serde_json::{Map, Value};

use super::spelling::closest;
use crate::value::BadValue;

pub(super) fn forbidden_option(key: &str) -> Option<BadValue> {
    let letters: String =
        key.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let (id, means) = match letters.as_str() {
        "enforcepassword" => (
            "enforce-password-is-no-option",
            "in NDES, EnforcePassword = 0 gives anyone a certificate for any subject",
        ),
        "usesinglepassword" => (
            "use-single-password-is-no-option",
            "in NDES, UseSinglePassword = 1 makes one password good for every device, for ever",
        ),
        _ => return None,
    };
    let what = BadValue::new(
        id,
        format!("`{key}`: there is no such option; {means}"),
        "remove the line: every enrolment is verified by a plug-in, every challenge is used once, \
         and no setting changes that",
    );
    Some(what.of_row(61))
}

pub(super) fn unknown_key(name: &str, path: &str, known: Option<&Map<String, Value>>) -> BadValue {
    let place = if path.is_empty() { "the file's top".to_owned() } else { format!("[{path}]") };
    let known: Vec<&str> = known.into_iter().flat_map(Map::keys).map(String::as_str).collect();
    let all = known.join("`, `");
    let remedy = match closest(name, known.iter().copied()) {
        Some(close) => format!("did you mean `{close}`? Known here: `{all}`"),
        None => format!("remove it. Known here: `{all}`"),
    };
    BadValue::new("unknown-key", format!("unknown key `{name}` in {place}"), remedy)
}

pub(super) fn missing_key(name: &str, path: &str, hint: String) -> BadValue {
    let place = if path.is_empty() { "the file".to_owned() } else { format!("[{path}]") };
    let hint = if hint.is_empty() { String::new() } else { format!(": {hint}") };
    BadValue::new("missing-key", format!("{place} lacks `{name}`"), format!("add `{name}`{hint}"))
}

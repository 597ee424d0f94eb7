//! What the plug-in answers, natively, on the SDK's mock of the host.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may state what they know"
)]

use countersign_plugin_rules::{ChallengeUse, Rules, Settings};
use countersign_sdk::{HttpResponse, Name, NotApproved, RequestKind, Vouched, mock};
use serde_json::{Value, json};

#[test]
fn golden_cases() -> Result<(), mock::CaseFailures> {
    mock::run_cases::<Rules>("cases")
}

/// The one problem with a rule.
fn problem(permit: &str) -> String {
    let settings = json!({ "rules": [{ "permit": permit }] }).to_string();
    let problems = mock::Host::new().check_settings::<Rules>(&settings);
    assert_eq!(problems.len(), 1, "{permit}: {problems:?}");
    assert_eq!(problems[0].pointer, "/rules/0/permit");
    problems[0].text.clone()
}

#[test]
fn a_problem_says_line_and_column_and_what_was_expected() {
    for (permit, place, words) in [
        ("request.kind ==", "line 1, column 16: ", "expecting"),
        ("true &&\n  nonsense", "line 2, column 3: ", "found `nonsense`"),
        ("true &&\n  request.profile.matches('a')", "line 2, column 26: ", "`matches`"),
        ("device.state == 'x'", "line 1, column 1: ", "look-up"),
        ("(true", "line 1, column 6: ", "missing"),
        ("'abc", "line 1, column 1: ", "token recognition error"),
        ("'ä' == nonsense", "line 1, column 8: ", "found `nonsense`"),
    ] {
        let text = problem(permit);
        assert!(text.starts_with(place) && text.contains(words), "{permit}: {text}");
        assert!(text.len() < 500 && !text.contains(char::is_control), "{text}");
    }
}

/// Fails when an expression can make the plug-in recurse without end: the test would not end well.
#[test]
fn no_expression_is_too_much_for_the_parser() {
    let long = |part: &str, times: usize, end: &str| format!("{}{end}", part.repeat(times));
    for permit in [
        long("(", 1000, "true"),
        long("[", 1000, ""),
        long("!", 1000, "true"),
        long("-", 1000, "1"),
        long("true ? ", 290, "true"),
        long("true || ", 250, "true"),
        long("1 + ", 500, "1"),
        long("request.", 250, "kind"),
        long("request[0]", 200, ""),
        long("[1].all(x, ", 150, "true"),
        long("\u{0}", 2000, ""),
        long("'", 1999, ""),
        long("a.b(", 500, ""),
        long("{1:", 500, ""),
    ] {
        let settings = json!({ "rules": [{ "permit": permit }] }).to_string();
        // Whether it is a problem is not the point, and that it is bounded is.
        let _ = mock::Host::new().check_settings::<Rules>(&settings);
    }
}

#[test]
fn no_rule_approves_a_request_of_an_unknown_kind() {
    let settings: Settings = serde_json::from_value(json!({
        "rules": [{ "permit": "true" }], "challenge": "ignored",
    }))
    .unwrap();
    let kind = RequestKind::Other("transfer".into());
    let request = mock::request("laptops").common_name("device-17").kind(kind).build();
    let verdict = mock::Host::new().verify::<Rules>(&settings, &request);
    assert!(matches!(verdict, Err(NotApproved::Deny(_))), "{verdict:?}");
}

#[test]
fn challenges_are_issued_for_what_was_said_and_rules_know_who_asked() {
    let settings: Settings = serde_json::from_value(json!({
        "rules": [{ "permit": "challenge.attributes.requester == 'helpdesk'" }],
        "names": "challenge.names",
    }))
    .unwrap();
    let host = mock::Host::new();
    let name = Name::common_name("device-17");
    let hint = mock::hint("laptops", "helpdesk").name(name.clone()).device_id("17");
    let issued = host.issue::<Rules>(&settings, &hint.build()).unwrap();
    let challenge = issued.text.reveal();
    let request = mock::request("laptops").common_name("device-17").challenge(challenge).build();
    let approval = host.verify::<Rules>(&settings, &request).unwrap();
    assert_eq!(approval.vouched(), &Vouched::Names(vec![name]));
    assert_eq!(approval.device(), Some("17"));

    // Of somebody else, it is another matter.
    let issued = host.issue::<Rules>(&settings, &mock::hint("laptops", "intern").build()).unwrap();
    let request = mock::request("laptops").common_name("d").challenge(issued.text.reveal()).build();
    assert!(host.verify::<Rules>(&settings, &request).is_err());

    let ignoring = Settings { challenge: ChallengeUse::Ignored, names: None, ..settings.clone() };
    assert!(host.issue::<Rules>(&ignoring, &mock::hint("laptops", "helpdesk").build()).is_err());
    let params = mock::hint("laptops", "helpdesk").attribute("ndes-params", "x").build();
    assert!(host.issue::<Rules>(&settings, &params).is_err(), "not tied to what they mean");
}

#[test]
fn neither_the_challenge_nor_what_a_record_says_shows_in_a_denial() {
    let settings: Settings = serde_json::from_value(json!({
        "rules": [{ "permit": "device.owner > 17 && request.challenge == 'x'" }],
        "look-up": { "by": "challenge.device_id", "url": "https://mdm.example/{id}" },
    }))
    .unwrap();
    let host = mock::Host::new();
    host.keep(mock::challenge("OPEN-SESAME").device_id("17"));
    host.answer_http(|_| Ok(HttpResponse::new(200, r#"{"owner":"Jane Doe"}"#)));
    let request = mock::request("laptops").common_name("d").challenge("OPEN-SESAME").build();
    let verdict = host.verify::<Rules>(&settings, &request);
    assert!(matches!(verdict, Err(NotApproved::Deny(_))), "{verdict:?}");
    let shown = format!("{verdict:?} {:?}", host.log());
    assert!(!shown.contains("SESAME") && !shown.contains("Jane"), "{shown}");
}

/// Fails when a walk through what the device management answered is not bounded by its size.
#[test]
fn a_large_record_is_walked_through_once() {
    let settings: Settings = serde_json::from_value(json!({
        "rules": [{ "permit": "device.list.all(x, x >= 0)" }], "names": "[]",
        "look-up": { "by": "challenge.device_id", "url": "https://mdm.example/{id}" },
    }))
    .unwrap();
    let host = mock::Host::new();
    host.keep(mock::challenge("OPEN").device_id("17"));
    let record = json!({ "list": (0..20_000).collect::<Vec<u32>>() }).to_string();
    host.answer_http(move |_| Ok(HttpResponse::new(200, record.as_str())));
    let request = mock::request("laptops").common_name("d").challenge("OPEN").build();
    assert!(host.verify::<Rules>(&settings, &request).is_ok());
}

#[test]
fn every_setting_has_a_description() {
    let schema = mock::Host::new().settings_schema::<Rules>();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["required"], json!(["rules"]));
    let mut properties = schema["properties"].as_object().unwrap().clone();
    for definition in schema["$defs"].as_object().unwrap().values() {
        if let Some(more) = definition["properties"].as_object() {
            properties.extend(more.clone());
        }
    }
    for (name, property) in properties {
        assert!(property["description"].is_string(), "{name}");
    }
}

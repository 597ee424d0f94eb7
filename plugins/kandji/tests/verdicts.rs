//! What the verifier answers. The cases are files in `cases/`; here is what a file cannot say.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may state what they know"
)]

use countersign_plugin_kandji::{CHALLENGE, Kandji, Settings};
use countersign_sdk::{Ending, HttpResponse, NotApproved, Request, Verdict, mock};
use serde_json::{Value, json};

const URL: &str = "https://acme.api.kandji.io";
const DEVICE: &str = "aaaaaaaa-0000-4000-8000-000000000052";
const SECRET: &str = "OPEN-SESAME-17";

fn settings() -> Settings {
    serde_json::from_value(json!({ "url": URL })).unwrap()
}

fn host() -> mock::Host {
    let host = mock::Host::new();
    host.set_secret(CHALLENGE, SECRET);
    host.answer_http(|request| {
        let body = if request.url.contains("/commands") {
            json!({ "commands": { "results": [] } })
        } else {
            json!([{
                "device_id": DEVICE, "serial_number": "C02XK1", "mdm_enabled": true,
                "is_removed": false, "last_enrollment": "2025-05-13 20:09:27+00:00",
            }])
        };
        Ok(HttpResponse::new(200, body.to_string()))
    });
    host
}

/// A request of a key of its own.
fn asking(key: u8) -> Request {
    mock::request("macs").common_name("C02XK1").challenge(SECRET).csr(vec![key], [key; 32]).build()
}

fn verify(host: &mock::Host, key: u8) -> Verdict {
    host.verify::<Kandji>(&settings(), &asking(key))
}

fn code(verdict: Verdict) -> String {
    match verdict {
        Err(NotApproved::Deny(denial)) => denial.code.as_str().to_owned(),
        other => panic!("expected a denial, found {other:?}"),
    }
}

#[test]
fn golden_cases() -> Result<(), mock::CaseFailures> {
    mock::run_cases_on::<Kandji>("cases", |host| host.set_secret(CHALLENGE, SECRET))
}

#[test]
fn a_device_gets_one_certificate_and_may_ask_for_the_same_again() {
    let host = host();
    assert!(verify(&host, 1).is_ok());
    assert!(verify(&host, 1).is_ok());
    assert_eq!(code(verify(&host, 2)), "already-enrolled");
}

#[test]
fn a_certificate_that_was_not_issued_gives_the_turn_back() {
    for (ending, next) in [
        (Ending::Failed("the CA is out".into()), None),
        (Ending::Withheld("another name".into()), None),
        (Ending::Issued(mock::certificate("0a").build()), Some("already-enrolled")),
    ] {
        let host = host();
        assert!(verify(&host, 1).is_ok());
        let outcome = mock::outcome(asking(1), ending, DEVICE, "k-1");
        host.notify::<Kandji>(&settings(), &outcome).unwrap();
        match next {
            None => assert!(verify(&host, 2).is_ok()),
            Some(denied) => assert_eq!(code(verify(&host, 2)), denied),
        }
    }
}

#[test]
fn an_ending_of_somebody_else_gives_no_turn_back() {
    let host = host();
    assert!(verify(&host, 1).is_ok());
    let outcome = mock::outcome(asking(2), Ending::Failed("no".into()), DEVICE, "k-1");
    host.notify::<Kandji>(&settings(), &outcome).unwrap();
    assert_eq!(code(verify(&host, 2)), "already-enrolled");
}

#[test]
fn after_the_days_of_the_settings_a_device_may_get_another_certificate() {
    let host = host();
    assert!(verify(&host, 1).is_ok());
    host.advance(std::time::Duration::from_secs(30 * 24 * 3600 + 1));
    assert!(verify(&host, 2).is_ok());
}

#[test]
fn whoever_does_not_know_the_challenge_has_nothing_looked_up() {
    let host = host();
    let request = mock::request("macs").common_name("C02XK1").challenge("OPEN").build();
    assert_eq!(code(host.verify::<Kandji>(&settings(), &request)), "challenge-unknown");
    assert!(host.http_requests().is_empty());
}

#[test]
fn no_challenge_shows_in_what_is_said_and_logged() {
    let host = host();
    let said = format!("{:?} {:?} {:?}", verify(&host, 1), verify(&host, 2), host.log());
    assert!(!said.contains(SECRET), "{said}");
    let asked = format!("{:?}", host.http_requests());
    assert!(!asked.contains(SECRET), "{asked}");
}

#[test]
fn the_schema_describes_every_setting() {
    let schema: Value = serde_json::from_str(&host().settings_schema::<Kandji>()).unwrap();
    for (name, property) in schema["properties"].as_object().unwrap() {
        assert!(property["description"].is_string(), "{name}: {property}");
    }
    assert_eq!(schema["required"], json!(["url"]));
    assert_eq!(schema["additionalProperties"], false);
}

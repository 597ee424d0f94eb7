//! What the verifier answers. The cases are files in `cases/`; here is what a file cannot say.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may state what they know"
)]

use countersign_plugin_workspace_one::{Settings, WorkspaceOne};
use countersign_sdk::{
    Denial, Ending, HttpResponse, IssuedChallenge, Name, NotApproved, Request, Verdict, mock,
};
use serde_json::{Value, json};

fn settings() -> Settings {
    serde_json::from_value(json!({ "url": "https://as1234.awmdm.com", "tenant-code": "1qaz" }))
        .unwrap()
}

fn host() -> mock::Host {
    let host = mock::Host::new();
    host.answer_http(|_| {
        let record = json!({
            "Id": { "Value": 52 }, "SerialNumber": "F4GXK1", "EnrollmentStatus": "Enrolled",
            "LastEnrolledOn": "2025-06-03T03:01:26",
        });
        Ok(HttpResponse::new(200, record.to_string()))
    });
    host
}

fn issue(host: &mock::Host) -> Result<IssuedChallenge, Denial> {
    host.issue::<WorkspaceOne>(&settings(), &mock::hint("phones", "ws1").build())
}

/// A request of a key of its own.
fn asking(challenge: &IssuedChallenge, key: u8) -> Request {
    mock::request("phones")
        .common_name("F4GXK1")
        .challenge(challenge.text.reveal())
        .csr(vec![key], [key; 32])
        .build()
}

fn code(verdict: Verdict) -> String {
    match verdict {
        Err(NotApproved::Deny(denial)) => denial.code.as_str().to_owned(),
        other => panic!("expected a denial, found {other:?}"),
    }
}

#[test]
fn golden_cases() -> Result<(), mock::CaseFailures> {
    mock::run_cases::<WorkspaceOne>("cases")
}

#[test]
fn a_challenge_that_uem_fetched_is_good_for_one_request() {
    let host = host();
    let issued = issue(&host).unwrap();
    let verify = |key| host.verify::<WorkspaceOne>(&settings(), &asking(&issued, key));
    assert!(verify(1).is_ok());
    assert!(verify(1).is_ok());
    assert_eq!(code(verify(2)), "challenge-used");
}

/// Row 2: a challenge that names nobody is worth little more than one certificate for its own device.
#[test]
fn row_02_a_second_challenge_gets_no_second_certificate_for_a_device() {
    let host = host();
    let (first, second) = (issue(&host).unwrap(), issue(&host).unwrap());
    assert!(host.verify::<WorkspaceOne>(&settings(), &asking(&first, 1)).is_ok());
    let thief = asking(&second, 2);
    assert_eq!(code(host.verify::<WorkspaceOne>(&settings(), &thief)), "already-enrolled");
    // The CA did not issue the first one: the device may ask with another key.
    let outcome =
        mock::outcome(asking(&first, 1), Ending::Failed("the CA is out".into()), "52", "k-1");
    host.notify::<WorkspaceOne>(&settings(), &outcome).unwrap();
    assert!(host.verify::<WorkspaceOne>(&settings(), &thief).is_ok());
}

#[test]
fn whoever_says_a_device_gets_no_challenge_that_is_bound_to_none() {
    let host = host();
    let hint = || mock::hint("phones", "ws1");
    for hint in [
        hint().name(Name::common_name("F4GXK1")).build(),
        hint().device_id("52").build(),
        hint().attribute("ndes-params", "CN=F4GXK1").build(),
    ] {
        let denied = host.issue::<WorkspaceOne>(&settings(), &hint).unwrap_err();
        assert_eq!(denied.code.as_str(), "not-supported");
    }
}

#[test]
fn a_challenge_lives_as_long_as_settings_and_host_both_allow() {
    let host = host();
    for (ttl, expected) in [("600", 600), ("86400", 3600)] {
        let hint = mock::hint("phones", "ws1").attribute("ttl-seconds", ttl).build();
        let issued = host.issue::<WorkspaceOne>(&settings(), &hint).unwrap();
        let life = issued.expires.duration_since(host.now()).unwrap().as_secs();
        assert_eq!(life, expected);
    }
}

#[test]
fn a_device_without_challenge_has_nothing_looked_up() {
    let host = host();
    let request = mock::request("phones").common_name("F4GXK1").challenge("GUESS").build();
    assert_eq!(code(host.verify::<WorkspaceOne>(&settings(), &request)), "challenge-unknown");
    assert!(host.http_requests().is_empty());
}

#[test]
fn no_challenge_shows_in_what_is_said_and_logged() {
    let host = host();
    let issued = issue(&host).unwrap();
    let verify = |key| host.verify::<WorkspaceOne>(&settings(), &asking(&issued, key));
    let said = format!("{issued:?} {:?} {:?} {:?}", verify(1), verify(2), host.log());
    assert!(!said.contains(issued.text.reveal()), "{said}");
}

#[test]
fn the_schema_describes_every_setting() {
    let schema: Value = serde_json::from_str(&host().settings_schema::<WorkspaceOne>()).unwrap();
    for (name, property) in schema["properties"].as_object().unwrap() {
        assert!(property["description"].is_string(), "{name}: {property}");
    }
    assert_eq!(schema["required"], json!(["url", "tenant-code"]));
    assert_eq!(schema["additionalProperties"], false);
}

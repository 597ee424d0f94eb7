//! What the verifier answers. The cases are files in `cases/`; here is what a file cannot say.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may state what they know"
)]

use countersign_plugin_fleet::{CHALLENGE, Fleet, Settings};
use countersign_sdk::{
    Denial, Ending, HttpResponse, IssuedChallenge, Name, NotApproved, Request, Verdict, Vouched,
    mock,
};
use serde_json::{Value, json};

const HOST: &str = "DDDDDDDD-0000-4000-8000-000000000052";
const OTHER: &str = "DDDDDDDD-0000-4000-8000-000000000053";
const SECRET: &str = "OPEN-SESAME-17";

fn settings() -> Settings {
    serde_json::from_value(json!({ "url": "https://fleet.example.com" })).unwrap()
}

fn host() -> mock::Host {
    let host = mock::Host::new();
    host.set_secret(CHALLENGE, SECRET);
    host.answer_http(|request| {
        let id = request.url.rsplit('/').next().unwrap();
        let known = |uuid: &str, serial: &str| id == uuid || id == serial;
        let (uuid, serial) = if known(HOST, "C02XK1") {
            (HOST, "C02XK1")
        } else if known(OTHER, "C02XK2") {
            (OTHER, "C02XK2")
        } else {
            return Ok(HttpResponse::new(404, "{}"));
        };
        let record = json!({ "host": {
            "id": 52, "uuid": uuid, "hardware_serial": serial,
            "last_mdm_enrolled_at": "2025-02-26T22:33:12Z",
            "mdm": { "enrollment_status": "On (manual)", "connected_to_fleet": true },
        }});
        Ok(HttpResponse::new(200, record.to_string()))
    });
    host
}

/// What Fleet sends for a challenge, in seconds since 1970.
fn question(device: &Value, sent: u64) -> String {
    let mut event = json!({ "payloadTypes": ["com.apple.security.scep"] });
    if !device.is_null() {
        event["device"] = device.clone();
    }
    let webhook = json!({ "webhookEvent": "SCEPChallenge", "eventTimestamp": sent });
    json!({ "webhook": webhook, "event": event }).to_string()
}

fn now(host: &mock::Host) -> u64 {
    host.now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

fn issue(host: &mock::Host, body: &str) -> Result<IssuedChallenge, Denial> {
    let hint = mock::hint("macs", "fleet").body("application/json", body).build();
    host.issue::<Fleet>(&settings(), &hint)
}

/// A request of a host and a key of its own.
fn asking(challenge: &str, uuid: &str, key: u8) -> Request {
    mock::request("macs")
        .common_name("C02XK1")
        .path_suffix(format!("{uuid},a2,WIFI,fleet-secret"))
        .challenge(challenge)
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
    mock::run_cases_on::<Fleet>("cases", |host| host.set_secret(CHALLENGE, SECRET))
}

#[test]
fn a_question_as_from_the_page_and_one_without_device_get_a_challenge_for_any_host_once() {
    for body in ["".to_owned(), question(&Value::Null, 1_767_225_600)] {
        let host = host();
        let issued = issue(&host, &body).unwrap();
        assert!(host.http_requests().is_empty(), "there is nobody to ask about");
        let text = issued.text.reveal();
        let verify = |request| host.verify::<Fleet>(&settings(), &request);
        let approval = verify(asking(text, HOST, 1)).unwrap();
        let names = ["CN=C02XK1".parse().unwrap(), Name::common_name(HOST)].to_vec();
        assert_eq!(approval.vouched(), &Vouched::Names(names));
        assert_eq!(approval.device(), Some(HOST));
        assert_eq!(code(verify(asking(text, OTHER, 2))), "challenge-used");
        let second = issue(&host, &body).unwrap();
        assert_eq!(code(verify(asking(second.text.reveal(), HOST, 3))), "already-enrolled");
    }
}

#[test]
fn row_02_a_question_with_a_device_gets_a_challenge_for_that_host_only() {
    for device in [
        json!({ "uuid": HOST }),
        json!({ "serialNumber": "C02XK1" }),
        json!({ "uuid": HOST, "serialNumber": "c02xk1" }),
    ] {
        let host = host();
        let issued = issue(&host, &question(&device, now(&host))).unwrap();
        let verify =
            |uuid| host.verify::<Fleet>(&settings(), &asking(issued.text.reveal(), uuid, 1));
        assert_eq!(code(verify(OTHER)), "name-mismatch");
        assert!(verify(HOST).is_ok());
    }
}

#[test]
fn a_question_that_says_two_hosts_or_none_that_fleet_holds_gets_no_challenge() {
    let host = host();
    let denied = |device: &Value| {
        let denied = issue(&host, &question(device, now(&host))).unwrap_err();
        denied.code.as_str().to_owned()
    };
    assert_eq!(denied(&json!({ "uuid": HOST, "serialNumber": "C02XK2" })), "device-unknown");
    assert_eq!(denied(&json!({ "uuid": "E-1" })), "device-unknown");
    assert_eq!(denied(&json!({ "hostname": "mac" })), "not-supported");
}

#[test]
fn an_old_question_is_refused_and_a_clock_may_differ_a_little() {
    let host = host();
    assert!(issue(&host, &question(&Value::Null, now(&host) - 14 * 60)).is_ok());
    for sent in [now(&host) - 16 * 60, now(&host) + 16 * 60] {
        let denied = issue(&host, &question(&Value::Null, sent)).unwrap_err();
        assert_eq!(denied.code.as_str(), "question-stale");
    }
}

#[test]
fn what_fleet_cannot_answer_now_is_said_as_not_now() {
    for status in [401, 403, 429, 500] {
        let host = mock::Host::new();
        host.answer_http(move |_| Ok(HttpResponse::new(status, "")));
        let denied = issue(&host, &question(&json!({ "uuid": HOST }), now(&host))).unwrap_err();
        assert_eq!(denied.code.as_str(), "host-unavailable", "{status}");
    }
}

#[test]
fn what_is_no_question_of_fleets_is_refused() {
    let host = host();
    for body in ["{}", "[]", "{", "names=CN%3Da", r#"{"names":["CN=a"]}"#, "<JSSEvent/>"] {
        assert_eq!(issue(&host, body).unwrap_err().code.as_str(), "not-supported", "{body}");
    }
    let hint = mock::hint("macs", "fleet").name(Name::common_name("C02XK1")).build();
    let denied = host.issue::<Fleet>(&settings(), &hint).unwrap_err();
    assert_eq!(denied.code.as_str(), "not-supported");
    let fixed: Settings = serde_json::from_value(
        json!({ "url": "https://fleet.example.com", "challenge": "static" }),
    )
    .unwrap();
    let denied = host.issue::<Fleet>(&fixed, &mock::hint("macs", "fleet").build()).unwrap_err();
    assert_eq!(denied.code.as_str(), "not-supported");
}

#[test]
fn a_certificate_that_was_not_issued_gives_the_turn_back() {
    let host = host();
    let (first, second) = (issue(&host, "").unwrap(), issue(&host, "").unwrap());
    let verify = |request: &Request| host.verify::<Fleet>(&settings(), request);
    let request = asking(first.text.reveal(), HOST, 1);
    assert!(verify(&request).is_ok());
    let outcome = mock::outcome(request, Ending::Failed("the CA is out".into()), HOST, "k-1");
    host.notify::<Fleet>(&settings(), &outcome).unwrap();
    assert!(verify(&asking(second.text.reveal(), HOST, 2)).is_ok());
}

#[test]
fn neither_challenge_shows_in_what_is_said_and_logged() {
    let host = host();
    let issued = issue(&host, "").unwrap();
    let verify = |key| host.verify::<Fleet>(&settings(), &asking(issued.text.reveal(), HOST, key));
    let said = format!(
        "{issued:?} {:?} {:?} {:?} {:?}",
        verify(1),
        verify(2),
        host.log(),
        host.http_requests()
    );
    assert!(!said.contains(issued.text.reveal()), "{said}");
    assert!(!said.contains("fleet-secret"), "{said}");
}

#[test]
fn the_schema_describes_every_setting() {
    let schema: Value = serde_json::from_str(&host().settings_schema::<Fleet>()).unwrap();
    for (name, property) in schema["properties"].as_object().unwrap() {
        assert!(property["description"].is_string(), "{name}: {property}");
    }
    assert_eq!(schema["required"], json!(["url"]));
    assert_eq!(schema["additionalProperties"], false);
}

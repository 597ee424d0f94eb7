//! What the plug-in answers, natively, on the SDK's mock of the host.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may state what they know"
)]

use std::time::Duration;

use countersign_plugin_managed_renewal::{ManagedRenewal, Settings};
use countersign_sdk::{HttpResponse, Name, NotApproved, Request, RequestKind, mock};
use serde_json::json;

fn settings() -> Settings {
    serde_json::from_value(json!({
        "url": "https://mdm.example/d/{CN}", "pointer": "/state", "expected": ["managed"],
    }))
    .unwrap()
}

fn renewal(host_validated: bool) -> Request {
    let current = mock::certificate("5a17").name(Name::common_name("device-17")).build();
    let request = mock::request("laptops").common_name("device-17");
    request.renewal_of(current, host_validated).build()
}

#[test]
fn golden_cases() -> Result<(), mock::CaseFailures> {
    mock::run_cases::<ManagedRenewal>("cases")
}

/// Fails when the question takes the place of the proof.
#[test]
fn a_managed_device_without_proof_renews_nothing_and_nobody_is_asked() {
    let without = mock::request("laptops").common_name("device-17").challenge("ANY").build();
    let unknown = mock::request("laptops").kind(RequestKind::Other("transfer".into())).build();
    for request in [renewal(false), without, unknown] {
        let host = mock::Host::new();
        host.answer_http(|_| Ok(HttpResponse::new(200, r#"{"state":"managed"}"#)));
        let verdict = host.verify::<ManagedRenewal>(&settings(), &request);
        assert!(matches!(verdict, Err(NotApproved::Deny(_))), "{verdict:?}");
        assert_eq!(host.http_requests().len(), 0);
    }
}

#[test]
fn the_server_says_when_to_come_again_and_cannot_say_never() {
    for (asked, after) in [("120", 120), ("0", 1), ("999999", 3600), ("soon", 60)] {
        let host = mock::Host::new();
        host.answer_http(move |_| {
            let mut response = HttpResponse::new(429, "");
            response.headers = vec![("retry-after".into(), asked.into())];
            Ok(response)
        });
        let verdict = host.verify::<ManagedRenewal>(&settings(), &renewal(true));
        let Err(NotApproved::Unavailable(retry)) = verdict else { panic!("{verdict:?}") };
        assert_eq!(retry.after, Duration::from_secs(after), "{asked}");
    }
}

#[test]
fn the_whole_is_asked_anew_every_time() {
    let host = mock::Host::new();
    host.answer_http(|_| Ok(HttpResponse::new(200, r#"{"state":"managed"}"#)));
    assert!(host.verify::<ManagedRenewal>(&settings(), &renewal(true)).is_ok());
    host.answer_http(|_| Ok(HttpResponse::new(200, r#"{"state":"retired"}"#)));
    assert!(host.verify::<ManagedRenewal>(&settings(), &renewal(true)).is_err());
}

#[test]
fn every_setting_has_a_description() {
    let schema = mock::Host::new().settings_schema::<ManagedRenewal>();
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["required"], json!(["url"]));
    for (name, property) in schema["properties"].as_object().unwrap() {
        assert!(property["description"].is_string(), "{name}");
    }
}

//! What the plug-in sends and answers, natively, on the SDK's mock of the host.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may state what they know"
)]

mod microsoft;

use std::collections::BTreeSet;
use std::time::Duration;

use countersign_plugin_intune::{Intune, Settings};
use countersign_sdk::{Ending, HttpResponse, Name, NotApproved, Request, Verifier as _, mock};
use serde_json::json;

use microsoft::{Microsoft, host_with};

pub(crate) fn settings() -> Settings {
    Settings {
        graph_url: "https://graph.microsoft.com".into(),
        service_domain: "manage.microsoft.com".into(),
        ca_configuration: None,
        certificate_authority: None,
        revocation_issuer: None,
        revocation_batch: 100,
    }
}

fn request() -> Request {
    mock::request("laptops")
        .common_name("device-17")
        .name(Name::Dns("device-17.example".into()))
        .transaction_id("4711")
        .challenge("MIIGsealed")
        .build()
}

#[test]
fn golden_cases() -> Result<(), mock::CaseFailures> {
    mock::run_cases::<Intune>("cases")
}

#[test]
fn each_setting_is_described_and_none_beyond_them_is_taken() {
    let host = mock::Host::new();
    let schema: serde_json::Value =
        serde_json::from_str(&host.settings_schema::<Intune>()).unwrap();
    let properties = schema["properties"].as_object().unwrap();
    assert!(properties.values().all(|one| one["description"].is_string()), "{schema}");
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["required"], json!(["graph-url", "service-domain"]));
    let _ = Intune::describe();
}

/// Fails when `Retry-After` is not heard, or a wait of nothing is.
#[test]
fn the_device_comes_again_when_intune_says() {
    for (status, value, expected) in [
        (429, "120", 120),
        (503, "Thu, 01 Jan 2026 00:10:00 GMT", 600),
        (429, "0", 10),
        (429, "soon", 10),
        (500, "", 10),
    ] {
        let (host, microsoft) = host_with(Microsoft::default());
        microsoft.borrow_mut().answer("ScepActions/validateRequest", move || {
            let mut response = HttpResponse::new(status, "");
            response.headers = vec![("retry-after".into(), value.into())];
            Ok(response)
        });
        let verdict = host.verify::<Intune>(&settings(), &request());
        let Err(NotApproved::Unavailable(retry)) = verdict else { panic!("{verdict:?}") };
        assert_eq!(retry.after, Duration::from_secs(expected), "{status} {value}");
    }
}

#[test]
fn each_call_has_an_id_of_its_own_that_is_logged_and_no_challenge_is() {
    let (host, _microsoft) = host_with(Microsoft::default());
    let approval = host.verify::<Intune>(&settings(), &request()).unwrap();
    assert_eq!(approval.device(), None, "Intune does not say which device it is");
    let ids: BTreeSet<_> = host
        .http_requests()
        .iter()
        .map(|sent| {
            let field = |name: &str| {
                let found = sent.headers.iter().find(|(found, _)| found == name);
                found.map(|(_, value)| value.clone())
            };
            assert_eq!(field("user-agent").unwrap(), "Countersign/0.1.0");
            let id = field("client-request-id").unwrap();
            let is_guid = id.len() == 36 && id.as_bytes()[14] == b'4';
            assert!(is_guid && "89ab".contains(char::from(id.as_bytes()[19])), "{id}");
            id
        })
        .collect();
    assert_eq!(ids.len(), 2, "discovery and validation");
    let log = format!("{:?} {approval:?}", host.log());
    assert!(ids.iter().all(|id| log.contains(id)), "{log}");
    assert!(!log.contains("sealed"), "{log}");
}

/// Fails when the address is kept for ever.
#[test]
fn where_the_service_is_is_asked_again_after_a_while() {
    let (host, microsoft) = host_with(Microsoft::default());
    for (hours, discoveries) in [(0, 1), (5, 1), (2, 2)] {
        host.advance(Duration::from_secs(hours * 3_600));
        assert!(host.verify::<Intune>(&settings(), &request()).is_ok());
        assert_eq!(microsoft.borrow().discoveries, discoveries);
    }
}

#[test]
fn intune_hears_of_a_certificate_in_its_own_words() {
    let (host, microsoft) = host_with(Microsoft::default());
    let settings = Settings {
        ca_configuration: Some("lab\\CA".into()),
        certificate_authority: Some("CA 1".into()),
        ..settings()
    };
    let issued = mock::certificate("a1b").build();
    let outcome = mock::outcome(request(), Ending::Issued(issued), "", "delivery-1");
    // At least once: the second delivery says the same.
    assert_eq!(host.notify::<Intune>(&settings, &outcome), Ok(()));
    assert_eq!(host.notify::<Intune>(&settings, &outcome), Ok(()));
    let heard = microsoft.borrow().heard("ScepActions/successNotification");
    assert_eq!(heard.len(), 2);
    assert_eq!(heard[0], heard[1]);
    let csr = "Q049ZGV2aWNlLTE3";
    let notification = &heard[0]["notification"];
    assert!(notification["certificateRequest"].as_str().unwrap().starts_with(csr));
    let mut rest = notification.clone();
    rest.as_object_mut().unwrap().remove("certificateRequest");
    assert_eq!(
        rest,
        json!({
            "transactionId": "4711",
            "callerInfo": "Countersign/0.1.0",
            // SHA-1 of `certificate a1b`.
            "certificateThumbprint": "FE8BFB257CABABE82BE2BB8213F63EA14D9C58A3",
            "certificateSerialNumber": "0A1B",
            "certificateExpirationDateUtc": "2026-01-02T00:00:00.0000000Z",
            "issuingCertificateAuthority": "CN=Mock CA",
            "caConfiguration": "lab\\CA",
            "certificateAuthority": "CA 1",
        })
    );
}

#[test]
fn intune_hears_of_a_failure_with_a_code_and_a_short_reason() {
    for (ending, code, description) in [
        (Ending::Failed("the CA refused".into()), 0xA000_0001_u32, "the CA refused".to_owned()),
        (Ending::Withheld("x".repeat(300)), 0xA000_0002, "x".repeat(255)),
        (Ending::Other("odd\nthing".into()), 0xA000_0003, "odd thing".to_owned()),
    ] {
        let (host, microsoft) = host_with(Microsoft::default());
        let outcome = mock::outcome(request(), ending, "", "delivery-1");
        assert_eq!(host.notify::<Intune>(&settings(), &outcome), Ok(()));
        let heard = microsoft.borrow().heard("ScepActions/failureNotification");
        assert_eq!(heard.len(), 1);
        let notification = &heard[0]["notification"];
        assert_eq!(notification["hResult"], code);
        assert_eq!(notification["errorDescription"], description);
        assert_eq!(notification["transactionId"], "4711");
        assert!(notification.get("certificateThumbprint").is_none());
    }
}

/// Fails when a device could get a certificate that Intune does not know of.
#[test]
fn a_certificate_that_intune_did_not_take_note_of_is_told_again() {
    let issued = || Ending::Issued(mock::certificate("a1b").build());
    type Answer = fn() -> Result<HttpResponse, countersign_sdk::HttpError>;
    let answers: [Answer; 5] = [
        || Ok(HttpResponse::new(200, r#"{"code":"ScepProfileNoLongerTargetedToTheClient"}"#)),
        || Ok(HttpResponse::new(200, "")),
        || Ok(HttpResponse::new(500, r#"{"code":"Success"}"#)),
        || Ok(HttpResponse::new(401, "")),
        || Err(countersign_sdk::HttpError::Timeout),
    ];
    for answer in answers {
        let (host, microsoft) = host_with(Microsoft::default());
        microsoft.borrow_mut().answer("ScepActions/successNotification", answer);
        let outcome = mock::outcome(request(), issued(), "", "delivery-1");
        let retry = host.notify::<Intune>(&settings(), &outcome).unwrap_err();
        assert!(retry.after >= Duration::from_secs(1), "{retry:?}");
        assert!(!retry.detail.contains("sealed"), "{retry:?}");
    }
}

/// A failure that Intune does not want to hear of does not hold up what comes after it; one that it
/// could not hear of is told again.
#[test]
fn a_failure_that_intune_declines_is_left_at_that() {
    let failed = || mock::outcome(request(), Ending::Failed("x".into()), "", "delivery-1");
    let (host, microsoft) = host_with(Microsoft::default());
    microsoft.borrow_mut().answer("ScepActions/failureNotification", || {
        Ok(HttpResponse::new(200, r#"{"code":"ChallengeExpired"}"#))
    });
    assert_eq!(host.notify::<Intune>(&settings(), &failed()), Ok(()));
    assert!(format!("{:?}", host.log()).contains("ChallengeExpired"));
    microsoft
        .borrow_mut()
        .answer("ScepActions/failureNotification", || Ok(HttpResponse::new(503, "")));
    assert!(host.notify::<Intune>(&settings(), &failed()).is_err());
}

//! What the plug-in sends and answers, natively, on the SDK's mock of the host with real HMAC.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may state what they know"
)]

use std::rc::Rc;
use std::time::Duration;

use aws_lc_rs::hmac;
use countersign_plugin_webhook::{Format, KEY, Settings, Vouch, Webhook};
use countersign_sdk::{
    Action, Denial, DenialCode, Ending, HttpRequest, HttpResponse, Name, NotApproved, Reason,
    Request, ResultKind, Verdict, Vouched, mock,
};
use serde_json::{Value, json};

const URL: &str = "https://hooks.example/scep";
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

fn tag(message: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    hmac::sign(&key, message).as_ref().to_vec()
}

fn host() -> mock::Host {
    let host = mock::Host::new();
    host.answer_mac(|secret, message| (secret == KEY).then(|| tag(message)));
    host
}

fn settings(format: Format) -> Settings {
    Settings {
        url: URL.into(),
        id: "hook-1".into(),
        format,
        vouch: Vouch::Names,
        notify: true,
        notify_url: None,
        send_credential: false,
        provisioner_name: None,
        timeout_ms: 5_000,
    }
}

fn request() -> Request {
    mock::request("laptops")
        .common_name("device-17")
        .name(Name::Dns("device-17.example".into()))
        .transaction_id("4711")
        .challenge("OPEN-SESAME")
        .build()
}

fn field<'r>(request: &'r HttpRequest, name: &str) -> &'r str {
    &request.headers.iter().find(|(found, _)| found == name).unwrap().1
}

fn now(host: &mock::Host) -> u64 {
    host.now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// An answer signed as the receiver does.
fn signed(nonce: &str, timestamp: u64, status: u16, body: &str) -> HttpResponse {
    let text = format!("countersign-webhook-1 response\n{nonce}\n{status}\n{timestamp}\n{body}");
    let mut response = HttpResponse::new(status, body.to_owned());
    let signature = format!("v1={}", hex::encode(tag(text.as_bytes())));
    response.headers = vec![
        ("countersign-timestamp".into(), timestamp.to_string()),
        ("countersign-signature".into(), signature),
    ];
    response
}

fn ask(host: &mock::Host, format: Format, request: &Request) -> Verdict {
    host.verify::<Webhook>(&settings(format), request)
}

#[test]
fn golden_cases() -> Result<(), mock::CaseFailures> {
    mock::run_cases_on::<Webhook>("cases", |host| {
        host.answer_mac(|secret, message| (secret == KEY).then(|| tag(message)));
    })
}

#[test]
fn a_receiver_of_step_ca_finds_everything_where_it_expects_it() {
    let host = host();
    host.answer_http(|_| Ok(HttpResponse::new(200, r#"{"allow":true}"#)));
    let approval = ask(&host, Format::StepCa, &request()).unwrap();
    assert_eq!(approval.vouched(), &Vouched::Names(Vec::new()), "no names, so none vouched for");
    let sent = &host.http_requests()[0];
    assert_eq!(field(sent, "x-smallstep-webhook-id"), "hook-1");
    assert_eq!(field(sent, "x-smallstep-signature"), hex::encode(tag(&sent.body)));
    let body: Value = serde_json::from_slice(&sent.body).unwrap();
    assert_eq!(body["scepChallenge"], "OPEN-SESAME");
    assert_eq!(body["scepTransactionID"], "4711");
    assert_eq!(body["provisionerName"], "laptops");
    assert_eq!(body["timestamp"], "2026-01-01T00:00:00Z");
    let csr = &body["x509CertificateRequest"];
    assert_eq!(csr["subject"]["commonName"], "device-17");
    assert_eq!(csr["dnsNames"], json!(["device-17.example"]));
    assert!(csr["raw"].is_string() && csr["publicKeyAlgorithm"].is_string());
    assert!(body.get("countersign").is_none(), "nothing that a strict receiver does not know");
}

#[test]
fn an_answer_that_is_signed_for_the_nonce_is_believed() {
    let host = host();
    let time = now(&host);
    host.answer_http(move |request| {
        let (nonce, sent) =
            (field(request, "countersign-nonce"), field(request, "countersign-timestamp"));
        assert_eq!(sent, time.to_string());
        let body = String::from_utf8(request.body.to_vec()).unwrap();
        let text = format!("countersign-webhook-1 request\nhook-1\n{URL}\n{sent}\n{nonce}\n{body}");
        let expected = format!("v1={}", hex::encode(tag(text.as_bytes())));
        assert_eq!(field(request, "countersign-signature"), expected);
        let names = r#"{"allow":true,"data":{"names":["CN=device-17"],"deviceId":"17"}}"#;
        Ok(signed(nonce, time, 200, names))
    });
    let approval = ask(&host, Format::Countersign, &request()).unwrap();
    assert_eq!(approval.vouched(), &Vouched::Names(vec![Name::common_name("device-17")]));
    assert_eq!(approval.device(), Some("17"));
    assert!(ask(&host, Format::Countersign, &request()).is_ok());
    let sent = host.http_requests();
    assert_ne!(field(&sent[0], "countersign-nonce"), field(&sent[1], "countersign-nonce"));
}

/// Fails when `Seal::open` no longer verifies the signature, or leaves nonce, status, time stamp or
/// body out of what is signed, or does not look at the time.
#[test]
fn an_answer_that_is_not_signed_for_this_request_is_no_answer() {
    const ALLOW: &str = r#"{"allow":true,"data":{"names":["CN=device-17"]}}"#;
    type Forge = fn(&str, u64) -> HttpResponse;
    let forgeries: [(&str, Forge); 7] = [
        ("unsigned", |_, _| HttpResponse::new(200, ALLOW)),
        ("for another nonce", |_, time| signed("00", time, 200, ALLOW)),
        ("another body", |nonce, time| {
            let mut response = signed(nonce, time, 200, r#"{"allow":false}"#);
            response.body = ALLOW.into();
            response
        }),
        ("another status", |nonce, time| {
            let mut response = signed(nonce, time, 403, ALLOW);
            response.status = 200;
            response
        }),
        ("another time", |nonce, time| {
            let mut response = signed(nonce, time - 1, 200, ALLOW);
            response.headers[0].1 = time.to_string();
            response
        }),
        ("too old", |nonce, time| signed(nonce, time - 301, 200, ALLOW)),
        ("no version", |nonce, time| {
            let mut response = signed(nonce, time, 200, ALLOW);
            response.headers[1].1 = response.headers[1].1.replace("v1=", "");
            response
        }),
    ];
    for (what, forge) in forgeries {
        let host = host();
        let time = now(&host);
        host.answer_http(move |request| Ok(forge(field(request, "countersign-nonce"), time)));
        let verdict = ask(&host, Format::Countersign, &request());
        assert!(matches!(verdict, Err(NotApproved::Unavailable(_))), "{what}: {verdict:?}");
    }
}

#[test]
fn no_challenge_shows_in_a_denial_or_in_the_log() {
    let host = host();
    host.answer_http(|_| {
        let echo = r#"{"allow":false,"error":{"code":"x","message":"OPEN-SESAME is unknown"}}"#;
        Ok(HttpResponse::new(200, echo))
    });
    let verdict = ask(&host, Format::StepCa, &request());
    let Err(NotApproved::Deny(denial)) = &verdict else { panic!("{verdict:?}") };
    assert_eq!(denial.code, DenialCode::Other("webhook-denied".into()));
    assert!(denial.detail.contains("is unknown"), "{}", denial.detail);
    assert!(!format!("{verdict:?} {:?}", host.log()).contains("SESAME"));
}

#[test]
fn what_is_no_answer_is_unavailable_and_never_approval() {
    for (status, body) in [
        (500, r#"{"allow":true}"#),
        (401, r#"{"allow":true}"#),
        (302, r#"{"allow":true}"#),
        (200, ""),
        (200, "{}"),
        (200, r#"{"allow":"yes"}"#),
        (200, r#"{"allow":1}"#),
        (200, "[true]"),
        (200, r#"{"allow":true,"data":{"names":["device-17"]}}"#),
    ] {
        let host = host();
        host.answer_http(move |_| Ok(HttpResponse::new(status, body)));
        let verdict = ask(&host, Format::StepCa, &request());
        assert!(
            matches!(verdict, Err(NotApproved::Unavailable(_))),
            "{status} {body}: {verdict:?}"
        );
    }
    assert!(matches!(ask(&host(), Format::StepCa, &request()), Err(NotApproved::Unavailable(_)),));
}

#[test]
fn outcomes_are_told_with_the_key_of_the_delivery_and_without_the_challenge() {
    let host = host();
    let issued = mock::certificate("0a1b").build();
    for (ending, event) in [
        (Ending::Issued(issued), "issued"),
        (Ending::Failed("the CA refused".into()), "failed"),
        (Ending::Withheld("another name".into()), "withheld"),
    ] {
        let time = now(&host);
        host.answer_http(move |request| {
            Ok(signed(field(request, "countersign-nonce"), time, 200, r#"{"allow":true}"#))
        });
        let outcome = mock::outcome(request(), ending, "", "delivery-1");
        assert_eq!(host.notify::<Webhook>(&settings(Format::Countersign), &outcome), Ok(()));
        let sent = host.http_requests().pop().unwrap();
        assert_eq!(field(&sent, "idempotency-key"), "delivery-1");
        let body: Value = serde_json::from_slice(&sent.body).unwrap();
        assert_eq!(body["countersign"]["event"], event);
        assert_eq!(body.get("x509Certificate").is_some(), event == "issued");
        assert_eq!(body.get("scepErrorDescription").is_some(), event != "issued");
        assert!(!body.to_string().contains("SESAME"));
    }
}

#[test]
fn a_notice_that_was_not_taken_is_told_again_and_none_is_told_unasked() {
    let host = Rc::new(host());
    let outcome = mock::outcome(request(), Ending::Failed("x".into()), "", "delivery-1");
    host.answer_http(|_| Ok(HttpResponse::new(503, "")));
    let retry = host.notify::<Webhook>(&settings(Format::StepCa), &outcome).unwrap_err();
    assert!(retry.after >= Duration::from_secs(1));
    host.answer_http(|_| Ok(HttpResponse::new(200, "")));
    // Unsigned: somebody answered who is not the receiver.
    assert!(host.notify::<Webhook>(&settings(Format::Countersign), &outcome).is_err());
    assert_eq!(host.notify::<Webhook>(&settings(Format::StepCa), &outcome), Ok(()));
    let before = host.http_requests().len();
    let silent = Settings { notify: false, ..settings(Format::StepCa) };
    assert_eq!(host.notify::<Webhook>(&silent, &outcome), Ok(()));
    assert_eq!(host.http_requests().len(), before);
}

/// The time of the mock's calls.
const NOW: u64 = 1_767_225_600;
const WIPE: &str = r#"{"id":"wipe-1","action":"revoke","deviceId":"17","detail":"wiped"}"#;

/// An event with this body, signed for `signed` at `time`.
fn event(body: &str, signed: &str, time: u64) -> Result<Vec<Action>, Denial> {
    let message = format!("countersign-webhook-1 event\nhook-1\n{time}\n{signed}");
    let event = mock::event(body)
        .header("countersign-timestamp", time.to_string())
        .header("countersign-signature", format!("v1={}", hex::encode(tag(message.as_bytes()))))
        .build();
    host().on_event::<Webhook>(&settings(Format::StepCa), &event)
}

#[test]
fn a_signed_event_revokes_a_device_or_a_certificate() {
    let reason = Reason::CessationOfOperation;
    assert_eq!(
        event(WIPE, WIPE, NOW),
        Ok(vec![Action::revoke_device("wipe-1", "17", reason, "wiped")])
    );
    let body = r#"{"id":"a","action":"revoke","reason":"key-compromise","detail":"a\nb",
        "certificate":{"issuer":"CN=CA","serialNumber":"1f"}}"#;
    let revoked = Action::revoke_certificate("a", "CN=CA", "1f", Reason::KeyCompromise, "a b");
    assert_eq!(event(body, body, NOW), Ok(vec![revoked]));
}

#[test]
fn an_event_that_is_not_signed_for_this_time_and_webhook_is_refused() {
    let code = |answer: Result<Vec<Action>, Denial>| answer.unwrap_err().code.as_str().to_owned();
    let other = WIPE.replace("17", "18");
    assert_eq!(code(event(&other, WIPE, NOW)), "event-unsigned");
    assert_eq!(code(event(WIPE, WIPE, NOW - 301)), "event-unsigned");
    assert_eq!(code(event(WIPE, WIPE, NOW + 301)), "event-unsigned");
    let bare = mock::event(WIPE).build();
    let answer = host().on_event::<Webhook>(&settings(Format::StepCa), &bare);
    assert_eq!(code(answer), "event-unsigned");
}

#[test]
fn an_event_that_says_something_else_is_refused() {
    for body in [
        r#"{"id":"a","action":"revoke"}"#,
        r#"{"id":"a","action":"lock","deviceId":"17"}"#,
        r#"{"action":"revoke","deviceId":"17"}"#,
        r#"{"id":"a","action":"revoke","device":"17"}"#,
        r#"{"id":"a","action":"revoke","deviceId":"1","certificate":{"issuer":"","serialNumber":""}}"#,
        "wipe 17",
    ] {
        let denial = event(body, body, NOW).unwrap_err();
        assert_eq!(denial.code.as_str(), "event-unreadable", "{body}");
    }
}

#[test]
fn the_receiver_is_told_what_became_of_its_events_if_it_wants_to_know() {
    let host = host();
    host.answer_http(|_| Ok(HttpResponse::new(200, "")));
    let results = || {
        [("wipe-1".to_owned(), ResultKind::Done), ("b".to_owned(), ResultKind::Failed("x".into()))]
    };
    assert_eq!(host.settled::<Webhook>(&settings(Format::StepCa), results()), Ok(()));
    let sent = host.http_requests().pop().unwrap();
    let body: Value = serde_json::from_slice(&sent.body).unwrap();
    assert_eq!(
        body["countersign"]["results"],
        json!([
            { "id": "wipe-1", "result": "done", "detail": "" },
            { "id": "b", "result": "failed", "detail": "x" },
        ])
    );
    let silent = Settings { notify: false, ..settings(Format::StepCa) };
    assert_eq!(host.settled::<Webhook>(&silent, results()), Ok(()));
    assert_eq!(host.http_requests().len(), 1);
    host.answer_http(|_| Ok(HttpResponse::new(503, "")));
    assert!(host.settled::<Webhook>(&settings(Format::StepCa), results()).is_err());
}

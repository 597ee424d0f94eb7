//! The feed of revocations, natively, on the SDK's mock of the host.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may state what they know"
)]

mod microsoft;

use std::time::Duration;

use countersign_plugin_intune::{Intune, Settings};
use countersign_sdk::{Act, Batch, HttpResponse, Reason, ResultKind, Target, mock};
use serde_json::{Value, json};

use microsoft::{Microsoft, host_with};

const DOWNLOAD: &str = "CertificateAuthorityRequests/downloadRevocationRequests";
const UPLOAD: &str = "CertificateAuthorityRequests/uploadRevocationResults";

fn settings(batch: u16) -> Settings {
    Settings {
        graph_url: "https://graph.microsoft.com".into(),
        service_domain: "manage.microsoft.com".into(),
        ca_configuration: None,
        certificate_authority: None,
        revocation_issuer: None,
        revocation_batch: batch,
    }
}

fn wanted(number: usize) -> Value {
    json!({
        "requestContext": format!("context-{number}"),
        "serialNumber": format!("{number:04X}"),
        "issuerName": "CN=Mock CA",
        "caConfiguration": "lab",
    })
}

fn ids(batch: &Batch) -> Vec<String> {
    batch.actions.iter().map(|action| action.id.clone()).collect()
}

#[test]
fn what_intune_wants_revoked_is_revoked_and_intune_hears_of_it() {
    let wanted = vec![wanted(0x0a1b), wanted(2), wanted(3), wanted(4), wanted(5)];
    let (host, microsoft) = host_with(Microsoft::wanting(wanted));
    let batch = host.on_schedule::<Intune>(&settings(100), None).unwrap();
    assert_eq!(
        microsoft.borrow().heard(DOWNLOAD),
        [json!({ "downloadParameters": { "maxRequests": 100, "issuerName": null } })]
    );
    assert!(!batch.more);
    assert!(batch.cursor.len() <= 4096);
    assert_eq!(batch.actions.len(), 5);
    let serials: Vec<_> = batch
        .actions
        .iter()
        .map(|action| {
            let Act::Revoke(revocation) = &action.act else { panic!("{action:?}") };
            assert_eq!(revocation.reason, Reason::CessationOfOperation);
            let Target::Certificate { issuer, serial_number } = &revocation.target else {
                panic!("{revocation:?}")
            };
            assert_eq!(issuer, "CN=Mock CA");
            (serial_number.clone(), action.id.clone())
        })
        .collect();
    let id = |serial: &str| serials.iter().find(|(found, _)| found == serial).unwrap().1.clone();

    let results = [
        (id("a1b"), ResultKind::Done),
        (id("2"), ResultKind::NothingToDo),
        (id("3"), ResultKind::Refused("not of this profile".into())),
        (id("4"), ResultKind::Failed(format!("the CA\n{}", "x".repeat(300)))),
        (id("5"), ResultKind::Other("new".into())),
        ("no-such-id".to_owned(), ResultKind::Done),
    ];
    assert_eq!(host.settled::<Intune>(&settings(100), results.clone()), Ok(()));
    let heard = microsoft.borrow().heard(UPLOAD);
    assert_eq!(heard.len(), 1);
    let results_of = heard[0]["results"].as_array().unwrap();
    let told: Vec<_> = results_of
        .iter()
        .map(|one| (one["requestContext"].as_str().unwrap(), &one["succeeded"], &one["errorCode"]))
        .collect();
    assert_eq!(
        told,
        [
            ("context-2587", &json!(true), &json!("None")),
            ("context-2", &json!(false), &json!("CertificateNotFoundError")),
            ("context-3", &json!(false), &json!("NonRetryableServiceException")),
            ("context-4", &json!(false), &json!("RetryableServiceException")),
            ("context-5", &json!(false), &json!("NonRetryableServiceException")),
        ]
    );
    let message = results_of[3]["errorMessage"].as_str().unwrap();
    assert!(message.starts_with("the CA xxx") && message.len() == 255, "{message}");
    // Told is told: a repetition has nothing left to say.
    assert_eq!(host.settled::<Intune>(&settings(100), results), Ok(()));
    assert_eq!(microsoft.borrow().heard(UPLOAD).len(), 1);
}

/// Fails when the contexts are forgotten before Intune has taken the results.
#[test]
fn results_that_intune_did_not_take_are_told_again() {
    let (host, microsoft) = host_with(Microsoft::wanting(vec![wanted(1)]));
    let batch = host.on_schedule::<Intune>(&settings(100), None).unwrap();
    let results = || [(batch.actions[0].id.clone(), ResultKind::Done)];
    for (status, body) in [(500, ""), (200, "{\"value\":false}"), (200, "{}"), (200, "[true]")] {
        microsoft.borrow_mut().answer(UPLOAD, move || Ok(HttpResponse::new(status, body)));
        assert!(host.settled::<Intune>(&settings(100), results()).is_err(), "{status} {body}");
    }
    microsoft.borrow_mut().recover(UPLOAD);
    assert_eq!(host.settled::<Intune>(&settings(100), results()), Ok(()));
    let heard = microsoft.borrow().heard(UPLOAD);
    assert_eq!(heard.len(), 5);
    assert_eq!(heard[4]["results"][0]["requestContext"], "context-1");
}

/// While a request waits it has one id; after its result, the same request is a new one: Intune
/// repeats what failed for a while.
#[test]
fn a_request_that_comes_again_is_the_same_until_its_result_was_told() {
    let (host, _microsoft) = host_with(Microsoft::wanting(vec![wanted(1)]));
    let first = host.on_schedule::<Intune>(&settings(100), None).unwrap();
    host.advance(Duration::from_secs(300));
    let second = host.on_schedule::<Intune>(&settings(100), Some(&first.cursor)).unwrap();
    assert_eq!(ids(&first), ids(&second));
    let results = [(first.actions[0].id.clone(), ResultKind::Failed("the CA is down".into()))];
    assert_eq!(host.settled::<Intune>(&settings(100), results), Ok(()));
    let third = host.on_schedule::<Intune>(&settings(100), Some(&second.cursor)).unwrap();
    assert_eq!(third.actions.len(), 1);
    assert_ne!(ids(&first), ids(&third));
}

/// Intune hands out the same page until it is told: a feed that only looked whether the page is full
/// would ask for ever.
#[test]
fn a_full_page_says_that_more_is_waiting_but_the_same_page_again_does_not() {
    let microsoft = Microsoft::wanting((1..=3).map(wanted).collect());
    let (host, microsoft) = host_with(microsoft);
    let first = host.on_schedule::<Intune>(&settings(3), None).unwrap();
    assert!(first.more);
    let second = host.on_schedule::<Intune>(&settings(3), Some(&first.cursor)).unwrap();
    assert!(!second.more);
    assert_eq!((ids(&first), first.cursor), (ids(&second), second.cursor.clone()));
    microsoft.borrow_mut().wanted = (4..=6).map(wanted).collect();
    let third = host.on_schedule::<Intune>(&settings(3), Some(&second.cursor)).unwrap();
    assert!(third.more);
    microsoft.borrow_mut().wanted = vec![wanted(7)];
    assert!(!host.on_schedule::<Intune>(&settings(3), Some(&third.cursor)).unwrap().more);
}

/// The largest page stays within what one call may write and send, and an answer that is larger than
/// asked for is cut.
#[test]
fn the_largest_page_is_kept_and_reported_whole() {
    let wanted = (1..=600).map(|number| {
        let mut one = wanted(number);
        one["requestContext"] = format!("{number}-{}", "c".repeat(400)).into();
        one
    });
    let (host, microsoft) = host_with(Microsoft::wanting(wanted.collect()));
    let batch = host.on_schedule::<Intune>(&settings(500), None).unwrap();
    assert_eq!(batch.actions.len(), 500);
    let results = ids(&batch).into_iter().map(|id| (id, ResultKind::Done));
    assert_eq!(host.settled::<Intune>(&settings(500), results), Ok(()));
    let heard = microsoft.borrow().heard(UPLOAD);
    assert_eq!(
        heard.iter().map(|one| one["results"].as_array().unwrap().len()).sum::<usize>(),
        500
    );
    assert!(heard.iter().all(|one| one.to_string().len() < 256 * 1024));
    assert!((0..16).all(|place| host.kv(&format!("revocations/{place:x}")).is_none()));
}

/// What finds no room now comes with a later page; nothing grows without bounds.
#[test]
fn more_than_can_be_kept_is_left_for_later() {
    let wanted = (1..=500).map(|number| {
        let mut one = wanted(number);
        one["requestContext"] = format!("{number}-{}", "c".repeat(4_000)).into();
        one
    });
    let (host, _microsoft) = host_with(Microsoft::wanting(wanted.collect()));
    let batch = host.on_schedule::<Intune>(&settings(500), None).unwrap();
    assert!((100..500).contains(&batch.actions.len()), "{}", batch.actions.len());
    assert!(!batch.more);
    for place in 0..16 {
        assert!(host.kv(&format!("revocations/{place:x}")).unwrap().len() <= 64 * 1024);
    }
}

#[test]
fn a_revocation_that_cannot_be_read_is_refused_at_once_and_holds_up_no_other() {
    let mut no_serial = wanted(1);
    no_serial["serialNumber"] = "not hex".into();
    let mut no_issuer = wanted(2);
    no_issuer["issuerName"] = Value::Null;
    let mut no_context = wanted(3);
    no_context["requestContext"] = Value::Null;
    let wanted = vec![no_serial, no_issuer.clone(), no_context, wanted(4)];
    let (host, microsoft) = host_with(Microsoft::wanting(wanted));
    let batch = host.on_schedule::<Intune>(&settings(100), None).unwrap();
    assert_eq!(batch.actions.len(), 1);
    let heard = microsoft.borrow().heard(UPLOAD);
    assert_eq!(heard.len(), 1);
    let codes: Vec<_> = heard[0]["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["requestContext"].clone(), one["errorCode"].clone()))
        .collect();
    let wrong = || json!("ParameterDataInvalidError");
    assert_eq!(codes, [(json!("context-1"), wrong()), (json!("context-2"), wrong())]);

    // Asked for one issuer only, an answer without it means that one.
    microsoft.borrow_mut().wanted = vec![no_issuer];
    let settings = Settings { revocation_issuer: Some("CN=Mock CA".into()), ..settings(100) };
    let batch = host.on_schedule::<Intune>(&settings, None).unwrap();
    assert_eq!(batch.actions.len(), 1);
    let asked = microsoft.borrow().heard(DOWNLOAD).pop().unwrap();
    assert_eq!(asked["downloadParameters"]["issuerName"], "CN=Mock CA");
}

#[test]
fn a_feed_that_does_not_answer_is_asked_again() {
    for (status, body) in [(500, ""), (200, ""), (200, "{}"), (200, "{\"value\":{}}"), (200, "[]")]
    {
        let (host, microsoft) = host_with(Microsoft::default());
        microsoft.borrow_mut().answer(DOWNLOAD, move || Ok(HttpResponse::new(status, body)));
        assert!(host.on_schedule::<Intune>(&settings(100), None).is_err(), "{status} {body}");
    }
}

#[test]
fn intune_pushes_nothing() {
    let event = mock::event("{}").build();
    assert!(mock::Host::new().on_event::<Intune>(&settings(100), &event).is_err());
}

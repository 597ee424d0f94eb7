//! How attempts end, what is ordered revoked, and what is denied elsewhere.

use countersign_ipc::{
    Approval, Bytes, DenialRecord, OutcomeKind, OutcomeRecord, RevocationOrder, SignReply,
    SignRequest, Unsettled,
};

use crate::support::{Options, Running, SOON, cms, refusal, start, start_with};

async fn unsettled(running: &Running) -> Vec<Unsettled> {
    match running.serve.call(&SignRequest::Unsettled, SOON).await.unwrap() {
        SignReply::Unsettled(list) => list,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_outcome_may_be_told_twice_and_is_one_entry_with_the_certificates_hash() {
    let running = start().await;
    let csr = running.csr();
    let approval = running.approval(&csr);
    cms(running.countersign(&approval, &csr).await);
    assert_eq!(unsettled(&running).await[0].enrolment, approval.enrolment);

    let certificate = running.installation.issue(&csr);
    for _ in 0..2 {
        let told = running.tell(&approval, OutcomeKind::Issued, Some(&certificate)).await;
        assert!(matches!(told, SignReply::Done), "{told:?}");
    }
    let entries = running.entries("outcome").await;
    assert_eq!(entries.len(), 1);
    let parsed = countersign_profile::Certificate::parse(&certificate).unwrap();
    assert_eq!(entries[0]["certificate-sha256"], hex::encode(parsed.sha256()));
    assert_eq!(entries[0]["serial"], parsed.serial_hex());
    assert!(unsettled(&running).await.is_empty());
}

/// Each outcome of one message gets its own answer, in order: fails if `Process::outcomes` answers
/// for all with the first refusal, or forgets one.
#[tokio::test]
async fn outcomes_told_together_are_answered_one_by_one_in_their_order() {
    let running = start().await;
    let (one, other) = (running.csr(), running.csr());
    let (first, second) = (running.approval(&one), running.approval(&other));
    cms(running.countersign(&first, &one).await);
    cms(running.countersign(&second, &other).await);
    let record = |approval: &Approval, attempt| OutcomeRecord {
        enrolment: approval.enrolment,
        attempt,
        profile: approval.profile.clone(),
        outcome: OutcomeKind::Abandoned,
        certificate: None,
        code: None,
    };
    let records = vec![record(&first, 1), record(&first, 7), record(&second, 1)];
    let replies = match running.serve.call(&SignRequest::Outcomes(records), SOON).await.unwrap() {
        SignReply::Each(replies) => replies,
        other => panic!("{other:?}"),
    };
    assert_eq!(replies.len(), 3);
    assert!(matches!(replies[0], SignReply::Done), "{replies:?}");
    assert_eq!(refusal(&replies[1]), Some("unknown-enrolment"));
    assert!(matches!(replies[2], SignReply::Done), "{replies:?}");
    assert_eq!(running.entries("outcome").await.len(), 2);
    assert!(unsettled(&running).await.is_empty());
}

#[tokio::test]
async fn another_outcome_than_the_first_is_refused() {
    let running = start().await;
    let csr = running.csr();
    let approval = running.approval(&csr);
    cms(running.countersign(&approval, &csr).await);
    running.tell(&approval, OutcomeKind::Refused, None).await;
    let certificate = running.installation.issue(&csr);
    let told = running.tell(&approval, OutcomeKind::Issued, Some(&certificate)).await;
    assert_eq!(refusal(&told), Some("settled-otherwise"));
    assert_eq!(running.entries("outcome").await.len(), 1);
}

#[tokio::test]
async fn an_outcome_that_cannot_be_is_refused_and_leaves_the_signature_unsettled() {
    let running = start().await;
    let (csr, other) = (running.csr(), running.csr());
    let mut approval = running.approval(&csr);
    let told = running.tell(&approval, OutcomeKind::Abandoned, None).await;
    assert_eq!(refusal(&told), Some("unknown-enrolment"));
    cms(running.countersign(&approval, &csr).await);

    let others = running.installation.issue(&other);
    for (outcome, certificate, code) in [
        (OutcomeKind::Issued, None, "certificate-missing"),
        (OutcomeKind::Issued, Some(others.as_slice()), "certificate-of-another-key"),
        (OutcomeKind::Issued, Some(b"no certificate".as_slice()), "certificate-of-another-key"),
        (OutcomeKind::Refused, Some(others.as_slice()), "certificate-unexpected"),
    ] {
        let told = running.tell(&approval, outcome, certificate).await;
        assert_eq!(refusal(&told), Some(code));
    }
    approval.profile = "lan".into();
    let told = running.tell(&approval, OutcomeKind::Abandoned, None).await;
    assert_eq!(refusal(&told), Some("profile-differs"));
    assert_eq!(unsettled(&running).await.len(), 1);
    assert!(running.entries("outcome").await.is_empty());
}

#[tokio::test]
async fn what_cannot_be_read_can_still_be_withheld_and_ordered_revoked() {
    let running = start().await;
    let csr = running.csr();
    let approval = running.approval(&csr);
    cms(running.countersign(&approval, &csr).await);
    let told = running.tell(&approval, OutcomeKind::Withheld, Some(b"garbage")).await;
    assert!(matches!(told, SignReply::Done), "{told:?}");

    let order = RevocationOrder {
        enrolment: approval.enrolment,
        attempt: 1,
        profile: "wifi".into(),
        authority: "lab".into(),
        certificate_sha256: Bytes(vec![6; 32]),
        serial: "0a".into(),
        reason: "check-failed".into(),
    };
    for client in [&running.serve, &running.verify] {
        let reply = client.call(&SignRequest::Order(order.clone()), SOON).await.unwrap();
        assert!(matches!(reply, SignReply::Done), "{reply:?}");
    }
    let entries = running.entries("order").await;
    assert_eq!(entries.len(), 1, "the same order twice is one");
    assert_eq!(entries[0]["reason"], "check-failed");

    let unknown = RevocationOrder { attempt: 9, ..order };
    let reply = running.serve.call(&SignRequest::Order(unknown), SOON).await.unwrap();
    assert_eq!(refusal(&reply), Some("unknown-enrolment"));
}

#[tokio::test]
async fn a_certificate_ordered_revoked_makes_room_for_the_next_attempt() {
    let running = start().await;
    let csr = running.csr();
    let mut approval = running.approval(&csr);
    cms(running.countersign(&approval, &csr).await);
    let certificate = running.installation.issue(&csr);
    running.tell(&approval, OutcomeKind::Issued, Some(&certificate)).await;
    let parsed = countersign_profile::Certificate::parse(&certificate).unwrap();
    let order = RevocationOrder {
        enrolment: approval.enrolment,
        attempt: 1,
        profile: "wifi".into(),
        authority: "lab".into(),
        certificate_sha256: Bytes(parsed.sha256().to_vec()),
        serial: parsed.serial_hex(),
        reason: "wiped".into(),
    };
    approval.attempt = 2;
    running.must_refuse(running.countersign(&approval, &csr).await, "already-issued").await;
    running.verify.call(&SignRequest::Order(order), SOON).await.unwrap();
    cms(running.countersign(&approval, &csr).await);
}

#[tokio::test]
async fn denials_are_written_up_to_the_cap_and_then_counted() {
    let running = start_with(Options { denials_per_source: 3, ..Options::default() }).await;
    let denial = |station: &str, source: &str| {
        SignRequest::Denied(DenialRecord {
            station: station.into(),
            profile: "wifi".into(),
            code: "challenge-unknown".into(),
            detail: "no such challenge\r\n\u{1b}[2J".into(),
            csr_sha256: Some(Bytes(vec![1; 32])),
            names: vec!["CN=device-17".into()],
            source: source.into(),
        })
    };
    for _ in 0..5 {
        let told = denial("verify", "192.0.2.7");
        let reply = running.verify.call(&told, SOON).await.unwrap();
        assert!(matches!(reply, SignReply::Done), "{reply:?}");
    }
    let reply = running.serve.call(&denial("verify", "192.0.2.7"), SOON).await.unwrap();
    assert_eq!(refusal(&reply), Some("station-differs"), "serve does not speak for verify");
    let reply = running.serve.call(&denial("admit", "192.0.2.7"), SOON).await.unwrap();
    assert!(matches!(reply, SignReply::Done), "{reply:?}");

    let entries = running.entries("denied").await;
    assert_eq!(entries.len(), 4);
    let detail = entries[0]["detail"].as_str().unwrap();
    assert!(!detail.contains(['\r', '\n', '\u{1b}']), "{detail}");
    assert!(running.entries("denied-excess").await.is_empty());

    // The hour is over: the next entry brings the counted one along.
    running.clock.move_by(3601);
    running.verify.call(&denial("verify", "192.0.2.7"), SOON).await.unwrap();
    let excess = running.entries("denied-excess").await;
    assert_eq!(excess.len(), 1);
    assert_eq!((&excess[0]["count"], &excess[0]["source"]), (&2.into(), &"192.0.2.7".into()));
}

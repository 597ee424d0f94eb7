use countersign_ipc::{Approval, ApprovalKey, Kind, OutcomeKind, OutcomeRecord};
use countersign_store::Owner;

use super::*;

struct Lab {
    records: Records,
    directory: tempfile::TempDir,
}

fn lab() -> Lab {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("serve.db"), Owner::Serve, SCHEMA).unwrap();
    Lab { records: Records::new(store, ColumnKey::new(&[5; 32]).unwrap()), directory }
}

const ID: EnrolmentId = EnrolmentId([1; 32]);

fn beginning(attempt: u32) -> Beginning {
    Beginning {
        id: ID,
        attempt,
        profile: "wifi".into(),
        transaction_id: b"T1".to_vec(),
        signer: [2; 32],
        names: vec!["CN=device-17".into()],
        source: "127.0.0.1".into(),
        csr: Zeroizing::new(b"a request with the challenge HUNTER2".to_vec()),
        path_suffix: String::new(),
        renewal: None,
    }
}

fn sealed() -> SealedApproval {
    let key = ApprovalKey::new(&Zeroizing::new(vec![3; 32])).unwrap();
    key.seal(&Approval {
        enrolment: ID,
        attempt: 1,
        kind: Kind::Initial,
        profile: "wifi".into(),
        current_certificate_sha256: None,
        csr_sha256: [0; 32],
        info_sha256: [0; 32],
        names: vec!["CN=device-17".into()],
        device_id: None,
        latest_end: None,
        verifiers: vec![],
        config_digest: [0; 32],
        approved_at: 10,
        expires_at: 20,
    })
}

fn ending(state: State) -> Ending {
    let outcome = OutcomeRecord {
        enrolment: ID,
        attempt: 1,
        profile: "wifi".into(),
        outcome: OutcomeKind::Issued,
        certificate: None,
        code: None,
    };
    Ending {
        state,
        certificate: Some(b"certificate".to_vec()),
        serial: None,
        not_after: Some(1000),
        code: None,
        messages: vec![
            OutboxMessage::Sign(SignRequest::Outcome(outcome.clone())),
            OutboxMessage::Verify(VerifyRequest::Outcome(outcome)),
        ],
    }
}

async fn intended(lab: &Lab) -> Record {
    lab.records.intend(beginning(1), &sealed(), b"signed HUNTER2", 100).await.unwrap();
    lab.records.latest(ID).await.unwrap().unwrap()
}

async fn outbox(lab: &Lab) -> u32 {
    lab.records
        .store()
        .read(|c| Ok(c.query_row("SELECT count(*) FROM outbox", [], |row| row.get(0))?))
        .await
        .unwrap()
}

#[tokio::test]
async fn the_intent_holds_the_exact_bytes_and_the_end_scrubs_what_holds_a_challenge() {
    let lab = lab();
    let record = intended(&lab).await;
    assert_eq!(record.state, State::Intended);
    assert_eq!(record.cms.as_deref().map(Vec::as_slice), Some(&b"signed HUNTER2"[..]));
    assert_eq!(record.submissions, 1);
    assert_eq!(record.sealed, Some(sealed()));

    lab.records.end(ID, 1, ending(State::Issued), 101).await.unwrap();
    let record = lab.records.latest(ID).await.unwrap().unwrap();
    assert_eq!(record.state, State::Issued);
    assert!(record.csr.is_empty() && record.cms.is_none());
    assert_eq!(record.certificate.as_deref(), Some(&b"certificate"[..]));
    assert_eq!(outbox(&lab).await, 2);
}

#[tokio::test]
async fn neither_request_nor_signed_bytes_lie_in_the_file_in_clear() {
    let lab = lab();
    intended(&lab).await;
    lab.records.store().close().await.unwrap();
    for entry in std::fs::read_dir(lab.directory.path()).unwrap() {
        let octets = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!octets.windows(7).any(|window| window == b"HUNTER2"));
    }
}

#[tokio::test]
async fn an_end_happens_once_and_with_it_its_messages() {
    let lab = lab();
    intended(&lab).await;
    lab.records.end(ID, 1, ending(State::Issued), 101).await.unwrap();
    for again in [State::Issued, State::Refused, State::Withheld, State::Abandoned] {
        let error = lab.records.end(ID, 1, ending(again), 102).await.unwrap_err();
        assert!(matches!(error, RecordError::Overtaken { .. }), "{again}: {error}");
    }
    assert_eq!(outbox(&lab).await, 2);
}

#[tokio::test]
async fn two_intents_of_one_attempt_never_both_happen() {
    let lab = lab();
    intended(&lab).await;
    let error = lab.records.intend(beginning(1), &sealed(), b"other", 101).await.unwrap_err();
    assert!(matches!(error, RecordError::Overtaken { .. }), "{error}");
    // The next attempt is another row.
    lab.records.intend(beginning(2), &sealed(), b"other", 101).await.unwrap();
    assert_eq!(lab.records.latest(ID).await.unwrap().unwrap().attempt, 2);
}

#[tokio::test]
async fn a_waiting_request_goes_on_in_its_own_row() {
    let lab = lab();
    lab.records.keep_waiting(beginning(1), 1, 90).await.unwrap();
    // Asking again keeps its place even though the quota is used up by itself.
    lab.records.keep_waiting(beginning(1), 1, 95).await.unwrap();
    let mut stranger = beginning(1);
    stranger.id = EnrolmentId([9; 32]);
    let error = lab.records.keep_waiting(stranger, 1, 96).await.unwrap_err();
    assert!(matches!(error, RecordError::Quota { held: 1, .. }), "{error}");
    assert_eq!(intended(&lab).await.state, State::Intended);
}

#[tokio::test]
async fn what_was_surely_not_processed_may_go_out_as_often_as_it_takes() {
    let lab = lab();
    let mut record = intended(&lab).await;
    for _ in 0..3 {
        lab.records.not_processed(Standing::from(&record), 101).await.unwrap();
        record = lab.records.latest(ID).await.unwrap().unwrap();
        assert_eq!((record.state, record.submissions), (State::Ready, 0));
        lab.records.intend_again(&record, u32::MAX, 102).await.unwrap();
        record = lab.records.latest(ID).await.unwrap().unwrap();
        assert_eq!((record.state, record.submissions), (State::Intended, 1));
    }
}

#[tokio::test]
async fn after_a_lost_answer_the_bytes_go_out_at_most_as_often_as_the_profile_says() {
    let lab = lab();
    let record = intended(&lab).await;
    let error = lab.records.intend_again(&record, 1, 101).await.unwrap_err();
    assert!(matches!(error, RecordError::Overtaken { .. }), "{error}");
    lab.records.intend_again(&record, 2, 101).await.unwrap();
    let error = lab.records.intend_again(&record, 2, 102).await.unwrap_err();
    assert!(matches!(error, RecordError::Overtaken { .. }), "{error}");
    // The second submission surely failed; the first one may still have been processed.
    let record = lab.records.latest(ID).await.unwrap().unwrap();
    lab.records.not_processed(Standing::from(&record), 103).await.unwrap();
    assert_eq!(lab.records.latest(ID).await.unwrap().unwrap().state, State::Intended);
}

#[tokio::test]
async fn what_the_ca_may_have_seen_is_never_abandoned() {
    let lab = lab();
    intended(&lab).await;
    let error = lab.records.end(ID, 1, ending(State::Abandoned), 101).await.unwrap_err();
    assert!(matches!(error, RecordError::Overtaken { .. }), "{error}");
}

#[tokio::test]
async fn a_poll_finds_its_own_signer_only_and_the_newest_attempt() {
    let lab = lab();
    intended(&lab).await;
    lab.records.intend(beginning(2), &sealed(), b"other", 101).await.unwrap();
    let find = |signer| lab.records.newest_of_transaction("wifi", b"T1", signer);
    assert_eq!(find([2; 32]).await.unwrap().unwrap().attempt, 2);
    assert!(find([3; 32]).await.unwrap().is_none());
    assert!(lab.records.newest_of_transaction("vpn", b"T1", [2; 32]).await.unwrap().is_none());
}

/// The last of many enrolments costs what the first cost. Fails when an index of `SCHEMA` is missing
/// that one of these statements needs.
#[tokio::test]
async fn no_statement_of_the_way_reads_a_whole_table() {
    let lab = lab();
    let moves = [
        "UPDATE enrolment SET updated = 1 WHERE id = ?1 AND attempt = ?2 AND state = 'waiting'",
        "DELETE FROM outbox WHERE sequence = ?1",
    ];
    let reads = [LATEST, NEWEST_OF_TRANSACTION, DELIVERED, UNMOVED]
        .map(|condition| format!("{SELECT} {condition}"));
    let statements =
        reads.into_iter().chain(moves.map(str::to_owned)).chain([COUNT_WAITING.to_owned()]);
    for statement in statements {
        let explained = format!("EXPLAIN QUERY PLAN {statement}");
        let plan: Vec<String> = lab
            .records
            .store()
            .read(move |connection| {
                let mut statement = connection.prepare(&explained)?;
                let mut rows = statement.raw_query();
                let mut plan = Vec::new();
                while let Some(row) = rows.next()? {
                    plan.push(row.get(3)?);
                }
                Ok(plan)
            })
            .await
            .unwrap();
        assert!(
            !plan.is_empty() && plan.iter().all(|step| step.starts_with("SEARCH ")),
            "{statement}: {plan:?}"
        );
    }
}

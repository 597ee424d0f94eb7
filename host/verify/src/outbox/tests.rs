//! The life of a notice in the database.

use std::sync::Arc;

use countersign_ipc::EnrolmentId;
use countersign_sandbox::{KvChange, KvExpectation, KvWrite, model};
use countersign_store::rusqlite::params;
use countersign_store::{ColumnKey, Owner, Store};

use super::notice::{self, Due, Settled, Waiting};
use crate::schema::SCHEMA;

struct Lab {
    store: Store,
    key: Arc<ColumnKey>,
    directory: tempfile::TempDir,
}

fn open(directory: &tempfile::TempDir) -> Store {
    Store::open(&directory.path().join("verify.db"), Owner::Verify, SCHEMA).unwrap()
}

fn lab() -> Lab {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    Lab { store, key: Arc::new(ColumnKey::new(&[3; 32]).unwrap()), directory }
}

fn request(transaction_id: &str) -> model::Request {
    model::Request {
        kind: model::RequestKind::Initial,
        profile: "wifi".into(),
        path_suffix: String::new(),
        transaction_id: transaction_id.into(),
        attempt: 1,
        csr: vec![0x30, 0x00],
        csr_sha256: [1; 32],
        subject: Vec::new(),
        subject_alternative_names: Vec::new(),
        key: model::PublicKey {
            algorithm: model::KeyAlgorithm::Rsa,
            bits: 2048,
            spki_sha256: [2; 32],
        },
        extended_key_usages: Vec::new(),
        challenge: Some(model::Secret::new("THE-CHALLENGE")),
        current_certificate: None,
        attestation: None,
        source_address: None,
        attributes: Vec::new(),
    }
}

impl Lab {
    /// As the commit of an approval does it.
    async fn approve(&self, enrolment: u8, transaction_id: &str, plugin: &str) {
        let id = EnrolmentId([enrolment; 32]);
        let memo = [enrolment; 4];
        let waiting =
            Waiting::new(&self.key, (&id, 1), plugin, request(transaction_id), &memo).unwrap();
        self.store
            .write(move |tx| {
                waiting.write(tx, &id.0, 1, 100)?;
                tx.execute(
                    "INSERT INTO approval (enrolment, attempt, profile, approval, approved)
                     VALUES (?1, 1, 'wifi', x'00', 100) ON CONFLICT DO NOTHING",
                    params![id.0],
                )?;
                Ok(())
            })
            .await
            .unwrap();
    }

    async fn end(&self, enrolment: u8, outcome: &'static str) {
        self.store
            .write(move |tx| notice::arrived(tx, &[enrolment; 32], 1, outcome, Some("code")))
            .await
            .unwrap();
    }

    async fn due(&self, now: u64) -> Vec<Due> {
        notice::due(&self.store, 10, now).await.unwrap()
    }

    /// The first byte of each enrolment that is due, with its plug-in.
    async fn who(&self, now: u64) -> Vec<(u8, String)> {
        let due = self.due(now).await;
        due.into_iter().map(|due| (due.enrolment[0], due.plugin)).collect()
    }

    async fn one(&self, now: u64) -> Due {
        self.due(now).await.remove(0)
    }

    async fn done(&self, due: Due, writes: Vec<KvWrite>) -> Settled {
        notice::done(&self.store, due, Arc::clone(&self.key), writes, 1, 1000).await.unwrap()
    }
}

#[tokio::test]
async fn nothing_is_told_before_the_outcome_and_each_verifier_is_told_by_itself() {
    let lab = lab();
    lab.approve(1, "t", "webhook").await;
    lab.approve(1, "t", "intune").await;
    assert!(lab.due(u64::MAX).await.is_empty());
    lab.end(1, "issued").await;
    let due = lab.who(0).await;
    assert_eq!(due, [(1, "webhook".to_owned()), (1, "intune".to_owned())]);
    assert_eq!(lab.done(lab.one(0).await, Vec::new()).await, Settled::Told);
    assert_eq!(lab.who(0).await, [(1, "intune".to_owned())]);
}

#[tokio::test]
async fn what_is_told_is_what_was_asked_with_the_memo_and_one_key() {
    let lab = lab();
    lab.approve(7, "t", "webhook").await;
    lab.end(7, "refused").await;
    let due = lab.one(0).await;
    let letter = due.open(&lab.key).unwrap();
    assert_eq!((letter.request, letter.memo), (request("t"), vec![7; 4]));
    assert_eq!((due.outcome.as_str(), due.code.as_deref()), ("refused", Some("code")));
    let key = due.idempotency_key();
    let _ = notice::failed(&lab.store, due, 0, "down".into(), 0).await.unwrap();
    assert_eq!(lab.one(100).await.idempotency_key(), key);
    lab.approve(8, "t", "webhook").await;
    lab.end(8, "refused").await;
    assert_ne!(lab.who(100).await, [(8, "webhook".to_owned())], "in order");
}

/// Fails without the `NOT EXISTS` of `due`.
#[tokio::test]
async fn one_transaction_is_told_in_order_and_others_do_not_wait_for_it() {
    let lab = lab();
    for (enrolment, transaction_id) in [(1, "t"), (2, "t"), (3, "u")] {
        lab.approve(enrolment, transaction_id, "webhook").await;
    }
    // The outcomes arrive in another order than the approvals were given.
    for enrolment in [2, 1, 3] {
        lab.end(enrolment, "issued").await;
    }
    let webhook = |enrolment| (enrolment, "webhook".to_owned());
    assert_eq!(lab.who(0).await, [webhook(2), webhook(3)]);
    let first = lab.one(0).await;
    let later = notice::failed(&lab.store, first, 0, "down".into(), 0).await.unwrap();
    assert_eq!(later, Settled::Later { why: "down".into() });
    assert_eq!(lab.who(0).await, [webhook(3)], "1 does not overtake 2");
    assert_eq!(lab.who(2).await, [webhook(2), webhook(3)]);
    assert_eq!(lab.done(lab.one(2).await, Vec::new()).await, Settled::Told);
    assert_eq!(lab.who(2).await, [webhook(1), webhook(3)]);
}

#[tokio::test]
async fn pauses_grow_the_plug_in_may_ask_for_longer_ones_and_no_place_is_no_try() {
    let lab = lab();
    lab.approve(1, "t", "webhook").await;
    lab.end(1, "issued").await;
    let mut now = 0;
    let mut pauses = Vec::new();
    for _ in 0..13 {
        let due = lab.one(now).await;
        let _ = notice::failed(&lab.store, due, 0, "down".into(), now).await.unwrap();
        let next = notice::next(&lab.store).await.unwrap().unwrap();
        pauses.push(next - now);
        now = next;
    }
    assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600]);
    let due = lab.one(now).await;
    let _ = notice::failed(&lab.store, due, 86_400, "later".into(), now).await.unwrap();
    now += 86_400;
    assert!(lab.due(now - 1).await.is_empty());
    for _ in 0..200 {
        let due = lab.one(now).await;
        let settled = notice::postponed(&lab.store, due, now + 10).await.unwrap();
        assert_eq!(settled, Settled::NoPlace);
        now += 10;
    }
    assert_eq!(lab.due(now).await.len(), 1, "still due");
}

#[tokio::test]
async fn after_many_tries_a_notice_is_given_up_and_stays_visible() {
    let lab = lab();
    lab.approve(1, "t", "webhook").await;
    lab.approve(2, "t", "webhook").await;
    lab.end(1, "issued").await;
    lab.end(2, "issued").await;
    let mut now = 0;
    let tries = loop {
        let due = lab.one(now).await;
        assert_eq!(due.enrolment[0], 1);
        let tries = due.tries_before() + 1;
        match notice::failed(&lab.store, due, 0, "no such host".into(), now).await.unwrap() {
            Settled::Later { .. } => now += 3600,
            Settled::GivenUp { .. } => break tries,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(tries, 100);
    let facts = notice::facts(&lab.store).await.unwrap();
    assert_eq!((&facts["due"], &facts["given-up"]), (&1.into(), &1.into()));
    assert_eq!(facts["newest-given-up"][0]["failure"], "no such host");
    assert_eq!(lab.one(now).await.enrolment[0], 2, "what comes after goes on");
    // Due ones are never removed, however old.
    lab.store.write(|tx| notice::sweep(tx, 1_000_000_000)).await.unwrap();
    let facts = notice::facts(&lab.store).await.unwrap();
    assert_eq!((&facts["due"], &facts["given-up"]), (&1.into(), &0.into()));
}

#[tokio::test]
async fn what_is_due_survives_a_restart_and_no_challenge_lies_on_the_disk() {
    let mut lab = lab();
    lab.approve(1, "t", "webhook").await;
    lab.end(1, "issued").await;
    lab.store.close().await.unwrap();
    let octets = std::fs::read(lab.directory.path().join("verify.db")).unwrap();
    let challenge = b"THE-CHALLENGE";
    assert!(!octets.windows(challenge.len()).any(|window| window == challenge));
    lab.store = open(&lab.directory);
    assert_eq!(lab.who(0).await, [(1, "webhook".to_owned())]);
    assert!(lab.one(0).await.open(&lab.key).is_ok());
    assert!(lab.one(0).await.open(&ColumnKey::new(&[4; 32]).unwrap()).is_err());
}

#[tokio::test]
async fn an_outcome_that_comes_twice_is_told_once() {
    let lab = lab();
    lab.approve(1, "t", "webhook").await;
    lab.end(1, "issued").await;
    assert_eq!(lab.done(lab.one(0).await, Vec::new()).await, Settled::Told);
    lab.end(1, "issued").await;
    assert!(lab.due(u64::MAX).await.is_empty());
}

/// Fails if the notice ended without what the plug-in wrote.
#[tokio::test]
async fn what_a_plug_in_writes_comes_true_with_the_end_of_its_notice_or_not_at_all() {
    let lab = lab();
    let write = |key: &str| KvWrite {
        key: key.into(),
        expected: KvExpectation::Anything,
        change: KvChange::Set { value: b"1".to_vec(), ttl_seconds: None },
    };
    lab.approve(1, "t", "webhook").await;
    lab.end(1, "issued").await;
    // Its space holds one entry.
    let settled = lab.done(lab.one(0).await, vec![write("a"), write("b")]).await;
    assert!(matches!(settled, Settled::Later { .. }), "{settled:?}");
    let count = |table: &'static str| {
        let store = lab.store.clone();
        async move {
            let sql = format!("SELECT count(*) FROM {table}");
            let count = move |connection: &countersign_store::rusqlite::Connection| {
                Ok(connection.query_row(&sql, [], |row| row.get::<_, u32>(0))?)
            };
            store.read(count).await.unwrap()
        }
    };
    assert_eq!((count("kv").await, count("notice").await), (0, 1));
    assert_eq!(lab.done(lab.one(5000).await, vec![write("a")]).await, Settled::Told);
    assert_eq!((count("kv").await, count("notice").await), (1, 0));
}

#[tokio::test]
async fn what_was_given_up_is_told_again_by_hand_from_the_beginning() {
    let lab = lab();
    lab.approve(1, "t", "webhook").await;
    lab.end(1, "issued").await;
    assert!(!notice::resend(&lab.store, 1).await.unwrap(), "it is due");
    let mut now = 0;
    loop {
        let due = lab.one(now).await;
        match notice::failed(&lab.store, due, 0, "down".into(), now).await.unwrap() {
            Settled::GivenUp { .. } => break,
            _ => now += 3600,
        }
    }
    assert!(lab.due(u64::MAX).await.is_empty());
    let facts = notice::facts(&lab.store).await.unwrap();
    let id = facts["newest-given-up"][0]["id"].as_str().unwrap();
    let number = id.strip_prefix("notice-").unwrap().parse().unwrap();
    assert!(notice::resend(&lab.store, number).await.unwrap());
    assert_eq!(lab.one(0).await.tries_before(), 0);
    assert!(!notice::resend(&lab.store, 999).await.unwrap());
}

/// What a device waits for: fails if one that comes later in its thread were told too early, or one
/// that was given up were forgotten.
#[tokio::test]
async fn what_is_untold_of_one_enrolment_is_found_due_or_not() {
    let lab = lab();
    lab.approve(1, "t", "intune").await;
    lab.approve(2, "t", "intune").await;
    lab.approve(2, "t", "webhook").await;
    let untold = async |enrolment: u8, now| {
        let found = notice::untold(&lab.store, [enrolment; 32], 1, now).await.unwrap();
        found.into_iter().map(|one| (one.plugin, one.due.is_some())).collect::<Vec<_>>()
    };
    let is = |plugin: &str, due| (plugin.to_owned(), due);
    assert_eq!(untold(2, 0).await, [is("intune", false), is("webhook", false)]);
    lab.end(1, "issued").await;
    lab.end(2, "issued").await;
    assert_eq!(untold(2, 0).await, [is("intune", false), is("webhook", true)]);
    let first = lab.one(0).await;
    assert!(notice::is_untouched(&lab.store, &first).await.unwrap());
    let stale = lab.one(0).await;
    let _ = notice::failed(&lab.store, first, 0, "down".into(), 0).await.unwrap();
    assert!(!notice::is_untouched(&lab.store, &stale).await.unwrap(), "somebody has tried");
    assert_eq!(untold(1, 0).await, [is("intune", false)], "its pause lasts");
    assert_eq!(untold(1, 2).await, [is("intune", true)]);
    assert_eq!(lab.done(lab.one(2).await, Vec::new()).await, Settled::Told);
    assert_eq!(untold(1, 2).await, []);
    assert_eq!(untold(2, 2).await, [is("intune", true), is("webhook", true)]);
    assert_eq!(untold(3, 2).await, []);
}

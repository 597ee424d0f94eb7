//! Actions against the real tables: what they order, whom they reach, how they end.

use countersign_ipc::{Bytes, EnrolmentId, OutcomeKind, OutcomeRecord};
use countersign_sandbox::model::{Act, Action, Revocation, RevocationReason, Settlement, Target};
use countersign_store::rusqlite::params;
use countersign_store::{Owner, Store, StoreError};

use super::action::{Actor, Kept, keep};
use super::{schedule, settle};
use crate::devices::{self, Reach};
use crate::schema::SCHEMA;
use crate::{outcome, tombstone};

/// Issued 2026-11-22, ends a year later.
const TEMPLATE: &[u8] = include_bytes!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../profile/tests/data/openssl-long-serial.cer"
));
const ISSUER: &str = "O=Example,CN=Example Device CA";
const NOW: u64 = 1_800_000_000;
const ENDED: u64 = 1_900_000_000;

struct Lab {
    store: Store,
    _directory: tempfile::TempDir,
}

/// `wifi` and `vpn` name the plug-in `jamf`, `intune` its own.
fn reach() -> Reach {
    Reach::of(&[("wifi", &["jamf", "renewal"]), ("vpn", &["jamf"]), ("intune", &["intune"])])
}

fn lab() -> Lab {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("verify.db"), Owner::Verify, SCHEMA).unwrap();
    Lab { store, _directory: directory }
}

/// The template with another serial number: nobody checks its signature here.
fn certificate(number: u8) -> Vec<u8> {
    let mut der = TEMPLATE.to_vec();
    let serial = [0xbb, 0xcc, 0xdd, 0xee, 0xff];
    let at = der.windows(5).position(|window| window == serial).unwrap();
    der[at] = number;
    der
}

fn serial(number: u8) -> String {
    devices::serial_of(&certificate(number)).unwrap()
}

fn revoke(id: &str, target: Target) -> Action {
    let revocation = Revocation {
        target,
        reason: RevocationReason::CessationOfOperation,
        detail: "wiped".into(),
    };
    Action { id: id.into(), act: Act::Revoke(revocation), attributes: Vec::new() }
}

fn wipe(id: &str, device: &str) -> Action {
    revoke(id, Target::Device(device.into()))
}

fn of_serial(id: &str, number: u8) -> Action {
    let target = Target::Certificate { issuer: ISSUER.into(), serial_number: serial(number) };
    revoke(id, target)
}

impl Lab {
    async fn approve(&self, number: u8, profile: &'static str, device: &'static str) {
        self.store
            .write(move |tx| {
                tx.execute(
                    "INSERT INTO approval (enrolment, attempt, profile, device_id, approval, approved)
                     VALUES (?1, 1, ?2, ?3, x'00', 100)",
                    params![[number; 32], profile, device],
                )?;
                Ok(())
            })
            .await
            .unwrap();
    }

    /// As `serve` tells it.
    async fn end(&self, number: u8, kind: OutcomeKind) {
        let outcome = OutcomeRecord {
            enrolment: EnrolmentId([number; 32]),
            attempt: 1,
            profile: "wifi".into(),
            outcome: kind,
            certificate: Some(Bytes(certificate(number))),
            code: None,
        };
        self.store.write(move |tx| outcome::take_one(tx, &reach(), outcome, NOW)).await.unwrap();
    }

    async fn issue(&self, number: u8, profile: &'static str, device: &'static str) {
        self.approve(number, profile, device).await;
        self.end(number, OutcomeKind::Issued).await;
    }

    async fn act_at(&self, plugin: &str, action: Action, now: u64) -> Kept {
        let actor = Actor { plugin: plugin.into(), may_revoke: plugin != "powerless" };
        self.store.write(move |tx| keep(tx, &reach(), &actor, &[action], now)).await.unwrap()
    }

    async fn act(&self, plugin: &str, action: Action) -> Kept {
        self.act_at(plugin, action, NOW).await
    }

    /// The first octets of enrolments with orders, and who placed them.
    async fn orders(&self) -> Vec<(u8, String)> {
        self.store
            .read(|connection| {
                let mut statement = connection.prepare(
                    "SELECT enrolment, source || ': ' || source_detail FROM revocation_order
                     ORDER BY enrolment",
                )?;
                let rows = statement
                    .query_map([], |row| Ok((row.get::<_, [u8; 32]>(0)?[0], row.get(1)?)))?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
            .unwrap()
    }

    async fn ordered(&self) -> Vec<u8> {
        self.orders().await.into_iter().map(|(number, _)| number).collect()
    }

    async fn set_order(&self, number: u8, state: &'static str, result: &'static str) {
        self.store
            .write(move |tx| {
                tx.execute(
                    "UPDATE revocation_order SET state = ?2, result = ?3, final = ?4
                     WHERE enrolment = ?1",
                    params![[number; 32], state, result, state != "signed"],
                )?;
                Ok(())
            })
            .await
            .unwrap();
    }

    /// What waits to be told to a plug-in.
    async fn results(&self, plugin: &str) -> Vec<(String, Settlement)> {
        let _ = settle::end_some(&self.store).await.unwrap();
        let untold = settle::untold(&self.store, plugin, ENDED).await.unwrap();
        untold.results.into_iter().map(|result| (result.id, result.settlement)).collect()
    }

    async fn stopped(&self, profile: &'static str, device: &'static str) -> Option<String> {
        self.stopped_by(reach(), profile, device).await
    }

    async fn stopped_by(
        &self,
        reach: Reach,
        profile: &'static str,
        device: &'static str,
    ) -> Option<String> {
        self.store
            .write(move |tx| tombstone::of(tx, &reach, profile, device))
            .await
            .unwrap()
            .map(|tombstone| tombstone.plugin)
    }
}

fn one(id: &str, settlement: Settlement) -> Vec<(String, Settlement)> {
    vec![(id.to_owned(), settlement)]
}

#[tokio::test]
async fn row_38_a_wipe_orders_every_live_certificate_of_the_device_and_no_other() {
    let lab = lab();
    lab.issue(1, "wifi", "17").await;
    lab.issue(2, "vpn", "17").await;
    lab.issue(3, "wifi", "18").await;
    // Another management calls another device by the same name.
    lab.issue(4, "intune", "17").await;
    lab.approve(5, "wifi", "17").await;
    lab.end(5, OutcomeKind::Refused).await;
    let kept = lab.act("jamf", wipe("event-1", "17")).await;
    assert_eq!(kept, Kept { actions: 1, repeated: 0, orders: 2 });
    let by = "event: jamf: event-1".to_owned();
    assert_eq!(lab.orders().await, [(1, by.clone()), (2, by)]);
}

#[tokio::test]
async fn a_certificate_that_has_ended_is_not_ordered() {
    let lab = lab();
    lab.issue(1, "wifi", "17").await;
    let kept = lab.act_at("jamf", wipe("event-1", "17"), ENDED).await;
    assert_eq!(kept.orders, 0);
    assert_eq!(lab.results("jamf").await, one("event-1", Settlement::NothingToDo));
}

#[tokio::test]
async fn an_action_that_comes_again_repeats_nothing() {
    let lab = lab();
    lab.act("jamf", wipe("event-1", "17")).await;
    let _ = tombstone::lift(&lab.store, "jamf".into(), "17".into()).await.unwrap().unwrap();
    lab.issue(1, "wifi", "17").await;
    let again = lab.act("jamf", wipe("event-1", "17")).await;
    assert_eq!(again, Kept { actions: 0, repeated: 1, orders: 0 });
    assert_eq!(lab.ordered().await, [0; 0]);
    assert_eq!(lab.stopped("wifi", "17").await, None);
    // The same word of another plug-in is another action.
    assert_eq!(lab.act("intune", wipe("event-1", "17")).await.actions, 1);
}

#[tokio::test]
async fn a_certificate_is_found_by_issuer_and_serial_number_within_reach() {
    let lab = lab();
    lab.issue(1, "wifi", "17").await;
    lab.issue(2, "wifi", "17").await;
    lab.issue(3, "intune", "99").await;
    let mut shouted = of_serial("a", 1);
    if let Act::Revoke(Revocation {
        target: Target::Certificate { issuer, serial_number }, ..
    }) = &mut shouted.act
    {
        *issuer = "cn=example device ca, o=Example".into();
        *serial_number = format!("00{}", serial_number.to_uppercase());
    }
    assert_eq!(lab.act("jamf", shouted).await.orders, 1);
    assert_eq!(lab.ordered().await, [1], "and not the device's other one");
    assert_eq!(lab.stopped("wifi", "17").await, None, "one certificate is no device");
    assert_eq!(lab.act("jamf", of_serial("b", 3)).await.orders, 0);
    assert_eq!(lab.act("jamf", of_serial("c", 7)).await.orders, 0);
    let results = lab.results("jamf").await;
    assert!(
        matches!(&results[..], [(b, Settlement::Refused(_)), (c, Settlement::NothingToDo)]
        if b == "b" && c == "c"),
        "{results:?}"
    );
    assert_eq!(lab.ordered().await, [1]);
}

#[tokio::test]
async fn a_plug_in_without_the_grant_revokes_nothing_and_leaves_no_tombstone() {
    let lab = lab();
    lab.issue(1, "wifi", "17").await;
    lab.act("powerless", wipe("a", "17")).await;
    let other = Action { act: Act::Other("lock".into()), ..wipe("b", "17") };
    lab.act("jamf", other).await;
    assert_eq!(lab.ordered().await, [0; 0]);
    assert_eq!(lab.stopped("wifi", "17").await, None);
    let refused =
        |results: Vec<(String, Settlement)>| matches!(&results[..], [(_, Settlement::Refused(_))]);
    assert!(refused(lab.results("powerless").await));
    assert!(refused(lab.results("jamf").await));
}

#[tokio::test]
async fn a_tombstone_stops_its_plug_ins_profiles_until_it_is_lifted() {
    let lab = lab();
    lab.act("jamf", wipe("event-1", "17")).await;
    assert_eq!(lab.stopped("wifi", "17").await.as_deref(), Some("jamf"));
    assert_eq!(lab.stopped("vpn", "17").await.as_deref(), Some("jamf"));
    assert_eq!(lab.stopped("intune", "17").await, None);
    assert_eq!(lab.stopped("wifi", "18").await, None);
    // Under another name in the config it stops what it stopped.
    let renamed = Reach::of(&[("wifi", &["jamf-pro"]), ("other", &["jamf-pro"])]);
    assert_eq!(lab.stopped_by(renamed, "wifi", "17").await.as_deref(), Some("jamf"));
    let listed = tombstone::list(&lab.store).await.unwrap();
    assert_eq!((&listed[0]["device-id"], &listed[0]["detail"]), (&"17".into(), &"wiped".into()));
    let lifted = tombstone::lift(&lab.store, "jamf".into(), "17".into()).await.unwrap();
    assert_eq!(lifted.unwrap()["plugin"], "jamf");
    assert_eq!(lab.stopped("wifi", "17").await, None);
    assert!(tombstone::lift(&lab.store, "jamf".into(), "17".into()).await.unwrap().is_none());
}

#[tokio::test]
async fn row_38_a_certificate_that_comes_after_the_wipe_is_ordered_revoked_at_once() {
    let lab = lab();
    lab.approve(1, "wifi", "17").await;
    lab.approve(2, "intune", "17").await;
    lab.act("jamf", wipe("event-1", "17")).await;
    lab.end(1, OutcomeKind::Issued).await;
    lab.end(2, OutcomeKind::Issued).await;
    assert_eq!(lab.orders().await, [(1, "tombstone: jamf".to_owned())]);
    // Told again, and taken back meanwhile: it stays taken back.
    lab.set_order(1, "withdrawn", "").await;
    lab.end(1, OutcomeKind::Issued).await;
    let state: String = lab
        .store
        .read(|c| Ok(c.query_row("SELECT state FROM revocation_order", [], |row| row.get(0))?))
        .await
        .unwrap();
    assert_eq!(state, "withdrawn");
}

#[tokio::test]
async fn an_action_ends_when_all_of_its_orders_have() {
    let lab = lab();
    lab.issue(1, "wifi", "17").await;
    lab.issue(2, "wifi", "17").await;
    lab.act("jamf", wipe("event-1", "17")).await;
    assert_eq!(lab.results("jamf").await, []);
    lab.set_order(1, "carried-out", "").await;
    assert_eq!(lab.results("jamf").await, []);
    lab.set_order(2, "nothing-to-do", "").await;
    assert_eq!(lab.results("jamf").await, one("event-1", Settlement::Done));
}

#[tokio::test]
async fn an_action_ends_as_its_worst_order_does() {
    for (first, second, expected) in [
        ("carried-out", "failed", Settlement::Failed("no answer".into())),
        ("nothing-to-do", "nothing-to-do", Settlement::NothingToDo),
        (
            "carried-out",
            "withdrawn",
            Settlement::Refused("the order was taken back by two people".into()),
        ),
    ] {
        let lab = lab();
        lab.issue(1, "wifi", "17").await;
        lab.issue(2, "wifi", "17").await;
        lab.act("jamf", wipe("event-1", "17")).await;
        lab.set_order(1, first, "").await;
        lab.set_order(2, second, "no answer").await;
        assert_eq!(lab.results("jamf").await, one("event-1", expected));
    }
}

#[tokio::test]
async fn what_was_revoked_before_is_nothing_to_do() {
    let lab = lab();
    lab.issue(1, "wifi", "17").await;
    lab.act("jamf", of_serial("a", 1)).await;
    lab.set_order(1, "carried-out", "").await;
    assert_eq!(lab.act("jamf", of_serial("b", 1)).await.orders, 0);
    let done = ("a".to_owned(), Settlement::Done);
    assert_eq!(lab.results("jamf").await, [done, ("b".to_owned(), Settlement::NothingToDo)]);
}

#[tokio::test]
async fn results_are_told_again_with_growing_pauses_given_up_and_told_by_hand() {
    let lab = lab();
    lab.act("jamf", wipe("a", "17")).await;
    let due = async |now| settle::untold(&lab.store, "jamf", now).await.unwrap().results.len();
    let failed = async |again, now| {
        let why = "down".to_owned();
        settle::not_told(&lab.store, vec![1], again, why, now).await.unwrap()
    };
    assert_eq!(failed(0, 0).await, 0);
    assert_eq!((due(1).await, due(2).await), (0, 1));
    assert_eq!(failed(500, 2).await, 0);
    assert_eq!((due(501).await, due(502).await), (0, 1));
    for _ in 0..97 {
        assert_eq!(failed(0, 1000).await, 0);
    }
    assert_eq!(failed(0, 1000).await, 1);
    assert_eq!(due(1_000_000_000).await, 0);
    let facts = settle::facts(&lab.store).await.unwrap();
    assert_eq!(facts["newest-given-up"][0]["id"], "result-1");
    assert_eq!(facts["newest-given-up"][0]["failure"], "down");
    assert!(settle::resend(&lab.store, 1).await.unwrap());
    assert!(!settle::resend(&lab.store, 1).await.unwrap());
    assert_eq!(due(0).await, 1);
    lab.store.write(|tx| settle::mark_told(tx, &[1])).await.unwrap();
    assert_eq!(due(1_000_000_000).await, 0);
}

/// Fails if the cursor could be ahead of the actions.
#[tokio::test]
async fn a_cursor_is_stored_with_the_actions_of_its_page_or_not_at_all() {
    let lab = lab();
    let actor = Actor { plugin: "jamf".into(), may_revoke: true };
    let page = |cursor: &'static [u8], fails: bool| {
        let actor = actor.clone();
        lab.store.write(move |tx| {
            schedule::advance(tx, "jamf", cursor, 100)?;
            let _ = keep(tx, &reach(), &actor, &[wipe("a", "17")], 100)?;
            if fails { Err(StoreError::Constraint("full".into())) } else { Ok(()) }
        })
    };
    assert!(page(b"1", true).await.is_err());
    assert_eq!(schedule::load(&lab.store, "jamf").await.unwrap().cursor, None);
    assert_eq!(lab.stopped("wifi", "17").await, None);
    page(b"1", false).await.unwrap();
    let feed = schedule::load(&lab.store, "jamf").await.unwrap();
    assert_eq!(feed.cursor.as_deref(), Some(&b"1"[..]));
    assert!(lab.stopped("wifi", "17").await.is_some());
}

#[tokio::test]
async fn certificates_that_an_older_version_stored_come_into_the_index() {
    let lab = lab();
    lab.issue(1, "wifi", "17").await;
    lab.store.write(|tx| Ok(tx.execute("UPDATE approval SET serial = NULL", [])?)).await.unwrap();
    assert_eq!(lab.act("jamf", of_serial("a", 1)).await.orders, 0);
    devices::complete(&lab.store).await.unwrap();
    assert_eq!(lab.act("jamf", of_serial("b", 1)).await.orders, 1);
}

#[tokio::test]
async fn actions_are_remembered_for_long_and_open_ones_for_ever() {
    let lab = lab();
    lab.issue(1, "wifi", "18").await;
    lab.act("jamf", wipe("ended", "17")).await;
    lab.act("jamf", wipe("open", "18")).await;
    let sweep = async |now| lab.store.write(move |tx| settle::sweep(tx, now)).await.unwrap();
    assert_eq!(sweep(NOW + 399 * 86_400).await, 0);
    assert_eq!(sweep(NOW + 401 * 86_400).await, 1);
    assert_eq!(lab.act("jamf", wipe("open", "18")).await.repeated, 1);
}

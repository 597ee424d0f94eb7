//! Orders from the table through a `sign` that is told what to answer, to a revoker's word.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_config::{AdminSettings, Mode};
use countersign_ipc::{
    Bytes, Client, OrderEnd, Peer, PeerRules, Role, Server, SignReply, SignRequest, SignedOrder,
    bind,
};
use countersign_store::rusqlite::params;
use countersign_store::{Owner, Store};
use tokio::sync::watch;

use super::result::{OrderResult, Outcome};
use super::*;
use crate::schema::SCHEMA;

const NOW: u64 = 1_900_000_000;

/// What `sign` answers to orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Signs,
    Holds,
    Refuses,
    Waits,
}

struct World {
    orders: Orders,
    sign: Arc<Mutex<Sign>>,
    heard: Arc<Mutex<Vec<SignRequest>>>,
    _stop: watch::Sender<bool>,
    _directory: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store =
            Store::open(&directory.path().join("verify.db"), Owner::Verify, SCHEMA).unwrap();
        let socket = directory.path().join("sign.sock");
        let sign = Arc::new(Mutex::new(Sign::Signs));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = watch::channel(false);
        let rules = PeerRules::new(true).allow_own_in_lab(Role::Verify);
        let server = Server::new(bind(&socket).unwrap(), rules, [0; 32]);
        let (mood, ears) = (Arc::clone(&sign), Arc::clone(&heard));
        tokio::spawn(server.run(
            move |_peer: Peer, request: SignRequest| {
                let reply = answer_as_sign(*mood.lock().unwrap(), &request, &ears);
                async move { reply }
            },
            stopped,
        ));
        let orders = Orders {
            store,
            sign: Client::new(&socket, Role::Verify, [0; 32]),
            are_signed: true,
            revokers: vec![
                Revoker {
                    name: "lab".into(),
                    client: "DNS:revoker.example".parse().unwrap(),
                    authorities: vec!["lab".into()],
                },
                Revoker {
                    name: "other".into(),
                    client: "DNS:other.example".parse().unwrap(),
                    authorities: vec!["other".into()],
                },
            ],
            authorities: BTreeMap::from([("wifi".to_owned(), "lab".to_owned())]),
            mode: Mode::Lab,
            people: AdminSettings::default(),
            alone_per_day: 2,
            proposals: Proposals::default(),
        };
        Self { orders, sign, heard, _stop: stop, _directory: directory }
    }

    fn sign_is(&self, mood: Sign) {
        *self.sign.lock().unwrap() = mood;
    }

    async fn place(&self, certificate: u8) -> Placed {
        let order = order(certificate);
        self.orders.store.write(move |tx| place(tx, &order, NOW)).await.unwrap()
    }

    async fn sign_placed(&self, now: u64) {
        self.orders.sign_placed(now).await.unwrap();
    }

    async fn result(&self, revoker: usize, number: u64, result: Outcome, retry: bool) -> usize {
        let told = OrderResult { number, result, retry, detail: "said the CA".into() };
        let revoker = &self.orders.revokers[revoker];
        self.orders.take_results(revoker, vec![told], NOW).await.unwrap()
    }

    async fn states(&self) -> Vec<String> {
        self.orders
            .store
            .read(|connection| {
                let mut statement = connection
                    .prepare("SELECT state FROM revocation_order ORDER BY certificate_sha256")?;
                let rows = statement.query_map([], |row| row.get(0))?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
            .unwrap()
    }

    fn ends(&self) -> Vec<(u64, OrderEnd)> {
        let heard = self.heard.lock().unwrap();
        let ends = heard.iter().filter_map(|request| match request {
            SignRequest::OrderEnded(ended) => Some((ended.number, ended.end)),
            _ => None,
        });
        ends.collect()
    }
}

fn answer_as_sign(mood: Sign, request: &SignRequest, heard: &Mutex<Vec<SignRequest>>) -> SignReply {
    heard.lock().unwrap().push(request.clone());
    match (request, mood) {
        (SignRequest::SignOrder(order), Sign::Signs) => SignReply::OrderSigned(SignedOrder {
            number: u64::from(order.certificate_sha256.0[0]),
            document: Bytes(b"document".to_vec()),
            signature: Bytes(vec![7; 64]),
        }),
        (SignRequest::SignOrder(_), Sign::Holds) => SignReply::OrderHeld { detail: "held".into() },
        (SignRequest::SignOrder(_), Sign::Refuses) => SignReply::Refused { code: "no".into() },
        (SignRequest::SignOrder(_), Sign::Waits) => {
            SignReply::Unavailable { retry_after: 5, detail: "later".into() }
        }
        _ => SignReply::Done,
    }
}

fn order(certificate: u8) -> NewOrder {
    NewOrder {
        authority: "lab".into(),
        serial: format!("{certificate:02x}"),
        certificate_sha256: [certificate; 32],
        profile: "wifi".into(),
        enrolment: [certificate; 32],
        attempt: 1,
        reason: Reason::CessationOfOperation,
        source: Source::Event { plugin: "mdm".into(), action: "wipe-1".into() },
    }
}

async fn page(world: &World, revoker: usize, now: u64) -> Vec<u64> {
    let page = world.orders.page(&world.orders.revokers[revoker], 0, 50, now).await.unwrap();
    page["orders"]
        .as_array()
        .unwrap()
        .iter()
        .map(|order| order["number"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn a_certificate_has_one_order_whoever_places_it() {
    let world = World::new();
    assert_eq!(world.place(1).await, Placed::New);
    assert_eq!(world.place(1).await, Placed::Already);
    let by_tombstone = NewOrder { source: Source::Tombstone { plugin: "mdm".into() }, ..order(1) };
    let placed = world.orders.store.write(move |tx| place(tx, &by_tombstone, NOW)).await.unwrap();
    assert_eq!(placed, Placed::Already);
}

#[tokio::test]
async fn a_placed_order_is_signed_pulled_carried_out_and_in_the_ledger() {
    let world = World::new();
    world.place(1).await;
    assert!(page(&world, 0, NOW).await.is_empty(), "nobody pulls what is not signed");
    world.sign_placed(NOW).await;
    assert_eq!(page(&world, 0, NOW).await, [1]);
    assert!(page(&world, 1, NOW).await.is_empty(), "another CA's revoker sees nothing of it");
    assert_eq!(world.result(1, 1, Outcome::CarriedOut, false).await, 0);
    assert_eq!(world.states().await, ["signed"]);

    for _ in 0..2 {
        assert_eq!(world.result(0, 1, Outcome::CarriedOut, false).await, 1);
    }
    assert_eq!(world.states().await, ["carried-out"]);
    for _ in 0..2 {
        world.orders.report_ended().await.unwrap();
    }
    assert_eq!(world.ends(), [(1, OrderEnd::CarriedOut)]);
    assert!(page(&world, 0, NOW).await.is_empty());
}

#[tokio::test]
async fn a_failed_order_comes_again_until_it_is_confirmed() {
    let world = World::new();
    world.place(1).await;
    world.sign_placed(NOW).await;
    world.result(0, 1, Outcome::Failed, true).await;
    assert_eq!(world.states().await, ["failed"]);
    assert!(page(&world, 0, NOW).await.is_empty(), "not at once");
    assert_eq!(page(&world, 0, NOW + 30).await, [1]);
    world.result(0, 1, Outcome::Failed, true).await;
    assert!(page(&world, 0, NOW + 30).await.is_empty(), "the pause grows");
    world.orders.report_ended().await.unwrap();
    assert_eq!(world.ends(), [], "it has not ended");
    world.result(0, 1, Outcome::NothingToDo, false).await;
    world.orders.report_ended().await.unwrap();
    assert_eq!(world.ends(), [(1, OrderEnd::NothingToDo)]);
}

#[tokio::test]
async fn what_fails_for_good_is_kept_for_a_person() {
    let world = World::new();
    world.place(1).await;
    world.place(2).await;
    world.sign_placed(NOW).await;
    world.result(0, 1, Outcome::Failed, false).await;
    world.sign_is(Sign::Refuses);
    world.place(3).await;
    world.sign_placed(NOW).await;
    world.orders.report_ended().await.unwrap();
    assert_eq!(world.ends(), [(1, OrderEnd::Failed)]);
    let orphans = world.orders.orphans().await.unwrap();
    let results: Vec<_> = orphans["failed-orders"]
        .as_array()
        .unwrap()
        .iter()
        .map(|order| order["result"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(results, ["said the CA", "sign refused it: no"]);
}

#[tokio::test]
async fn row_38_a_blown_fuse_holds_all_orders_and_two_people_take_them_back() {
    let world = World::new();
    world.sign_is(Sign::Holds);
    for certificate in 1..=5 {
        world.place(certificate).await;
    }
    world.sign_placed(NOW).await;
    assert_eq!(world.states().await, ["held"; 5]);
    let asked = world.heard.lock().unwrap().len();
    assert_eq!(asked, 1, "one question is enough");

    let peer = Peer { role: Role::Admin, uid: 7 };
    for _ in 0..2 {
        let first = world.orders.withdraw(peer, None, Some("anna")).await.unwrap();
        assert_eq!(first["state"], "proposed");
    }
    assert_eq!(world.states().await, ["held"; 5]);
    let second = world.orders.withdraw(peer, None, Some("berta")).await.unwrap();
    assert_eq!((&second["state"], &second["orders"]), (&"withdrawn".into(), &5.into()));
    let told = world.heard.lock().unwrap().last().cloned();
    assert!(matches!(told, Some(SignRequest::OrdersWithdrawn { people, .. })
        if people.contains("anna") && people.contains("berta")));

    // Whoever wants it revoked after all places it again.
    world.sign_is(Sign::Signs);
    assert_eq!(world.place(1).await, Placed::New);
    world.sign_placed(NOW).await;
    assert_eq!(page(&world, 0, NOW).await, [1]);
}

#[tokio::test]
async fn held_orders_go_through_once_the_fuse_is_whole() {
    let world = World::new();
    world.sign_is(Sign::Holds);
    world.place(1).await;
    world.place(2).await;
    world.sign_placed(NOW).await;
    world.sign_is(Sign::Signs);
    world.sign_placed(NOW).await;
    assert_eq!(world.states().await, ["signed", "signed"]);
}

#[tokio::test]
async fn an_order_whose_outcome_sign_does_not_know_yet_waits_and_holds_up_no_other() {
    let world = World::new();
    world.sign_is(Sign::Waits);
    world.place(1).await;
    world.sign_placed(NOW).await;
    world.sign_is(Sign::Signs);
    world.place(2).await;
    world.sign_placed(NOW).await;
    assert_eq!(world.states().await, ["placed", "signed"]);
    world.sign_placed(NOW + 5).await;
    assert_eq!(world.states().await, ["signed", "signed"]);
}

#[tokio::test]
async fn row_40_one_person_revokes_a_few_and_two_revoke_many() {
    let world = World::new();
    let device = |serial: u8, device: &str| (serial, device.to_owned(), certificate(serial));
    for (enrolment, device, der) in
        [device(1, "a"), device(2, "a"), device(3, "b"), device(4, "b"), device(5, "b")]
    {
        let sha256 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der);
        let sha256 = sha256.as_ref().to_vec();
        let inserted = world.orders.store.write(move |tx| {
            Ok(tx.execute(
                "INSERT INTO approval (enrolment, attempt, profile, device_id, approval, approved,
                     outcome, certificate, certificate_sha256)
                 VALUES (?1, 1, 'wifi', ?2, X'00', 1, 'issued', ?3, ?4)",
                params![[enrolment; 32], device, der, sha256],
            )?)
        });
        inserted.await.unwrap();
    }
    let peer = Peer { role: Role::Admin, uid: 7 };
    let revoke = async |target: &Target, person: &str| {
        world.orders.revoke(peer, target, "key-compromise", Some(person), NOW).await
    };
    let a = Target::read(None, Some("a".into())).unwrap();
    let b = Target::read(None, Some("b".into())).unwrap();
    assert_eq!(revoke(&a, "anna").await.unwrap()["state"], "ordered");
    assert!(revoke(&a, "anna").await.is_err(), "all of it is ordered");
    // Two were allowed today, and are used up.
    assert_eq!(revoke(&b, "anna").await.unwrap()["state"], "proposed");
    assert_eq!(revoke(&b, "anna").await.unwrap()["state"], "proposed");
    assert_eq!(world.states().await.len(), 2);
    let confirmed = revoke(&b, "berta").await.unwrap();
    assert_eq!(confirmed["state"], "ordered");
    assert_eq!(confirmed["persons"].as_array().unwrap().len(), 2);
    assert_eq!(world.states().await, ["placed"; 5]);
    assert!(world.orders.revoke(peer, &a, "no reason", None, NOW).await.is_err());
}

#[tokio::test]
async fn row_39_a_revoker_is_known_by_its_own_name_only() {
    let world = World::new();
    let name = |text: &str| text.parse::<Name>().unwrap();
    let found = |names: &[Name]| world.orders.revoker(names).map(|revoker| revoker.name.clone());
    assert_eq!(found(&[name("CN=x"), name("DNS:revoker.example")]).as_deref(), Some("lab"));
    assert_eq!(found(&[name("DNS:other.example")]).as_deref(), Some("other"));
    assert_eq!(found(&[name("DNS:revoker.example"), name("DNS:other.example")]), None);
    assert_eq!(found(&[name("CN=revoker.example")]), None);
    assert_eq!(found(&[]), None);
}

/// A self-signed certificate of 2026, good until 2051, with this serial number; nobody here checks
/// its signature.
fn certificate(serial: u8) -> Vec<u8> {
    let mut der = STANDARD.decode(SERIAL_5.replace('\n', "")).unwrap();
    let place = der.windows(3).position(|octets| octets == [2, 1, 5]).unwrap();
    der[place + 2] = serial;
    der
}

const SERIAL_5: &str = "\
MIIBbDCCARKgAwIBAgIBBTAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlkZXZpY2UtMTcwIBcNMjYx
MjAxMDA1MzA3WhgPMjA1MTA3MjMwMDUzMDdaMBQxEjAQBgNVBAMMCWRldmljZS0xNzBZMBMGByqG
SM49AgEGCCqGSM49AwEHA0IABNUDvC+gSQzBHUrHdk1suYlsGuPCCmjRC0ZKn1jXTzUUpTiUMWMk
uEjnPJtc/55iNw+Iux8AS5nfbcT8fXrWTcajUzBRMB0GA1UdDgQWBBSlJS1bUteqJ9GBvvGwjjF0
CGvTSDAfBgNVHSMEGDAWgBSlJS1bUteqJ9GBvvGwjjF0CGvTSDAPBgNVHRMBAf8EBTADAQH/MAoG
CCqGSM49BAMCA0gAMEUCIQCqeVoQ+bCWmTmr0iWb63MMqs9OIT1Y02f76CqXRUXPhAIgO1gTOWcL
SJFXhs/XlTuqpJj3B32xPtr/2Oein7dU6oM=";

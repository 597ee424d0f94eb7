//! What device managements say of their devices: a wiped device loses its certificates and gets no
//! other one, whatever dies in between; a credential for one kind of call is good for no other; a
//! device management that must hear of a certificate first does. Rows 38 and 51 of the founding
//! checklist.

use std::path::Path;
use std::time::{Duration, Instant};

use argon2::{Argon2, Params, PasswordHasher as _};
use countersign_ipc::{AdminReply, AdminRequest};
use countersign_lab_ca::{Agent, OrderKey, RequestState, Role};
use countersign_ledger::CheckpointKey;
use countersign_scep::client::Ask;
use countersign_scep::{Certificate, IssuerAndSerial};
use countersign_stubs::{Client, Identity, Receiver, WebhookReceiver};
use countersign_tests::openssl::{openssl, run};
use countersign_tests::{Answer, Device, Installation, Plugin, Profile, Program, component};
use der::Decode as _;
use serde_json::{Value, json};
use x509_cert::crl::CertificateList;

use crate::guests::{Guest, SCRATCH};

const NAMES_17: [&str; 2] = ["CN=device-17", "DNS:device-17.example"];
const NAMES_18: [&str; 2] = ["CN=device-18", "DNS:device-18.example"];
const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";
const PASSWORD: &str = "correct horse";

/// A receiver of webhooks that is a device management, an installation, and an agent beside the CA.
struct World {
    installation: Installation,
    receiver: WebhookReceiver,
    /// Signs events as the receiver does.
    signer: Receiver,
    mdm: String,
    revoker: String,
}

fn sections() -> String {
    let argon2 = Argon2::from(Params::new(7168, 1, 1, None).unwrap());
    let hash = argon2.hash_password_with_salt(PASSWORD.as_bytes(), &[7; 16]).unwrap();
    format!(
        r#"
[sign.order]
key = "file:secrets/order.key"

[verify.mdm]
listen = "127.0.0.1:0"
certificate = "keys/mdm.pem"
key = "file:keys/mdm.key"

[verify.mdm.credential.hooks]
events = ["webhook"]
authentication.basic = {{ user = "hooks", password-hash = "{hash}" }}

[verify.mdm.credential.passwords]
profiles = ["passwords"]
quota-per-hour = 100
authentication.basic = {{ user = "passwords", password-hash = "{hash}" }}

[verify.revoker]
listen = "127.0.0.1:0"
certificate = "keys/revoker-server.pem"
key = "file:keys/revoker-server.key"
client-ca = "ca/ca.pem"

[revoker.lab]
kind = "lab"
authorities = ["lab"]
client = "CN=agent.example"
"#
    )
}

impl World {
    async fn start() -> Self {
        let identity = Identity::new(&["DNS:localhost"]);
        let signer = Receiver::new("hook-1", KEY)
            .allow("OPEN-17", "17", &NAMES_17)
            .allow("OPEN-18", "18", &NAMES_18);
        let receiver = signer.clone().start(&identity).await;
        let url = format!("https://localhost:{}/scep", receiver.server().address().port());
        let plugin = format!(
            "[settings]\nurl = {url:?}\nid = \"hook-1\"\nformat = \"countersign\"\nnotify = true\n\
             [grants]\nlog = true\nrevocation = true\nhosts = [\"{{/url}}\"]\n\
             addresses = [\"127.0.0.0/8\", \"::1\"]\nsecrets = [\"webhook-key\"]\n\
             [http]\nroots = \"keys/hook.pem\"\n\
             [secrets.webhook-key]\nvalue = \"file:secrets/webhook.key\"\nencoding = \"raw\"\n"
        );
        let mut installation = Installation::builder()
            .plugin(Plugin::new("webhook", component("webhook"), &plugin))
            .profile(Profile::named("hooked").verifiers(&["webhook"]))
            .profile(Profile::named("passwords"))
            .sections(&sections())
            .prepare()
            .await;
        std::fs::write(installation.file("keys/hook.pem"), identity.certificate_pem()).unwrap();
        std::fs::write(installation.file("secrets/webhook.key"), KEY).unwrap();
        private(&installation.file("secrets/webhook.key"));
        CheckpointKey::create_file(&installation.file("secrets/order.key")).unwrap();
        certificate(&installation, "mdm", Role::TlsServer);
        certificate(&installation, "revoker-server", Role::TlsServer);
        certificate(&installation, "agent", Role::TlsClient);
        installation.start_all().await;
        let mut world =
            Self { installation, receiver, signer, mdm: String::new(), revoker: String::new() };
        world.find().await;
        world
    }

    /// Where `verify` listens, which changes with each start.
    async fn find(&mut self) {
        let verify = self.installation.running(Program::Verify);
        let mut address = async |what: &str| {
            let event = verify.event(what, |event| event["message"] == what).await;
            event["listen"].as_str().unwrap().to_owned()
        };
        self.mdm = address("serving device managements").await;
        self.revoker = address("serving revokers").await;
    }

    fn client(&self, credential: &str) -> Client {
        let roots = std::fs::read(self.installation.file("ca/ca.pem")).unwrap();
        Client::new(&self.mdm, &roots).basic(credential, PASSWORD)
    }

    /// Posts an event as the receiver does.
    async fn post(&self, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        let client = self
            .signer
            .event_headers(&body)
            .iter()
            .fold(self.client("hooks"), |client, (name, value)| client.header(name, value));
        let answer = client.post("/event/webhook", "application/json", body).await;
        (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    async fn wipe(&self, id: &str, device: &str) -> (u16, Value) {
        self.post(&json!({ "id": id, "action": "revoke", "deviceId": device, "detail": "wiped" }))
            .await
    }

    async fn enrol(&self, challenge: &str, names: &[&str]) -> Answer {
        self.installation.enrol("hooked", &Device::new(names, Some(challenge))).await
    }

    fn newest_serial(&self) -> String {
        match self.installation.ca_requests().pop().unwrap().state {
            RequestState::Issued(serial) => serial,
            other => panic!("{other:?}"),
        }
    }

    /// Lets the agent run until it has revoked so many.
    async fn revoke(&self, count: usize) {
        let key = match self.installation.admin(Program::Sign, AdminRequest::OrderKey).await {
            AdminReply::Text(pem) => pem,
            other => panic!("{other:?}"),
        };
        let file = |name: &str| self.installation.file(name);
        let started = Instant::now();
        let mut done = 0;
        while done < count {
            let agent = Agent {
                address: self.revoker.clone(),
                roots: file("ca/ca.pem"),
                certificate: file("keys/agent.pem"),
                key: file("keys/agent.key"),
                order_key: OrderKey::from_pem(&key).unwrap(),
                authority: "lab".to_owned(),
                publish: None,
            };
            let report = agent.run(self.installation.ca()).await.unwrap();
            done += report.carried_out;
            let logs = || self.installation.logs();
            assert!(started.elapsed() < Duration::from_secs(60), "{report:?}\n{}", logs());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn is_revoked(&self, serial: &str) -> bool {
        let crl = self.installation.ca().crl().unwrap();
        let list: CertificateList = CertificateList::from_der(&crl).unwrap();
        let revoked = list.tbs_cert_list.revoked_certificates.unwrap_or_default();
        revoked.iter().any(|entry| hex::encode(entry.serial_number.as_bytes()) == serial)
    }

    /// What the receiver was told of its events, once it was told of so many.
    async fn settled(&self, count: usize) -> Vec<Value> {
        for _ in 0..300 {
            let settled = self.receiver.settled();
            if settled.len() >= count {
                return settled;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("nobody told the receiver\n{}", self.installation.logs());
    }

    async fn denials(&self, code: &str, count: usize) -> Vec<Value> {
        for _ in 0..100 {
            let denied = self.installation.ledger_of("denied").await;
            let found: Vec<Value> =
                denied.into_iter().filter(|entry| entry["body"]["code"] == code).collect();
            if found.len() >= count {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no {count} denials with {code}\n{}", self.installation.logs());
    }
}

/// A key and a certificate of the lab CA in this role.
fn certificate(installation: &Installation, name: &str, role: Role) {
    let key = installation.file(&format!("keys/{name}.key"));
    let csr = installation.file(&format!("{name}.csr"));
    run(openssl(&["req", "-new", "-nodes", "-newkey", "rsa:2048", "-outform", "DER"])
        .args(["-subj", &format!("/CN={name}.example")])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&csr));
    private(&key);
    let csr = std::fs::read(csr).unwrap();
    let der = installation.ca().issue_role_certificate(&csr, role).unwrap();
    let pem = der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, &der).unwrap();
    std::fs::write(installation.file(&format!("keys/{name}.pem")), pem).unwrap();
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn row_38_a_wiped_device_loses_its_certificates_and_gets_no_other() {
    let world = World::start().await;
    let _ = world.enrol("OPEN-17", &NAMES_17).await.issued();
    let first = world.newest_serial();
    let _ = world.enrol("OPEN-17", &NAMES_17).await.issued();
    let second = world.newest_serial();
    let _ = world.enrol("OPEN-18", &NAMES_18).await.issued();
    let other = world.newest_serial();
    world.installation.wait_until_told().await;

    assert_eq!(world.wipe("wipe-1", "17").await, (200, json!({ "actions": 1, "repeated": 0 })));
    world.revoke(2).await;
    assert!(world.is_revoked(&first) && world.is_revoked(&second) && !world.is_revoked(&other));
    let told = json!({ "id": "wipe-1", "result": "done", "detail": "" });
    assert_eq!(world.settled(1).await, [told]);

    // It comes again, with a new key, and gets nothing; the other one does.
    assert!(world.enrol("OPEN-17", &NAMES_17).await.is_refused_without_reason());
    world.denials("device-tombstoned", 1).await;
    let _ = world.enrol("OPEN-18", &NAMES_18).await.issued();

    // The event again repeats nothing, also when an admin has let the device in again.
    let lift =
        AdminRequest::LiftTombstone { plugin: "webhook".to_owned(), device_id: "17".to_owned() };
    let lifted = world.installation.facts(Program::Verify, lift).await;
    assert_eq!(lifted["detail"], "wiped");
    assert_eq!(world.wipe("wipe-1", "17").await, (200, json!({ "actions": 0, "repeated": 1 })));
    let _ = world.enrol("OPEN-17", &NAMES_17).await.issued();
    let orders = world.installation.facts(Program::Verify, AdminRequest::Orders).await;
    assert_eq!(orders, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_51_a_credential_for_events_fetches_no_challenge_and_the_other_way_round() {
    let world = World::start().await;
    let _ = world.enrol("OPEN-17", &NAMES_17).await.issued();
    let (hooks, passwords) = (world.client("hooks"), world.client("passwords"));
    let body = r#"{"id":"a","action":"revoke","deviceId":"17"}"#;
    for (client, path) in [
        (&hooks, "/challenge/passwords"),
        (&hooks, "/event/one-time-password"),
        (&hooks, "/event/nobody"),
        (&hooks, "/event/"),
        (&passwords, "/event/webhook"),
        (&passwords, "/event/webhook/suffix"),
    ] {
        let answer = client.post(path, "application/json", body).await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.text());
    }
    let denied = world.denials("mdm-not-permitted", 6).await;
    let details: Vec<_> = denied.iter().map(|entry| entry["body"]["detail"].as_str()).collect();
    assert!(
        details.contains(&Some("the credential `passwords` may not POST /event/webhook")),
        "{details:?}"
    );
    // A good credential is not yet a good event: the plug-in wants a signature, and a question.
    let unsigned = hooks.post("/event/webhook", "application/json", body).await;
    assert_eq!(unsigned.status, 422, "{}", unsigned.text());
    assert_eq!(hooks.get("/event/webhook").await.status, 405);
    let large = hooks.post("/event/webhook", "application/json", vec![b' '; 70_000]).await;
    assert_eq!(large.status, 413);
    let orders = world.installation.facts(Program::Verify, AdminRequest::Orders).await;
    assert_eq!(orders, json!([]));
    let tombstones = world.installation.facts(Program::Verify, AdminRequest::Tombstones).await;
    assert_eq!(tombstones, json!([]));
}

/// What was answered with a 2xx is ordered, whoever dies next.
#[tokio::test(flavor = "multi_thread")]
async fn row_38_a_wipe_that_was_taken_outlives_a_crash_of_verify_and_an_absence_of_sign() {
    let mut world = World::start().await;
    let _ = world.enrol("OPEN-17", &NAMES_17).await.issued();
    let serial = world.newest_serial();
    world.installation.wait_until_told().await;
    world.installation.kill(Program::Sign).await;
    assert_eq!(world.wipe("wipe-1", "17").await.0, 200);
    world.installation.kill(Program::Verify).await;
    world.installation.start(Program::Sign).await;
    world.installation.start(Program::Verify).await;
    world.find().await;
    world.revoke(1).await;
    assert!(world.is_revoked(&serial));
    assert_eq!(world.settled(1).await[0]["result"], "done");
}

/// Approved and signed, not yet issued: the CA is away when the device is wiped.
#[tokio::test(flavor = "multi_thread")]
async fn row_38_a_device_that_is_wiped_while_it_enrols_loses_what_it_then_gets() {
    let mut world = World::start().await;
    world.installation.stop_ca().await;
    let device = Device::new(&NAMES_17, Some("OPEN-17"));
    assert_eq!(world.installation.enrol("hooked", &device).await, Answer::Pending);
    assert_eq!(world.wipe("wipe-1", "17").await.0, 200);
    assert_eq!(world.settled(1).await[0]["result"], "nothing-to-do");
    world.installation.start_ca().await;
    let mut answer = world.installation.poll("hooked", &device).await;
    for _ in 0..50 {
        if answer != Answer::Pending {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        answer = world.installation.poll("hooked", &device).await;
    }
    let _ = answer.issued();
    world.revoke(1).await;
    assert!(world.is_revoked(&world.newest_serial()));
}

/// Where the guest's `err(retry)` and its batch lie.
const BATCH: u32 = 0xb00;

/// A guest that hears of outcomes before devices do, and takes none before this second.
fn hears_first(from: u64) -> Guest {
    // Of the description: the second flag. Of the parameters: `context.now`.
    let notify = format!(
        "(i32.store8 (i32.const {SCRATCH}) (i64.lt_u (i64.load offset=8 (local.get 0)) (i64.const {from})))
         (i32.store offset=4 (i32.const {SCRATCH}) (i32.const 1))
         (i32.const {SCRATCH})"
    );
    Guest {
        world: "plugin-with-outcomes",
        exports: vec![("outcomes", "notify", "(param i32) (result i32)", notify)],
        describe: "(i32.store8 (i32.const 0x439) (i32.const 1))".into(),
        ..Guest::default()
    }
}

async fn with(name: &str, guest: &Guest, plugin: &str, sections: &str) -> Installation {
    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("guest.wasm");
    std::fs::write(&component, guest.build()).unwrap();
    let installation = Installation::builder()
        .plugin(Plugin::new(name, component, plugin))
        .profile(Profile::named(name).verifiers(&["one-time-password", name]))
        .sections(sections)
        .prepare()
        .await;
    // The config names the component by its digest; it must still be there at each start.
    std::mem::forget(folder);
    installation
}

fn in_seconds(seconds: u64) -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    now.as_secs() + seconds
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_device_management_that_hears_first_costs_the_device_no_second_visit() {
    let mut installation = with("first", &hears_first(0), "", "").await;
    installation.start_all().await;
    let device = installation.new_device("first", &NAMES_17).await;
    let issued = installation.enrol("first", &device).await.issued();
    // And the same again, when all is told.
    assert_eq!(installation.enrol("first", &device).await.issued().certificate, issued.certificate);
    assert_eq!(installation.submissions(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_waits_until_its_management_has_heard_of_the_certificate() {
    let mut installation = with("first", &hears_first(in_seconds(12)), "", "").await;
    installation.start_all().await;
    let device = installation.new_device("first", &NAMES_17).await;
    assert_eq!(installation.enrol("first", &device).await, Answer::Pending);
    let requests = AdminRequest::Requests { limit: 10 };
    let requests = installation.facts(Program::Serve, requests).await;
    assert_eq!(requests[0]["state"], "issued", "it is there, and nobody may have it");
    // Neither a repetition, nor a question for it by name, nor a crash gets it out.
    assert_eq!(installation.enrol("first", &device).await, Answer::Pending);
    let ra = installation.ra("first").await;
    let name = name_of_newest(&installation);
    let sent = device.ask(&ra, Ask::GetCert(&name));
    let answer = device.read(&sent, installation.send("first", &sent).await, &ra);
    assert!(matches!(answer, Answer::Failure { .. }), "{answer:?}");
    installation.crash(Program::Serve).await;
    let mut answer = installation.poll("first", &device).await;
    for _ in 0..300 {
        if answer != Answer::Pending {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        answer = installation.poll("first", &device).await;
    }
    let _ = answer.issued();
    let sent = device.ask(&ra, Ask::GetCert(&name));
    let _ = device.read(&sent, installation.send("first", &sent).await, &ra).issued();
    assert_eq!(installation.submissions(), 1);
}

/// Issuer and serial number of what the CA issued last.
fn name_of_newest(installation: &Installation) -> IssuerAndSerial {
    let serial = match installation.ca_requests().pop().unwrap().state {
        RequestState::Issued(serial) => hex::decode(serial).unwrap(),
        other => panic!("{other:?}"),
    };
    let pem = std::fs::read(installation.file("ca/ca.pem")).unwrap();
    let (_, ca) = der::pem::decode_vec(&pem).unwrap();
    let issuer = Certificate::parse(&ca).unwrap().subject_der().to_vec();
    let head = [2, u8::try_from(serial.len()).unwrap()];
    IssuerAndSerial { issuer, serial: [head.as_slice(), &serial].concat() }
}

/// A guest whose feed says, whenever it is asked, that device 17 was wiped.
fn feed() -> Guest {
    let text = |at: u32, text: &str| format!("(data (i32.const {at}) {text:?})");
    let (id, device) = (BATCH + 0xa0, BATCH + 0xb0);
    // ok: one action, a cursor, no more, no attributes.
    let batch = [0, BATCH + 0x20, 1, id, 6, 0, 0, 0];
    // An id; revoke: case 0 of a device, the reason cessation-of-operation, a detail; no attributes.
    let action = [id, 6, 0, 0, device, 2, 0, 0, 4, 0, 0, id, 6, 0, 0];
    let data = |at: u32, words: &[u32]| {
        let octets = words.iter().flat_map(|word| word.to_le_bytes());
        let octets: String = octets.map(|octet| format!("\\{octet:02x}")).collect();
        format!("(data (i32.const {at}) \"{octets}\")")
    };
    let context = "i32 i64 i32 i32 i32 i32 i32 i32 i32";
    let on_schedule: &'static str =
        Box::leak(format!("(param {context} i32 i32 i32) (result i32)").into_boxed_str());
    let settled: &'static str =
        Box::leak(format!("(param {context} i32 i32) (result i32)").into_boxed_str());
    Guest {
        world: "plugin-with-events",
        exports: vec![
            ("events", "on-event", "(param i32) (result i32)", "unreachable".into()),
            ("events", "on-schedule", on_schedule, format!("(i32.const {BATCH})")),
            ("events", "settled", settled, format!("(i32.const {SCRATCH})")),
        ],
        fields: [
            data(BATCH, &batch),
            data(BATCH + 0x20, &action),
            text(id, "feed-1"),
            text(device, "17"),
        ]
        .join("\n"),
        ..Guest::default()
    }
}

/// A password for device 17 in the words of its management.
async fn challenge(installation: &Installation) -> String {
    let question = AdminRequest::IssueChallenge {
        profile: "feed".to_owned(),
        names: NAMES_17.map(str::to_owned).to_vec(),
        device_id: Some("17".to_owned()),
        ttl: 600,
    };
    match installation.admin(Program::Verify, question).await {
        AdminReply::Challenge { text, .. } => text.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_38_a_feed_is_read_on_its_schedule_and_what_it_repeats_is_done_once() {
    let revoker: String = sections()
        .replace("events = [\"webhook\"]", "events = [\"feed\"]")
        .replace("[\"passwords\"]", "[\"feed\"]");
    let plugin = "schedule-seconds = 5\n[grants]\nrevocation = true\n";
    let mut installation = with("feed", &feed(), plugin, &revoker).await;
    CheckpointKey::create_file(&installation.file("secrets/order.key")).unwrap();
    certificate(&installation, "mdm", Role::TlsServer);
    certificate(&installation, "revoker-server", Role::TlsServer);
    installation.start_all().await;
    let tombstones = async |installation: &Installation| {
        installation.facts(Program::Verify, AdminRequest::Tombstones).await
    };
    let mut found = tombstones(&installation).await;
    for _ in 0..100 {
        if found != json!([]) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        found = tombstones(&installation).await;
    }
    assert_eq!((&found[0]["device-id"], &found[0]["action"]), (&"17".into(), &"feed-1".into()));
    let text = challenge(&installation).await;
    let device = Device::new(&NAMES_17, Some(&text));
    assert!(installation.enrol("feed", &device).await.is_refused_without_reason());

    // Over a restart and the next looks into the feed: once done, once lifted, that is all.
    installation.kill(Program::Verify).await;
    installation.start(Program::Verify).await;
    let lift =
        AdminRequest::LiftTombstone { plugin: "feed".to_owned(), device_id: "17".to_owned() };
    let _ = installation.facts(Program::Verify, lift).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(tombstones(&installation).await, json!([]));
    let status = installation.facts(Program::Verify, AdminRequest::Status).await;
    assert_eq!(status["events"]["feeds"][0]["failures"], 0, "{status}");
    let text = challenge(&installation).await;
    let device = Device::new(&NAMES_17, Some(&text));
    let _ = installation.enrol("feed", &device).await.issued();
}

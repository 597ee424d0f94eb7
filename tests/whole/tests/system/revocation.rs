//! Rows 38, 39 and 40 of the founding checklist: an order goes from whoever places it through
//! `sign`'s fuse, ledger and order key to an agent beside the CA, and comes back as done. What is not
//! signed by that key is carried out by nobody.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_ipc::{AdminReply, AdminRequest};
use countersign_lab_ca::{
    Agent, LabCa, Misbehaviour, OrderKey, Report, RequestState, Role, Template,
};
use countersign_ledger::CheckpointKey;
use countersign_tests::openssl::{openssl, output, run};
use countersign_tests::{Answer, Device, Installation, Profile, Program};
use der::Decode as _;
use serde_json::{Value, json};
use x509_cert::crl::CertificateList;

/// The task for AD CS as `countersign revoker script` prints it; what it says of orders is what the
/// scripted client below does.
const TASK: &str = include_str!("../../../../host/cli/tests/golden/revoker-task.ps1");

const SECTIONS: &str = r#"
[sign.order]
key = "file:secrets/order.key"

[sign.revocation-fuse]
per-minute = 2
per-hour = 100
per-day = 100

[verify.revocation]
alone-per-day = 1

[verify.revoker]
listen = "127.0.0.1:0"
certificate = "keys/revoker-server.pem"
key = "file:keys/revoker-server.key"
client-ca = "keys/agents-ca.pem"

[revoker.lab]
kind = "lab"
authorities = ["lab"]
client = "DNS:revoker.example"
"#;

/// An installation with a revoker, and agents' certificates.
struct World {
    installation: Installation,
    address: String,
}

impl World {
    /// With the usual profile, and one whose CA puts another name into certificates.
    async fn start() -> Self {
        let other = Misbehaviour::OtherSan { dns: "domain-controller.example".into() };
        let installation = Installation::builder()
            .template(Template::named("other-san").that(other))
            .profile(Profile::named("devices"))
            .profile(Profile::named("other-san").template("other-san"))
            .sections(SECTIONS)
            .prepare()
            .await;
        CheckpointKey::create_file(&installation.file("secrets/order.key")).unwrap();
        server(&installation);
        agents(&installation);
        let mut world = Self { installation, address: String::new() };
        world.installation.start_all().await;
        let verify = world.installation.running(Program::Verify);
        let serving = |event: &Value| event["message"] == "serving revokers";
        let event = verify.event("serving revokers", serving).await;
        world.address = event["listen"].as_str().unwrap().to_owned();
        world
    }

    async fn order_key(&self) -> String {
        match self.installation.admin(Program::Sign, AdminRequest::OrderKey).await {
            AdminReply::Text(pem) => pem,
            other => panic!("{other:?}"),
        }
    }

    async fn agent(&self, name: &str) -> Agent {
        let file = |name: &str| self.installation.file(name);
        Agent {
            address: self.address.clone(),
            roots: file("ca/ca.pem"),
            certificate: file(&format!("keys/{name}.pem")),
            key: file(&format!("keys/{name}.key")),
            order_key: OrderKey::from_pem(&self.order_key().await).unwrap(),
            authority: "lab".to_owned(),
            publish: Some(file("published.crl")),
        }
    }

    async fn run_agent(&self) -> Report {
        self.agent("revoker").await.run(self.installation.ca()).await.unwrap()
    }

    /// A device that gets a certificate which says more than was approved.
    async fn withheld(&self, name: &str) -> String {
        let names = [format!("CN={name}"), format!("DNS:{name}.example")];
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let device = self.installation.new_device("other-san", &names).await;
        let answer = self.installation.enrol("other-san", &device).await;
        assert!(matches!(answer, Answer::Failure { .. }), "{answer:?}");
        self.newest_serial()
    }

    /// A device of this identity that gets its certificate.
    async fn enrolled(&self, name: &str, device_id: &str) -> String {
        let names = [format!("CN={name}"), format!("DNS:{name}.example")];
        let question = AdminRequest::IssueChallenge {
            profile: "devices".to_owned(),
            names: names.to_vec(),
            device_id: Some(device_id.to_owned()),
            ttl: 3600,
        };
        let challenge = match self.installation.admin(Program::Verify, question).await {
            AdminReply::Challenge { text, .. } => text.to_string(),
            other => panic!("{other:?}"),
        };
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let device = Device::new(&names, Some(&challenge));
        let _delivered = self.installation.enrol("devices", &device).await.issued();
        self.newest_serial()
    }

    fn newest_serial(&self) -> String {
        match self.installation.ca_requests().pop().unwrap().state {
            RequestState::Issued(serial) => serial,
            other => panic!("{other:?}"),
        }
    }

    /// Open orders in this state, once there are so many.
    async fn wait_for_orders(&self, state: &str, count: usize) -> Vec<Value> {
        let started = Instant::now();
        loop {
            let orders = self.installation.facts(Program::Verify, AdminRequest::Orders).await;
            let orders = orders.as_array().unwrap().clone();
            let found: Vec<_> =
                orders.iter().filter(|order| order["state"] == state).cloned().collect();
            if found.len() >= count {
                return found;
            }
            let logs = || self.installation.logs();
            assert!(started.elapsed() < Duration::from_secs(60), "{orders:?}\n{}", logs());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// One request as somebody with this certificate; what came, or nothing.
    async fn ask(&self, certificate: Option<&str>, request: String) -> String {
        let mut command = openssl(&["s_client", "-connect", &self.address, "-quiet"]);
        command
            .args(["-verify_return_error", "-verify_ip", "127.0.0.1", "-CAfile"])
            .arg(self.installation.file("ca/ca.pem"));
        if let Some(name) = certificate {
            command.arg("-cert").arg(self.installation.file(&format!("keys/{name}.pem")));
            command.arg("-key").arg(self.installation.file(&format!("keys/{name}.key")));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        tokio::task::spawn_blocking(move || {
            let mut child = command.spawn().unwrap();
            // Fails where the handshake fails first.
            let _ = child.stdin.take().unwrap().write_all(request.as_bytes());
            String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout).into_owned()
        })
        .await
        .unwrap()
    }
}

/// The listener's certificate, from the lab CA.
fn server(installation: &Installation) {
    let key = installation.file("keys/revoker-server.key");
    let csr = installation.file("revoker-server.csr");
    run(openssl(&[
        "req",
        "-new",
        "-nodes",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
    ])
    .args(["-subj", "/CN=ra.example", "-addext", "subjectAltName=IP:127.0.0.1"])
    .args(["-outform", "DER", "-keyout"])
    .arg(&key)
    .arg("-out")
    .arg(&csr));
    private(&key);
    let csr = std::fs::read(csr).unwrap();
    let der = installation.ca().issue_role_certificate(&csr, Role::TlsServer).unwrap();
    let pem = der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, &der).unwrap();
    std::fs::write(installation.file("keys/revoker-server.pem"), pem).unwrap();
}

/// An authority that issues to agents only, the agent, and somebody else that it issued to.
fn agents(installation: &Installation) {
    let file = |name: &str| installation.file(&format!("keys/{name}"));
    let ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    run(openssl(&["req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=Agents"])
        .args(ec)
        .args(["-addext", "keyUsage=critical,keyCertSign", "-keyout"])
        .arg(file("agents-ca.key"))
        .arg("-out")
        .arg(file("agents-ca.pem")));
    for name in ["revoker", "somebody"] {
        run(openssl(&["req", "-x509", "-nodes", "-days", "30", "-subj"])
            .arg(format!("/CN={name}"))
            .args(ec)
            .args(["-addext", "basicConstraints=critical,CA:FALSE", "-addext"])
            .arg(format!("subjectAltName=DNS:{name}.example"))
            .args(["-addext", "extendedKeyUsage=clientAuth", "-CA"])
            .arg(file("agents-ca.pem"))
            .arg("-CAkey")
            .arg(file("agents-ca.key"))
            .arg("-keyout")
            .arg(file(&format!("{name}.key")))
            .arg("-out")
            .arg(file(&format!("{name}.pem"))));
    }
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Serial numbers in a revocation list.
fn revoked(crl: &[u8]) -> Vec<String> {
    let list: CertificateList = CertificateList::from_der(crl).unwrap();
    let revoked = list.tbs_cert_list.revoked_certificates.unwrap_or_default();
    revoked.iter().map(|entry| hex::encode(entry.serial_number.as_bytes())).collect()
}

fn is_revoked(ca: &LabCa, serial: &str) -> bool {
    revoked(&ca.crl().unwrap()).iter().any(|found| found == serial)
}

#[tokio::test(flavor = "multi_thread")]
async fn row_38_what_was_withheld_is_ordered_signed_pulled_revoked_and_in_the_ledger() {
    let world = World::start().await;
    let serial = world.withheld("device-17").await;
    let signed = world.installation.wait_for_ledger("order-signed", 1).await;
    assert_eq!(signed[0]["body"]["source"], "check");
    assert_eq!(signed[0]["body"]["serial"], serial);
    world.wait_for_orders("signed", 1).await;
    assert!(!is_revoked(world.installation.ca(), &serial), "nobody has pulled it");

    let report = world.run_agent().await;
    assert_eq!(report, Report { carried_out: 1, ..Report::default() });
    let published = std::fs::read(world.installation.file("published.crl")).unwrap();
    assert!(revoked(&published).contains(&serial), "the list that clients fetch has it");

    let ended = world.installation.wait_for_ledger("order-ended", 1).await;
    assert_eq!(ended[0]["body"]["end"], "carried-out");
    assert_eq!(ended[0]["body"]["revoker"], "lab");
    let open = world.installation.facts(Program::Verify, AdminRequest::Orders).await;
    assert_eq!(open, json!([]));
    assert_eq!(world.run_agent().await, Report::default(), "there is nothing more to do");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_39_whoever_is_no_revoker_gets_no_order_and_is_not_believed() {
    let world = World::start().await;
    world.withheld("device-17").await;
    world.wait_for_orders("signed", 1).await;
    let get = "GET /orders HTTP/1.1\r\nhost: ra\r\nconnection: close\r\n\r\n".to_owned();
    let results = json!({"results": [{"number": 1, "result": "carried-out"}]}).to_string();
    let post = format!(
        "POST /results HTTP/1.1\r\nhost: ra\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{results}",
        results.len()
    );
    // Of the right authority, with another name; the account that enrols; nobody.
    for request in [&get, &post] {
        let reply = world.ask(Some("somebody"), request.clone()).await;
        assert!(reply.starts_with("HTTP/1.1 403"), "{reply}");
        for nobody in [Some("client"), None] {
            let reply = world.ask(nobody, request.clone()).await;
            assert!(!reply.contains("HTTP/1.1"), "{nobody:?}: {reply}");
        }
    }
    world.wait_for_orders("signed", 1).await;
    let reply = world.ask(Some("revoker"), get).await;
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    assert!(reply.contains("\"number\":1"), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_39_an_agent_obeys_no_other_key() {
    let world = World::start().await;
    let serial = world.withheld("device-17").await;
    world.wait_for_orders("signed", 1).await;
    let other = CheckpointKey::generate().unwrap().verifying_key().to_pem();
    let agent =
        Agent { order_key: OrderKey::from_pem(&other).unwrap(), ..world.agent("revoker").await };
    let report = agent.run(world.installation.ca()).await.unwrap();
    assert_eq!(report, Report { refused: 1, ..Report::default() });
    let agent = Agent { authority: "other".into(), ..world.agent("revoker").await };
    let report = agent.run(world.installation.ca()).await.unwrap();
    assert_eq!(report, Report { refused: 1, ..Report::default() });
    assert!(!is_revoked(world.installation.ca(), &serial));
    world.wait_for_orders("signed", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_38_too_many_at_once_wait_for_two_people() {
    let world = World::start().await;
    let mut serials = Vec::new();
    for number in 1..=4 {
        serials.push(world.withheld(&format!("device-{number}")).await);
    }
    world.installation.wait_for_ledger("order-signed", 2).await;
    world.wait_for_orders("held", 2).await;
    assert_eq!(world.run_agent().await.carried_out, 2);

    let reset =
        |person: &str| AdminRequest::FuseReset { let_through: 2, person: Some(person.to_owned()) };
    let first = world.installation.facts(Program::Sign, reset("anna")).await;
    assert_eq!(first["state"], "proposed");
    let again = world.installation.admin(Program::Sign, reset("anna")).await;
    assert!(matches!(again, AdminReply::Refused { .. }), "{again:?}");
    let second = world.installation.facts(Program::Sign, reset("berta")).await;
    assert_eq!(second["state"], "reset");
    world.installation.wait_for_ledger("order-signed", 4).await;
    world.wait_for_orders("signed", 2).await;
    assert_eq!(world.run_agent().await.carried_out, 2);
    for serial in &serials {
        assert!(is_revoked(world.installation.ca(), serial));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_40_a_lost_device_is_revoked_by_hand_and_a_second_person_confirms_more() {
    let world = World::start().await;
    let one = world.enrolled("device-1", "asset-1").await;
    let two = [world.enrolled("device-2", "asset-2").await, world.enrolled("b", "asset-2").await];
    world.installation.wait_for_ledger("outcome", 3).await;
    let revoke = |serial: Option<&str>, device: Option<&str>, person: &str| AdminRequest::Revoke {
        serial: serial.map(str::to_owned),
        device_id: device.map(str::to_owned),
        reason: "key-compromise".to_owned(),
        person: Some(person.to_owned()),
    };
    // The outcome reaches `verify` through the outbox.
    let started = Instant::now();
    let ordered = loop {
        let question = revoke(Some(&one), None, "anna");
        match world.installation.admin(Program::Verify, question).await {
            AdminReply::Facts(facts) => break facts,
            other => assert!(started.elapsed() < Duration::from_secs(60), "{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(ordered["state"], "ordered");
    // Before the others come: orders of one second have no order among themselves.
    world.installation.wait_for_ledger("order-signed", 1).await;
    for person in ["anna", "anna"] {
        let question = revoke(None, Some("asset-2"), person);
        let proposed = world.installation.facts(Program::Verify, question).await;
        assert_eq!(proposed["state"], "proposed");
        assert_eq!(proposed["certificates"].as_array().unwrap().len(), 2);
    }
    let question = revoke(None, Some("asset-2"), "berta");
    let ordered = world.installation.facts(Program::Verify, question).await;
    assert_eq!(ordered["state"], "ordered");

    let signed = world.installation.wait_for_ledger("order-signed", 2).await;
    assert!(signed.iter().all(|entry| entry["body"]["source"] == "admin"), "{signed:?}");
    // The third one blows the fuse of two a minute: people by hand are no exception.
    world.wait_for_orders("held", 1).await;
    world.run_agent().await;
    assert!(is_revoked(world.installation.ca(), &one));
    let of_two = two.iter().filter(|serial| is_revoked(world.installation.ca(), serial)).count();
    assert_eq!(of_two, 1);
}

/// What the PowerShell task does, step by step, with its own pattern.
#[tokio::test(flavor = "multi_thread")]
async fn row_38_the_ad_cs_task_and_the_listener_speak_one_protocol() {
    let world = World::start().await;
    let serial = world.withheld("device-17").await;
    world.wait_for_orders("signed", 1).await;

    // Pull: Invoke-WebRequest with its client certificate.
    let get = "GET /orders?after=0&limit=50 HTTP/1.1\r\nHost: ra\r\nConnection: close\r\n\
        User-Agent: Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1\r\n\r\n";
    let reply = world.ask(Some("revoker"), get.to_owned()).await;
    let (_, body) = reply.split_once("\r\n\r\n").unwrap();
    let page: Value = serde_json::from_str(body).unwrap();
    assert_eq!(page["more"], false);
    let item = &page["orders"][0];
    let document = STANDARD.decode(item["document"].as_str().unwrap()).unwrap();
    let signature = STANDARD.decode(item["signature"].as_str().unwrap()).unwrap();

    // Verify: .NET's ECDsa from two coordinates, over the octets, r‖s.
    let pem = world.order_key().await;
    let (_, spki) = der::pem::decode_vec(pem.trim().as_bytes()).unwrap();
    let (x, y) = (&spki[27..59], &spki[59..]);
    let point = [&[4], x, y].concat();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    assert_eq!(signature.len(), 64);
    key.verify(&document, &signature).unwrap();

    // Read: its own pattern, by PCRE, which reads it as .NET does.
    let line = TASK.lines().find_map(|line| line.strip_prefix("$Pattern = '")).unwrap();
    let pattern = line.strip_suffix('\'').unwrap();
    let matches = |text: &[u8]| {
        let mut grep = std::process::Command::new("grep");
        grep.args(["-Pzq", pattern]).stdin(Stdio::piped());
        let mut child = grep.spawn().unwrap();
        child.stdin.take().unwrap().write_all(text).unwrap();
        child.wait().unwrap().success()
    };
    assert!(matches(&document), "{}", String::from_utf8_lossy(&document));
    for wrong in [&document[1..], &document[..document.len() - 1], &[&document[..], b"x"].concat()]
    {
        assert!(!matches(wrong), "{}", String::from_utf8_lossy(wrong));
    }
    let text = String::from_utf8(document).unwrap();
    assert!(text.contains(&format!("\nserial: {serial}\n")), "{text}");

    // Revoke, and tell: ConvertTo-Json -Compress.
    world.installation.ca().revoke(&serial, 0).unwrap();
    let body = r#"{"results":[{"number":1,"result":"carried-out","retry":false,"detail":""}]}"#;
    for _ in 0..2 {
        let post = format!(
            "POST /results HTTP/1.1\r\nHost: ra\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let reply = world.ask(Some("revoker"), post).await;
        assert!(reply.starts_with("HTTP/1.1 200") && reply.ends_with("{\"taken\":1}"), "{reply}");
    }
    let ended = world.installation.wait_for_ledger("order-ended", 1).await;
    assert_eq!(ended[0]["body"]["end"], "carried-out");
    assert_eq!(world.installation.ledger_of("order-ended").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_revoker_sends_is_bounded_and_read_strictly() {
    let world = World::start().await;
    let post = |body: &str, kind: &str| {
        format!(
            "POST /results HTTP/1.1\r\nhost: ra\r\nconnection: close\r\ncontent-type: {kind}\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let json = "application/json";
    let large = format!("{{\"results\":[{}]}}", " ".repeat(300_000));
    for (request, status) in [
        (post("{}", json), 400),
        (post(r#"{"results":[{"number":1,"result":"done"}]}"#, json), 400),
        (post(r#"{"results":[{"number":-1,"result":"failed"}]}"#, json), 400),
        (post(r#"{"results":[],"more":1}"#, json), 400),
        (post(r#"{"results":[]}"#, "text/plain"), 415),
        (post(&large, json), 413),
        ("GET /orders?after=x HTTP/1.1\r\nhost: ra\r\nconnection: close\r\n\r\n".into(), 400),
        ("GET /results HTTP/1.1\r\nhost: ra\r\nconnection: close\r\n\r\n".into(), 405),
        ("GET / HTTP/1.1\r\nhost: ra\r\nconnection: close\r\n\r\n".into(), 404),
        // For an order that nobody placed: taken is none.
        (post(r#"{"results":[{"number":77,"result":"failed","retry":true}]}"#, json), 200),
    ] {
        let shown: String = request.chars().take(200).collect();
        let reply = world.ask(Some("revoker"), request).await;
        assert!(reply.starts_with(&format!("HTTP/1.1 {status}")), "{shown}\n{reply}");
    }
    let mut old = openssl(&["s_client", "-connect", &world.address, "-tls1_1"]);
    assert!(!output(&mut old).status.success(), "TLS 1.1 is not spoken");
}

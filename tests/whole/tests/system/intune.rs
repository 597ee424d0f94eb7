//! The plug-in `intune` against Microsoft's services over TLS: a device enrols because Intune says so,
//! Intune knows of the certificate before the device has it, and nothing is issued on any other word.

use std::path::Path;
use std::time::Duration;

use countersign_ipc::{AdminReply, AdminRequest};
use countersign_lab_ca::{Agent, OrderKey, Role};
use countersign_ledger::CheckpointKey;
use countersign_stubs::{Identity, IntuneServer, IntuneTenant, Told, Trouble};
use countersign_tests::openssl::{openssl, run};
use countersign_tests::{
    Answer, Device, Installation, Issued, Plugin, Profile, Program, component,
};
use der::Decode as _;
use x509_cert::crl::CertificateList;

const NAMES: [&str; 2] = ["CN=device-17", "DNS:device-17.example"];
const PROFILE: &str = "managed";
const CLIENT: &str = "00000000-0000-0000-0000-000000000017";
const SECRET: &str = "a client secret of Entra's";

/// For the feed of revocations: keys of `sign`, and an agent beside the CA.
const REVOKER: &str = r#"
[sign.order]
key = "file:secrets/order.key"

[verify.revoker]
listen = "127.0.0.1:0"
certificate = "keys/revoker-server.pem"
key = "file:keys/revoker-server.key"
client-ca = "ca/ca.pem"

[revoker.lab]
kind = "lab"
authorities = ["lab"]
client = "CN=agent.example"
"#;

/// A tenant that gave device 17 the challenge `OPEN-17`, and an installation that asks it: Microsoft
/// Graph with a client secret, Intune with an assertion. The second address is granted too, and nobody
/// is there yet.
async fn installed(given: &[&str]) -> (Installation, IntuneServer, std::net::SocketAddr) {
    let (mut installation, server, elsewhere) = prepared(given, "", "", "").await;
    installation.start_all().await;
    (installation, server, elsewhere)
}

/// The same, not started; with lines under `[plugin.intune]` and its grants, and sections.
async fn prepared(
    given: &[&str],
    plugin: &str,
    grants: &str,
    more: &str,
) -> (Installation, IntuneServer, std::net::SocketAddr) {
    let (identity, app) = (Identity::new(&["DNS:localhost"]), Identity::new(&["DNS:app"]));
    let mut tenant = IntuneTenant::new("contoso.onmicrosoft.com", CLIENT, SECRET).certificate(&app);
    for challenge in given {
        tenant = tenant.give(challenge, "device-17", &["device-17.example"]);
    }
    let server = tenant.start(&identity).await;
    let elsewhere = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let sections = format!("{plugin}\n{}", sections(&server, elsewhere.port(), grants));
    let installation = Installation::builder()
        .plugin(Plugin::new("intune", component("intune"), &sections))
        .profile(Profile::named(PROFILE).verifiers(&["intune"]))
        .sections(more)
        .prepare()
        .await;
    std::fs::write(installation.file("keys/microsoft.pem"), identity.certificate_pem()).unwrap();
    std::fs::write(installation.file("keys/app.pem"), app.certificate_pem()).unwrap();
    for (file, octets) in
        [("secrets/client.secret", SECRET.as_bytes()), ("secrets/app.key", app.key_pem())]
    {
        let file = installation.file(file);
        std::fs::write(&file, octets).unwrap();
        private(&file);
    }
    (installation, server, elsewhere)
}

fn private(file: &Path) {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(file, mode).unwrap();
}

fn sections(server: &IntuneServer, elsewhere: u16, grants: &str) -> String {
    let (graph_url, token_url) = (server.graph_url(), server.token_url());
    let services = server.services().port();
    let service_hosts = format!("[\"localhost:{services}\", \"localhost:{elsewhere}\"]");
    format!(
        "[settings]\ngraph-url = {graph_url:?}\nservice-domain = \"localhost\"\n\
         [grants]\n{grants}\nlog = true\nkv = true\nexactly-as-requested = true\n\
         hosts = [\"{{/graph-url}}\", \"localhost:{services}\", \"localhost:{elsewhere}\"]\n\
         addresses = [\"127.0.0.0/8\", \"::1\"]\n\
         [http]\nroots = \"keys/microsoft.pem\"\ntimeout-ms = 1500\n\
         [credentials.graph]\nhosts = [\"{{/graph-url}}\"]\n\
         [credentials.graph.authentication.oauth2]\ntoken-url = {token_url:?}\n\
         client-id = {CLIENT:?}\nscope = \"https://graph.microsoft.com/.default\"\n\
         [credentials.graph.authentication.oauth2.client]\nsecret = \"file:secrets/client.secret\"\n\
         [credentials.intune]\nhosts = {service_hosts}\n\
         [credentials.intune.authentication.oauth2]\ntoken-url = {token_url:?}\n\
         client-id = {CLIENT:?}\nscope = \"https://api.manage.microsoft.com//.default\"\n\
         [credentials.intune.authentication.oauth2.client.assertion]\n\
         key = \"file:secrets/app.key\"\ncertificate = \"keys/app.pem\"\n"
    )
}

/// What a device does: asks, and asks again while it is told to wait.
async fn enrolled(installation: &Installation, device: &Device) -> Issued {
    let mut answer = installation.enrol(PROFILE, device).await;
    for _ in 0..300 {
        match answer {
            Answer::Pending => tokio::time::sleep(Duration::from_millis(200)).await,
            other => return other.issued(),
        }
        answer = installation.poll(PROFILE, device).await;
    }
    panic!("the device waits still\n{}", installation.logs());
}

fn is_busy(answer: &Answer) -> bool {
    matches!(answer, Answer::Http(reply) if reply.status == 503)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_enrols_because_intune_says_so_and_intune_knows_of_it_first() {
    let (installation, server, _) = installed(&["OPEN-17"]).await;
    let device = Device::new(&NAMES, Some("OPEN-17"));
    let issued = enrolled(&installation, &device).await;
    // At this moment, not at some later one: the device has its certificate.
    assert_eq!(server.action_names(), ["validateRequest", "successNotification"]);
    let told = &server.actions()[1].1["notification"];
    let sha1 = &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY;
    let thumbprint = hex::encode_upper(aws_lc_rs::digest::digest(sha1, &issued.certificate));
    assert_eq!(told["certificateThumbprint"], thumbprint);
    assert_eq!(told["transactionId"], server.actions()[0].1["request"]["transactionId"]);
    assert_eq!(server.faults(), Vec::<String>::new());

    // The next device finds the way without asking, and with the tokens that there are.
    let next = Device::new(&NAMES, Some("OPEN-17"));
    let _ = enrolled(&installation, &next).await;
    assert_eq!((server.discoveries(), server.tokens()), (1, 2));
    let logs = installation.logs();
    assert!(logs.contains("client-request-id"), "the ids of calls are logged");
    assert!(!logs.contains("OPEN-17") && !logs.contains(SECRET) && !logs.contains("stub-"));
}

/// Intune's challenges are encrypted and signed blobs of several KiB.
#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_of_three_kibibytes_is_validated() {
    let challenge = "MIIKxQYJKoZIhvcN".repeat(192);
    let (installation, server, _) = installed(&[&challenge]).await;
    let device = Device::new(&NAMES, Some(&challenge));
    let _ = enrolled(&installation, &device).await;
    assert_eq!(server.faults(), Vec::<String>::new());
    assert!(!installation.logs().contains(&challenge[..64]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_intune_refuses_is_not_issued_and_the_device_is_not_told_why() {
    let (installation, server, _) = installed(&["OPEN-17"]).await;
    let expired = Device::new(&NAMES, Some("stub:ChallengeExpired"));
    let stranger = Device::new(&NAMES, Some("GUESS"));
    let thief = Device::new(&["CN=device-18", "DNS:device-17.example"], Some("OPEN-17"));
    let without = Device::new(&NAMES, None);
    let unknown = Device::new(&NAMES, Some("stub:unknown-code"));
    for device in [&expired, &stranger, &thief, &without, &unknown] {
        let answer = installation.enrol(PROFILE, device).await;
        assert!(answer.is_refused_without_reason(), "{answer:?}");
    }
    let denied = installation.wait_for_ledger("denied", 5).await;
    let mut codes: Vec<_> =
        denied.iter().map(|entry| entry["body"]["code"].as_str().unwrap().to_owned()).collect();
    codes.sort();
    let expected = [
        "challenge-expired",
        "challenge-missing",
        "challenge-unknown",
        "intune-unknown-code",
        "name-mismatch",
    ];
    assert_eq!(codes, expected);
    assert_eq!(server.action_names(), ["validateRequest"; 4], "Intune was not asked without one");
    assert_eq!((installation.signatures().await, installation.submissions()), (0, 0));
    assert_eq!(server.faults(), Vec::<String>::new());
}

/// No answer is no yes: the device comes again, and nothing was spent.
#[tokio::test(flavor = "multi_thread")]
async fn an_intune_that_is_down_slow_or_odd_makes_the_device_come_again() {
    let (installation, server, _) = installed(&["OPEN-17"]).await;
    let device = Device::new(&NAMES, Some("OPEN-17"));
    for trouble in [
        vec![Trouble::Broken],
        vec![Trouble::TooMany(120)],
        vec![Trouble::Truncated],
        vec![Trouble::Slow],
        vec![Trouble::Unauthorized, Trouble::Unauthorized],
    ] {
        server.trouble_next(trouble.clone());
        let answer = installation.enrol(PROFILE, &device).await;
        assert!(is_busy(&answer), "{trouble:?}: {answer:?}");
    }
    assert_eq!(installation.signatures().await, 0);
    let _ = enrolled(&installation, &device).await;
    assert_eq!(installation.signatures().await, 1);
}

/// Tokens end before their time, and services move.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_taken_and_a_service_that_moved_cost_the_device_nothing() {
    let (installation, mut server, elsewhere) = installed(&["OPEN-17"]).await;
    let _ = enrolled(&installation, &Device::new(&NAMES, Some("OPEN-17"))).await;
    server.expire_tokens();
    let _ = enrolled(&installation, &Device::new(&NAMES, Some("OPEN-17"))).await;
    assert_eq!((server.discoveries(), server.tokens()), (1, 3), "only Intune's was needed anew");

    server.move_services(elsewhere).await;
    let _ = enrolled(&installation, &Device::new(&NAMES, Some("OPEN-17"))).await;
    // The token of Graph had ended too: it was asked twice, in vain the first time.
    assert_eq!(server.discoveries(), 3);
    assert_eq!(server.faults(), Vec::<String>::new());
}

/// Fails when the device is answered before Intune has taken note.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_waits_until_intune_has_taken_note_of_its_certificate() {
    let (installation, server, _) = installed(&[]).await;
    let device = Device::new(&NAMES, Some("stub:untold-once"));
    let first = installation.enrol(PROFILE, &device).await;
    assert_eq!(first, Answer::Pending, "Intune could not take note");
    assert!(server.action_names().contains(&"successNotification".to_owned()));
    let told = server.action_names().len();
    let _ = enrolled(&installation, &device).await;
    let names = server.action_names();
    assert!(names.len() > told && names.iter().skip(1).all(|name| name == "successNotification"));
    assert_eq!(installation.submissions(), 1, "one certificate was asked for");
    assert_eq!(server.faults(), Vec::<String>::new());
}

/// What the plug-in's guide says to write is what an admin can write.
#[tokio::test(flavor = "multi_thread")]
async fn the_fragment_of_the_guide_is_a_config() {
    let guide = include_str!("../../../../plugins/intune/README.md");
    let (_, rest) = guide.split_once("```toml\n").unwrap();
    let (fragment, _) = rest.split_once("```").unwrap();
    let component = component("intune");
    let octets = std::fs::read(&component).unwrap();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &octets);
    let fragment = fragment
        .replace("/usr/lib/countersign/plugins/intune.wasm", component.to_str().unwrap())
        .replace("sha256:…", &format!("sha256:{}", hex::encode(digest)))
        .replace("TENANT-ID", "contoso.onmicrosoft.com");
    let profile = "[profile.laptops]\nauthority = \"lab\"\ntemplate = \"CountersignDevice\"\n\
                   [profile.laptops.limits.sans]\nallowed = [\"dns\"]\n";
    let sections = format!("{REVOKER}\n{fragment}\n{profile}");
    let installation = Installation::builder()
        .authority("crl-url = \"http://ca.example/crl\"")
        .sections(&sections)
        .prepare()
        .await;
    let loaded = countersign_config::Config::load(installation.config());
    assert!(loaded.is_ok(), "{:?}", loaded.err());
}

/// Intune names a certificate as it was told of it, and hears what became of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_intune_wants_revoked_is_revoked_and_intune_hears_of_it() {
    let (mut installation, server, _) =
        prepared(&["OPEN-17"], "schedule-seconds = 5", "revocation = true", REVOKER).await;
    CheckpointKey::create_file(&installation.file("secrets/order.key")).unwrap();
    certificate(&installation, "revoker-server", Role::TlsServer);
    certificate(&installation, "agent", Role::TlsClient);
    installation.start_all().await;
    let serving = |event: &serde_json::Value| event["message"] == "serving revokers";
    let event = installation.running(Program::Verify).event("serving revokers", serving).await;
    let revoker = event["listen"].as_str().unwrap().to_owned();

    let _ = enrolled(&installation, &Device::new(&NAMES, Some("OPEN-17"))).await;
    let _ = enrolled(&installation, &Device::new(&NAMES, Some("OPEN-17"))).await;
    let told = |at: usize, name: &str| {
        let notices = server.actions().into_iter();
        let mut notices = notices.filter(|(action, _)| action.ends_with("successNotification"));
        notices.nth(at).unwrap().1["notification"][name].as_str().unwrap().to_owned()
    };
    let (issuer, serial) = ("issuingCertificateAuthority", "certificateSerialNumber");
    server.want_revoked(&told(0, issuer), &told(0, serial));
    server.want_revoked(&told(0, issuer), "0BAD");

    revoke_one(&installation, &revoker).await;
    assert!(is_revoked(&installation, &told(0, serial)));
    assert!(!is_revoked(&installation, &told(1, serial)));
    let expected = |serial_number: String, error_code: &str| {
        (serial_number, error_code == "None", error_code.to_owned())
    };
    let mut heard: Vec<_> = revocations_told(&installation, &server, 2)
        .await
        .into_iter()
        .map(|one| (one.serial_number, one.succeeded, one.error_code))
        .collect();
    heard.sort();
    let mut wanted = [
        expected(told(0, serial), "None"),
        expected("0BAD".to_owned(), "CertificateNotFoundError"),
    ];
    wanted.sort();
    assert_eq!(heard, wanted);
    assert_eq!(server.faults(), Vec::<String>::new());
}

async fn revocations_told(
    installation: &Installation,
    server: &IntuneServer,
    count: usize,
) -> Vec<Told> {
    for _ in 0..300 {
        let told = server.revocations_told();
        if told.len() >= count {
            return told;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("Intune was not told\n{}", installation.logs());
}

/// Lets the agent beside the CA run until it has revoked one.
async fn revoke_one(installation: &Installation, revoker: &str) {
    let key = match installation.admin(Program::Sign, AdminRequest::OrderKey).await {
        AdminReply::Text(pem) => pem,
        other => panic!("{other:?}"),
    };
    let file = |name: &str| installation.file(name);
    for _ in 0..600 {
        let agent = Agent {
            address: revoker.to_owned(),
            roots: file("ca/ca.pem"),
            certificate: file("keys/agent.pem"),
            key: file("keys/agent.key"),
            order_key: OrderKey::from_pem(&key).unwrap(),
            authority: "lab".to_owned(),
            publish: None,
        };
        if agent.run(installation.ca()).await.unwrap().carried_out > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nothing was ordered\n{}", installation.logs());
}

fn is_revoked(installation: &Installation, serial: &str) -> bool {
    let crl = installation.ca().crl().unwrap();
    let list: CertificateList = CertificateList::from_der(&crl).unwrap();
    let revoked = list.tbs_cert_list.revoked_certificates.unwrap_or_default();
    let plain = |digits: &str| digits.trim_start_matches('0').to_owned();
    let number = |octets: &[u8]| plain(&hex::encode_upper(octets));
    revoked.iter().any(|entry| number(entry.serial_number.as_bytes()) == plain(serial))
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

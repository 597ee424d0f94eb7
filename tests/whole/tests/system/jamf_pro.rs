//! The plug-in `jamf-pro` between a Jamf Pro that sends webhooks and answers for its inventory, and devices
//! that enrol with what it fetched for them.

use std::time::Duration;

use countersign_ipc::{AdminReply, AdminRequest};
use countersign_lab_ca::{Agent, OrderKey, Role};
use countersign_ledger::CheckpointKey;
use countersign_stubs::{Answer, Client, Form, Identity, JamfDevice, JamfPro, JamfServer};
use countersign_tests::{
    Answer as Scep, Device, Installation, Plugin, Profile, Program, component,
};
use der::Decode as _;
use x509_cert::certificate::Rfc5280;
use x509_cert::crl::CertificateList;

use crate::mdm_caller;

const PROFILE: &str = "jamf";
const PATH: &str = "/challenge/jamf";
const EVENTS: &str = "/event/jamf-pro";

/// What revocation needs: a key for orders, and an agent beside the CA that is let in.
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

/// Jamf Pro with a Mac, a phone, and one of each that is not managed; an installation that trusts it.
async fn start() -> (Installation, JamfServer, Client) {
    let identity = Identity::new(&["DNS:localhost"]);
    let jamf = JamfPro::new("client-17", "a secret of Jamf's")
        .device(JamfDevice::computer(52, "C02XK1"))
        .device(JamfDevice::computer(53, "C02XK2").unmanaged())
        .device(JamfDevice::mobile(17, "F4GXK1"))
        .device(JamfDevice::computer(60, "ERROR60"))
        .device(JamfDevice::computer(61, "BROKEN61"))
        .device(JamfDevice::computer(62, "TWICE62"))
        .start(&identity)
        .await;
    let url = format!("https://localhost:{}", jamf.server().address().port());
    let plugin = format!(
        "[settings]\nurl = \"{url}\"\n\
         [grants]\nlog = true\nchallenges = true\nrevocation = true\nhosts = [\"{{/url}}\"]\n\
         addresses = [\"127.0.0.0/8\", \"::1\"]\n\
         [http]\nroots = \"keys/jamf.pem\"\n\
         [credentials.jamf-pro-api]\nhosts = [\"{{/url}}\"]\n\
         [credentials.jamf-pro-api.authentication.oauth2]\n\
         token-url = \"{url}/api/oauth/token\"\nclient-id = \"client-17\"\n\
         client.secret = \"file:secrets/jamf.secret\"\n"
    );
    let mut installation = Installation::builder()
        .plugin(Plugin::new("jamf-pro", component("jamf-pro"), &plugin))
        .profile(Profile::named(PROFILE).verifiers(&["jamf-pro"]))
        .sections(&mdm_caller::section("jamf", &[PROFILE]))
        .sections(&mdm_caller::events("jamf-events", "jamf-pro"))
        .sections(REVOKER)
        .prepare()
        .await;
    std::fs::write(installation.file("keys/jamf.pem"), identity.certificate_pem()).unwrap();
    let secret = installation.file("secrets/jamf.secret");
    std::fs::write(&secret, "a secret of Jamf's\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&secret, mode).unwrap();
    mdm_caller::identity(&installation);
    mdm_caller::certificate(&installation, "revoker-server", Role::TlsServer);
    mdm_caller::certificate(&installation, "agent", Role::TlsClient);
    CheckpointKey::create_file(&installation.file("secrets/order.key")).unwrap();
    installation.start_all().await;
    let client = mdm_caller::client(&mut installation, "jamf").await;
    (installation, jamf, client)
}

/// The challenge in an answer: its body, and nothing else.
fn challenge(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.header("content-type").unwrap().starts_with("text/plain"));
    let text = answer.text();
    assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_managed_device_enrols_with_what_jamf_pro_fetched_for_it_and_no_other_does() {
    let (installation, jamf, client) = start().await;
    for (form, serial) in [(Form::Json, "C02XK1"), (Form::Xml, "F4GXK1")] {
        let answer = jamf.scep_challenge(&client, PATH, form, Some(serial)).await;
        let challenge = challenge(&answer);
        // Row 2: a wrong device burns nothing.
        let thief = Device::new(&["CN=C02XK2"], Some(&challenge));
        assert!(installation.enrol(PROFILE, &thief).await.is_refused_without_reason());
        let name = format!("CN={serial}");
        let device = Device::new(&[&name], Some(&challenge));
        let _ = installation.enrol(PROFILE, &device).await.issued();
        // Row 62: used once is used up.
        let again = Device::new(&[&name], Some(&challenge));
        assert!(installation.enrol(PROFILE, &again).await.is_refused_without_reason());
        assert!(!installation.logs().contains(&challenge), "no challenge in a log");
    }
    assert_eq!(installation.signatures().await, 2);
    assert_eq!(jamf.refused(), Vec::<String>::new());
    assert_eq!(jamf.tokens(), 1, "one token for all of it");
    let denied = installation.wait_for_ledger("denied", 4).await;
    let codes: Vec<_> = denied.iter().map(|entry| entry["body"]["code"].clone()).collect();
    let each = ["otp_identity_mismatch", "challenge-used"];
    assert_eq!(codes, [each, each].concat());
    let signed = installation.ledger_of("signed").await;
    let text = signed[0].to_string();
    assert!(text.contains("computer:52"), "the ledger says which record: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_left_between_challenge_and_request_gets_nothing() {
    let (installation, jamf, client) = start().await;
    let answer = jamf.scep_challenge(&client, PATH, Form::Json, Some("C02XK1")).await;
    let text = challenge(&answer);
    jamf.change("C02XK1", |device| device.managed = false);
    let device = Device::new(&["CN=C02XK1"], Some(&text));
    assert!(installation.enrol(PROFILE, &device).await.is_refused_without_reason());
    jamf.delete("C02XK1");
    assert!(installation.enrol(PROFILE, &device).await.is_refused_without_reason());
    let denied = installation.wait_for_ledger("denied", 2).await;
    assert!(denied.iter().all(|entry| entry["body"]["code"] == "device-not-permitted"));
    assert_eq!(installation.signatures().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn jamf_pro_gets_a_challenge_for_managed_devices_only() {
    let (_installation, jamf, client) = start().await;
    for serial in ["C02XK2", "C02NONE"] {
        let answer = jamf.scep_challenge(&client, PATH, Form::Json, Some(serial)).await;
        assert_eq!(answer.status, 422, "{serial}: {}", answer.text());
    }
    // What Jamf Pro cannot say now is no refusal.
    for serial in ["ERROR60", "BROKEN61", "TWICE62"] {
        let answer = jamf.scep_challenge(&client, PATH, Form::Xml, Some(serial)).await;
        assert_eq!(answer.status, 503, "{serial}: {}", answer.text());
        assert!(answer.header("retry-after").is_some());
    }
    // No webhook at all.
    let answer = client.post(PATH, "application/json", r#"{"names":["CN=a"]}"#).await;
    assert_eq!(answer.status, 422, "{}", answer.text());
}

/// Fails if a challenge without a device vouched for what the request says.
#[tokio::test(flavor = "multi_thread")]
async fn row_02_without_target_device_the_challenge_vouches_for_nobody() {
    let (installation, jamf, client) = start().await;
    let text = challenge(&jamf.scep_challenge(&client, PATH, Form::Json, None).await);
    let device = Device::new(&["CN=C02XK1"], Some(&text));
    assert!(installation.enrol(PROFILE, &device).await.is_refused_without_reason());
    assert_eq!(installation.signatures().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_end_are_fetched_anew_and_an_api_that_is_out_makes_the_device_come_again() {
    let (installation, jamf, client) = start().await;
    let answer = jamf.scep_challenge(&client, PATH, Form::Json, Some("C02XK1")).await;
    let device = Device::new(&["CN=C02XK1"], Some(&challenge(&answer)));
    jamf.fail_next(1, 503);
    match installation.enrol(PROFILE, &device).await {
        Scep::Http(reply) => assert_eq!(reply.status, 503),
        other => panic!("expected 503, found {other:?}"),
    }
    assert_eq!(installation.signatures().await, 0);
    jamf.end_token();
    let _ = installation.enrol(PROFILE, &device).await.issued();
    assert_eq!(jamf.tokens(), 2);
}

/// The agent beside the CA, until it has carried out so many orders.
async fn carry_out(installation: &mut Installation, orders: usize) {
    let key = match installation.admin(Program::Sign, AdminRequest::OrderKey).await {
        AdminReply::Text(pem) => pem,
        other => panic!("{other:?}"),
    };
    let serving = |event: &serde_json::Value| event["message"] == "serving revokers";
    let event = installation.running(Program::Verify).event("serving revokers", serving).await;
    let agent = Agent {
        address: event["listen"].as_str().unwrap().to_owned(),
        roots: installation.file("ca/ca.pem"),
        certificate: installation.file("keys/agent.pem"),
        key: installation.file("keys/agent.key"),
        order_key: OrderKey::from_pem(&key).unwrap(),
        authority: "lab".to_owned(),
        publish: None,
    };
    let mut carried_out = 0;
    for _ in 0..600 {
        carried_out += agent.run(installation.ca()).await.unwrap().carried_out;
        if carried_out >= orders {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{carried_out} orders were carried out, not {orders}\n{}", installation.logs());
}

/// How many certificates the CA's list holds.
fn revoked(installation: &Installation) -> usize {
    let crl = installation.ca().crl().unwrap();
    let list = CertificateList::<Rfc5280>::from_der(&crl).unwrap().tbs_cert_list;
    list.revoked_certificates.unwrap_or_default().len()
}

/// Each in the way that Jamf Pro has for its kind.
#[tokio::test(flavor = "multi_thread")]
async fn row_38_devices_that_leave_jamf_pro_lose_their_certificates_and_get_no_other() {
    let (mut installation, jamf, client) = start().await;
    // Who has challenges made is not who has certificates revoked.
    let events = mdm_caller::client(&mut installation, "jamf-events").await;
    let answer = jamf.unenrolled(&client, EVENTS, Form::Json, "F4GXK1").await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    let answer = jamf.scep_challenge(&events, PATH, Form::Json, Some("F4GXK1")).await;
    assert_eq!(answer.status, 403, "{}", answer.text());

    for serial in ["C02XK1", "F4GXK1"] {
        let answer = jamf.scep_challenge(&client, PATH, Form::Json, Some(serial)).await;
        let device = Device::new(&[&format!("CN={serial}")], Some(&challenge(&answer)));
        let _ = installation.enrol(PROFILE, &device).await.issued();
    }
    // Fetched before the device left, and to be used after.
    let answer = jamf.scep_challenge(&client, PATH, Form::Json, Some("F4GXK1")).await;
    let late = Device::new(&["CN=F4GXK1"], Some(&challenge(&answer)));
    installation.wait_for_ledger("outcome", 2).await;

    // The capability came: nothing happens.
    let answer = jamf.push_capability_changed(&events, EVENTS, Form::Xml, "C02XK1").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(revoked(&installation), 0);
    let answer = jamf.unenrolled(&events, EVENTS, Form::Json, "F4GXK1").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    carry_out(&mut installation, 1).await;
    assert_eq!(revoked(&installation), 1);
    assert!(installation.enrol(PROFILE, &late).await.is_refused_without_reason());
    // It went.
    jamf.change("C02XK1", |device| device.managed = false);
    let answer = jamf.push_capability_changed(&events, EVENTS, Form::Xml, "C02XK1").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    carry_out(&mut installation, 1).await;
    assert_eq!(revoked(&installation), 2);
}

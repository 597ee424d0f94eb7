//! The plug-in `webhook` against a receiver over TLS: a device enrols because the receiver allows it,
//! for the names that the receiver knows, and the receiver is told how it ended.

use std::time::Duration;

use countersign_stubs::{Identity, Notice, Receiver, WebhookReceiver};
use countersign_tests::{Answer, Device, Installation, Plugin, Profile, Program, component};

const NAMES: [&str; 2] = ["CN=device-17", "DNS:device-17.example"];
const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";
const PROFILE: &str = "hooked";

/// A receiver that knows device 17, and an installation that asks it; `grants` beside the usual.
async fn with(
    format: &str,
    receiver: Receiver,
    addresses: &str,
) -> (Installation, WebhookReceiver) {
    let identity = Identity::new(&["DNS:localhost"]);
    let receiver = receiver.allow("OPEN-17", "17", &NAMES).start(&identity).await;
    let url = format!("https://localhost:{}/scep", receiver.server().address().port());
    let sections = format!(
        "[settings]\nurl = {url:?}\nid = \"hook-1\"\nformat = {format:?}\nnotify = true\n\
         [grants]\nlog = true\nhosts = [\"{{/url}}\"]\naddresses = {addresses}\n\
         secrets = [\"webhook-key\"]\n\
         [http]\nroots = \"keys/hook.pem\"\n\
         [secrets.webhook-key]\nvalue = \"file:secrets/webhook.key\"\nencoding = \"raw\"\n"
    );
    let mut installation = Installation::builder()
        .plugin(Plugin::new("webhook", component("webhook"), &sections))
        .profile(Profile::named(PROFILE).verifiers(&["webhook"]))
        .prepare()
        .await;
    std::fs::write(installation.file("keys/hook.pem"), identity.certificate_pem()).unwrap();
    let key = installation.file("secrets/webhook.key");
    std::fs::write(&key, KEY).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&key, mode).unwrap();
    installation.start_all().await;
    (installation, receiver)
}

/// `localhost` may have both.
const LOOPBACK: &str = "[\"127.0.0.0/8\", \"::1\"]";

async fn told(receiver: &WebhookReceiver, count: usize) -> Vec<Notice> {
    for _ in 0..300 {
        let notices = receiver.notices();
        if notices.len() >= count {
            return notices;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the receiver was told {} times, not {count}", receiver.notices().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_enrols_because_the_receiver_allows_it_and_the_receiver_is_told() {
    for format in ["step-ca", "countersign"] {
        let (installation, receiver) = with(format, Receiver::new("hook-1", KEY), LOOPBACK).await;
        let device = Device::new(&NAMES, Some("OPEN-17"));
        let issued = installation.enrol(PROFILE, &device).await.issued();
        let asked = &receiver.bodies()[0];
        assert_eq!(asked["scepChallenge"], "OPEN-17", "{format}");
        use base64::Engine as _;
        let base64 = base64::engine::general_purpose::STANDARD;
        let csr = base64.decode(asked["x509CertificateRequest"]["raw"].as_str().unwrap()).unwrap();
        assert_eq!(csr, device.csr);
        assert!(asked["x509CertificateRequest"]["publicKey"].is_string());

        let notices = told(&receiver, 1).await;
        let certificate = notices[0].body["x509Certificate"]["raw"].as_str().unwrap();
        assert_eq!(base64.decode(certificate).unwrap(), issued.certificate);
        assert!(!notices[0].idempotency_key.is_empty());
        assert_eq!(receiver.refused(), Vec::<String>::new());
        assert!(!installation.logs().contains("OPEN-17"), "no challenge in a log");
    }
}

/// Sealed tokens of device managements (Intune's) are several KiB long, and go through every process,
/// frame and plug-in as they are. Fails when any of them draws a line below 16 KiB.
#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_of_sixteen_kibibytes_reaches_the_verifier_as_it_was_sent() {
    let names = ["CN=device-16"];
    let longest = "MIIKxQYJKoZIhvcN+/==".repeat(820)[..16 * 1024].to_owned();
    let receiver = Receiver::new("hook-1", KEY).allow(&longest, "16", &names);
    let (installation, receiver) = with("countersign", receiver, LOOPBACK).await;
    let device = Device::new(&names, Some(&longest));
    let _ = installation.enrol(PROFILE, &device).await.issued();
    assert_eq!(receiver.bodies()[0]["scepChallenge"], longest);

    let longer = format!("{longest}A");
    let device = Device::new(&names, Some(&longer));
    assert!(!matches!(installation.enrol(PROFILE, &device).await, Answer::Issued(_)));
    // The receiver was told of the first, and not asked about the second.
    let asked = receiver.bodies();
    assert!(asked.iter().all(|body| body["scepChallenge"] != *longer), "it was asked");
    assert!(!installation.logs().contains(&longest[..64]), "no challenge in a log");
}

/// The receiver vouches for device 17's names: whoever brings its challenge gets no other name.
#[tokio::test(flavor = "multi_thread")]
async fn the_receivers_word_is_for_its_names_and_no_others() {
    let (installation, receiver) =
        with("countersign", Receiver::new("hook-1", KEY), LOOPBACK).await;
    let thief = Device::new(&["CN=device-18", "DNS:device-18.example"], Some("OPEN-17"));
    assert!(installation.enrol(PROFILE, &thief).await.is_refused_without_reason());
    let stranger = Device::new(&NAMES, Some("GUESS"));
    assert!(installation.enrol(PROFILE, &stranger).await.is_refused_without_reason());
    assert_eq!(receiver.bodies().len(), 2, "both were asked about");
    assert_eq!(installation.signatures().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_broken_or_a_stranger_makes_the_device_come_again() {
    let broken = Receiver::new("hook-1", KEY).failing_first(1);
    let unsigned = Receiver::new("hook-1", KEY).unsigned();
    let other_key = Receiver::new("hook-1", b"another key of thirty-two octets".to_vec());
    for receiver in [broken, unsigned, other_key] {
        let (installation, _receiver) = with("countersign", receiver, LOOPBACK).await;
        let device = Device::new(&NAMES, Some("OPEN-17"));
        match installation.enrol(PROFILE, &device).await {
            Answer::Http(reply) => assert_eq!(reply.status, 503),
            other => panic!("expected 503, found {other:?}"),
        }
        assert_eq!(installation.signatures().await, 0);
    }
}

/// Fails when the sandbox no longer looks at addresses: the receiver would be reached.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_on_an_address_that_was_not_granted_is_not_reached() {
    let (installation, receiver) = with("countersign", Receiver::new("hook-1", KEY), "[]").await;
    let device = Device::new(&NAMES, Some("OPEN-17"));
    assert!(matches!(installation.enrol(PROFILE, &device).await, Answer::Http(_)));
    assert_eq!(receiver.server().connections(), 0);
    assert!(installation.logs().contains("[plugin.webhook.grants]"), "the log says what to write");
}

/// A notice that is not taken is delivered again, also across a crash of `verify`, under one key.
#[tokio::test(flavor = "multi_thread")]
async fn a_notice_is_delivered_until_the_receiver_takes_it() {
    let (mut installation, receiver) =
        with("countersign", Receiver::new("hook-1", KEY), LOOPBACK).await;
    let device = Device::new(&NAMES, Some("OPEN-17"));
    // The question is answered; then the receiver is out for two requests.
    let asked = installation.enrol(PROFILE, &device);
    let out = async {
        while receiver.bodies().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        receiver.fail_next(2);
    };
    let (answer, ()) = tokio::join!(asked, out);
    let issued = answer.issued();
    tokio::time::sleep(Duration::from_millis(500)).await;
    installation.kill(Program::Verify).await;
    installation.start(Program::Verify).await;
    let notices = told(&receiver, 1).await;
    use base64::Engine as _;
    let raw = base64::engine::general_purpose::STANDARD
        .decode(notices[0].body["x509Certificate"]["raw"].as_str().unwrap())
        .unwrap();
    assert_eq!(raw, issued.certificate);
}

//! Rows of the founding checklist that a whole system shows: each test is named after its row.

use std::path::PathBuf;

use countersign_lab_ca::{Algorithm, RequestState};
use countersign_scep::client::{CsrDraft, DeviceKey, KeySize};
use countersign_tests::openssl::{openssl, run};
use countersign_tests::{
    Answer, Connection, Device, Installation, PROFILE, Plugin, Profile, Program,
};

use crate::guests::{DENY, Guest};
use crate::{forge, messages};

const A: [&str; 2] = ["CN=device-a", "DNS:device-a.example"];
const B: [&str; 2] = ["CN=device-b", "DNS:device-b.example"];

fn new_key() -> DeviceKey {
    DeviceKey::generate(KeySize::Rsa2048).unwrap()
}

fn issued(installation: &Installation) -> usize {
    let requests = installation.ca_requests();
    requests.iter().filter(|request| matches!(request.state, RequestState::Issued(_))).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn row_01_no_type_of_message_reaches_the_ea_key_without_an_approval() {
    let installation = Installation::start_usual().await;
    let ra = installation.ra(PROFILE).await;
    let device = Device::new(&A, None);
    let envelope = messages::envelope(&device, &ra, &device.csr);
    let path = format!("/scep/{PROFILE}?operation=PKIOperation");
    let mut connection = Connection::open(installation.address()).await;
    for kind in 0..=255_u16 {
        let message = messages::message(&device, &kind.to_string(), &envelope);
        let reply = connection.request("POST", &path, message).await;
        // GetCRL: this installation knows no place to fetch a list from, and says so.
        let expected: &[u16] = if kind == 22 { &[503] } else { &[200, 400] };
        assert!(expected.contains(&reply.status.as_u16()), "type {kind}: {}", reply.status);
        if reply.status == 200 {
            let failure = forge::printable("2");
            let has_failure = reply.body.windows(failure.len()).any(|window| window == failure);
            assert!(has_failure, "type {kind} was not answered FAILURE");
        }
    }
    assert_eq!(installation.signatures().await, 0);
    assert_eq!(installation.submissions(), 0);
    // Its twin: the same device with a challenge.
    let device = installation.new_device(PROFILE, &A).await;
    let _ = installation.enrol(PROFILE, &device).await.issued();
    assert_eq!(installation.signatures().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_02_challenge_of_one_device_is_useless_for_another() {
    let installation = Installation::start_usual().await;
    let of_a = installation.issue_challenge(PROFILE, &A).await;
    let b = Device::new(&B, Some(&of_a));
    for _ in 0..2 {
        assert!(installation.enrol(PROFILE, &b).await.is_refused_without_reason());
    }
    // Nor for more names than it was issued for.
    let more = Device::new(&["CN=device-a", "DNS:device-a.example", "DNS:ca.example"], Some(&of_a));
    assert!(installation.enrol(PROFILE, &more).await.is_refused_without_reason());
    let denied = installation.wait_for_ledger("denied", 3).await;
    for entry in &denied {
        assert_eq!(entry["body"]["code"], "otp_identity_mismatch", "{entry}");
        assert_eq!(entry["body"]["by"], "verify");
    }
    assert_eq!(denied[0]["body"]["names"], serde_json::json!(B));
    assert_eq!(installation.signatures().await, 0);
    assert_eq!(installation.submissions(), 0);
    // Nothing was burnt.
    let _ = installation.enrol(PROFILE, &Device::new(&A, Some(&of_a))).await.issued();
}

#[tokio::test(flavor = "multi_thread")]
async fn row_02_a_challenge_of_one_profile_is_useless_at_another() {
    let installation = Installation::builder()
        .profile(Profile::named(PROFILE))
        .profile(Profile::named("servers"))
        .start()
        .await;
    let challenge = installation.issue_challenge(PROFILE, &A).await;
    let device = Device::new(&A, Some(&challenge));
    assert!(installation.enrol("servers", &device).await.is_refused_without_reason());
    let _ = installation.enrol(PROFILE, &device).await.issued();
}

#[tokio::test(flavor = "multi_thread")]
async fn row_05_every_ledger_entry_of_a_lab_is_marked() {
    let mut installation = Installation::start_usual().await;
    let device = installation.new_device(PROFILE, &A).await;
    let _ = installation.enrol(PROFILE, &device).await.issued();
    let _ = installation.enrol(PROFILE, &Device::new(&B, Some("guess"))).await;
    installation.wait_for_ledger("outcome", 1).await;
    installation.wait_for_ledger("denied", 1).await;
    installation.crash(Program::Sign).await;
    let entries = installation.ledger().await;
    assert!(entries.len() >= 5, "{entries:?}");
    assert!(entries.iter().all(|entry| entry["lab"] == true), "{entries:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_06_policy_and_plugin_must_both_agree_or_the_ca_sees_nothing() {
    let installation = Installation::builder()
        .profile(Profile::named(PROFILE))
        .profile(Profile::named("plain").limits("[sans]\nallowed = []\n"))
        .start()
        .await;
    // The plug-in would approve, the policy does not.
    let challenge = installation.issue_challenge("plain", &A).await;
    let device = Device::new(&A, Some(&challenge));
    let by_policy = installation.enrol("plain", &device).await;
    // The policy would admit, the plug-in does not approve.
    let device = Device::new(&A, Some("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
    let by_plugin = installation.enrol(PROFILE, &device).await;
    assert!(by_policy.is_refused_without_reason());
    assert_eq!(by_policy, by_plugin, "who refused is not told");
    let denied = installation.wait_for_ledger("denied", 2).await;
    let mut by: Vec<_> = denied.iter().map(|entry| entry["body"]["by"].as_str().unwrap()).collect();
    by.sort_unstable();
    assert_eq!(by, ["admit", "verify"]);
    assert_eq!(installation.signatures().await, 0);
    assert_eq!(installation.submissions(), 0);
    // The policy's refusal spent nothing either.
    let device = Device::new(&A[..1], Some(&challenge));
    let _ = installation.enrol("plain", &device).await.issued();
}

/// Writes the component of a guest; `name` is also its plug-in's.
fn guest(folder: &tempfile::TempDir, name: &str, guest: &Guest, sections: &str) -> Plugin {
    let path: PathBuf = folder.path().join(format!("{name}.wasm"));
    std::fs::write(&path, guest.build()).unwrap();
    Plugin::new(name, path, sections)
}

#[tokio::test(flavor = "multi_thread")]
async fn row_10_only_a_clear_yes_of_every_verifier_is_an_approval() {
    let folder = tempfile::tempdir().unwrap();
    let quick = "[limits]\ntime-ms = 300\n";
    let verifiers = [
        ("traps", Guest::verifying("(unreachable)")),
        ("never-ends", Guest::verifying("(loop $l (br $l)) (unreachable)")),
        ("odd-answer", Guest::verifying("(i32.const -4)")),
        ("no-such-verdict", Guest::verifying("(i32.const 0x1000)")),
        ("denies", Guest::verifying(format!("(i32.const {DENY})"))),
        // It approves, of names that are not the device's.
        ("approves-another", Guest::default()),
    ];
    let mut builder = Installation::builder();
    for (name, component) in &verifiers {
        builder = builder
            .plugin(guest(&folder, name, component, quick))
            .profile(Profile::named(name).verifiers(&[name]))
            .profile(
                Profile::named(&format!("{name}-too")).verifiers(&["one-time-password", name]),
            );
    }
    let mut installation = builder.start().await;
    for (name, _) in &verifiers {
        let alone = installation.enrol(name, &Device::new(&A, None)).await;
        must_not_be_approved(name, &alone);
        // No OR over several: a good challenge does not make up for it.
        let both = format!("{name}-too");
        if *name != "approves-another" {
            let device = installation.new_device(&both, &A).await;
            must_not_be_approved(&both, &installation.enrol(&both, &device).await);
        }
    }
    assert_eq!(installation.signatures().await, 0);
    assert_eq!(installation.submissions(), 0);
    assert!(!installation.running(Program::Verify).log().contains("panicked"));
    // Its twin: names add up. The challenge's and the other verifier's, no more.
    let both = "approves-another-too";
    let names = ["CN=device-a", "DNS:host.example"];
    let challenge = installation.issue_challenge(both, &names[..1]).await;
    let device = Device::new(&["CN=device-a", "DNS:other.example"], Some(&challenge));
    assert!(installation.enrol(both, &device).await.is_refused_without_reason());
    let device = Device::new(&names, Some(&challenge));
    let _ = installation.enrol(both, &device).await.issued();
}

fn must_not_be_approved(what: &str, answer: &Answer) {
    let is_not_approved = match answer {
        Answer::Http(reply) => reply.status == 503 && !reply.header("retry-after").is_empty(),
        other => other.is_refused_without_reason(),
    };
    assert!(is_not_approved, "{what}: {answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_10_a_verifier_that_is_not_there_lets_verify_not_start_and_nobody_enrol() {
    let missing = Plugin::new("missing", "/nowhere/missing.wasm".into(), "");
    let mut installation = Installation::builder()
        .plugin(missing)
        .profile(Profile::named(PROFILE).verifiers(&["one-time-password", "missing"]))
        .prepare()
        .await;
    installation.start(Program::Sign).await;
    let ended = installation.refused_start(Program::Verify).await;
    assert!(!ended.status.success());
    assert!(ended.stderr.contains("[plugin.missing]"), "{}", ended.stderr);
    installation.start(Program::Serve).await;
    let answer = installation.enrol(PROFILE, &Device::new(&A, Some("guess"))).await;
    must_not_be_approved("missing", &answer);
    assert_eq!(installation.signatures().await, 0);
    assert_eq!(installation.submissions(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_28_the_cas_name_constraints_are_enforced_before_anything_is_signed() {
    let mut installation = Installation::builder()
        .algorithm(Algorithm::P256)
        .chain("ca/constrained.pem")
        .prepare()
        .await;
    // The same CA, in a certificate that bounds its names.
    run(openssl(&["req", "-x509", "-days", "3650", "-subj", "/CN=Countersign-Lab-CA"])
        .args(["-addext", "keyUsage=critical,keyCertSign,cRLSign"])
        .args(["-addext", "nameConstraints=critical,permitted;DNS:devices.example"])
        .arg("-key")
        .arg(installation.file("ca/ca.key.pem"))
        .arg("-out")
        .arg(installation.file("ca/constrained.pem")));
    installation.start_all().await;
    for outside in ["DNS:device.example", "DNS:devices.example.evil", "DNS:xdevices.example"] {
        let device = installation.new_device(PROFILE, &["CN=device", outside]).await;
        let answer = installation.enrol(PROFILE, &device).await;
        assert!(answer.is_refused_without_reason(), "{outside}: {answer:?}");
    }
    let denied = installation.wait_for_ledger("denied", 3).await;
    assert!(denied.iter().all(|entry| entry["body"]["code"] == "name-constraint"), "{denied:?}");
    assert_eq!(installation.signatures().await, 0);
    assert_eq!(installation.submissions(), 0);
    let inside = ["CN=device", "DNS:a.devices.example"];
    let device = installation.new_device(PROFILE, &inside).await;
    let _ = installation.enrol(PROFILE, &device).await.issued();
}

/// A device that asks for these extended key usages.
fn asking_for(usages: &[&str], challenge: &str) -> Device {
    let key = new_key();
    let usages: Vec<u8> = usages.iter().flat_map(|usage| forge::oid(usage)).collect();
    let value = forge::tlv(0x04, &forge::tlv(0x30, &usages));
    let extension = forge::tlv(0x30, &[forge::oid("2.5.29.37"), value].concat());
    let names: Vec<_> = A.iter().map(|name| name.parse().unwrap()).collect();
    let draft = CsrDraft {
        names: &names,
        challenge: Some(challenge),
        extensions: &[extension],
        ..CsrDraft::default()
    };
    let csr = draft.sign(&key).unwrap();
    Device::with_csr(key, csr)
}

#[tokio::test(flavor = "multi_thread")]
async fn row_46_a_purpose_beyond_the_profile_is_denied() {
    const CLIENT: &str = "1.3.6.1.5.5.7.3.2";
    const SERVER: &str = "1.3.6.1.5.5.7.3.1";
    let installation = Installation::start_usual().await;
    let challenge = installation.issue_challenge(PROFILE, &A).await;
    for usages in [
        &[SERVER][..],
        &[CLIENT, SERVER],
        &["1.3.6.1.4.1.311.20.2.1"],
        &["1.3.6.1.4.1.311.20.2.2"],
        &["2.5.29.37.0"],
    ] {
        let answer = installation.enrol(PROFILE, &asking_for(usages, &challenge)).await;
        assert!(answer.is_refused_without_reason(), "{usages:?}: {answer:?}");
    }
    let denied = installation.wait_for_ledger("denied", 5).await;
    assert!(denied.iter().all(|entry| entry["body"]["code"] == "eku"), "{denied:?}");
    assert_eq!(installation.signatures().await, 0);
    let _ = installation.enrol(PROFILE, &asking_for(&[CLIENT], &challenge)).await.issued();
}

#[tokio::test(flavor = "multi_thread")]
async fn row_62_one_challenge_makes_one_certificate() {
    let installation = Installation::start_usual().await;
    // One after the other.
    let challenge = installation.issue_challenge(PROFILE, &A).await;
    let (first, second) = (Device::new(&A, Some(&challenge)), Device::new(&A, Some(&challenge)));
    let certificate = installation.enrol(PROFILE, &first).await.issued();
    assert!(installation.enrol(PROFILE, &second).await.is_refused_without_reason());
    assert_eq!(installation.enrol(PROFILE, &first).await.issued(), certificate);

    // All at once.
    let challenge = installation.issue_challenge(PROFILE, &B).await;
    let devices: Vec<_> = (0..4).map(|_| Device::new(&B, Some(&challenge))).collect();
    let (a, b, c, d) = tokio::join!(
        installation.enrol(PROFILE, &devices[0]),
        installation.enrol(PROFILE, &devices[1]),
        installation.enrol(PROFILE, &devices[2]),
        installation.enrol(PROFILE, &devices[3]),
    );
    let answers = [a, b, c, d];
    let won = answers.iter().filter(|answer| matches!(answer, Answer::Issued(_))).count();
    let lost = answers.iter().filter(|answer| answer.is_refused_without_reason()).count();
    assert_eq!((won, lost), (1, 3), "{answers:?}");
    assert_eq!(issued(&installation), 2);
    assert_eq!(installation.signatures().await, 2);
}

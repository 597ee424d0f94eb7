//! Renewals: by RenewalReq, and by PKCSReq signed with the current certificate. The current
//! certificate is the whole proof, so each thing that may be wrong with it has its test.

use countersign_ipc::{Bytes, Client, RevocationOrder, Role as Peer, VerifyReply, VerifyRequest};
use countersign_lab_ca::{LabCa, Misbehaviour, Options, Role, Template};
use countersign_scep::client::{DeviceKey, KeySize};
use countersign_scep::{Certificate, FailInfo};
use countersign_tests::{
    Answer, Device, Installation, Issued, PENDING_TEMPLATE, PROFILE, Plugin, Profile, Program,
    TEMPLATE, csr,
};
use std::time::Duration;

use crate::verifier_words::saying;

const NAMES: [&str; 2] = ["CN=device-17", "DNS:device-17.example"];

fn renewing() -> Profile {
    Profile::named(PROFILE).renewal(&["renewal"])
}

async fn start() -> Installation {
    Installation::builder().profile(renewing()).start().await
}

fn new_key() -> DeviceKey {
    DeviceKey::generate(KeySize::Rsa2048).unwrap()
}

fn same_key(key: &DeviceKey) -> DeviceKey {
    DeviceKey::from_pkcs8(key.to_pkcs8()).unwrap()
}

/// A device with its first certificate, of which every process knows.
async fn enrolled(installation: &Installation, profile: &str) -> (Device, Issued) {
    let device = installation.new_device(profile, &NAMES).await;
    let issued = installation.enrol(profile, &device).await.issued();
    installation.wait_until_told().await;
    (device, issued)
}

/// That device, about to renew with a new key and without a challenge.
async fn ready_to_renew(installation: &Installation, profile: &str) -> Device {
    let (device, issued) = enrolled(installation, profile).await;
    device.renewing(&issued, csr(&new_key(), &NAMES, None))
}

async fn denial(installation: &Installation) -> String {
    let denied = installation.wait_for_ledger("denied", 1).await;
    denied[0]["body"]["code"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_renews_with_a_new_key_and_its_old_certificate_alone() {
    let installation = start().await;
    let capabilities = installation.get(&format!("/scep/{PROFILE}?operation=GetCACaps")).await;
    assert!(capabilities.text().lines().any(|line| line == "Renewal"));

    let (device, first) = enrolled(&installation, PROFILE).await;
    let next = new_key();
    let device = device.renewing(&first, csr(&next, &NAMES, None));
    let second = installation.renew(PROFILE, &device).await.issued();
    assert_ne!(second.certificate, first.certificate);
    let parsed = Certificate::parse(&second.certificate).unwrap();
    assert_eq!(parsed.spki_der(), next.spki_der());

    // The same request again: the same certificate, no second signature.
    assert_eq!(installation.renew(PROFILE, &device).await.issued(), second);
    assert_eq!(installation.signatures().await, 2);
    let signed = installation.ledger_of("signed").await;
    assert_eq!(signed[1]["body"]["request"], "renewal");
    let current = countersign_profile::Certificate::parse(&first.certificate).unwrap().sha256();
    assert_eq!(signed[1]["body"]["current-certificate-sha256"], hex::encode(current));

    // And the new one carries the next.
    installation.wait_until_told().await;
    let device = Device::with_key(next, &NAMES, None);
    let device = device.renewing(&second, csr(&new_key(), &NAMES, None));
    let _ = installation.renew(PROFILE, &device).await.issued();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pkcsreq_signed_with_the_current_certificate_is_a_renewal() {
    let installation = start().await;
    let (device, first) = enrolled(&installation, PROFILE).await;
    let again = same_key(&device.key);
    // As Apple's and jscep's clients, and with the very same request as micromdm's.
    let (transaction, request) = (device.transaction_id.clone(), device.csr.clone());
    let mut device = device.renewing(&first, request);
    device.transaction_id = transaction;
    let second = installation.enrol(PROFILE, &device).await.issued();
    assert_ne!(second.certificate, first.certificate);
    // Signed by itself it is still the first enrolment, which has its answer.
    let first_again = Device { signer: Device::with_key(again, &NAMES, None).signer, ..device };
    assert_eq!(
        installation.enrol(PROFILE, &first_again).await.issued().certificate,
        first.certificate
    );
    assert_eq!(installation.signatures().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn verifiers_for_renewals_and_for_first_enrolments_are_never_mixed_up() {
    let installation = Installation::builder()
        .profile(renewing())
        .profile(Profile::named("challenged").renewal(&["one-time-password"]))
        .profile(Profile::named("never"))
        .start()
        .await;
    // A first enrolment does not come in by the verifiers of renewals.
    let stranger = Device::new(&NAMES, None);
    assert!(installation.enrol(PROFILE, &stranger).await.is_refused_without_reason());
    assert!(installation.renew(PROFILE, &stranger).await.is_refused_without_reason());

    // A renewal does not come in by the proof that another profile takes.
    let device = ready_to_renew(&installation, "challenged").await;
    assert!(installation.renew("challenged", &device).await.is_refused_without_reason());
    assert!(installation.enrol("challenged", &device).await.is_refused_without_reason());
    let challenge = installation.issue_challenge("challenged", &NAMES).await;
    let with_challenge = Device { csr: csr(&new_key(), &NAMES, Some(&challenge)), ..device };
    let _ = installation.renew("challenged", &with_challenge).await.issued();

    // Where there are no verifiers for renewals, no challenge makes one.
    let device = ready_to_renew(&installation, "never").await;
    let challenge = installation.issue_challenge("never", &NAMES).await;
    let device = Device { csr: csr(&new_key(), &NAMES, Some(&challenge)), ..device };
    assert!(installation.renew("never", &device).await.is_refused_without_reason());
    assert!(installation.enrol("never", &device).await.is_refused_without_reason());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_for_other_names_is_refused() {
    let installation = start().await;
    let (device, issued) = enrolled(&installation, PROFILE).await;
    let mut device = device.renewing(&issued, csr(&new_key(), &NAMES, None));
    for names in [
        &["CN=device-18", "DNS:device-17.example"][..],
        &["CN=device-17"],
        &["CN=device-17", "DNS:device-17.example", "DNS:dc.example"],
    ] {
        device.csr = csr(&new_key(), names, None);
        assert!(installation.renew(PROFILE, &device).await.is_refused_without_reason());
    }
    assert_eq!(denial(&installation).await, "renewal-other-names");
    assert_eq!(installation.signatures().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_renews_nothing() {
    let installation = start().await;
    let short = Template::named(TEMPLATE).that(Misbehaviour::EndsIn { seconds: 6 });
    installation.ca().set_template(short).unwrap();
    let device = ready_to_renew(&installation, PROFILE).await;
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert!(installation.renew(PROFILE, &device).await.is_refused_without_reason());
    assert!(installation.enrol(PROFILE, &device).await.is_refused_without_reason());
    assert_eq!(denial(&installation).await, "renewal-expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_renews_nothing() {
    let installation = start().await;
    let device = ready_to_renew(&installation, PROFILE).await;
    let serial =
        hex::encode(countersign_profile::Certificate::parse(device.signer.der()).unwrap().serial());
    installation.ca().revoke(serial.trim_start_matches("00"), 1).unwrap();
    assert!(installation.renew(PROFILE, &device).await.is_refused_without_reason());
    assert!(installation.enrol(PROFILE, &device).await.is_refused_without_reason());
    assert_eq!(denial(&installation).await, "renewal-revoked");
    assert_eq!(installation.signatures().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_we_ordered_revoked_renews_nothing_whatever_the_list_says() {
    let installation = start().await;
    let device = ready_to_renew(&installation, PROFILE).await;
    let parsed = countersign_profile::Certificate::parse(device.signer.der()).unwrap();
    let order = RevocationOrder {
        enrolment: countersign_ipc::EnrolmentId([7; 32]),
        attempt: 1,
        profile: PROFILE.to_owned(),
        authority: "lab".to_owned(),
        certificate_sha256: Bytes(parsed.sha256().to_vec()),
        serial: parsed.serial_hex(),
        reason: "retired".to_owned(),
    };
    let socket = installation.file("run/verify.sock");
    let verify: Client<VerifyRequest, VerifyReply> =
        Client::new(&socket, Peer::Serve, installation.config_digest());
    let reply = verify.call(&VerifyRequest::Order(order), Duration::from_secs(30)).await.unwrap();
    assert!(matches!(reply, VerifyReply::Done));
    assert!(installation.renew(PROFILE, &device).await.is_refused_without_reason());
    assert_eq!(denial(&installation).await, "renewal-ordered-revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_ca_or_profile_or_of_nobody_renews_nothing() {
    let installation = Installation::builder()
        .profile(renewing())
        .profile(Profile::named("servers").renewal(&["renewal"]))
        .start()
        .await;
    let (device, issued) = enrolled(&installation, "servers").await;
    let key = same_key(&device.key);
    let device = device.renewing(&issued, csr(&new_key(), &NAMES, None));
    assert!(installation.renew(PROFILE, &device).await.is_refused_without_reason());
    assert_eq!(denial(&installation).await, "renewal-not-delivered-here");

    // Of the CA, and for the same names, but not delivered by this host.
    let by_hand = installation
        .ca()
        .issue_role_certificate(&csr(&key, &NAMES, None), Role::TlsClient)
        .unwrap();
    let device = Device { signer: Certificate::parse(&by_hand).unwrap(), ..device };
    assert!(installation.renew(PROFILE, &device).await.is_refused_without_reason());

    // Of a CA of the same name with another key.
    let folder = tempfile::tempdir().unwrap();
    let other = LabCa::create(&folder.path().join("ca"), Options::default()).unwrap();
    let foreign = other.issue_role_certificate(&csr(&key, &NAMES, None), Role::TlsClient).unwrap();
    let device = Device { signer: Certificate::parse(&foreign).unwrap(), ..device };
    assert!(installation.renew(PROFILE, &device).await.is_refused_without_reason());
    // By its signature: that it was not delivered here would refuse it too.
    assert!(installation.logs().contains("renewal-not-issued-here"), "{}", installation.logs());
    // As a PKCSReq it is a first enrolment whose signer is not the key of the request.
    assert_eq!(
        installation.enrol(PROFILE, &device).await,
        Answer::Failure { fail_info: FailInfo::BadMessageCheck, text: None }
    );
    assert_eq!(installation.signatures().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_revocation_list_nobody_is_told_anything() {
    let mut installation = start().await;
    let device = ready_to_renew(&installation, PROFILE).await;
    installation.stop_ca().await;
    match installation.renew(PROFILE, &device).await {
        Answer::Http(reply) => assert_eq!(reply.status, 503),
        other => panic!("expected 503, found {other:?}"),
    }
    assert!(installation.ledger_of("denied").await.is_empty());
    assert_eq!(installation.signatures().await, 1);
    installation.start_ca().await;
    // A failure is remembered for some seconds, so that strangers' requests do not become ours.
    tokio::time::sleep(Duration::from_secs(11)).await;
    let _ = installation.renew(PROFILE, &device).await.issued();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_the_ca_keeps_is_polled_by_certpoll_and_by_the_request_itself() {
    let mut installation =
        Installation::builder().profile(renewing().template(PENDING_TEMPLATE)).start().await;
    let device = installation.new_device(PROFILE, &NAMES).await;
    assert_eq!(installation.enrol(PROFILE, &device).await, Answer::Pending);
    approve_pending(&installation);
    // certmonger's way: the request again.
    let first = installation.enrol(PROFILE, &device).await.issued();
    assert_eq!(installation.poll(PROFILE, &device).await.issued(), first);
    installation.wait_until_told().await;

    let device = device.renewing(&first, csr(&new_key(), &NAMES, None));
    assert_eq!(installation.renew(PROFILE, &device).await, Answer::Pending);
    assert_eq!(installation.poll(PROFILE, &device).await, Answer::Pending);
    assert_eq!(installation.renew(PROFILE, &device).await, Answer::Pending);
    installation.crash(Program::Serve).await;
    assert_eq!(installation.poll(PROFILE, &device).await, Answer::Pending);
    approve_pending(&installation);
    let second = installation.poll(PROFILE, &device).await.issued();
    assert_eq!(installation.renew(PROFILE, &device).await.issued(), second);
    assert_eq!(installation.signatures().await, 2);
}

/// A certificate manager approves whatever is pending.
fn approve_pending(installation: &Installation) {
    use countersign_lab_ca::RequestState;
    let requests = installation.ca_requests();
    let pending = requests.iter().filter(|request| request.state == RequestState::Pending);
    for request in pending {
        installation.ca().approve(request.id).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_a_verifier_lets_wait_is_kept_with_its_proof() {
    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("guest.wasm");
    std::fs::write(&component, saying(2, 5).build()).unwrap();
    let mut installation = Installation::builder()
        .plugin(Plugin::new("waits", component, ""))
        .profile(Profile::named(PROFILE).renewal(&["renewal", "waits"]))
        .start()
        .await;
    let device = ready_to_renew(&installation, PROFILE).await;
    assert_eq!(installation.renew(PROFILE, &device).await, Answer::Pending);
    installation.crash(Program::Serve).await;
    installation.crash(Program::Verify).await;
    // A poll carries no request: `verify` gets the message that was kept, and validates it again.
    assert_eq!(installation.poll(PROFILE, &device).await, Answer::Pending);
    assert_eq!(installation.renew(PROFILE, &device).await, Answer::Pending);
    let serial =
        hex::encode(countersign_profile::Certificate::parse(device.signer.der()).unwrap().serial());
    // While it waits its certificate is revoked; a fresh `serve` fetches a fresh list.
    installation.ca().revoke(serial.trim_start_matches("00"), 1).unwrap();
    installation.crash(Program::Serve).await;
    assert!(installation.poll(PROFILE, &device).await.is_refused_without_reason());
    assert_eq!(denial(&installation).await, "renewal-revoked");
}

//! What a device may have again (RFC 8894 §2.6, §2.7): its own certificate, the CA's revocation list,
//! and the CA's next certificates.

use countersign_profile::RevocationList;
use countersign_scep::client::{Ask, Expected, Reply};
use countersign_scep::{Certificate, FailInfo, IssuerAndSerial, LegacyAlgorithms};
use countersign_tests::openssl::{openssl, run};
use countersign_tests::{
    Answer, Device, HttpReply, Installation, PROFILE, Plugin, Profile, Program,
};

use crate::guests::{APPROVE, Guest};

const NAMES: [&str; 2] = ["CN=device-17", "DNS:device-17.example"];

/// Asks, and gives the raw answer.
async fn ask(installation: &Installation, device: &Device, ask: Ask<'_>) -> (Answer, HttpReply) {
    let ra = installation.ra(PROFILE).await;
    let sent = device.ask(&ra, ask);
    let reply = installation.send(PROFILE, &sent).await;
    (device.read(&sent, reply.clone(), &ra), reply)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_goes_again_to_its_key_and_to_nobody_else() {
    let installation = Installation::builder()
        .profile(Profile::named(PROFILE))
        .profile(Profile::named("other"))
        .start()
        .await;
    let mut device = installation.new_device(PROFILE, &NAMES).await;
    let issued = installation.enrol(PROFILE, &device).await.issued();
    let certificate = Certificate::parse(&issued.certificate).unwrap();
    let name = IssuerAndSerial::of(&certificate);

    // Self-signed or by the certificate: it is the key that counts.
    let (again, _) = ask(&installation, &device, Ask::GetCert(&name)).await;
    assert_eq!(again.issued().certificate, issued.certificate);
    device.signer = certificate;
    let (again, _) = ask(&installation, &device, Ask::GetCert(&name)).await;
    assert_eq!(again.issued().certificate, issued.certificate);

    // A neighbour of the same profile, with a certificate of its own.
    let mut neighbour = installation.new_device(PROFILE, &["CN=device-18"]).await;
    let own = installation.enrol(PROFILE, &neighbour).await.issued();
    neighbour.signer = Certificate::parse(&own.certificate).unwrap();
    let (answer, refused) = ask(&installation, &neighbour, Ask::GetCert(&name)).await;
    let not_opened = Answer::Failure { fail_info: FailInfo::BadMessageCheck, text: None };
    assert_eq!(answer, not_opened);
    // No more is said of a certificate that there is than of one that there is not, or of an envelope
    // that holds something else (zone A).
    let unknown = IssuerAndSerial { serial: vec![2, 1, 9], ..name.clone() };
    let (answer, absent) = ask(&installation, &neighbour, Ask::GetCert(&unknown)).await;
    assert_eq!((answer, absent.body.len()), (not_opened.clone(), refused.body.len()));
    let foreign =
        IssuerAndSerial { issuer: neighbour.signer.subject_der().to_vec(), ..name.clone() };
    let (answer, other) = ask(&installation, &neighbour, Ask::GetCert(&foreign)).await;
    assert_eq!((answer, other.body.len()), (not_opened.clone(), refused.body.len()));

    // Nor does another profile give it out, although the CA is the same.
    let ra = installation.ra("other").await;
    let sent = device.ask(&ra, Ask::GetCert(&name));
    let answer = device.read(&sent, installation.send("other", &sent).await, &ra);
    assert_eq!(answer, not_opened);
}

fn revoke(installation: &Installation, certificate: &[u8]) {
    let certificate = countersign_profile::Certificate::parse(certificate).unwrap();
    installation.ca().revoke(certificate.serial_hex().trim_start_matches("00"), 1).unwrap();
}

/// Fails when `Inner::is_over` no longer asks `access::is_revoked`.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_revoked_since_is_not_handed_out_again_but_asked_for_anew() {
    // It vouches for whatever is asked: case 0 of `vouched`.
    let vouched = APPROVE + 8;
    let generous = Guest::verifying(format!(
        "(i32.store8 (i32.const {vouched}) (i32.const 0)) (i32.const {APPROVE})"
    ));
    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("guest.wasm");
    std::fs::write(&component, generous.build()).unwrap();
    let grants = "[grants]\nexactly-as-requested = true\n";
    let installation = Installation::builder()
        .profile(Profile::named(PROFILE).renewal(&["renewal"]))
        .profile(Profile::named("open").verifiers(&["generous"]).renewal(&["renewal"]))
        .plugin(Plugin::new("generous", component, grants))
        .start()
        .await;
    let device = installation.new_device(PROFILE, &NAMES).await;
    let issued = installation.enrol(PROFILE, &device).await.issued();
    let approved = Device::new(&["CN=device-18"], None);
    let first = installation.enrol("open", &approved).await.issued();
    // Until the ledger has the outcome of an attempt, the next one is told to come again.
    installation.wait_for_ledger("outcome", 2).await;
    revoke(&installation, &issued.certificate);
    revoke(&installation, &first.certificate);

    // Its challenge made one certificate and makes no other.
    assert!(installation.enrol(PROFILE, &device).await.is_refused_without_reason());
    assert!(installation.poll(PROFILE, &device).await.is_refused_without_reason());
    assert_eq!(installation.signatures().await, 2);
    // Where the verifiers approve again, the next attempt begins, and has its own answer from then on.
    let second = installation.enrol("open", &approved).await.issued();
    assert_ne!(second.certificate, first.certificate);
    assert_eq!(installation.enrol("open", &approved).await.issued(), second);
    assert_eq!(installation.signatures().await, 3);
    let orders = installation.ledger_of("order").await;
    assert_eq!(orders.len(), 2, "{orders:?}");
    assert!(orders.iter().all(|order| order["body"]["reason"] == "on-revocation-list"));
}

/// A device that lost the answer does not depend on where the CA publishes: it gets what it had.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_list_a_device_gets_the_certificate_that_it_had() {
    let mut installation = Installation::builder()
        .profile(Profile::named(PROFILE).renewal(&["renewal"]))
        .start()
        .await;
    let device = installation.new_device(PROFILE, &NAMES).await;
    let issued = installation.enrol(PROFILE, &device).await.issued();
    installation.stop_ca().await;
    assert_eq!(installation.enrol(PROFILE, &device).await.issued(), issued);
    assert_eq!(installation.poll(PROFILE, &device).await.issued(), issued);
    assert_eq!(installation.signatures().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_gets_the_revocation_list() {
    let installation = Installation::builder()
        .profile(Profile::named(PROFILE).renewal(&["renewal"]))
        .start()
        .await;
    let device = installation.new_device(PROFILE, &NAMES).await;
    let issued = installation.enrol(PROFILE, &device).await.issued();
    let certificate = countersign_profile::Certificate::parse(&issued.certificate).unwrap();
    let serial = certificate.serial_hex();
    installation.ca().revoke(serial.trim_start_matches("00"), 1).unwrap();

    let stranger = Device::new(&["CN=stranger"], None);
    let ca = Certificate::parse(installation.ca().certificate_der()).unwrap();
    let name = IssuerAndSerial::of(&ca);
    let ra = installation.ra(PROFILE).await;
    let sent = stranger.ask(&ra, Ask::GetCrl(&name));
    let reply = installation.send(PROFILE, &sent).await;
    let expected = Expected {
        transaction_id: &sent.transaction_id,
        sender_nonce: &sent.nonce,
        responders: ra.all(),
        legacy: LegacyAlgorithms::default(),
    };
    let Reply::Success(sealed) = Reply::read(&reply.body, &expected).unwrap() else {
        panic!("not a success")
    };
    let content_key = stranger.key.unwrap(&sealed.addressed_to(&stranger.signer).unwrap()).unwrap();
    let bundle = sealed.open(&content_key).unwrap();
    assert!(bundle.certificates.is_empty());
    let [crl] = bundle.crls.as_slice() else { panic!("one list") };
    let issuer =
        countersign_profile::Certificate::parse(installation.ca().certificate_der()).unwrap();
    assert!(RevocationList::read(crl.clone(), &issuer).unwrap().revokes(&certificate));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_place_to_fetch_it_from_there_is_no_list() {
    let installation = Installation::start_usual().await;
    let stranger = Device::new(&["CN=stranger"], None);
    let name = IssuerAndSerial::of(&stranger.signer);
    let (answer, _) = ask(&installation, &stranger, Ask::GetCrl(&name)).await;
    assert!(matches!(answer, Answer::Http(ref reply) if reply.status == 503), "{answer:?}");
}

/// A blob as a CA's admin makes it with OpenSSL: `next` as certs-only CMS, signed by `signer`.
fn blob(installation: &Installation, next: &str, signer: &str, signer_key: &str) {
    let file = |name: &str| installation.file(name);
    run(openssl(&["crl2pkcs7", "-nocrl", "-outform", "DER", "-certfile"])
        .arg(file(next))
        .arg("-out")
        .arg(file("next.p7")));
    run(openssl(&["cms", "-sign", "-nodetach", "-binary", "-outform", "DER", "-md", "sha256"])
        .arg("-signer")
        .arg(file(signer))
        .arg("-inkey")
        .arg(file(signer_key))
        .arg("-in")
        .arg(file("next.p7"))
        .arg("-out")
        .arg(file("next.der")));
}

/// A self-signed CA certificate in `name.pem`, valid for so many days.
fn next_ca(installation: &Installation, name: &str, days: &str) {
    run(openssl(&[
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ])
    .args(["-subj", "/CN=Lab CA 2", "-days", days])
    .args(["-addext", "basicConstraints=critical,CA:TRUE"])
    .arg("-keyout")
    .arg(installation.file(&format!("{name}.key")))
    .arg("-out")
    .arg(installation.file(&format!("{name}.pem"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_ca_is_handed_out_as_the_current_one_signed_it() {
    let mut installation =
        Installation::builder().authority("next-ca = \"next.der\"").prepare().await;
    next_ca(&installation, "next", "30");
    blob(&installation, "next.pem", "ca/ca.pem", "ca/ca.key.pem");
    installation.start_all().await;
    let capabilities = installation.get(&format!("/scep/{PROFILE}?operation=GetCACaps")).await;
    assert!(capabilities.text().lines().any(|line| line == "GetNextCACert"));
    let reply = installation.get(&format!("/scep/{PROFILE}?operation=GetNextCACert")).await;
    assert_eq!(reply.header("content-type"), "application/x-x509-next-ca-cert");
    assert_eq!(reply.body, std::fs::read(installation.file("next.der")).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_next_ca_that_the_current_one_did_not_sign_or_that_is_over_refuses_the_start() {
    let mut installation =
        Installation::builder().authority("next-ca = \"next.der\"").prepare().await;
    next_ca(&installation, "next", "30");
    // The next CA, and an RA certificate beside it that is over.
    let key =
        countersign_scep::client::DeviceKey::generate(countersign_scep::client::KeySize::Rsa2048)
            .unwrap();
    let (start, day) = (std::time::UNIX_EPOCH, std::time::Duration::from_secs(86_400));
    let over = installation
        .ca()
        .issue_role_certificate_valid(
            &countersign_tests::csr(&key, &["CN=RA"], None),
            countersign_lab_ca::Role::Rep,
            start + 20_000 * day,
            start + 20_001 * day,
        )
        .unwrap();
    let over = der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, &over).unwrap();
    let next = std::fs::read_to_string(installation.file("next.pem")).unwrap();
    std::fs::write(installation.file("over.pem"), next + &over).unwrap();
    for (what, next, signer, key) in [
        ("not signed by the current CA", "next.pem", "next.pem", "next.key"),
        ("has ended", "over.pem", "ca/ca.pem", "ca/ca.key.pem"),
        ("the current certificate as the next", "ca/ca.pem", "ca/ca.pem", "ca/ca.key.pem"),
    ] {
        blob(&installation, next, signer, key);
        let ended = installation.refused_start(Program::Serve).await;
        assert_eq!(ended.status.code(), Some(1), "{what}: {ended:?}");
        assert!(ended.stderr.contains(what), "{what}: {}", ended.stderr);
    }
    // One octet of the signed content changed.
    blob(&installation, "next.pem", "ca/ca.pem", "ca/ca.key.pem");
    let mut octets = std::fs::read(installation.file("next.der")).unwrap();
    let at = octets.windows(8).position(|window| window == b"Lab CA 2").unwrap();
    octets[at] ^= 0x20;
    std::fs::write(installation.file("next.der"), octets).unwrap();
    let ended = installation.refused_start(Program::Serve).await;
    assert!(ended.stderr.contains("signature does not hold"), "{}", ended.stderr);
}

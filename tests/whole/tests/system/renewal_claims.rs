//! What `verify` makes of renewals that `serve` claims: a thief in `serve`'s place, with everything
//! that the real one has seen. Each line of `host/verify/src/renewal.rs` that refuses is met here.

use std::time::Duration;

use countersign_ipc::{
    Bytes, Client, Kind, RenewalEvidence, RevocationListPart, Role, VerifyEnrolment, VerifyReply,
    VerifyRequest,
};
use countersign_scep::client::{Ask, DeviceKey, KeySize};
use countersign_scep::{Bounds, Certificate, Message};
use countersign_tests::{Device, Installation, PROFILE, Profile, csr};

const NAMES: [&str; 2] = ["CN=device-17", "DNS:device-17.example"];
const SOON: Duration = Duration::from_secs(30);

/// A thief with the CEP key, and a device that is about to renew.
struct Scene {
    installation: Installation,
    verify: Client<VerifyRequest, VerifyReply>,
    cep: DeviceKey,
    device: Device,
}

impl Scene {
    async fn new() -> Self {
        let installation = Installation::builder()
            .profile(Profile::named(PROFILE).renewal(&["renewal"]))
            .profile(Profile::named("servers").renewal(&["renewal"]))
            .start()
            .await;
        let device = installation.new_device(PROFILE, &NAMES).await;
        let issued = installation.enrol(PROFILE, &device).await.issued();
        installation.wait_until_told().await;
        let device = device.renewing(&issued, csr(&new_key(), &NAMES, None));
        let verify = Client::new(
            &installation.file("run/verify.sock"),
            Role::Serve,
            installation.config_digest(),
        );
        let pem = std::fs::read(installation.file("keys/cep.key")).unwrap();
        let (_, pkcs8) = der::pem::decode_vec(&pem).unwrap();
        Self { cep: DeviceKey::from_pkcs8(&pkcs8).unwrap(), installation, verify, device }
    }

    /// The device's renewal as `serve` would pass it on.
    async fn claim(&self, ask: Ask<'_>) -> VerifyEnrolment {
        self.claim_of(&self.device, ask).await
    }

    async fn claim_of(&self, device: &Device, ask: Ask<'_>) -> VerifyEnrolment {
        let ra = self.installation.ra(PROFILE).await;
        let sent = device.ask(&ra, ask);
        let request =
            Message::parse(&sent.message, &Bounds::REQUEST).unwrap().verify(&Default::default());
        let request = request.unwrap();
        let recipient = ra.recipient().unwrap();
        let addressed = request.envelope().addressed_to([recipient]).unwrap();
        VerifyEnrolment {
            profile: PROFILE.to_owned(),
            path_suffix: String::new(),
            transaction_id: Bytes(device.transaction_id.as_bytes().to_vec()),
            attempt: 1,
            kind: Kind::Renewal,
            csr: Bytes(device.csr.clone()),
            source: "192.0.2.1".to_owned(),
            renewal: Some(RenewalEvidence {
                message: Bytes(sent.message),
                content_key: Bytes(self.cep.unwrap(&addressed).unwrap().to_vec()),
                list_made: 0,
            }),
        }
    }

    async fn ask(&self, claim: &VerifyEnrolment) -> VerifyReply {
        self.verify.call(&VerifyRequest::Verify(claim.clone()), SOON).await.unwrap()
    }

    async fn must_be_denied(&self, what: &str, expected: &str, claim: &VerifyEnrolment) {
        match self.ask(claim).await {
            VerifyReply::Denied { code } => assert_eq!(code, expected, "{what}"),
            other => panic!("{what}: {other:?}"),
        }
    }

    /// Sends a list, in parts of this size.
    async fn send_list(&self, list: &[u8], size: usize) -> VerifyReply {
        let mut last = VerifyReply::Done;
        for (number, part) in list.chunks(size).enumerate() {
            let part = RevocationListPart {
                authority: "lab".to_owned(),
                list_sha256: Bytes(
                    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, list).as_ref().to_vec(),
                ),
                length: list.len() as u64,
                offset: (number * size) as u64,
                octets: Bytes(part.to_vec()),
            };
            last = self.verify.call(&VerifyRequest::RevocationList(part), SOON).await.unwrap();
            if !matches!(last, VerifyReply::Done) {
                break;
            }
        }
        last
    }
}

fn new_key() -> DeviceKey {
    DeviceKey::generate(KeySize::Rsa2048).unwrap()
}

fn evidence(claim: &mut VerifyEnrolment) -> &mut RenewalEvidence {
    claim.renewal.as_mut().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_is_what_verify_itself_finds_in_the_message() {
    let scene = Scene::new().await;
    let good = scene.claim(Ask::RenewalReq(&scene.device.csr)).await;
    // No list, no decision; of a list that nobody has, `verify` says the same.
    assert!(matches!(scene.ask(&good).await, VerifyReply::RevocationListNeeded));
    let list = scene.installation.ca().crl().unwrap();
    assert!(matches!(scene.send_list(&list, 100).await, VerifyReply::Done));
    let mut newer = good.clone();
    evidence(&mut newer).list_made = u64::MAX;
    assert!(matches!(scene.ask(&newer).await, VerifyReply::RevocationListNeeded));

    let mut claim = good.clone();
    claim.renewal = None;
    scene.must_be_denied("no message at all", "renewal-evidence", &claim).await;

    let mut claim = good.clone();
    let key = new_key();
    claim.csr = Bytes(csr(&key, &NAMES, None));
    scene.must_be_denied("a request of the thief's", "renewal-message", &claim).await;

    let mut claim = good.clone();
    evidence(&mut claim).content_key.0[0] ^= 1;
    scene.must_be_denied("another content key", "renewal-message", &claim).await;

    let mut claim = good.clone();
    let last = evidence(&mut claim).message.0.len() - 1;
    evidence(&mut claim).message.0[last] ^= 1;
    scene.must_be_denied("another signature", "renewal-message", &claim).await;

    let mut claim = good.clone();
    claim.transaction_id = Bytes(b"another".to_vec());
    scene.must_be_denied("another transaction", "renewal-message", &claim).await;

    let mut claim = good.clone();
    claim.profile = "servers".to_owned();
    scene.must_be_denied("another profile", "renewal-not-delivered-here", &claim).await;

    // The thief signs with a certificate of its own making.
    let names = csr(&key, &NAMES, None);
    let thief = Device::with_csr(key, names);
    let claim = scene.claim_of(&thief, Ask::RenewalReq(&thief.csr)).await;
    scene.must_be_denied("self-signed", "renewal-not-issued-here", &claim).await;
    // Or puts the device's certificate beside a signature of its own.
    let signer = Certificate::parse(scene.device.signer.der()).unwrap();
    let forged = Device { signer, ..thief };
    let ra = scene.installation.ra(PROFILE).await;
    let mut claim = good.clone();
    evidence(&mut claim).message = Bytes(forged.renewal(&ra).message);
    scene.must_be_denied("a signature by another key", "renewal-message", &claim).await;

    // The honest one is approved, once more and the same each time.
    for _ in 0..2 {
        let sealed = match scene.ask(&good).await {
            VerifyReply::Approved { sealed } => sealed,
            other => panic!("the device's own renewal: {other:?}\n{}", scene.installation.logs()),
        };
        let approval = sealed.read_unproven().unwrap();
        assert_eq!(approval.kind, Kind::Renewal);
        assert!(approval.current_certificate_sha256.is_some());
    }
    // And never as a first enrolment: that has other verifiers.
    let mut claim = good.clone();
    claim.kind = Kind::Initial;
    scene.must_be_denied("as a first enrolment", "challenge-missing", &claim).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_list_never_takes_the_place_of_a_newer_one() {
    let scene = Scene::new().await;
    let good = scene.claim(Ask::PkcsReq(&scene.device.csr)).await;
    let before = scene.installation.ca().crl().unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let current = countersign_profile::Certificate::parse(scene.device.signer.der()).unwrap();
    let serial = current.serial_hex();
    scene.installation.ca().revoke(serial.trim_start_matches("00"), 1).unwrap();
    let after = scene.installation.ca().crl().unwrap();

    assert!(matches!(scene.send_list(&after, 64 * 1024).await, VerifyReply::Done));
    scene.must_be_denied("revoked", "renewal-revoked", &good).await;
    // The `this_update` comparison of `Renewals::take`.
    let reply = scene.send_list(&before, 64 * 1024).await;
    assert!(matches!(reply, VerifyReply::Unavailable { .. }), "{reply:?}");
    scene.must_be_denied("still revoked", "renewal-revoked", &good).await;

    // What is no list of this CA is not taken either.
    for wrong in [b"no list".to_vec(), after[..after.len() - 1].to_vec()] {
        let reply = scene.send_list(&wrong, 64 * 1024).await;
        assert!(matches!(reply, VerifyReply::Unavailable { .. }), "{reply:?}");
    }
    scene.must_be_denied("and still", "renewal-revoked", &good).await;
}

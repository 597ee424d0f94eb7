//! A thief sits in `serve`'s place, on the real sockets of the real processes. What `sign` does with
//! each kind of seal its own tests say (`host/sign/tests`); here is that the processes, put
//! together, leave the thief nothing but what devices were owed anyway.

use std::time::Duration;

use countersign_ipc::{
    AdminRequest, ApprovalKey, Bytes, Client, Kind, Role, SealedApproval, SignReply, SignRequest,
    VerifyEnrolment, VerifyReply, VerifyRequest,
};
use countersign_tests::{Device, Installation, PROFILE, Profile, Program};
use zeroize::Zeroizing;

const SOON: Duration = Duration::from_secs(30);
const NAMES: [&str; 2] = ["CN=device-17", "DNS:device-17.example"];

struct Thief {
    verify: Client<VerifyRequest, VerifyReply>,
    sign: Client<SignRequest, SignReply>,
}

impl Thief {
    /// In the place of `serve`, which is no more.
    async fn break_in(installation: &mut Installation) -> Self {
        installation.kill(Program::Serve).await;
        let digest = installation.config_digest();
        Self {
            verify: Client::new(&installation.file("run/verify.sock"), Role::Serve, digest),
            sign: Client::new(&installation.file("run/sign.sock"), Role::Serve, digest),
        }
    }

    async fn ask(&self, profile: &str, device: &Device, kind: Kind) -> VerifyReply {
        let question = VerifyEnrolment {
            profile: profile.to_owned(),
            path_suffix: String::new(),
            transaction_id: Bytes(device.transaction_id.as_bytes().to_vec()),
            attempt: 1,
            kind,
            csr: Bytes(device.csr.clone()),
            source: "192.0.2.1".to_owned(),
            renewal: None,
        };
        self.verify.call(&VerifyRequest::Verify(question), SOON).await.unwrap()
    }

    async fn bring(&self, sealed: &SealedApproval, csr: &[u8]) -> SignReply {
        let order = SignRequest::Countersign { sealed: sealed.clone(), csr: Bytes(csr.to_vec()) };
        self.sign.call(&order, SOON).await.unwrap()
    }
}

fn must_be_refused(what: &str, reply: &SignReply) {
    assert!(matches!(reply, SignReply::Refused { .. }), "{what}: {reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_serve_cannot_have_anything_signed_that_verify_did_not_approve() {
    let mut installation = Installation::builder()
        .profile(Profile::named(PROFILE))
        .profile(Profile::named("servers"))
        .start()
        .await;
    let device = installation.new_device(PROFILE, &NAMES).await;
    let thief = Thief::break_in(&mut installation).await;

    // It cannot talk `verify` into an approval without a challenge, nor into a renewal.
    let own = Device::new(&NAMES, None);
    for kind in [Kind::Initial, Kind::Renewal] {
        let reply = thief.ask(PROFILE, &own, kind).await;
        assert!(matches!(reply, VerifyReply::Denied { .. }), "{reply:?}");
    }

    // What a device's challenge buys is sealed, and only that.
    let VerifyReply::Approved { sealed } = thief.ask(PROFILE, &device, Kind::Initial).await else {
        panic!("the device's own request is approved");
    };
    let honest = sealed.read_unproven().unwrap();
    must_be_refused("another request", &thief.bring(&sealed, &own.csr).await);
    let key = ApprovalKey::new(&Zeroizing::new(vec![8; 32])).unwrap();
    must_be_refused("a forged seal", &thief.bring(&key.seal(&honest), &device.csr).await);
    let mut wider = honest.clone();
    wider.names.push("CN=domain-controller".to_owned());
    let mut foreign = honest.clone();
    foreign.profile = "servers".to_owned();
    let mut longer = honest.clone();
    longer.expires_at += 86_400;
    // The MAC of the honest one beside other words.
    let mac = serde_json::to_value(&sealed).unwrap()["mac"].clone();
    for (what, approval) in [("wider", wider), ("foreign profile", foreign), ("longer", longer)] {
        let mut forged = serde_json::to_value(key.seal(&approval)).unwrap();
        forged["mac"] = mac.clone();
        let forged: SealedApproval = serde_json::from_value(forged).unwrap();
        must_be_refused(what, &thief.bring(&forged, &device.csr).await);
    }
    assert_eq!(installation.signatures().await, 0);
    let refused = installation.wait_for_ledger("refused-seal", 5).await;
    assert_eq!(refused.len(), 5, "{refused:?}");

    // The owed octets come out, each time the same.
    let SignReply::Countersigned { cms } = thief.bring(&sealed, &device.csr).await else {
        panic!("what was approved is countersigned");
    };
    for _ in 0..3 {
        let reply = thief.bring(&sealed, &device.csr).await;
        assert!(matches!(reply, SignReply::Countersigned { cms: ref again } if *again == cms));
    }
    assert_eq!(installation.signatures().await, 1);

    // The real one comes back: the device gets its certificate of the one signature.
    installation.start(Program::Serve).await;
    installation.wait_until_ready().await;
    let _ = installation.enrol(PROFILE, &device).await.issued();
    assert_eq!(installation.signatures().await, 1);
    installation.wait_for_ledger("outcome", 1).await;
    // And then nothing comes out any more.
    must_be_refused("a replay after the outcome", &thief.bring(&sealed, &device.csr).await);
    assert_eq!(installation.signatures().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seal_that_was_not_used_in_time_is_worthless() {
    let mut installation = Installation::builder().approval("lifetime-seconds = 10").start().await;
    let device = installation.new_device(PROFILE, &NAMES).await;
    let thief = Thief::break_in(&mut installation).await;
    let VerifyReply::Approved { sealed } = thief.ask(PROFILE, &device, Kind::Initial).await else {
        panic!("the device's own request is approved");
    };
    let ends = sealed.read_unproven().unwrap().expires_at;
    while std::time::SystemTime::now() <= std::time::UNIX_EPOCH + Duration::from_secs(ends + 1) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    must_be_refused("an expired seal", &thief.bring(&sealed, &device.csr).await);
    assert_eq!(installation.signatures().await, 0);
    let refused = installation.wait_for_ledger("refused-seal", 1).await;
    assert_eq!(refused[0]["body"]["code"], "approval-expired", "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_serve_issues_no_challenge_and_reads_no_ledger() {
    let mut installation = Installation::start_usual().await;
    let _thief = Thief::break_in(&mut installation).await;
    let digest = installation.config_digest();
    let issue = AdminRequest::IssueChallenge {
        profile: PROFILE.to_owned(),
        names: vec!["CN=thief".to_owned()],
        device_id: None,
        ttl: 60,
    };
    for (socket, question) in [
        ("verify.admin", issue),
        ("sign.admin", AdminRequest::Ledger { from: 0, limit: 1, enrolment: None }),
    ] {
        // By its own role an admin socket does not let it in. (In production its uid is no admin's
        // either; in this lab all are one user.)
        let socket = installation.file(&format!("run/{socket}.sock"));
        let client =
            Client::<AdminRequest, countersign_ipc::AdminReply>::new(&socket, Role::Serve, digest);
        let reply = client.call(&question, SOON).await;
        assert!(reply.is_err(), "{reply:?}");
    }
}

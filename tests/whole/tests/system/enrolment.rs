//! The main story: a device comes with its challenge and leaves with a certificate, however often
//! it asks, and whatever happened in between.

use countersign_ipc::AdminRequest;
use countersign_lab_ca::Algorithm;
use countersign_tests::openssl::{openssl, run};
use countersign_tests::scep::client::{DeviceKey, KeySize};
use countersign_tests::{
    Answer, Device, Installation, PENDING_TEMPLATE, PROFILE, Profile, Program,
};

const NAMES: [&str; 2] = ["CN=device-17", "DNS:device-17.example"];

#[tokio::test(flavor = "multi_thread")]
async fn a_device_enrols_and_every_retry_gets_the_same_certificate() {
    let mut installation = Installation::start_usual().await;
    let device = installation.new_device(PROFILE, &NAMES).await;
    let first = installation.enrol(PROFILE, &device).await.issued();

    let file = installation.file("device.der");
    std::fs::write(&file, &first.certificate).unwrap();
    let ca = installation.file("ca/ca.pem");
    run(openssl(&["verify", "-purpose", "sslclient", "-CAfile"]).arg(&ca).arg(&file));
    let text = run(openssl(&["x509", "-noout", "-text", "-in"]).arg(&file));
    assert!(text.contains("CN = device-17") && text.contains("DNS:device-17.example"), "{text}");

    // The same device again, and the very same octets again.
    assert_eq!(installation.enrol(PROFILE, &device).await.issued(), first);
    let ra = installation.ra(PROFILE).await;
    let sent = device.request(&ra);
    for _ in 0..2 {
        let reply = installation.send(PROFILE, &sent).await;
        assert_eq!(device.read(&sent, reply, &ra).issued(), first);
    }
    // A poll finds it too: the answer may have been lost.
    assert_eq!(installation.poll(PROFILE, &device).await.issued(), first);

    // What is answered survives: an orderly end, and a crash of all.
    installation.stop_all().await;
    installation.start_all().await;
    assert_eq!(installation.enrol(PROFILE, &device).await.issued(), first);
    for program in Program::ALL {
        installation.kill(program).await;
    }
    installation.start_all().await;
    assert_eq!(installation.enrol(PROFILE, &device).await.issued(), first);

    assert_eq!(installation.signatures().await, 1);
    let issued: Vec<_> = installation.ca_requests().into_iter().filter(is_issued).collect();
    assert_eq!(issued.len(), 1, "{issued:?}");
    let outcomes = installation.wait_for_ledger("outcome", 1).await;
    assert_eq!(outcomes[0]["body"]["outcome"], "issued");
    let enrolment = outcomes[0]["body"]["enrolment"].as_str().unwrap().to_owned();
    let shown = AdminRequest::Request { enrolment };
    let shown = installation.facts(Program::Serve, shown).await;
    assert_eq!(shown[0]["state"], "issued", "{shown}");
    let _ = installation.sweep();
}

fn is_issued(request: &countersign_lab_ca::RequestRecord) -> bool {
    matches!(request.state, countersign_lab_ca::RequestState::Issued(_))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_says_who_approved_what_and_ends_with_the_certificates_hash() {
    let mut installation = Installation::builder().algorithm(Algorithm::P256).start().await;
    let device = installation.new_device(PROFILE, &NAMES).await;
    let issued = installation.enrol(PROFILE, &device).await.issued();

    let signed = installation.wait_for_ledger("signed", 1).await;
    let body = &signed[0]["body"];
    assert_eq!(body["profile"], PROFILE);
    assert_eq!(body["csr-sha256"], sha256(&device.csr));
    assert_eq!(body["verifiers"][0]["plugin"], "one-time-password");
    let component = std::fs::read(countersign_tests::component("one-time-password")).unwrap();
    assert_eq!(body["verifiers"][0]["digest"], sha256(&component));
    let names: Vec<_> =
        body["names"].as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
    assert_eq!(names, NAMES);
    let outcome = installation.wait_for_ledger("outcome", 1).await;
    assert_eq!(outcome[0]["body"]["certificate-sha256"], sha256(&issued.certificate));
    assert_eq!(outcome[0]["body"]["enrolment"], body["enrolment"]);

    // Offline, with the checkpoint of the end, the ledger proves itself.
    installation.stop_all().await;
    let key = installation.file("secrets/checkpoint.key");
    let public = run(openssl(&["pkey", "-pubout", "-in"]).arg(&key));
    let witness = countersign_ledger::Witness {
        keys: vec![countersign_ledger::VerifyingKey::from_pem(&public).unwrap()],
        files: vec![installation.file("checkpoints/ledger.checkpoints")],
    };
    let database = installation.file("sign/sign.db");
    let report = countersign_ledger::verify_database(&database, Some(&witness)).unwrap();
    assert_eq!(report.covered, report.entries, "{report:?}");
    assert_eq!(report.unsettled, 0, "{report:?}");
    let _ = installation.sweep();
}

fn sha256(octets: &[u8]) -> String {
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, octets))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_under_submission_is_delivered_after_approval_by_poll_and_by_repetition() {
    let pending = Profile::named("slow").template(PENDING_TEMPLATE);
    let mut installation = Installation::builder().profile(pending).start().await;
    let polls = installation.new_device("slow", &NAMES).await;
    let repeats = installation.new_device("slow", &["CN=device-18"]).await;
    for device in [&polls, &repeats] {
        assert_eq!(installation.enrol("slow", device).await, Answer::Pending);
        assert_eq!(installation.poll("slow", device).await, Answer::Pending);
        assert_eq!(installation.enrol("slow", device).await, Answer::Pending);
    }
    // It waits through a restart.
    installation.crash(Program::Serve).await;
    assert_eq!(installation.poll("slow", &polls).await, Answer::Pending);

    for request in installation.ca_requests() {
        if request.state == countersign_lab_ca::RequestState::Pending {
            installation.ca().approve(request.id).unwrap();
        }
    }
    let by_poll = installation.poll("slow", &polls).await.issued();
    assert_eq!(installation.enrol("slow", &polls).await.issued(), by_poll);
    let by_repetition = installation.enrol("slow", &repeats).await.issued();
    assert_eq!(installation.poll("slow", &repeats).await.issued(), by_repetition);
    assert_eq!(installation.signatures().await, 2);
    let _ = installation.sweep();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_a_certificate_manager_denies_is_refused_with_the_reason() {
    let pending = Profile::named("slow").template(PENDING_TEMPLATE);
    let installation = Installation::builder().profile(pending).start().await;
    let device = installation.new_device("slow", &NAMES).await;
    assert_eq!(installation.enrol("slow", &device).await, Answer::Pending);
    let request = installation.ca_requests().pop().unwrap();
    installation.ca().deny(request.id).unwrap();
    match installation.poll("slow", &device).await {
        Answer::Failure { text: Some(_), .. } => {}
        other => panic!("expected FAILURE with a text, found {other:?}"),
    }
    let outcome = installation.wait_for_ledger("outcome", 1).await;
    assert_eq!(outcome[0]["body"]["outcome"], "refused");
    let _ = installation.sweep();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_of_an_unknown_transaction_or_by_another_signer_is_refused() {
    let pending = Profile::named("slow").template(PENDING_TEMPLATE);
    let installation = Installation::builder().profile(pending).start().await;
    let device = installation.new_device("slow", &NAMES).await;
    assert!(installation.poll("slow", &device).await.is_refused_without_reason());

    assert_eq!(installation.enrol("slow", &device).await, Answer::Pending);
    // A stranger saw the transaction ID on the wire, which is in clear there.
    let mut stranger = Device::new(&NAMES, None);
    stranger.transaction_id = device.transaction_id.clone();
    assert!(installation.poll("slow", &stranger).await.is_refused_without_reason());
    let request = installation.ca_requests().pop().unwrap();
    installation.ca().approve(request.id).unwrap();
    assert!(installation.poll("slow", &stranger).await.is_refused_without_reason());
    let _ = installation.poll("slow", &device).await.issued();
    let _ = installation.sweep();
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_that_share_a_constant_transaction_id_do_not_disturb_each_other() {
    let installation = Installation::start_usual().await;
    let transaction_id = countersign_scep::TransactionId::new("1").unwrap();
    for name in ["CN=a", "CN=b", "CN=c"] {
        let mut device = installation.new_device(PROFILE, &[name]).await;
        device.transaction_id = transaction_id.clone();
        let issued = installation.enrol(PROFILE, &device).await.issued();
        assert_eq!(installation.poll(PROFILE, &device).await.issued(), issued);
    }
    assert_eq!(installation.signatures().await, 3);
    let _ = installation.sweep();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_sent_sixteen_times_at_once_is_signed_and_issued_once() {
    let installation = Installation::start_usual().await;
    let device = installation.new_device(PROFILE, &NAMES).await;
    let ra = installation.ra(PROFILE).await;
    let sent: Vec<_> = (0..16).map(|_| device.request(&ra)).collect();
    let replies = futures(sent.iter().map(|sent| installation.send(PROFILE, sent))).await;
    let mut certificates: Vec<_> = sent
        .iter()
        .zip(replies)
        .map(|(sent, reply)| device.read(sent, reply, &ra).issued().certificate)
        .collect();
    certificates.dedup();
    assert_eq!(certificates.len(), 1);
    assert_eq!(installation.signatures().await, 1);
    assert_eq!(installation.ca_requests().into_iter().filter(is_issued).count(), 1);
    let _ = installation.sweep();
}

/// All of them, side by side on this task.
async fn futures<F: Future>(each: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut each: Vec<_> = each.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, output) in &mut each {
            if output.is_none()
                && let std::task::Poll::Ready(ready) = future.as_mut().poll(context)
            {
                *output = Some(ready);
            }
        }
        if each.iter().all(|(_, output)| output.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    each.into_iter().map(|(_, output)| output.unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn larger_keys_enrol_as_well() {
    let installation = Installation::start_usual().await;
    for size in [KeySize::Rsa3072, KeySize::Rsa4096] {
        let challenge = installation.issue_challenge(PROFILE, &NAMES).await;
        let key = DeviceKey::generate(size).unwrap();
        let device = Device::with_key(key, &NAMES, Some(&challenge));
        let _ = installation.enrol(PROFILE, &device).await.issued();
    }
}

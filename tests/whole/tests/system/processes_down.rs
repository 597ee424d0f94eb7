//! One of the processes is away, or dies: devices are told to come again, and then all is well.

use countersign_ipc::{AdminReply, AdminRequest};
use countersign_store::rusqlite::Connection;
use countersign_tests::scep::client::{DeviceKey, KeySize};
use countersign_tests::{Answer, Device, Installation, PROFILE, Program};

const NAMES: [&str; 2] = ["CN=device-17", "DNS:device-17.example"];

fn must_come_again(answer: &Answer) {
    match answer {
        Answer::Http(reply) => {
            assert_eq!(reply.status, 503, "{reply:?}");
            let seconds: u32 = reply.header("retry-after").parse().unwrap();
            assert!(seconds > 0);
        }
        other => panic!("expected 503, found {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_verify_nothing_is_decided_and_nothing_is_bound() {
    let mut installation = Installation::start_usual().await;
    let challenge = installation.issue_challenge(PROFILE, &NAMES).await;
    let first = Device::new(&NAMES, Some(&challenge));
    installation.stop(Program::Verify).await;
    must_come_again(&installation.enrol(PROFILE, &first).await);
    assert_eq!(installation.get("/health/live").await.status, 200);

    installation.start(Program::Verify).await;
    // Had the first request bound the challenge, this one could not use it.
    let second =
        Device::with_key(DeviceKey::generate(KeySize::Rsa2048).unwrap(), &NAMES, Some(&challenge));
    let _ = installation.enrol(PROFILE, &second).await.issued();
    assert!(installation.enrol(PROFILE, &first).await.is_refused_without_reason());
    assert_eq!(installation.signatures().await, 1);
    let _ = installation.sweep();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_sign_nothing_is_submitted_and_the_same_request_goes_through_later() {
    let mut installation = Installation::start_usual().await;
    let device = installation.new_device(PROFILE, &NAMES).await;
    let before = installation.ca_requests().len();
    installation.stop(Program::Sign).await;
    must_come_again(&installation.enrol(PROFILE, &device).await);
    assert_eq!(installation.ca_requests().len(), before);
    installation.start(Program::Sign).await;
    let _ = installation.enrol(PROFILE, &device).await.issued();
    assert_eq!(installation.signatures().await, 1);
    let _ = installation.sweep();
}

/// Fails when `decide` or `issue` no longer asks `Verifiers::why_not_decide`: a challenge that has
/// expired would be good again.
#[tokio::test(flavor = "multi_thread")]
async fn behind_the_time_that_verify_has_seen_nothing_is_approved_or_issued() {
    let mut installation = Installation::start_usual().await;
    let device = installation.new_device(PROFILE, &NAMES).await;
    // As if its last run had been an hour later.
    installation.stop(Program::Verify).await;
    let database = Connection::open(installation.file("verify/verify.db")).unwrap();
    assert_eq!(database.execute("UPDATE clock SET seen = seen + 3600", []).unwrap(), 1);
    drop(database);
    installation.start(Program::Verify).await;
    must_come_again(&installation.enrol(PROFILE, &device).await);
    let question = AdminRequest::IssueChallenge {
        profile: PROFILE.to_owned(),
        names: vec!["CN=device-18".to_owned()],
        device_id: None,
        ttl: 3600,
    };
    match installation.admin(Program::Verify, question).await {
        AdminReply::Refused { message } => assert!(message.contains("the clock"), "{message}"),
        other => panic!("expected a refusal, found {other:?}"),
    }
    must_become(&installation, 503).await;
    let status = installation.facts(Program::Serve, AdminRequest::Status).await;
    assert!(status["readiness"]["reasons"].to_string().contains("the clock"), "{status}");
    assert_eq!(installation.signatures().await, 0);

    // A person who knows that it was ahead says so, while `verify` is stopped.
    assert!(!accept_clock(&installation), "it keeps its database to itself");
    installation.stop(Program::Verify).await;
    assert!(accept_clock(&installation));
    installation.start(Program::Verify).await;
    let _ = installation.enrol(PROFILE, &device).await.issued();
}

fn accept_clock(installation: &Installation) -> bool {
    let mut command = std::process::Command::new(countersign_tests::program("verify"));
    command.arg("--config").arg(installation.config()).arg("accept-clock");
    command.output().unwrap().status.success()
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_says_which_process_is_away() {
    let mut installation = Installation::start_usual().await;
    assert_eq!(installation.get("/health/ready").await.status, 200);
    for program in [Program::Verify, Program::Sign] {
        installation.stop(program).await;
        must_become(&installation, 503).await;
        installation.start(program).await;
        must_become(&installation, 200).await;
    }
    let _ = installation.sweep();
}

/// Readiness is looked at anew every other second.
async fn must_become(installation: &Installation, status: u16) {
    for _ in 0..600 {
        if installation.get("/health/ready").await.status == status {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("readiness never became {status}:\n{}", installation.logs());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_comes_back_and_the_next_request_succeeds() {
    let mut installation = Installation::start_usual().await;
    for (number, program) in
        [Program::Verify, Program::Sign, Program::Serve].into_iter().enumerate()
    {
        let name = format!("CN=device-{number}");
        let device = installation.new_device(PROFILE, &[&name]).await;
        installation.kill(program).await;
        if program != Program::Serve {
            must_come_again(&installation.enrol(PROFILE, &device).await);
        }
        installation.start(program).await;
        installation.wait_until_ready().await;
        let issued = installation.enrol(PROFILE, &device).await.issued();
        assert_eq!(installation.enrol(PROFILE, &device).await.issued(), issued);
    }
    assert_eq!(installation.signatures().await, 3);
    let outcomes = installation.wait_for_ledger("outcome", 3).await;
    assert_eq!(outcomes.len(), 3);
    let _ = installation.sweep();
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_wait_in_the_outbox_while_sign_is_away() {
    let profile =
        countersign_tests::Profile::named("slow").template(countersign_tests::PENDING_TEMPLATE);
    let mut installation = Installation::builder().profile(profile).start().await;
    let device = installation.new_device("slow", &NAMES).await;
    assert_eq!(installation.enrol("slow", &device).await, Answer::Pending);
    let request = installation.ca_requests().pop().unwrap();
    installation.ca().approve(request.id).unwrap();
    installation.stop(Program::Sign).await;
    // Signed long ago: what is left needs no signature.
    let _ = installation.poll("slow", &device).await.issued();
    installation.kill(Program::Serve).await;
    installation.start(Program::Serve).await;
    installation.start(Program::Sign).await;
    let outcomes = installation.wait_for_ledger("outcome", 1).await;
    assert_eq!(outcomes[0]["body"]["outcome"], "issued");
    let _ = installation.sweep();
}

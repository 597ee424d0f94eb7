//! The CA refuses, is away, or says nothing: what the device is told, and what is certain after.

use countersign_lab_ca::{Misbehaviour, RequestState, Template};
use countersign_tests::{Answer, Installation, PROFILE, Profile, Program, TEMPLATE};

const NAMES: [&str; 2] = ["CN=device-17", "DNS:device-17.example"];

/// CERTSRV_E_TEMPLATE_DENIED.
const TEMPLATE_DENIED: u32 = 0x8009_4012;

fn issued(installation: &Installation) -> usize {
    let requests = installation.ca_requests();
    requests.iter().filter(|request| matches!(request.state, RequestState::Issued(_))).count()
}

/// From now on the template misbehaves; the probe at start is over.
fn misbehave(installation: &Installation, template: Template) {
    installation.ca().set_template(template).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_ca_is_told_and_the_next_attempt_is_a_new_one() {
    let installation = Installation::start_usual().await;
    let refusing = Misbehaviour::Refuse { hresult: TEMPLATE_DENIED };
    misbehave(&installation, Template::named(TEMPLATE).that_once(refusing));
    let device = installation.new_device(PROFILE, &NAMES).await;

    match installation.enrol(PROFILE, &device).await {
        Answer::Failure { text: Some(text), .. } => assert!(text.contains("refused"), "{text}"),
        other => panic!("expected FAILURE with a text, found {other:?}"),
    }
    let outcomes = installation.wait_for_ledger("outcome", 1).await;
    assert_eq!(outcomes[0]["body"]["outcome"], "refused");
    assert_eq!(outcomes[0]["body"]["attempt"], 1);
    assert_eq!(outcomes[0]["body"]["code"], "ca-0x80094012");

    // The challenge is not spent: the same request is verified, signed and submitted again.
    let _ = installation.enrol(PROFILE, &device).await.issued();
    let signed = installation.ledger_of("signed").await;
    let attempts: Vec<_> = signed.iter().map(|entry| entry["body"]["attempt"].as_u64()).collect();
    assert_eq!(attempts, [Some(1), Some(2)]);
    assert_ne!(signed[0]["body"]["seal-sha256"], signed[1]["body"]["seal-sha256"]);
    let outcomes = installation.wait_for_ledger("outcome", 2).await;
    assert_eq!(outcomes[1]["body"]["outcome"], "issued");
    let _ = installation.sweep();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_pending_and_nothing_is_sent_again_unasked() {
    let installation = Installation::start_usual().await;
    misbehave(&installation, Template::named(TEMPLATE).that_once(Misbehaviour::LoseAnswer));
    let device = installation.new_device(PROFILE, &NAMES).await;
    for _ in 0..3 {
        assert_eq!(installation.enrol(PROFILE, &device).await, Answer::Pending);
        assert_eq!(installation.poll(PROFILE, &device).await, Answer::Pending);
    }
    assert_eq!(issued(&installation), 1, "the CA saw it once");
    assert_eq!(installation.signatures().await, 1);
    let _ = installation.sweep();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_asked_for_once_more_where_the_profile_says_so() {
    let profile = Profile::named(PROFILE).settings("resubmit-unknown = 1");
    let installation = Installation::builder().profile(profile).start().await;
    misbehave(&installation, Template::named(TEMPLATE).that_once(Misbehaviour::LoseAnswer));
    let device = installation.new_device(PROFILE, &NAMES).await;
    assert_eq!(installation.enrol(PROFILE, &device).await, Answer::Pending);
    let certificate = installation.enrol(PROFILE, &device).await.issued();
    assert_eq!(installation.poll(PROFILE, &device).await.issued(), certificate);
    assert_eq!(issued(&installation), 2, "the surplus is the price of asking again");
    assert_eq!(installation.signatures().await, 1, "the identical octets went out again");

    // Twice lost is not asked for a third time.
    misbehave(&installation, Template::named(TEMPLATE).that(Misbehaviour::LoseAnswer));
    let device = installation.new_device(PROFILE, &["CN=device-18"]).await;
    for _ in 0..4 {
        assert_eq!(installation.enrol(PROFILE, &device).await, Answer::Pending);
    }
    assert_eq!(issued(&installation), 4);
    assert_eq!(installation.signatures().await, 2);
    let _ = installation.sweep();
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_ca_is_away_devices_wait_and_then_get_theirs() {
    let mut installation = Installation::start_usual().await;
    let away = installation.new_device(PROFILE, &NAMES).await;
    let busy = installation.new_device(PROFILE, &["CN=device-18"]).await;

    installation.stop_ca().await;
    assert_eq!(installation.enrol(PROFILE, &away).await, Answer::Pending);
    assert_eq!(installation.poll(PROFILE, &away).await, Answer::Pending);
    installation.start_ca().await;

    let overload = Misbehaviour::AnswerInstead {
        status: 503,
        headers: vec![("retry-after".into(), "30".into())],
        body: "busy".into(),
    };
    misbehave(&installation, Template::named(TEMPLATE).that_once(overload));
    assert_eq!(installation.enrol(PROFILE, &busy).await, Answer::Pending);

    let _ = installation.poll(PROFILE, &away).await.issued();
    let _ = installation.enrol(PROFILE, &busy).await.issued();
    assert_eq!(installation.signatures().await, 2);
    assert_eq!(issued(&installation), 2, "what the CA never processed costs no surplus");
    let _ = installation.sweep();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_the_ca_works_is_a_lost_answer_and_no_second_submission() {
    let mut installation = Installation::start_usual().await;
    let slowly = Misbehaviour::AnswerSlowly { milliseconds: 20_000 };
    misbehave(&installation, Template::named(TEMPLATE).that_once(slowly));
    let device = installation.new_device(PROFILE, &NAMES).await;
    let ra = installation.ra(PROFILE).await;
    let sent = device.request(&ra);
    let address = installation.address().to_owned();
    let caller = tokio::spawn(async move {
        let path = format!("/scep/{PROFILE}?operation=PKIOperation");
        countersign_tests::Connection::open(&address)
            .await
            .request("POST", &path, sent.message)
            .await
    });
    while issued(&installation) == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    installation.kill(Program::Serve).await;
    assert!(caller.await.is_err(), "the device got no answer");
    installation.start(Program::Serve).await;
    installation.wait_until_ready().await;
    assert_eq!(installation.enrol(PROFILE, &device).await, Answer::Pending);
    assert_eq!(issued(&installation), 1);
    assert_eq!(installation.signatures().await, 1);
    let _ = installation.sweep();
}

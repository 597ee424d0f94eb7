//! What happens around a request: the device hangs up, the process ends, too many come at once. And
//! what must never be written down.

use std::path::Path;

use countersign_lab_ca::{Misbehaviour, RequestState, Template};
use countersign_tests::{
    Connection, Device, HttpReply, Installation, PROFILE, Profile, Program, Sent, TEMPLATE,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const NAMES: [&str; 2] = ["CN=device-17", "DNS:device-17.example"];

/// The CA issues the next request at once, and answers it this much later.
fn answer_late(installation: &Installation, milliseconds: u64) {
    let slowly = Misbehaviour::AnswerSlowly { milliseconds };
    installation.ca().set_template(Template::named(TEMPLATE).that_once(slowly)).unwrap();
}

/// Posts without borrowing the installation.
fn post(installation: &Installation, sent: &Sent) -> tokio::task::JoinHandle<HttpReply> {
    let (address, message) = (installation.address().to_owned(), sent.message.clone());
    tokio::spawn(async move {
        let path = format!("/scep/{PROFILE}?operation=PKIOperation");
        Connection::open(&address).await.request("POST", &path, message).await
    })
}

/// Waits until the CA has issued so many.
async fn until_issued(installation: &Installation, count: usize) {
    let is_issued = |request: &countersign_lab_ca::RequestRecord| {
        matches!(request.state, RequestState::Issued(_))
    };
    while installation.ca_requests().iter().filter(|request| is_issued(request)).count() < count {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_hangs_up_finds_its_certificate_when_it_comes_back() {
    let installation = Installation::start_usual().await;
    answer_late(&installation, 1500);
    let device = installation.new_device(PROFILE, &NAMES).await;
    let ra = installation.ra(PROFILE).await;
    let caller = post(&installation, &device.request(&ra));
    until_issued(&installation, 1).await;
    caller.abort();
    let _ = installation.enrol(PROFILE, &device).await.issued();
    assert_eq!(installation.submissions(), 1);
    assert_eq!(installation.signatures().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_told_to_end_answers_what_it_has_begun() {
    let mut installation = Installation::start_usual().await;
    answer_late(&installation, 1500);
    let device = installation.new_device(PROFILE, &NAMES).await;
    let ra = installation.ra(PROFILE).await;
    let sent = device.request(&ra);
    let caller = post(&installation, &sent);
    until_issued(&installation, 1).await;
    let ended = installation.stop(Program::Serve).await;
    assert!(ended.status.success(), "{}", ended.stderr);
    let first = device.read(&sent, caller.await.unwrap(), &ra).issued();
    installation.start(Program::Serve).await;
    installation.wait_until_ready().await;
    assert_eq!(installation.enrol(PROFILE, &device).await.issued(), first);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_at_once_than_the_config_allows_are_told_to_come_again() {
    let installation =
        Installation::builder().sections("[serve.limits]\nmax-in-flight = 1").start().await;
    answer_late(&installation, 8000);
    let first = installation.new_device(PROFILE, &["CN=first"]).await;
    let second = installation.new_device(PROFILE, &["CN=second"]).await;
    let ra = installation.ra(PROFILE).await;
    let sent = first.request(&ra);
    let caller = post(&installation, &sent);
    until_issued(&installation, 1).await;
    let reply = installation.send(PROFILE, &second.request(&ra)).await;
    assert_eq!(reply.status, 503);
    assert!(!reply.header("retry-after").is_empty());
    // What needs no work is answered all the same.
    let caps = installation.get(&format!("/scep/{PROFILE}?operation=GetCACaps")).await;
    assert_eq!(caps.status, 200);
    let _ = first.read(&sent, caller.await.unwrap(), &ra).issued();
    let _ = installation.enrol(PROFILE, &second).await.issued();
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_the_listener_is_a_unix_socket() {
    let mut installation = Installation::builder().listen("unix:run/scep.sock").prepare().await;
    installation.start_all().await;
    let mut stream =
        tokio::net::UnixStream::connect(installation.file("run/scep.sock")).await.unwrap();
    let request = format!("GET /scep/{PROFILE}?operation=GetCACaps HTTP/1.0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    assert!(reply.contains(" 200 ") && reply.contains("SCEPStandard"), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_challenge_is_written_down_anywhere() {
    let pending = Profile::named("slow").template(countersign_tests::PENDING_TEMPLATE);
    let mut installation =
        Installation::builder().profile(Profile::named(PROFILE)).profile(pending).start().await;
    let of = |names| installation.issue_challenge(PROFILE, names);
    let (spent, wrong, unused) = (of(&NAMES).await, of(&["CN=a"]).await, of(&["CN=b"]).await);
    let waiting = installation.issue_challenge("slow", &NAMES).await;
    let _ = installation.enrol(PROFILE, &Device::new(&NAMES, Some(&spent))).await.issued();
    let refused = installation.enrol(PROFILE, &Device::new(&["CN=c"], Some(&wrong))).await;
    assert!(refused.is_refused_without_reason());
    let waits = Device::new(&NAMES, Some(&waiting));
    assert_eq!(installation.enrol("slow", &waits).await, countersign_tests::Answer::Pending);
    installation.wait_for_ledger("outcome", 1).await;
    installation.wait_for_ledger("denied", 1).await;
    let logs = installation.logs();
    installation.stop_all().await;

    for challenge in [spent, wrong, unused, waiting] {
        assert!(!logs.contains(&challenge), "a challenge in a log");
        let in_hex = hex::encode(&challenge);
        for folder in ["serve", "verify", "sign", "checkpoints"] {
            must_not_hold(&installation.file(folder), challenge.as_bytes());
            must_not_hold(&installation.file(folder), in_hex.as_bytes());
        }
    }
}

fn must_not_hold(folder: &Path, secret: &[u8]) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            must_not_hold(&path, secret);
        } else {
            let octets = std::fs::read(&path).unwrap();
            let holds = octets.windows(secret.len()).any(|window| window == secret);
            assert!(!holds, "a challenge in {}", path.display());
        }
    }
}

/// A port that is free now; nobody else on a test machine takes it in the next second.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_reads_what_serve_and_verify_count() {
    let (of_serve, of_verify) = (free_port(), free_port());
    let installation = Installation::builder()
        .serve(&format!("metrics = \"127.0.0.1:{of_serve}\""))
        .verify(&format!("metrics = \"127.0.0.1:{of_verify}\""))
        .start()
        .await;
    let challenge = installation.issue_challenge(PROFILE, &NAMES).await;
    let device = Device::new(&NAMES, Some(&challenge));
    let _issued = installation.enrol(PROFILE, &device).await.issued();
    let read = |port: u16| async move {
        let mut connection = Connection::open(&format!("127.0.0.1:{port}")).await;
        connection.request("GET", "/metrics", Vec::new()).await.text()
    };
    let serve = read(of_serve).await;
    assert!(
        serve.contains("countersign_answers_total{profile=\"devices\",conclusion=\"success\"} 1"),
        "{serve}"
    );
    let verify = read(of_verify).await;
    assert!(
        verify.contains("countersign_verify_plugin_suspended{plugin=\"one-time-password\"} 0"),
        "{verify}"
    );
}

//! Zone A from outside: equal answers at an equal time under each content cipher, no private-key
//! work for what is refused before it, and budgets for those who fail on purpose.

use std::time::{Duration, Instant};

use countersign_ipc::{AdminReply, AdminRequest};
use countersign_scep::ContentCipher;
use countersign_scep::client::Ask;
use countersign_tests::{Connection, Device, HttpReply, Installation, PROFILE, Program};

use crate::classes::{Class, Stranger};
use crate::forge::{self, Forge};
use crate::messages;
use crate::zone_a::without_nonce_and_signature;

const CIPHERS: [ContentCipher; 2] = [ContentCipher::Aes128, ContentCipher::Aes256];

fn path() -> String {
    format!("/scep/{PROFILE}?operation=PKIOperation")
}

async fn stranger(installation: &Installation) -> Stranger {
    Stranger::new(installation.ra(PROFILE).await.recipient().unwrap())
}

/// A counter of `serve`.
async fn counted(installation: &Installation, name: &str) -> u64 {
    let AdminReply::Text(text) = installation.admin(Program::Serve, AdminRequest::Metrics).await
    else {
        panic!("metrics are text")
    };
    let line =
        text.lines().find_map(|line| line.strip_prefix(&format!("countersign_{name}_total ")));
    line.unwrap_or_else(|| panic!("no counter {name} in\n{text}")).parse().unwrap()
}

/// One message from behind the reverse proxy, which says whose it is.
async fn from(installation: &Installation, source: &str, message: &[u8]) -> String {
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-forwarded-for: 203.0.113.99, \
         {source}\r\ncontent-length: {}\r\n\r\n",
        path(),
        message.len()
    );
    let reply = installation.raw(&[head.as_bytes(), message].concat()).await;
    let end = reply.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    String::from_utf8(reply[..end].to_vec()).unwrap()
}

// Fails when `Stay::fail` does not sleep, and when `open` gives any failure another conclusion.
#[tokio::test(flavor = "multi_thread")]
async fn row_i4_every_failure_under_every_cipher_has_one_shape_and_one_time() {
    let period = Duration::from_millis(600);
    let installation =
        Installation::builder().sections("[serve.limits]\nzone-a-milliseconds = 600").start().await;
    let stranger = stranger(&installation).await;
    let mut connection = Connection::open(installation.address()).await;
    for cipher in CIPHERS {
        let mut expected = None;
        for class in Class::ALL {
            let message = stranger.failing(class, cipher);
            let begin = Instant::now();
            let mut reply: HttpReply = connection.request("POST", &path(), message).await;
            let took = begin.elapsed();
            let body = without_nonce_and_signature(&reply);
            reply.headers.remove("date");
            let found = (reply.status, reply.headers, reply.body.len(), body);
            let expected = expected.get_or_insert_with(|| found.clone());
            assert_eq!(&found, expected, "{class} under {}", cipher.name());
            assert_eq!(found.0, 200);
            assert!(took >= period, "{class} was answered after {took:?}");
            assert!(took < period * 2, "{class} was answered after {took:?}");
        }
        // What opens is not held back: it is refused for its challenge, in zone B.
        let begin = Instant::now();
        let reply = connection.request("POST", &path(), stranger.good(cipher)).await;
        assert!(begin.elapsed() < period, "{:?}", begin.elapsed());
        assert_ne!(without_nonce_and_signature(&reply), expected.unwrap().3);
    }
    assert_eq!(counted(&installation, "zone_a_failures").await, 12);
    assert_eq!(counted(&installation, "cep_unwraps").await, 14);
    assert_eq!(counted(&installation, "zone_a_overruns").await, 0);
}

// Each line fails when `open` asks for the unwrap before the check that refuses it.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_can_be_refused_without_a_key_costs_an_unwrap() {
    let installation = Installation::start_usual().await;
    let ra = installation.ra(PROFILE).await;
    let device = installation.new_device(PROFILE, &["CN=device-17"]).await;
    let envelope = messages::envelope(&device, &ra, &device.csr);
    let forged = |kind: &str| Forge::new(kind, &device.signer, &envelope);
    let spoilt = |forge: Forge| forge.message(&device.key);
    let digest = |oid: &str| forge::tlv(0x30, &[forge::oid(oid), vec![5, 0]].concat());

    let for_another = {
        let another = Device::new(&["CN=another-ra"], None);
        Stranger::new(&another.signer).good(ContentCipher::Aes128)
    };
    let single_des = {
        // The identifier of AES-128-CBC, or AES-256-CBC, made one that no profile takes.
        let mut envelope = envelope.clone();
        let arc = forge::oid("2.16.840.1.101.3.4.1");
        let at = envelope.windows(8).position(|window| window == &arc[2..10]).unwrap() + 8;
        envelope[at] = 1;
        Forge::new("19", &device.signer, &envelope).message(&device.key)
    };
    let cases = [
        ("a signature that does not hold", spoilt(Forge { spoil_signature: true, ..forged("19") })),
        ("no nonce", spoilt(forged("19").without(forge::SENDER_NONCE))),
        ("no message type", spoilt(forged("19").without(forge::MESSAGE_TYPE))),
        ("no digest", spoilt(forged("19").without(forge::MESSAGE_DIGEST))),
        (
            "another content under the digest",
            spoilt(forged("19").with(forge::MESSAGE_DIGEST, vec![forge::tlv(4, &[7; 32])])),
        ),
        ("UpdateReq", spoilt(forged("18"))),
        ("CertRep", spoilt(forged("3"))),
        ("MD5", spoilt(Forge { digest_algorithm: digest("1.2.840.113549.2.5"), ..forged("19") })),
        ("a cipher that is not taken", single_des),
        ("an envelope that is none", Forge::new("19", &device.signer, b"x").message(&device.key)),
        ("an envelope for somebody else", for_another),
        ("a poll", device.poll(&ra).message),
        ("a renewal where none is served", device.ask(&ra, Ask::RenewalReq(&device.csr)).message),
    ];
    for (what, message) in cases {
        let reply = installation.post(&path(), message).await;
        assert_eq!(reply.status, 200, "{what}: {}", reply.text());
        assert_eq!(counted(&installation, "cep_unwraps").await, 0, "{what}");
    }
    let good = installation.enrol(PROFILE, &device).await;
    let _ = good.issued();
    assert_eq!(counted(&installation, "cep_unwraps").await, 1);
}

/// Whether somebody else's envelope opens as a poll would tell what lies in it: polls are answered
/// from the outside of the message alone. Fails when `open` unwraps a CertPoll.
#[tokio::test(flavor = "multi_thread")]
async fn a_poll_is_answered_alike_whatever_its_envelope_holds() {
    let installation = Installation::start_usual().await;
    let ra = installation.ra(PROFILE).await;
    let device = installation.new_device(PROFILE, &["CN=device-17"]).await;
    let names = [device.signer.subject_der(), device.signer.subject_der()].concat();
    let plaintexts = [forge::tlv(0x30, &names), device.csr.clone(), vec![0x55; 40]];
    let mut expected = None;
    for plain in plaintexts {
        let envelope = messages::envelope(&device, &ra, &plain);
        for envelope in [envelope.clone(), {
            let mut broken = envelope;
            *broken.last_mut().unwrap() ^= 0x80;
            broken
        }] {
            let message = messages::message(&device, "20", &envelope);
            let reply = installation.post(&path(), message).await;
            let found = (reply.status, without_nonce_and_signature(&reply));
            assert_eq!(&found, expected.get_or_insert_with(|| found.clone()));
        }
    }
    assert_eq!(counted(&installation, "cep_unwraps").await, 0);
}

// Fails when `Budgets::unwrap` does not look at the source's failures, or `source_of` at the header.
#[tokio::test(flavor = "multi_thread")]
async fn who_fails_too_often_gets_503_before_any_private_key_work_and_others_are_served() {
    let installation = Installation::builder()
        .serve("source-header = \"x-forwarded-for\"")
        .sections(
            "[serve.limits]\nzone-a-milliseconds = 10\n[serve.budgets]\nfailures-per-source = 3\n\
             messages-per-source = 20",
        )
        .start()
        .await;
    let stranger = stranger(&installation).await;
    let failing = stranger.failing(Class::BadCbc, ContentCipher::Aes256);
    let attacker = "192.0.2.7";
    for _ in 0..3 {
        let head = from(&installation, attacker, &failing).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    }
    let before = counted(&installation, "cep_unwraps").await;
    for message in [&failing, &stranger.good(ContentCipher::Aes256)] {
        let head = from(&installation, attacker, message).await;
        assert!(head.starts_with("HTTP/1.1 503"), "{head}");
        assert!(head.contains("retry-after: "), "{head}");
    }
    assert_eq!(counted(&installation, "cep_unwraps").await, before, "no key was used");

    // Another source is not touched; a neighbour in an IPv6 /64 is no other source.
    assert!(from(&installation, "192.0.2.8", &failing).await.starts_with("HTTP/1.1 200"));
    for last in 1..=3 {
        let source = format!("[2001:db8:1:2::{last}]:4711");
        assert!(from(&installation, &source, &failing).await.starts_with("HTTP/1.1 200"));
    }
    let neighbour = from(&installation, "2001:db8:1:2:aaaa::1", &failing).await;
    assert!(neighbour.starts_with("HTTP/1.1 503"), "{neighbour}");

    // The alarm is in the log and in the status of a process that is still ready.
    assert!(installation.logs().contains("ALARM: too many envelopes did not open"));
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let status = installation.facts(Program::Serve, AdminRequest::Status).await;
    assert_eq!(status["readiness"]["ready"], true, "{status}");
    assert_eq!(status["readiness"]["degraded"], true, "{status}");
    assert!(status["readiness"]["reasons"].to_string().contains("failures-per-source"), "{status}");

    // Messages have a budget too: even a refusal without an unwrap costs a signature.
    let unsigned = {
        let mut message = failing.clone();
        *message.last_mut().unwrap() ^= 1;
        message
    };
    let mut statuses = Vec::new();
    for _ in 0..22 {
        statuses.push(from(&installation, "198.51.100.1", &unsigned).await[..12].to_owned());
    }
    assert_eq!(statuses.iter().filter(|status| *status == "HTTP/1.1 200").count(), 20);
    assert_eq!(statuses.last().unwrap(), "HTTP/1.1 503");
}

// Fails when `Stay::fail` keeps its place among the requests in flight.
#[tokio::test(flavor = "multi_thread")]
async fn those_who_wait_in_zone_a_leave_room_for_devices() {
    let installation = Installation::builder()
        .sections("[serve.limits]\nmax-in-flight = 2\nzone-a-milliseconds = 5000")
        .start()
        .await;
    let stranger = stranger(&installation).await;
    let device = installation.new_device(PROFILE, &["CN=device-17"]).await;
    let begin = Instant::now();
    let waiting: Vec<_> = (0..6)
        .map(|_| {
            let message = stranger.failing(Class::WrongPadding, ContentCipher::Aes128);
            let address = installation.address().to_owned();
            tokio::spawn(async move {
                Connection::open(&address).await.request("POST", &path(), message).await.status
            })
        })
        .collect();
    while counted(&installation, "zone_a_failures").await < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let _ = installation.enrol(PROFILE, &device).await.issued();
    assert!(begin.elapsed() < Duration::from_secs(5), "the device did not wait for strangers");
    for answer in waiting {
        // Some met the two places taken by those before them.
        assert!([200, 503].contains(&answer.await.unwrap().as_u16()));
    }
}

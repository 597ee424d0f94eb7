//! The client against a server that does what a test tells it, with the keys of the golden PKI.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use countersign_scep::{
    Bounds, CertRep, FailInfo, LegacyAlgorithms, Message, Nonce, Query, Request,
};

use super::*;
use crate::file;

/// What the server does with one PKIOperation.
#[derive(Clone, Copy)]
enum Does {
    Pends,
    Issues,
    IssuesForSomebodyElse,
    Refuses,
    IsBusy,
    IsNotThere,
    /// Gives the answer that it gave before once more.
    Replays,
}

struct Stub {
    url: Url,
    /// `GET GetCACaps`, `POST PKCSReq`, …
    seen: Arc<Mutex<Vec<String>>>,
}

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/scep").join(name)
}

fn key(name: &str) -> DeviceKey {
    DeviceKey::from_pkcs8(&file::read_pkcs8(&golden(name)).unwrap()).unwrap()
}

fn certificate(name: &str) -> Certificate {
    Certificate::parse(&file::read_certificates(&golden(name)).unwrap()[0]).unwrap()
}

fn stub(capabilities: &'static str, plan: &[Does]) -> Stub {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let mut plan = Vec::from(plan).into_iter();
    // Ends with the test's process.
    std::thread::spawn(move || {
        let mut last = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (method, query, body) = read_request(&stream);
            let query = Query::parse(&query, &Bounds::REQUEST).unwrap();
            let operation = query.operation.unwrap().name();
            let (status, answer) = match operation {
                "GetCACaps" => (200, capabilities.as_bytes().to_vec()),
                "GetCACert" => (200, std::fs::read(golden("bundle.p7")).unwrap()),
                _ => {
                    let bytes = if method == "GET" { query.pki_message().unwrap() } else { body };
                    let request = verified(&bytes);
                    noted.lock().unwrap().push(format!("{method} {}", request.kind()));
                    answer(&request, plan.next().unwrap(), &mut last)
                }
            };
            if operation != "PKIOperation" {
                noted.lock().unwrap().push(format!("{method} {operation}"));
            }
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                answer.len()
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&answer).unwrap();
        }
    });
    Stub { url: format!("http://{address}/scep/wifi").parse().unwrap(), seen }
}

fn read_request(stream: &std::net::TcpStream) -> (String, String, Vec<u8>) {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let mut words = first.split_whitespace();
    let method = words.next().unwrap().to_owned();
    let query = words.next().unwrap().split_once('?').unwrap().1.to_owned();
    (method, query, body)
}

fn verified(bytes: &[u8]) -> Request {
    let message = Message::parse(bytes, &Bounds::REQUEST).unwrap();
    let request = message.verify(&LegacyAlgorithms::default()).unwrap();
    let cep = certificate("cep.der");
    let content_key =
        key("cep.key").unwrap(&request.envelope().addressed_to([&cep]).unwrap()).unwrap();
    request.open(&content_key).unwrap();
    request
}

fn answer(request: &Request, does: Does, last: &mut Vec<u8>) -> (u16, Vec<u8>) {
    let reply = match does {
        Does::Pends => CertRep::pending(request.message()),
        // Self-made, but for the device's key: whether to trust an issuer is not the client's.
        Does::Issues => CertRep::success(request, &[request.signer().clone()]).unwrap(),
        Does::IssuesForSomebodyElse => {
            CertRep::success(request, &[certificate("device.der")]).unwrap()
        }
        Does::Refuses => {
            CertRep::failure(request.message(), FailInfo::BadRequest, Some("no\u{1b}[2J"))
        }
        Does::IsBusy => return (503, b"later".to_vec()),
        Does::IsNotThere => return (404, b"nothing here".to_vec()),
        Does::Replays => return (200, last.clone()),
    };
    let rep = key("rep.key");
    let to_be_signed = reply.to_be_signed(&certificate("rep.der"), &Nonce::random().unwrap());
    let digest = to_be_signed.digest();
    *last = to_be_signed.sign_with(|bytes| rep.sign(digest, bytes)).unwrap();
    (200, last.clone())
}

const MODERN: &str = "AES\nPOSTPKIOperation\nSCEPStandard\nSHA-256\n";

async fn enrolled(
    stub: &Stub,
    change: impl FnOnce(&mut EnrolOptions),
) -> (Result<Enrolled, EnrolError>, Vec<String>) {
    let names = vec!["CN=device-17".parse().unwrap(), "DNS:device-17.example.com".parse().unwrap()];
    let mut options = EnrolOptions::new(stub.url.clone(), names);
    options.challenge = Some(Zeroizing::new("CHALLENGE".to_owned()));
    options.polling = Polling { interval: Duration::from_millis(1), most: 2 };
    change(&mut options);
    let mut steps = Vec::new();
    let result = enrol(options, &mut |step: Step| steps.push(step.to_string())).await;
    assert!(!steps.concat().contains("CHALLENGE"), "{steps:?}");
    (result, steps)
}

#[tokio::test]
async fn a_pending_request_is_polled_until_it_is_issued() {
    let stub = stub(MODERN, &[Does::Pends, Does::Pends, Does::Issues]);
    let (result, steps) = enrolled(&stub, |_| ()).await;
    let enrolled = result.unwrap();
    let seen = stub.seen.lock().unwrap().clone();
    let expected =
        ["GET GetCACaps", "GET GetCACert", "POST PKCSReq", "POST CertPoll", "POST CertPoll"];
    assert_eq!(seen, expected);
    assert!(steps.iter().any(|step| step.contains("NOT CHECKED")), "{steps:?}");
    let issued = countersign_profile::Certificate::parse(&enrolled.certificate_der).unwrap();
    assert_eq!(issued.subject().unwrap().to_string(), "CN=device-17");
}

#[tokio::test]
async fn polling_ends_and_says_how_to_go_on() {
    let stub = stub(MODERN, &[Does::Pends, Does::Pends, Does::Pends]);
    let (result, _) = enrolled(&stub, |_| ()).await;
    let error = result.unwrap_err();
    assert!(matches!(error, EnrolError::StillPending { polls: 2, .. }), "{error}");
    assert!(error.to_string().contains("--transaction-id"), "{error}");
}

#[tokio::test]
async fn a_server_without_post_is_asked_by_get() {
    let stub = stub("AES\nSHA-256\n", &[Does::Issues]);
    enrolled(&stub, |_| ()).await.0.unwrap();
    assert_eq!(stub.seen.lock().unwrap().last().unwrap(), "GET PKCSReq");
}

#[tokio::test]
async fn nothing_is_sent_to_a_ca_with_another_fingerprint() {
    let stub = stub(MODERN, &[]);
    let (result, _) = enrolled(&stub, |options| options.ca_fingerprint = Some([7; 32])).await;
    assert!(matches!(result.unwrap_err(), EnrolError::Fingerprint { .. }));
    assert_eq!(*stub.seen.lock().unwrap(), ["GET GetCACaps", "GET GetCACert"]);
}

#[tokio::test]
async fn the_right_fingerprint_is_said_to_be_as_expected() {
    let stub = stub(MODERN, &[Does::Issues]);
    let ca = countersign_profile::Certificate::parse(certificate("ca.der").der()).unwrap();
    let (result, steps) =
        enrolled(&stub, |options| options.ca_fingerprint = Some(ca.sha256())).await;
    result.unwrap();
    assert!(steps.iter().any(|step| step.contains("as expected")), "{steps:?}");
}

#[tokio::test]
async fn a_certificate_for_another_key_is_not_taken() {
    let stub = stub(MODERN, &[Does::IssuesForSomebodyElse]);
    let error = enrolled(&stub, |_| ()).await.0.unwrap_err();
    assert!(matches!(error, EnrolError::NotOurKey { found: 1 }), "{error}");
}

#[tokio::test]
async fn an_answer_to_another_message_is_not_believed() {
    let stub = stub(MODERN, &[Does::Pends, Does::Replays]);
    let error = enrolled(&stub, |_| ()).await.0.unwrap_err();
    let other_nonce = countersign_scep::client::ReplyError::OtherNonce;
    assert!(matches!(&error, EnrolError::Reply(found) if *found == other_nonce), "{error}");
}

#[tokio::test]
async fn a_refusal_is_told_in_the_servers_words_made_harmless() {
    let stub = stub(MODERN, &[Does::Refuses]);
    let error = enrolled(&stub, |_| ()).await.0.unwrap_err();
    assert_eq!(error.to_string(), "the server refused: badRequest: no\\u{1b}[2J");
    assert_eq!(crate::failure::Failure::from(error).exit(), crate::failure::Exit::Refused);
}

#[tokio::test]
async fn a_busy_server_is_asked_the_same_again() {
    let stub = stub(MODERN, &[Does::IsBusy, Does::Issues]);
    enrolled(&stub, |_| ()).await.0.unwrap();
    assert_eq!(stub.seen.lock().unwrap()[2..], ["POST PKCSReq", "POST PKCSReq"]);
}

#[tokio::test]
async fn http_errors_are_explained() {
    let stub = stub(MODERN, &[Does::IsNotThere]);
    let error = enrolled(&stub, |_| ()).await.0.unwrap_err().to_string();
    assert!(error.contains("HTTP 404: there is no SCEP service at this path"), "{error}");
    assert!(error.contains("nothing here"), "{error}");
}

#[tokio::test]
async fn a_renewal_is_signed_by_the_certificate_it_renews() {
    let stub = stub(MODERN, &[Does::Refuses]);
    let renewal =
        || Some(Current { certificate: certificate("device.der"), key: key("device.key") });
    let (_, steps) = enrolled(&stub, |options| options.renewal = renewal()).await;
    assert_eq!(stub.seen.lock().unwrap().last().unwrap(), "POST RenewalReq");
    assert!(steps.iter().any(|step| step.contains("does not offer Renewal")), "{steps:?}");
    let stub = self::stub(MODERN, &[]);
    let not_a_pair =
        || Some(Current { certificate: certificate("device.der"), key: key("rep.key") });
    let (result, _) = enrolled(&stub, |options| options.renewal = not_a_pair()).await;
    assert!(matches!(result.unwrap_err(), EnrolError::NotAPair));
}

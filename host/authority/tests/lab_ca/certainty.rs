//! What may have happened at the CA when no answer came.

use std::time::Duration;

use countersign_authority::{Authority, AuthorityError, Certainty, Disposition, RequestId, Wstep};
use countersign_lab_ca::{Misbehaviour, Template};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::laboratory::{Laboratory, PENDING, TEMPLATE, certificate, submit};

fn instead(status: u16, media_type: &str, body: &str) -> Misbehaviour {
    Misbehaviour::AnswerInstead {
        status,
        headers: vec![("content-type".into(), media_type.into())],
        body: body.into(),
    }
}

#[tokio::test]
async fn a_lost_answer_is_unknown_and_identical_bytes_may_be_submitted_again() {
    let lab = Laboratory::open().await;
    lab.set(Template::named(TEMPLATE).that_once(Misbehaviour::LoseAnswer));
    let authority = lab.authority();
    let cms = lab.countersigned("device-17");

    let lost = submit(&authority, &cms, TEMPLATE).await.unwrap_err();
    assert!(matches!(lost, AuthorityError::Unknown { .. }), "{lost:?}");
    assert_eq!(lost.certainty(), Certainty::PerhapsIssued);
    assert_eq!(lab.issued(), 1, "it was issued indeed, and nothing was sent twice");

    certificate(submit(&authority, &cms, TEMPLATE).await);
    assert_eq!(lab.issued(), 2, "AD CS has no idempotency");
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_unknown() {
    let lab = Laboratory::open().await;
    let authority = lab.authority();
    let cms = lab.countersigned("device-17");
    let deep = format!("{}{}", "<a>".repeat(64), "</a>".repeat(64));
    let soap = "application/soap+xml; charset=utf-8";
    for (what, status, media_type, body) in [
        ("no SOAP", 200, "text/html", "<html/>"),
        ("an internal error", 500, "text/html", "<html/>"),
        ("a gateway that lost it", 502, "text/html", ""),
        ("a gateway that waited", 504, "text/html", ""),
        ("see other", 303, "text/html", ""),
        ("empty", 200, soap, ""),
        ("not XML", 200, soap, "<s:Envelope"),
        ("another document", 200, soap, "<html/>"),
        ("a document type", 200, soap, "<!DOCTYPE x [<!ENTITY y 'z'>]><x>&y;</x>"),
        ("too deep", 200, soap, deep.as_str()),
    ] {
        lab.set(Template::named(TEMPLATE).that(instead(status, media_type, body)));
        let error = submit(&authority, &cms, TEMPLATE).await.unwrap_err();
        assert!(matches!(error, AuthorityError::Unknown { .. }), "{what}: {error:?}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let lab = Laboratory::open().await;
    let endless = " ".repeat((1 << 20) + 1);
    lab.set(Template::named(TEMPLATE).that(instead(200, "application/soap+xml", &endless)));
    let error =
        submit(&lab.authority(), &lab.countersigned("device-17"), TEMPLATE).await.unwrap_err();
    assert!(matches!(error, AuthorityError::Unknown { .. }), "{error:?}");
    assert!(error.to_string().contains("1048576"), "{error}");
}

#[tokio::test]
async fn an_answer_after_the_deadline_is_unknown() {
    let lab = Laboratory::open().await;
    lab.set(Template::named(TEMPLATE).that(Misbehaviour::AnswerSlowly { milliseconds: 5_000 }));
    let mut config = lab.by_user();
    config.timeout = Duration::from_millis(700);
    let authority = Wstep::new(config).unwrap();
    let cms = lab.countersigned("device-17");
    let error = submit(&authority, &cms, TEMPLATE).await.unwrap_err();
    assert!(matches!(error, AuthorityError::Unknown { .. }), "{error:?}");
    assert_eq!(lab.issued(), 1);
}

#[tokio::test]
async fn a_ca_that_does_not_listen_is_unavailable() {
    let lab = Laboratory::open().await;
    // A port that was free a moment ago.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let mut config = lab.by_user();
    config.url = format!("https://127.0.0.1:{port}/CA_CES_UsernamePassword/service.svc/CES");
    let authority = Wstep::new(config).unwrap();
    let error = submit(&authority, b"anything", TEMPLATE).await.unwrap_err();
    assert!(matches!(error, AuthorityError::Unavailable { .. }), "{error:?}");
    assert!(authority.health().await.is_err());
}

#[tokio::test]
async fn a_ca_that_listens_and_says_nothing_is_unavailable() {
    let lab = Laboratory::open().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = lab.by_user();
    config.timeout = Duration::from_millis(500);
    config.url = format!("https://{}/CES", silent.local_addr().unwrap());
    let authority = Wstep::new(config).unwrap();
    // The TLS handshake never ends: nothing can have been submitted.
    let error = submit(&authority, b"anything", TEMPLATE).await.unwrap_err();
    assert!(matches!(error, AuthorityError::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_takes_no_requests_now_is_unavailable() {
    let lab = Laboratory::open().await;
    let cms = lab.countersigned("device-17");
    for status in [429, 503] {
        lab.set(Template::named(TEMPLATE).that(instead(status, "text/html", "busy")));
        let error = submit(&lab.authority(), &cms, TEMPLATE).await.unwrap_err();
        assert!(matches!(error, AuthorityError::Unavailable { .. }), "{error:?}");
    }
    assert_eq!(lab.issued(), 0);
}

#[tokio::test]
async fn asking_again_changes_nothing_so_a_lost_poll_is_unavailable() {
    let lab = Laboratory::open().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = lab.by_user();
    let port = listener.local_addr().unwrap().port();
    config.url = format!("https://localhost:{port}/CES");
    let acceptor = lab.tls_acceptor();
    // Reads every request, and hangs up.
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            let mut request = vec![0; 16 << 10];
            assert!(stream.read(&mut request).await.unwrap() > 0);
        }
    });
    let authority = Wstep::new(config).unwrap();
    let error = authority.poll(RequestId(1)).await.unwrap_err();
    assert!(matches!(error, AuthorityError::Unavailable { .. }), "{error:?}");
    // The same fate of a submission is another matter.
    let error = submit(&authority, b"anything", TEMPLATE).await.unwrap_err();
    assert!(matches!(error, AuthorityError::Unknown { .. }), "{error:?}");
    server.abort();
}

#[tokio::test]
async fn many_submissions_at_once_are_each_answered_about_themselves() {
    let lab = Laboratory::open().await;
    let authority = std::sync::Arc::new(lab.authority());
    let agent = lab.identity("agent", countersign_lab_ca::Role::Ea);
    let mut running = tokio::task::JoinSet::new();
    for number in 0..16 {
        let name = format!("device-{number}");
        let cms = lab.sign(&lab.csr(&name), &[&agent], &[]);
        let template = if number % 2 == 0 { TEMPLATE } else { PENDING };
        let authority = std::sync::Arc::clone(&authority);
        running.spawn(async move { (name, submit(&*authority, &cms, template).await) });
    }
    let mut ids = std::collections::BTreeSet::new();
    while let Some(done) = running.join_next().await {
        let (name, answer) = done.unwrap();
        match answer.unwrap() {
            Disposition::Issued { certificate_der, request_id } => {
                let certificate =
                    countersign_profile::Certificate::parse(&certificate_der).unwrap();
                let subject = certificate.subject().unwrap();
                assert_eq!(subject.common_name(), Some(name.as_str()));
                assert!(ids.insert(request_id.unwrap()));
            }
            Disposition::Pending { request_id, .. } => assert!(ids.insert(request_id)),
        }
    }
    assert_eq!(ids.len(), 16);
}

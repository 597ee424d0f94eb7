//! The link to the CA: TLS, nothing else, to the right server, with no other authentication.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use countersign_authority::{
    Authentication, Authority, AuthorityError, Certainty, Wstep, WstepConfig,
};
use countersign_lab_ca::{Algorithm, Misbehaviour, Role, Template};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use crate::laboratory::{Laboratory, TEMPLATE, certificate, openssl, submit};

async fn misconfigured(config: WstepConfig) -> AuthorityError {
    let authority = Wstep::new(config).unwrap();
    let error = submit(&authority, b"anything", TEMPLATE).await.unwrap_err();
    assert!(matches!(error, AuthorityError::Misconfigured { .. }), "{error:?}");
    assert_eq!(error.certainty(), Certainty::NotProcessed);
    error
}

#[tokio::test]
async fn row_65_a_ca_under_a_wrong_name_is_refused() {
    // The certificate names 127.0.0.3 and localhost, the URL 127.0.0.3's port under another name.
    let lab = Laboratory::with(Algorithm::P256, "127.0.0.3:0").await;
    let mut config = lab.by_user();
    let port = lab.serving.address().port();
    let forwarded = TcpListener::bind("127.0.0.4:0").await.unwrap();
    config.url = format!(
        "https://{}/Countersign-Lab-CA_CES_UsernamePassword/service.svc/CES",
        forwarded.local_addr().unwrap()
    );
    let forward = tokio::spawn(async move {
        let (mut from, _) = forwarded.accept().await.unwrap();
        let mut to = tokio::net::TcpStream::connect(("127.0.0.3", port)).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
    });
    let error = misconfigured(config).await;
    assert!(error.to_string().contains("TLS certificate"), "{error}");
    assert!(lab.ca.requests().unwrap().is_empty());
    forward.abort();
}

#[tokio::test]
async fn row_65_a_ca_below_another_root_is_refused() {
    let lab = Laboratory::open().await;
    let other = Laboratory::open().await;
    let mut config = lab.by_user();
    config.roots_pem = other.ca.certificate_pem().unwrap().into_bytes();
    let error = misconfigured(config).await;
    assert!(error.to_string().contains("TLS certificate"), "{error}");
    assert!(lab.ca.requests().unwrap().is_empty());
}

#[tokio::test]
async fn row_65_a_link_without_tls_cannot_be_configured() {
    let lab = Laboratory::open().await;
    for (url, hint) in [
        ("http://ca.example/CES", "HTTPS"),
        ("ca.example", "not a URL"),
        ("https://ra:secret@ca.example/CES", "credentials"),
        ("https://ca.example/CES?x=y", "query"),
    ] {
        let mut config = lab.by_user();
        config.url = url.into();
        let error = Wstep::new(config).unwrap_err();
        assert!(error.to_string().contains(hint), "{url}: {error}");
    }
    let mut config = lab.by_user();
    config.roots_pem = Vec::new();
    let error = Wstep::new(config).unwrap_err();
    assert!(error.to_string().contains("TLS root"), "{error}");
}

#[tokio::test]
async fn row_65_a_server_that_only_speaks_old_tls_is_refused() {
    let lab = Laboratory::open().await;
    let server = lab.localhost();
    for (speaks, is_taken) in [
        (["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"], true),
        (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], true),
        (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"], false),
        (["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], false),
    ] {
        let mut process = openssl(&["s_server", "-accept", "127.0.0.1:0", "-www"])
            .args(speaks)
            .arg("-cert")
            .arg(&server.certificate)
            .arg("-key")
            .arg(&server.key)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines
            .find_map(|line| line.unwrap().strip_prefix("ACCEPT 127.0.0.1:").map(str::to_owned))
            .unwrap();
        let mut config = lab.by_user();
        config.url = format!("https://localhost:{port}/CES");
        let reached = Wstep::new(config).unwrap().health().await;
        process.kill().unwrap();
        process.wait().unwrap();
        if is_taken {
            assert_eq!(reached, Ok(()), "{speaks:?}");
        } else {
            let error = reached.expect_err("refused");
            assert!(error.to_string().contains("alert"), "{speaks:?}: {error}");
        }
    }
}

#[tokio::test]
async fn row_60_ntlm_is_never_answered() {
    let lab = Laboratory::open().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = lab.tls_acceptor();
    // Notes every request on every connection; each is told to come back with NTLM.
    let heard = tokio::spawn(async move {
        let mut heard = Vec::new();
        while let Ok(Ok((stream, _))) =
            tokio::time::timeout(std::time::Duration::from_secs(2), listener.accept()).await
        {
            let mut stream = acceptor.accept(stream).await.unwrap();
            let mut request = vec![0; 16 << 10];
            let length = stream.read(&mut request).await.unwrap();
            heard.push(String::from_utf8_lossy(&request[..length]).into_owned());
            let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.unwrap();
            let _ = stream.shutdown().await;
        }
        heard
    });
    let mut config = lab.by_user();
    config.url = format!("https://localhost:{}/CES", address.port());
    let error = misconfigured(config).await;
    assert!(error.to_string().contains("NTLM"), "{error}");
    let heard = heard.await.unwrap();
    assert_eq!(heard.len(), 1, "asked once, and never again");
    let (head, _) = heard[0].split_once("\r\n\r\n").unwrap();
    assert!(!head.to_ascii_lowercase().contains("authorization"), "{head}");
}

#[tokio::test]
async fn a_redirect_is_never_followed() {
    let lab = Laboratory::open().await;
    let other = Laboratory::open().await;
    let cms = lab.countersigned("device-17");
    for status in [301, 302, 307, 308] {
        lab.set(Template::named(TEMPLATE).that(Misbehaviour::AnswerInstead {
            status,
            headers: vec![("location".into(), other.serving.username_password_url())],
            body: String::new(),
        }));
        let error = submit(&lab.authority(), &cms, TEMPLATE).await.unwrap_err();
        assert!(error.to_string().contains("never followed"), "{error}");
        assert_eq!(error.certainty(), Certainty::NotProcessed);
    }
    assert!(other.ca.requests().unwrap().is_empty());
}

#[tokio::test]
async fn an_account_is_one_that_the_ca_knows_and_has_not_revoked() {
    let lab = Laboratory::open().await;
    let cms = lab.countersigned("device-17");

    // A device's certificate is for client authentication too, and no account.
    let device = certificate(submit(&lab.authority(), &cms, TEMPLATE).await);
    let device = lab.keep("device-17", device);
    let error = misconfigured(lab.by_certificate(&device)).await;
    assert!(error.to_string().contains("403"), "{error}");

    let account = lab.identity("account", Role::TlsClient);
    let authority = Wstep::new(lab.by_certificate(&account)).unwrap();
    certificate(submit(&authority, &cms, TEMPLATE).await);
    let record = lab.ca.certificates().unwrap();
    let record =
        record.iter().find(|record| record.certificate == hex::encode(&account.der)).unwrap();
    lab.ca.revoke(&record.serial, 4).unwrap();
    misconfigured(lab.by_certificate(&account)).await;
}

#[tokio::test]
async fn a_client_certificate_of_another_ca_is_refused_by_the_server() {
    let lab = Laboratory::open().await;
    let other = Laboratory::open().await;
    let foreign = other.identity("account", Role::TlsClient);
    let authority = Wstep::new(lab.by_certificate(&foreign)).unwrap();
    let error = submit(&authority, b"anything", TEMPLATE).await.unwrap_err();
    // With TLS 1.3 the refusal may be overtaken by our own writing; it never becomes an answer.
    assert!(!matches!(error, AuthorityError::Refused { .. }), "{error:?}");
    assert!(lab.ca.requests().unwrap().is_empty());
}

#[tokio::test]
async fn a_wrong_user_or_password_says_so() {
    let lab = Laboratory::open().await;
    for (username, password) in [(crate::laboratory::USER, "wrong"), ("nobody", "wrong")] {
        let mut config = lab.by_user();
        config.authentication = Authentication::UsernameToken {
            username: username.into(),
            password: Zeroizing::new(password.into()),
        };
        let error = misconfigured(config).await;
        assert!(error.to_string().contains("password"), "{error}");
        assert!(!error.to_string().contains("wrong)"), "{error}");
    }
}

#[tokio::test]
async fn a_client_certificate_at_the_service_for_passwords_is_told_so() {
    let lab = Laboratory::open().await;
    let account = lab.identity("account", Role::TlsClient);
    let mut config = lab.by_certificate(&account);
    config.url = lab.serving.username_password_url();
    let error = misconfigured(config).await;
    assert!(error.to_string().contains("security header"), "{error}");
}

#[tokio::test]
async fn a_url_that_is_not_the_services_own_is_told_so() {
    let lab = Laboratory::open().await;
    let mut config = lab.by_user();
    config.url = config.url.replace("/CES", "/CEP");
    let error = misconfigured(config).await;
    assert!(error.to_string().contains("404"), "{error}");
}

#[tokio::test]
async fn nothing_secret_is_in_debug_output() {
    let lab = Laboratory::open().await;
    let config = lab.by_user();
    assert_eq!(format!("{:?}", config.authentication), "UsernameToken");
    let shown = format!("{:?}", Wstep::new(config).unwrap());
    assert!(!shown.contains("p&ss"), "{shown}");
}

#[tokio::test]
async fn a_key_that_does_not_fit_is_found_before_any_connection() {
    let lab = Laboratory::open().await;
    let account = lab.identity("account", Role::TlsClient);
    let other = lab.identity("other", Role::TlsClient);
    let mut config = lab.by_certificate(&account);
    config.authentication = Authentication::ClientCertificate {
        chain_pem: fs::read(&account.certificate).unwrap(),
        key_pem: Zeroizing::new(fs::read(&other.key).unwrap()),
    };
    let error = Wstep::new(config).unwrap_err();
    assert!(error.to_string().contains("fit"), "{error}");

    let mut config = lab.by_certificate(&account);
    config.authentication = Authentication::ClientCertificate {
        chain_pem: fs::read(&account.certificate).unwrap(),
        key_pem: Zeroizing::new(b"secret words".to_vec()),
    };
    let error = Wstep::new(config).unwrap_err();
    assert!(!error.to_string().contains("secret words"), "{error}");
}

#[tokio::test]
async fn health_tells_a_wrong_certificate_and_a_wrong_address() {
    let lab = Laboratory::open().await;
    let mut config = lab.by_user();
    config.url = config.url.replace("/CES", "/CEP");
    assert!(Wstep::new(config).unwrap().health().await.is_err());

    let device = lab.identity("not-an-account", Role::Rep);
    let config = lab.by_certificate(&device);
    assert!(Wstep::new(config).unwrap().health().await.is_err());
}

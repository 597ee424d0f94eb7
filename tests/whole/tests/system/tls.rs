//! Row 64: between device and RA nothing older than TLS 1.2, and no suite without AEAD.

use std::io::Write as _;
use std::process::{Output, Stdio};

use countersign_lab_ca::Role;
use countersign_tests::openssl::{openssl, run};
use countersign_tests::{HttpReply, Installation, PROFILE};

const NAMES: [&str; 2] = ["CN=device-17", "DNS:device-17.example"];

async fn with_tls() -> Installation {
    let mut installation = Installation::builder()
        .sections("[serve.tls]\ncertificate = \"keys/tls.pem\"\nkey = \"file:keys/tls.key\"")
        .prepare()
        .await;
    let (key, csr) = (installation.file("keys/tls.key"), installation.file("tls.csr"));
    run(openssl(&["req", "-new", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=ra.example"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1,DNS:ra.example", "-outform", "DER"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&csr));
    let csr = std::fs::read(csr).unwrap();
    let der = installation.ca().issue_role_certificate(&csr, Role::TlsServer).unwrap();
    let pem = der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, &der).unwrap();
    std::fs::write(installation.file("keys/tls.pem"), pem).unwrap();
    installation.start_all().await;
    installation
}

/// Sends octets through `openssl s_client`, which trusts the lab CA and nothing else.
async fn s_client(installation: &Installation, more: &[&str], input: Vec<u8>) -> Output {
    let mut command = openssl(&["s_client", "-connect", installation.address(), "-quiet"]);
    command
        .args(["-verify_return_error", "-verify_ip", "127.0.0.1", "-CAfile"])
        .arg(installation.file("ca/ca.pem"))
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        // Fails where the handshake fails first.
        let _ = child.stdin.take().unwrap().write_all(&input);
        child.wait_with_output().unwrap()
    })
    .await
    .unwrap()
}

fn request(method: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("{method} {path} HTTP/1.0\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn reply(output: &Output) -> HttpReply {
    let complaint = String::from_utf8_lossy(&output.stderr);
    let octets = &output.stdout;
    let end = octets.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no answer: {complaint}"));
    let head = String::from_utf8_lossy(&octets[..end]).into_owned();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| {
            let name: http::HeaderName = name.parse().unwrap();
            (name, value.parse().unwrap())
        })
        .collect();
    HttpReply { status, headers, body: octets[end + 4..].to_vec() }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_64_devices_enrol_over_tls_1_2_and_1_3() {
    let installation = with_tls().await;
    let caps = request("GET", &format!("/scep/{PROFILE}?operation=GetCACert"), &[]);
    let bundle = reply(&s_client(&installation, &[], caps).await);
    let ra = countersign_tests::scep::client::CaCertificates::parse(&bundle.body).unwrap();
    let device = installation.new_device(PROFILE, &NAMES).await;
    for version in ["-tls1_2", "-tls1_3"] {
        let sent = device.request(&ra);
        let post =
            request("POST", &format!("/scep/{PROFILE}?operation=PKIOperation"), &sent.message);
        let answer = reply(&s_client(&installation, &[version], post).await);
        let _ = device.read(&sent, answer, &ra).issued();
    }
    assert_eq!(installation.signatures().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_64_old_versions_and_suites_without_aead_are_refused_by_the_server() {
    let installation = with_tls().await;
    let caps = || request("GET", &format!("/scep/{PROFILE}?operation=GetCACaps"), &[]);
    let old: [&[&str]; 6] = [
        &["-tls1", "-cipher", "ALL:@SECLEVEL=0"],
        &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA256"],
        &["-tls1_2", "-cipher", "ECDHE-RSA-AES256-SHA:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "AES128-GCM-SHA256"],
    ];
    for arguments in old {
        let output = s_client(&installation, arguments, caps()).await;
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.stdout.is_empty(), "{arguments:?}");
        // An alert: it was the server that would not.
        assert!(complaint.contains("alert"), "{arguments:?}: {complaint}");
    }
    // Its twin.
    let good =
        s_client(&installation, &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], caps())
            .await;
    assert_eq!(reply(&good).status, 200);
    // Plain HTTP on the TLS port gets nothing.
    let plain = installation.raw_or_closed(&caps()).await;
    assert!(!String::from_utf8_lossy(&plain).contains("SCEPStandard"));
}

//! Device managements: who may fetch a challenge, what it is then good for, and what the page says.
//! Rows 8, 51, 60, 64 and 65 of the founding checklist for this link.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};

use argon2::{Argon2, Params, PasswordHasher as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_lab_ca::Role;
use countersign_tests::openssl::{openssl, run};
use countersign_tests::{Device, HttpReply, Installation, PROFILE, Plugin, Profile, Program};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::guests::Guest;

const PASSWORD: &str = "correct horse";

const NAMES: [&str; 2] = ["CN=device-17", "DNS:device-17.example"];

/// An installation with a listener for device managements.
struct Mdm {
    installation: Installation,
    address: String,
}

/// argon2id with the least costs that the config takes.
fn hash() -> String {
    let argon2 = Argon2::from(Params::new(7168, 1, 1, None).unwrap());
    argon2.hash_password_with_salt(PASSWORD.as_bytes(), &[7; 16]).unwrap().to_string()
}

/// One request of a device management.
#[derive(Default)]
struct Ask<'a> {
    method: &'a str,
    path: &'a str,
    headers: Vec<(&'a str, String)>,
    body: String,
    /// Shows the certificate `CN=Countersign lab client`.
    with_certificate: bool,
    tls: &'a [&'a str],
}

/// Two profiles, one of which has a second verifier; a page; a credential of each kind.
fn config(quota: u32) -> String {
    let token = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"a-random-token");
    let (token, hash) = (hex::encode(token), hash());
    format!(
        r#"
[verify.mdm]
listen = "127.0.0.1:0"
certificate = "keys/mdm.pem"
key = "file:keys/mdm.key"
client-ca = "ca/ca.pem"
longest-ttl-seconds = 1200

[verify.mdm.page."/certsrv/mscep_admin/"]
profile = "{PROFILE}"
require-names = true

[verify.mdm.page."/utf8/mscep_admin/"]
profile = "two"
encoding = "utf-8"

[verify.mdm.credential.jamf]
profiles = ["{PROFILE}"]
quota-per-hour = {quota}
authentication.basic = {{ user = "jamf", password-hash = "{hash}" }}

[verify.mdm.credential.fleet]
profiles = ["two"]
quota-per-hour = {quota}
authentication.bearer = {{ token = "sha256:{token}" }}

[verify.mdm.credential.ws1]
profiles = ["{PROFILE}", "two"]
quota-per-hour = {quota}
authentication.client-certificate = {{ name = "CN=Countersign lab client" }}
"#
    )
}

impl Mdm {
    async fn start(quota: u32) -> Self {
        let mut mdm = Self::prepare(&config(quota)).await;
        mdm.installation.start_all().await;
        mdm.find().await;
        mdm
    }

    async fn prepare(sections: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let component = folder.path().join("second.wasm");
        // Approves, and vouches for a name that no test asks for.
        std::fs::write(&component, Guest::default().build()).unwrap();
        let installation = Installation::builder()
            .profile(Profile::named(PROFILE))
            .profile(Profile::named("two").verifiers(&["one-time-password", "second"]))
            .plugin(Plugin::new("second", component, ""))
            .sections(sections)
            .prepare()
            .await;
        // The config names the component by its digest; it must still be there at start.
        std::mem::forget(folder);
        tls_server(&installation, "mdm", "IP:127.0.0.1");
        Self { installation, address: String::new() }
    }

    async fn find(&mut self) {
        let verify = self.installation.running(Program::Verify);
        let event = verify
            .event("serving device managements", |event| {
                event["message"] == "serving device managements"
            })
            .await;
        self.address = event["listen"].as_str().unwrap().to_owned();
    }

    async fn ask(&self, ask: &Ask<'_>) -> HttpReply {
        let output = self.send(ask).await;
        reply(&output)
    }

    async fn send(&self, ask: &Ask<'_>) -> Output {
        let Ask { method, path, headers, body, with_certificate, tls } = ask;
        let mut text = format!(
            "{method} {path} HTTP/1.1\r\nhost: mdm\r\nconnection: close\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        let _ = write!(text, "\r\n{body}");
        let file = |name: &str| self.installation.file(name);
        let mut command = openssl(&["s_client", "-connect", &self.address, "-quiet"]);
        command
            .args(["-verify_return_error", "-verify_ip", "127.0.0.1", "-CAfile"])
            .arg(file("ca/ca.pem"))
            .args(*tls);
        if *with_certificate {
            command.arg("-cert").arg(file("keys/client.pem"));
            command.arg("-key").arg(file("keys/client.key"));
        }
        piped(command, text.into_bytes()).await
    }

    /// `/challenge/<profile>` as `jamf`.
    async fn fetch(&self, profile: &str, question: &Value) -> HttpReply {
        let path = format!("/challenge/{profile}");
        self.ask(&Ask {
            method: "POST",
            path: &path,
            headers: vec![basic("jamf", PASSWORD)],
            body: question.to_string(),
            ..Ask::default()
        })
        .await
    }

    /// A path with GET and these header fields.
    async fn get(&self, path: &str, headers: Vec<(&str, String)>) -> HttpReply {
        self.ask(&Ask { method: "GET", path, headers, ..Ask::default() }).await
    }

    async fn denials(&self, count: usize) -> Vec<Value> {
        let entries = self.installation.wait_for_ledger("denied", count).await;
        entries.into_iter().map(|entry| entry["body"].clone()).collect()
    }
}

async fn piped(mut command: std::process::Command, input: Vec<u8>) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        // Fails where the handshake fails first.
        let _ = child.stdin.take().unwrap().write_all(&input);
        child.wait_with_output().unwrap()
    })
    .await
    .unwrap()
}

fn tls_server(installation: &Installation, name: &str, san: &str) {
    let (key, csr) =
        (installation.file(&format!("keys/{name}.key")), installation.file(&format!("{name}.csr")));
    run(openssl(&["req", "-new", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=mdm.example"])
        .args(["-addext", &format!("subjectAltName={san}"), "-outform", "DER", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&csr));
    private(&key);
    let csr = std::fs::read(csr).unwrap();
    let der = installation.ca().issue_role_certificate(&csr, Role::TlsServer).unwrap();
    let pem = der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, &der).unwrap();
    std::fs::write(installation.file(&format!("keys/{name}.pem")), pem).unwrap();
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn basic(user: &str, password: &str) -> (&'static str, String) {
    ("authorization", format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

fn bearer(token: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {token}"))
}

fn reply(output: &Output) -> HttpReply {
    let complaint = String::from_utf8_lossy(&output.stderr);
    let octets = &output.stdout;
    let end = octets.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no answer: {complaint}"));
    let head = String::from_utf8_lossy(&octets[..end]).into_owned();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let mut headers = http::HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        let name: http::HeaderName = name.parse().unwrap();
        headers.append(name, value.parse().unwrap());
    }
    HttpReply { status, headers, body: octets[end + 4..].to_vec() }
}

fn challenge_of(reply: &HttpReply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    body["challenge"].as_str().unwrap().to_owned()
}

/// As device managements read the page: UTF-16LE or UTF-8, the label without regard to case, a bold
/// element with a blank, up to white space.
fn password_on(reply: &HttpReply) -> Option<String> {
    let page = if reply.body.get(1) == Some(&0) {
        let units = reply.body.chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        char::decode_utf16(units).map(Result::unwrap).collect()
    } else {
        reply.text()
    };
    let label = "the enrollment challenge password is: <b> ";
    let start = page.to_ascii_lowercase().find(label)? + label.len();
    page[start..].split_whitespace().next().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn row_08_a_device_management_fetches_a_challenge_and_its_device_enrols() {
    let mdm = Mdm::start(20).await;
    let question = json!({ "names": NAMES, "device-id": "17", "ttl-seconds": 600 });
    let answer = mdm.fetch(PROFILE, &question).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("pragma"), "no-cache");
    let challenge = challenge_of(&answer);
    let device = Device::new(&NAMES, Some(&challenge));
    let _ = mdm.installation.enrol(PROFILE, &device).await.issued();
    // For the names it was fetched for, and no others.
    let of_17 = challenge_of(&mdm.fetch(PROFILE, &question).await);
    let other = Device::new(&["CN=device-18"], Some(&of_17));
    assert!(mdm.installation.enrol(PROFILE, &other).await.is_refused_without_reason());
    // As text, with a certificate in the place of a password.
    let answer = mdm
        .ask(&Ask {
            method: "POST",
            path: &format!("/challenge/{PROFILE}"),
            headers: vec![("accept", "text/plain".to_owned())],
            body: question.to_string(),
            with_certificate: true,
            ..Ask::default()
        })
        .await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 32), "{}", answer.text());
    // With a token.
    let answer = mdm
        .ask(&Ask {
            method: "POST",
            path: "/challenge/two",
            headers: vec![bearer("a-random-token")],
            ..Ask::default()
        })
        .await;
    let _ = challenge_of(&answer);
    // No plain HTTP at all.
    let mut stream = TcpStream::connect(&mdm.address).await.unwrap();
    stream.write_all(b"GET /challenge/device HTTP/1.0\r\n\r\n").await.unwrap();
    let mut plain = Vec::new();
    // An error is the end of the answer.
    let _ = stream.read_to_end(&mut plain).await;
    assert!(!plain.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&plain));
}

/// Fails if `Question` did not stay without names, or the plug-in vouched for the request's own.
#[tokio::test(flavor = "multi_thread")]
async fn row_02_a_password_fetched_without_names_vouches_for_no_names() {
    let mdm = Mdm::start(20).await;
    let challenge = challenge_of(&mdm.fetch(PROFILE, &json!({})).await);
    let device = Device::new(&NAMES, Some(&challenge));
    assert!(mdm.installation.enrol(PROFILE, &device).await.is_refused_without_reason());
    assert_eq!(mdm.denials(1).await[0]["code"], "otp_identity_mismatch");
    assert_eq!(mdm.installation.signatures().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_51_a_credential_may_do_what_it_lists_and_nothing_else() {
    let mdm = Mdm::start(20).await;
    let jamf = || vec![basic("jamf", PASSWORD)];
    let other = mdm.fetch("two", &json!({})).await;
    assert_eq!(other.status, 403, "{}", other.text());
    let nowhere = mdm.fetch("no-such-profile", &json!({})).await;
    assert_eq!((nowhere.status, nowhere.body.clone()), (other.status, other.body.clone()));
    for path in
        ["/", "/event/one-time-password", "/metrics", "/admin", "/scep/device", "/challenge"]
    {
        assert_eq!(mdm.get(path, jamf()).await.status, 403, "{path}");
    }
    let page = mdm.get("/utf8/mscep_admin/", jamf()).await;
    assert_eq!(page.status, 403);
    let words = "You do not have sufficient permission to enroll with SCEP.";
    assert!(page.text().contains(words), "{}", page.text());
    assert_eq!(password_on(&page), None);
    let denials = mdm.denials(9).await;
    for denial in &denials {
        assert_eq!(denial["code"], "mdm-not-permitted", "{denial}");
        assert!(denial["detail"].as_str().unwrap().contains("`jamf`"), "{denial}");
    }
    // Its own profile, after all that.
    let _ = challenge_of(&mdm.fetch(PROFILE, &json!({})).await);
}

/// Fails without `quota::take`, and if the counts were not on disk.
#[tokio::test(flavor = "multi_thread")]
async fn row_51_an_hour_has_a_quota_that_a_restart_does_not_renew() {
    let mut mdm = Mdm::start(2).await;
    for _ in 0..2 {
        let _ = challenge_of(&mdm.fetch(PROFILE, &json!({})).await);
    }
    let over = mdm.fetch(PROFILE, &json!({})).await;
    assert_eq!(over.status, 429, "{}", over.text());
    assert!(!over.header("retry-after").is_empty());
    mdm.installation.crash(Program::Verify).await;
    mdm.find().await;
    assert_eq!(mdm.fetch(PROFILE, &json!({})).await.status, 429);
    let query = "/certsrv/mscep_admin/?Params=%7B%22names%22%3A%5B%22CN%3Da%22%5D%7D";
    let page = mdm.get(query, vec![basic("jamf", PASSWORD)]).await;
    assert_eq!(page.status, 200, "NDES says so, and its readers look for the words");
    let page: Vec<u8> = page.body.into_iter().filter(|octet| *octet != 0).collect();
    assert!(String::from_utf8_lossy(&page).contains("The password cache is full."));
    // Another credential has a quota of its own.
    let page = mdm.get("/utf8/mscep_admin/", vec![bearer("a-random-token")]).await;
    assert!(password_on(&page).is_some(), "{}", page.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_read_as_that_of_ndes() {
    let mdm = Mdm::start(20).await;
    let jamf = || vec![basic("jamf", PASSWORD)];
    let params =
        "Params=%7B%22names%22%3A%5B%22CN%3Ddevice-17%22%2C%22DNS%3Adevice-17.example%22%5D%7D";
    for path in ["/certsrv/mscep_admin", "/certsrv/mscep_admin/", "/CertSrv/mscep_admin/mscep.dll"]
    {
        let page = mdm.get(&format!("{path}?{params}"), jamf()).await;
        assert_eq!(page.header("content-type"), "text/html");
        assert_eq!(page.header("cache-control"), "no-store");
        let password = password_on(&page).unwrap_or_else(|| panic!("{path}: {}", page.text()));
        let device = Device::new(&NAMES, Some(&password));
        let _ = mdm.installation.enrol(PROFILE, &device).await.issued();
    }
    let operation = "/certsrv/mscep_admin/?operation=NDESGenerateChallenge&keyUsage=a0";
    let challenge = mdm.get(&format!("{operation}&{params}"), jamf()).await;
    assert_eq!((challenge.status.as_u16(), challenge.body.len()), (200, 32));
    let thumbprint =
        mdm.get("/certsrv/mscep_admin/?operation=NDESGetCACertThumbprint", jamf()).await;
    assert_eq!(thumbprint.body.len(), 64, "SHA-256 in hexadecimal");
    // Without names where they are demanded, and Params that the plug-in does not understand.
    assert_eq!(mdm.get("/certsrv/mscep_admin/", jamf()).await.status, 400);
    let opaque = mdm.get("/utf8/mscep_admin/?Params=id%3D17", vec![bearer("a-random-token")]).await;
    assert_eq!((opaque.status.as_u16(), password_on(&opaque)), (403, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_60_ntlm_is_never_offered_never_answered_and_gets_nothing() {
    let mdm = Mdm::start(20).await;
    // NEGOTIATE_MESSAGE (MS-NLMP §2.2.1.1): signature, type 1, flags, two empty fields.
    let type_1: Vec<u8> =
        [b"NTLMSSP\0".as_slice(), &1_u32.to_le_bytes(), &0xe208_8297_u32.to_le_bytes(), &[0; 16]]
            .concat();
    for scheme in ["NTLM", "Negotiate", "negotiate", "NtLm"] {
        for token in [STANDARD.encode(&type_1), String::new()] {
            for with_certificate in [false, true] {
                let answer = mdm
                    .ask(&Ask {
                        method: "GET",
                        path: "/certsrv/mscep_admin/",
                        headers: vec![("authorization", format!("{scheme} {token}"))],
                        with_certificate,
                        ..Ask::default()
                    })
                    .await;
                assert!(
                    answer.status == 401 || answer.status == 429,
                    "{scheme}: {}",
                    answer.status
                );
                assert_eq!(password_on(&answer), None);
                for offered in answer.headers.get_all("www-authenticate") {
                    let offered = offered.to_str().unwrap();
                    assert!(
                        offered.starts_with("Basic ") || offered.starts_with("Bearer "),
                        "{offered}"
                    );
                }
                assert!(!answer.text().contains("TlRMTVNTUAAC"), "a type 2 message");
            }
        }
    }
}

/// Fails without `throttle.wait`.
#[tokio::test(flavor = "multi_thread")]
async fn failed_log_ins_make_their_source_wait_and_raise_an_alarm() {
    let mdm = Mdm::start(20).await;
    let nothing = mdm.get(&format!("/challenge/{PROFILE}"), Vec::new()).await;
    assert_eq!(nothing.status, 401);
    let offered: Vec<_> = nothing.headers.get_all("www-authenticate").iter().collect();
    assert_eq!(offered.len(), 2, "{offered:?}");
    for (user, password) in
        [("jamf", "wrong"), ("nobody", "wrong"), ("jamf", ""), ("", ""), ("fleet", PASSWORD)]
    {
        let answer = mdm.get(&format!("/challenge/{PROFILE}"), vec![basic(user, password)]).await;
        assert_eq!((answer.status, &answer.body), (nothing.status, &nothing.body), "{user}");
    }
    // Now even the right password waits; who shows a certificate does not.
    let answer = mdm.fetch(PROFILE, &json!({})).await;
    assert_eq!(answer.status, 429, "{}", answer.text());
    let certificate = mdm
        .ask(&Ask {
            method: "POST",
            path: &format!("/challenge/{PROFILE}"),
            with_certificate: true,
            ..Ask::default()
        })
        .await;
    let _ = challenge_of(&certificate);
    assert_eq!(mdm.denials(1).await[0]["code"], "mdm-log-in-failed");
    let log = mdm.installation.logs();
    assert!(log.contains("ALARM: log-ins of a device management keep failing"), "{log}");
    assert!(!log.contains(PASSWORD) && !log.contains("argon2id"), "a secret in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_or_odd_is_refused_before_it_is_believed() {
    let mdm = Mdm::start(20).await;
    let path = format!("/challenge/{PROFILE}");
    let with = |body: String| Ask {
        method: "POST",
        path: &path,
        headers: vec![basic("jamf", PASSWORD)],
        body,
        ..Ask::default()
    };
    assert_eq!(mdm.ask(&with("x".repeat(65 * 1024))).await.status, 413);
    for odd in [
        r#"{"name":["CN=a"]}"#.to_owned(),
        r#"{"names":["a"]}"#.to_owned(),
        r#"{"names":["CN=a\u0000"]}"#.to_owned(),
        "names=CN=a".to_owned(),
        format!(r#"{{"device-id":"{}"}}"#, "a".repeat(300)),
        r#"{"ttl-seconds":0}"#.to_owned(),
    ] {
        let answer = mdm.ask(&with(odd.clone())).await;
        assert_eq!(answer.status, 400, "{odd}: {}", answer.text());
    }
    let put = Ask { method: "PUT", ..with(String::new()) };
    assert_eq!(mdm.ask(&put).await.status, 405);
    // Two log-ins in one request are none.
    let two = vec![basic("jamf", PASSWORD), basic("jamf", PASSWORD)];
    assert_eq!(mdm.get(&path, two).await.status, 401);
    // Longer than it may live is as long as it may live.
    let answer = mdm.ask(&with(r#"{"ttl-seconds":86400}"#.to_owned())).await;
    let expires =
        serde_json::from_slice::<Value>(&answer.body).unwrap()["expires"].as_u64().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(expires <= now + 1200, "{expires} at {now}");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_64_device_managements_speak_tls_1_2_or_1_3_with_aead_or_not_at_all() {
    let mdm = Mdm::start(20).await;
    let ask = |tls| Ask { method: "GET", path: "/", tls, ..Ask::default() };
    let old: [&[&str]; 5] = [
        &["-tls1", "-cipher", "ALL:@SECLEVEL=0"],
        &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA256"],
        &["-tls1_2", "-cipher", "ECDHE-RSA-AES256-SHA:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "AES128-GCM-SHA256"],
    ];
    for arguments in old {
        let output = mdm.send(&ask(arguments)).await;
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.stdout.is_empty(), "{arguments:?}");
        // An alert: it was the server that would not.
        assert!(complaint.contains("alert"), "{arguments:?}: {complaint}");
    }
    for good in [&["-tls1_2"][..], &["-tls1_3"]] {
        assert_eq!(mdm.ask(&ask(good)).await.status, 401, "{good:?}");
    }
}

/// Fails if the listener took any certificate, or resumed a session that showed one.
#[tokio::test(flavor = "multi_thread")]
async fn row_65_a_client_certificate_of_another_authority_is_refused_by_the_handshake() {
    let mdm = Mdm::start(20).await;
    let (key, certificate) =
        (mdm.installation.file("other.key"), mdm.installation.file("other.pem"));
    run(openssl(&["req", "-x509", "-nodes", "-newkey", "rsa:2048", "-days", "2"])
        .args(["-subj", "/CN=Countersign lab client", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate));
    let (key, certificate) = (key.display().to_string(), certificate.display().to_string());
    let tls = ["-key", key.as_str(), "-cert", certificate.as_str()];
    let path = format!("/challenge/{PROFILE}");
    let output = mdm.send(&Ask { method: "POST", path: &path, tls: &tls, ..Ask::default() }).await;
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("alert"), "{complaint}");
    // Nor is a certificate of the right authority that no credential names: the server's own.
    let (key, certificate) = (
        mdm.installation.file("keys/mdm.key").display().to_string(),
        mdm.installation.file("keys/mdm.pem").display().to_string(),
    );
    let tls = ["-key", key.as_str(), "-cert", certificate.as_str()];
    let output = mdm.send(&Ask { method: "POST", path: &path, tls: &tls, ..Ask::default() }).await;
    assert!(!String::from_utf8_lossy(&output.stdout).contains("200 OK"));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_65_a_listener_for_device_managements_without_tls_cannot_be_written() {
    for (from, to) in [
        ("certificate = \"keys/mdm.pem\"\n", ""),
        ("key = \"file:keys/mdm.key\"\n", ""),
        ("client-ca", "tls = \"off\"\nclient-ca"),
        ("listen = \"127.0.0.1:0\"", "listen = \"unix:/run/mdm.sock\""),
        ("listen = \"127.0.0.1:0\"", "listen = \"http://127.0.0.1:0\""),
    ] {
        let text = config(20);
        assert!(text.contains(from), "{from}");
        let mut mdm = Mdm::prepare(&text.replace(from, to)).await;
        let ended = mdm.installation.refused_start(Program::Verify).await;
        assert_eq!(ended.status.code(), Some(3), "{from} → {to}: {}", ended.stderr);
    }
}

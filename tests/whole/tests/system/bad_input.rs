//! What strangers may send. Never a panic, never half a state, and the answers that clients know.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use countersign_ipc::AdminRequest;
use countersign_tests::{Device, Installation, PROFILE, Program};

const LONGEST: usize = 65_536;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_scep_gets_a_plain_refusal() {
    let installation = Installation::start_usual().await;
    let pki = format!("/scep/{PROFILE}?operation=PKIOperation");
    for (what, status, reply) in [
        ("unknown profile", 404, installation.get("/scep/unknown?operation=GetCACaps").await),
        ("no profile", 404, installation.get("/scep/?operation=GetCACaps").await),
        ("root", 404, installation.get("/").await),
        ("out of the tree", 404, installation.get("/scep/../scep?operation=GetCACaps").await),
        (
            "unknown operation",
            400,
            installation.get(&format!("/scep/{PROFILE}?operation=Sudo")).await,
        ),
        ("no operation", 400, installation.get(&format!("/scep/{PROFILE}")).await),
        ("operation twice", 400, installation.get(&format!("{pki}&operation=GetCACaps")).await),
        ("no message", 400, installation.get(&pki).await),
        ("not base64", 400, installation.get(&format!("{pki}&message=!!!!")).await),
        ("bad escape", 400, installation.get(&format!("{pki}&message=%zz")).await),
        ("not a message", 400, installation.get(&format!("{pki}&message=AAAA")).await),
        ("empty body", 400, installation.post(&pki, Vec::new()).await),
        ("garbage", 400, installation.post(&pki, vec![0x30; 100]).await),
        ("zeros", 400, installation.post(&pki, vec![0; LONGEST]).await),
        ("wrong method", 405, installation.request("PUT", &pki, vec![1]).await),
        ("wrong method", 405, installation.request("DELETE", &pki, Vec::new()).await),
        (
            "posted caps",
            400,
            installation.post(&format!("/scep/{PROFILE}?operation=GetCACaps"), vec![1]).await,
        ),
        ("oversize", 413, installation.post(&pki, vec![0x30; LONGEST + 1]).await),
    ] {
        assert_eq!(reply.status, status, "{what}: {}", reply.text());
        assert_eq!(reply.header("content-type"), "text/plain", "{what}");
    }
    // A body that says nothing of its size is counted as it comes.
    let mut chunked = format!(
        "POST {pki} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    .into_bytes();
    chunked.extend(format!("{:x}\r\n", LONGEST + 1).bytes());
    chunked.extend(vec![0x30; LONGEST + 1]);
    chunked.extend(b"\r\n0\r\n\r\n");
    assert_status(&installation.raw(&chunked).await, "413");
    // Not even HTTP.
    assert_status(
        &installation.raw(b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n").await,
        "400",
    );

    must_be_unharmed(&installation).await;
}

fn assert_status(reply: &[u8], status: &str) {
    let first = String::from_utf8_lossy(reply).lines().next().unwrap_or_default().to_owned();
    assert_eq!(first.split(' ').nth(1), Some(status), "{first}");
}

/// Nothing is recorded, and a device enrols as before.
async fn must_be_unharmed(installation: &Installation) {
    let requests = installation.facts(Program::Serve, AdminRequest::Requests { limit: 10 }).await;
    assert_eq!(requests.as_array().map(Vec::len), Some(0), "{requests}");
    let device = installation.new_device(PROFILE, &["CN=after-all-that"]).await;
    let _ = installation.enrol(PROFILE, &device).await.issued();
    assert!(!installation.logs().contains("panicked"), "{}", installation.logs());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_cut_short_or_changed_anywhere_is_refused_and_leaves_nothing() {
    let installation = Installation::start_usual().await;
    let ra = installation.ra(PROFILE).await;
    let sent = Device::new(&["CN=device-17"], Some("guess")).request(&ra);
    let path = format!("/scep/{PROFILE}?operation=PKIOperation");
    let mut connection = countersign_tests::Connection::open(installation.address()).await;
    for at in (0..sent.message.len()).step_by(37) {
        let short = sent.message[..at].to_vec();
        let reply = connection.request("POST", &path, short).await;
        assert_eq!(reply.status, 400, "cut at {at}");
        let mut changed = sent.message.clone();
        changed[at] ^= 0x20;
        let reply = connection.request("POST", &path, changed).await;
        assert!(reply.status == 400 || reply.status == 200, "changed at {at}: {}", reply.status);
    }
    assert_eq!(installation.signatures().await, 0);
    assert!(
        installation.ca_requests().iter().all(|request| {
            matches!(request.state, countersign_lab_ca::RequestState::Denied(_))
        })
    );
    must_be_unharmed(&installation).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_by_get_is_read_in_every_form_that_clients_write() {
    let installation = Installation::start_usual().await;
    let ra = installation.ra(PROFILE).await;
    let device = installation.new_device(PROFILE, &["CN=device-17"]).await;
    let escaped = |text: &str| text.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let lines = |text: &str| {
        let lines = text.as_bytes().chunks(64);
        lines.map(|line| escaped(&String::from_utf8_lossy(line)) + "%0A").collect::<String>()
    };
    type Form<'a> = &'a dyn Fn(&[u8]) -> String;
    let forms: [(&str, Form<'_>); 8] = [
        ("as RFC 8894 says", &|message| escaped(&STANDARD.encode(message))),
        ("raw + / = (macOS)", &|message| STANDARD.encode(message)),
        ("+ made a space", &|message| STANDARD.encode(message).replace('+', "%20")),
        ("without padding", &|message| STANDARD_NO_PAD.encode(message)),
        ("newlines (strongSwan, Cisco)", &|message| lines(&STANDARD.encode(message))),
        ("newline at the end (Cisco)", &|message| escaped(&STANDARD.encode(message)) + "%0A"),
        ("URL alphabet (micromdm)", &|message| URL_SAFE.encode(message)),
        ("URL alphabet, no padding", &|message| URL_SAFE_NO_PAD.encode(message)),
    ];
    let mut certificates = Vec::new();
    for (what, form) in forms {
        let sent = device.request(&ra);
        let message = form(&sent.message);
        let path =
            format!("/scep/{PROFILE}/pkiclient.exe?operation=PKIOperation&message={message}");
        let reply = installation.get(&path).await;
        assert_eq!(reply.status, 200, "{what}: {}", reply.text());
        certificates.push(device.read(&sent, reply, &ra).issued().certificate);
    }
    certificates.dedup();
    assert_eq!(certificates.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_clients_speak_http_1_0_without_a_host() {
    let installation = Installation::start_usual().await;
    let reply = installation
        .raw(
            format!(
                "GET /scep/{PROFILE}/pkiclient.exe?operation=GetCACert&message=ca HTTP/1.0\r\n\r\n"
            )
            .as_bytes(),
        )
        .await;
    assert_status(&reply, "200");
    let head = String::from_utf8_lossy(&reply).to_ascii_lowercase();
    // sscep compares the whole value: no parameters.
    assert!(head.contains("content-type: application/x-x509-ca-ra-cert\r\n"), "{head}");

    let ra = installation.ra(PROFILE).await;
    let device = installation.new_device(PROFILE, &["CN=router-1"]).await;
    let sent = device.request(&ra);
    let mut request = format!(
        "POST /scep/{PROFILE}?operation=PKIOperation HTTP/1.0\r\ncontent-length: {}\r\n\r\n",
        sent.message.len()
    )
    .into_bytes();
    request.extend(&sent.message);
    let reply = installation.raw(&request).await;
    assert_status(&reply, "200");
    let body = reply.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let reply = countersign_tests::HttpReply {
        status: http::StatusCode::OK,
        headers: [(
            http::header::CONTENT_TYPE,
            http::HeaderValue::from_static("application/x-pki-message"),
        )]
        .into_iter()
        .collect(),
        body: reply[body..].to_vec(),
    };
    let _ = device.read(&sent, reply, &ra).issued();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_paths_of_ndes_lead_to_the_profile_they_stand_for() {
    let installation = Installation::builder()
        .serve(&format!("aliases = {{ \"/certsrv/mscep/mscep.dll\" = \"{PROFILE}\" }}"))
        .start()
        .await;
    let device = installation.new_device(PROFILE, &["CN=windows-1"]).await;
    let ra = installation.ra(PROFILE).await;
    for path in [
        "/certsrv/mscep/mscep.dll",
        "/certsrv/mscep/mscep.dll/pkiclient.exe",
        "/CertSrv/mscep/MSCEP.dll/pkiclient.exe",
    ] {
        let caps = installation.get(&format!("{path}?operation=GetCACaps&message=default")).await;
        assert_eq!(caps.status, 200, "{path}");
        let sent = device.request(&ra);
        let reply = installation
            .post(&format!("{path}?operation=PKIOperation"), sent.message.clone())
            .await;
        let _ = device.read(&sent, reply, &ra).issued();
    }
    // No operation in the query of a POST: there is only one to post.
    let sent = device.request(&ra);
    let reply = installation.post(&format!("/scep/{PROFILE}"), sent.message.clone()).await;
    let _ = device.read(&sent, reply, &ra).issued();
    assert_eq!(installation.get("/certsrv/mscep_admin/").await.status, 404);
}

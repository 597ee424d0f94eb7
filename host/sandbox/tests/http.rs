//! What a plug-in can reach with `http`, and what it cannot. A guest in WebAssembly sends; a TLS
//! server on loopback, reached under a name by a resolver of ours, answers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    missing_docs,
    reason = "tests may state what they know"
)]

use std::time::{Duration, Instant};

use countersign_sandbox::{AddressRange, ClientIdentity, HostMatch, HostRule, HttpLimits};
use countersign_stubs::{Identity, Reply, Server};

mod guests;
#[allow(dead_code, reason = "each test file uses its part")]
#[path = "guests/backend.rs"]
mod host;
#[allow(dead_code, reason = "each test file uses its part")]
#[path = "guests/sending.rs"]
mod sending;

use guests::Guest;
use host::{Bench, context};
use sending::{HOST, Script, Sends, asked, asked_in, plugin, reaching, send, url};

fn ok(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

fn err(text: &str) -> Result<String, String> {
    Err(text.to_owned())
}

fn identity() -> Identity {
    Identity::new(&[&format!("DNS:{HOST}")])
}

async fn echo(identity: &Identity) -> Server {
    Server::start(identity, |request| Reply::new(200, request.body.clone())).await
}

#[tokio::test]
async fn a_guest_speaks_to_a_granted_host_over_tls() {
    let identity = identity();
    let server = echo(&identity).await;
    let mut sends = Sends::to(url(&server, "/path?query=1"));
    sends.headers = vec![("x-one", "1"), ("content-type", "text/plain")];
    assert_eq!(send(sends, reaching(&server, &identity)).await, ok("hello"));
    let received = &server.received()[0];
    assert_eq!((received.method.as_str(), received.path.as_str()), ("POST", "/path?query=1"));
    assert_eq!(received.header("x-one"), Some("1"));
    let host = format!("{HOST}:{}", server.address().port());
    assert_eq!(received.header("host"), Some(host.as_str()));
}

#[tokio::test]
async fn connections_are_used_again_by_the_same_plug_in_and_by_no_other() {
    let identity = identity();
    let server = echo(&identity).await;
    let (bench, sends) = (Bench::new(), Sends::to(url(&server, "/")));
    let first = plugin(&bench, &sends, reaching(&server, &identity)).await;
    let second = plugin(&bench, &sends, reaching(&server, &identity)).await;
    for _ in 0..3 {
        assert_eq!(asked(&first).await, ok("hello"));
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(asked(&second).await, ok("hello"));
    assert_eq!(server.connections(), 2);
}

/// Fails when the look at `settings.hosts` in `HttpClient::within` is removed.
#[tokio::test]
async fn a_host_that_is_not_granted_is_refused_with_the_line_that_grants_it() {
    let identity = identity();
    let server = echo(&identity).await;
    let port = server.address().port();
    for (asked, named) in [
        (format!("https://other.example:{port}/"), format!("other.example:{port}")),
        // Another port, the address itself, a name that only begins or ends alike.
        (format!("https://{HOST}/"), HOST.to_owned()),
        (format!("https://127.0.0.1:{port}/"), format!("127.0.0.1:{port}")),
        (format!("https://{HOST}.evil.example:{port}/"), format!("{HOST}.evil.example:{port}")),
        (format!("https://evil-{HOST}:{port}/"), format!("evil-{HOST}:{port}")),
    ] {
        let refused = send(Sends::to(&*asked), reaching(&server, &identity)).await.unwrap_err();
        let line = format!("`hosts = [\"{named}\"]` under `[plugin.hook.grants]`");
        assert!(refused.contains(&line), "{asked}: {refused}");
    }
    assert_eq!(server.connections(), 0);
}

/// Fails when the look at `not_public` in `HttpClient::addresses` is removed.
#[tokio::test]
async fn an_address_that_is_not_public_is_refused_unless_its_range_is_granted() {
    let identity = identity();
    let server = echo(&identity).await;
    let mut settings = reaching(&server, &identity);
    settings.addresses.clear();
    let refused = send(Sends::to(url(&server, "/")), settings).await.unwrap_err();
    assert!(refused.contains("127.0.0.1") && refused.contains("loopback"), "{refused}");
    assert!(refused.contains("addresses = [\"127.0.0.1/32\"]"), "{refused}");
    for address in ["10.0.0.1", "169.254.169.254", "fd00:ec2::254", "::ffff:10.1.1.1", "0.0.0.0"] {
        let mut settings = reaching(&server, &identity);
        settings.resolver = Script::new(HOST, &[&[address]]);
        let refused = send(Sends::to(url(&server, "/")), settings).await.unwrap_err();
        assert!(refused.contains("addresses = ["), "{address}: {refused}");
    }
    assert_eq!(server.connections(), 0);
}

/// Fails when `HttpClient::addresses` only skips addresses that it should refuse, or looks at the
/// first one only.
#[tokio::test]
async fn one_bad_address_among_good_ones_refuses_the_name() {
    let identity = identity();
    let server = echo(&identity).await;
    for addresses in [["127.0.0.1", "169.254.169.254"], ["10.0.0.1", "127.0.0.1"]] {
        let mut settings = reaching(&server, &identity);
        settings.resolver = Script::new(HOST, &[&addresses]);
        assert!(send(Sends::to(url(&server, "/")), settings).await.is_err());
    }
    assert_eq!(server.connections(), 0);
}

/// Fails when the name is looked up again after the check, as by connecting to the name: the second
/// look-up would lead elsewhere.
#[tokio::test]
async fn a_name_that_changes_its_address_after_the_check_gains_nothing() {
    let identity = identity();
    let server = echo(&identity).await;
    let mut settings = reaching(&server, &identity);
    let resolver = Script::new(HOST, &[&["127.0.0.1"], &["169.254.169.254"]]);
    settings.resolver = resolver.clone();
    assert_eq!(send(Sends::to(url(&server, "/")), settings).await, ok("hello"));
    assert_eq!(*resolver.asked.lock().unwrap(), [HOST], "looked up once");
    // The other way round: the check holds for every new connection.
    let mut settings = reaching(&server, &identity);
    settings.resolver = Script::new(HOST, &[&["169.254.169.254"], &["127.0.0.1"]]);
    assert!(send(Sends::to(url(&server, "/")), settings).await.is_err());
}

/// Fails when anything follows the `Location` of an answer.
#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let identity = identity();
    let other = echo(&identity).await;
    let elsewhere = url(&other, "/stolen");
    let server =
        Server::start(&identity, move |_| Reply::new(302, "moved").header("location", &elsewhere))
            .await;
    let mut settings = reaching(&server, &identity);
    settings.hosts.push(sending::host(HOST, other.address().port()));
    assert_eq!(send(Sends::to(url(&server, "/")), settings).await, ok("moved"));
    assert_eq!(other.connections(), 0);
}

/// Fails when `max_buf_size` or `max_headers` in `connection::connect` is removed.
#[tokio::test]
async fn an_answer_with_too_large_a_head_is_refused() {
    let identity = identity();
    for (fields, length) in [(1, 20_000), (150, 10)] {
        let server = Server::start(&identity, move |_| {
            (0..fields).fold(Reply::new(200, "x"), |reply, number| {
                reply.header(&format!("x-{number}"), &"a".repeat(length))
            })
        })
        .await;
        let result = send(Sends::to(url(&server, "/")), reaching(&server, &identity)).await;
        assert_eq!(result, err("5"), "{fields} fields");
    }
}

/// Fails when one of the two looks at `most` in `client::whole` is removed: the announced length,
/// and the octets as they come.
#[tokio::test]
async fn an_answer_with_too_large_a_body_is_refused_announced_or_not() {
    let identity = identity();
    let limits = HttpLimits { response_bytes: 100, ..HttpLimits::default() };
    for (announced, length) in [(true, 101), (false, 101), (true, 100), (false, 100)] {
        let server = Server::start(&identity, move |_| {
            let reply = Reply::new(200, vec![b'a'; length]);
            if announced { reply } else { reply.dripping(Duration::from_micros(10)) }
        })
        .await;
        let mut settings = reaching(&server, &identity);
        settings.limits = limits.clone();
        let result = send(Sends::to(url(&server, "/")), settings).await;
        let expected = if length > 100 { err("5") } else { ok(&"a".repeat(100)) };
        assert_eq!(result, expected, "announced: {announced}");
    }
}

/// Fails when `timeout_at` in `HttpClient::within` covers the head of the answer only.
#[tokio::test]
async fn a_body_that_drips_ends_in_time_out() {
    let identity = identity();
    let server = Server::start(&identity, |_| {
        Reply::new(200, vec![b'a'; 100]).dripping(Duration::from_millis(100))
    })
    .await;
    // The plug-in's own limit, what the guest asks for, and what is left of the call.
    let begin = Instant::now();
    let mut sends = Sends::to(url(&server, "/"));
    sends.timeout_milliseconds = Some(300);
    let result = send(sends.clone(), reaching(&server, &identity)).await;
    assert_eq!(result, err("4"));
    let mut settings = reaching(&server, &identity);
    settings.limits.time = Duration::from_millis(300);
    sends.timeout_milliseconds = Some(60_000);
    assert_eq!(send(sends.clone(), settings).await, err("4"));
    let bench = Bench::new();
    let plugin = plugin(&bench, &sends, reaching(&server, &identity)).await;
    let mut short = context();
    short.time_left = Some(Duration::from_millis(500));
    assert_eq!(asked_in(&plugin, short).await, err("4"), "the guest could still answer");
    assert!(begin.elapsed() < Duration::from_secs(8));
}

/// Fails when the roots of a plug-in are not the only ones, or the name is not compared.
#[tokio::test]
async fn a_certificate_of_another_root_or_name_is_refused() {
    let (ours, theirs) = (identity(), identity());
    let server = echo(&theirs).await;
    let refused = send(Sends::to(url(&server, "/")), reaching(&server, &ours)).await.unwrap_err();
    assert!(refused.contains("certificate"), "{refused}");
    let other_name = Identity::new(&["DNS:other.example", "IP:127.0.0.1"]);
    let server = echo(&other_name).await;
    let refused =
        send(Sends::to(url(&server, "/")), reaching(&server, &other_name)).await.unwrap_err();
    assert!(refused.contains("not valid for name"), "{refused}");
    assert!(server.received().is_empty());
}

/// Fails when `Target::of` lets `http` through.
#[tokio::test]
async fn plain_http_is_refused() {
    let identity = identity();
    let server = echo(&identity).await;
    let plain = url(&server, "/").replace("https:", "http:");
    let refused = send(Sends::to(plain), reaching(&server, &identity)).await.unwrap_err();
    assert!(refused.contains("only `https`"), "{refused}");
    assert_eq!(server.connections(), 0);
}

/// Fails when `describe` or `validate-settings` may send, or a trial: see `CallState::http_send`.
#[tokio::test]
async fn nothing_is_sent_at_installation_or_in_a_trial() {
    let identity = identity();
    let server = echo(&identity).await;
    let sends = Sends::to(url(&server, "/"));
    // Trap unless the host refuses.
    let check = format!(
        "{} (if (i32.eqz (i32.load8_u (i32.const {}))) (then (unreachable)))",
        sends.call(),
        guests::SCRATCH
    );
    let guest = Guest { describe: check.clone(), validate: check, ..sends.guest() };
    let bench = Bench::new();
    let settings = countersign_sandbox::PluginSettings {
        grants: host::all(),
        http: Some(reaching(&server, &identity)),
        ..countersign_sandbox::PluginSettings::new("hook")
    };
    let plugin = bench.sandbox.load(&bench.component(&guest.build()), &settings).await.unwrap();
    let mut trial = context();
    trial.trial = true;
    assert!(asked_in(&plugin, trial).await.unwrap_err().contains("trial"));
    assert_eq!(server.connections(), 0);
    assert_eq!(asked(&plugin).await, ok("hello"));
}

/// Fails when `Tls::towards` shows the certificate to every host.
#[tokio::test]
async fn a_client_certificate_is_shown_to_its_hosts_only() {
    let (identity, client) = (identity(), Identity::new(&["DNS:countersign.example"]));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::listen(listener, &identity, Some(client.certificate_pem()), |_| {
        Reply::new(200, "welcome")
    });
    let with = |hosts: Vec<HostRule>| {
        let mut settings = reaching(&server, &identity);
        settings.client = Some(ClientIdentity {
            hosts,
            chain_pem: client.certificate_pem().to_vec(),
            key_pem: client.key_pem().to_vec().into(),
        });
        settings
    };
    let granted = with(reaching(&server, &identity).hosts);
    assert_eq!(send(Sends::to(url(&server, "/")), granted).await, ok("welcome"));
    let elsewhere = HostRule { host: HostMatch::Name("other.example".into()), port: 443 };
    assert!(send(Sends::to(url(&server, "/")), with(vec![elsewhere])).await.is_err());
    assert_eq!(server.received().len(), 1);
}

/// Fails when `places` in `HttpClient::within` is not acquired.
#[tokio::test]
async fn requests_at_once_are_bounded_for_each_plug_in() {
    let identity = identity();
    let server = Server::start(&identity, |_| {
        Reply::new(200, vec![b'a'; 40]).dripping(Duration::from_millis(20))
    })
    .await;
    let mut settings = reaching(&server, &identity);
    settings.limits.concurrency = 1;
    settings.limits.time = Duration::from_millis(1200);
    let (bench, sends) = (Bench::new(), Sends::to(url(&server, "/")));
    let plugin = plugin(&bench, &sends, settings).await;
    let (first, second, third) = tokio::join!(asked(&plugin), asked(&plugin), asked(&plugin));
    // Without the bound there are three. A connection may come back a moment too late for the next.
    assert!(server.connections() < 3, "all at once, over {} connections", server.connections());
    let results = [first, second, third];
    assert!(results.iter().any(Result::is_ok));
    let waited = |result: &Result<String, String>| {
        result.as_ref().is_err_and(|error| error.contains("under way"))
    };
    assert!(results.iter().any(waited), "{results:?}");
}

#[tokio::test]
async fn an_address_range_that_is_granted_is_the_range_and_no_more() {
    let identity = identity();
    let server = echo(&identity).await;
    let mut settings = reaching(&server, &identity);
    settings.addresses = vec![AddressRange::new("127.0.0.2".parse().unwrap(), 32).unwrap()];
    assert!(send(Sends::to(url(&server, "/")), settings).await.is_err());
}

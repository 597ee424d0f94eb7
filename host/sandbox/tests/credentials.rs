//! Credentials that the host puts in, and secrets used by reference: what reaches the other side,
//! and what never reaches a plug-in, a log or an error.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    missing_docs,
    reason = "tests may state what they know"
)]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use countersign_sandbox::{
    ClientProof, Credential, CredentialKind, HttpSettings, OAuth2, PluginSecrets, PluginSettings,
    model::{Secret, Verdict},
};
use countersign_stubs::{Identity, Reply, Server};

mod guests;
#[allow(dead_code, reason = "each test file uses its part")]
#[path = "guests/backend.rs"]
mod host;
#[allow(dead_code, reason = "each test file uses its part")]
#[path = "guests/sending.rs"]
mod sending;

use guests::{APPROVE, DENY, Guest, SCRATCH};
use host::{Bench, all, context, memory, request};
use sending::{HOST, Sends, asked, plugin, reaching, send, url};

const TOKEN: &str = "s3cret-token";

fn identity() -> Identity {
    Identity::new(&[&format!("DNS:{HOST}")])
}

/// Answers with nothing: a server that echoed what it got would show the plug-in its credential.
async fn silent(identity: &Identity) -> Server {
    Server::start(identity, |_| Reply::new(200, "ok")).await
}

fn granting(server: &Server, identity: &Identity, kind: CredentialKind) -> HttpSettings {
    let mut settings = reaching(server, identity);
    let credential = Credential { hosts: settings.hosts.clone(), kind };
    settings.credentials.insert("api".into(), credential);
    settings
}

#[tokio::test]
async fn the_host_puts_each_kind_of_credential_in() {
    let identity = identity();
    let secret = || Secret::new(TOKEN);
    let basic = CredentialKind::Basic { username: "ra".into(), password: secret() };
    let header = CredentialKind::Header { name: "X-Api-Key".into(), value: secret() };
    for (kind, field, value) in [
        (CredentialKind::Bearer(secret()), "authorization", "Bearer s3cret-token"),
        (basic, "authorization", "Basic cmE6czNjcmV0LXRva2Vu"),
        (header, "x-api-key", TOKEN),
    ] {
        let server = silent(&identity).await;
        let settings = granting(&server, &identity, kind);
        assert!(!format!("{settings:?}").contains(TOKEN), "Debug shows no secret");
        let sends = Sends::to(url(&server, "/")).auth("api");
        assert_eq!(send(sends, settings).await, Ok("ok".into()));
        assert_eq!(server.received()[0].header(field), Some(value));
    }
}

/// Fails when the look at the credential's hosts in `Loaded::admit` is removed.
#[tokio::test]
async fn a_credential_goes_to_no_host_but_its_own() {
    let identity = identity();
    let server = silent(&identity).await;
    let mut settings = granting(&server, &identity, CredentialKind::Bearer(Secret::new(TOKEN)));
    settings.credentials.get_mut("api").unwrap().hosts = vec![sending::host("api.example", 443)];
    let sends = Sends::to(url(&server, "/")).auth("api");
    let refused = send(sends, settings).await.unwrap_err();
    assert!(refused.contains("[plugin.hook.credentials.api]"), "{refused}");
    assert!(!refused.contains(TOKEN));
    assert_eq!(server.connections(), 0);
}

/// Fails when `Loaded::admit` no longer looks at the request's own fields, or `request::headers` at
/// `with_auth`.
#[tokio::test]
async fn a_request_cannot_bring_the_field_that_the_host_puts_in() {
    let identity = identity();
    let server = silent(&identity).await;
    let header = CredentialKind::Header { name: "x-api-key".into(), value: Secret::new(TOKEN) };
    for (kind, field) in
        [(CredentialKind::Bearer(Secret::new(TOKEN)), "Authorization"), (header, "X-API-Key")]
    {
        let settings = granting(&server, &identity, kind);
        let mut sends = Sends::to(url(&server, "/")).auth("api");
        sends.headers = vec![(field, "mine")];
        assert!(send(sends, settings).await.is_err(), "{field}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_credential_that_is_not_there_is_refused() {
    let identity = identity();
    let server = silent(&identity).await;
    let sends = Sends::to(url(&server, "/")).auth("other");
    let refused = send(sends, reaching(&server, &identity)).await.unwrap_err();
    assert!(refused.contains("no credential `other`"), "{refused}");
}

/// A token server and an API in one. Tokens count up; `good` says which one the API takes.
async fn api(identity: &Identity, good: Arc<AtomicUsize>, expires_in: u64) -> Server {
    let issued = AtomicUsize::new(0);
    Server::start(identity, move |request| {
        if request.path == "/token" {
            let number = issued.fetch_add(1, Ordering::SeqCst) + 1;
            return Reply::json(
                200,
                &serde_json::json!({
                    "access_token": format!("{TOKEN}-{number}"),
                    "token_type": "bearer",
                    "expires_in": expires_in,
                }),
            );
        }
        let good = format!("Bearer {TOKEN}-{}", good.load(Ordering::SeqCst));
        if request.header("authorization") == Some(&good) {
            Reply::new(200, "ok")
        } else {
            Reply::new(401, "who?")
        }
    })
    .await
}

fn oauth(server: &Server, identity: &Identity, proof: ClientProof) -> HttpSettings {
    let kind = CredentialKind::OAuth2(OAuth2 {
        token_url: url(server, "/token").parse().unwrap(),
        client_id: "countersign".into(),
        scope: Some("devices.read".into()),
        proof,
    });
    granting(server, identity, kind)
}

fn by_secret(server: &Server, identity: &Identity) -> HttpSettings {
    oauth(server, identity, ClientProof::Secret(Secret::new("cl1ent-s3cret")))
}

fn tokens_asked(server: &Server) -> usize {
    server.received().iter().filter(|request| request.path == "/token").count()
}

/// Fails when the token is not kept in `TokenSource`, or not forgotten after a 401.
#[tokio::test]
async fn a_token_is_fetched_once_and_anew_after_a_401() {
    let identity = identity();
    let good = Arc::new(AtomicUsize::new(1));
    let server = api(&identity, Arc::clone(&good), 3600).await;
    let (bench, sends) = (Bench::new(), Sends::to(url(&server, "/devices")).auth("api"));
    let plugin = plugin(&bench, &sends, by_secret(&server, &identity)).await;
    for _ in 0..3 {
        assert_eq!(asked(&plugin).await, Ok("ok".into()));
    }
    assert_eq!(tokens_asked(&server), 1);
    let form = String::from_utf8(server.received()[0].body.to_vec()).unwrap();
    let expected = "grant_type=client_credentials&client_id=countersign&scope=devices.read\
                    &client_secret=cl1ent-s3cret";
    assert_eq!(form, expected);
    // The token is revoked: the guest sees a 401, asks again, and gets through.
    good.store(2, Ordering::SeqCst);
    assert_eq!(asked(&plugin).await, Ok("who?".into()));
    assert_eq!(asked(&plugin).await, Ok("ok".into()));
    assert_eq!(tokens_asked(&server), 2);
}

/// Fails when `until` of a token is not looked at.
#[tokio::test]
async fn a_token_that_is_about_to_end_is_not_used() {
    let identity = identity();
    let server = api(&identity, Arc::new(AtomicUsize::new(1)), 0).await;
    let (bench, sends) = (Bench::new(), Sends::to(url(&server, "/devices")).auth("api"));
    let plugin = plugin(&bench, &sends, by_secret(&server, &identity)).await;
    assert_eq!(asked(&plugin).await, Ok("ok".into()));
    assert_eq!(asked(&plugin).await, Ok("who?".into()), "the second token, not the first");
    assert_eq!(tokens_asked(&server), 2);
}

#[tokio::test]
async fn an_assertion_is_signed_with_the_key_for_the_token_end_point() {
    let identity = identity();
    let server = api(&identity, Arc::new(AtomicUsize::new(1)), 3600).await;
    let proof = ClientProof::Assertion {
        key_pem: identity.key_pem().to_vec().into(),
        key_id: Some("key-1".into()),
        certificate_pem: Some(identity.certificate_pem().to_vec()),
    };
    let sends = Sends::to(url(&server, "/devices")).auth("api");
    let settings = oauth(&server, &identity, proof);
    assert_eq!(send(sends, settings).await, Ok("ok".into()));
    let form = server.received()[0].body.clone();
    let form: Vec<(String, String)> = url::form_urlencoded::parse(&form).into_owned().collect();
    let field = |name: &str| form.iter().find(|(found, _)| found == name).unwrap().1.clone();
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    assert_eq!(field("client_assertion_type"), kind);
    let assertion = field("client_assertion");
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    let json = |part: &str| serde_json::from_slice::<serde_json::Value>(&decode(part)).unwrap();
    let (head, claims) = signed.split_once('.').map(|(a, b)| (json(a), json(b))).unwrap();
    assert_eq!((&head["alg"], &head["kid"]), (&"ES256".into(), &"key-1".into()));
    assert_eq!(decode(head["x5t#S256"].as_str().unwrap()).len(), 32);
    assert_eq!(claims["aud"], url(&server, "/token"));
    assert_eq!((&claims["iss"], &claims["sub"]), (&claims["sub"], &"countersign".into()));
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 300);
    let pair = aws_lc_rs::signature::EcdsaKeyPair::from_private_key_der(
        &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        &pkcs8(identity.key_pem()),
    )
    .unwrap();
    use aws_lc_rs::signature::KeyPair as _;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref())
        .verify(signed.as_bytes(), &decode(signature))
        .unwrap();
}

fn pkcs8(pem: &[u8]) -> Vec<u8> {
    use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
    PrivatePkcs8KeyDer::from_pem_slice(pem).unwrap().secret_pkcs8_der().to_vec()
}

/// What the token end point says is not repeated: it may echo the client's secret.
#[tokio::test]
async fn a_token_end_point_that_refuses_is_named_without_its_words() {
    let identity = identity();
    for (status, body) in [
        (401, "cl1ent-s3cret is wrong"),
        (200, "cl1ent-s3cret"),
        (200, r#"{"access_token":"cl1ent-s3cret","token_type":"mac"}"#),
        (200, r#"{"access_token":"","token_type":"bearer"}"#),
    ] {
        let server = Server::start(&identity, move |_| Reply::new(status, body)).await;
        let sends = Sends::to(url(&server, "/devices")).auth("api");
        let refused = send(sends, by_secret(&server, &identity)).await.unwrap_err();
        assert!(!refused.contains("cl1ent"), "{refused}");
        assert!(refused.contains("no token") || refused.contains("empty"), "{refused}");
    }
}

/// `mac` and `matches` through a guest: `test` lies at 0x1000, the secret's name in it.
#[tokio::test]
async fn a_guest_signs_and_compares_with_secrets_it_cannot_see() {
    // verify-mac("test", "guest", 32 bytes returned by mac("test", "guest")).
    let name = "(i32.const 0x1000) (i32.const 4)";
    let message = "(i32.const 0x1005) (i32.const 5)";
    let mac = format!("(call $mac {name} {message} (i32.const {SCRATCH}))");
    let verify = format!(
        "(call $verify-mac {name} {message} (i32.load (i32.const {0})) (i32.load (i32.const {1}))
           (i32.const {2}))",
        SCRATCH + 4,
        SCRATCH + 8,
        SCRATCH + 32
    );
    let body = format!(
        "{mac} {verify}
         (if (result i32)
           (i32.and (i32.eqz (i32.load8_u (i32.const {0}))) (i32.load8_u (i32.const {1})))
           (then (i32.const {APPROVE})) (else (i32.const {DENY})))",
        SCRATCH + 32,
        SCRATCH + 36
    );
    let guest = Guest::verifying(body)
        .importing("secrets", "mac", "(param i32 i32 i32 i32 i32)")
        .importing("secrets", "verify-mac", "(param i32 i32 i32 i32 i32 i32 i32)");
    let bench = Bench::new();
    let component = bench.component(&guest.build());
    let with = |name: &str| PluginSettings {
        grants: all(),
        secrets: PluginSecrets::default().with(name, vec![7; 32].into()),
        ..PluginSettings::new("hook")
    };
    for (secret, approved) in [("test", true), ("other", false)] {
        let plugin = bench.sandbox.load(&component, &with(secret)).await.unwrap();
        let outcome = plugin.verify(context(), request(), memory()).await.unwrap();
        assert_eq!(matches!(outcome.answer, Verdict::Approve(_)), approved, "{secret}");
    }
    let refused = bench.sandbox.load(&component, &PluginSettings::new("hook")).await.unwrap_err();
    assert!(refused.to_string().contains("secrets = [\"NAME\"]"), "{refused}");
}

/// Roots, certificates and credentials that are not right are said at installation, not when the
/// first device comes.
#[tokio::test]
async fn what_cannot_work_is_refused_at_installation_without_its_secrets() {
    let identity = identity();
    let server = silent(&identity).await;
    let bench = Bench::new();
    let component = bench.component(&Sends::to(url(&server, "/")).guest().build());
    let mut no_roots = reaching(&server, &identity);
    no_roots.roots_pem = b"nothing".to_vec();
    let header = |name: &str, value: &str| CredentialKind::Header {
        name: name.into(),
        value: Secret::new(value),
    };
    for settings in [
        no_roots,
        granting(&server, &identity, header("bad name", TOKEN)),
        granting(&server, &identity, header("x-key", "s3cret\r\nhost: evil")),
        granting(&server, &identity, CredentialKind::Bearer(Secret::new(""))),
        oauth(
            &server,
            &identity,
            ClientProof::Assertion {
                key_pem: b"s3cret".to_vec().into(),
                key_id: None,
                certificate_pem: None,
            },
        ),
    ] {
        let settings =
            PluginSettings { grants: all(), http: Some(settings), ..PluginSettings::new("hook") };
        let refused = bench.sandbox.load(&component, &settings).await.unwrap_err().to_string();
        assert!(refused.contains("`hook` cannot use `http`"), "{refused}");
        assert!(!refused.contains("s3cret"), "{refused}");
    }
}

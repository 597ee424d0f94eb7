//! The plug-in `signed-challenge`: a device enrols because it brings a token that its management
//! signed, under published keys or a shared secret.

use std::time::{SystemTime, UNIX_EPOCH};

use countersign_profile::Csr;
use countersign_scep::client::{DeviceKey, KeySize};
use countersign_stubs::{DeviceApi, DeviceApiServer, Identity, TokenSigner};
use countersign_tests::{Answer, Device, Installation, Plugin, Profile, component, csr};
use serde_json::{Value, json};

const NAMES: [&str; 2] = ["CN=device-17", "DNS:device-17.example"];
const PROFILE: &str = "signed";
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// An installation whose tokens are verified with `settings`, and the server that publishes keys.
async fn with(settings: &str, api: DeviceApi) -> (Installation, DeviceApiServer) {
    let identity = Identity::new(&["DNS:localhost"]);
    let api = api.start(&identity).await;
    let url = format!("https://localhost:{}/jwks.json", api.server().address().port());
    let sections = format!(
        "[settings]\n{}\n\
         [grants]\nlog = true\nkv = true\nhosts = [\"localhost:{}\"]\n\
         addresses = [\"127.0.0.0/8\", \"::1\"]\nsecrets = [\"challenge-key\"]\n\
         [http]\nroots = \"keys/api.pem\"\n\
         [secrets.challenge-key]\nvalue = \"file:secrets/challenge.key\"\nencoding = \"raw\"\n",
        settings.replace("JWKS-URL", &url),
        api.server().address().port(),
    );
    let mut installation = Installation::builder()
        .plugin(Plugin::new("signed", component("signed-challenge"), &sections))
        .profile(Profile::named(PROFILE).verifiers(&["signed"]))
        .prepare()
        .await;
    std::fs::write(installation.file("keys/api.pem"), identity.certificate_pem()).unwrap();
    let key = installation.file("secrets/challenge.key");
    std::fs::write(&key, SECRET).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&key, mode).unwrap();
    installation.start_all().await;
    (installation, api)
}

const PUBLISHED: &str = "algorithms = [\"ES256\"]\njwks-url = \"JWKS-URL\"\nissuer = \"mdm\"\n\
                         jwks-min-interval-seconds = 3600\njwks-max-age-seconds = 3600\n";

fn claims(id: &str) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    json!({
        "iss": "mdm", "aud": PROFILE, "iat": now, "exp": now + 600, "jti": id,
        "sub": "17", "names": NAMES,
    })
}

async fn denial(installation: &Installation) -> String {
    let denied = installation.wait_for_ledger("denied", 1).await;
    denied[0]["body"]["code"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_enrols_with_a_token_that_its_management_signed() {
    let signer = TokenSigner::es256("1");
    let (installation, api) = with(PUBLISHED, DeviceApi::new().key(signer.jwk())).await;
    let token = signer.token(&claims("t-1"));
    let device = Device::new(&NAMES, Some(&token));
    let first = installation.enrol(PROFILE, &device).await.issued();
    assert_eq!(
        installation.enrol(PROFILE, &device).await.issued(),
        first,
        "the same request again"
    );

    // Another device finds the keys that were kept, and an admin finds which token it was.
    let next = signer.token(&claims("t-2"));
    let _ = installation.enrol(PROFILE, &Device::new(&NAMES, Some(&next))).await.issued();
    assert_eq!(api.key_fetches(), 1);
    let signed = installation.ledger_of("signed").await;
    let entry = signed[0].to_string();
    assert!(entry.contains("token-id") && entry.contains("t-1"), "{entry}");
    assert!(!installation.logs().contains(&token) && !entry.contains(&token));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_for_one_request_and_its_names() {
    let signer = TokenSigner::es256("1");
    let (installation, api) = with(PUBLISHED, DeviceApi::new().key(signer.jwk())).await;
    let token = signer.token(&claims("t-1"));
    // Of another device: refused, and nothing burnt.
    let thief = Device::new(&["CN=device-18", "DNS:device-18.example"], Some(&token));
    assert!(installation.enrol(PROFILE, &thief).await.is_refused_without_reason());
    let _ = installation.enrol(PROFILE, &Device::new(&NAMES, Some(&token))).await.issued();
    let second = Device::new(&NAMES, Some(&token));
    assert!(installation.enrol(PROFILE, &second).await.is_refused_without_reason());
    // Of strangers: their tokens have nobody asked.
    let fetched = api.key_fetches();
    for kid in ["1", "2"] {
        let stranger = TokenSigner::es256(kid).token(&claims("s"));
        let device = Device::new(&NAMES, Some(&stranger));
        assert!(installation.enrol(PROFILE, &device).await.is_refused_without_reason());
    }
    assert_eq!(api.key_fetches(), fetched);
    assert_eq!(installation.signatures().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_cannot_be_had_make_the_device_come_again() {
    let signer = TokenSigner::es256("1");
    let (installation, api) = with(PUBLISHED, DeviceApi::new().key(signer.jwk())).await;
    api.fail_keys(1);
    let device = Device::new(&NAMES, Some(&signer.token(&claims("t-1"))));
    match installation.enrol(PROFILE, &device).await {
        Answer::Http(reply) => assert_eq!(reply.status, 503),
        other => panic!("expected 503, found {other:?}"),
    }
    let _ = installation.enrol(PROFILE, &device).await.issued();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_under_a_shared_secret_is_good_for_the_key_that_it_names() {
    let settings = "algorithms = [\"HS256\"]\nrequire-key-binding = true\n";
    let (installation, api) = with(settings, DeviceApi::new()).await;
    let signer = TokenSigner::Hs256(SECRET.to_vec());
    let key = DeviceKey::generate(KeySize::Rsa2048).unwrap();
    let probe = csr(&key, &NAMES, None);
    let spki = Csr::parse(&probe).unwrap().public_key().spki_sha256();
    use base64::Engine as _;
    let thumbprint = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(spki);
    let mut bound = claims("t-1");
    bound["cnf"] = json!({ "spki#S256": thumbprint });
    let token = signer.token(&bound);

    let thief = Device::new(&NAMES, Some(&token));
    assert!(installation.enrol(PROFILE, &thief).await.is_refused_without_reason());
    assert_eq!(denial(&installation).await, "token-other-key");
    let device = Device::with_key(key, &NAMES, Some(&token));
    let _ = installation.enrol(PROFILE, &device).await.issued();
    assert_eq!(api.key_fetches(), 0);
}

//! What the plug-in answers, natively, on the SDK's mock of the host, with real signatures.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may state what they know"
)]

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, KeyPair as _, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use countersign_plugin_signed_challenge::{KEY, Settings, SignedChallenge};
use countersign_sdk::{
    DenialCode, HttpResponse, KeyAlgorithm, Name, NotApproved, Request, RequestKind, Verdict,
    Vouched, mock,
};
use serde_json::{Value, json};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const URL: &str = "https://mdm.example/jwks.json";
/// The mock's clock.
const NOW: u64 = 1_767_225_600;

fn mac(message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), message).as_ref().to_vec()
}

fn prepare(host: &mock::Host) {
    host.answer_mac(|secret, message| (secret == KEY).then(|| mac(message)));
}

fn host() -> mock::Host {
    let host = mock::Host::new();
    prepare(&host);
    host
}

/// The device management: it signs.
enum Signer {
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
    Hs256,
}

impl Signer {
    fn es256() -> Self {
        let algorithm = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        Self::Es256(EcdsaKeyPair::generate(algorithm).unwrap())
    }

    fn rs256(size: KeySize) -> Self {
        Self::Rs256(RsaKeyPair::generate(size).unwrap())
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Es256(_) => "ES256",
            Self::Rs256(_) => "RS256",
            Self::Hs256 => "HS256",
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Es256(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Rs256(key) => {
                let mut made = vec![0; key.public_modulus_len()];
                key.sign(&signature::RSA_PKCS1_SHA256, &random, message, &mut made).unwrap();
                made
            }
            Self::Hs256 => mac(message),
        }
    }

    fn jwk(&self, id: &str) -> Value {
        match self {
            Self::Es256(key) => {
                let point = key.public_key().as_ref();
                let (x, y) = (BASE64.encode(&point[1..33]), BASE64.encode(&point[33..]));
                json!({ "kty": "EC", "crv": "P-256", "kid": id, "x": x, "y": y })
            }
            Self::Rs256(key) => {
                let modulus = key.public_key().modulus().big_endian_without_leading_zero();
                json!({ "kty": "RSA", "kid": id, "n": BASE64.encode(modulus), "e": "AQAB" })
            }
            Self::Hs256 => panic!("a secret is not published"),
        }
    }

    fn token(&self, id: &str, claims: &Value) -> String {
        let header = json!({ "alg": self.name(), "kid": id }).to_string();
        let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims.to_string()));
        let signature = BASE64.encode(self.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

fn claims(id: &str) -> Value {
    json!({
        "iss": "mdm", "aud": "laptops", "iat": NOW - 60, "exp": NOW + 3000, "jti": id,
        "sub": "17", "names": ["CN=device-17"],
    })
}

fn settings(value: Value) -> Settings {
    serde_json::from_value(value).unwrap()
}

fn with_keys(keys: &[Value], algorithm: &str) -> Settings {
    settings(json!({ "algorithms": [algorithm], "jwks": { "keys": keys } }))
}

fn request(token: impl Into<String>) -> Request {
    mock::request("laptops").common_name("device-17").challenge(token).build()
}

fn ask(settings: &Settings, token: impl Into<String>) -> Verdict {
    host().verify::<SignedChallenge>(settings, &request(token))
}

fn code(verdict: Verdict) -> String {
    match verdict {
        Err(NotApproved::Deny(denial)) => denial.code.as_str().to_owned(),
        other => panic!("expected a denial, found {other:?}"),
    }
}

#[test]
fn golden_cases() -> Result<(), mock::CaseFailures> {
    mock::run_cases_on::<SignedChallenge>("cases", prepare)
}

#[test]
fn rsa_keys_of_every_size_that_is_taken_verify() {
    for size in [KeySize::Rsa2048, KeySize::Rsa3072, KeySize::Rsa4096] {
        let signer = Signer::rs256(size);
        let settings = with_keys(&[signer.jwk("1")], "RS256");
        assert!(ask(&settings, signer.token("1", &claims("a"))).is_ok(), "{size:?}");
        let other = Signer::rs256(size).token("1", &claims("a"));
        assert_eq!(code(ask(&settings, other)), "token-signature", "{size:?}");
    }
}

/// Fails when the padding is parsed in the place of being compared, or when a signature is taken that
/// is not below the modulus.
#[test]
fn rsa_signatures_that_are_nearly_right_are_wrong() {
    let signer = Signer::rs256(KeySize::Rsa2048);
    let settings = with_keys(&[signer.jwk("1")], "RS256");
    let token = signer.token("1", &claims("a"));
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let right = BASE64.decode(signature).unwrap();
    let with = |signature: &[u8]| format!("{signed}.{}", BASE64.encode(signature));
    assert!(ask(&settings, with(&right)).is_ok());
    let mut longer = right.clone();
    longer.insert(0, 0);
    let modulus = BASE64.decode(signer.jwk("1")["n"].as_str().unwrap()).unwrap();
    let mut of_sha512 = vec![0; 256];
    let Signer::Rs256(key) = &signer else { unreachable!() };
    let random = SystemRandom::new();
    key.sign(&signature::RSA_PKCS1_SHA512, &random, signed.as_bytes(), &mut of_sha512).unwrap();
    let mut pss = vec![0; 256];
    key.sign(&signature::RSA_PSS_SHA256, &random, signed.as_bytes(), &mut pss).unwrap();
    for (what, wrong) in [
        ("a zero in front", longer),
        ("its first byte missing", right[1..].to_vec()),
        ("all zero", vec![0; 256]),
        ("one", [vec![0; 255], vec![1]].concat()),
        ("the modulus", modulus),
        ("all ones", vec![0xff; 256]),
        ("another digest", of_sha512),
        ("PSS", pss),
        ("nothing", Vec::new()),
    ] {
        assert_eq!(code(ask(&settings, with(&wrong))), "token-signature", "{what}");
    }
}

/// Fails when a part of the token is not covered by the signature, or is read in two ways.
#[test]
fn no_character_of_a_token_can_be_changed() {
    let (ec, hs) = (Signer::es256(), Signer::Hs256);
    for (signer, settings) in [
        (&ec, with_keys(&[ec.jwk("1")], "ES256")),
        (&hs, settings(json!({ "algorithms": ["HS256"] }))),
    ] {
        let token = signer.token("1", &claims("a"));
        assert!(ask(&settings, token.as_str()).is_ok());
        for index in 0..token.len() {
            let other = if &token[index..=index] == "A" { "B" } else { "A" };
            let changed = format!("{}{other}{}", &token[..index], &token[index + 1..]);
            let verdict = ask(&settings, changed);
            assert!(matches!(verdict, Err(NotApproved::Deny(_))), "{index}: {verdict:?}");
        }
        for end in 0..token.len() {
            assert!(ask(&settings, &token[..end]).is_err(), "cut at {end}");
        }
    }
}

#[test]
fn a_token_that_is_too_long_is_not_looked_at() {
    let settings = settings(json!({ "algorithms": ["HS256"] }));
    let mut long = claims("a");
    long["fill"] = "x".repeat(13_000).into();
    let token = Signer::Hs256.token("1", &long);
    assert!(token.len() > 16 * 1024, "{}", token.len());
    assert_eq!(code(ask(&settings, token)), "token-malformed");
    assert_eq!(code(ask(&settings, "[".repeat(16 * 1024))), "token-malformed");
    // Nesting that would overflow a stack is no JSON object here.
    let nested = format!("{}.e30.AA", BASE64.encode("[".repeat(9000)));
    assert_eq!(code(ask(&settings, nested)), "token-malformed");
}

#[test]
fn no_setting_approves_a_request_without_a_token_or_of_an_unknown_kind() {
    let settings = settings(json!({ "algorithms": ["HS256"] }));
    let host = host();
    let without = mock::request("laptops").common_name("device-17").build();
    assert_eq!(code(host.verify::<SignedChallenge>(&settings, &without)), "challenge-missing");
    let token = Signer::Hs256.token("1", &claims("a"));
    let kind = RequestKind::Other("transfer".into());
    let unknown = mock::request("laptops").common_name("d").challenge(token).kind(kind).build();
    assert_eq!(code(host.verify::<SignedChallenge>(&settings, &unknown)), "not-supported");
}

#[test]
fn a_bound_token_is_good_for_its_key_only() {
    let settings = settings(json!({ "algorithms": ["HS256"], "require-key-binding": true }));
    let mut bound = claims("a");
    bound["cnf"] = json!({ "spki#S256": BASE64.encode([9; 32]) });
    let token = Signer::Hs256.token("1", &bound);
    let with_key = |key| {
        let request = mock::request("laptops").common_name("device-17").challenge(&token);
        host().verify::<SignedChallenge>(
            &settings,
            &request.key(KeyAlgorithm::EcP256, 256, key).build(),
        )
    };
    let approval = with_key([9; 32]).unwrap();
    assert_eq!(approval.vouched(), &Vouched::Names(vec![Name::common_name("device-17")]));
    assert_eq!(code(with_key([8; 32])), "token-other-key");
}

/// Fails when a stranger's token makes us ask while the keys are young.
#[test]
fn strangers_do_not_make_us_hammer_the_device_management() {
    let signer = Signer::es256();
    let settings = settings(json!({
        "algorithms": ["ES256"], "jwks-url": URL, "issuer": "mdm",
        "jwks-min-interval-seconds": 300, "jwks-max-age-seconds": 900,
    }));
    let host = host();
    let set = json!({ "keys": [signer.jwk("1")] }).to_string();
    host.answer_http(move |_| Ok(HttpResponse::new(200, set.as_str())));
    let good = request(signer.token("1", &claims("good")));
    assert!(host.verify::<SignedChallenge>(&settings, &good).is_ok());
    let stranger = Signer::es256();
    for number in 0..50 {
        for kid in ["1", "9"] {
            let token = stranger.token(kid, &claims(&format!("s-{number}")));
            assert!(host.verify::<SignedChallenge>(&settings, &request(token)).is_err());
        }
    }
    assert_eq!(host.http_requests().len(), 1, "asked once, for the good token");
    // Too old to be trusted, and still none of the strangers' business.
    host.set_now(host.now() + std::time::Duration::from_secs(1000));
    for number in 0..50 {
        let token = stranger.token("1", &claims(&format!("t-{number}")));
        assert_eq!(
            code(host.verify::<SignedChallenge>(&settings, &request(token))),
            "token-signature"
        );
    }
    assert_eq!(host.http_requests().len(), 1);
    let next = request(signer.token("1", &claims("next")));
    assert!(host.verify::<SignedChallenge>(&settings, &next).is_ok());
    assert_eq!(host.http_requests().len(), 2);
}

#[test]
fn no_token_shows_in_a_denial_or_in_the_log() {
    let signer = Signer::es256();
    let settings = with_keys(&[Signer::es256().jwk("1")], "ES256");
    let host = host();
    let token = signer.token("1", &claims("a"));
    let verdict = host.verify::<SignedChallenge>(&settings, &request(token.as_str()));
    let shown = format!("{verdict:?} {:?}", host.log());
    for part in token.split('.') {
        assert!(!shown.contains(part), "{shown}");
    }
    // A stranger's words come escaped and cut.
    let header = json!({ "alg": format!("\n\u{1b}[2J{}", "x".repeat(500)) }).to_string();
    let forged = format!("{}.e30.AA", BASE64.encode(header));
    let Err(NotApproved::Deny(denial)) = ask(&settings, forged) else { panic!() };
    assert_eq!(denial.code, DenialCode::Other("token-not-permitted".into()));
    assert!(denial.detail.len() < 300 && !denial.detail.contains(char::is_control));
}

#[test]
fn every_setting_has_a_description() {
    let schema = mock::Host::new().settings_schema::<SignedChallenge>();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["required"], json!(["algorithms"]));
    for (name, property) in schema["properties"].as_object().unwrap() {
        assert!(property["description"].is_string(), "{name}");
    }
}

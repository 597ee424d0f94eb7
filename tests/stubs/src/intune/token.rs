//! Entra's token end point (OAuth 2.0 client credentials).

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use super::{IntuneTenant, State};
use crate::{Identity, Received, Reply};

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Graph,
    Intune,
}

/// The tokens that were given out and are still good.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    good: BTreeMap<String, Scope>,
    given: usize,
}

impl Tokens {
    pub(super) fn is_good(&self, token: &str, scope: Scope) -> bool {
        self.good.get(token) == Some(&scope)
    }

    pub(super) fn given(&self) -> usize {
        self.given
    }

    pub(super) fn expire(&mut self) {
        self.good.clear();
    }

    fn give(&mut self, scope: Scope) -> String {
        let mut octets = [0; 16];
        aws_lc_rs::rand::fill(&mut octets).expect("random octets");
        let token = format!("stub-{}", hex::encode(octets));
        self.good.insert(token.clone(), scope);
        self.given += 1;
        token
    }
}

impl IntuneTenant {
    pub(super) fn token(&self, request: &Received, url: &str, state: &mut State) -> Reply {
        let refused = |error: &str| Reply::json(401, &json!({ "error": error }));
        let form = form(&request.body);
        let field = |name: &str| form.get(name).map_or("", String::as_str);
        if field("grant_type") != "client_credentials" {
            return Reply::json(400, &json!({ "error": "unsupported_grant_type" }));
        }
        if field("client_id") != self.client_id {
            return refused("unauthorized_client");
        }
        let is_client = match (form.get("client_secret"), form.get("client_assertion")) {
            (Some(secret), None) => *secret == self.secret,
            (None, Some(assertion)) => self.proves(field("client_assertion_type"), assertion, url),
            _ => false,
        };
        if !is_client {
            return refused("invalid_client");
        }
        let scope = match field("scope") {
            "https://graph.microsoft.com/.default" => Scope::Graph,
            // The library of Microsoft's joins a URL that ends in a slash and `/.default`.
            "https://api.manage.microsoft.com//.default" => Scope::Intune,
            _ => return Reply::json(400, &json!({ "error": "invalid_scope" })),
        };
        let token = state.tokens.give(scope);
        Reply::json(
            200,
            &json!({ "token_type": "Bearer", "expires_in": 3599, "access_token": token }),
        )
    }

    /// RFC 7523 §3.
    fn proves(&self, kind: &str, assertion: &str, url: &str) -> bool {
        let Some(key) = &self.assertion_key else { return false };
        let Some((signed, signature)) = assertion.rsplit_once('.') else { return false };
        let Some((head, claims)) = signed.split_once('.') else { return false };
        let (Some(head), Some(claims)) = (part(head), part(claims)) else { return false };
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        kind == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            && head["alg"] == "ES256"
            && head["x5t#S256"].is_string()
            && key.verify(signed.as_bytes(), &signature).is_ok()
            && claims["iss"] == self.client_id.as_str()
            && claims["sub"] == self.client_id.as_str()
            && claims["aud"] == url
            && claims["exp"].as_u64().is_some_and(|end| end > now)
    }
}

/// The point of an identity's P-256 key.
pub(super) fn public_point(identity: &Identity) -> Vec<u8> {
    let key = PrivatePkcs8KeyDer::from_pem_slice(identity.key_pem()).expect("a PKCS#8 key");
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.secret_pkcs8_der());
    pair.expect("a P-256 key").public_key().as_ref().to_vec()
}

fn part(text: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// `application/x-www-form-urlencoded`.
fn form(body: &[u8]) -> BTreeMap<String, String> {
    let body = String::from_utf8_lossy(body);
    let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

fn decoded(text: &str) -> String {
    let (mut octets, mut rest) = (Vec::new(), text.bytes());
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'+' => b' ',
            b'%' => {
                let digits: Vec<u8> = rest.by_ref().take(2).collect();
                hex::decode(digits).ok().and_then(|one| one.first().copied()).unwrap_or(b'?')
            }
            other => other,
        });
    }
    String::from_utf8_lossy(&octets).into_owned()
}

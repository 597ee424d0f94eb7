//! A device management with an HTTP API and published keys: what the plug-ins `rules`,
//! `managed-renewal` and `signed-challenge` speak to. It answers `GET /devices/<id>` with a record and
//! `GET /jwks.json` with a JSON Web Key Set, and signs tokens as such a management would.
//!
//! An id says how it is to behave: `stub:401`, `stub:429`, `stub:500`, `stub:slow`, `stub:truncated`,
//! `stub:html`; so a test reads like a story. It shares no code with the plug-ins.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{Identity, Received, Reply, Server};

/// What the device management knows.
#[derive(Debug, Clone, Default)]
pub struct DeviceApi {
    devices: BTreeMap<String, Value>,
    keys: Vec<Value>,
    bearer: Option<String>,
}

impl DeviceApi {
    /// One that knows nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Knows a device by this id.
    #[must_use]
    pub fn device(mut self, id: &str, record: Value) -> Self {
        self.devices.insert(id.to_owned(), record);
        self
    }

    /// Publishes a key.
    #[must_use]
    pub fn key(mut self, jwk: Value) -> Self {
        self.keys.push(jwk);
        self
    }

    /// Answers about devices only to whoever brings this token.
    #[must_use]
    pub fn bearer(mut self, token: &str) -> Self {
        self.bearer = Some(token.to_owned());
        self
    }

    /// Listens on 127.0.0.1 at a free port.
    pub async fn start(self, identity: &Identity) -> DeviceApiServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        self.listen(listener, identity)
    }

    /// Listens where it is told.
    pub fn listen(self, listener: TcpListener, identity: &Identity) -> DeviceApiServer {
        let state = Arc::new(Mutex::new(State { api: self, ..State::default() }));
        let seen = Arc::clone(&state);
        let server =
            Server::listen(listener, identity, None, move |request| lock(&seen).answer(request));
        DeviceApiServer { server, state }
    }
}

#[derive(Debug, Default)]
struct State {
    api: DeviceApi,
    asked: Vec<String>,
    refused: Vec<&'static str>,
    key_fetches: usize,
    keys_fail: u32,
}

impl State {
    fn answer(&mut self, request: &Received) -> Reply {
        if request.method != "GET" {
            self.refused.push("another method than GET");
            return Reply::new(405, "").header("allow", "GET");
        }
        let path = request.path.split('?').next().unwrap_or_default();
        if path == "/jwks.json" {
            return self.keys();
        }
        let Some(id) = path.strip_prefix("/devices/").filter(|id| !id.contains('/')) else {
            self.refused.push("another path");
            return Reply::new(404, "");
        };
        let id = decoded(id);
        if let Some(token) = &self.api.bearer
            && request.header("authorization") != Some(&format!("Bearer {token}"))
        {
            self.refused.push("no token, or another");
            return Reply::json(401, &json!({ "error": "invalid_token" }));
        }
        self.asked.push(id.clone());
        match id.as_str() {
            "stub:401" => Reply::json(401, &json!({ "error": "invalid_token" })),
            "stub:429" => Reply::new(429, "").header("retry-after", "7"),
            "stub:500" => Reply::new(500, "oops"),
            "stub:slow" => Reply::new(200, r#"{"state":"managed"}"#.repeat(1000))
                .dripping(Duration::from_millis(100)),
            "stub:truncated" => Reply::new(200, r#"{"state":"mana"#),
            "stub:html" => Reply::new(200, "<html>Sign in</html>"),
            id => match self.api.devices.get(id) {
                Some(record) => Reply::json(200, record),
                None => Reply::json(404, &json!({ "error": "no such device" })),
            },
        }
    }

    fn keys(&mut self) -> Reply {
        self.key_fetches += 1;
        if self.keys_fail > 0 {
            self.keys_fail -= 1;
            return Reply::new(503, "").header("retry-after", "7");
        }
        Reply::json(200, &json!({ "keys": self.api.keys }))
    }
}

/// A device management that listens; it ends when this is dropped.
#[derive(Debug)]
pub struct DeviceApiServer {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl DeviceApiServer {
    /// The server under it.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Ids that it was asked about, in order, with the right token.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        lock(&self.state).asked.clone()
    }

    /// Why requests were refused.
    #[must_use]
    pub fn refused(&self) -> Vec<&'static str> {
        lock(&self.state).refused.clone()
    }

    /// How often the keys were fetched.
    #[must_use]
    pub fn key_fetches(&self) -> usize {
        lock(&self.state).key_fetches
    }

    /// Knows a device otherwise from now on.
    pub fn set(&self, id: &str, record: Value) {
        lock(&self.state).api.devices.insert(id.to_owned(), record);
    }

    /// Does not know a device any more.
    pub fn forget(&self, id: &str) {
        lock(&self.state).api.devices.remove(id);
    }

    /// Publishes these keys and no others.
    pub fn publish(&self, keys: Vec<Value>) {
        lock(&self.state).api.keys = keys;
    }

    /// Answers the next so many requests for keys with 503.
    pub fn fail_keys(&self, requests: u32) {
        lock(&self.state).keys_fail = requests;
    }
}

/// What a device management signs tokens with.
#[derive(Debug)]
pub enum TokenSigner {
    /// ES256, with the `kid`.
    Es256(EcdsaKeyPair, String),
    /// HS256, under a shared secret.
    Hs256(Vec<u8>),
}

impl TokenSigner {
    /// A new P-256 key of this `kid`.
    ///
    /// # Panics
    /// Where there are no random numbers.
    #[must_use]
    pub fn es256(kid: &str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a new key");
        Self::Es256(key, kid.to_owned())
    }

    /// The public key, to be published.
    ///
    /// # Panics
    /// For a secret.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let Self::Es256(key, kid) = self else { panic!("a secret is not published") };
        let point = key.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        json!({ "kty": "EC", "crv": "P-256", "use": "sig", "kid": kid, "x": x, "y": y })
    }

    /// A token of these claims.
    ///
    /// # Panics
    /// Where there are no random numbers.
    #[must_use]
    pub fn token(&self, claims: &Value) -> String {
        let header = match self {
            Self::Es256(_, kid) => json!({ "alg": "ES256", "kid": kid }),
            Self::Hs256(_) => json!({ "alg": "HS256" }),
        };
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = match self {
            Self::Es256(key, _) => key
                .sign(&SystemRandom::new(), signed.as_bytes())
                .expect("a signature")
                .as_ref()
                .to_vec(),
            Self::Hs256(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&key, signed.as_bytes()).as_ref().to_vec()
            }
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The percent-encoding undone.
fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let hex = (*first == b'%').then(|| after.get(..2)).flatten();
        match hex.and_then(|digits| hex::decode(digits).ok()) {
            Some(byte) => {
                bytes.extend(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

//! The other end of the plug-in `webhook`: a receiver that checks signatures as step-ca's receivers
//! do, and as the format `countersign` demands. It shares no code with the plug-in: what both sides
//! agree on, they agree on twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{Identity, Received, Reply, Server};

/// How far the sender's clock may be from ours, in seconds.
const WINDOW: u64 = 300;

/// A device that the receiver knows.
#[derive(Debug, Clone, Default)]
pub struct KnownDevice {
    /// Names in Countersign's text form: `CN=device-17`, `DNS:device-17.example`.
    pub names: Vec<String>,
    /// In the words of its management.
    pub device_id: Option<String>,
}

/// What the receiver knows, and how it is to behave.
#[derive(Debug, Clone, Default)]
pub struct Receiver {
    id: String,
    key: Vec<u8>,
    devices: BTreeMap<String, KnownDevice>,
    failures: u32,
    unsigned: bool,
    delay: Duration,
}

impl Receiver {
    /// One for a webhook of this id, with this key.
    pub fn new(id: &str, key: impl Into<Vec<u8>>) -> Self {
        Self { id: id.to_owned(), key: key.into(), ..Self::default() }
    }

    /// Allows whoever brings this challenge, as a device of these names.
    #[must_use]
    pub fn allow(mut self, challenge: &str, device_id: &str, names: &[&str]) -> Self {
        let device = KnownDevice {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            device_id: Some(device_id.to_owned()),
        };
        self.devices.insert(challenge.to_owned(), device);
        self
    }

    /// Answers the first so many requests with 503.
    #[must_use]
    pub fn failing_first(mut self, requests: u32) -> Self {
        self.failures = requests;
        self
    }

    /// Header fields of an event with this body, signed as the plug-in wants it.
    #[must_use]
    pub fn event_headers(&self, body: &str) -> [(&'static str, String); 2] {
        let timestamp = now().to_string();
        let signed = format!("countersign-webhook-1 event\n{}\n{timestamp}\n{body}", self.id);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.key);
        let tag = hex::encode(hmac::sign(&key, signed.as_bytes()));
        [("countersign-timestamp", timestamp), ("countersign-signature", format!("v1={tag}"))]
    }

    /// Answers everything so much later, as a service far away does.
    #[must_use]
    pub fn answering_after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Signs no answer, as somebody without the key would.
    #[must_use]
    pub fn unsigned(mut self) -> Self {
        self.unsigned = true;
        self
    }

    /// Listens on 127.0.0.1 at a free port.
    pub async fn start(self, identity: &Identity) -> WebhookReceiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        self.listen(listener, identity)
    }

    /// Listens where it is told.
    pub fn listen(self, listener: TcpListener, identity: &Identity) -> WebhookReceiver {
        let state = Arc::new(Mutex::new(State { failures: self.failures, ..State::default() }));
        let (receiver, seen) = (Arc::new(self), Arc::clone(&state));
        let server = Server::listen(listener, identity, None, move |request| {
            receiver.answer(request, &mut lock(&seen)).after(receiver.delay)
        });
        WebhookReceiver { server, state }
    }

    fn answer(&self, request: &Received, state: &mut State) -> Reply {
        if state.failures > 0 {
            state.failures -= 1;
            return Reply::new(503, "");
        }
        let nonce = match self.check(request, state) {
            Ok(nonce) => nonce,
            Err(why) => {
                state.refused.push(why.to_owned());
                return Reply::json(401, &json!({ "message": why }));
            }
        };
        let body: Value = match serde_json::from_slice(&request.body) {
            Ok(body) => body,
            Err(_) => return Reply::new(400, ""),
        };
        if let Some(results) = body["countersign"]["results"].as_array() {
            state.settled.extend(results.iter().cloned());
            return self.sign(&json!({ "allow": true }), nonce.as_deref());
        }
        let is_notice =
            body.get("x509Certificate").is_some() || body.get("scepErrorCode").is_some();
        let answer = if is_notice {
            state.notices.push(Notice {
                idempotency_key: request.header("idempotency-key").unwrap_or_default().to_owned(),
                body: body.clone(),
            });
            json!({ "allow": true })
        } else {
            self.judge(&body)
        };
        state.bodies.push(body);
        self.sign(&answer, nonce.as_deref())
    }

    fn judge(&self, body: &Value) -> Value {
        let challenge = body["scepChallenge"].as_str().unwrap_or_default();
        match self.devices.get(challenge) {
            Some(device) => json!({
                "allow": true,
                "data": { "names": device.names, "deviceId": device.device_id },
            }),
            None => json!({
                "allow": false,
                "error": { "code": "unknown-challenge", "message": "no device has this challenge" },
            }),
        }
    }

    /// The nonce to sign for, in the stronger format.
    fn check(&self, request: &Received, state: &mut State) -> Result<Option<String>, &'static str> {
        let hex_tag = |text: &str| hex::decode(text).map_err(|_| "a signature that is not hex");
        if let Some(signature) = request.header("x-smallstep-signature") {
            if request.header("x-smallstep-webhook-id") != Some(&self.id) {
                return Err("another webhook");
            }
            self.verify(&request.body, &hex_tag(signature)?)?;
            return Ok(None);
        }
        let field = |name| request.header(name).ok_or("no signature");
        let (id, timestamp) = (field("countersign-webhook-id")?, field("countersign-timestamp")?);
        let (nonce, host) = (field("countersign-nonce")?, field("host")?);
        let signature =
            field("countersign-signature")?.strip_prefix("v1=").ok_or("another version")?;
        if id != self.id {
            return Err("another webhook");
        }
        let address = format!("https://{host}{}", request.path);
        let head =
            format!("countersign-webhook-1 request\n{id}\n{address}\n{timestamp}\n{nonce}\n");
        self.verify(&[head.as_bytes(), &request.body].concat(), &hex_tag(signature)?)?;
        let sent: u64 = timestamp.parse().map_err(|_| "a time stamp that is no number")?;
        if sent.abs_diff(now()) > WINDOW {
            return Err("too old");
        }
        if !state.nonces.insert(nonce.to_owned()) {
            return Err("seen before");
        }
        Ok(Some(nonce.to_owned()))
    }

    fn verify(&self, message: &[u8], tag: &[u8]) -> Result<(), &'static str> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.key);
        hmac::verify(&key, message, tag).map_err(|_| "a wrong signature")
    }

    fn sign(&self, answer: &Value, nonce: Option<&str>) -> Reply {
        let reply = Reply::json(200, answer);
        let Some(nonce) = nonce.filter(|_| !self.unsigned) else {
            return reply;
        };
        let timestamp = now().to_string();
        let signed = format!("countersign-webhook-1 response\n{nonce}\n200\n{timestamp}\n{answer}");
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.key);
        let tag = hex::encode(hmac::sign(&key, signed.as_bytes()));
        reply
            .header("countersign-timestamp", &timestamp)
            .header("countersign-signature", &format!("v1={tag}"))
    }
}

/// A receiver that listens; it ends when this is dropped.
#[derive(Debug)]
pub struct WebhookReceiver {
    server: Server,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    nonces: BTreeSet<String>,
    bodies: Vec<Value>,
    notices: Vec<Notice>,
    settled: Vec<Value>,
    refused: Vec<String>,
}

/// How an enrolment ended, as the receiver was told.
#[derive(Debug, Clone)]
pub struct Notice {
    /// The same for every delivery of one outcome.
    pub idempotency_key: String,
    /// The whole body.
    pub body: Value,
}

impl WebhookReceiver {
    /// The server under it.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Bodies of requests whose signature held, notices among them.
    #[must_use]
    pub fn bodies(&self) -> Vec<Value> {
        lock(&self.state).bodies.clone()
    }

    /// Notices so far, repetitions among them.
    #[must_use]
    pub fn notices(&self) -> Vec<Notice> {
        lock(&self.state).notices.clone()
    }

    /// What became of its events, as it was told: `id`, `result`, `detail`.
    #[must_use]
    pub fn settled(&self) -> Vec<Value> {
        lock(&self.state).settled.clone()
    }

    /// Why requests were refused.
    #[must_use]
    pub fn refused(&self) -> Vec<String> {
        lock(&self.state).refused.clone()
    }

    /// Answers the next so many requests with 503.
    pub fn fail_next(&self, requests: u32) {
        lock(&self.state).failures = requests;
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

//! A guest that sends one request over `http` and logs what came of it, and the settings that let
//! it do so.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    net::IpAddr,
    sync::{Arc, Mutex},
};

use countersign_sandbox::{
    AddressRange, Answer, CallContext, HostMatch, HostRule, HttpLimits, HttpSettings, Plugin,
    PluginSettings, Resolve, model::Verdict,
};
use countersign_stubs::{Identity, Server};

use super::{
    guests::{APPROVE, DENY, Guest, SCRATCH},
    host::{Bench, all, context, memory, request},
};

/// The name under which the stubs' certificates stand.
pub const HOST: &str = "hooks.example";

/// What a guest sends.
#[derive(Clone)]
pub struct Sends {
    pub method: &'static str,
    pub url: String,
    pub headers: Vec<(&'static str, &'static str)>,
    pub body: &'static str,
    pub timeout_milliseconds: Option<u32>,
    pub auth: Option<&'static str>,
}

impl Sends {
    pub fn to(url: impl Into<String>) -> Self {
        Self {
            method: "POST",
            url: url.into(),
            headers: Vec::new(),
            body: "hello",
            timeout_milliseconds: None,
            auth: None,
        }
    }

    pub fn auth(self, name: &'static str) -> Self {
        Self { auth: Some(name), ..self }
    }

    /// Where the guest's data lies: above what a host call returns into.
    const DATA: u32 = 0x1_8000;

    /// Instructions that send it; the result is in scratch.
    pub fn call(&self) -> String {
        let (_, [method, url, headers, body, auth]) = self.data();
        let pair = |[at, length]: [u32; 2]| format!("(i32.const {at}) (i32.const {length})");
        let option = |some: bool| format!("(i32.const {})", u32::from(some));
        format!(
            "(call $send {} {} {} {} {} (i32.const {}) {} {} (i32.const {SCRATCH}))",
            pair(method),
            pair(url),
            pair(headers),
            pair(body),
            option(self.timeout_milliseconds.is_some()),
            self.timeout_milliseconds.unwrap_or(0),
            option(self.auth.is_some()),
            pair(auth),
        )
    }

    /// Octets from `DATA` on, and where method, URL, headers, body and credential lie.
    fn data(&self) -> (Vec<u8>, [[u32; 2]; 5]) {
        let mut octets = Vec::new();
        let mut string = |text: &str| {
            let at = Self::DATA + u32::try_from(octets.len()).unwrap();
            octets.extend_from_slice(text.as_bytes());
            [at, u32::try_from(text.len()).unwrap()]
        };
        let (method, url) = (string(self.method), string(&self.url));
        let (body, auth) = (string(self.body), string(self.auth.unwrap_or("")));
        let mut list = Vec::new();
        for (name, value) in &self.headers {
            list.extend(string(name));
            list.extend(string(value));
        }
        octets.resize(octets.len().next_multiple_of(4), 0);
        let at = Self::DATA + u32::try_from(octets.len()).unwrap();
        octets.extend(list.iter().flat_map(|word| word.to_le_bytes()));
        let headers = [at, u32::try_from(self.headers.len()).unwrap()];
        (octets, [method, url, headers, body, auth])
    }

    /// Its `verify` approves with the body in the log, or denies with the error's text there; an
    /// error without a text logs its case, `4` for a time-out and `5` for too large.
    pub fn guest(&self) -> Guest {
        let text = format!(
            "(call $log (i32.const 2) (i32.load (i32.const {0})) (i32.load (i32.const {1}))
               (i32.const 0) (i32.const 0))",
            SCRATCH + 8,
            SCRATCH + 12
        );
        let body = format!(
            "(call $log (i32.const 2) (i32.load (i32.const {0})) (i32.load (i32.const {1}))
               (i32.const 0) (i32.const 0))",
            SCRATCH + 16,
            SCRATCH + 20
        );
        let case = SCRATCH + 4;
        let verify = format!(
            "{send}
             (if (i32.load8_u (i32.const {SCRATCH}))
               (then
                 (if (i32.or (i32.eq (i32.load8_u (i32.const {case})) (i32.const 4))
                             (i32.eq (i32.load8_u (i32.const {case})) (i32.const 5)))
                   (then
                     (i32.store8 (i32.const {digit})
                       (i32.add (i32.load8_u (i32.const {case})) (i32.const 48)))
                     (call $log (i32.const 2) (i32.const {digit}) (i32.const 1)
                       (i32.const 0) (i32.const 0)))
                   (else {text}))
                 (return (i32.const {DENY})))
               (else {body}))
             (i32.const {APPROVE})",
            send = self.call(),
            digit = SCRATCH + 32,
        );
        let mut guest = Guest::verifying(verify).logging().importing(
            "http",
            "send",
            "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)",
        );
        let (octets, _) = self.data();
        let octets: String = octets.iter().map(|octet| format!("\\{octet:02x}")).collect();
        guest.fields = format!("(data (i32.const {}) \"{octets}\")", Self::DATA);
        guest
    }
}

/// A resolver that gives what it was told to, look-up by look-up.
#[derive(Debug, Default)]
pub struct Script {
    answers: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    pub asked: Mutex<Vec<String>>,
}

impl Script {
    /// One list of addresses for each look-up; the last one stays.
    pub fn new(name: &str, answers: &[&[&str]]) -> Arc<Self> {
        let read = |list: &&[&str]| list.iter().map(|ip| ip.parse().unwrap()).collect();
        let script = Self::default();
        let answers = answers.iter().map(read).collect();
        script.answers.lock().unwrap().insert(name.to_owned(), answers);
        Arc::new(script)
    }
}

impl Resolve for Script {
    fn resolve<'a>(&'a self, name: &'a str) -> Answer<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            self.asked.lock().unwrap().push(name.to_owned());
            let mut answers = self.answers.lock().unwrap();
            let list = answers.get_mut(name).ok_or_else(|| io::Error::other("no such name"))?;
            Ok(if list.len() > 1 { list.remove(0) } else { list[0].clone() })
        })
    }
}

/// A name at a port.
pub fn host(name: &str, port: u16) -> HostRule {
    HostRule { host: HostMatch::Name(name.into()), port }
}

/// Settings that let a guest reach a server under [`HOST`], and nothing else.
pub fn reaching(server: &Server, identity: &Identity) -> HttpSettings {
    HttpSettings {
        hosts: vec![host(HOST, server.address().port())],
        addresses: vec![AddressRange::new("127.0.0.1".parse().unwrap(), 32).unwrap()],
        roots_pem: identity.certificate_pem().to_vec(),
        client: None,
        credentials: BTreeMap::new(),
        limits: HttpLimits::default(),
        resolver: Script::new(HOST, &[&["127.0.0.1"]]),
    }
}

/// The URL of a path there.
pub fn url(server: &Server, path: &str) -> String {
    format!("https://{HOST}:{}{path}", server.address().port())
}

/// Loads what sends.
pub async fn plugin(bench: &Bench, sends: &Sends, http: HttpSettings) -> Plugin {
    let settings =
        PluginSettings { grants: all(), http: Some(http), ..PluginSettings::new("hook") };
    bench.sandbox.load(&bench.component(&sends.guest().build()), &settings).await.unwrap()
}

/// What the guest logged: an answer's body, or an error.
pub async fn asked(plugin: &Plugin) -> Result<String, String> {
    asked_in(plugin, context()).await
}

pub async fn asked_in(plugin: &Plugin, context: CallContext) -> Result<String, String> {
    let outcome = plugin.verify(context, request(), memory()).await.unwrap();
    let line = outcome.log.first().map(|line| line.message.clone()).unwrap_or_default();
    match outcome.answer {
        Verdict::Approve(_) => Ok(line),
        _ => Err(line),
    }
}

/// Sends once, from a sandbox of its own.
pub async fn send(sends: Sends, http: HttpSettings) -> Result<String, String> {
    let bench = Bench::new();
    asked(&plugin(&bench, &sends, http).await).await
}

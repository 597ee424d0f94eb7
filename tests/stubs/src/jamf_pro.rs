//! Jamf Pro, both ways: as the server whose inventory the plug-in `jamf-pro` reads, and as the sender of
//! webhooks. As its documents have it: access tokens of API clients, `computers-inventory`,
//! `mobile-devices/detail`, webhooks as JSON or XML. It shares no code with the plug-in.
//!
//! What it is asked is checked as strictly as the real one does or stricter, and what is wrong is
//! remembered ([`JamfServer::refused`]). What it answers is scripted by serial number: a device whose
//! serial number begins with `ERROR` makes it answer 500, `BUSY` 429, `BROKEN` half of a JSON text,
//! `TWICE` two records.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::client::{Answer, Client};
use crate::{Identity, Received, Reply, Server};

/// A device in the inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JamfDevice {
    /// Its record's id.
    pub id: u32,
    /// Whether it is a computer; a mobile device otherwise.
    pub is_computer: bool,
    /// Its serial number.
    pub serial_number: String,
    /// Its UDID.
    pub udid: String,
    /// What it is called.
    pub name: String,
    /// Who uses it.
    pub username: String,
    /// Whether it is managed.
    pub managed: bool,
}

impl JamfDevice {
    /// A managed Mac.
    #[must_use]
    pub fn computer(id: u32, serial_number: &str) -> Self {
        Self {
            id,
            is_computer: true,
            serial_number: serial_number.to_owned(),
            udid: format!("00000000-0000-0000-0000-{id:012}"),
            name: format!("Mac {id}"),
            username: format!("user{id}"),
            managed: true,
        }
    }

    /// A managed iPhone.
    #[must_use]
    pub fn mobile(id: u32, serial_number: &str) -> Self {
        let name = format!("iPhone {id}");
        Self { is_computer: false, name, ..Self::computer(id, serial_number) }
    }

    /// Not managed.
    #[must_use]
    pub fn unmanaged(self) -> Self {
        Self { managed: false, ..self }
    }

    /// Called so.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    fn computer_record(&self, with_user: bool) -> Value {
        let mut record = json!({
            "id": self.id.to_string(),
            "udid": self.udid,
            "general": {
                "name": self.name,
                "assetTag": null,
                "managementId": format!("m-{}", self.id),
                "remoteManagement": { "managed": self.managed, "managementUsername": null },
            },
            "hardware": { "serialNumber": self.serial_number, "make": "Apple" },
            "userAndLocation": null,
        });
        if with_user {
            record["userAndLocation"] =
                json!({ "username": self.username, "email": format!("{}@example", self.username) });
        }
        record
    }

    fn mobile_record(&self, with_user: bool) -> Value {
        let mut record = json!({
            "mobileDeviceId": self.id.to_string(),
            "deviceType": "iOS",
            "general": {
                "udid": self.udid,
                "displayName": self.name,
                "assetTag": null,
                "managementId": format!("m-{}", self.id),
                "managed": self.managed,
                "supervised": true,
            },
            "hardware": { "serialNumber": self.serial_number },
        });
        if with_user {
            record["userAndLocation"] = json!({
                "username": self.username,
                "emailAddress": format!("{}@example", self.username),
            });
        }
        record
    }

    /// The device as webhooks describe one.
    fn in_webhook(&self) -> Value {
        json!({
            "udid": self.udid,
            "deviceName": self.name,
            "serialNumber": self.serial_number,
            "username": self.username,
            "jssID": self.id,
            "model": if self.is_computer { "MacBook Air" } else { "iPhone" },
        })
    }
}

/// How a webhook is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `application/json`.
    Json,
    /// `text/xml`.
    Xml,
}

/// What a Jamf Pro is to be like.
#[derive(Debug, Clone)]
pub struct JamfPro {
    client_id: String,
    client_secret: String,
    devices: Vec<JamfDevice>,
    privileges: Vec<&'static str>,
    computers_inventory: String,
}

impl JamfPro {
    /// One with an API client that may read both kinds of devices.
    #[must_use]
    pub fn new(client_id: &str, client_secret: &str) -> Self {
        Self {
            client_id: client_id.to_owned(),
            client_secret: client_secret.to_owned(),
            devices: Vec::new(),
            privileges: vec!["Read Computers", "Read Mobile Devices"],
            computers_inventory: "v3".to_owned(),
        }
    }

    /// Adds a device.
    #[must_use]
    pub fn device(mut self, device: JamfDevice) -> Self {
        self.devices.push(device);
        self
    }

    /// The API client's role has these privileges only.
    #[must_use]
    pub fn privileges(mut self, privileges: &[&'static str]) -> Self {
        self.privileges = privileges.to_vec();
        self
    }

    /// The only version of `computers-inventory` that it has: `v3` unless said.
    #[must_use]
    pub fn computers_inventory(mut self, version: &str) -> Self {
        self.computers_inventory = version.to_owned();
        self
    }

    /// Listens on 127.0.0.1 at a free port.
    pub async fn start(self, identity: &Identity) -> JamfServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        self.listen(listener, identity)
    }

    /// Listens where it is told.
    pub fn listen(self, listener: TcpListener, identity: &Identity) -> JamfServer {
        let devices = self.devices.clone();
        let state = Arc::new(Mutex::new(State { devices, ..State::default() }));
        let (jamf, seen) = (Arc::new(self), Arc::clone(&state));
        let server = Server::listen(listener, identity, None, move |request| {
            jamf.answer(request, &mut lock(&seen))
        });
        JamfServer { server, state }
    }

    fn answer(&self, request: &Received, state: &mut State) -> Reply {
        if let Some(status) = state.failures.pop() {
            return Reply::new(status, "");
        }
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let computers = format!("/api/{}/computers-inventory", self.computers_inventory);
        let answer = match (request.method.as_str(), path) {
            ("POST", "/api/oauth/token" | "/api/v1/oauth/token") => self.token(request, state),
            ("GET", path) if path == computers => {
                self.inventory(request, query, state, "Read Computers")
            }
            ("GET", "/api/v2/mobile-devices/detail") => {
                self.inventory(request, query, state, "Read Mobile Devices")
            }
            (method, path) => Err((404, format!("{method} {path} is nothing"))),
        };
        answer.unwrap_or_else(|(status, why)| {
            state.refused.push(why.clone());
            Reply::json(
                status,
                &json!({ "httpStatus": status, "errors": [{ "description": why }] }),
            )
        })
    }

    fn token(&self, request: &Received, state: &mut State) -> Result<Reply, (u16, String)> {
        let form = "application/x-www-form-urlencoded";
        if request.header("content-type").is_none_or(|found| !found.starts_with(form)) {
            return Err((415, format!("a token is asked for with {form}")));
        }
        let fields = pairs(&String::from_utf8_lossy(&request.body));
        let is = |name: &str, value: &str| fields.iter().any(|(n, v)| n == name && v == value);
        if !is("grant_type", "client_credentials") {
            return Err((400, "grant_type is not client_credentials".to_owned()));
        }
        if !is("client_id", &self.client_id) || !is("client_secret", &self.client_secret) {
            return Err((401, "a wrong client".to_owned()));
        }
        state.tokens += 1;
        state.current = Some(format!("token-{}", state.tokens));
        Ok(Reply::json(
            200,
            &json!({
                "access_token": state.current,
                "scope": "api-role:2",
                "token_type": "Bearer",
                "expires_in": 1199,
            }),
        ))
    }

    fn inventory(
        &self,
        request: &Received,
        query: &str,
        state: &mut State,
        privilege: &str,
    ) -> Result<Reply, (u16, String)> {
        let shown = request.header("authorization").and_then(|text| text.strip_prefix("Bearer "));
        if shown.is_none() || shown != state.current.as_deref() {
            return Err((401, "no access token, or one that has ended".to_owned()));
        }
        if !self.privileges.contains(&privilege) {
            return Err((403, format!("the API role lacks {privilege}")));
        }
        if request.header("accept") != Some("application/json") {
            return Err((406, "accept is not application/json".to_owned()));
        }
        let is_computer = privilege == "Read Computers";
        let query = pairs(query);
        let sections: Vec<_> =
            query.iter().filter(|(name, _)| name == "section").map(|(_, value)| value).collect();
        let has = |section: &str| sections.iter().any(|found| *found == section);
        let filter = query.iter().find(|(name, _)| name == "filter").map(|(_, value)| value);
        let (field, value) = filter
            .and_then(|filter| filter.split_once("=="))
            .and_then(|(field, value)| Some((field, value.strip_prefix('"')?.strip_suffix('"')?)))
            .filter(|(_, value)| !value.contains(['"', '*', ',', ';', '(']))
            .ok_or((400, format!("{filter:?} is no filter for one device")))?;
        let matches = |device: &JamfDevice| match (is_computer, field) {
            (true, "hardware.serialNumber") | (false, "serialNumber") => {
                device.serial_number.eq_ignore_ascii_case(value)
            }
            (_, "udid") => device.udid.eq_ignore_ascii_case(value),
            (true, "id") | (false, "mobileDeviceId") => device.id.to_string() == value,
            _ => false,
        };
        let found: Vec<_> = state
            .devices
            .iter()
            .filter(|device| device.is_computer == is_computer && matches(device))
            .collect();
        let script = found.first().map_or("", |device| device.serial_number.as_str());
        if script.starts_with("ERROR") {
            return Ok(Reply::new(500, "<html>Unexpected error</html>"));
        }
        if script.starts_with("BUSY") {
            return Ok(Reply::new(429, "").header("retry-after", "7"));
        }
        if script.starts_with("BROKEN") {
            return Ok(Reply::new(200, r#"{"totalCount":1,"results":[{"id":"1","#)
                .header("content-type", "application/json"));
        }
        let mut results: Vec<Value> = found
            .iter()
            .map(|device| {
                let user = has("USER_AND_LOCATION");
                let mut record = if is_computer {
                    device.computer_record(user)
                } else {
                    device.mobile_record(user)
                };
                // Sections that were not asked for are null.
                for (section, member) in [("GENERAL", "general"), ("HARDWARE", "hardware")] {
                    if !has(section) {
                        record[member] = Value::Null;
                    }
                }
                record
            })
            .collect();
        if script.starts_with("TWICE") {
            results.push(results[0].clone());
        }
        Ok(Reply::json(200, &json!({ "totalCount": results.len(), "results": results })))
    }
}

/// A Jamf Pro that listens, and sends webhooks; it ends when this is dropped.
#[derive(Debug)]
pub struct JamfServer {
    server: Server,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    devices: Vec<JamfDevice>,
    tokens: u32,
    current: Option<String>,
    failures: Vec<u16>,
    refused: Vec<String>,
    sent: u64,
}

impl JamfServer {
    /// The server under it.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Why requests were refused.
    #[must_use]
    pub fn refused(&self) -> Vec<String> {
        lock(&self.state).refused.clone()
    }

    /// Access tokens so far.
    #[must_use]
    pub fn tokens(&self) -> u32 {
        lock(&self.state).tokens
    }

    /// Ends the access token that is out.
    pub fn end_token(&self) {
        lock(&self.state).current = None;
    }

    /// Answers the next so many requests with this status.
    pub fn fail_next(&self, requests: usize, status: u16) {
        lock(&self.state).failures = vec![status; requests];
    }

    /// Changes the record of a device.
    ///
    /// # Panics
    /// There is none of this serial number.
    pub fn change(&self, serial_number: &str, change: impl FnOnce(&mut JamfDevice)) {
        let mut state = lock(&self.state);
        let mut devices = state.devices.iter_mut();
        change(devices.find(|device| device.serial_number == serial_number).expect("a device"));
    }

    /// Deletes the record of a device.
    pub fn delete(&self, serial_number: &str) {
        lock(&self.state).devices.retain(|device| device.serial_number != serial_number);
    }

    /// Asks for a challenge, as Jamf Pro does while it writes a profile: with a target device where
    /// `serial_number` says one, with nothing about a device otherwise.
    pub async fn scep_challenge(
        &self,
        to: &Client,
        path: &str,
        form: Form,
        serial_number: Option<&str>,
    ) -> Answer {
        let mut event = json!({
            "scepServerUrl": "https://scep.example/scep/jamf",
            "payloadIdentifier": "CDB0BC64-F3EB-4B1A-AA5E-9A5D994CA593",
            "payloadTypes": ["com.apple.security.scep"],
        });
        if let Some(serial_number) = serial_number {
            event["targetDevice"] = self.known(serial_number).in_webhook();
        }
        self.send(to, path, form, "SCEPChallenge", event).await
    }

    /// Says that a device has left.
    pub async fn unenrolled(
        &self,
        to: &Client,
        path: &str,
        form: Form,
        serial_number: &str,
    ) -> Answer {
        let event = self.known(serial_number).in_webhook();
        self.send(to, path, form, "MobileDeviceUnEnrolled", event).await
    }

    /// Says that a computer's management came or went.
    pub async fn push_capability_changed(
        &self,
        to: &Client,
        path: &str,
        form: Form,
        serial_number: &str,
    ) -> Answer {
        let event = self.known(serial_number).in_webhook();
        self.send(to, path, form, "ComputerPushCapabilityChanged", event).await
    }

    /// Sends a webhook.
    pub async fn send(
        &self,
        to: &Client,
        path: &str,
        form: Form,
        kind: &str,
        event: Value,
    ) -> Answer {
        let id = {
            let mut state = lock(&self.state);
            state.sent += 1;
            state.sent
        };
        let webhook = json!({
            "id": 7,
            "name": format!("webhook {id}"),
            "webhookEvent": kind,
            "eventTimestamp": milliseconds() + id,
        });
        let message = json!({ "webhook": webhook, "event": event });
        let (media_type, body) = match form {
            Form::Json => ("application/json", message.to_string()),
            Form::Xml => ("text/xml", xml(&message)),
        };
        to.post(path, media_type, body).await
    }

    /// The record, or what Jamf Pro would have said of a device it no longer has.
    fn known(&self, serial_number: &str) -> JamfDevice {
        let state = lock(&self.state);
        let mut devices = state.devices.iter();
        devices
            .find(|device| device.serial_number == serial_number)
            .cloned()
            .unwrap_or_else(|| JamfDevice::computer(999, serial_number))
    }
}

/// A message as Jamf Pro writes it in XML: members become elements, lists repeat theirs.
fn xml(message: &Value) -> String {
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>".to_owned();
    element(&mut text, "JSSEvent", message);
    text
}

fn element(text: &mut String, name: &str, value: &Value) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| element(text, name, item)),
        Value::Object(members) => {
            text.push_str(&format!("<{name}>"));
            members.iter().for_each(|(name, member)| element(text, name, member));
            text.push_str(&format!("</{name}>"));
        }
        leaf => {
            let plain = leaf.as_str().map_or_else(|| leaf.to_string(), str::to_owned);
            let plain = plain.replace('&', "&amp;").replace('<', "&lt;");
            text.push_str(&format!("<{name}>{plain}</{name}>"));
        }
    }
}

/// `a=b&c=d`, decoded.
fn pairs(text: &str) -> Vec<(String, String)> {
    let decoded = |part: &str| {
        let mut octets = Vec::new();
        let mut rest = part.bytes();
        while let Some(octet) = rest.next() {
            octets.push(match octet {
                b'+' => b' ',
                b'%' => {
                    let digits: String = rest.by_ref().take(2).map(char::from).collect();
                    u8::from_str_radix(&digits, 16).unwrap_or(b'?')
                }
                other => other,
            });
        }
        String::from_utf8_lossy(&octets).into_owned()
    };
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

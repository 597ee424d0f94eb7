//! Workspace ONE UEM's REST API, as the plug-in `workspace-one` reads it: a search for one device, with an
//! account's Basic log-in and the tenant's key in `aw-tenant-code`. It shares no code with the plug-in.
//!
//! What it is asked is checked as strictly as the real one does or stricter, and what is wrong is
//! remembered ([`UemServer::refused`]). What it answers is scripted by serial number: see `script.rs`.

use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::script::by_serial_number;
use crate::{Identity, Received, Reply, Server};

/// A device in the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UemDevice {
    /// Its number.
    pub id: u32,
    /// Its serial number.
    pub serial_number: String,
    /// Its UDID.
    pub udid: String,
    /// What it is called.
    pub friendly_name: String,
    /// `Enrolled`, `Unenrolled`, `DeviceWipePending`, …
    pub enrollment_status: String,
    /// `C` (dedicated), `S` (shared) or `E` (the employee's own).
    pub ownership: String,
    /// The number of its organization group.
    pub organization_group: u32,
    /// When it was enrolled last, as UEM writes it.
    pub last_enrolled_on: String,
}

impl UemDevice {
    /// An enrolled iPhone of the company's.
    #[must_use]
    pub fn new(id: u32, serial_number: &str) -> Self {
        Self {
            id,
            serial_number: serial_number.to_owned(),
            udid: format!("00008110{id:032}"),
            friendly_name: format!("iPhone {id}"),
            enrollment_status: "Enrolled".to_owned(),
            ownership: "C".to_owned(),
            organization_group: 570,
            last_enrolled_on: "2025-06-03T03:01:26.853".to_owned(),
        }
    }

    fn record(&self) -> Value {
        json!({
            "Id": { "Value": self.id },
            "Uuid": format!("cccccccc-0000-4000-8000-{:012}", self.id),
            "Udid": self.udid,
            "SerialNumber": self.serial_number,
            "AssetNumber": self.udid,
            "DeviceFriendlyName": self.friendly_name,
            "UserName": format!("user{}", self.id),
            "UserEmailAddress": format!("user{}@example.com", self.id),
            "Ownership": self.ownership,
            "LocationGroupId": { "Id": { "Value": self.organization_group }, "Name": "Phones" },
            "EnrollmentStatus": self.enrollment_status,
            "ComplianceStatus": "Compliant",
            "CompromisedStatus": false,
            "LastEnrolledOn": self.last_enrolled_on,
        })
    }
}

/// What a console is to be like.
#[derive(Debug, Clone)]
pub struct UemConsole {
    authorization: String,
    tenant_code: String,
    devices: Vec<UemDevice>,
}

impl UemConsole {
    /// One with an account that may call, and a tenant's key.
    #[must_use]
    pub fn new(user: &str, password: &str, tenant_code: &str) -> Self {
        let pair = format!("{user}:{password}");
        let pair = base64::engine::general_purpose::STANDARD.encode(pair);
        Self {
            authorization: format!("Basic {pair}"),
            tenant_code: tenant_code.to_owned(),
            devices: Vec::new(),
        }
    }

    /// Adds a device.
    #[must_use]
    pub fn device(mut self, device: UemDevice) -> Self {
        self.devices.push(device);
        self
    }

    /// Listens on 127.0.0.1 at a free port.
    pub async fn start(self, identity: &Identity) -> UemServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        self.listen(listener, identity)
    }

    /// Listens where it is told.
    pub fn listen(self, listener: TcpListener, identity: &Identity) -> UemServer {
        let state = Arc::new(Mutex::new(State { console: self, refused: Vec::new() }));
        let seen = Arc::clone(&state);
        let server =
            Server::listen(listener, identity, None, move |request| lock(&seen).answer(request));
        UemServer { server, state }
    }
}

#[derive(Debug)]
struct State {
    console: UemConsole,
    refused: Vec<String>,
}

impl State {
    fn answer(&mut self, request: &Received) -> Reply {
        self.answered(request).unwrap_or_else(|(status, why)| {
            self.refused.push(why.clone());
            error(status, &why)
        })
    }

    fn answered(&self, request: &Received) -> Result<Reply, (u16, String)> {
        if request.method != "GET" {
            return Err((405, format!("{} is not permitted", request.method)));
        }
        if request.header("aw-tenant-code") != Some(self.console.tenant_code.as_str()) {
            return Err((401, "aw-tenant-code is missing or another".to_owned()));
        }
        if request.header("authorization") != Some(self.console.authorization.as_str()) {
            return Err((401, "the account is missing or another".to_owned()));
        }
        if request.header("accept") != Some("application/json;version=1") {
            return Err((406, "accept is not application/json;version=1".to_owned()));
        }
        let query = request
            .path
            .strip_prefix("/API/mdm/devices?")
            .ok_or_else(|| (404, format!("{} is nothing", request.path)))?;
        let value = |name: &str| {
            query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
        };
        let id = value("id").ok_or((400, "no id".to_owned()))?;
        let is_sought = |device: &&UemDevice| match value("searchby") {
            Some("Serialnumber") => device.serial_number.eq_ignore_ascii_case(id),
            Some("Udid") => device.udid.eq_ignore_ascii_case(id),
            _ => false,
        };
        if !matches!(value("searchby"), Some("Serialnumber" | "Udid")) {
            return Err((400, "searchby is another".to_owned()));
        }
        // A device that nobody has is no fault of whoever asks.
        let Some(device) = self.console.devices.iter().find(is_sought) else {
            return Ok(error(404, "Device not found"));
        };
        let record = device.record();
        Ok(by_serial_number(&device.serial_number, &record).unwrap_or(Reply::json(200, &record)))
    }
}

fn error(status: u16, why: &str) -> Reply {
    Reply::json(status, &json!({ "errorCode": status, "message": why, "activityId": "0" }))
}

/// A console that listens; it ends when this is dropped.
#[derive(Debug)]
pub struct UemServer {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl UemServer {
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

    /// Changes the record of a device.
    ///
    /// # Panics
    /// There is none of this serial number.
    pub fn change(&self, serial_number: &str, change: impl FnOnce(&mut UemDevice)) {
        let mut state = lock(&self.state);
        let mut devices = state.console.devices.iter_mut();
        change(devices.find(|device| device.serial_number == serial_number).expect("a device"));
    }

    /// Deletes the record of a device.
    pub fn delete(&self, serial_number: &str) {
        lock(&self.state).console.devices.retain(|device| device.serial_number != serial_number);
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

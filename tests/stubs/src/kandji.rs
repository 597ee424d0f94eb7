//! Kandji's (Iru's) API, as the plug-in `kandji` reads it: devices, their details and their commands. It
//! shares no code with the plug-in.
//!
//! What it is asked is checked as strictly as the real one does or stricter, and what is wrong is
//! remembered ([`KandjiServer::refused`]). What it answers is scripted by serial number: see
//! `script.rs`; and `TWICE` is in two records.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::script::by_serial_number;
use crate::{Identity, Received, Reply, Server};

/// A device in the inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KandjiDevice {
    /// Its id in Kandji, a UUID.
    pub device_id: String,
    /// Its serial number.
    pub serial_number: String,
    /// Its UDID.
    pub udid: String,
    /// What it is called.
    pub name: String,
    /// Whether it is managed.
    pub mdm_enabled: bool,
    /// Whether it was removed.
    pub is_removed: bool,
    /// When it was enrolled last, as Kandji writes it.
    pub last_enrollment: String,
    /// When it was told to erase itself, as Kandji writes it, and how that command stands: 1 waits, 3 was
    /// carried out, 4 failed.
    pub erase: Option<(String, u64)>,
}

impl KandjiDevice {
    /// A managed Mac.
    #[must_use]
    pub fn new(number: u32, serial_number: &str) -> Self {
        Self {
            device_id: format!("aaaaaaaa-0000-4000-8000-{number:012}"),
            serial_number: serial_number.to_owned(),
            udid: format!("00000000-0000-0000-0000-{number:012}"),
            name: format!("Mac {number}"),
            mdm_enabled: true,
            is_removed: false,
            last_enrollment: "2025-05-13 20:09:27.374451+00:00".to_owned(),
            erase: None,
        }
    }

    fn record(&self) -> Value {
        json!({
            "device_id": self.device_id,
            "device_name": self.name,
            "model": "MacBook Air (M2, 2022)",
            "serial_number": self.serial_number,
            "platform": "Mac",
            "os_version": "14.5",
            "user": "",
            "asset_tag": null,
            "blueprint_name": "main",
            "mdm_enabled": self.mdm_enabled,
            "agent_installed": true,
            "is_missing": false,
            "is_removed": self.is_removed,
            "last_enrollment": self.last_enrollment,
            "lost_mode_status": "",
        })
    }

    fn details(&self) -> Value {
        json!({
            "general": { "device_id": self.device_id, "device_name": self.name },
            "mdm": { "mdm_enabled": if self.mdm_enabled { "True" } else { "False" } },
            "hardware_overview": { "serial_number": self.serial_number, "udid": self.udid },
        })
    }

    fn commands(&self) -> Value {
        let command = |kind: &str, date: &str, status: u64| {
            json!({
                "uuid": "bbbbbbbb-0000-4000-8000-000000000001",
                "command_type": kind,
                "status": status,
                "date_requested": date,
            })
        };
        let mut results = vec![command("DeviceInformation", "2025-06-01T10:00:00.000000Z", 3)];
        results
            .extend(self.erase.iter().map(|(date, status)| command("EraseDevice", date, *status)));
        json!({
            "device_id": self.device_id,
            "commands": { "count": results.len(), "next": null, "previous": null, "results": results },
        })
    }
}

/// What a tenant is to be like.
#[derive(Debug, Clone)]
pub struct KandjiTenant {
    token: String,
    devices: Vec<KandjiDevice>,
}

impl KandjiTenant {
    /// One with an API token.
    #[must_use]
    pub fn new(token: &str) -> Self {
        Self { token: token.to_owned(), devices: Vec::new() }
    }

    /// Adds a device.
    #[must_use]
    pub fn device(mut self, device: KandjiDevice) -> Self {
        self.devices.push(device);
        self
    }

    /// Listens on 127.0.0.1 at a free port.
    pub async fn start(self, identity: &Identity) -> KandjiServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        self.listen(listener, identity)
    }

    /// Listens where it is told.
    pub fn listen(self, listener: TcpListener, identity: &Identity) -> KandjiServer {
        let state = State { token: self.token, devices: self.devices, refused: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let seen = Arc::clone(&state);
        let server =
            Server::listen(listener, identity, None, move |request| lock(&seen).answer(request));
        KandjiServer { server, state }
    }
}

#[derive(Debug)]
struct State {
    token: String,
    devices: Vec<KandjiDevice>,
    refused: Vec<String>,
}

impl State {
    fn answer(&mut self, request: &Received) -> Reply {
        self.answered(request).unwrap_or_else(|(status, why)| {
            self.refused.push(why.clone());
            Reply::json(status, &json!({ "detail": why }))
        })
    }

    fn answered(&self, request: &Received) -> Result<Reply, (u16, String)> {
        if request.method != "GET" {
            return Err((405, format!("{} is not permitted", request.method)));
        }
        if request.header("authorization") != Some(&format!("Bearer {}", self.token)) {
            return Err((401, "no token, or another".to_owned()));
        }
        if request.header("accept") != Some("application/json") {
            return Err((406, "accept is not application/json".to_owned()));
        }
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let Some(path) = path.strip_prefix("/api/v1/devices") else {
            return Err((404, format!("{path} is nothing")));
        };
        if path.is_empty() {
            let serial = query.split('&').find_map(|pair| pair.strip_prefix("serial_number="));
            let serial = serial.ok_or((400, "all devices are asked for".to_owned()))?;
            // As the real one's filters: everything that begins so.
            let mut found: Vec<_> = self
                .devices
                .iter()
                .filter(|device| device.serial_number.starts_with(serial))
                .map(KandjiDevice::record)
                .collect();
            if serial.starts_with("TWICE") {
                found.extend(found.clone());
            }
            let found = Value::Array(found);
            return Ok(by_serial_number(serial, &found).unwrap_or(Reply::json(200, &found)));
        }
        let mut parts = path.trim_start_matches('/').splitn(2, '/');
        let id = parts.next().unwrap_or_default();
        let device = self.devices.iter().find(|device| device.device_id == id);
        // A device that nobody has is no fault of whoever asks.
        let Some(device) = device else {
            return Ok(Reply::json(404, &json!({ "detail": "Not found." })));
        };
        match parts.next() {
            None => Ok(Reply::json(200, &device.record())),
            Some("details") => Ok(Reply::json(200, &device.details())),
            Some("commands") => Ok(Reply::json(200, &device.commands())),
            Some(other) => Err((404, format!("{other} of a device is nothing"))),
        }
    }
}

/// A tenant that listens; it ends when this is dropped.
#[derive(Debug)]
pub struct KandjiServer {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl KandjiServer {
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
    pub fn change(&self, serial_number: &str, change: impl FnOnce(&mut KandjiDevice)) {
        let mut state = lock(&self.state);
        let mut devices = state.devices.iter_mut();
        change(devices.find(|device| device.serial_number == serial_number).expect("a device"));
    }

    /// Deletes the record of a device.
    pub fn delete(&self, serial_number: &str) {
        lock(&self.state).devices.retain(|device| device.serial_number != serial_number);
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

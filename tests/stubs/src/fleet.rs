//! Fleet, both ways: as the server whose hosts the plug-in `fleet` reads, and as the client that fetches
//! challenges as from Smallstep. It shares no code with the plug-in.
//!
//! What it is asked is checked as strictly as the real one does or stricter, and what is wrong is
//! remembered ([`FleetServer::refused`]). What it answers is scripted by serial number: see `script.rs`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::client::{Answer, Client};
use crate::script::by_serial_number;
use crate::{Identity, Received, Reply, Server};

/// A host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetHost {
    /// Its number.
    pub id: u32,
    /// Its UUID.
    pub uuid: String,
    /// Its serial number.
    pub hardware_serial: String,
    /// What it calls itself.
    pub hostname: String,
    /// `On (automatic)`, `On (manual)`, `Off`, `Pending`.
    pub enrollment_status: String,
    /// `wipe`, `lock`, `unlock`, or empty.
    pub pending_action: String,
    /// When it was enrolled last.
    pub last_mdm_enrolled_at: String,
}

impl FleetHost {
    /// A managed Mac.
    #[must_use]
    pub fn new(id: u32, hardware_serial: &str) -> Self {
        Self {
            id,
            uuid: format!("DDDDDDDD-0000-4000-8000-{id:012}"),
            hardware_serial: hardware_serial.to_owned(),
            hostname: format!("mac-{id}.local"),
            enrollment_status: "On (automatic)".to_owned(),
            pending_action: String::new(),
            last_mdm_enrolled_at: "2025-02-26T22:33:12Z".to_owned(),
        }
    }

    /// What stands behind the profile in a SCEP URL: Fleet's identifier.
    #[must_use]
    pub fn identifier(&self, ca: &str) -> String {
        format!(
            "{},a9e7b1c0-0000-4000-8000-{:012}%2C{ca}%2Cfleet-secret-{}",
            self.uuid, self.id, self.id
        )
    }

    fn record(&self) -> Value {
        json!({ "host": {
            "id": self.id,
            "uuid": self.uuid,
            "hardware_serial": self.hardware_serial,
            "hostname": self.hostname,
            "computer_name": self.hostname,
            "platform": "darwin",
            "team_id": 2,
            "last_enrolled_at": "2025-02-26T22:30:00Z",
            "last_mdm_enrolled_at": self.last_mdm_enrolled_at,
            "mdm": {
                "enrollment_status": self.enrollment_status,
                "connected_to_fleet": true,
                "device_status": "unlocked",
                "pending_action": self.pending_action,
                "name": "Fleet",
            },
        }})
    }
}

/// What a Fleet server is to be like.
#[derive(Debug, Clone)]
pub struct Fleet {
    token: String,
    hosts: Vec<FleetHost>,
}

impl Fleet {
    /// One with the token of an API-only user.
    #[must_use]
    pub fn new(token: &str) -> Self {
        Self { token: token.to_owned(), hosts: Vec::new() }
    }

    /// Adds a host.
    #[must_use]
    pub fn host(mut self, host: FleetHost) -> Self {
        self.hosts.push(host);
        self
    }

    /// Listens on 127.0.0.1 at a free port.
    pub async fn start(self, identity: &Identity) -> FleetServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        self.listen(listener, identity)
    }

    /// Listens where it is told.
    pub fn listen(self, listener: TcpListener, identity: &Identity) -> FleetServer {
        let state = Arc::new(Mutex::new(State { fleet: self, refused: Vec::new() }));
        let seen = Arc::clone(&state);
        let server =
            Server::listen(listener, identity, None, move |request| lock(&seen).answer(request));
        FleetServer { server, state }
    }
}

#[derive(Debug)]
struct State {
    fleet: Fleet,
    refused: Vec<String>,
}

impl State {
    fn answer(&mut self, request: &Received) -> Reply {
        self.answered(request).unwrap_or_else(|(status, why)| {
            self.refused.push(why.clone());
            Reply::json(status, &json!({ "message": why, "errors": [] }))
        })
    }

    fn answered(&self, request: &Received) -> Result<Reply, (u16, String)> {
        if request.method != "GET" {
            return Err((405, format!("{} is not permitted", request.method)));
        }
        if request.header("authorization") != Some(&format!("Bearer {}", self.fleet.token)) {
            return Err((401, "no token, or another".to_owned()));
        }
        if request.header("accept") != Some("application/json") {
            return Err((406, "accept is not application/json".to_owned()));
        }
        let id = request
            .path
            .strip_prefix("/api/v1/fleet/hosts/identifier/")
            .filter(|id| !id.contains(['/', '?']))
            .ok_or_else(|| (404, format!("{} is nothing", request.path)))?;
        // As the real one: the first whose name, UUID or serial number it is.
        let is_sought = |host: &&FleetHost| {
            [&host.hostname, &host.uuid, &host.hardware_serial]
                .iter()
                .any(|text| text.eq_ignore_ascii_case(id))
        };
        // A host that nobody has is no fault of whoever asks.
        let Some(host) = self.fleet.hosts.iter().find(is_sought) else {
            return Ok(Reply::json(404, &json!({ "message": "Resource Not Found" })));
        };
        let record = host.record();
        Ok(by_serial_number(&host.hardware_serial, &record).unwrap_or(Reply::json(200, &record)))
    }
}

/// A Fleet server that listens; it ends when this is dropped.
#[derive(Debug)]
pub struct FleetServer {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl FleetServer {
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

    /// Changes the record of a host.
    ///
    /// # Panics
    /// There is none of this serial number.
    pub fn change(&self, hardware_serial: &str, change: impl FnOnce(&mut FleetHost)) {
        let mut state = lock(&self.state);
        let mut hosts = state.fleet.hosts.iter_mut();
        change(hosts.find(|host| host.hardware_serial == hardware_serial).expect("a host"));
    }

    /// Fetches a challenge as from Smallstep: with the host where `host` says one.
    ///
    /// # Panics
    /// Where the clock stands before 1970.
    pub async fn fetch_challenge(
        &self,
        to: &Client,
        path: &str,
        host: Option<&FleetHost>,
    ) -> Answer {
        let now =
            SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs();
        let mut event = json!({
            "scepServerUrl": "https://scep.example/scep/fleet",
            "payloadIdentifier": "com.fleetdm.fleet.mdm.scep",
            "payloadTypes": ["com.apple.security.scep"],
        });
        if let Some(host) = host {
            event["device"] = json!({ "uuid": host.uuid, "serialNumber": host.hardware_serial });
        }
        let body = json!({
            "webhook": { "webhookEvent": "SCEPChallenge", "id": 1, "name": "Fleet", "eventTimestamp": now },
            "event": event,
        });
        to.post(path, "application/json", body.to_string()).await
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

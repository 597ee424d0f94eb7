//! The whole system in one directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use countersign_config::Config;
use countersign_ipc::{AdminReply, AdminRequest, Client, Role};
use countersign_lab_ca::{LabCa, RequestRecord, RequestState, Serving};
use countersign_scep::client::CaCertificates;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::builder::Builder;
use crate::device::{Answer, Device, Sent};
use crate::http_client::{Connection, HttpReply, raw, raw_or_closed};
use crate::process::{Ended, PATIENCE, Program, Running};
use crate::tokens::Tokens;

/// CERTSRV_E_SIGNATURE_POLICY_REQUIRED and CERTSRV_E_SIGNATURE_COUNT.
pub(crate) const WITHOUT_COUNTERSIGNATURE: [u32; 2] = [0x8009_4809, 0x8009_480a];

const ASK: Duration = Duration::from_secs(30);

/// A directory with everything in it, the lab CA of this process, and those of the three processes
/// that run. What runs is killed when this is dropped.
#[derive(Debug)]
pub struct Installation {
    // Before the directory: first the processes go, then their files.
    running: BTreeMap<Program, Running>,
    binaries: BTreeMap<Program, PathBuf>,
    tokens: Option<Tokens>,
    serving: Option<Serving>,
    ca: LabCa,
    ca_address: std::net::SocketAddr,
    config: PathBuf,
    config_digest: [u8; 32],
    address: String,
    directory: TempDir,
}

impl Installation {
    /// Says what it is to be like.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The usual one, started.
    pub async fn start_usual() -> Self {
        Self::builder().start().await
    }

    pub(crate) fn new(
        directory: TempDir,
        config: PathBuf,
        ca: LabCa,
        serving: Serving,
        binaries: BTreeMap<Program, PathBuf>,
        tokens: Option<Tokens>,
    ) -> Self {
        let ca_address = serving.address();
        // A config with faults has no digest; then no process starts that would ask for it.
        let loaded = Config::load(&config);
        let config_digest = loaded.map(|loaded| loaded.digest).unwrap_or_default();
        Self {
            running: BTreeMap::new(),
            binaries,
            tokens,
            serving: Some(serving),
            ca,
            ca_address,
            config,
            config_digest,
            address: String::new(),
            directory,
        }
    }

    // What there is.

    /// The lab CA.
    #[must_use]
    pub fn ca(&self) -> &LabCa {
        &self.ca
    }

    /// What the CA has received, oldest first; the probes at start too.
    #[must_use]
    pub fn ca_requests(&self) -> Vec<RequestRecord> {
        self.ca.requests().expect("the CA's journal")
    }

    /// How many requests the CA has received beside the probes of `serve`, which it refuses for want
    /// of a countersignature.
    #[must_use]
    pub fn submissions(&self) -> usize {
        let is_probe = |request: &RequestRecord| match request.state {
            RequestState::Denied(code) => WITHOUT_COUNTERSIGNATURE.contains(&code),
            RequestState::Pending | RequestState::Issued(_) => false,
        };
        self.ca_requests().iter().filter(|request| !is_probe(request)).count()
    }

    /// The tokens, where the keys are on some.
    ///
    /// # Panics
    /// They are in files.
    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        self.tokens.as_ref().expect("the keys are on tokens")
    }

    /// The directory of everything.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A file of the installation.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    /// The config file.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// SHA-256 of the config, as each process says it when it greets another.
    #[must_use]
    pub fn config_digest(&self) -> [u8; 32] {
        self.config_digest
    }

    /// Where `serve` listens: `127.0.0.1:40123`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The URL of a profile.
    #[must_use]
    pub fn url(&self, profile: &str) -> String {
        format!("http://{}/scep/{profile}", self.address)
    }

    /// The running process.
    ///
    /// # Panics
    /// It does not run.
    #[must_use]
    pub fn running(&mut self, program: Program) -> &mut Running {
        self.running.get_mut(&program).expect("the process runs")
    }

    // Starting and ending.

    /// Starts all three and waits until devices are served.
    pub async fn start_all(&mut self) {
        for program in Program::ALL {
            self.spawn(program);
        }
        self.wait_until_serving().await;
        self.wait_until_ready().await;
    }

    /// Starts one and waits until it is ready.
    pub async fn start(&mut self, program: Program) {
        self.spawn(program);
        match program {
            Program::Serve => self.wait_until_serving().await,
            Program::Sign | Program::Verify => self.wait_until_answering(program).await,
        }
    }

    /// What a process needs in its environment to find the tokens; nothing where keys are in files.
    #[must_use]
    pub fn token_environment(&self) -> Option<(&'static str, &Path)> {
        self.tokens.as_ref().map(Tokens::environment)
    }

    fn run(&self, program: Program) -> Running {
        Running::start(program, self.binary(program), self.token_environment(), &self.config)
    }

    /// Starts one that will refuse to run, and says how it ended.
    pub async fn refused_start(&mut self, program: Program) -> Ended {
        self.run(program).ended().await
    }

    /// Starts one and waits for nothing.
    pub fn spawn(&mut self, program: Program) {
        let running = self.run(program);
        assert!(self.running.insert(program, running).is_none(), "it runs already");
    }

    /// SIGTERM, and waits until it has drained.
    pub async fn stop(&mut self, program: Program) -> Ended {
        self.running.remove(&program).expect("the process runs").stop().await
    }

    /// Ends all three in the order that lets each finish.
    pub async fn stop_all(&mut self) {
        for program in [Program::Serve, Program::Verify, Program::Sign] {
            if let Some(running) = self.running.remove(&program) {
                let ended = running.stop().await;
                assert!(ended.status.success(), "{program:?}: {ended:?}");
            }
        }
    }

    /// SIGKILL.
    pub async fn kill(&mut self, program: Program) {
        self.running.remove(&program).expect("the process runs").kill().await;
    }

    /// SIGKILL, and starts it again.
    pub async fn crash(&mut self, program: Program) {
        self.kill(program).await;
        self.start(program).await;
        self.wait_until_ready().await;
    }

    /// Takes the CA off the net.
    pub async fn stop_ca(&mut self) {
        self.serving.take().expect("the CA serves").shutdown().await;
    }

    /// Puts the CA back where it was.
    pub async fn start_ca(&mut self) {
        let listener = TcpListener::bind(self.ca_address).await.expect("the CA's port is free");
        self.serving = Some(self.ca.serve(listener).await.expect("the lab CA serves"));
    }

    /// Waits until `serve` listens; it need not be ready.
    ///
    /// # Panics
    /// It does not come to it.
    pub async fn wait_until_serving(&mut self) {
        let serve = self.running(Program::Serve);
        let event = serve.event("serving", |event| event["message"] == "serving").await;
        self.address = event["listen"].as_str().expect("where it listens").to_owned();
    }

    fn binary(&self, program: Program) -> Option<&Path> {
        self.binaries.get(&program).map(PathBuf::as_path)
    }

    /// Waits until the process has ended by itself; it does not run any more then.
    ///
    /// # Panics
    /// It does not end.
    pub async fn ended(&mut self, program: Program) -> Ended {
        self.running.remove(&program).expect("the process runs").ended().await
    }

    /// How the process ended, if it has: where its work broke off, it has a moment to.
    pub async fn ended_by_now(&mut self, program: Program) -> Option<Ended> {
        for _ in 0..5 {
            if self.running(program).has_ended() {
                return Some(self.ended(program).await);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        None
    }

    async fn wait_until_answering(&mut self, program: Program) {
        let started = Instant::now();
        while self.ask_now(program, &AdminRequest::Status).await.is_none() {
            let log = self.running(program).log();
            assert!(started.elapsed() < PATIENCE, "{program:?} does not answer:\n{log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until `serve` says that it is ready and that every CA has been proven.
    ///
    /// # Panics
    /// It does not become so.
    pub async fn wait_until_ready(&mut self) {
        let started = Instant::now();
        loop {
            let readiness = match self.ask_now(Program::Serve, &AdminRequest::Status).await {
                Some(AdminReply::Facts(facts)) => facts["readiness"].clone(),
                other => serde_json::json!({ "no answer": format!("{other:?}") }),
            };
            if readiness["ready"] == true && readiness["degraded"] == false {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "not ready: {readiness}\n{}", self.logs());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The logs of all that run.
    #[must_use]
    pub fn logs(&self) -> String {
        self.running
            .iter()
            .map(|(program, running)| format!("--- {program:?}\n{}\n", running.log()))
            .collect()
    }

    // Admins.

    /// Asks one process through its admin socket.
    ///
    /// # Panics
    /// It does not answer.
    pub async fn admin(&self, program: Program, question: AdminRequest) -> AdminReply {
        self.ask_now(program, &question)
            .await
            .unwrap_or_else(|| panic!("{program:?} does not answer {question:?}:\n{}", self.logs()))
    }

    /// Asks one process that may be dead or die over it.
    pub async fn try_admin(&self, program: Program, question: AdminRequest) -> Option<AdminReply> {
        self.ask_now(program, &question).await
    }

    /// Asks for facts.
    ///
    /// # Panics
    /// The process refuses.
    pub async fn facts(&self, program: Program, question: AdminRequest) -> Value {
        match self.admin(program, question).await {
            AdminReply::Facts(facts) => facts,
            other => panic!("expected facts, found {other:?}"),
        }
    }

    /// Issues a one-time challenge for these names, good for an hour.
    ///
    /// # Panics
    /// It is refused.
    pub async fn issue_challenge(&self, profile: &str, names: &[&str]) -> String {
        let question = AdminRequest::IssueChallenge {
            profile: profile.to_owned(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            device_id: None,
            ttl: 3600,
        };
        match self.admin(Program::Verify, question).await {
            AdminReply::Challenge { text, .. } => text.to_string(),
            other => panic!("expected a challenge, found {other:?}"),
        }
    }

    /// Every ledger entry, oldest first, in the form that `ledger show --format json` prints.
    pub async fn ledger(&self) -> Vec<Value> {
        let mut entries: Vec<Value> = Vec::new();
        loop {
            let from = entries.len() as u64;
            let page = AdminRequest::Ledger { from, limit: 1000, enrolment: None };
            let facts = self.facts(Program::Sign, page).await;
            let page = facts["entries"].as_array().expect("entries").clone();
            let size = facts["size"].as_u64().expect("a size");
            entries.extend(page);
            if entries.len() as u64 >= size {
                return entries;
            }
        }
    }

    /// Ledger entries of one kind.
    pub async fn ledger_of(&self, kind: &str) -> Vec<Value> {
        let entries = self.ledger().await;
        entries.into_iter().filter(|entry| entry["kind"] == kind).collect()
    }

    /// Waits until the ledger holds `count` entries of this kind: outcomes come through the outbox,
    /// after the device's answer.
    ///
    /// # Panics
    /// They do not come.
    pub async fn wait_for_ledger(&self, kind: &str, count: usize) -> Vec<Value> {
        let started = Instant::now();
        loop {
            let entries = self.ledger_of(kind).await;
            if entries.len() >= count {
                return entries;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "expected {count} entries `{kind}`, found {entries:?}\n{}",
                self.logs()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// How many signatures the ledger knows.
    pub async fn signatures(&self) -> usize {
        self.ledger_of("signed").await.len()
    }

    async fn ask_now(&self, program: Program, question: &AdminRequest) -> Option<AdminReply> {
        let socket = self.file(&format!("run/{}.admin.sock", program.name()));
        let client =
            Client::<AdminRequest, AdminReply>::new(&socket, Role::Admin, self.config_digest);
        client.call(question, ASK).await.ok()
    }

    // Devices.

    /// GET of a path with its query.
    pub async fn get(&self, path: &str) -> HttpReply {
        self.request("GET", path, Vec::new()).await
    }

    /// POST.
    pub async fn post(&self, path: &str, body: Vec<u8>) -> HttpReply {
        self.request("POST", path, body).await
    }

    /// Any request, on a connection of its own.
    pub async fn request(&self, method: &str, path: &str, body: Vec<u8>) -> HttpReply {
        Connection::open(&self.address).await.request(method, path, body).await
    }

    /// Octets of one's own as the request; the answer until the server closes.
    pub async fn raw(&self, octets: &[u8]) -> Vec<u8> {
        raw(&self.address, octets).await
    }

    /// The same, where the server may well close the connection without a word.
    pub async fn raw_or_closed(&self, octets: &[u8]) -> Vec<u8> {
        raw_or_closed(&self.address, octets).await
    }

    /// What GetCACert gives for a profile.
    ///
    /// # Panics
    /// It gives nothing of use.
    pub async fn ra(&self, profile: &str) -> CaCertificates {
        let reply = self.get(&format!("/scep/{profile}?operation=GetCACert")).await;
        assert_eq!(reply.status, http::StatusCode::OK, "{}", reply.text());
        CaCertificates::parse(&reply.body).expect("an RA bundle")
    }

    /// Posts a message.
    pub async fn send(&self, profile: &str, sent: &Sent) -> HttpReply {
        self.post(&format!("/scep/{profile}?operation=PKIOperation"), sent.message.clone()).await
    }

    /// A device asks for its certificate, as it does each time it comes.
    pub async fn enrol(&self, profile: &str, device: &Device) -> Answer {
        let ra = self.ra(profile).await;
        let sent = device.request(&ra);
        device.read(&sent, self.send(profile, &sent).await, &ra)
    }

    /// The same, where `serve` may be dead or die over it: none without a whole answer.
    pub async fn try_enrol(&self, profile: &str, device: &Device) -> Option<Answer> {
        let get = format!("/scep/{profile}?operation=GetCACert");
        let reply = Connection::try_request(&self.address, "GET", &get, Vec::new()).await?;
        let ra = CaCertificates::parse(&reply.body).ok()?;
        let sent = device.request(&ra);
        let post = format!("/scep/{profile}?operation=PKIOperation");
        let message = sent.message.clone();
        let reply = Connection::try_request(&self.address, "POST", &post, message).await?;
        Some(device.read(&sent, reply, &ra))
    }

    /// A device asks for its next certificate ([`Device::renewing`]).
    pub async fn renew(&self, profile: &str, device: &Device) -> Answer {
        let ra = self.ra(profile).await;
        let sent = device.renewal(&ra);
        device.read(&sent, self.send(profile, &sent).await, &ra)
    }

    /// A device asks what became of its request.
    pub async fn poll(&self, profile: &str, device: &Device) -> Answer {
        let ra = self.ra(profile).await;
        let sent = device.poll(&ra);
        device.read(&sent, self.send(profile, &sent).await, &ra)
    }

    /// A new device with a challenge for its names.
    pub async fn new_device(&self, profile: &str, names: &[&str]) -> Device {
        let challenge = self.issue_challenge(profile, names).await;
        Device::new(names, Some(&challenge))
    }
}

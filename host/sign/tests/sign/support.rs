//! An installation in a temporary directory, its running process, and the peers of it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use countersign_config::{Config, Loaded};
use countersign_ipc::{
    AdminReply, AdminRequest, Approval, ApprovalKey, Bytes, Client, EnrolmentId, Kind, OutcomeKind,
    OutcomeRecord, Role, SealedApproval, SignReply, SignRequest, VerifierRecord,
};
use countersign_ledger::CheckpointKey;
use countersign_profile::Csr;
use countersign_sign::{Clock, Room, Sign, StartError};
use countersign_store::{Owner, open_offline};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

pub(crate) const SOON: Duration = Duration::from_secs(20);
pub(crate) const PLUGIN: &str = "one-time-password";
pub(crate) const DIGEST: [u8; 32] = [0x11; 32];
const APPROVAL_KEY: [u8; 32] = [7; 32];

/// Keys and certificates, made once: RSA keys take their time.
fn pki() -> &'static Path {
    static PKI: OnceLock<TempDir> = OnceLock::new();
    PKI.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::write(path.join("req.cnf"), "[req]\ndistinguished_name=dn\n[dn]\n").unwrap();
        let role = |name: &str, key: &[&str], extensions: &[&str]| {
            let mut arguments =
                vec!["req", "-x509", "-config", "req.cnf", "-nodes", "-days", "365"];
            arguments.extend_from_slice(key);
            let (subject, certificate, private) =
                (format!("/CN={name}"), format!("{name}.pem"), format!("{name}.key"));
            arguments.extend(["-subj", &subject, "-out", &certificate, "-keyout", &private]);
            for extension in extensions {
                arguments.extend(["-addext", extension]);
            }
            openssl(path, &arguments);
            fs::set_permissions(path.join(&private), Permissions::from_mode(0o600)).unwrap();
        };
        let rsa = ["-newkey", "rsa:2048"];
        let ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
        let agent = "extendedKeyUsage=1.3.6.1.4.1.311.20.2.1";
        let sign = "keyUsage=critical,digitalSignature";
        role("ea", &rsa, &[sign, agent]);
        role("ea-ec", &ec, &[sign, agent]);
        role("no-agent", &ec, &[sign, "extendedKeyUsage=clientAuth"]);
        role("cep", &rsa, &["keyUsage=critical,keyEncipherment"]);
        role("rep", &rsa, &[sign]);
        let ca = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"];
        role("issuing", &ec, &ca);
        let constraints = "nameConstraints=critical,permitted;DNS:corp.example";
        role("constrained", &ec, &[ca[0], ca[1], constraints]);
        directory
    })
    .path()
}

pub(crate) fn openssl(directory: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").current_dir(directory).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What a test changes of the installation.
pub(crate) struct Options {
    pub(crate) ea: &'static str,
    pub(crate) issuing: &'static str,
    pub(crate) verifiers: &'static str,
    pub(crate) fuse: (u32, u32, u32),
    pub(crate) revocation_fuse: (u32, u32, u32),
    pub(crate) denials_per_source: u32,
    pub(crate) max_validity: &'static str,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ea: "ea",
            issuing: "issuing",
            verifiers: r#""one-time-password""#,
            fuse: (1000, 2000, 10_000),
            revocation_fuse: (10, 50, 200),
            denials_per_source: 1000,
            max_validity: "398d",
        }
    }
}

/// Files of an installation.
pub(crate) struct Installation {
    directory: TempDir,
    pub(crate) ea: &'static str,
    pub(crate) issuing: &'static str,
}

impl Installation {
    pub(crate) fn new(options: &Options) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        for name in ["run", "secrets", "checkpoints"] {
            fs::create_dir(path.join(name)).unwrap();
        }
        for (name, octets) in [
            ("approval", APPROVAL_KEY),
            ("sign-column", [2; 32]),
            ("verify-column", [3; 32]),
            ("serve-column", [4; 32]),
            ("challenge", [5; 32]),
        ] {
            let file = path.join(format!("secrets/{name}.key"));
            fs::write(&file, octets).unwrap();
            fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        }
        CheckpointKey::create_file(&path.join("secrets/checkpoint.key")).unwrap();
        CheckpointKey::create_file(&path.join("secrets/order.key")).unwrap();
        let (minute, hour, day) = options.fuse;
        let (order_minute, order_hour, order_day) = options.revocation_fuse;
        let config = format!(
            r#"
mode = "lab"
[sockets]
directory = "run"
[serve]
state = "serve"
listen = "127.0.0.1:8085"
column-key = "file:secrets/serve-column.key"
[serve.keys]
cep = {{ certificate = "{pki}/cep.pem", key = "file:{pki}/cep.key" }}
rep = {{ certificate = "{pki}/rep.pem", key = "file:{pki}/rep.key" }}
[verify]
state = "verify"
challenge-key = "file:secrets/challenge.key"
column-key = "file:secrets/verify-column.key"
[sign]
state = "sign"
column-key = "file:secrets/sign-column.key"
checkpoint = {{ key = "file:secrets/checkpoint.key", file = "checkpoints/ledger" }}
fuse = {{ per-minute = {minute}, per-hour = {hour}, per-day = {day} }}
revocation-fuse = {{ per-minute = {order_minute}, per-hour = {order_hour}, per-day = {order_day} }}
order = {{ key = "file:secrets/order.key" }}
[sign.keys]
ea = {{ certificate = "{pki}/{ea}.pem", key = "file:{pki}/{ea}.key" }}
[approval]
key = "file:secrets/approval.key"
[authority.lab]
kind = "wstep"
url = "https://127.0.0.1:9443/CES"
roots = "{pki}/issuing.pem"
issuing-certificate = "{pki}/{issuing}.pem"
chain = "{pki}/{issuing}.pem"
[authority.lab.authentication.username-token]
username = 'LAB\ra'
password = "file:secrets/password"
[plugin.one-time-password]
component = "otp.wasm"
digest = "sha256:{digest}"
[plugin.other]
component = "other.wasm"
digest = "sha256:{digest}"
[profile.wifi]
authority = "lab"
template = "CountersignDevice"
verifiers = {{ initial = [{verifiers}] }}
limits = {{ sans = {{ allowed = ["dns"] }}, max-validity = "{max_validity}" }}
denials = {{ per-source-per-hour = {per_source}, per-profile-per-hour = 100000 }}
[profile.lan]
authority = "lab"
template = "CountersignDevice"
verifiers = {{ initial = ["other"] }}
"#,
            pki = pki().display(),
            ea = options.ea,
            issuing = options.issuing,
            digest = hex::encode(DIGEST),
            verifiers = options.verifiers,
            max_validity = options.max_validity,
            per_source = options.denials_per_source,
        );
        fs::write(path.join("countersign.toml"), config).unwrap();
        Self { directory, ea: options.ea, issuing: options.issuing }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn load(&self) -> Loaded {
        Config::load(&self.path("countersign.toml"))
            .unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    pub(crate) fn ea_certificate(&self) -> PathBuf {
        pki().join(format!("{}.pem", self.ea))
    }

    /// A request of a device with a new key.
    pub(crate) fn csr(&self, subject: &str, extensions: &[&str]) -> Vec<u8> {
        let key = self.path(&format!("device-{}.key", unique()));
        self.csr_of(&key, true, subject, extensions)
    }

    /// A request for a key that exists, or is made now.
    pub(crate) fn csr_of(
        &self,
        key: &Path,
        make: bool,
        subject: &str,
        extensions: &[&str],
    ) -> Vec<u8> {
        let key = key.to_str().unwrap();
        let out = self.path(&format!("{}.csr", unique()));
        let config = pki().join("req.cnf");
        let mut arguments = vec!["req", "-new", "-config", config.to_str().unwrap(), "-nodes"];
        if make {
            arguments.extend(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
            arguments.extend(["-keyout", key]);
        } else {
            arguments.extend(["-key", key]);
        }
        arguments.extend(["-subj", subject, "-outform", "DER", "-out", out.to_str().unwrap()]);
        for extension in extensions {
            arguments.extend(["-addext", extension]);
        }
        openssl(self.directory.path(), &arguments);
        fs::read(out).unwrap()
    }

    /// A key of the service itself.
    pub(crate) fn role_key(&self, name: &str) -> PathBuf {
        pki().join(format!("{name}.key"))
    }

    /// What the CA issues for `csr`, valid for 30 days.
    pub(crate) fn issue(&self, csr: &[u8]) -> Vec<u8> {
        let number = unique();
        let (request, out) =
            (self.path(&format!("{number}.req")), self.path(&format!("{number}.der")));
        fs::write(&request, csr).unwrap();
        let (ca, key) = (
            pki().join(format!("{}.pem", self.issuing)),
            pki().join(format!("{}.key", self.issuing)),
        );
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        openssl(
            self.directory.path(),
            &[
                "x509",
                "-req",
                "-inform",
                "DER",
                "-in",
                &text(&request),
                "-CA",
                &text(&ca),
                "-CAkey",
                &text(&key),
                "-set_serial",
                &(4096 + number).to_string(),
                "-days",
                "30",
                "-outform",
                "DER",
                "-out",
                &text(&out),
            ],
        );
        fs::read(out).unwrap()
    }

    /// The number that a query on the database counts.
    pub(crate) fn count(&self, sql: &str) -> i64 {
        open_offline(&self.path("sign/sign.db"), Owner::Sign)
            .unwrap()
            .query_row(sql, [], |row| row.get(0))
            .unwrap()
    }
}

fn unique() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The system's clock with an offset that a test moves.
#[derive(Clone, Default)]
pub(crate) struct TestClock(Arc<AtomicI64>);

impl TestClock {
    pub(crate) fn move_by(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        now.checked_add_signed(self.0.load(Ordering::Relaxed)).unwrap()
    }

    pub(crate) fn clock(&self) -> Clock {
        let clock = self.clone();
        Clock::by(move || clock.now())
    }
}

/// An installation whose `sign` runs.
pub(crate) struct Running {
    pub(crate) installation: Installation,
    pub(crate) clock: TestClock,
    pub(crate) digest: [u8; 32],
    pub(crate) serve: Client<SignRequest, SignReply>,
    pub(crate) verify: Client<SignRequest, SignReply>,
    admin: Client<AdminRequest, AdminReply>,
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), StartError>>,
}

pub(crate) async fn start() -> Running {
    start_with(Options::default()).await
}

pub(crate) async fn start_with(options: Options) -> Running {
    start_in(Installation::new(&options), TestClock::default()).await.unwrap()
}

pub(crate) async fn start_in(
    installation: Installation,
    clock: TestClock,
) -> Result<Running, StartError> {
    start_in_room(installation, clock, Room::of_file_system()).await
}

pub(crate) async fn start_in_room(
    installation: Installation,
    clock: TestClock,
    room: Room,
) -> Result<Running, StartError> {
    let loaded = installation.load();
    let digest = loaded.digest;
    let sockets = loaded.config.sockets.clone();
    let its_clock = clock.clock();
    let sign =
        tokio::task::spawn_blocking(move || Sign::open(&loaded, its_clock, room)).await.unwrap()?;
    let (stop, stopping) = watch::channel(false);
    let task = tokio::spawn(sign.serve(stopping));
    while !sockets.sign_admin().exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(Running {
        serve: Client::new(&sockets.sign(), Role::Serve, digest),
        verify: Client::new(&sockets.sign(), Role::Verify, digest),
        admin: Client::new(&sockets.sign_admin(), Role::Admin, digest),
        installation,
        clock,
        digest,
        stop,
        task,
    })
}

impl Running {
    pub(crate) fn csr(&self) -> Vec<u8> {
        self.installation.csr("/CN=device-17", &[])
    }

    /// What an honest `verify` would approve.
    pub(crate) fn approval(&self, csr: &[u8]) -> Approval {
        let parsed = Csr::parse(csr).unwrap();
        let now = self.clock.now();
        Approval {
            enrolment: EnrolmentId::of("wifi", b"transaction", &parsed.info_sha256(), None),
            attempt: 1,
            kind: Kind::Initial,
            profile: "wifi".into(),
            current_certificate_sha256: None,
            csr_sha256: parsed.sha256(),
            info_sha256: parsed.info_sha256(),
            names: parsed.names().iter().map(ToString::to_string).collect(),
            device_id: Some("asset-4711".into()),
            latest_end: None,
            verifiers: vec![VerifierRecord {
                plugin: PLUGIN.into(),
                digest: DIGEST,
                evidence: vec![("challenge".into(), "redeemed".into())],
            }],
            config_digest: self.digest,
            approved_at: now,
            expires_at: now + 600,
        }
    }

    pub(crate) async fn countersign(&self, approval: &Approval, csr: &[u8]) -> SignReply {
        self.bring(&seal(approval), csr).await
    }

    pub(crate) async fn bring(&self, sealed: &SealedApproval, csr: &[u8]) -> SignReply {
        let request = SignRequest::Countersign { sealed: sealed.clone(), csr: Bytes(csr.to_vec()) };
        self.serve.call(&request, SOON).await.unwrap()
    }

    /// Tells how the attempt of `approval` ended.
    pub(crate) async fn tell(
        &self,
        approval: &Approval,
        outcome: OutcomeKind,
        certificate: Option<&[u8]>,
    ) -> SignReply {
        let record = OutcomeRecord {
            enrolment: approval.enrolment,
            attempt: approval.attempt,
            profile: approval.profile.clone(),
            outcome,
            certificate: certificate.map(Into::into),
            code: None,
        };
        self.serve.call(&SignRequest::Outcome(record), SOON).await.unwrap()
    }

    pub(crate) async fn ask(&self, request: AdminRequest) -> serde_json::Value {
        match self.admin.call(&request, SOON).await.unwrap() {
            AdminReply::Facts(facts) => facts,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn admin_reply(&self, request: AdminRequest) -> AdminReply {
        self.admin.call(&request, SOON).await.unwrap()
    }

    pub(crate) async fn refused_question(&self, request: AdminRequest) -> String {
        match self.admin.call(&request, SOON).await.unwrap() {
            AdminReply::Refused { message } => message,
            other => panic!("{other:?}"),
        }
    }

    /// All entries of the ledger.
    pub(crate) async fn ledger(&self) -> Vec<serde_json::Value> {
        let all = AdminRequest::Ledger { from: 0, limit: 1000, enrolment: None };
        self.ask(all).await["entries"].as_array().unwrap().clone()
    }

    /// Bodies of the entries of one kind.
    pub(crate) async fn entries(&self, kind: &str) -> Vec<serde_json::Value> {
        let of_kind =
            |entry: &serde_json::Value| (entry["kind"] == kind).then(|| entry["body"].clone());
        self.ledger().await.iter().filter_map(of_kind).collect()
    }

    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let text = match self.admin.call(&AdminRequest::Metrics, SOON).await.unwrap() {
            AdminReply::Text(text) => text,
            other => panic!("{other:?}"),
        };
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("countersign_sign_{name} ")))
            .unwrap_or_else(|| panic!("no {name} in {text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// How often the EA key was used.
    pub(crate) async fn ea_signatures(&self) -> u64 {
        self.metric("ea_signatures_total").await
    }

    pub(crate) async fn health(&self) -> (bool, Vec<String>) {
        match self.verify.call(&SignRequest::Health, SOON).await.unwrap() {
            SignReply::Healthy { ready, detail } => (ready, detail),
            other => panic!("{other:?}"),
        }
    }

    /// The approval must be refused with `code`, in the ledger too, and the EA key be untouched.
    pub(crate) async fn must_refuse(&self, reply: SignReply, code: &str) {
        assert_eq!(refusal(&reply), Some(code), "{reply:?}");
        let entries = self.entries("refused-seal").await;
        assert_eq!(entries.last().unwrap()["code"], code, "{entries:?}");
    }

    pub(crate) async fn stop(self) -> (Installation, TestClock) {
        self.stop.send(true).unwrap();
        self.task.await.unwrap().unwrap();
        (self.installation, self.clock)
    }
}

pub(crate) fn seal(approval: &Approval) -> SealedApproval {
    ApprovalKey::new(&Zeroizing::new(APPROVAL_KEY.to_vec())).unwrap().seal(approval)
}

pub(crate) fn cms(reply: SignReply) -> Vec<u8> {
    match reply {
        SignReply::Countersigned { cms } => cms.0,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn refusal(reply: &SignReply) -> Option<&str> {
    match reply {
        SignReply::Refused { code } => Some(code),
        _ => None,
    }
}

pub(crate) fn is_unavailable(reply: &SignReply) -> bool {
    matches!(reply, SignReply::Unavailable { .. })
}

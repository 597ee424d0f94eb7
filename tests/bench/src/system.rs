//! Countersign as it is measured: the three processes, the plug-in, and the lab CA as a process of
//! its own.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use countersign_config::Config;
use countersign_scep::LegacyAlgorithms;
use countersign_tests::ipc::{AdminReply, AdminRequest, Client, Role};
use countersign_tests::{Installation, PROFILE, Program, program};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

use crate::arguments::Algorithm;
use crate::fleet::Identity;
use crate::load;
use crate::peer::Peer;
use crate::proc;
use crate::stations::Stations;

/// A fuse that a bench does not blow.
pub(crate) const FUSE: &str =
    "[sign.fuse]\nper-minute = 1000000\nper-hour = 1000000\nper-day = 1000000\n";

/// Challenges issued at the same time; they share group commits.
const AT_ONCE: usize = 64;

/// A running installation.
#[derive(Debug)]
pub(crate) struct System {
    pub(crate) installation: Installation,
    pub(crate) peer: Peer,
    ca: Child,
}

/// Where the keys of the roles are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    Files,
    SoftHsm,
}

/// Processor time by process.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ProcessorTime {
    pub(crate) serve: Duration,
    pub(crate) verify: Duration,
    pub(crate) sign: Duration,
    pub(crate) ca: Duration,
}

impl System {
    /// Makes and starts everything.
    pub(crate) async fn start(algorithm: Algorithm, keys: Keys) -> Self {
        let mut builder = Installation::builder().algorithm(algorithm.of_lab_ca()).sections(FUSE);
        if keys == Keys::SoftHsm {
            builder = builder.softhsm();
        }
        let mut installation = builder.prepare().await;
        installation.stop_ca().await;
        let ca = start_ca(&installation).await;
        installation.start_all().await;
        let path = format!("/scep/{PROFILE}");
        let peer = Peer::meet(installation.address(), &path, LegacyAlgorithms::default()).await;
        Self { installation, peer, ca }
    }

    /// A challenge for each device.
    pub(crate) async fn challenges(&self, devices: Vec<Identity>) -> Vec<(Identity, String)> {
        challenges(&self.installation, devices).await
    }

    /// Processor time so far.
    pub(crate) fn processor_time(&mut self) -> ProcessorTime {
        ProcessorTime {
            serve: proc::processor_time(self.pid(Program::Serve)),
            verify: proc::processor_time(self.pid(Program::Verify)),
            sign: proc::processor_time(self.pid(Program::Sign)),
            ca: proc::processor_time(self.ca.id().expect("the CA runs")),
        }
    }

    /// Resident memory of `serve`, `verify` and `sign` in MiB: now, and the most so far.
    pub(crate) fn resident(&mut self) -> [(f64, f64); 3] {
        [Program::Serve, Program::Verify, Program::Sign]
            .map(|which| proc::resident(self.pid(which)))
    }

    /// What `serve` counted so far.
    pub(crate) async fn stations(&self) -> Stations {
        match self.installation.admin(Program::Serve, AdminRequest::Metrics).await {
            AdminReply::Text(text) => Stations::read(&text),
            other => panic!("expected metrics, found {other:?}"),
        }
    }

    /// Group commits and the jobs in them, of `verify`.
    pub(crate) async fn verify_commits(&self) -> (f64, f64) {
        match self.installation.admin(Program::Verify, AdminRequest::Metrics).await {
            AdminReply::Text(text) => {
                let read = |name: &str| {
                    let line = text.lines().find_map(|line| line.strip_prefix(name));
                    line.and_then(|value| value.trim().parse().ok()).unwrap_or_default()
                };
                let commits = read("countersign_verify_store_commits_total ");
                (commits, read("countersign_verify_store_jobs_total "))
            }
            other => panic!("expected metrics, found {other:?}"),
        }
    }

    fn pid(&mut self, which: Program) -> u32 {
        self.installation.running(which).id().expect("the process runs")
    }
}

/// A challenge for each device, issued by `verify`.
pub(crate) async fn challenges(
    installation: &Installation,
    devices: Vec<Identity>,
) -> Vec<(Identity, String)> {
    let socket = installation.file("run/verify.admin.sock");
    let digest = installation.config_digest();
    let client = Client::<AdminRequest, AdminReply>::new(&socket, Role::Admin, digest);
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut asked = Vec::new();
    for device in devices {
        let place = Arc::clone(&places).acquire_owned().await.expect("never closed");
        let client = client.clone();
        asked.push(tokio::spawn(async move {
            let question = AdminRequest::IssueChallenge {
                profile: PROFILE.to_owned(),
                names: device.names.to_vec(),
                device_id: None,
                ttl: 3600,
            };
            let reply = client.call(&question, Duration::from_secs(30)).await;
            drop(place);
            match reply.expect("verify answers") {
                AdminReply::Challenge { text, .. } => (device, text.to_string()),
                other => panic!("expected a challenge, found {other:?}"),
            }
        }));
    }
    let mut challenged = Vec::with_capacity(asked.len());
    for one in asked {
        challenged.push(one.await.expect("no panic"));
    }
    challenged
}

/// The lab CA where the config expects it, in a process of its own so that its processor time is its
/// own.
async fn start_ca(installation: &Installation) -> Child {
    let loaded = Config::load(installation.config()).expect("the config has no faults");
    let url = loaded.config.authority["lab"].url.url().clone();
    let address = format!("127.0.0.1:{}", url.port().expect("a port of its own"));
    let ca = Command::new(program("lab-ca"))
        .args(["serve", "--listen", &address, "--directory"])
        .arg(installation.file("ca"))
        .env("RUST_LOG", "warn")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .expect("the lab CA starts");
    load::wait_for(&address).await;
    ca
}

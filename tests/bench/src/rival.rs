//! micromdm's `scepserver`: a SCEP CA in one process, Debian's package `scep`.

use std::net::TcpListener;
use std::process::{Command as Run, Stdio};
use std::time::Duration;

use countersign_scep::LegacyAlgorithms;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::load;
use crate::peer::Peer;
use crate::proc;

const PROGRAM: &str = "scepserver";

/// The one challenge that it takes from everybody.
pub(crate) const CHALLENGE: &str = "the-same-for-everybody";

/// A running scepserver.
#[derive(Debug)]
pub(crate) struct Rival {
    pub(crate) peer: Peer,
    server: Child,
    _depot: TempDir,
}

impl Rival {
    /// Makes its CA (RSA-2048: it has no other) and starts it.
    pub(crate) async fn start() -> Self {
        let depot = TempDir::new().expect("a temporary directory");
        let made = Run::new(PROGRAM)
            .args(["ca", "-init", "-keySize", "2048", "-depot"])
            .arg(depot.path())
            .output()
            .expect("scepserver is installed (Debian: apt-get install scep)");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        // It takes a port, not a socket: one that was free a moment ago.
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let server = Command::new(PROGRAM)
            .args(["-allowrenew", "0", "-challenge", CHALLENGE])
            .args(["-port", &address.port().to_string(), "-depot"])
            .arg(depot.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("scepserver starts");
        let address = address.to_string();
        load::wait_for(&address).await;
        // It answers in single DES, whatever the request came in.
        let peer = Peer::meet(&address, "/scep", LegacyAlgorithms::EVERYTHING).await;
        Self { peer, server, _depot: depot }
    }

    /// Processor time so far.
    pub(crate) fn processor_time(&self) -> Duration {
        proc::processor_time(self.pid())
    }

    /// Resident memory in MiB: now, and the most so far.
    pub(crate) fn resident(&self) -> (f64, f64) {
        proc::resident(self.pid())
    }

    fn pid(&self) -> u32 {
        self.server.id().expect("scepserver runs")
    }
}

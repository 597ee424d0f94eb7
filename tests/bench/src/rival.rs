//! The other servers: micromdm's `scepserver` (Debian package `scep`) and step-ca. Each is a CA in one
//! process that answers SCEP with one challenge for everybody.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command as Run, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_scep::LegacyAlgorithms;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::arguments::Algorithm;
use crate::load;
use crate::peer::Peer;
use crate::proc;

/// The one challenge that they take from everybody.
pub(crate) const CHALLENGE: &str = "the-same-for-everybody";

/// A running server.
#[derive(Debug)]
pub(crate) struct Rival {
    pub(crate) name: &'static str,
    pub(crate) peer: Peer,
    server: Child,
    _folder: TempDir,
}

impl Rival {
    /// micromdm's scepserver: makes its CA (RSA-2048: it has no other) and starts it.
    pub(crate) async fn scepserver() -> Self {
        let folder = TempDir::new().expect("a temporary directory");
        let program = "scepserver";
        let made = Run::new(program)
            .args(["ca", "-init", "-keySize", "2048", "-depot"])
            .arg(folder.path())
            .output()
            .expect("scepserver is installed (Debian: apt-get install scep)");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = free_port();
        let mut command = Command::new(program);
        command
            .args(["-allowrenew", "0", "-challenge", CHALLENGE])
            .args(["-port", &port.to_string(), "-depot"])
            .arg(folder.path());
        let server = started(command);
        let address = format!("127.0.0.1:{port}");
        load::wait_for(&address).await;
        // It answers in single DES, whatever the request came in.
        let peer = Peer::meet(&address, "/scep", LegacyAlgorithms::EVERYTHING).await;
        Self { name: "scepserver", peer, server, _folder: folder }
    }

    /// step-ca, with root and intermediate of this algorithm, its usual database, and an RSA key to
    /// open envelopes and sign answers with, as it wants beside a CA of P-256.
    pub(crate) async fn step_ca(program: &Path, algorithm: Algorithm) -> Self {
        let folder = TempDir::new().expect("a temporary directory");
        let (http, https) = (free_port(), free_port());
        make_authority(folder.path(), algorithm);
        let file = |name: &str| folder.path().join(name);
        let octets = |name: &str| STANDARD.encode(std::fs::read(file(name)).expect("a file"));
        let config = json!({
            "root": file("root.pem"),
            "crt": file("intermediate.pem"),
            "key": file("intermediate.key"),
            "address": format!("127.0.0.1:{https}"),
            "insecureAddress": format!("127.0.0.1:{http}"),
            "dnsNames": ["127.0.0.1"],
            "db": { "type": "badgerv2", "dataSource": file("db") },
            "authority": { "provisioners": [{
                "type": "SCEP",
                "name": "bench",
                "challenge": CHALLENGE,
                "minimumPublicKeyLength": 2048,
                // AES-256-CBC.
                "encryptionAlgorithmIdentifier": 2,
                "decrypterCertificate": octets("decrypter.pem"),
                "decrypterKeyPEM": octets("decrypter.key"),
            }] },
        });
        std::fs::write(file("ca.json"), config.to_string()).expect("space on the disk");
        let mut command = Command::new(program);
        command.arg(file("ca.json"));
        let server = started(command);
        let address = format!("127.0.0.1:{http}");
        load::wait_for(&address).await;
        // It signs its answers with SHA-1, whatever the request was signed with.
        let peer = Peer::meet(&address, "/scep/bench", LegacyAlgorithms::EVERYTHING).await;
        Self { name: "step-ca", peer, server, _folder: folder }
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
        self.server.id().expect("it runs")
    }
}

/// They take a port, not a socket: one that was free a moment ago.
fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    free.local_addr().expect("an address").port()
}

fn started(mut command: Command) -> Child {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the server starts")
}

/// Root, intermediate, and the RSA key for envelopes, by OpenSSL.
fn make_authority(folder: &Path, algorithm: Algorithm) {
    let key: &[&str] = match algorithm {
        Algorithm::Rsa2048 => &["-newkey", "rsa:2048"],
        Algorithm::P256 => &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    };
    let rsa: &[&str] = &["-newkey", "rsa:2048"];
    // Without the system's file: its defaults would add extensions of their own.
    let plain = "[req]\ndistinguished_name = name\n[name]\n";
    std::fs::write(folder.join("openssl.cnf"), plain).expect("space on the disk");
    let ca = "keyUsage=critical,keyCertSign,cRLSign";
    make(folder, "root", None, key, &["basicConstraints=critical,CA:TRUE", ca]);
    let intermediate = ["basicConstraints=critical,CA:TRUE,pathlen:0", ca];
    make(folder, "intermediate", Some("root"), key, &intermediate);
    let both = "keyUsage=critical,digitalSignature,keyEncipherment";
    make(folder, "decrypter", Some("intermediate"), rsa, &[both]);
}

fn make(folder: &Path, name: &str, issuer: Option<&str>, key: &[&str], extensions: &[&str]) {
    let mut command = Run::new("openssl");
    command
        .current_dir(folder)
        .args([
            "req",
            "-config",
            "openssl.cnf",
            "-x509",
            "-nodes",
            "-days",
            "30",
            "-subj",
            &format!("/CN=bench {name}"),
        ])
        .args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")])
        .args(key);
    for extension in extensions {
        command.args(["-addext", extension]);
    }
    if let Some(issuer) = issuer {
        command.args(["-CA", &format!("{issuer}.pem"), "-CAkey", &format!("{issuer}.key")]);
    }
    let made = command.output().expect("openssl is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

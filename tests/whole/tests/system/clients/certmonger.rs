//! certmonger: all by GET, a friendly name in every request, and renewals that say PKCSReq and are
//! signed with the old certificate.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use countersign_tests::Installation;
use countersign_tests::openssl::output;

use super::{BOTH, RENEWING, SLOW, approve_next, builder, must_be_good};

const NAMES: [&str; 2] = ["CN=monger-device", "DNS:monger-device.example.org"];

/// Two daemons of one user get in each other's way, whatever bus and folders they are given.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The daemon, on a bus of its own, with its files in a folder of the installation.
struct Certmonger {
    folder: PathBuf,
    bus: Child,
    address: String,
    daemon: Child,
}

impl Certmonger {
    fn start(installation: &Installation, profile: &str) -> Self {
        let folder = installation.file("certmonger");
        for name in ["cas", "requests", "local", "tmp"] {
            std::fs::create_dir_all(folder.join(name)).unwrap();
        }
        let socket = folder.join("bus");
        let address = format!("unix:path={}", socket.display());
        let mut bus = Command::new("dbus-daemon");
        bus.args(["--session", "--nofork", "--address", &address]);
        let bus = quietly(&mut bus).spawn().unwrap();
        wait_for(|| socket.exists());
        let mut daemon = Self::program("certmonger", &folder, &address);
        let daemon = quietly(daemon.args(["-s", "-n"])).spawn().unwrap();
        let certmonger = Self { folder, bus, address, daemon };
        wait_for(|| certmonger.getcert(&["list-cas", "-s"]).1);
        let (url, ca) = (installation.url(profile), installation.file("ca/ca.pem"));
        let ca = ca.to_str().unwrap();
        certmonger.must(&["add-scep-ca", "-s", "-c", "lab", "-u", &url, "-R", ca]);
        // It fetches the RA's certificates by itself.
        wait_for(|| certmonger.must(&["list-cas", "-s", "-c", "lab"]).contains("thumbprint"));
        certmonger
    }

    fn program(name: &str, folder: &Path, address: &str) -> Command {
        let mut command = Command::new(name);
        command
            .current_dir(folder)
            .env("HOME", folder)
            .env("DBUS_SESSION_BUS_ADDRESS", address)
            .env("CERTMONGER_CAS_DIR", folder.join("cas"))
            .env("CERTMONGER_REQUESTS_DIR", folder.join("requests"))
            .env("CERTMONGER_LOCAL_CA_DIR", folder.join("local"))
            .env("CERTMONGER_TMPDIR", folder.join("tmp"));
        command
    }

    fn getcert(&self, arguments: &[&str]) -> (String, bool) {
        let ended = output(Self::program("getcert", &self.folder, &self.address).args(arguments));
        let said = [ended.stdout, ended.stderr].concat();
        (String::from_utf8_lossy(&said).into_owned(), ended.status.success())
    }

    fn must(&self, arguments: &[&str]) -> String {
        let (said, is_good) = self.getcert(arguments);
        assert!(is_good, "getcert {arguments:?}: {said}");
        said
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn request(&self, challenge: &str) {
        let (certificate, key) = (self.file("issued.pem"), self.file("key.pem"));
        self.must(
            &["request", "-s", "-c", "lab", "-I", "device", "-f", certificate.to_str().unwrap()]
                .into_iter()
                .chain(["-k", key.to_str().unwrap(), "-L", challenge])
                .chain(["-N", "CN=monger-device", "-D", "monger-device.example.org"])
                .collect::<Vec<_>>(),
        );
    }

    fn status(&self) -> String {
        let list = self.must(&["list", "-s", "-i", "device"]);
        let status = list.lines().find_map(|line| line.trim().strip_prefix("status: "));
        status.unwrap_or_else(|| panic!("no status in {list}")).to_owned()
    }

    /// Waits until the tracked certificate is another one than `before`.
    fn wait_until_issued(&self, before: &str, ca: &Path) -> String {
        let mut now = String::new();
        wait_for(|| {
            let status = self.status();
            assert!(
                !["CA_REJECTED", "CA_UNCONFIGURED"].contains(&status.as_str()),
                "{}",
                self.must(&["list", "-s", "-i", "device"])
            );
            if status != "MONITORING" {
                return false;
            }
            now = must_be_good(&self.file("issued.pem"), &self.file("key.pem"), ca);
            now != before
        });
        now
    }
}

impl Drop for Certmonger {
    fn drop(&mut self) {
        for process in [&mut self.daemon, &mut self.bus] {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn quietly(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

fn wait_for(mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(60), "certmonger is not there in a minute");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certmonger_enrols_and_renews_with_the_same_key_and_a_new_one() {
    let _alone = ONE_AT_A_TIME.lock().await;
    for keys in BOTH {
        let installation = builder(keys, |profile| profile).start().await;
        let challenge = installation.issue_challenge(RENEWING, &NAMES).await;
        let ca = installation.file("ca/ca.pem");
        tokio::task::block_in_place(|| {
            let certmonger = Certmonger::start(&installation, RENEWING);
            certmonger.request(&challenge);
            let first = certmonger.wait_until_issued("", &ca);
            certmonger.must(&["resubmit", "-s", "-i", "device"]);
            let second = certmonger.wait_until_issued(&first, &ca);
            certmonger.must(&["rekey", "-s", "-i", "device"]);
            certmonger.wait_until_issued(&second, &ca);
        });
        assert_eq!(installation.signatures().await, 3, "with {keys:?}");
        let _ = installation.sweep();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certmonger_waits_for_the_certificate_manager() {
    let _alone = ONE_AT_A_TIME.lock().await;
    for keys in BOTH {
        let installation = builder(keys, |profile| profile).start().await;
        let challenge = installation.issue_challenge(SLOW, &NAMES).await;
        let ca = installation.file("ca/ca.pem");
        let certmonger = tokio::task::block_in_place(|| Certmonger::start(&installation, SLOW));
        certmonger.request(&challenge);
        approve_next(installation.ca().clone()).await;
        tokio::task::block_in_place(|| {
            wait_for(|| certmonger.status() == "CA_WORKING");
            certmonger.must(&["refresh", "-s", "-i", "device"]);
            certmonger.wait_until_issued("", &ca);
        });
        assert_eq!(installation.signatures().await, 1, "with {keys:?}");
        let _ = installation.sweep();
    }
}

//! strongSwan's `pki --scep`: POST without a media type, CertPoll while it waits, and RenewalReq.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use countersign_lab_ca::Algorithm;
use countersign_tests::openssl::{openssl, output, run};
use countersign_tests::{Installation, PROFILE};

use super::{BOTH, RENEWING, SLOW, approve_next, builder, must_be_good};

/// strongSwan's `pki`, at work in a folder of the installation.
struct StrongSwan {
    folder: PathBuf,
    url: String,
}

impl StrongSwan {
    fn new(installation: &Installation, profile: &str) -> Self {
        let folder = installation.file("strongswan");
        std::fs::create_dir_all(&folder).unwrap();
        Self { folder, url: installation.url(profile) }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn pki(&self) -> Command {
        let mut command = Command::new("pki");
        command.current_dir(&self.folder);
        command
    }

    /// GetCACert: `ca.pem`, and the RA's certificates as `ra.pem` and `ra-1.pem`.
    fn fetch_certificates(&self) {
        run(self.pki().args(["--scepca", "--url", &self.url]).args([
            "--caout",
            "ca.pem",
            "--raout",
            "ra.pem",
            "--outform",
            "pem",
            "--force",
        ]));
    }

    /// The RA's certificate with this key usage.
    fn ra_with(&self, usage: &str) -> PathBuf {
        let mut files: Vec<PathBuf> = std::fs::read_dir(&self.folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("ra"))
            .collect();
        files.sort();
        let has_usage = |file: &PathBuf| {
            run(openssl(&["x509", "-noout", "-ext", "keyUsage", "-in"]).arg(file)).contains(usage)
        };
        files.into_iter().find(has_usage).unwrap_or_else(|| panic!("no RA certificate for {usage}"))
    }

    fn enrol(&self, challenge: &str, more: &[&str]) -> Output {
        let key = self.file("key.pem");
        if !key.exists() {
            run(openssl(&["genrsa", "-out"]).arg(&key).arg("2048"));
        }
        output(
            self.pki()
                .args(["--scep", "--url", &self.url, "--in", "key.pem"])
                .args(["--dn", "CN=strong-device", "--san", "strong-device.example"])
                .args(["--password", challenge])
                .args(["--outform", "pem"])
                .arg("--cacert-enc")
                .arg(self.ra_with("Key Encipherment"))
                .arg("--cacert-sig")
                .arg(self.ra_with("Digital Signature"))
                .args(["--cacert", "ca.pem"])
                .args(more),
        )
    }
}

const NAMES: [&str; 2] = ["CN=strong-device", "DNS:strong-device.example"];

fn must_be_a_good_certificate(output: &Output, ca: &Path, folder: &Path) {
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let file = folder.join("issued.pem");
    std::fs::write(&file, &output.stdout).unwrap();
    must_be_good(&file, &folder.join("key.pem"), ca);
    let text = run(openssl(&["x509", "-noout", "-text", "-in"]).arg(&file));
    assert!(text.contains("DNS:strong-device.example"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn strongswan_enrols_end_to_end_and_openssl_verifies_its_certificate() {
    for algorithm in [Algorithm::Rsa2048, Algorithm::P256] {
        let installation = Installation::builder().algorithm(algorithm).start().await;
        let strongswan = StrongSwan::new(&installation, PROFILE);
        strongswan.fetch_certificates();
        let challenge = installation.issue_challenge(PROFILE, &NAMES).await;
        let ca = installation.file("ca/ca.pem");
        must_be_a_good_certificate(&strongswan.enrol(&challenge, &[]), &ca, &strongswan.folder);
        // It asks again with the same key, as after a lost answer.
        let again = strongswan.enrol(&challenge, &["--cipher", "aes", "--digest", "sha512"]);
        must_be_a_good_certificate(&again, &ca, &strongswan.folder);
        assert_eq!(installation.signatures().await, 1);
        let _ = installation.sweep();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strongswan_with_an_unknown_challenge_is_refused() {
    let installation = Installation::start_usual().await;
    let strongswan = StrongSwan::new(&installation, PROFILE);
    strongswan.fetch_certificates();
    for challenge in ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "guess"] {
        let output = strongswan.enrol(challenge, &[]);
        assert!(!output.status.success());
        assert!(output.stdout.is_empty());
    }
    assert_eq!(installation.signatures().await, 0);
    let denied = installation.wait_for_ledger("denied", 2).await;
    assert_eq!(denied[0]["body"]["profile"], PROFILE);
}

#[tokio::test(flavor = "multi_thread")]
async fn strongswan_polls_until_the_certificate_manager_has_approved() {
    for keys in BOTH {
        let installation = builder(keys, |profile| profile).start().await;
        let strongswan = StrongSwan::new(&installation, SLOW);
        strongswan.fetch_certificates();
        let challenge = installation.issue_challenge(SLOW, &NAMES).await;
        let folder = strongswan.folder.clone();
        let client = tokio::task::spawn_blocking(move || {
            strongswan.enrol(&challenge, &["--interval", "1", "--maxpolltime", "60"])
        });
        approve_next(installation.ca().clone()).await;
        let output = client.await.unwrap();
        must_be_a_good_certificate(&output, &installation.file("ca/ca.pem"), &folder);
        assert_eq!(installation.signatures().await, 1, "with {keys:?}");
        let _ = installation.sweep();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strongswan_renews_with_a_new_key_that_its_old_certificate_vouches_for() {
    for keys in BOTH {
        let installation = builder(keys, |profile| profile).start().await;
        let strongswan = StrongSwan::new(&installation, RENEWING);
        strongswan.fetch_certificates();
        let challenge = installation.issue_challenge(RENEWING, &NAMES).await;
        let ca = installation.file("ca/ca.pem");
        let first = strongswan.enrol(&challenge, &[]);
        must_be_a_good_certificate(&first, &ca, &strongswan.folder);
        for (now, before) in [("issued.pem", "old.pem"), ("key.pem", "old-key.pem")] {
            std::fs::rename(strongswan.file(now), strongswan.file(before)).unwrap();
        }
        // No challenge this time.
        let second = strongswan.enrol("", &["--cert", "old.pem", "--key", "old-key.pem"]);
        must_be_a_good_certificate(&second, &ca, &strongswan.folder);
        let old = run(openssl(&["pkey", "-pubout", "-in"]).arg(strongswan.file("old-key.pem")));
        let issued = strongswan.file("issued.pem");
        assert_ne!(run(openssl(&["x509", "-noout", "-pubkey", "-in"]).arg(issued)), old);
        assert_eq!(installation.signatures().await, 2, "with {keys:?}");
        let _ = installation.sweep();
    }
}

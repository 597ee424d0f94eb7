//! The binary as a person or the demo uses it, and the CA's own artefacts as OpenSSL sees them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests state what they know"
)]

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use countersign_lab_ca::{Algorithm, LabCa, LabCaError, Options, Role, Template};
use tempfile::TempDir;

fn lab_ca(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign-lab-ca"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn done(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let stdout = String::from_utf8(stdout).unwrap();
    assert!(status.success(), "{command:?}\n{stdout}{}", String::from_utf8_lossy(&stderr));
    stdout
}

fn openssl(arguments: &[&str]) -> String {
    done(Command::new("openssl").args(arguments).stdin(Stdio::null()))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn csr(directory: &Path, name: &str, form: &str) -> PathBuf {
    let out = directory.join(format!("{name}.csr"));
    openssl(&[
        "req",
        "-new",
        "-nodes",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-subj",
        &format!("/CN={name}"),
        "-keyout",
        text(&directory.join(format!("{name}.key"))),
        "-outform",
        form,
        "-out",
        text(&out),
    ]);
    out
}

/// Ends the process when the test does.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_ca_is_made_signs_serves_lists_and_revokes() {
    let temporary = TempDir::new().unwrap();
    let directory = temporary.path().join("lab");
    let at = text(&directory);
    done(&mut lab_ca(&[
        "init",
        "--directory",
        at,
        "--algorithm",
        "p-256",
        "--user",
        "LAB\\ces=pw=1",
    ]));
    let ca = LabCa::open(&directory).unwrap();
    let users = ca.settings().unwrap().users;
    assert_eq!(users[0].name, "LAB\\ces");
    assert_eq!(users[0].password.as_str(), "pw=1");

    // Keys and settings are nobody else's.
    use std::os::unix::fs::PermissionsExt;
    for file in ["ca.key.pem", "settings.json", "journal.jsonl"] {
        let mode = fs::metadata(directory.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }

    // PEM and DER; every role has its extensions and verifies.
    let root = directory.join("ca.pem");
    for (role, form, expected, unexpected) in [
        ("ea", "PEM", "1.3.6.1.4.1.311.20.2.1", "Key Encipherment"),
        ("cep", "DER", "Key Encipherment", "Extended Key Usage"),
        ("rep", "PEM", "Digital Signature", "1.3.6.1.4.1.311.20.2.1"),
        ("tls-client", "DER", "TLS Web Client Authentication", "TLS Web Server"),
        ("tls-server", "PEM", "TLS Web Server Authentication", "TLS Web Client"),
    ] {
        let request = csr(temporary.path(), role, form);
        let out = temporary.path().join(format!("{role}.pem"));
        done(&mut lab_ca(&[
            "sign-csr",
            "--directory",
            at,
            "--role",
            role,
            "--csr",
            text(&request),
            "--out",
            text(&out),
        ]));
        let shown = openssl(&["x509", "-noout", "-text", "-in", text(&out)]);
        assert!(shown.contains(expected), "{role}: {shown}");
        assert!(!shown.contains(unexpected), "{role}: {shown}");
        openssl(&["verify", "-x509_strict", "-CAfile", text(&root), text(&out)]);
    }

    let port_file = temporary.path().join("port");
    let mut serving = Running(
        lab_ca(&["serve", "--directory", at, "--port-file", text(&port_file)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let since = Instant::now();
    let port: u16 = loop {
        assert!(since.elapsed() < Duration::from_secs(20), "not ready");
        if let Ok(port) = fs::read_to_string(&port_file) {
            break port.parse().unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    drop(TcpStream::connect(("127.0.0.1", port)).unwrap());

    // While it serves: what is signed now names the place of the list; a revocation shows there.
    let request = csr(temporary.path(), "later", "PEM");
    let later = done(&mut lab_ca(&[
        "sign-csr",
        "--directory",
        at,
        "--role",
        "ea",
        "--csr",
        text(&request),
    ]));
    let later_file = temporary.path().join("later.pem");
    fs::write(&later_file, later).unwrap();
    let shown = openssl(&["x509", "-noout", "-text", "-in", text(&later_file)]);
    let place = shown.split("URI:").nth(1).unwrap().split_whitespace().next().unwrap();
    assert!(place.ends_with("/CertEnroll/ca.crl"), "{shown}");
    let serial = openssl(&["x509", "-noout", "-serial", "-in", text(&later_file)]);
    let serial = serial.trim().strip_prefix("serial=").unwrap();
    done(&mut lab_ca(&["revoke", "--directory", at, serial, "--reason", "1"]));
    let list = done(&mut lab_ca(&["crl", "--directory", at]));
    let list_file = temporary.path().join("crl.pem");
    fs::write(&list_file, list).unwrap();
    let shown =
        openssl(&["crl", "-noout", "-text", "-CAfile", text(&root), "-in", text(&list_file)]);
    assert!(shown.contains(serial), "{shown}");
    assert!(shown.contains("Key Compromise"), "{shown}");
    let listed = done(&mut lab_ca(&["list", "--directory", at]));
    assert!(listed.contains("revoked (reason 1)"), "{listed}");
    let json = done(&mut lab_ca(&["list", "--directory", at, "--format", "json"]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["certificates"].as_array().unwrap().len(), 7, "{json}");

    // It ends when told to, well.
    let pid = rustix::process::Pid::from_child(&serving.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(serving.0.wait().unwrap().success());
}

#[test]
fn what_cannot_be_done_is_said() {
    let temporary = TempDir::new().unwrap();
    let directory = temporary.path().join("lab");
    let at = text(&directory);
    done(&mut lab_ca(&["init", "--directory", at, "--algorithm", "p-256"]));
    let garbage = temporary.path().join("garbage");
    fs::write(&garbage, "not a request").unwrap();
    for (arguments, said) in [
        (vec!["init", "--directory", at], "holds a CA already"),
        (vec!["approve", "--directory", at, "7"], "pending request 7"),
        (vec!["deny", "--directory", at, "7"], "pending request 7"),
        (vec!["revoke", "--directory", at, "ab"], "certificate ab"),
        (
            vec!["sign-csr", "--directory", at, "--role", "ea", "--csr", text(&garbage)],
            "cannot be used",
        ),
        (vec!["list", "--directory", "/nowhere"], "/nowhere"),
        (vec!["serve", "--directory", at, "--listen", "0.0.0.0:0"], "loopback only"),
    ] {
        let output = lab_ca(&arguments).output().unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
}

#[test]
fn an_empty_list_has_no_entries_field_and_verifies() {
    let temporary = TempDir::new().unwrap();
    for (algorithm, name) in [(Algorithm::Rsa2048, "rsa"), (Algorithm::P256, "p256")] {
        let directory = temporary.path().join(name);
        let options = Options { algorithm, ..Options::default() };
        let ca = LabCa::create(&directory, options).unwrap();
        let file = directory.join("crl.der");
        fs::write(&file, ca.crl().unwrap()).unwrap();
        let root = directory.join("ca.pem");
        let output = Command::new("openssl")
            .args(["crl", "-inform", "DER", "-noout", "-text"])
            .args(["-CAfile", text(&root), "-in", text(&file)])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("verify OK"), "{said}");
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(shown.contains("No Revoked Certificates"), "{shown}");
        let parsed = openssl(&["asn1parse", "-inform", "DER", "-in", text(&file)]);
        // RFC 5280 §5.1.2.6: absent, not an empty SEQUENCE.
        assert!(!parsed.contains("l=   0 cons: SEQUENCE"), "{parsed}");
        openssl(&["verify", "-x509_strict", "-check_ss_sig", "-CAfile", text(&root), text(&root)]);
    }
}

#[test]
fn a_journal_that_a_crash_cut_short_is_read_up_to_there() {
    let temporary = TempDir::new().unwrap();
    let directory = temporary.path().join("lab");
    let options = Options { algorithm: Algorithm::P256, ..Options::default() };
    let ca = LabCa::create(&directory, options).unwrap();
    let request = fs::read(csr(temporary.path(), "ea", "DER")).unwrap();
    ca.issue_role_certificate(&request, Role::Ea).unwrap();
    ca.issue_role_certificate(&request, Role::Rep).unwrap();

    let journal = directory.join("journal.jsonl");
    let whole = fs::read(&journal).unwrap();
    fs::write(&journal, &whole[..whole.len() - 20]).unwrap();
    let reopened = LabCa::open(&directory).unwrap();
    assert_eq!(reopened.certificates().unwrap().len(), 1);
    reopened.issue_role_certificate(&request, Role::Cep).unwrap();
    assert_eq!(LabCa::open(&directory).unwrap().certificates().unwrap().len(), 2);

    // Damage in the middle is not passed over.
    let mut damaged = fs::read(&journal).unwrap();
    damaged[3] = b'!';
    fs::write(&journal, damaged).unwrap();
    assert!(matches!(LabCa::open(&directory), Err(LabCaError::Damaged { .. })));
}

#[test]
fn settings_with_an_unknown_word_are_refused() {
    let temporary = TempDir::new().unwrap();
    let directory = temporary.path().join("lab");
    let options = Options {
        algorithm: Algorithm::P256,
        templates: vec![Template::named("A").pending()],
        ..Options::default()
    };
    LabCa::create(&directory, options).unwrap();
    let file = directory.join("settings.json");
    let settings = fs::read_to_string(&file).unwrap();
    fs::write(&file, settings.replace("\"pending\"", "\"pendign\"")).unwrap();
    let error = LabCa::open(&directory).unwrap_err().to_string();
    assert!(error.contains("pendign"), "{error}");
}

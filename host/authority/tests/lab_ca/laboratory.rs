//! A lab CA that serves on loopback, and OpenSSL for keys, requests and countersignatures.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use countersign_authority::{
    Authentication, Authority, AuthorityError, Disposition, Submission, Wstep, WstepConfig,
};
use countersign_lab_ca::{Algorithm, LabCa, Options, Role, Serving, Template, User};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::net::TcpListener;
use zeroize::Zeroizing;

pub const TEMPLATE: &str = "CountersignDevice";
pub const PENDING: &str = "CountersignDevicePending";
pub const USER: &str = r"LAB\ces & <co>";
pub const PASSWORD: &str = "p&ss<w>\"ord\"";

pub struct Laboratory {
    pub directory: TempDir,
    pub ca: LabCa,
    pub serving: Serving,
}

/// A key and certificate in files.
pub struct Identity {
    pub key: PathBuf,
    pub certificate: PathBuf,
    pub der: Vec<u8>,
}

impl Laboratory {
    pub async fn open() -> Self {
        Self::with(Algorithm::P256, "127.0.0.1:0").await
    }

    pub async fn with(algorithm: Algorithm, listen: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let options = Options {
            algorithm,
            users: vec![User { name: USER.into(), password: Zeroizing::new(PASSWORD.into()) }],
            ..Options::default()
        };
        let ca = LabCa::create(&directory.path().join("ca"), options).unwrap();
        let listener = TcpListener::bind(listen).await.unwrap();
        let serving = ca.serve(listener).await.unwrap();
        Self { directory, ca, serving }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn set(&self, template: Template) {
        self.ca.set_template(template).unwrap();
    }

    /// A PKCS#10 for `CN=<name>` with that DNS name, by a new key.
    pub fn csr(&self, name: &str) -> Vec<u8> {
        self.csr_with(name, &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"], &[])
    }

    pub fn csr_with(&self, name: &str, key: &[&str], more: &[&str]) -> Vec<u8> {
        let out = self.path(&format!("{name}.csr"));
        let key_file = self.path(&format!("{name}.key"));
        let mut command = openssl(&["req", "-new", "-nodes", "-sha256", "-outform", "DER"]);
        command
            .args(key)
            .args(["-subj", &format!("/CN={name}")])
            .args(["-addext", &format!("subjectAltName=DNS:{name}.example")])
            .args(more)
            .arg("-keyout")
            .arg(&key_file)
            .arg("-out")
            .arg(&out);
        run(&mut command);
        fs::read(out).unwrap()
    }

    /// A certificate of the lab CA for that role.
    pub fn identity(&self, name: &str, role: Role) -> Identity {
        let csr = self.csr(name);
        let der = self.ca.issue_role_certificate(&csr, role).unwrap();
        self.keep(name, der)
    }

    /// Puts a certificate for the key that [`Self::csr`] made under this name into a file.
    pub fn keep(&self, name: &str, der: Vec<u8>) -> Identity {
        let certificate = self.path(&format!("{name}.pem"));
        let text = der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, &der).unwrap();
        fs::write(&certificate, text).unwrap();
        Identity { key: self.path(&format!("{name}.key")), certificate, der }
    }

    /// CMS over `content` by these signers, as OpenSSL writes it.
    pub fn sign(&self, content: &[u8], signers: &[&Identity], more: &[&str]) -> Vec<u8> {
        let (input, out) = (self.path("content"), self.path("signed"));
        fs::write(&input, content).unwrap();
        let mut command = openssl(&[
            "cms",
            "-sign",
            "-binary",
            "-nodetach",
            "-nosmimecap",
            "-md",
            "sha256",
            "-outform",
            "DER",
        ]);
        for signer in signers {
            command.arg("-signer").arg(&signer.certificate).arg("-inkey").arg(&signer.key);
        }
        command.args(more).arg("-in").arg(input).arg("-out").arg(&out);
        run(&mut command);
        fs::read(out).unwrap()
    }

    /// A device's request, countersigned as it should be.
    pub fn countersigned(&self, device: &str) -> Vec<u8> {
        let agent = self.identity("agent", Role::Ea);
        self.sign(&self.csr(device), &[&agent], &[])
    }

    /// A TLS server's certificate for `localhost`, from the lab CA.
    pub fn localhost(&self) -> Identity {
        let csr = self.path("localhost.csr");
        run(openssl(&[
            "req",
            "-new",
            "-nodes",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-outform",
            "DER",
        ])
        .arg("-keyout")
        .arg(self.path("localhost.key"))
        .arg("-out")
        .arg(&csr));
        let csr = fs::read(csr).unwrap();
        let der = self.ca.issue_role_certificate(&csr, Role::TlsServer).unwrap();
        self.keep("localhost", der)
    }

    /// A TLS server for `localhost` below the lab's root.
    pub fn tls_acceptor(&self) -> tokio_rustls::TlsAcceptor {
        let Identity { key, der, .. } = self.localhost();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from(der)],
                PrivateKeyDer::from_pem_slice(&fs::read(key).unwrap()).unwrap(),
            )
            .unwrap();
        tokio_rustls::TlsAcceptor::from(Arc::new(config))
    }

    /// The connector's configuration for the UsernamePassword service.
    pub fn by_user(&self) -> WstepConfig {
        WstepConfig {
            url: self.serving.username_password_url(),
            roots_pem: self.ca.certificate_pem().unwrap().into_bytes(),
            authentication: Authentication::UsernameToken {
                username: USER.into(),
                password: Zeroizing::new(PASSWORD.into()),
            },
            timeout: Duration::from_secs(20),
            chain_pem: self.ca.certificate_pem().unwrap().into_bytes(),
            crl_url: Some(self.serving.crl_url()),
        }
    }

    /// The connector's configuration for the service with client certificates.
    pub fn by_certificate(&self, client: &Identity) -> WstepConfig {
        WstepConfig {
            url: self.serving.certificate_url(),
            authentication: Authentication::ClientCertificate {
                chain_pem: fs::read(&client.certificate).unwrap(),
                key_pem: Zeroizing::new(fs::read(&client.key).unwrap()),
            },
            ..self.by_user()
        }
    }

    pub fn authority(&self) -> Wstep {
        Wstep::new(self.by_user()).unwrap()
    }

    /// How many certificates the CA issued to requests.
    pub fn issued(&self) -> usize {
        let requests = self.ca.requests().unwrap();
        let issued = |request: &&countersign_lab_ca::RequestRecord| {
            matches!(request.state, countersign_lab_ca::RequestState::Issued(_))
        };
        requests.iter().filter(issued).count()
    }
}

pub async fn submit(
    authority: &dyn Authority,
    cms: &[u8],
    template: &str,
) -> Result<Disposition, AuthorityError> {
    authority.submit(Submission { cms, template }).await
}

/// The certificate of an answer that must be "issued".
pub fn certificate(answer: Result<Disposition, AuthorityError>) -> Vec<u8> {
    match answer {
        Ok(Disposition::Issued { certificate_der, .. }) => certificate_der,
        other => panic!("not issued: {other:?}"),
    }
}

pub fn openssl(arguments: &[&str]) -> Command {
    let mut command = Command::new("openssl");
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs it to its end and returns what it printed.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    printed
}

/// A certificate as OpenSSL prints it.
pub fn printed(der: &[u8], directory: &Path) -> String {
    let file = directory.join("printed.der");
    fs::write(&file, der).unwrap();
    run(openssl(&["x509", "-inform", "DER", "-noout", "-text", "-in"]).arg(file))
}

//! Who a stub is over TLS: a certificate of its own, which is its own root.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;

/// A certificate and its key.
#[derive(Clone)]
pub struct Identity {
    certificate_pem: Vec<u8>,
    key_pem: Vec<u8>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Identity {
    /// A new one for names as `openssl` writes them: `DNS:hooks.example`, `IP:127.0.0.1`. Runs the
    /// command `openssl`.
    ///
    /// # Panics
    /// Where `openssl` is not there or fails.
    #[must_use]
    pub fn new(names: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (key, certificate) = (directory.path().join("key"), directory.path().join("cert"));
        let status = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
            .args(["-nodes", "-days", "30", "-subj", "/CN=stub"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .args(["-addext", &format!("subjectAltName={}", names.join(","))])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("openssl runs");
        assert!(status.success(), "openssl makes a certificate for {names:?}");
        Self::read(&certificate, &key)
    }

    /// One from PEM files.
    ///
    /// # Panics
    /// Where a file cannot be read.
    #[must_use]
    pub fn read(certificate: &Path, key: &Path) -> Self {
        let read = |path: &Path| {
            std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        Self { certificate_pem: read(certificate), key_pem: read(key) }
    }

    /// The certificate, PEM: what a client must trust.
    #[must_use]
    pub fn certificate_pem(&self) -> &[u8] {
        &self.certificate_pem
    }

    /// Its private key, PEM.
    #[must_use]
    pub fn key_pem(&self) -> &[u8] {
        &self.key_pem
    }

    /// TLS as this identity; `clients` (PEM) are the only clients let in, where there are some.
    pub(crate) fn server_config(&self, clients: Option<&[u8]>) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the provider's own versions");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let mut roots = rustls::RootCertStore::empty();
                for root in certificates(pem) {
                    roots.add(root).expect("a certificate");
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .build()
                        .expect("a verifier");
                builder.with_client_cert_verifier(verifier)
            }
        };
        let key = PrivateKeyDer::from_pem_slice(&self.key_pem).expect("a PEM key");
        let config = builder
            .with_single_cert(certificates(&self.certificate_pem), key)
            .expect("key and certificate fit");
        Arc::new(config)
    }
}

fn certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).map(|one| one.expect("PEM certificates")).collect()
}

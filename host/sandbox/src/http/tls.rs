//! TLS towards the hosts of a plug-in: its own roots, and its own client certificate.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::{host_rule::HostRule, settings::ClientIdentity};

/// Client configurations with and without the client certificate.
pub(crate) struct Tls {
    plain: Arc<ClientConfig>,
    client: Option<(Vec<HostRule>, Arc<ClientConfig>)>,
}

impl Tls {
    pub(crate) fn new(roots_pem: &[u8], client: Option<&ClientIdentity>) -> Result<Self, String> {
        let roots = roots(roots_pem)?;
        let client = match client {
            None => None,
            Some(identity) => {
                let config = with_client(builder(roots.clone())?, identity)?;
                Some((identity.hosts.clone(), Arc::new(config)))
            }
        };
        let plain = Arc::new(builder(roots)?.with_no_client_auth());
        Ok(Self { plain, client })
    }

    /// The configuration for a host: with the client certificate only where it was granted.
    pub(crate) fn towards(&self, host: &url::Host<String>, port: u16) -> Arc<ClientConfig> {
        match &self.client {
            Some((hosts, config)) if hosts.iter().any(|rule| rule.matches(host, port)) => {
                Arc::clone(config)
            }
            _ => Arc::clone(&self.plain),
        }
    }
}

type Builder = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

fn builder(roots: RootCertStore) -> Result<Builder, String> {
    // aws-lc-rs' default suites are all authenticated encryption with ephemeral keys.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| format!("TLS: {error}"))?
        .with_root_certificates(roots))
}

fn roots(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(pem) {
        let root = root.map_err(|error| format!("its roots are not PEM: {error}"))?;
        // Bundles of systems hold certificates that webpki does not take; the others are good.
        let _ = roots.add(root);
    }
    if roots.is_empty() {
        return Err("its roots hold no usable certificate; give a PEM file of roots".into());
    }
    Ok(roots)
}

fn with_client(builder: Builder, identity: &ClientIdentity) -> Result<ClientConfig, String> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&identity.chain_pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("its client certificate is not PEM: {error}"))?;
    // The error of a key file is not shown: it may quote what it read.
    let key = PrivateKeyDer::from_pem_slice(&identity.key_pem)
        .map_err(|_| "the key of its client certificate is not a PEM key".to_owned())?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| format!("its client certificate and key do not fit: {error}"))
}

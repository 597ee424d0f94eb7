//! What a plug-in may reach, with what, and how much of it.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use zeroize::Zeroizing;

use super::{
    address::AddressRange,
    credential::Credential,
    host_rule::HostRule,
    resolve::{Resolve, SystemResolver},
};

/// The grant of `http`.
#[derive(Clone)]
pub struct HttpSettings {
    /// The hosts.
    pub hosts: Vec<HostRule>,
    /// Addresses that are not public and may be reached all the same.
    pub addresses: Vec<AddressRange>,
    /// The only roots that are trusted, PEM.
    pub roots_pem: Vec<u8>,
    /// Who we are to hosts that want a TLS client certificate.
    pub client: Option<ClientIdentity>,
    /// By the name that the plug-in uses.
    pub credentials: BTreeMap<String, Credential>,
    /// Sizes and times.
    pub limits: HttpLimits,
    /// Names to addresses.
    pub resolver: Arc<dyn Resolve>,
}

/// A TLS client certificate, shown to some hosts only.
#[derive(Clone)]
pub struct ClientIdentity {
    /// These; a host that is not among them is not shown it.
    pub hosts: Vec<HostRule>,
    /// The certificate and its chain, PEM.
    pub chain_pem: Vec<u8>,
    /// Its private key, PEM.
    pub key_pem: Zeroizing<Vec<u8>>,
}

/// Sizes and times of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpLimits {
    /// From looking the name up to the last octet of the answer; shortened to what is left of the
    /// call.
    pub time: Duration,
    /// The body that a plug-in sends.
    pub request_bytes: usize,
    /// The body that it gets.
    pub response_bytes: usize,
    /// Requests of the plug-in at once.
    pub concurrency: u32,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(10),
            request_bytes: 256 * 1024,
            response_bytes: 256 * 1024,
            concurrency: 16,
        }
    }
}

impl HttpSettings {
    /// These hosts, trusted by these roots (PEM), and nothing else: no private address, no
    /// credential, no client certificate.
    pub fn new(hosts: Vec<HostRule>, roots_pem: Vec<u8>) -> Self {
        Self {
            hosts,
            addresses: Vec::new(),
            roots_pem,
            client: None,
            credentials: BTreeMap::new(),
            limits: HttpLimits::default(),
            resolver: Arc::new(SystemResolver::default()),
        }
    }
}

/// Says nothing of what is secret.
impl fmt::Debug for HttpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSettings")
            .field("hosts", &self.hosts)
            .field("addresses", &self.addresses)
            .field("credentials", &self.credentials)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientIdentity").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

/// Why a plug-in's way out could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the plug-in `{plugin}` cannot use `http`: {what}")]
pub struct HttpSetupError {
    /// Its name in the configuration.
    pub plugin: String,
    /// What was expected and found. Quotes no secret.
    pub what: String,
}

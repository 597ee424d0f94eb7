//! Why there is no answer to a plug-in's request.

/// What the guest is told; the words are those of the contract. Holds no credential, no path and no
/// query: either may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the words are those of wit/http.wit, which explains them")]
pub enum HttpRefusal {
    #[error("denied: {0}")]
    Denied(String),
    #[error("name not found: {0}")]
    Dns(String),
    #[error("no connection: {0}")]
    Connect(String),
    #[error("no trusted connection: {0}")]
    Tls(String),
    #[error("no answer in time")]
    Timeout,
    #[error("the answer is over the limit")]
    TooLarge,
    #[error("too many requests at once: {0}")]
    Quota(String),
    #[error("{0}")]
    Other(String),
}

impl HttpRefusal {
    /// A host that was not granted, with the line that would grant it.
    pub(crate) fn host(plugin: &str, host: &str) -> Self {
        Self::Denied(format!(
            "the host `{host}` is not granted; to grant it, write `hosts = [{host:?}]` under \
             `[plugin.{plugin}.grants]`"
        ))
    }

    /// An address that is not public, with the line that would grant it.
    pub(crate) fn address(plugin: &str, host: &str, address: std::net::IpAddr, why: &str) -> Self {
        let prefix = if address.is_ipv4() { 32 } else { 128 };
        Self::Denied(format!(
            "`{host}` is at {address}, which {why}; to grant it, write `addresses = \
             [\"{address}/{prefix}\"]` under `[plugin.{plugin}.grants]`"
        ))
    }
}

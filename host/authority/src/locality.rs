//! Whether a CA stands on this very host, where a registration authority must not.

use std::net::SocketAddr;

use tokio::net::{UdpSocket, lookup_host};

use crate::error::AuthorityError;

/// Whether the host of `url` is this host: one of its addresses is loopback, or one of ours.
///
/// An RA beside its CA gives whoever takes the RA the CA. Outside lab mode the start is refused
/// where this is true.
///
/// # Errors
/// [`AuthorityError::Misconfigured`] when `url` names no host, [`AuthorityError::Unavailable`] when
/// its name cannot be resolved.
pub async fn is_this_host(url: &str) -> Result<bool, AuthorityError> {
    let parsed = url::Url::parse(url).ok();
    let Some(host) = parsed.as_ref().and_then(|url| url.host()) else {
        return Err(AuthorityError::misconfigured(
            format!("The CA's address names no host: {url:?}."),
            "Write it as https://host/….",
        ));
    };
    let addresses: Vec<SocketAddr> = match host {
        url::Host::Ipv4(address) => vec![SocketAddr::new(address.into(), 0)],
        url::Host::Ipv6(address) => vec![SocketAddr::new(address.into(), 0)],
        url::Host::Domain(name) => lookup_host((name, 0))
            .await
            .map_err(|error| {
                AuthorityError::unavailable(format!("the CA's host {name} is not found: {error}"))
            })?
            .collect(),
    };
    for address in addresses {
        let ip = address.ip().to_canonical();
        if ip.is_loopback() || ip.is_unspecified() {
            return Ok(true);
        }
        // The kernel binds only addresses of this host; nothing is sent.
        if UdpSocket::bind(SocketAddr::new(ip, 0)).await.is_ok() {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(url: &str) -> Result<bool, AuthorityError> {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(is_this_host(url))
    }

    #[test]
    fn row_35_a_ca_on_this_host_is_known_as_such() {
        for url in [
            "https://localhost/CA_CES_Certificate/service.svc/CES",
            "https://127.0.0.1:8443/",
            "https://127.9.9.9/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
        ] {
            assert_eq!(ask(url), Ok(true), "{url}");
        }
    }

    #[test]
    fn row_35_a_ca_elsewhere_is_not() {
        // TEST-NET-1 (RFC 5737) belongs to nobody.
        assert_eq!(ask("https://192.0.2.1/"), Ok(false));
        assert!(ask("not a url").is_err());
    }
}

//! The CA is not on this host (row 35).

use std::net::IpAddr;

use url::Host;

use countersign_keys::{Finding, Mode, Severity};

use crate::value::HttpsUrl;

/// Whether an authority's URL points at this host, which is refused outside lab mode: whoever
/// breaks into a registration authority on the CA computer has the CA.
///
/// `resolved` are the addresses the URL's host name stands for, `local` the addresses of this
/// host's interfaces; this crate looks up neither. Loopback and unspecified addresses are local
/// without being listed.
pub fn check_authority_locality(
    mode: Mode,
    name: &str,
    url: &HttpsUrl,
    resolved: &[IpAddr],
    local: &[IpAddr],
) -> Option<Finding> {
    let is_local = |address: &IpAddr| {
        let address = address.to_canonical();
        address.is_loopback()
            || address.is_unspecified()
            || local.iter().any(|own| own.to_canonical() == address)
    };
    let written = match url.url().host()? {
        Host::Ipv4(address) => is_local(&IpAddr::V4(address)),
        Host::Ipv6(address) => is_local(&IpAddr::V6(address)),
        Host::Domain(domain) => is_loopback_name(domain),
    };
    if mode == Mode::Lab || !(written || resolved.iter().any(is_local)) {
        return None;
    }
    Some(Finding {
        row: Some(35),
        severity: Severity::Critical,
        id: "authority-on-this-host",
        message: format!("the authority `{name}` ({url}) is on this host"),
        remedy: "run Countersign on a host of its own, away from the CA".into(),
    })
}

/// Names that mean this host without any look-up (RFC 6761 §6.3).
pub(crate) fn is_loopback_name(domain: &str) -> bool {
    let domain = domain.trim_end_matches('.').to_ascii_lowercase();
    domain == "localhost" || domain.ends_with(".localhost") || domain == "localhost.localdomain"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mode: Mode, url: &str, resolved: &[&str]) -> Option<&'static str> {
        let addresses =
            |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        check_authority_locality(
            mode,
            "ad",
            &url.parse().unwrap(),
            &addresses(resolved),
            &addresses(&["192.0.2.7", "2001:db8::7"]),
        )
        .map(|finding| finding.id)
    }

    #[test]
    fn row_35_a_ca_on_this_host_is_refused_however_it_is_written() {
        for (url, resolved) in [
            ("https://localhost/", vec![]),
            ("https://LOCALHOST./", vec![]),
            ("https://ca.localhost/", vec![]),
            ("https://127.0.0.1/", vec![]),
            ("https://127.9.9.9/", vec![]),
            ("https://0x7f000001/", vec![]),
            ("https://[::1]/", vec![]),
            ("https://[::ffff:127.0.0.1]/", vec![]),
            ("https://0.0.0.0/", vec![]),
            ("https://192.0.2.7/", vec![]),
            ("https://[2001:db8::7]/", vec![]),
            ("https://ca.example.com/", vec!["192.0.2.9", "192.0.2.7"]),
            ("https://ca.example.com/", vec!["127.0.0.1"]),
        ] {
            let found = check(Mode::Production, url, &resolved);
            assert_eq!(found, Some("authority-on-this-host"), "{url}");
            assert_eq!(check(Mode::Lab, url, &resolved), None, "{url}");
        }
    }

    #[test]
    fn row_35_a_ca_elsewhere_is_accepted() {
        assert_eq!(check(Mode::Production, "https://ca.example.com/", &["192.0.2.9"]), None);
        assert_eq!(check(Mode::Production, "https://192.0.2.9/", &[]), None);
        assert_eq!(check(Mode::Production, "https://notlocalhost/", &["192.0.2.9"]), None);
    }
}

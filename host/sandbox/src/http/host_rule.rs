//! Hosts that were granted.

use std::{fmt, net::IpAddr};

use url::Host;

/// A host, or hosts, with a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRule {
    /// Which.
    pub host: HostMatch,
    /// 443 unless another is granted.
    pub port: u16,
}

/// Which hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostMatch {
    /// This name, in lower case.
    Name(String),
    /// Every name under this one, at any depth, but not itself: `*.example.com`.
    Under(String),
    /// This address, written as one.
    Address(IpAddr),
}

impl HostRule {
    /// Whether a URL's host and port are among them.
    pub(crate) fn matches(&self, host: &Host<String>, port: u16) -> bool {
        port == self.port
            && match (&self.host, host) {
                (HostMatch::Name(name), Host::Domain(found)) => name == found,
                (HostMatch::Under(name), Host::Domain(found)) => found
                    .strip_suffix(name.as_str())
                    .and_then(|rest| rest.strip_suffix('.'))
                    .is_some_and(|label| !label.is_empty()),
                (HostMatch::Address(address), Host::Ipv4(found)) => *address == IpAddr::V4(*found),
                (HostMatch::Address(address), Host::Ipv6(found)) => *address == IpAddr::V6(*found),
                _ => false,
            }
    }
}

impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            HostMatch::Name(name) => f.write_str(name)?,
            HostMatch::Under(name) => write!(f, "*.{name}")?,
            HostMatch::Address(IpAddr::V4(address)) => write!(f, "{address}")?,
            HostMatch::Address(IpAddr::V6(address)) => write!(f, "[{address}]")?,
        }
        if self.port == 443 { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(rule: &HostRule, url: &str) -> bool {
        let url = url::Url::parse(url).unwrap();
        rule.matches(&url.host().unwrap().to_owned(), url.port_or_known_default().unwrap())
    }

    #[test]
    fn a_name_is_itself_in_any_case_and_at_its_port_only() {
        let rule = HostRule { host: HostMatch::Name("api.example.com".into()), port: 443 };
        assert!(matches(&rule, "https://API.example.com/x"));
        assert!(matches(&rule, "https://api.example.com:443/"));
        for other in [
            "https://api.example.com:8443/",
            "https://api.example.com./",
            "https://evil-api.example.com/",
            "https://api.example.com.evil.test/",
            "https://example.com/",
        ] {
            assert!(!matches(&rule, other), "{other}");
        }
    }

    #[test]
    fn a_star_is_every_name_below_and_not_the_name_itself() {
        let rule = HostRule { host: HostMatch::Under("example.com".into()), port: 443 };
        assert!(matches(&rule, "https://a.example.com/"));
        assert!(matches(&rule, "https://a.b.example.com/"));
        for other in [
            "https://example.com/",
            "https://evilexample.com/",
            "https://.example.com/",
            "https://example.com.evil.test/",
        ] {
            assert!(!matches(&rule, other), "{other}");
        }
    }

    /// Decimal, octal and hexadecimal spellings of addresses are addresses to a URL parser.
    #[test]
    fn an_address_is_never_taken_for_a_name() {
        let under = HostRule { host: HostMatch::Under("1".into()), port: 443 };
        let name = HostRule { host: HostMatch::Name("2130706433".into()), port: 443 };
        for spelling in ["https://127.0.0.1/", "https://2130706433/", "https://0x7f.1/"] {
            assert!(!matches(&under, spelling) && !matches(&name, spelling), "{spelling}");
            let rule =
                HostRule { host: HostMatch::Address("127.0.0.1".parse().unwrap()), port: 443 };
            assert!(matches(&rule, spelling), "{spelling}");
        }
    }

    #[test]
    fn a_rule_is_written_as_in_the_configuration() {
        let rule = |host, port| HostRule { host, port }.to_string();
        assert_eq!(rule(HostMatch::Under("example.com".into()), 8443), "*.example.com:8443");
        assert_eq!(rule(HostMatch::Address("::1".parse().unwrap()), 443), "[::1]");
    }
}

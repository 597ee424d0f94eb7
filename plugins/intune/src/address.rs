//! Addresses of services, understood as far as it takes to see whose they are.

/// The host of an absolute `https` address, in lower case; none for everything that is not plainly
/// one: no user, no query, no fragment, and nothing in the host that a name does not have, so that
/// no two readers can see two hosts in it.
pub(crate) fn host(address: &str) -> Option<String> {
    let (scheme, rest) = address.split_once("://")?;
    let plain = address.bytes().all(|byte| byte.is_ascii_graphic())
        && !address.contains(['\\', '?', '#', '@', '%']);
    if !scheme.eq_ignore_ascii_case("https") || !plain {
        return None;
    }
    let authority = rest.split('/').next().unwrap_or_default();
    let (host, port) = authority.split_once(':').unwrap_or((authority, "443"));
    let is_port = port.parse::<u16>().is_ok_and(|port| port != 0);
    (is_domain(host) && is_port).then(|| host.to_ascii_lowercase())
}

/// Whether a text is a domain's name.
pub(crate) fn is_domain(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
}

/// Whether a host is a domain or lies under it.
pub(crate) fn is_under(host: &str, domain: &str) -> bool {
    let domain = domain.to_ascii_lowercase();
    host == domain
        || host
            .strip_suffix(&domain)
            .and_then(|rest| rest.strip_suffix('.'))
            .is_some_and(|label| !label.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_plain_address_is_seen() {
        for (address, expected) in [
            (
                "https://fef.msub01.manage.microsoft.com/StatelessScepValidation",
                "fef.msub01.manage.microsoft.com",
            ),
            ("HTTPS://FEF.Manage.Microsoft.com:8443/a/", "fef.manage.microsoft.com"),
            ("https://localhost", "localhost"),
        ] {
            assert_eq!(host(address).as_deref(), Some(expected), "{address}");
        }
    }

    #[test]
    fn what_two_readers_could_read_differently_has_no_host() {
        for address in [
            "",
            "fef.manage.microsoft.com",
            "http://fef.manage.microsoft.com/",
            "https://",
            "https:///a",
            "https://a@fef.manage.microsoft.com/",
            "https://evil.test\\.manage.microsoft.com/",
            "https://evil.test?.manage.microsoft.com/",
            "https://evil.test#.manage.microsoft.com/",
            "https://evil.test%2f.manage.microsoft.com/",
            "https://fef.manage.microsoft.com:0/",
            "https://fef.manage.microsoft.com:x/",
            "https://fef.manage.microsoft.com:1:2/",
            "https://[::1]/",
            "https://a..b/",
            "https://a b/",
            "https://fef.manage.microsoft.com\n/",
        ] {
            assert_eq!(host(address), None, "{address}");
        }
    }

    /// Fails when only the ends of the texts are compared.
    #[test]
    fn a_domain_is_itself_and_what_lies_under_it() {
        for (host, expected) in [
            ("manage.microsoft.com", true),
            ("fef.manage.microsoft.com", true),
            ("evilmanage.microsoft.com", false),
            (".manage.microsoft.com", false),
            ("manage.microsoft.com.evil.test", false),
            ("microsoft.com", false),
        ] {
            assert_eq!(is_under(host, "Manage.Microsoft.com"), expected, "{host}");
        }
    }
}

//! Who asked: the peer of the connection, or what the reverse proxy on this host says about it.

use std::net::{IpAddr, SocketAddr};

use countersign_enrol::Source;
use http::HeaderMap;

/// The source of a request. The header is believed only from a peer on this host: the config
/// allows one only for a local listener, and this is the second lock on that door.
///
/// The last address counts: the one that our proxy wrote. Those before it came with the request
/// and are anybody's invention.
pub(crate) fn source_of(peer: Source, headers: &HeaderMap, trusted: Option<&str>) -> Source {
    let is_local = match peer {
        Source::Unix => true,
        Source::Address(address) => address.to_canonical().is_loopback(),
    };
    let Some(name) = trusted.filter(|_| is_local) else { return peer };
    let last = headers.get_all(name).iter().next_back();
    let address = last
        .and_then(|value| value.to_str().ok()?.rsplit(',').next())
        .and_then(|text| address(text.trim()));
    address.map_or(peer, |address| Source::Address(address.to_canonical()))
}

/// `192.0.2.1`, `2001:db8::1`, `[2001:db8::1]`, each also with a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: Source = Source::Unix;

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        headers
    }

    fn from(address: &str) -> Source {
        Source::Address(address.parse().unwrap())
    }

    #[test]
    fn the_last_address_of_the_last_line_is_the_proxys_word() {
        for (lines, expected) in [
            (&["192.0.2.1"][..], "192.0.2.1"),
            (&["203.0.113.9, 192.0.2.1"], "192.0.2.1"),
            (&["203.0.113.9", "192.0.2.1"], "192.0.2.1"),
            (&["192.0.2.1:4711"], "192.0.2.1"),
            (&["[2001:db8::1]:4711"], "2001:db8::1"),
            (&["[2001:db8::1]"], "2001:db8::1"),
            (&["2001:db8::1"], "2001:db8::1"),
            (&["::ffff:192.0.2.1"], "192.0.2.1"),
        ] {
            let found = source_of(PROXY, &headers(lines), Some("x-forwarded-for"));
            assert_eq!(found, from(expected), "{lines:?}");
        }
    }

    // Fails when `trusted` is not asked for, or not filtered by the peer.
    #[test]
    fn nobody_but_a_local_proxy_that_the_config_names_is_believed() {
        let forged = headers(&["192.0.2.1"]);
        let stranger = from("198.51.100.7");
        assert_eq!(source_of(stranger, &forged, Some("x-forwarded-for")), stranger);
        assert_eq!(source_of(stranger, &forged, None), stranger);
        assert_eq!(source_of(PROXY, &forged, None), PROXY);
        assert_eq!(source_of(PROXY, &forged, Some("x-real-ip")), PROXY);
        let found = source_of(from("127.0.0.1"), &forged, Some("x-forwarded-for"));
        assert_eq!(found, from("192.0.2.1"));
    }

    #[test]
    fn what_is_no_address_leaves_the_peer() {
        for line in ["", "unknown", "192.0.2.1,", "192.0.2.1, _hidden", "1.2.3", "[::1"] {
            assert_eq!(source_of(PROXY, &headers(&[line]), Some("x-forwarded-for")), PROXY);
        }
    }
}

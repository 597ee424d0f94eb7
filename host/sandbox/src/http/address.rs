//! Which addresses a plug-in's request may reach: public ones, and those granted by range.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Addresses that begin alike: `10.20.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    address: IpAddr,
    prefix: u8,
}

impl AddressRange {
    /// None where the prefix is longer than the address.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let most = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= most).then_some(Self { address, prefix })
    }

    /// Whether an address is one of them. An IPv4 address written as IPv6 is the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(range), IpAddr::V4(address)) => {
                let begin = |ip: Ipv4Addr| u64::from(ip.to_bits()) >> (32 - self.prefix.min(32));
                begin(range) == begin(address)
            }
            (IpAddr::V6(range), IpAddr::V6(address)) => {
                let begin = |ip: Ipv6Addr| {
                    ip.to_bits().checked_shr(u32::from(128 - self.prefix.min(128))).unwrap_or(0)
                };
                begin(range) == begin(address)
            }
            _ => false,
        }
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Why an address is none of the public Internet; nothing for one that is.
///
/// The IANA registries of special-purpose addresses (RFC 6890), and addresses that clouds use for
/// what only their own machines may ask.
pub(crate) fn not_public(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(address) => not_public_v4(address),
        IpAddr::V6(address) => not_public_v6(address),
    }
}

fn not_public_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [0, ..] => Some("means this network"),
        [127, ..] => Some("is this host (loopback)"),
        [10, ..] | [192, 168, ..] => Some("is private (RFC 1918)"),
        [172, second, ..] if second & 0xf0 == 16 => Some("is private (RFC 1918)"),
        [100, second, ..] if second & 0xc0 == 64 => Some("is shared by a provider (RFC 6598)"),
        [169, 254, ..] => Some("is link-local, where clouds keep their metadata"),
        // Azure's wire server: a public number that only Azure's own machines reach.
        [168, 63, 129, 16] => Some("is a cloud's metadata service"),
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 51, 100, _] | [203, 0, 113, _] => {
            Some("is reserved")
        }
        [198, 18 | 19, ..] => Some("is for benchmarks"),
        [224..=255, ..] => Some("is multicast or reserved"),
        _ => None,
    }
}

fn not_public_v6(address: Ipv6Addr) -> Option<&'static str> {
    let [first, second, ..] = address.segments();
    if address.is_loopback() {
        return Some("is this host (loopback)");
    }
    match first {
        0xfc00..=0xfdff => Some("is private (RFC 4193)"),
        0xfe80..=0xfebf => Some("is link-local"),
        0xff00..=0xffff => Some("is multicast"),
        // 6to4, Teredo and their kind carry an IPv4 address of somebody's choice.
        0x2002 => Some("carries an IPv4 address (6to4)"),
        0x2001 if second < 0x200 => Some("is reserved"),
        0x2001 if second == 0xdb8 => Some("is reserved"),
        0x3fff if second < 0x1000 => Some("is reserved"),
        0x2000..=0x3fff => None,
        // NAT64 among them.
        _ => Some("is no public address"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails when any arm of `not_public_v4` or `not_public_v6` is removed.
    #[test]
    fn what_is_not_public_is_known_in_every_spelling() {
        for text in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.0.1",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::10.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:a00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(not_public(text.parse().unwrap()).is_some(), "{text}");
        }
        for text in ["1.1.1.1", "100.128.0.1", "172.32.0.1", "168.63.129.17", "2606:4700::1111"] {
            assert_eq!(not_public(text.parse().unwrap()), None, "{text}");
        }
    }

    #[test]
    fn a_range_has_its_own_addresses_and_no_others() {
        let range = |text: &str, prefix| AddressRange::new(text.parse().unwrap(), prefix).unwrap();
        let has = |range: AddressRange, text: &str| range.contains(text.parse().unwrap());
        let ten = range("10.20.0.0", 16);
        assert!(has(ten, "10.20.255.1") && has(ten, "::ffff:10.20.0.1"));
        assert!(!has(ten, "10.21.0.1") && !has(ten, "fd00::1"));
        assert!(has(range("0.0.0.0", 0), "1.2.3.4") && has(range("::", 0), "fd00::1"));
        assert!(has(range("fd00:1::", 32), "fd00:1:2::9"));
        assert!(!has(range("fd00:1::", 32), "fd00:2::9"));
        assert!(has(range("::1", 128), "::1") && !has(range("::1", 128), "::2"));
        assert!(AddressRange::new("10.0.0.0".parse().unwrap(), 33).is_none());
    }
}

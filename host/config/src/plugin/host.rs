//! Hosts and addresses that a plug-in may reach, as they are written in the file.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde_json::{Map, Value};
use url::{Host, Url};

use crate::value::{BadValue, string_value};

/// A host that a plug-in may speak to: `api.example.com`, `*.example.com`, `host:8443`, an address.
/// A part in braces is a JSON pointer into the plug-in's settings: `{/tenant-host}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern(String);

/// A host pattern with the settings put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantedHost {
    /// Which.
    pub name: GrantedName,
    /// 443 unless another is written.
    pub port: u16,
}

/// The host of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantedName {
    /// This name, in lower case.
    Exact(String),
    /// Every name under this one, but not itself.
    Under(String),
    /// This address.
    Address(IpAddr),
}

impl HostPattern {
    /// Puts the plug-in's settings in.
    ///
    /// # Errors
    /// A pointer leads to nothing or to no text, or what comes out is no host.
    pub fn resolve(&self, settings: &Map<String, Value>) -> Result<GrantedHost, BadValue> {
        let text = self.0.as_str();
        let Some((_, _, _)) = braces(text) else {
            return concrete(text);
        };
        // A whole setting may be a URL: its host and port are meant.
        if let Some((before, pointer, "")) = braces(text)
            && before.is_empty()
        {
            let value = setting(settings, pointer)?;
            return if value.contains("://") { of_url(value) } else { without_star(value) };
        }
        let (mut done, mut rest) = (String::new(), text);
        while let Some((before, pointer, after)) = braces(rest) {
            let value = setting(settings, pointer)?;
            if !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte)) {
                return Err(BadValue::new(
                    "bad-host",
                    format!("the setting `{pointer}` in the host `{text}` is no part of a name"),
                    "write letters, digits, `-` and `.` in that setting, or the host itself",
                ));
            }
            done.push_str(before);
            done.push_str(value);
            rest = after;
        }
        done.push_str(rest);
        concrete(&done)
    }
}

/// The first part in braces, what is before it and after it.
fn braces(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('{')?;
    let (pointer, after) = rest.split_once('}')?;
    Some((before, pointer, after))
}

fn setting<'s>(settings: &'s Map<String, Value>, pointer: &str) -> Result<&'s str, BadValue> {
    let missing = || {
        BadValue::new(
            "host-not-in-settings",
            format!("`{{{pointer}}}` leads to no text in the plug-in's settings"),
            "add that setting, or write the host itself",
        )
    };
    let mut steps = pointer.strip_prefix('/').ok_or_else(missing)?.split('/');
    let unescape = |step: &str| step.replace("~1", "/").replace("~0", "~");
    let first = steps.next().and_then(|step| settings.get(&unescape(step)));
    let found = steps.fold(first, |value, step| match value? {
        Value::Object(members) => members.get(&unescape(step)),
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        _ => None,
    });
    found.and_then(Value::as_str).filter(|text| !text.is_empty()).ok_or_else(missing)
}

fn of_url(text: &str) -> Result<GrantedHost, BadValue> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "https");
    let granted = url.as_ref().and_then(|url| {
        let name = name(url.host()?.to_owned());
        Some(GrantedHost { name, port: url.port_or_known_default()? })
    });
    granted.ok_or_else(|| {
        BadValue::new(
            "bad-host",
            "the setting that a host is taken from holds a URL that is not https",
            "write an https URL, or the host",
        )
    })
}

/// A setting grants one host, never many.
fn without_star(text: &str) -> Result<GrantedHost, BadValue> {
    if text.contains('*') { Err(bad(text)) } else { concrete(text) }
}

fn concrete(text: &str) -> Result<GrantedHost, BadValue> {
    let (host, port) = match text.rsplit_once(':') {
        // Colons inside brackets are those of an IPv6 address.
        Some((host, port)) if !port.ends_with(']') => {
            let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(|| bad(text))?;
            (host, port)
        }
        _ => (text, 443),
    };
    let (star, host) = match host.strip_prefix("*.") {
        Some(rest) => (true, rest),
        None => (false, host),
    };
    if host.ends_with('.') || host.starts_with('.') || host.contains(['/', '@', '*', ' ']) {
        return Err(bad(text));
    }
    let parsed = Host::parse(host).map_err(|_| bad(text))?;
    match (star, name(parsed)) {
        // `*.com` is no grant but a missing one.
        (true, GrantedName::Exact(name)) if name.contains('.') => {
            Ok(GrantedHost { name: GrantedName::Under(name), port })
        }
        (true, _) => Err(bad(text)),
        (false, name) => Ok(GrantedHost { name, port }),
    }
}

fn name(host: Host<String>) -> GrantedName {
    match host {
        Host::Domain(name) => GrantedName::Exact(name),
        Host::Ipv4(address) => GrantedName::Address(IpAddr::V4(address)),
        Host::Ipv6(address) => GrantedName::Address(IpAddr::V6(address)),
    }
}

fn bad(text: &str) -> BadValue {
    BadValue::new(
        "bad-host",
        format!("`{text}` is no host that can be granted"),
        "write `api.example.com`, `*.example.com` (at least two labels after the star), \
         `host:8443`, `[2001:db8::1]`, or `{/setting}` for a host in the plug-in's settings; no \
         scheme and no path",
    )
}

impl FromStr for HostPattern {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        // With the settings unknown, every part in braces could be any part of a name.
        let (mut plain, mut rest) = (String::new(), text);
        while let Some((before, pointer, after)) = braces(rest) {
            if !pointer.starts_with('/') || pointer.contains('{') || before.contains('}') {
                return Err(bad(text));
            }
            plain.push_str(before);
            // Two labels, as after a star there must be.
            plain.push_str("x.x");
            rest = after;
        }
        plain.push_str(rest);
        if plain.contains(['{', '}']) {
            return Err(bad(text));
        }
        concrete(&plain).map_err(|_| bad(text))?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

string_value!(HostPattern, "host-pattern", "`api.example.com`, `*.example.com`, `host:8443`.");

/// Addresses that begin alike: `10.20.0.0/16`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    address: IpAddr,
    prefix: u8,
}

impl AddressRange {
    /// The first of them.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits are alike.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether two ranges have an address in common.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        let most = self.prefix.min(other.prefix);
        self.address.is_ipv4() == other.address.is_ipv4()
            && begin(self.address, most) == begin(other.address, most)
    }
}

/// The first bits of an address.
fn begin(address: IpAddr, prefix: u8) -> u128 {
    let (bits, width) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    bits.checked_shr(width - u32::from(prefix)).unwrap_or(0)
}

impl FromStr for AddressRange {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let bad = || {
            BadValue::new(
                "bad-address-range",
                format!("`{text}` is no range of addresses"),
                "write an address and the number of its first bits that count, all others zero: \
                 `10.20.0.0/16`, `fd00:1::/32`, `10.20.1.5/32`",
            )
        };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, prefix.parse().map_err(|_| bad())?),
            None => (text, if text.contains(':') { 128 } else { 32 }),
        };
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let width: u8 = if address.is_ipv4() { 32 } else { 128 };
        // An IPv4 address in IPv6 clothes would never be met: addresses are compared undressed.
        if prefix > width || address.to_canonical() != address {
            return Err(bad());
        }
        let range = Self { address, prefix };
        let rest = width - prefix;
        let first = begin(address, prefix).checked_shl(u32::from(rest)).unwrap_or(0);
        if first != begin(address, width) {
            return Err(bad());
        }
        Ok(range)
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

string_value!(AddressRange, "address-range", "`10.20.0.0/16`.");

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(pattern: &str, settings: Value) -> Result<GrantedHost, BadValue> {
        let Value::Object(settings) = settings else { panic!("an object") };
        pattern.parse::<HostPattern>()?.resolve(&settings)
    }

    fn exact(name: &str, port: u16) -> GrantedHost {
        GrantedHost { name: GrantedName::Exact(name.into()), port }
    }

    #[test]
    fn a_pattern_is_a_host_with_an_optional_star_and_port() {
        let none = || serde_json::json!({});
        assert_eq!(resolved("API.example.com", none()), Ok(exact("api.example.com", 443)));
        assert_eq!(resolved("api.example.com:8443", none()), Ok(exact("api.example.com", 8443)));
        let under = GrantedName::Under("example.com".into());
        assert_eq!(resolved("*.example.com", none()), Ok(GrantedHost { name: under, port: 443 }));
        let six = GrantedName::Address("2001:db8::1".parse().unwrap());
        assert_eq!(
            resolved("[2001:db8::1]:8443", none()),
            Ok(GrantedHost { name: six, port: 8443 })
        );
        for text in [
            "",
            "*",
            "*.com",
            "*.*.example.com",
            "a.*.example.com",
            "*.10.0.0.1",
            "https://api.example.com",
            "api.example.com/path",
            "user@api.example.com",
            "api.example.com.",
            ".example.com",
            "api.example.com:0",
            "api.example.com:99999",
            "::1",
            "{tenant}.example.com",
            "{/tenant.example.com",
            "/tenant}.example.com",
        ] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_star_may_stand_before_a_domain_of_the_settings_but_not_before_a_top_level() {
        let under = GrantedName::Under("manage.example.com".into());
        let settings = serde_json::json!({ "domain": "manage.example.com", "top": "com" });
        assert_eq!(
            resolved("*.{/domain}", settings.clone()),
            Ok(GrantedHost { name: under, port: 443 })
        );
        assert!(resolved("*.{/top}", settings).is_err());
    }

    #[test]
    fn a_part_in_braces_is_taken_from_the_settings() {
        let settings = || {
            serde_json::json!({
                "url": "https://Hooks.example.com:8443/scep?x=1",
                "plain": "http://hooks.example.com/",
                "tenant": "acme",
                "host": "mdm.example.com:444",
                "star": "*.example.com",
                "evil": "a.evil.test/",
                "deep": { "list": ["first.example.com"] },
                "number": 7,
            })
        };
        assert_eq!(resolved("{/url}", settings()), Ok(exact("hooks.example.com", 8443)));
        assert_eq!(resolved("{/host}", settings()), Ok(exact("mdm.example.com", 444)));
        assert_eq!(
            resolved("{/tenant}.mdm.example:8443", settings()),
            Ok(exact("acme.mdm.example", 8443))
        );
        assert_eq!(resolved("{/deep/list/0}", settings()), Ok(exact("first.example.com", 443)));
        for pattern in ["{/plain}", "{/star}", "{/missing}", "{/number}", "{/evil}.example.com"] {
            assert!(resolved(pattern, settings()).is_err(), "{pattern}");
        }
    }

    #[test]
    fn a_range_is_written_without_bits_that_do_not_count() {
        for text in ["10.20.0.0/16", "0.0.0.0/0", "fd00:1::/32", "10.0.0.5", "::1", "::/0"] {
            assert!(text.parse::<AddressRange>().is_ok(), "{text}");
        }
        for text in
            ["10.20.0.1/16", "10.0.0.0/33", "10.0.0.0/", "::ffff:10.0.0.0/112", "x", "fd00::1/64"]
        {
            assert!(text.parse::<AddressRange>().is_err(), "{text}");
        }
        let range = |text: &str| text.parse::<AddressRange>().unwrap();
        assert!(range("0.0.0.0/0").meets(&range("127.0.0.0/8")));
        assert!(range("127.0.0.1/32").meets(&range("127.0.0.0/8")));
        assert!(!range("10.0.0.0/8").meets(&range("127.0.0.0/8")));
        assert!(!range("::/0").meets(&range("127.0.0.0/8")));
    }
}

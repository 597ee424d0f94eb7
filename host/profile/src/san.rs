//! Subject alternative names: each kind in the one form in which it is compared and written.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use crate::{
    der::{DerError, Reader, Tlv, only, tag},
    oid::{Oid, known},
    subject::{NameError, Subject},
    text,
};

/// One subject alternative name. Values are normalised when made (host names in lower case), so
/// equality is equality of meaning; only this crate can make them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum San {
    /// dNSName, lower case. A leading `*.` is read, and refused for devices by `Limits`.
    #[non_exhaustive]
    Dns(String),
    /// rfc822Name, domain in lower case.
    #[non_exhaustive]
    Email(String),
    /// uniformResourceIdentifier, scheme and host in lower case.
    #[non_exhaustive]
    Uri(String),
    /// iPAddress.
    #[non_exhaustive]
    Ip(IpAddr),
    /// otherName with Microsoft's user principal name, realm in lower case.
    #[non_exhaustive]
    Upn(String),
    /// directoryName.
    #[non_exhaustive]
    Directory(Subject),
    /// Another otherName: its type, and the DER of its value.
    #[non_exhaustive]
    Other(Oid, Vec<u8>),
}

/// The kinds of subject alternative names, as configuration names them.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum SanKind {
    /// dNSName
    Dns,
    /// rfc822Name
    Email,
    /// uniformResourceIdentifier
    Uri,
    /// iPAddress
    Ip,
    /// otherName with a user principal name
    Upn,
    /// directoryName
    Directory,
    /// any other otherName
    Other,
}

impl fmt::Display for SanKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "dns",
            Self::Email => "email",
            Self::Uri => "uri",
            Self::Ip => "ip",
            Self::Upn => "upn",
            Self::Directory => "directory",
            Self::Other => "other",
        })
    }
}

/// More names are not read from a stranger.
const MAX_NAMES: usize = 128;
/// The value of an otherName of an unknown type.
const MAX_OTHER_OCTETS: usize = 1024;
/// The URI form in which Intune puts a SID; domain controllers take it for a strong mapping.
const SID_URI_PREFIX: &str = "tag:microsoft.com,2022-09-14:sid:";

impl San {
    /// A host name: letters, digits, hyphens and underscores in labels of up to 63 characters.
    ///
    /// # Errors
    /// Anything else, an address, a trailing dot, or a `*` that is not the whole first label.
    pub fn dns(name: &str) -> Result<Self, NameError> {
        let labels = name.strip_prefix("*.").unwrap_or(name);
        if is_host_name(labels) && name.len() <= 253 {
            Ok(Self::Dns(name.to_ascii_lowercase()))
        } else {
            Err(NameError::Form { place: "DNS", expected: "a host name such as host.example" })
        }
    }

    /// A mailbox, `local@domain`.
    ///
    /// # Errors
    /// Anything but printable ASCII with one `@` before a host name.
    pub fn email(mailbox: &str) -> Result<Self, NameError> {
        match mailbox.split_once('@') {
            Some((local, domain))
                if !local.is_empty()
                    && local.len() <= 64
                    && local.bytes().all(|byte| byte.is_ascii_graphic())
                    && is_host_name(domain) =>
            {
                Ok(Self::Email(format!("{local}@{}", domain.to_ascii_lowercase())))
            }
            _ => Err(NameError::Form { place: "email", expected: "a mailbox such as a@example" }),
        }
    }

    /// An absolute URI of printable ASCII, without user information.
    ///
    /// # Errors
    /// No scheme, other characters, an empty host, or `user@` before the host.
    pub fn uri(uri: &str) -> Result<Self, NameError> {
        const ERROR: NameError =
            NameError::Form { place: "URI", expected: "an absolute URI of printable ASCII" };
        let (scheme, rest) = uri.split_once(':').ok_or(ERROR)?;
        let scheme_good = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        let printable = rest.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        if !scheme_good || !printable || rest.is_empty() || uri.len() > text::MAX_CHARACTERS {
            return Err(ERROR);
        }
        let scheme = scheme.to_ascii_lowercase();
        let Some(after) = rest.strip_prefix("//") else {
            return Ok(Self::Uri(format!("{scheme}:{rest}")));
        };
        let end = after.find(['/', '?', '#']).unwrap_or(after.len());
        let (authority, path) = after.split_at_checked(end).ok_or(ERROR)?;
        if authority.contains('@') || authority.is_empty() {
            return Err(ERROR);
        }
        Ok(Self::Uri(format!("{scheme}://{}{path}", authority.to_ascii_lowercase())))
    }

    /// An address. IPv4 addresses mapped into IPv6 are refused: they would pass IPv4 constraints.
    ///
    /// # Errors
    /// A mapped address.
    pub fn ip(address: IpAddr) -> Result<Self, NameError> {
        match address {
            IpAddr::V6(six) if six.to_ipv4_mapped().is_some() => {
                Err(NameError::Form { place: "IP", expected: "an address that is not IPv4-mapped" })
            }
            other => Ok(Self::Ip(other)),
        }
    }

    /// A user principal name, `user@realm`.
    ///
    /// # Errors
    /// Not exactly one `@`, forbidden characters, or a realm that is no host name.
    pub fn upn(name: &str) -> Result<Self, NameError> {
        text::check(name).map_err(|problem| NameError::Text { place: "UPN".into(), problem })?;
        match name.split_once('@') {
            Some((user, realm)) if !user.is_empty() && is_host_name(realm) => {
                Ok(Self::Upn(format!("{user}@{}", realm.to_ascii_lowercase())))
            }
            _ => Err(NameError::Form { place: "UPN", expected: "user@realm" }),
        }
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> SanKind {
        match self {
            Self::Dns(..) => SanKind::Dns,
            Self::Email(..) => SanKind::Email,
            Self::Uri(..) => SanKind::Uri,
            Self::Ip(..) => SanKind::Ip,
            Self::Upn(..) => SanKind::Upn,
            Self::Directory(..) => SanKind::Directory,
            Self::Other(..) => SanKind::Other,
        }
    }

    /// Whether a domain controller may read a SID from it: any `tag:` URI of Microsoft's, whatever
    /// its date and case, so that a spelling that Windows tolerates does not slip by.
    #[must_use]
    pub fn is_microsoft_tag(&self) -> bool {
        matches!(self, Self::Uri(uri) if uri.to_ascii_lowercase().starts_with("tag:microsoft.com"))
    }

    /// The SID of a URI in exactly Microsoft's form, `S-1-5-…`.
    #[must_use]
    pub fn sid(&self) -> Option<&str> {
        let Self::Uri(uri) = self else { return None };
        let sid = uri.strip_prefix(SID_URI_PREFIX)?;
        let mut parts = sid.strip_prefix("S-1-")?.split('-');
        let number = |part: &str| {
            !part.is_empty() && part.len() <= 15 && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        (parts.clone().count() <= 16 && parts.all(number)).then_some(sid)
    }

    /// Reads the value of a subjectAltName extension.
    ///
    /// # Errors
    /// An empty list, a malformed or unsupported name.
    pub fn list_from_der(der: &[u8]) -> Result<Vec<Self>, NameError> {
        let mut reader = only(der)?.expect(tag::SEQUENCE)?.reader();
        let mut names = Vec::new();
        while !reader.is_empty() {
            if names.len() == MAX_NAMES {
                let (what, limit) = ("subject alternative names", MAX_NAMES);
                return Err(DerError::TooMany { what, limit }.into());
            }
            names.push(Self::from_general_name(reader.any()?)?);
        }
        if names.is_empty() {
            return Err(DerError::Value("subjectAltName without a name").into());
        }
        Ok(names)
    }

    /// Reads one GeneralName (RFC 5280 §4.2.1.6).
    pub(crate) fn from_general_name(name: Tlv<'_>) -> Result<Self, NameError> {
        match name.tag {
            0xa0 => Self::from_other_name(name.reader()),
            0x81 => Self::email(ascii("email", name.value)?),
            0x82 => Self::dns(ascii("DNS", name.value)?),
            // A CHOICE, so the tag is explicit.
            0xa4 => Ok(Self::Directory(Subject::from_der(name.value)?)),
            0x86 => Self::uri(ascii("URI", name.value)?),
            0x87 => Self::ip(address(name.value)?),
            other => Err(NameError::Kind(other & 0x1f)),
        }
    }

    fn from_other_name(mut reader: Reader<'_>) -> Result<Self, NameError> {
        let type_id = Oid::from_tlv(reader.any()?)?;
        let value = reader.expect(tag::context_constructed(0))?;
        reader.finish()?;
        let inner = only(value.value)?;
        if type_id == known::MS_UPN {
            let problem = |problem| NameError::Text { place: "UPN".into(), problem };
            let octets = inner.expect(tag::UTF8_STRING)?.value;
            return Self::upn(&text::decode(tag::UTF8_STRING, octets).map_err(problem)?);
        }
        if value.value.len() > MAX_OTHER_OCTETS {
            let (what, limit) = ("octets in an otherName", MAX_OTHER_OCTETS);
            return Err(DerError::TooMany { what, limit }.into());
        }
        Ok(Self::Other(type_id, value.value.to_vec()))
    }
}

fn ascii<'a>(place: &'static str, octets: &'a [u8]) -> Result<&'a str, NameError> {
    match std::str::from_utf8(octets) {
        Ok(text) if text.is_ascii() => Ok(text),
        _ => Err(NameError::Form { place, expected: "ASCII text" }),
    }
}

fn address(octets: &[u8]) -> Result<IpAddr, NameError> {
    if let Ok(four) = <[u8; 4]>::try_from(octets) {
        Ok(Ipv4Addr::from(four).into())
    } else if let Ok(sixteen) = <[u8; 16]>::try_from(octets) {
        Ok(Ipv6Addr::from(sixteen).into())
    } else {
        Err(NameError::Form { place: "IP", expected: "4 or 16 octets" })
    }
}

/// Labels of letters, digits, `-` and `_`; the last not all digits, so that no address passes.
pub(crate) fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253
        && name.split('.').all(label)
        && !name.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()))
}

impl fmt::Display for San {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => write!(f, "DNS:{name}"),
            Self::Email(mailbox) => write!(f, "email:{mailbox}"),
            Self::Uri(uri) => write!(f, "URI:{uri}"),
            Self::Ip(address) => write!(f, "IP:{address}"),
            Self::Upn(name) => write!(f, "UPN:{name}"),
            Self::Directory(subject) => write!(f, "dirName:{subject}"),
            Self::Other(type_id, value) => write!(f, "otherName:{type_id}:{}", hex::encode(value)),
        }
    }
}

impl FromStr for San {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let unknown = || NameError::unknown(text);
        let (prefix, value) = text.split_once(':').ok_or_else(unknown)?;
        match prefix {
            "DNS" => Self::dns(value),
            "email" => Self::email(value),
            "URI" => Self::uri(value),
            "IP" => Self::ip(value.parse().map_err(|_| NameError::Form {
                place: "IP",
                expected: "an IPv4 or IPv6 address",
            })?),
            "UPN" => Self::upn(value),
            "dirName" => Ok(Self::Directory(value.parse()?)),
            "otherName" => other_from_text(value),
            _ => Err(unknown()),
        }
    }
}

fn other_from_text(text: &str) -> Result<San, NameError> {
    const ERROR: NameError = NameError::Form {
        place: "otherName",
        expected: "<oid>:<hex of one DER value>, of another type than UPN",
    };
    let (type_id, value) = text.split_once(':').ok_or(ERROR)?;
    let type_id: Oid = type_id.parse()?;
    let value = hex::decode(value).map_err(|_| ERROR)?;
    if type_id == known::MS_UPN || value.len() > MAX_OTHER_OCTETS || only(&value).is_err() {
        return Err(ERROR);
    }
    Ok(San::Other(type_id, value))
}

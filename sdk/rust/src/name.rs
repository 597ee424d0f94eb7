use std::fmt;
use std::str::FromStr;

/// A name that a certificate can carry: one attribute of its subject, or one subject alternative
/// name.
///
/// Written in one flat form everywhere (configuration, command line, ledger, golden cases):
/// `CN=device-17`, `2.5.4.17=8001`, `DNS:host.example`, `email:a@b.example`, `URI:…`, `IP:192.0.2.1`,
/// `UPN:user@realm`, `dirName:…`, `otherName:<oid>:<hex of DER>`.
///
/// ```
/// use countersign_sdk::Name;
///
/// let name: Name = "DNS:host.example".parse()?;
/// assert_eq!(name, Name::Dns("host.example".into()));
/// assert_eq!(Name::common_name("device-17").to_string(), "CN=device-17");
/// # Ok::<(), countersign_sdk::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// An attribute of the subject.
    SubjectAttribute(SubjectAttribute),
    /// dNSName. The host compares it without regard to case.
    Dns(String),
    /// rfc822Name.
    Email(String),
    /// uniformResourceIdentifier.
    Uri(String),
    /// iPAddress as text.
    Ip(String),
    /// The user principal name, `user@realm` (otherName 1.3.6.1.4.1.311.20.2.3).
    Upn(String),
    /// Any other form, in the host's text: `dirName:CN=a,O=b`, `otherName:<oid>:<hex of DER>`.
    Other(String),
}

impl Name {
    /// `CN=` and a value.
    pub fn common_name(value: impl Into<String>) -> Self {
        Self::subject("CN", value)
    }

    /// An attribute of the subject: its short name (RFC 4514 §3, also `SERIALNUMBER` and `E`) or its
    /// dotted object identifier, and its value.
    pub fn subject(kind: impl Into<String>, value: impl Into<String>) -> Self {
        Self::SubjectAttribute(SubjectAttribute { kind: kind.into(), value: value.into() })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SubjectAttribute(attribute) => attribute.fmt(formatter),
            Self::Dns(value) => write!(formatter, "DNS:{value}"),
            Self::Email(value) => write!(formatter, "email:{value}"),
            Self::Uri(value) => write!(formatter, "URI:{value}"),
            Self::Ip(value) => write!(formatter, "IP:{value}"),
            Self::Upn(value) => write!(formatter, "UPN:{value}"),
            Self::Other(text) => formatter.write_str(text),
        }
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let refuse = || NameError { text: text.to_owned() };
        let at = text.find(['=', ':']).ok_or_else(refuse)?;
        let (kind, rest) = text.split_at(at);
        let separator = rest.chars().next().ok_or_else(refuse)?;
        let value = rest.get(separator.len_utf8()..).unwrap_or_default();
        if kind.is_empty() || value.is_empty() {
            return Err(refuse());
        }
        match (kind, separator) {
            (_, '=') if is_attribute_type(kind) => Ok(Self::subject(kind, value)),
            ("DNS", ':') => Ok(Self::Dns(value.to_owned())),
            ("email", ':') => Ok(Self::Email(value.to_owned())),
            ("URI", ':') => Ok(Self::Uri(value.to_owned())),
            ("IP", ':') => Ok(Self::Ip(value.to_owned())),
            ("UPN", ':') => Ok(Self::Upn(value.to_owned())),
            ("dirName" | "otherName", ':') => Ok(Self::Other(text.to_owned())),
            _ => Err(refuse()),
        }
    }
}

fn is_attribute_type(kind: &str) -> bool {
    let short_name = kind.chars().all(|character| character.is_ascii_alphabetic());
    let identifier = kind.contains('.')
        && kind
            .split('.')
            .all(|arc| !arc.is_empty() && arc.chars().all(|character| character.is_ascii_digit()));
    short_name || identifier
}

/// One attribute of a distinguished name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SubjectAttribute {
    /// Short name as in RFC 4514 §3 (`CN`, `O`, `OU`, `UID`, …), also `SERIALNUMBER` and `E`; every
    /// other type as a dotted object identifier.
    pub kind: String,
    /// The value as text; `#` and hex of DER where it is no string type (RFC 4514 §2.4).
    pub value: String,
}

impl fmt::Display for SubjectAttribute {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}={}", self.kind, self.value)
    }
}

/// One step of a distinguished name. More than one attribute means a multi-valued RDN
/// (`CN=a+UID=b`).
pub type RelativeDistinguishedName = Vec<SubjectAttribute>;

/// A text is not a name in the form of [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a name: expected a subject attribute such as `CN=device-17`, or `DNS:`, \
     `email:`, `URI:`, `IP:`, `UPN:`, `dirName:` or `otherName:` and a value"
)]
pub struct NameError {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_survives_the_way_there_and_back() {
        for text in [
            "CN=device-17",
            "2.5.4.17=8001",
            "CN=a=b:c",
            "DNS:host.example",
            "email:a@b.example",
            "URI:urn:uuid:1",
            "IP:2001:db8::1",
            "UPN:user@realm",
            "dirName:CN=a,O=b",
            "otherName:1.2.3:0c0161",
        ] {
            assert_eq!(text.parse::<Name>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", "device-17", "=x", "CN=", "DNS:", "dns:host", "C N=x", "1..2=x", "FOO:x"] {
            assert!(text.parse::<Name>().is_err(), "{text}");
        }
    }
}

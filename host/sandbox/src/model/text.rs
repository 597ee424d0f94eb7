//! Names and attributes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Open-ended facts, each a name and a value; a name may come more than once.
pub type Attributes = Vec<(String, String)>;

/// One step of a distinguished name; more than one attribute means a multi-valued RDN.
pub type RelativeDistinguishedName = Vec<SubjectAttribute>;

/// One attribute of a distinguished name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SubjectAttribute {
    /// Short name (`CN`) or dotted object identifier.
    #[serde(rename = "type")]
    pub attribute_type: String,
    /// The value as text; `#` and hex where it is no string.
    pub value: String,
}

/// A name that a certificate can carry.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    /// An attribute of the subject.
    SubjectAttribute(SubjectAttribute),
    /// dNSName.
    Dns(String),
    /// rfc822Name.
    Email(String),
    /// uniformResourceIdentifier.
    Uri(String),
    /// iPAddress as text.
    Ip(String),
    /// User principal name.
    Upn(String),
    /// Any other form, already in the text form that `Display` gives: `dirName:…`, `otherName:…`.
    Other(String),
}

impl fmt::Display for Name {
    /// The flat, typed form that names have everywhere as text: `CN=device-17`, `DNS:host`, ….
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SubjectAttribute(attribute) => {
                write!(f, "{}={}", attribute.attribute_type, attribute.value)
            }
            Self::Dns(value) => write!(f, "DNS:{value}"),
            Self::Email(value) => write!(f, "email:{value}"),
            Self::Uri(value) => write!(f, "URI:{value}"),
            Self::Ip(value) => write!(f, "IP:{value}"),
            Self::Upn(value) => write!(f, "UPN:{value}"),
            Self::Other(value) => f.write_str(value),
        }
    }
}

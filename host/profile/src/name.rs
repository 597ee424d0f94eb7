//! The flat, typed form in which names travel as text: in seals, ledger, bindings, CLI and logs.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    san::San,
    subject::{Attribute, NameError},
};

/// One name that a request asks for: an attribute of its subject, or a subject alternative name.
///
/// Text form, exact in case of the prefix: `CN=device-17`, `2.5.4.5=…`, `DNS:host`, `email:a@b`,
/// `URI:…`, `IP:…`, `UPN:user@realm`, `dirName:CN=a,O=b`, `otherName:<oid>:<hex>`.
/// Equality is canonical: host names without case, string types of ASN.1 by value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    /// An attribute of the subject.
    Attribute(Attribute),
    /// A subject alternative name.
    San(San),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attribute(attribute) => attribute.fmt(f),
            Self::San(san) => san.fmt(f),
        }
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        // No attribute type holds a colon and no prefix an equals sign: the first of them decides.
        match text.find([':', '=']).and_then(|index| text.as_bytes().get(index)) {
            Some(b'=') => text.parse().map(Self::Attribute),
            Some(b':') => text.parse().map(Self::San),
            _ => Err(NameError::unknown(text)),
        }
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Name {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Name".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A typed name: CN=device-17, 2.5.4.5=…, DNS:host, email:a@b, URI:…, \
                            IP:…, UPN:user@realm, dirName:… or otherName:<oid>:<hex>.",
            "pattern": "^[A-Za-z0-9.]+[=:].+$",
        })
    }
}

#[cfg(test)]
mod tests;

//! Distinguished names: RDNs in order, multi-valued ones kept apart, text decoded and checked.

use std::{fmt, str::FromStr};

use const_oid::ObjectIdentifier;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    der::{DerError, Reader, only, tag},
    oid::{Oid, OidError, known},
    text::{self, TextError},
};

/// A distinguished name as text: RDNs in the order of the encoding.
///
/// Two subjects are equal when their RDNs are, whatever string types held the values.
/// Text form: `C=CH,O=Example\, Inc.,CN=a+serialNumber=7`; `\` stands before `,`, `+` and `\`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Subject {
    rdns: Vec<Rdn>,
}

/// A relative distinguished name: one attribute, or several that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rdn {
    /// Sorted, so that equality does not depend on the encoder.
    attributes: Vec<Attribute>,
}

/// One attribute of a distinguished name, with its value as text that passed the checks of
/// [`NameError::Text`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Attribute {
    attribute_type: Oid,
    value: String,
}

/// Why a name was refused. Values of the name are not repeated, only where they stand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not DER of the expected form.
    #[error("name is not well-formed: {0}")]
    Der(#[from] DerError),
    /// Characters that a name must not hold.
    #[error("{place} holds {problem}")]
    Text {
        /// Which part: `CN`, `DNS`, …
        place: String,
        /// What is wrong.
        problem: TextError,
    },
    /// A value that is not of the form its kind demands.
    #[error("{place} is not {expected}")]
    Form {
        /// Which part: `DNS`, `IP`, …
        place: &'static str,
        /// What is expected there.
        expected: &'static str,
    },
    /// A kind of GeneralName that certificates for devices do not carry.
    #[error("subject alternative name of kind [{0}] is not supported")]
    Kind(u8),
    /// Text without a known prefix.
    #[error(
        "`{0}` is no name: `CN=…` (or another attribute, or its OID), `DNS:…`, `email:…`, `URI:…`, \
         `IP:…`, `UPN:…`, `dirName:…` or `otherName:<oid>:<hex>` is expected"
    )]
    Unknown(String),
    /// An attribute type that is neither a known short name nor an object identifier.
    #[error("unknown attribute type: {0}")]
    AttributeType(#[from] OidError),
}

impl NameError {
    /// Repeats the start of a text that is no name, with everything invisible spelled out.
    pub(crate) fn unknown(text: &str) -> Self {
        Self::Unknown(text.chars().take(80).flat_map(char::escape_default).collect())
    }
}

/// More RDNs, or attributes in one of them, are not read from a stranger.
const MAX_ATTRIBUTES: usize = 64;

impl Subject {
    /// The RDNs in the order of the encoding.
    #[must_use]
    pub fn rdns(&self) -> &[Rdn] {
        &self.rdns
    }

    /// All attributes, in order, those of multi-valued RDNs in sequence.
    pub fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.rdns.iter().flat_map(|rdn| &rdn.attributes)
    }

    /// No RDN at all, as certificates have it whose names are all in subjectAltName.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rdns.is_empty()
    }

    /// The value of the last (most specific) common name.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        self.attributes()
            .filter(|attribute| attribute.attribute_type == attribute_types::COMMON_NAME)
            .last()
            .map(Attribute::value)
    }

    /// Reads a DER `Name`.
    ///
    /// # Errors
    /// Values that are not character strings, or hold what a name must not.
    pub fn from_der(der: &[u8]) -> Result<Self, NameError> {
        let mut reader = only(der)?.expect(tag::SEQUENCE)?.reader();
        let mut rdns = Vec::new();
        let mut count = 0;
        while !reader.is_empty() {
            let mut set = reader.expect(tag::SET)?.reader();
            let mut attributes = Vec::new();
            while !set.is_empty() {
                count += 1;
                if count > MAX_ATTRIBUTES {
                    let (what, limit) = ("attributes in a name", MAX_ATTRIBUTES);
                    return Err(DerError::TooMany { what, limit }.into());
                }
                attributes.push(read_attribute(set.sequence()?)?);
            }
            rdns.push(Rdn::new(attributes)?);
        }
        Ok(Self { rdns })
    }
}

fn read_attribute(mut reader: Reader<'_>) -> Result<Attribute, NameError> {
    let attribute_type = Oid::from_tlv(reader.any()?)?;
    let value = reader.any()?;
    reader.finish()?;
    let problem = |problem| NameError::Text { place: short_name(&attribute_type), problem };
    let value = text::decode(value.tag, value.value).map_err(problem)?;
    Attribute::new(attribute_type, value)
}

impl Rdn {
    fn new(mut attributes: Vec<Attribute>) -> Result<Self, NameError> {
        if attributes.is_empty() {
            return Err(NameError::Der(DerError::Value("an RDN without attribute")));
        }
        attributes.sort();
        if attributes.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
            return Err(NameError::Der(DerError::Value("an RDN that repeats an attribute")));
        }
        Ok(Self { attributes })
    }

    /// Its attributes; more than one in a multi-valued RDN.
    #[must_use]
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    /// More than one attribute, which some readers take for one name and some for two.
    #[must_use]
    pub fn is_multi_valued(&self) -> bool {
        self.attributes.len() > 1
    }
}

impl Attribute {
    /// An attribute with a checked value.
    ///
    /// # Errors
    /// A value that is empty, too long, untrimmed or holds control or bidirectional characters.
    pub fn new(attribute_type: Oid, value: impl Into<String>) -> Result<Self, NameError> {
        let value = value.into();
        match text::check(&value) {
            Ok(()) => Ok(Self { attribute_type, value }),
            Err(problem) => Err(NameError::Text { place: short_name(&attribute_type), problem }),
        }
    }

    /// The type.
    #[must_use]
    pub fn attribute_type(&self) -> &Oid {
        &self.attribute_type
    }

    /// The short name of the type (`CN`), or its dotted identifier where it has none.
    #[must_use]
    pub fn type_name(&self) -> String {
        short_name(&self.attribute_type)
    }

    /// The type as plug-ins know it: the short names of RFC 4514 §3, `SERIALNUMBER` and `E`, and every
    /// other type as a dotted identifier.
    #[must_use]
    pub fn type_name_for_plugins(&self) -> String {
        attribute_types::FOR_PLUGINS
            .iter()
            .find(|(_, known)| self.attribute_type == *known)
            .map_or_else(|| self.attribute_type.to_string(), |(name, _)| (*name).to_owned())
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", short_name(&self.attribute_type), self.value)
    }
}

impl FromStr for Attribute {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let unknown = || NameError::unknown(text);
        let (attribute_type, value) = text.split_once('=').ok_or_else(unknown)?;
        Self::new(parse_type(attribute_type)?, value)
    }
}

/// A short name of [`attribute_types`], or a dotted identifier.
pub(crate) fn parse_type(text: &str) -> Result<Oid, OidError> {
    let mut names = attribute_types::NAMES.iter().chain(&attribute_types::FOR_PLUGINS);
    match names.find(|(name, _)| *name == text) {
        Some((_, known)) => Ok((*known).into()),
        None => text.parse(),
    }
}

pub(crate) fn short_name(attribute_type: &Oid) -> String {
    attribute_types::NAMES
        .iter()
        .find(|(_, known)| attribute_type == known)
        .map_or_else(|| attribute_type.to_string(), |(name, _)| (*name).to_owned())
}

/// A type of attribute, written by its short name (`CN`) or as an object identifier.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AttributeType(Oid);

impl AttributeType {
    /// The identifier.
    #[must_use]
    pub fn oid(&self) -> &Oid {
        &self.0
    }
}

impl fmt::Display for AttributeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&short_name(&self.0))
    }
}

impl FromStr for AttributeType {
    type Err = OidError;

    fn from_str(text: &str) -> Result<Self, OidError> {
        parse_type(text).map(Self)
    }
}

impl Serialize for AttributeType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AttributeType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| {
            serde::de::Error::custom(format!(
                "`{}` is no attribute type: a short name such as CN or serialNumber, or an object \
                 identifier is expected",
                text.escape_debug()
            ))
        })
    }
}

impl schemars::JsonSchema for AttributeType {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AttributeType".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names: Vec<&str> = attribute_types::NAMES.iter().map(|(name, _)| *name).collect();
        schemars::json_schema!({
            "description": "An attribute of a subject: its short name, or its object identifier.",
            "anyOf": [
                { "type": "string", "enum": names },
                { "type": "string", "pattern": "^[0-2](\\.(0|[1-9][0-9]*))+$" },
            ],
        })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, rdn) in self.rdns.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            for (index, attribute) in rdn.attributes.iter().enumerate() {
                if index > 0 {
                    f.write_str("+")?;
                }
                write!(f, "{}=", short_name(&attribute.attribute_type))?;
                for character in attribute.value.chars() {
                    if matches!(character, ',' | '+' | '\\') {
                        f.write_str("\\")?;
                    }
                    write!(f, "{character}")?;
                }
            }
        }
        Ok(())
    }
}

impl FromStr for Subject {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let mut rdns = Vec::new();
        let mut attributes = Vec::new();
        let mut current = String::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match character {
                '\\' => match characters.next() {
                    Some(escaped @ (',' | '+' | '\\')) => current.push(escaped),
                    _ => {
                        let (place, expected) =
                            ("dirName", r"a text in which `\` stands only before `,`, `+` and `\`");
                        return Err(NameError::Form { place, expected });
                    }
                },
                '+' => attributes.push(std::mem::take(&mut current).parse()?),
                ',' => {
                    attributes.push(std::mem::take(&mut current).parse()?);
                    rdns.push(Rdn::new(std::mem::take(&mut attributes))?);
                }
                other => current.push(other),
            }
        }
        attributes.push(current.parse()?);
        rdns.push(Rdn::new(attributes)?);
        let subject = Self { rdns };
        if subject.attributes().count() > MAX_ATTRIBUTES {
            let (what, limit) = ("attributes in a name", MAX_ATTRIBUTES);
            return Err(DerError::TooMany { what, limit }.into());
        }
        Ok(subject)
    }
}

/// Attribute types with a short name, spelled as OpenSSL spells them.
pub mod attribute_types {
    use super::{ObjectIdentifier, known};

    /// commonName
    pub const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
    /// domainComponent
    pub const DOMAIN_COMPONENT: ObjectIdentifier =
        ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.25");

    const fn x520(dotted: &str) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap(dotted)
    }

    /// Short name and identifier.
    pub const NAMES: [(&str, ObjectIdentifier); 26] = [
        ("CN", COMMON_NAME),
        ("SN", x520("2.5.4.4")),
        ("serialNumber", x520("2.5.4.5")),
        ("C", x520("2.5.4.6")),
        ("L", x520("2.5.4.7")),
        ("ST", x520("2.5.4.8")),
        ("street", x520("2.5.4.9")),
        ("O", x520("2.5.4.10")),
        ("OU", x520("2.5.4.11")),
        ("title", x520("2.5.4.12")),
        ("description", x520("2.5.4.13")),
        ("businessCategory", x520("2.5.4.15")),
        ("postalCode", x520("2.5.4.17")),
        ("telephoneNumber", x520("2.5.4.20")),
        ("name", x520("2.5.4.41")),
        ("GN", x520("2.5.4.42")),
        ("initials", x520("2.5.4.43")),
        ("generationQualifier", x520("2.5.4.44")),
        ("dnQualifier", x520("2.5.4.46")),
        ("pseudonym", x520("2.5.4.65")),
        ("organizationIdentifier", x520("2.5.4.97")),
        ("DC", DOMAIN_COMPONENT),
        ("UID", x520("0.9.2342.19200300.100.1.1")),
        ("emailAddress", known::EMAIL_ADDRESS),
        ("unstructuredName", known::UNSTRUCTURED_NAME),
        ("unstructuredAddress", known::UNSTRUCTURED_ADDRESS),
    ];

    /// Those that plug-ins know by name (`wit/types.wit`), in RFC 4514's spelling.
    pub(super) const FOR_PLUGINS: [(&str, ObjectIdentifier); 11] = [
        ("CN", COMMON_NAME),
        ("O", x520("2.5.4.10")),
        ("OU", x520("2.5.4.11")),
        ("C", x520("2.5.4.6")),
        ("L", x520("2.5.4.7")),
        ("ST", x520("2.5.4.8")),
        ("DC", DOMAIN_COMPONENT),
        ("UID", x520("0.9.2342.19200300.100.1.1")),
        ("STREET", x520("2.5.4.9")),
        ("SERIALNUMBER", x520("2.5.4.5")),
        ("E", known::EMAIL_ADDRESS),
    ];
}

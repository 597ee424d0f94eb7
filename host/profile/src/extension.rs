//! X.509 extensions, as requests ask for them and certificates hold them.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    der::{DerError, Reader, only, tag},
    oid::{Oid, known},
};

/// One extension with its value as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Its identifier.
    pub oid: Oid,
    /// Whether a reader that does not know it must refuse the certificate.
    pub critical: bool,
    /// The DER inside its OCTET STRING.
    pub value: Vec<u8>,
}

/// More extensions are not read from a stranger.
const MAX_EXTENSIONS: usize = 64;
/// More purposes or policies in one extension.
const MAX_PURPOSES: usize = 64;

impl Extension {
    /// Reads `Extensions`. One that stands twice is refused: readers differ on which counts.
    pub(crate) fn list(mut reader: Reader<'_>) -> Result<Vec<Self>, ExtensionError> {
        let mut extensions: Vec<Self> = Vec::new();
        while !reader.is_empty() {
            if extensions.len() == MAX_EXTENSIONS {
                return Err(DerError::TooMany { what: "extensions", limit: MAX_EXTENSIONS }.into());
            }
            let mut fields = reader.sequence()?;
            let oid = Oid::from_tlv(fields.any()?)?;
            let critical = fields.peek() == Some(tag::BOOLEAN) && fields.boolean()?;
            let value = fields.expect(tag::OCTET_STRING)?.value.to_vec();
            fields.finish()?;
            if extensions.iter().any(|other| other.oid == oid) {
                return Err(ExtensionError::Repeated(oid));
            }
            extensions.push(Self { oid, critical, value });
        }
        Ok(extensions)
    }

    pub(crate) fn find(list: &[Self], oid: const_oid::ObjectIdentifier) -> Option<&Self> {
        list.iter().find(|extension| extension.oid == oid)
    }
}

/// Why extensions were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtensionError {
    /// Not DER of the expected form.
    #[error("extensions are not well-formed: {0}")]
    Der(#[from] DerError),
    /// The same extension twice.
    #[error("extension {0} stands twice")]
    Repeated(Oid),
}

/// A purpose of extended key usage: an identifier with, for the usual ones, the name that RFC 5280
/// gives it (`clientAuth`). Text may be the name or the dotted identifier.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExtendedKeyUsage(Oid);

/// Purposes with a name in configuration.
const PURPOSES: [(&str, const_oid::ObjectIdentifier); 15] = [
    ("serverAuth", known::SERVER_AUTH),
    ("clientAuth", known::CLIENT_AUTH),
    ("codeSigning", known::CODE_SIGNING),
    ("emailProtection", known::EMAIL_PROTECTION),
    ("timeStamping", known::TIME_STAMPING),
    ("OCSPSigning", known::OCSP_SIGNING),
    ("eapOverLAN", known::EAP_OVER_LAN),
    ("ipsecIKE", known::IPSEC_IKE),
    ("iKEIntermediate", known::IKE_INTERMEDIATE),
    ("cmcCA", known::CMC_CA),
    ("cmcRA", known::CMC_RA),
    ("anyExtendedKeyUsage", known::ANY_EXTENDED_KEY_USAGE),
    ("certificateRequestAgent", known::CERTIFICATE_REQUEST_AGENT),
    ("smartcardLogon", known::SMARTCARD_LOGON),
    ("pkinitClientAuth", known::PKINIT_CLIENT_AUTH),
];

impl ExtendedKeyUsage {
    /// The identifier.
    #[must_use]
    pub fn oid(&self) -> &Oid {
        &self.0
    }

    /// Reads an extKeyUsage value; an empty one is refused.
    pub(crate) fn list_from_der(value: &[u8]) -> Result<Vec<Self>, DerError> {
        let mut reader = only(value)?.expect(tag::SEQUENCE)?.reader();
        let mut purposes = Vec::new();
        while !reader.is_empty() {
            if purposes.len() == MAX_PURPOSES {
                return Err(DerError::TooMany { what: "key purposes", limit: MAX_PURPOSES });
            }
            purposes.push(Self(Oid::from_tlv(reader.any()?)?));
        }
        if purposes.is_empty() {
            return Err(DerError::Value("extKeyUsage without a purpose"));
        }
        Ok(purposes)
    }

    /// Reads Microsoft's application policies, which have the form of certificatePolicies.
    pub(crate) fn application_policies(value: &[u8]) -> Result<Vec<Self>, DerError> {
        let mut reader = only(value)?.expect(tag::SEQUENCE)?.reader();
        let mut purposes = Vec::new();
        while !reader.is_empty() {
            if purposes.len() == MAX_PURPOSES {
                return Err(DerError::TooMany { what: "policies", limit: MAX_PURPOSES });
            }
            purposes.push(Self(Oid::from_tlv(reader.sequence()?.any()?)?));
        }
        Ok(purposes)
    }
}

impl From<const_oid::ObjectIdentifier> for ExtendedKeyUsage {
    fn from(oid: const_oid::ObjectIdentifier) -> Self {
        Self(oid.into())
    }
}

impl PartialEq<const_oid::ObjectIdentifier> for ExtendedKeyUsage {
    fn eq(&self, oid: &const_oid::ObjectIdentifier) -> bool {
        self.0 == *oid
    }
}

impl fmt::Display for ExtendedKeyUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match PURPOSES.iter().find(|(_, oid)| self.0 == *oid) {
            Some((name, _)) => f.write_str(name),
            None => self.0.fmt(f),
        }
    }
}

impl fmt::Debug for ExtendedKeyUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for ExtendedKeyUsage {
    type Err = crate::oid::OidError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match PURPOSES.iter().find(|(name, _)| *name == text) {
            Some((_, oid)) => Ok((*oid).into()),
            None => text.parse().map(Self),
        }
    }
}

impl Serialize for ExtendedKeyUsage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ExtendedKeyUsage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| {
            serde::de::Error::custom(format!(
                "`{}` is no key purpose: a name such as clientAuth or an object identifier is expected",
                text.escape_debug()
            ))
        })
    }
}

impl schemars::JsonSchema for ExtendedKeyUsage {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ExtendedKeyUsage".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names: Vec<&str> = PURPOSES.iter().map(|(name, _)| *name).collect();
        schemars::json_schema!({
            "description": "A purpose by its name in RFC 5280, or its object identifier.",
            "anyOf": [
                { "type": "string", "enum": names },
                { "type": "string", "pattern": "^[0-2](\\.(0|[1-9][0-9]*))+$" },
            ],
        })
    }
}

/// One bit of keyUsage (RFC 5280 §4.2.1.3).
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum KeyUsageBit {
    /// Signatures other than on certificates and CRLs.
    DigitalSignature,
    /// contentCommitment, called nonRepudiation before.
    ContentCommitment,
    /// Key transport.
    KeyEncipherment,
    /// Direct encryption of data.
    DataEncipherment,
    /// Key agreement.
    KeyAgreement,
    /// Signing certificates.
    KeyCertSign,
    /// Signing CRLs.
    #[serde(rename = "cRLSign")]
    CrlSign,
    /// With key agreement, only to encipher.
    EncipherOnly,
    /// With key agreement, only to decipher.
    DecipherOnly,
}

const BITS: [(KeyUsageBit, &str); 9] = [
    (KeyUsageBit::DigitalSignature, "digitalSignature"),
    (KeyUsageBit::ContentCommitment, "contentCommitment"),
    (KeyUsageBit::KeyEncipherment, "keyEncipherment"),
    (KeyUsageBit::DataEncipherment, "dataEncipherment"),
    (KeyUsageBit::KeyAgreement, "keyAgreement"),
    (KeyUsageBit::KeyCertSign, "keyCertSign"),
    (KeyUsageBit::CrlSign, "cRLSign"),
    (KeyUsageBit::EncipherOnly, "encipherOnly"),
    (KeyUsageBit::DecipherOnly, "decipherOnly"),
];

/// A set of key usages.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct KeyUsage(u16);

impl KeyUsage {
    /// Reads a keyUsage value.
    pub(crate) fn from_der(value: &[u8]) -> Result<Self, DerError> {
        const ERROR: DerError = DerError::Value("keyUsage");
        let (unused, octets) = match only(value)?.expect(tag::BIT_STRING)?.value {
            [unused @ 0..=7, octets @ ..] if octets.len() <= 2 => (*unused, octets),
            _ => return Err(ERROR),
        };
        let mut bits = 0_u16;
        for (octet_index, octet) in octets.iter().enumerate() {
            for bit in 0..8 {
                if octet & (0x80 >> bit) != 0 {
                    let index = octet_index * 8 + bit;
                    let past_end = index >= octets.len() * 8 - usize::from(unused);
                    if index >= BITS.len() || past_end {
                        return Err(ERROR);
                    }
                    bits |= 1 << index;
                }
            }
        }
        Ok(Self(bits))
    }

    /// Whether the usage is in the set.
    #[must_use]
    pub fn contains(self, bit: KeyUsageBit) -> bool {
        self.0 & (1 << bit as u16) != 0
    }

    /// The usages in the order of their bits.
    pub fn bits(self) -> impl Iterator<Item = KeyUsageBit> {
        BITS.into_iter().map(|(bit, _)| bit).filter(move |bit| self.contains(*bit))
    }
}

impl FromIterator<KeyUsageBit> for KeyUsage {
    fn from_iter<I: IntoIterator<Item = KeyUsageBit>>(bits: I) -> Self {
        Self(bits.into_iter().fold(0, |set, bit| set | 1 << bit as u16))
    }
}

impl fmt::Display for KeyUsageBit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(BITS.iter().find(|(bit, _)| bit == self).map_or("", |(_, name)| name))
    }
}

impl fmt::Debug for KeyUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.bits()).finish()
    }
}

/// basicConstraints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct BasicConstraints {
    /// Whether the subject may issue certificates.
    pub ca: bool,
    /// How many CAs may follow below it.
    pub path_length: Option<u32>,
}

impl BasicConstraints {
    /// Reads a basicConstraints value.
    pub(crate) fn from_der(value: &[u8]) -> Result<Self, DerError> {
        let mut reader = only(value)?.expect(tag::SEQUENCE)?.reader();
        let ca = reader.peek() == Some(tag::BOOLEAN) && reader.boolean()?;
        let path_length = match reader.optional(tag::INTEGER)?.map(|tlv| tlv.value) {
            None => None,
            Some([octet @ 0..=0x7f]) => Some(u32::from(*octet)),
            Some(_) => return Err(DerError::Value("pathLenConstraint")),
        };
        reader.finish()?;
        Ok(Self { ca, path_length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der::encode;

    fn read(octets: &[u8]) -> Result<Vec<String>, DerError> {
        let usage = KeyUsage::from_der(&encode(tag::BIT_STRING, &[octets]))?;
        Ok(usage.bits().map(|bit| bit.to_string()).collect())
    }

    #[test]
    fn key_usages_have_the_names_of_rfc_5280() {
        assert_eq!(read(&[0]).unwrap(), [""; 0]);
        assert_eq!(read(&[5, 0xa0]).unwrap(), ["digitalSignature", "keyEncipherment"]);
        assert_eq!(read(&[7, 0xff, 0x80]).unwrap(), BITS.map(|(_, name)| name));
        let set: KeyUsage = [KeyUsageBit::KeyAgreement].into_iter().collect();
        assert!(set.contains(KeyUsageBit::KeyAgreement) && !set.contains(KeyUsageBit::CrlSign));
        assert_eq!(serde_json::to_string(&KeyUsageBit::CrlSign).unwrap(), r#""cRLSign""#);
        for (bit, name) in BITS {
            assert_eq!(serde_json::to_value(bit).unwrap(), name);
        }
    }

    #[test]
    fn bits_beyond_the_end_and_unknown_ones_are_refused() {
        for octets in [&[][..], &[8, 0x80], &[7, 0xc0], &[6, 0xff, 0xc0], &[0, 0, 0, 0x80]] {
            assert!(read(octets).is_err(), "{octets:02x?}");
        }
    }

    #[test]
    fn basic_constraints_are_read_strictly() {
        let read = |fields: &[u8]| BasicConstraints::from_der(&encode(tag::SEQUENCE, &[fields]));
        assert_eq!(read(&[]).unwrap(), BasicConstraints { ca: false, path_length: None });
        // BER's other spelling of TRUE must not pass for FALSE.
        assert!(read(&[tag::BOOLEAN, 1, 1]).unwrap().ca);
        assert!(!read(&[tag::BOOLEAN, 1, 0]).unwrap().ca);
        let limited = read(&[tag::BOOLEAN, 1, 0xff, tag::INTEGER, 1, 0]).unwrap();
        assert_eq!(limited, BasicConstraints { ca: true, path_length: Some(0) });
        assert!(read(&[tag::BOOLEAN, 2, 0xff, 0xff]).is_err());
        assert!(read(&[tag::BOOLEAN, 1, 0xff, tag::INTEGER, 1, 0x80]).is_err());
        assert!(read(&[tag::NULL, 0]).is_err());
    }

    #[test]
    fn purposes_go_by_name_or_identifier() {
        for (name, oid) in PURPOSES {
            let purpose: ExtendedKeyUsage = name.parse().unwrap();
            assert_eq!(purpose, oid);
            assert_eq!(oid.to_string().parse::<ExtendedKeyUsage>().unwrap().to_string(), name);
        }
        assert_eq!("1.2.3".parse::<ExtendedKeyUsage>().unwrap().to_string(), "1.2.3");
        assert!("ClientAuth".parse::<ExtendedKeyUsage>().is_err());
    }
}

//! Requests and certificates made to order for tests: well signed, and as hostile as they should be.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use const_oid::ObjectIdentifier;

use crate::{
    der::{encode, tag},
    oid::{Oid, known},
};

/// A recorded request or certificate of `tests/data`.
macro_rules! recorded {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/", $name)).as_slice()
    };
}
pub(crate) use recorded;

pub(crate) fn tlv(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    encode(tag, &parts)
}

pub(crate) fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(tag::SEQUENCE, parts)
}

pub(crate) fn oid(dotted: &str) -> Vec<u8> {
    dotted.parse::<Oid>().unwrap().to_der()
}

pub(crate) fn utf8(text: &str) -> Vec<u8> {
    encode(tag::UTF8_STRING, &[text.as_bytes()])
}

pub(crate) fn printable(text: &str) -> Vec<u8> {
    encode(tag::PRINTABLE_STRING, &[text.as_bytes()])
}

/// One attribute and its value: `("2.5.4.3", utf8("device-17"))`.
pub(crate) type AttributeDer = (&'static str, Vec<u8>);

/// A DER name of RDNs, each of one or several attributes.
pub(crate) fn name(rdns: &[&[AttributeDer]]) -> Vec<u8> {
    let rdns: Vec<_> = rdns
        .iter()
        .map(|rdn| {
            let attributes: Vec<_> =
                rdn.iter().map(|(kind, value)| sequence(&[oid(kind), value.clone()])).collect();
            tlv(tag::SET, &attributes)
        })
        .collect();
    sequence(&rdns)
}

/// `CN=text`, as UTF8String.
pub(crate) fn common_name(text: &str) -> Vec<u8> {
    name(&[&[("2.5.4.3", utf8(text))]])
}

pub(crate) fn extension(oid: impl Into<Oid>, value: Vec<u8>) -> Vec<u8> {
    sequence(&[oid.into().to_der(), tlv(tag::OCTET_STRING, &[value])])
}

pub(crate) fn dns(text: &str) -> Vec<u8> {
    encode(0x82, &[text.as_bytes()])
}

pub(crate) fn email(text: &str) -> Vec<u8> {
    encode(0x81, &[text.as_bytes()])
}

pub(crate) fn uri(text: &str) -> Vec<u8> {
    encode(0x86, &[text.as_bytes()])
}

pub(crate) fn ip(octets: &[u8]) -> Vec<u8> {
    encode(0x87, &[octets])
}

pub(crate) fn directory(name: Vec<u8>) -> Vec<u8> {
    tlv(0xa4, &[name])
}

pub(crate) fn other_name(type_id: &str, value: Vec<u8>) -> Vec<u8> {
    tlv(0xa0, &[oid(type_id), tlv(0xa0, &[value])])
}

pub(crate) fn upn(text: &str) -> Vec<u8> {
    other_name("1.3.6.1.4.1.311.20.2.3", utf8(text))
}

pub(crate) fn san(names: &[Vec<u8>]) -> Vec<u8> {
    extension(known::SUBJECT_ALT_NAME, sequence(names))
}

pub(crate) fn ekus(purposes: &[ObjectIdentifier]) -> Vec<u8> {
    let purposes: Vec<_> = purposes.iter().map(|&purpose| Oid::from(purpose).to_der()).collect();
    extension(known::EXTENDED_KEY_USAGE, sequence(&purposes))
}

/// keyUsage from its first octet: 0x80 digitalSignature, 0x20 keyEncipherment, 0x04 keyCertSign.
pub(crate) fn key_usage(bits: u8) -> Vec<u8> {
    let unused = u8::try_from(bits.trailing_zeros()).unwrap();
    extension(known::KEY_USAGE, encode(tag::BIT_STRING, &[&[unused, bits]]))
}

pub(crate) fn basic_constraints(ca: bool) -> Vec<u8> {
    let value = if ca { sequence(&[encode(tag::BOOLEAN, &[&[0xff]])]) } else { sequence(&[]) };
    extension(known::BASIC_CONSTRAINTS, value)
}

/// Application policies have the form of certificatePolicies.
pub(crate) fn application_policies(purposes: &[ObjectIdentifier]) -> Vec<u8> {
    let policies: Vec<_> =
        purposes.iter().map(|&purpose| sequence(&[Oid::from(purpose).to_der()])).collect();
    extension(known::MS_APPLICATION_POLICIES, sequence(&policies))
}

/// An RSA key of this modulus and exponent.
pub(crate) fn rsa_spki(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let key = sequence(&[
        encode(tag::INTEGER, &[&[0], modulus]),
        encode(tag::INTEGER, &[&[0], exponent]),
    ]);
    sequence(&[
        sequence(&[Oid::from(known::RSA_ENCRYPTION).to_der(), vec![tag::NULL, 0]]),
        tlv(tag::BIT_STRING, &[vec![0], key]),
    ])
}

/// A P-256 key that signs what it is given.
pub(crate) struct Key(EcdsaKeyPair);

impl Key {
    pub(crate) fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    pub(crate) fn spki(&self) -> Vec<u8> {
        let point = self.0.public_key().as_ref();
        sequence(&[
            sequence(&[Oid::from(known::EC_PUBLIC_KEY).to_der(), Oid::from(known::P256).to_der()]),
            encode(tag::BIT_STRING, &[&[0], point]),
        ])
    }

    /// SEQUENCE { to be signed, algorithm, signature }
    pub(crate) fn sign(&self, to_be_signed: Vec<u8>) -> Vec<u8> {
        let signature = self.0.sign(&SystemRandom::new(), &to_be_signed).unwrap();
        let signature = encode(tag::BIT_STRING, &[&[0], signature.as_ref()]);
        sequence(&[to_be_signed, ecdsa_sha256(), signature])
    }
}

pub(crate) fn ecdsa_sha256() -> Vec<u8> {
    sequence(&[Oid::from(known::ECDSA_SHA256).to_der()])
}

/// A request, `CN=device-17` unless told otherwise.
pub(crate) struct Request {
    pub(crate) subject: Vec<u8>,
    pub(crate) extensions: Vec<Vec<u8>>,
    /// Further attributes: SEQUENCE { type, SET OF value }.
    pub(crate) attributes: Vec<Vec<u8>>,
    /// Another key than the one that signs.
    pub(crate) spki: Option<Vec<u8>>,
    /// Leave the attributes field out entirely.
    pub(crate) without_attributes: bool,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            subject: common_name("device-17"),
            extensions: Vec::new(),
            attributes: Vec::new(),
            spki: None,
            without_attributes: false,
        }
    }
}

impl Request {
    pub(crate) fn sign(&self, key: &Key) -> Vec<u8> {
        let mut info = vec![
            encode(tag::INTEGER, &[&[0]]),
            self.subject.clone(),
            self.spki.clone().unwrap_or_else(|| key.spki()),
        ];
        let mut attributes = self.attributes.clone();
        if !self.extensions.is_empty() {
            attributes.push(attribute(known::EXTENSION_REQUEST, &[sequence(&self.extensions)]));
        }
        if !self.without_attributes {
            info.push(tlv(0xa0, &attributes));
        }
        key.sign(sequence(&info))
    }
}

pub(crate) fn attribute(oid: impl Into<Oid>, values: &[Vec<u8>]) -> Vec<u8> {
    sequence(&[oid.into().to_der(), tlv(tag::SET, values)])
}

/// A certificate of `CN=CA` for `CN=device-17`, as AD CS would issue it, unless told otherwise.
pub(crate) struct Certificate {
    pub(crate) issuer: Vec<u8>,
    pub(crate) subject: Vec<u8>,
    pub(crate) not_before: &'static str,
    pub(crate) not_after: &'static str,
    pub(crate) extensions: Vec<Vec<u8>>,
}

impl Default for Certificate {
    fn default() -> Self {
        Self {
            issuer: common_name("CA"),
            subject: common_name("device-17"),
            not_before: "260601000000Z",
            not_after: "270601000000Z",
            extensions: vec![key_usage(0xa0), ekus(&[known::CLIENT_AUTH])],
        }
    }
}

impl Certificate {
    pub(crate) fn sign(&self, spki: Vec<u8>, issuer: &Key) -> Vec<u8> {
        let time = |text: &str| encode(tag::UTC_TIME, &[text.as_bytes()]);
        issuer.sign(sequence(&[
            tlv(0xa0, &[encode(tag::INTEGER, &[&[2]])]),
            encode(tag::INTEGER, &[&[0x5a, 0x17]]),
            ecdsa_sha256(),
            self.issuer.clone(),
            sequence(&[time(self.not_before), time(self.not_after)]),
            self.subject.clone(),
            spki,
            tlv(0xa3, &[sequence(&self.extensions)]),
        ]))
    }

    /// The CA itself, with further extensions.
    pub(crate) fn authority(key: &Key, extensions: Vec<Vec<u8>>) -> crate::Certificate {
        let mut own = vec![basic_constraints(true), key_usage(0x06)];
        own.extend(extensions);
        let forged = Self { subject: common_name("CA"), extensions: own, ..Self::default() };
        crate::Certificate::parse(&forged.sign(key.spki(), key)).unwrap()
    }
}

/// nameConstraints of GeneralNames.
pub(crate) fn name_constraints(permitted: &[Vec<u8>], excluded: &[Vec<u8>]) -> Vec<u8> {
    let list = |tag, names: &[Vec<u8>]| {
        let subtrees: Vec<_> =
            names.iter().map(|name| sequence(std::slice::from_ref(name))).collect();
        tlv(tag, &subtrees)
    };
    let mut lists = Vec::new();
    if !permitted.is_empty() {
        lists.push(list(0xa0, permitted));
    }
    if !excluded.is_empty() {
        lists.push(list(0xa1, excluded));
    }
    extension(known::NAME_CONSTRAINTS, sequence(&lists))
}

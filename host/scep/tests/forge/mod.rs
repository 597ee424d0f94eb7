//! A second writer of pkiMessages, with its own DER, that can say everything wrong: what the
//! crate's own builder cannot make is what the parser must refuse.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part of the forge")]

use std::path::{Path, PathBuf};

use countersign_scep::client::{DeviceKey, KeySize, SelfSigned, Validity};
use countersign_scep::{Certificate, DigestAlgorithm};

pub fn golden(name: &str) -> Vec<u8> {
    let path = golden_directory().join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// This file also serves the fuzz targets, whose own manifest lies one folder deeper.
pub fn golden_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|ancestor| ancestor.join("tests/golden/scep"))
        .find(|folder| folder.is_dir())
        .expect("tests/golden/scep lies in the repository")
}

pub fn golden_key(name: &str) -> DeviceKey {
    DeviceKey::from_pkcs8(&golden(&format!("{name}.key"))).unwrap()
}

pub fn golden_certificate(name: &str) -> Certificate {
    Certificate::parse(&golden(&format!("{name}.der"))).unwrap()
}

pub fn self_signed(key: &DeviceKey) -> Certificate {
    let names = ["CN=golden-device".parse().unwrap()];
    let validity = Validity { not_before: 0, not_after: 1 };
    SelfSigned { names: &names, validity }.sign(key).unwrap()
}

pub fn new_key() -> DeviceKey {
    DeviceKey::generate(KeySize::Rsa2048).unwrap()
}

pub fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    let zeros = length.iter().take_while(|byte| **byte == 0).count();
    let mut out = vec![tag];
    match (zeros, length[3]) {
        (3.., short @ 0..=0x7f) => out.push(short),
        _ => {
            out.push(0x80 | (4 - zeros) as u8);
            out.extend(&length[zeros..]);
        }
    }
    out.extend(content);
    out
}

pub fn oid(dotted: &str) -> Vec<u8> {
    let identifier: const_oid::ObjectIdentifier = dotted.parse().unwrap();
    tlv(0x06, identifier.as_bytes())
}

pub fn printable(text: &str) -> Vec<u8> {
    tlv(0x13, text.as_bytes())
}

pub const CONTENT_TYPE: &str = "1.2.840.113549.1.9.3";
pub const MESSAGE_DIGEST: &str = "1.2.840.113549.1.9.4";
pub const MESSAGE_TYPE: &str = "2.16.840.1.113733.1.9.2";
pub const PKI_STATUS: &str = "2.16.840.1.113733.1.9.3";
pub const SENDER_NONCE: &str = "2.16.840.1.113733.1.9.5";
pub const RECIPIENT_NONCE: &str = "2.16.840.1.113733.1.9.6";
pub const TRANSACTION_ID: &str = "2.16.840.1.113733.1.9.7";
pub const DATA: &str = "1.2.840.113549.1.7.1";
pub const SHA256: &str = "2.16.840.1.101.3.4.2.1";
pub const RSA_ENCRYPTION: &str = "1.2.840.113549.1.1.1";

/// A message in parts; [`Forge::message`] signs what is there.
#[derive(Clone)]
pub struct Forge {
    /// Type and values of each signed attribute, in this order.
    pub attributes: Vec<(String, Vec<Vec<u8>>)>,
    /// As received; sorted by the signer if set.
    pub sign_sorted: bool,
    pub signed_attributes: bool,
    pub unsigned: Vec<(String, Vec<Vec<u8>>)>,
    pub content_type: String,
    pub content: Option<Vec<u8>>,
    pub certificates: Vec<Vec<u8>>,
    pub signer_infos: usize,
    pub signer_identifier: Vec<u8>,
    pub digest_algorithm: Vec<u8>,
    pub signature_algorithm: Vec<u8>,
    pub spoil_signature: bool,
}

impl Forge {
    /// A good message of this type around this envelope.
    pub fn new(kind: &str, signer: &Certificate, envelope: &[u8]) -> Forge {
        let digest = DigestAlgorithm::Sha256.digest(envelope);
        let one = |oid: &str, value: Vec<u8>| (oid.to_owned(), vec![value]);
        let identifier = [signer.issuer_der(), signer.serial_der()].concat();
        Forge {
            attributes: vec![
                one(CONTENT_TYPE, oid(DATA)),
                one(MESSAGE_DIGEST, tlv(0x04, &digest)),
                one(MESSAGE_TYPE, printable(kind)),
                one(SENDER_NONCE, tlv(0x04, &[7; 16])),
                one(TRANSACTION_ID, printable("forged/transaction=")),
            ],
            sign_sorted: false,
            signed_attributes: true,
            unsigned: Vec::new(),
            content_type: DATA.to_owned(),
            content: Some(envelope.to_vec()),
            certificates: vec![signer.der().to_vec()],
            signer_infos: 1,
            signer_identifier: tlv(0x30, &identifier),
            digest_algorithm: tlv(0x30, &[oid(SHA256), vec![5, 0]].concat()),
            signature_algorithm: tlv(0x30, &[oid(RSA_ENCRYPTION), vec![5, 0]].concat()),
            spoil_signature: false,
        }
    }

    pub fn without(mut self, oid: &str) -> Forge {
        self.attributes.retain(|(name, _)| name != oid);
        self
    }

    /// Replaces the values of an attribute, or adds it.
    pub fn with(mut self, oid: &str, values: Vec<Vec<u8>>) -> Forge {
        match self.attributes.iter_mut().find(|(name, _)| name == oid) {
            Some((_, old)) => *old = values,
            None => self.attributes.push((oid.to_owned(), values)),
        }
        self
    }

    pub fn message(&self, key: &DeviceKey) -> Vec<u8> {
        let attributes = encode(&self.attributes);
        let mut to_sign = attributes.clone();
        if self.sign_sorted {
            to_sign.sort();
        }
        let mut signature =
            key.sign(DigestAlgorithm::Sha256, &tlv(0x31, &to_sign.concat())).unwrap();
        if self.spoil_signature {
            signature[20] ^= 1;
        }
        let mut signer_info = vec![tlv(0x02, &[1]), self.signer_identifier.clone()];
        signer_info.push(self.digest_algorithm.clone());
        if self.signed_attributes {
            signer_info.push(tlv(0xa0, &attributes.concat()));
        }
        signer_info.push(self.signature_algorithm.clone());
        signer_info.push(tlv(0x04, &signature));
        if !self.unsigned.is_empty() {
            signer_info.push(tlv(0xa1, &encode(&self.unsigned).concat()));
        }
        let signer_info = tlv(0x30, &signer_info.concat());
        let mut encapsulated = oid(&self.content_type);
        if let Some(content) = &self.content {
            encapsulated.extend(tlv(0xa0, &tlv(0x04, content)));
        }
        let signed_data = [
            tlv(0x02, &[1]),
            tlv(0x31, &self.digest_algorithm),
            tlv(0x30, &encapsulated),
            tlv(0xa0, &self.certificates.concat()),
            tlv(0x31, &signer_info.repeat(self.signer_infos)),
        ];
        let signed_data = tlv(0x30, &signed_data.concat());
        tlv(0x30, &[oid("1.2.840.113549.1.7.2"), tlv(0xa0, &signed_data)].concat())
    }
}

fn encode(attributes: &[(String, Vec<Vec<u8>>)]) -> Vec<Vec<u8>> {
    attributes
        .iter()
        .map(|(name, values)| tlv(0x30, &[oid(name), tlv(0x31, &values.concat())].concat()))
        .collect()
}

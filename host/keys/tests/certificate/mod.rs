//! Certificates for tests, written by hand: a library's builder would refuse the wrong ones.
#![allow(dead_code, reason = "each test file uses a part of it")]

use countersign_keys::{GeneratedKey, PublicKey, RoleCertificate};

pub(crate) const CERTIFICATE_REQUEST_AGENT: &[u8] =
    &[0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x14, 0x02, 0x01];
pub(crate) const ANY_EXTENDED_KEY_USAGE: &[u8] = &[0x06, 0x04, 0x55, 0x1d, 0x25, 0x00];
pub(crate) const CLIENT_AUTH: &[u8] = &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];
pub(crate) const DIGITAL_SIGNATURE: u8 = 0x80;
pub(crate) const KEY_ENCIPHERMENT: u8 = 0x20;

/// What a certificate says.
pub(crate) struct Template<'a> {
    pub(crate) key_usage: Option<u8>,
    pub(crate) ekus: Option<&'a [&'a [u8]]>,
    pub(crate) application_policies: Option<&'a [&'a [u8]]>,
    pub(crate) not_after: &'a str,
    pub(crate) serial: &'a [u8],
}

impl Default for Template<'_> {
    fn default() -> Self {
        Self {
            key_usage: Some(DIGITAL_SIGNATURE),
            ekus: Some(&[CLIENT_AUTH]),
            application_policies: None,
            not_after: "20300101000000Z",
            serial: &[0x2a],
        }
    }
}

/// A certificate valid from 2020 on, DER. Its signature is no signature: nobody here checks it.
pub(crate) fn certificate(key: &GeneratedKey, template: &Template<'_>) -> Vec<u8> {
    certificate_for(key.public_key(), template)
}

fn certificate_for(key: &PublicKey, template: &Template<'_>) -> Vec<u8> {
    let name =
        sequence(&[&tlv(0x31, &sequence(&[&[0x06, 0x03, 0x55, 0x04, 0x03], &tlv(0x0c, b"Test")]))]);
    let algorithm =
        countersign_keys::SignatureAlgorithm::RsaPkcs1Sha256.certificate_identifier_der();
    let mut extensions = Vec::new();
    if let Some(bits) = template.key_usage {
        let bits = tlv(0x03, &[bits.trailing_zeros() as u8, bits]);
        extensions.extend(extension(&[0x06, 0x03, 0x55, 0x1d, 0x0f], &bits));
    }
    if let Some(ekus) = template.ekus {
        extensions.extend(extension(&[0x06, 0x03, 0x55, 0x1d, 0x25], &sequence(ekus)));
    }
    if let Some(policies) = template.application_policies {
        let oid = [0x06, 0x09, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x15, 0x0a];
        let policies: Vec<u8> = policies.iter().flat_map(|policy| sequence(&[policy])).collect();
        extensions.extend(extension(&oid, &tlv(0x30, &policies)));
    }
    extensions.extend(extension(&[0x06, 0x03, 0x55, 0x1d, 0x0e], &tlv(0x04, &[9; 20])));
    let tbs = sequence(&[
        &tlv(0xa0, &[0x02, 0x01, 0x02]),
        &tlv(0x02, template.serial),
        algorithm,
        &name,
        &sequence(&[&tlv(0x18, b"20200101000000Z"), &tlv(0x18, template.not_after.as_bytes())]),
        &name,
        key.spki_der(),
        &tlv(0xa3, &tlv(0x30, &extensions)),
    ]);
    sequence(&[&tbs, algorithm, &tlv(0x03, &[0, 1, 2, 3])])
}

pub(crate) fn role_certificate(key: &GeneratedKey, template: &Template<'_>) -> RoleCertificate {
    RoleCertificate::from_der(&certificate(key, template)).unwrap()
}

pub(crate) fn role_certificate_for(key: &PublicKey, template: &Template<'_>) -> RoleCertificate {
    RoleCertificate::from_der(&certificate_for(key, template)).unwrap()
}

fn extension(oid: &[u8], value: &[u8]) -> Vec<u8> {
    sequence(&[oid, &tlv(0x04, value)])
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        length @ 0..0x80 => out.push(length as u8),
        length @ 0x80..0x100 => out.extend([0x81, length as u8]),
        length => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend(content);
    out
}

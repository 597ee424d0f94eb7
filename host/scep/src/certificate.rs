//! A certificate as far as SCEP needs it: who it names, which key it holds, what that key is for.
//!
//! Read leniently on purpose. Signers of requests are often made by the client for one message:
//! serials of 32 octets, critical authority key identifiers, dates in the past. Such a certificate
//! proves nothing but possession of its key, so nothing but its key and its names is looked at.

use countersign_profile::{KeyAlgorithm, KeyError, PublicKey};

use crate::algorithm::AlgorithmError;
use crate::oid;
use crate::tlv::{self, Element, Reader, TlvError};

/// A certificate with its received bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    serial: Vec<u8>,
    issuer: Vec<u8>,
    subject: Vec<u8>,
    spki: Vec<u8>,
    public_key: Result<PublicKey, KeyError>,
    subject_key_identifier: Option<Vec<u8>>,
    key_usage: Option<KeyUsage>,
    is_ca: bool,
}

/// Why a certificate could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not the structure of RFC 5280 §4.1.
    #[error("not a certificate: {0}")]
    Structure(String),
    /// One of the extensions looked at came twice.
    #[error("the certificate repeats extension {0}")]
    RepeatedExtension(String),
}

impl From<TlvError> for CertificateError {
    fn from(error: TlvError) -> Self {
        CertificateError::Structure(error.to_string())
    }
}

/// The two uses of a key that SCEP asks about (RFC 8894 §2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUsage {
    /// digitalSignature: may sign messages.
    pub digital_signature: bool,
    /// keyEncipherment: may open envelopes.
    pub key_encipherment: bool,
}

impl Certificate {
    /// Reads one certificate in DER.
    pub fn parse(der: &[u8]) -> Result<Certificate, CertificateError> {
        let mut certificate = tlv::only(der, tlv::SEQUENCE)?.reader();
        let mut tbs = certificate.expect(tlv::SEQUENCE)?.reader();
        certificate.expect(tlv::SEQUENCE)?;
        certificate.expect(tlv::BIT_STRING)?;
        certificate.finish()?;

        tbs.optional(tlv::CONTEXT_0)?;
        let serial = tbs.expect(tlv::INTEGER)?;
        tbs.expect(tlv::SEQUENCE)?;
        let issuer = tbs.expect(tlv::SEQUENCE)?;
        tbs.expect(tlv::SEQUENCE)?;
        let subject = tbs.expect(tlv::SEQUENCE)?;
        let spki = tbs.expect(tlv::SEQUENCE)?;
        // issuerUniqueID and subjectUniqueID, IMPLICIT BIT STRING.
        tbs.optional(0x81)?;
        tbs.optional(0x82)?;
        let extensions = tbs.optional(tlv::CONTEXT_3)?;
        tbs.finish()?;

        let extensions = Extensions::read(extensions)?;
        Ok(Certificate {
            der: der.to_vec(),
            serial: serial.whole.to_vec(),
            issuer: issuer.whole.to_vec(),
            subject: subject.whole.to_vec(),
            spki: spki.whole.to_vec(),
            public_key: PublicKey::from_spki_der(spki.whole),
            subject_key_identifier: extensions.subject_key_identifier,
            key_usage: extensions.key_usage,
            is_ca: extensions.is_ca,
        })
    }

    /// The received bytes.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The serial number, as the whole INTEGER element.
    pub fn serial_der(&self) -> &[u8] {
        &self.serial
    }

    /// The issuer's name, as the whole Name element.
    pub fn issuer_der(&self) -> &[u8] {
        &self.issuer
    }

    /// The subject's name, as the whole Name element.
    pub fn subject_der(&self) -> &[u8] {
        &self.subject
    }

    /// The SubjectPublicKeyInfo element.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// The key; an error where it is of a kind that is not known here.
    pub fn public_key(&self) -> Result<&PublicKey, &KeyError> {
        self.public_key.as_ref()
    }

    /// The subject key identifier, where the certificate has one.
    pub fn subject_key_identifier(&self) -> Option<&[u8]> {
        self.subject_key_identifier.as_deref()
    }

    /// The key usage, where the certificate has one.
    pub fn key_usage(&self) -> Option<KeyUsage> {
        self.key_usage
    }

    /// Whether basicConstraints says CA:TRUE.
    pub fn is_ca(&self) -> bool {
        self.is_ca
    }

    /// Whether issuer and subject are the same bytes. Says nothing about who signed it.
    pub fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }

    /// Whether the key is an RSA key, which a message can be encrypted to.
    pub fn has_rsa_key(&self) -> bool {
        self.public_key().is_ok_and(|key| matches!(key.algorithm(), KeyAlgorithm::Rsa { .. }))
    }

    /// IssuerAndSerialNumber with the very bytes of the certificate.
    pub(crate) fn issuer_and_serial(&self) -> Vec<u8> {
        tlv::sequence(&[&self.issuer, &self.serial])
    }

    /// The key if a device may have it here: RSA of 2048 to 4096 bits (T12 of the threat model).
    pub(crate) fn rsa_key(&self) -> Result<&PublicKey, AlgorithmError> {
        let key =
            self.public_key().map_err(|error| AlgorithmError::SignerKey(error.to_string()))?;
        match key.algorithm() {
            KeyAlgorithm::Rsa { bits: 2048..=4096 } => Ok(key),
            KeyAlgorithm::EcP256 | KeyAlgorithm::EcP384 | KeyAlgorithm::EcP521 => {
                Err(AlgorithmError::EllipticCurveSigner)
            }
            other @ (KeyAlgorithm::Rsa { .. } | KeyAlgorithm::Ed25519) => {
                Err(AlgorithmError::SignerKey(other.to_string()))
            }
        }
    }
}

#[derive(Default)]
struct Extensions {
    subject_key_identifier: Option<Vec<u8>>,
    key_usage: Option<KeyUsage>,
    is_ca: bool,
}

impl Extensions {
    fn read(extensions: Option<Element<'_>>) -> Result<Extensions, CertificateError> {
        let mut found = Extensions::default();
        let Some(extensions) = extensions else {
            return Ok(found);
        };
        let mut seen: Vec<&[u8]> = Vec::new();
        let mut list = tlv::only(extensions.content, tlv::SEQUENCE)?.reader();
        while !list.is_empty() {
            let mut extension = list.expect(tlv::SEQUENCE)?.reader();
            let id = extension.expect(tlv::OBJECT_IDENTIFIER)?.content;
            extension.optional(tlv::BOOLEAN)?;
            let value = extension.expect(tlv::OCTET_STRING)?.content;
            extension.finish()?;
            let looked_at = [oid::SUBJECT_KEY_IDENTIFIER, oid::KEY_USAGE, oid::BASIC_CONSTRAINTS];
            if looked_at.iter().any(|wanted| wanted.as_bytes() == id) {
                if seen.contains(&id) {
                    return Err(CertificateError::RepeatedExtension(oid::dotted(id)));
                }
                seen.push(id);
            }
            if id == oid::SUBJECT_KEY_IDENTIFIER.as_bytes() {
                let identifier = tlv::only(value, tlv::OCTET_STRING)?.content;
                found.subject_key_identifier = Some(identifier.to_vec());
            } else if id == oid::KEY_USAGE.as_bytes() {
                found.key_usage = Some(read_key_usage(value)?);
            } else if id == oid::BASIC_CONSTRAINTS.as_bytes() {
                let mut constraints: Reader<'_> = tlv::only(value, tlv::SEQUENCE)?.reader();
                let ca = constraints.optional(tlv::BOOLEAN)?;
                found.is_ca = ca.is_some_and(|ca| ca.content.iter().any(|byte| *byte != 0));
            }
        }
        Ok(found)
    }
}

/// KeyUsage counts its bits from the top of the first byte (RFC 5280 §4.2.1.3).
fn read_key_usage(value: &[u8]) -> Result<KeyUsage, CertificateError> {
    let bits = tlv::only(value, tlv::BIT_STRING)?.content.get(1).copied().unwrap_or_default();
    Ok(KeyUsage { digital_signature: bits & 0x80 != 0, key_encipherment: bits & 0x20 != 0 })
}

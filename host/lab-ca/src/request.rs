//! PKCS#10 as this CA reads it: with its own structures, the received pieces kept.

use countersign_profile::{LegacyDigests, PublicKey, SignatureScheme};
use der::asn1::{Any, BitString, ObjectIdentifier, SetOfVec};
use der::{Decode, Encode, Sequence, Tagged};
use x509_cert::attr::Attribute;
use x509_cert::ext::Extensions;

use crate::decide::Refusal;

const EXTENSION_REQUEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");
const MICROSOFT_EXTENSION_REQUEST: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.14");
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
/// Microsoft's template name, version 1: a BMPString.
const TEMPLATE_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.20.2");

#[derive(Sequence)]
struct CertificationRequest {
    info: Any,
    algorithm: Any,
    signature: BitString,
}

#[derive(Sequence)]
struct CertificationRequestInfo {
    version: u8,
    subject: Any,
    public_key: Any,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", constructed = "true", optional = "true")]
    attributes: Option<SetOfVec<Attribute>>,
}

/// A request whose own signature is good.
pub(crate) struct Request {
    /// The Name.
    pub(crate) subject: Any,
    pub(crate) spki: Vec<u8>,
    pub(crate) key: PublicKey,
    /// The value of the subjectAltName asked for.
    pub(crate) subject_alt_name: Option<Vec<u8>>,
    /// The template that the request itself names.
    pub(crate) template: Option<String>,
}

impl Request {
    pub(crate) fn read(der: &[u8]) -> Result<Self, Refusal> {
        let request = CertificationRequest::from_der(der).map_err(undecodable)?;
        let info = CertificationRequestInfo::from_der(&request.info.to_der().map_err(undecodable)?)
            .map_err(undecodable)?;
        let spki = info.public_key.to_der().map_err(undecodable)?;
        let key = PublicKey::from_spki_der(&spki)
            .map_err(|error| Refusal::BAD_KEY.saying(error.to_string()))?;

        let scheme = SignatureScheme::from_algorithm_identifier(
            &request.algorithm.to_der().map_err(undecodable)?,
        )
        .map_err(|error| Refusal::BAD_SIGNATURE.saying(error.to_string()))?;
        let signature = request.signature.as_bytes().unwrap_or_default();
        let signed = request.info.to_der().map_err(undecodable)?;
        key.verify(scheme, LegacyDigests::Refused, &signed, signature)
            .map_err(|error| Refusal::BAD_SIGNATURE.saying(format!("PKCS#10: {error}")))?;

        let mut read =
            Self { subject: info.subject, spki, key, subject_alt_name: None, template: None };
        for attribute in info.attributes.iter().flat_map(|attributes| attributes.iter()) {
            if ![EXTENSION_REQUEST, MICROSOFT_EXTENSION_REQUEST].contains(&attribute.oid) {
                continue;
            }
            for value in attribute.values.iter() {
                let extensions: Extensions =
                    Decode::from_der(&value.to_der().map_err(undecodable)?).map_err(undecodable)?;
                read.take(extensions)?;
            }
        }
        Ok(read)
    }

    pub(crate) fn has_empty_subject(&self) -> bool {
        self.subject.value().is_empty()
    }

    fn take(&mut self, extensions: Extensions) -> Result<(), Refusal> {
        for extension in extensions {
            let value = extension.extn_value.as_bytes();
            match extension.extn_id {
                SUBJECT_ALT_NAME => self.subject_alt_name = Some(value.to_vec()),
                TEMPLATE_NAME => self.template = Some(text(value)?),
                // AD CS ignores the rest unless it was told otherwise.
                _ => {}
            }
        }
        Ok(())
    }
}

fn text(der: &[u8]) -> Result<String, Refusal> {
    let any = Any::from_der(der).map_err(undecodable)?;
    match any.tag() {
        der::Tag::BmpString => {
            let units: Vec<u16> = any
                .value()
                .chunks(2)
                .map(|pair| pair.iter().fold(0, |unit, byte| unit << 8 | u16::from(*byte)))
                .collect();
            String::from_utf16(&units).map_err(undecodable)
        }
        _ => String::from_utf8(any.value().to_vec()).map_err(undecodable),
    }
}

fn undecodable(error: impl std::fmt::Display) -> Refusal {
    Refusal::UNDECODABLE.saying(format!("PKCS#10: {error}"))
}

//! The countersignature's form: CMS SignedData over the untouched PKCS#10, as NDES makes it and
//! AD CS takes it ([MS-WCCE] 3.1.1.4.3.3.2).
//!
//! id-data with the PKCS#10 as content; the EA certificate (and its chain, where configured); one
//! SignerInfo by issuer and serial number; signed attributes contentType and messageDigest and no
//! other. A signingTime would add nothing: AD CS does not read it, and the ledger has the time.
//!
//! Written octet by octet here, so that certificate and request stay as received, and read back
//! by another parser (the `cms` crate) before anything is kept.

use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{SignedData, SignerIdentifier};
use const_oid::ObjectIdentifier;
use const_oid::db::rfc5911::{ID_CONTENT_TYPE, ID_DATA, ID_MESSAGE_DIGEST, ID_SIGNED_DATA};
use countersign_keys::{RoleCertificate, SignatureAlgorithm};
use der::asn1::OctetStringRef;
use der::{Decode, Encode};
use zeroize::Zeroizing;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// `[0]`, constructed.
const CONTEXT_0: u8 = 0xa0;
/// INTEGER 1.
const VERSION_1: &[u8] = &[0x02, 0x01, 0x01];

/// The message of a signature that is yet to be made.
#[derive(Debug)]
pub(crate) struct Unsigned<'a> {
    csr: &'a [u8],
    certificate: &'a RoleCertificate,
    chain: &'a [Vec<u8>],
    algorithm: SignatureAlgorithm,
    /// The signed attributes, as SET OF: what the signature is over (RFC 5652 §5.4).
    attributes: Vec<u8>,
}

impl<'a> Unsigned<'a> {
    /// Over the request `csr`, to be signed with `algorithm` by the key of `certificate`.
    pub(crate) fn over(
        csr: &'a [u8],
        certificate: &'a RoleCertificate,
        chain: &'a [Vec<u8>],
        algorithm: SignatureAlgorithm,
    ) -> Self {
        let digest = algorithm.digest().digest(csr);
        let attributes = set_of(vec![
            attribute(ID_CONTENT_TYPE, &oid(ID_DATA)),
            attribute(ID_MESSAGE_DIGEST, &tlv(OCTET_STRING, &[&digest])),
        ]);
        Self { csr, certificate, chain, algorithm, attributes }
    }

    /// What the key signs.
    pub(crate) fn to_be_signed(&self) -> &[u8] {
        &self.attributes
    }

    /// The finished message.
    pub(crate) fn finish(&self, signature: &[u8]) -> Zeroizing<Vec<u8>> {
        let digest_algorithm = self.algorithm.digest().identifier_der();
        // RFC 5652 §5.3: in the message the attributes stand under an IMPLICIT [0].
        let mut attributes = self.attributes.clone();
        if let Some(tag) = attributes.first_mut() {
            *tag = CONTEXT_0;
        }
        let signer = tlv(
            SEQUENCE,
            &[
                VERSION_1,
                &tlv(SEQUENCE, &[self.certificate.issuer_der(), self.certificate.serial_der()]),
                digest_algorithm,
                &attributes,
                self.algorithm.cms_identifier_der(),
                &tlv(OCTET_STRING, &[signature]),
            ],
        );
        let mut certificates = vec![self.certificate.der().to_vec()];
        certificates.extend_from_slice(self.chain);
        let mut certificates = set_of(certificates);
        if let Some(tag) = certificates.first_mut() {
            *tag = CONTEXT_0;
        }
        // The request holds the challenge, so what holds the request is wiped too.
        let content = Zeroizing::new(tlv(OCTET_STRING, &[self.csr]));
        let content = Zeroizing::new(tlv(CONTEXT_0, &[&content]));
        let content = Zeroizing::new(tlv(SEQUENCE, &[&oid(ID_DATA), &content]));
        let signed_data = Zeroizing::new(tlv(
            SEQUENCE,
            &[
                VERSION_1,
                &tlv(SET, &[digest_algorithm]),
                &content,
                &certificates,
                &tlv(SET, &[&signer]),
            ],
        ));
        let signed_data = Zeroizing::new(tlv(CONTEXT_0, &[&signed_data]));
        Zeroizing::new(tlv(SEQUENCE, &[&oid(ID_SIGNED_DATA), &signed_data]))
    }

    /// Reads `message` back and compares it with what should stand in it.
    ///
    /// # Errors
    /// What is wrong. The message must be thrown away then.
    pub(crate) fn read_back(&self, message: &[u8]) -> Result<(), ReadBackError> {
        let signature = self.read_back_form(message)?;
        let key = self.certificate.public_key();
        key.verify(self.algorithm, &self.attributes, &signature)
            .map_err(|_| ReadBackError::Differs("signature"))
    }

    /// [`Unsigned::read_back`] without the signature, which is returned: at start it shows that
    /// the configured certificates can be carried.
    pub(crate) fn read_back_form(&self, message: &[u8]) -> Result<Vec<u8>, ReadBackError> {
        let check =
            |good: bool, what| if good { Ok(()) } else { Err(ReadBackError::Differs(what)) };
        let outer = ContentInfo::from_der(message)?;
        check(outer.content_type == ID_SIGNED_DATA, "content type")?;
        let data: SignedData = outer.content.decode_as()?;
        check(data.version == CmsVersion::V1 && data.crls.is_none(), "version")?;
        check(data.encap_content_info.econtent_type == ID_DATA, "encapsulated content type")?;
        let content = data.encap_content_info.econtent.ok_or(ReadBackError::Differs("content"))?;
        let content = content.decode_as::<&OctetStringRef>()?;
        check(content.as_bytes() == self.csr, "content")?;

        let mut certificates = Vec::new();
        for certificate in data.certificates.iter().flat_map(|set| set.0.iter()) {
            certificates.push(certificate.to_der()?);
        }
        let mut expected = vec![self.certificate.der().to_vec()];
        expected.extend_from_slice(self.chain);
        certificates.sort_unstable();
        expected.sort_unstable();
        check(certificates == expected, "certificates")?;

        let mut signers = data.signer_infos.0.iter();
        let signer = signers.next().ok_or(ReadBackError::Differs("signer"))?;
        check(signers.next().is_none() && signer.unsigned_attrs.is_none(), "signer")?;
        match &signer.sid {
            SignerIdentifier::IssuerAndSerialNumber(sid) => check(
                sid.issuer.to_der()? == self.certificate.issuer_der()
                    && sid.serial_number.to_der()? == self.certificate.serial_der(),
                "signer",
            )?,
            SignerIdentifier::SubjectKeyIdentifier(_) => check(false, "signer")?,
        }
        let digest = self.algorithm.digest();
        check(
            signer.digest_alg.to_der()? == digest.identifier_der()
                && signer.signature_algorithm.to_der()? == self.algorithm.cms_identifier_der()
                && data.digest_algorithms.iter().eq([&signer.digest_alg]),
            "algorithms",
        )?;
        let attributes =
            signer.signed_attrs.as_ref().ok_or(ReadBackError::Differs("attributes"))?;
        check(attributes.to_der()? == self.attributes, "attributes")?;
        let of_type = |wanted: ObjectIdentifier| {
            let mut found = attributes.iter().filter(|attribute| attribute.oid == wanted);
            let value = found.next()?.values.get(0)?.to_der().ok()?;
            found.next().is_none().then_some(value)
        };
        check(of_type(ID_CONTENT_TYPE) == Some(oid(ID_DATA)), "contentType")?;
        let message_digest = tlv(OCTET_STRING, &[&digest.digest(content.as_bytes())]);
        check(of_type(ID_MESSAGE_DIGEST) == Some(message_digest), "messageDigest")?;
        check(attributes.len() == 2, "attributes")?;
        Ok(signer.signature.as_bytes().to_vec())
    }
}

/// A finished message does not say what it should.
#[derive(Debug, thiserror::Error)]
pub enum ReadBackError {
    /// It cannot be read.
    #[error("the countersigned message cannot be read back: {0}")]
    Unreadable(#[from] der::Error),
    /// Something in it is not what was to be signed.
    #[error("the countersigned message does not hold the expected {0}")]
    Differs(&'static str),
}

fn attribute(kind: ObjectIdentifier, value: &[u8]) -> Vec<u8> {
    tlv(SEQUENCE, &[&oid(kind), &tlv(SET, &[value])])
}

fn oid(oid: ObjectIdentifier) -> Vec<u8> {
    tlv(OBJECT_IDENTIFIER, &[oid.as_bytes()])
}

/// SET OF in the order of DER (X.690 §11.6).
fn set_of(mut elements: Vec<Vec<u8>>) -> Vec<u8> {
    elements.sort_unstable();
    let elements: Vec<&[u8]> = elements.iter().map(Vec::as_slice).collect();
    tlv(SET, &elements)
}

/// Tag, length in its shortest form, value.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(length + 6);
    out.push(tag);
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let octets = length.to_be_bytes();
            let zeros = octets.iter().take_while(|octet| **octet == 0).count();
            let significant = octets.get(zeros..).unwrap_or_default();
            // At most eight octets, so the count fits beside the flag.
            out.push(0x80 | u8::try_from(significant.len()).unwrap_or(0));
            out.extend_from_slice(significant);
        }
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_their_shortest_form() {
        for (length, head) in [
            (0, vec![0x04, 0]),
            (127, vec![0x04, 127]),
            (128, vec![0x04, 0x81, 128]),
            (255, vec![0x04, 0x81, 255]),
            (256, vec![0x04, 0x82, 1, 0]),
            (65_536, vec![0x04, 0x83, 1, 0, 0]),
        ] {
            let content = vec![7; length];
            let out = tlv(OCTET_STRING, &[&content]);
            assert_eq!(out[..head.len()], head, "{length}");
            assert_eq!(<&OctetStringRef>::from_der(&out).unwrap().as_bytes(), content);
        }
    }

    #[test]
    fn a_set_is_in_the_order_of_its_octets() {
        assert_eq!(set_of(vec![vec![5, 0], vec![2, 1, 1]]), [0x31, 5, 2, 1, 1, 5, 0]);
    }
}

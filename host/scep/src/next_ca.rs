//! GetNextCACert: the certificates that follow, vouched for by the key that precedes them
//! (RFC 8894 §4.7).

use countersign_profile::{LegacyDigests, PublicKey};

use crate::ber::{self, Bounds};
use crate::bundle::Bundle;
use crate::certificate::Certificate;
use crate::message::ParseError;
use crate::oid;
use crate::signed_data::{SignedData, SignerInfo};
use crate::tlv;

/// The body of an answer, whose signature holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextCa {
    certificates: Vec<Certificate>,
}

/// Why a body is not what the CA says about its next certificates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NextCaError {
    /// Not a CMS SignedData, or not around a certs-only one.
    #[error("expected a CMS SignedData around a certs-only CMS: {0}")]
    Unreadable(#[from] ParseError),
    /// None or several signers.
    #[error("expected one signer, the current CA; found {0}")]
    SignerCount(usize),
    /// Signed by somebody else.
    #[error("it is not signed by the current CA's certificate")]
    OtherSigner,
    /// The signature, or an attribute that it covers.
    #[error("the current CA's signature does not hold: {0}")]
    Signature(String),
    /// No certificate inside, or one that is no CA's.
    #[error("{0}")]
    Certificates(&'static str),
}

impl NextCa {
    /// Reads a body of `application/x-x509-next-ca-cert` and makes sure that the current CA's key
    /// signed it and that it holds nothing but certificates of CAs. Their validity is the caller's
    /// question: this crate reads no clock.
    ///
    /// # Errors
    /// See [`NextCaError`].
    pub fn read(body: &[u8], current: &Certificate) -> Result<NextCa, NextCaError> {
        let unreadable = |error: String| NextCaError::Unreadable(ParseError::Structure(error));
        let der = ber::normalise(body, &Bounds::REPLY).map_err(ParseError::from)?;
        let signed = SignedData::read(&der).map_err(ParseError::from)?;
        let [signer] = signed.signers.as_slice() else {
            return Err(NextCaError::SignerCount(signed.signers.len()));
        };
        let signer = SignerInfo::read(signer).map_err(ParseError::from)?;
        if !signer.identifier.names(current) {
            return Err(NextCaError::OtherSigner);
        }
        let content = signed.content.ok_or_else(|| unreadable("it has no content".to_owned()))?;
        verify(&signer, signed.content_type, content, current)?;

        let bundle = Bundle::parse(content, &Bounds::REPLY)?;
        if bundle.certificates.is_empty() {
            return Err(NextCaError::Certificates("it holds no certificate"));
        }
        if !bundle.certificates.iter().any(Certificate::is_ca) {
            return Err(NextCaError::Certificates("it holds no certificate of a CA"));
        }
        Ok(NextCa { certificates: bundle.certificates })
    }

    /// The certificates that follow: those of the CA, and of its RA if they are known already.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }
}

/// Over the attributes where there are any, else over the content itself (RFC 5652 §5.4).
fn verify(
    signer: &SignerInfo,
    content_type: &[u8],
    content: &[u8],
    current: &Certificate,
) -> Result<(), NextCaError> {
    let wrong = |error: String| NextCaError::Signature(error);
    let key = PublicKey::from_spki_der(current.spki_der()).map_err(|e| wrong(e.to_string()))?;
    let scheme = signer.any_scheme().map_err(|error| wrong(error.to_string()))?;
    let holds = |bytes: &[u8]| key.verify(scheme, LegacyDigests::Refused, bytes, &signer.signature);
    if !signer.has_signed_attributes() {
        return holds(content).map_err(|error| wrong(error.to_string()));
    }
    let attributes = signer.signed_attributes().map_err(|error| wrong(error.to_string()))?;
    let one = |oid, name: &str| attributes.one(oid).map_err(|_| wrong(format!("no one {name}")));
    let said = one(oid::CONTENT_TYPE, "contentType")?;
    if said.tag != tlv::OBJECT_IDENTIFIER || said.content != content_type {
        return Err(wrong("contentType is another".to_owned()));
    }
    let digest = scheme.digest().ok_or_else(|| wrong("no digest is named".to_owned()))?;
    let said = one(oid::MESSAGE_DIGEST, "messageDigest")?;
    if said.tag != tlv::OCTET_STRING || said.content != digest.digest(content) {
        return Err(wrong("messageDigest is another".to_owned()));
    }
    let forms = signer.signed_forms().map_err(|error| wrong(error.to_string()))?;
    let mut last = wrong("no attributes".to_owned());
    for form in &forms {
        match holds(form) {
            Ok(()) => return Ok(()),
            Err(error) => last = wrong(error.to_string()),
        }
    }
    Err(last)
}

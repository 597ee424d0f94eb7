//! What GetCACert gave, and whom of it to use for what (RFC 8894 §2.1.2, §4.2.1).

use crate::ber::Bounds;
use crate::bundle::Bundle;
use crate::certificate::{Certificate, CertificateError};
use crate::message::ParseError;
use crate::tlv;

/// The certificates of a CA, and of its RA if it has one.
///
/// Nothing vouches for them but their fingerprint: see [`CaCertificates::ca`].
#[derive(Clone, Debug)]
pub struct CaCertificates {
    certificates: Vec<Certificate>,
}

/// Why the body of a GetCACert answer is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaCertificatesError {
    /// Neither a certificate nor a certs-only CMS.
    #[error("GetCACert gave neither a certificate nor a certs-only CMS: {0}")]
    Unreadable(#[from] ParseError),
    /// A lone certificate that cannot be read.
    #[error("GetCACert gave a certificate that cannot be read: {0}")]
    Certificate(#[from] CertificateError),
    /// An empty bundle.
    #[error("GetCACert gave no certificate")]
    Empty,
}

impl CaCertificates {
    /// Reads a body of `application/x-x509-ca-cert` or `application/x-x509-ca-ra-cert`, told apart
    /// by what they hold: servers do not agree on the types.
    pub fn parse(body: &[u8]) -> Result<CaCertificates, CaCertificatesError> {
        let is_cms = tlv::Reader::new(body)
            .next()
            .is_ok_and(|outer| outer.reader().peek() == Some(tlv::OBJECT_IDENTIFIER));
        // An indefinite length can only be CMS.
        let certificates = if is_cms || body.get(1) == Some(&0x80) {
            Bundle::parse(body, &Bounds::REPLY)?.certificates
        } else {
            let end = tlv::Reader::new(body).next().map_or(body.len(), |outer| outer.whole.len());
            vec![Certificate::parse(body.get(..end).unwrap_or(body))?]
        };
        if certificates.is_empty() {
            return Err(CaCertificatesError::Empty);
        }
        Ok(CaCertificates { certificates })
    }

    /// All of them, in the order of the answer: whose signatures on replies are believed.
    pub fn all(&self) -> &[Certificate] {
        &self.certificates
    }

    /// The CA's certificate that RA certificates name as issuer, else the first CA certificate:
    /// whose fingerprint the user compares.
    pub fn ca(&self) -> Option<&Certificate> {
        let cas = || self.certificates.iter().filter(|certificate| certificate.is_ca());
        let of_ra = cas().find(|ca| {
            self.registration_authorities().any(|ra| ra.issuer_der() == ca.subject_der())
        });
        of_ra.or_else(|| cas().next())
    }

    /// Whom requests are encrypted to: the RA's certificate with keyEncipherment (one without any
    /// key usage will do), else the CA's. RSA only.
    pub fn recipient(&self) -> Option<&Certificate> {
        let rsa = |certificate: &&Certificate| certificate.has_rsa_key();
        let for_encryption = self.registration_authorities().filter(rsa).find(|certificate| {
            certificate.key_usage().is_some_and(|usage| usage.key_encipherment)
        });
        for_encryption
            .or_else(|| {
                self.registration_authorities().filter(rsa).find(|ra| ra.key_usage().is_none())
            })
            .or_else(|| self.ca().filter(rsa))
            // A lone certificate is all that a simple server has.
            .or_else(|| match self.certificates.as_slice() {
                [only] if only.has_rsa_key() => Some(only),
                _ => None,
            })
    }

    fn registration_authorities(&self) -> impl Iterator<Item = &Certificate> {
        self.certificates.iter().filter(|certificate| !certificate.is_ca())
    }
}

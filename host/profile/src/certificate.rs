//! A certificate as it came: structure checked at once, contents read when asked for.

use std::{fmt, ops::Range};

use crate::{
    der::{DerError, only, tag},
    extension::{BasicConstraints, ExtendedKeyUsage, Extension, ExtensionError, KeyUsage},
    key::{KeyError, PublicKey, sha256},
    oid::known,
    san::San,
    signature::{LegacyDigests, SignatureError, SignatureScheme},
    subject::{NameError, Subject},
    time,
};

/// A parsed X.509 certificate with its bytes as received.
///
/// Read leniently where real clients err: serial numbers of any length (sscep and certmonger send 32
/// octets), any key and names in the certificates that devices sign for themselves. Nothing in it is
/// trusted: [`verify_signed_by`](Self::verify_signed_by) checks one signature, not a path.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    tbs: Range<usize>,
    serial: Range<usize>,
    serial_tlv: Range<usize>,
    signature_algorithm: Range<usize>,
    issuer: Range<usize>,
    subject: Range<usize>,
    spki: Range<usize>,
    not_before: u64,
    not_after: u64,
    extensions: Vec<Extension>,
    signature: Vec<u8>,
    sha256: [u8; 32],
}

/// Why bytes are no certificate, or a part of it cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// More than [`Certificate::MAX_OCTETS`].
    #[error("certificate of {0} octets; at most 65536 are read")]
    TooLarge(usize),
    /// Not DER of the expected form.
    #[error("certificate is not well-formed: {0}")]
    Der(#[from] DerError),
    /// The signature algorithm inside differs from the one outside (RFC 5280 §4.1.1.2).
    #[error("certificate names two signature algorithms")]
    TwoAlgorithms,
    /// The extensions.
    #[error(transparent)]
    Extension(#[from] ExtensionError),
    /// A name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The public key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The signature.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Signed by a certificate of another name.
    #[error("certificate names another issuer")]
    Issuer,
}

impl Certificate {
    /// Larger certificates are refused unread.
    pub const MAX_OCTETS: usize = 64 * 1024;

    /// Reads a DER certificate.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > Self::MAX_OCTETS {
            return Err(CertificateError::TooLarge(der.len()));
        }
        let mut certificate = only(der)?.expect(tag::SEQUENCE)?.reader();
        let tbs = certificate.expect(tag::SEQUENCE)?;
        let signature_algorithm = certificate.expect(tag::SEQUENCE)?;
        let signature = certificate.bit_string_octets()?.to_vec();
        certificate.finish()?;

        let mut fields = tbs.reader();
        fields.optional(tag::context_constructed(0))?;
        let serial = fields.expect(tag::INTEGER)?;
        if serial.value.is_empty() {
            return Err(DerError::Value("a serial number").into());
        }
        if fields.expect(tag::SEQUENCE)?.raw != signature_algorithm.raw {
            return Err(CertificateError::TwoAlgorithms);
        }
        let issuer = fields.expect(tag::SEQUENCE)?;
        let mut validity = fields.sequence()?;
        let not_before = time::unix_seconds(validity.any()?)?;
        let not_after = time::unix_seconds(validity.any()?)?;
        validity.finish()?;
        let subject = fields.expect(tag::SEQUENCE)?;
        let spki = fields.expect(tag::SEQUENCE)?;
        // issuerUniqueID and subjectUniqueID: primitive, and of no use.
        fields.optional(tag::context(1))?;
        fields.optional(tag::context(2))?;
        let extensions = match fields.optional(tag::context_constructed(3))? {
            Some(explicit) => {
                Extension::list(only(explicit.value)?.expect(tag::SEQUENCE)?.reader())?
            }
            None => Vec::new(),
        };
        fields.finish()?;
        let serial_value = serial.range().end - serial.value.len()..serial.range().end;
        Ok(Self {
            tbs: tbs.range(),
            serial: serial_value,
            serial_tlv: serial.range(),
            signature_algorithm: signature_algorithm.range(),
            issuer: issuer.range(),
            subject: subject.range(),
            spki: spki.range(),
            not_before,
            not_after,
            extensions,
            signature,
            sha256: sha256(der),
            der: der.to_vec(),
        })
    }

    /// The certificate as received.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of the certificate as received.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        self.sha256
    }

    /// Content octets of the serial number, of any length.
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        self.slice(&self.serial)
    }

    /// The serial number in lower-case hex, two digits an octet, as encoded.
    #[must_use]
    pub fn serial_hex(&self) -> String {
        hex::encode(self.serial())
    }

    /// The serial number's whole encoding, for IssuerAndSerialNumber.
    #[must_use]
    pub fn serial_der(&self) -> &[u8] {
        self.slice(&self.serial_tlv)
    }

    /// The DER of the issuer's name as received.
    #[must_use]
    pub fn issuer_der(&self) -> &[u8] {
        self.slice(&self.issuer)
    }

    /// The DER of the subject as received.
    #[must_use]
    pub fn subject_der(&self) -> &[u8] {
        self.slice(&self.subject)
    }

    /// The SubjectPublicKeyInfo as received.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        self.slice(&self.spki)
    }

    /// The signature as received, without the BIT STRING around it.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Start of validity in seconds since 1970 (0 for anything earlier).
    #[must_use]
    pub fn not_before(&self) -> u64 {
        self.not_before
    }

    /// End of validity, inclusive, in seconds since 1970.
    #[must_use]
    pub fn not_after(&self) -> u64 {
        self.not_after
    }

    /// Whether `now` (seconds since 1970) lies in its validity.
    #[must_use]
    pub fn is_current(&self, now: u64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// All extensions.
    #[must_use]
    pub fn extensions(&self) -> &[Extension] {
        &self.extensions
    }

    /// The value of one extension.
    #[must_use]
    pub fn extension(&self, oid: const_oid::ObjectIdentifier) -> Option<&Extension> {
        Extension::find(&self.extensions, oid)
    }

    /// The public key.
    ///
    /// # Errors
    /// A kind of key that is not supported, or one that is unsound.
    pub fn public_key(&self) -> Result<PublicKey, CertificateError> {
        Ok(PublicKey::from_spki_der(self.spki_der())?)
    }

    /// The subject.
    ///
    /// # Errors
    /// Values that are no text or hold what a name must not.
    pub fn subject(&self) -> Result<Subject, CertificateError> {
        Ok(Subject::from_der(self.subject_der())?)
    }

    /// The issuer's name.
    ///
    /// # Errors
    /// As [`subject`](Self::subject).
    pub fn issuer(&self) -> Result<Subject, CertificateError> {
        Ok(Subject::from_der(self.issuer_der())?)
    }

    /// The subject alternative names; empty when there are none.
    ///
    /// # Errors
    /// A malformed or unsupported name among them.
    pub fn sans(&self) -> Result<Vec<San>, CertificateError> {
        match self.extension(known::SUBJECT_ALT_NAME) {
            Some(extension) => Ok(San::list_from_der(&extension.value)?),
            None => Ok(Vec::new()),
        }
    }

    /// The purposes of extended key usage; empty when it is absent, which means *any*.
    ///
    /// # Errors
    /// A malformed extension.
    pub fn ekus(&self) -> Result<Vec<ExtendedKeyUsage>, CertificateError> {
        match self.extension(known::EXTENDED_KEY_USAGE) {
            Some(extension) => Ok(ExtendedKeyUsage::list_from_der(&extension.value)?),
            None => Ok(Vec::new()),
        }
    }

    /// The key usage; `None` when it is absent, which means *all*.
    ///
    /// # Errors
    /// A malformed extension.
    pub fn key_usage(&self) -> Result<Option<KeyUsage>, CertificateError> {
        let extension = self.extension(known::KEY_USAGE);
        Ok(extension.map(|found| KeyUsage::from_der(&found.value)).transpose()?)
    }

    /// The basic constraints; the default (no CA) when absent.
    ///
    /// # Errors
    /// A malformed extension.
    pub fn basic_constraints(&self) -> Result<BasicConstraints, CertificateError> {
        match self.extension(known::BASIC_CONSTRAINTS) {
            Some(extension) => Ok(BasicConstraints::from_der(&extension.value)?),
            None => Ok(BasicConstraints::default()),
        }
    }

    /// Whether it is a CA's. Only a well-formed basicConstraints with CA:TRUE says so.
    #[must_use]
    pub fn is_ca(&self) -> bool {
        self.basic_constraints().is_ok_and(|constraints| constraints.ca)
    }

    /// The subject key identifier, if there is one.
    #[must_use]
    pub fn subject_key_identifier(&self) -> Option<&[u8]> {
        let extension = self.extension(known::SUBJECT_KEY_IDENTIFIER)?;
        Some(only(&extension.value).ok()?.expect(tag::OCTET_STRING).ok()?.value)
    }

    /// Checks that `issuer`'s key signed this certificate and that it names `issuer` (octet by octet).
    /// Neither validity, nor CA:TRUE, nor a path is looked at.
    ///
    /// # Errors
    /// Another issuer's name, a wrong signature, or a scheme that is not accepted.
    pub fn verify_signed_by(
        &self,
        issuer: &Self,
        legacy: LegacyDigests,
    ) -> Result<(), CertificateError> {
        if self.issuer_der() != issuer.subject_der() {
            return Err(CertificateError::Issuer);
        }
        let scheme =
            SignatureScheme::from_algorithm_identifier(self.slice(&self.signature_algorithm))?;
        let key = issuer.public_key()?;
        Ok(key.verify(scheme, legacy, self.slice(&self.tbs), &self.signature)?)
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        // Ranges come from parsing these bytes.
        self.der.get(range.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (serial, sha256) = (self.serial_hex(), hex::encode(self.sha256));
        write!(f, "Certificate(serial {serial}, sha256 {sha256})")
    }
}

#[cfg(test)]
mod tests;

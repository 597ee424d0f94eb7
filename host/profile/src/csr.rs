//! PKCS#10 requests (RFC 2986): every byte kept as received, everything asked for laid open.

use std::{fmt, ops::Range};

use zeroize::Zeroizing;

use crate::{
    der::{DerError, Reader, Tlv, only, tag},
    extension::{BasicConstraints, ExtendedKeyUsage, Extension, ExtensionError, KeyUsage},
    key::{KeyError, PublicKey, sha256},
    name::Name,
    oid::{Oid, known},
    san::San,
    signature::{LegacyDigests, SignatureError, SignatureScheme},
    subject::{NameError, Subject},
    text::{self, TextError},
};

/// A certificate signing request.
///
/// Nothing of it is ever encoded again: strongSwan sends attributes in an order that DER does not
/// allow, and its signature is over that order.
#[derive(Clone)]
pub struct Csr {
    /// Holds the challenge, so it is wiped and never printed.
    der: Zeroizing<Vec<u8>>,
    info: Range<usize>,
    signature_algorithm: Range<usize>,
    signature: Vec<u8>,
    public_key: PublicKey,
    subject: Subject,
    subject_der: Range<usize>,
    attributes: Vec<(Oid, Range<usize>)>,
    challenge: Option<Challenge>,
    extensions: Vec<Extension>,
    sans: Vec<San>,
    requested_ekus: Vec<ExtendedKeyUsage>,
    key_usage: Option<KeyUsage>,
    basic_constraints: Option<BasicConstraints>,
    sha256: [u8; 32],
    info_sha256: [u8; 32],
}

/// The challengePassword of a request. Never empty: an empty one counts as absent, so that it can
/// equal nothing.
#[derive(Clone)]
pub struct Challenge(Zeroizing<String>);

/// Why bytes are no request that can be worked on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// More than [`Csr::MAX_OCTETS`].
    #[error("request of {0} octets; at most 65536 are read")]
    TooLarge(usize),
    /// Not the DER of a request.
    #[error("request is not well-formed: {0}")]
    Der(#[from] DerError),
    /// A version other than 0 (RFC 2986 §4.1).
    #[error("request of a version other than 0")]
    Version,
    /// The public key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The subject or a subject alternative name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// An attribute that stands twice, or has not exactly one value where one is needed.
    #[error("attribute {0} does not stand exactly once with one value")]
    Attribute(Oid),
    /// More than one extension request: CAs differ on which they read.
    #[error("more than one extension request")]
    ExtensionRequests,
    /// The requested extensions.
    #[error(transparent)]
    Extension(#[from] ExtensionError),
    /// The challenge is no text.
    #[error("challengePassword holds {0}")]
    Challenge(TextError),
    /// The challenge is longer than [`Challenge::MAX_CHARACTERS`].
    #[error("challengePassword of more than {} characters", Challenge::MAX_CHARACTERS)]
    ChallengeTooLong,
}

/// More attributes are not read from a stranger.
const MAX_ATTRIBUTES: usize = 32;

impl Csr {
    /// Larger requests are refused unread.
    pub const MAX_OCTETS: usize = 64 * 1024;

    /// Reads a DER CertificationRequest. The self-signature is checked apart, by
    /// [`verify_self_signature`](Self::verify_self_signature).
    ///
    /// Tolerated, because real clients send it: attributes out of order, the attributes field left
    /// out, an extension request under any of its three identifiers, any string type.
    ///
    /// # Errors
    /// See [`CsrError`].
    pub fn parse(der: &[u8]) -> Result<Self, CsrError> {
        if der.len() > Self::MAX_OCTETS {
            return Err(CsrError::TooLarge(der.len()));
        }
        let mut request = only(der)?.expect(tag::SEQUENCE)?.reader();
        let info = request.expect(tag::SEQUENCE)?;
        let signature_algorithm = request.expect(tag::SEQUENCE)?;
        let signature = request.bit_string_octets()?.to_vec();
        request.finish()?;

        let mut fields = info.reader();
        if fields.expect(tag::INTEGER)?.value != [0] {
            return Err(CsrError::Version);
        }
        let subject = fields.expect(tag::SEQUENCE)?;
        let public_key = PublicKey::from_spki_der(fields.expect(tag::SEQUENCE)?.raw)?;
        let attributes = match fields.optional(tag::context_constructed(0))? {
            Some(set) => read_attributes(set.reader())?,
            None => Vec::new(),
        };
        fields.finish()?;

        let extensions = requested_extensions(&attributes)?;
        let value = |oid| Extension::find(&extensions, oid).map(|found| found.value.as_slice());
        Ok(Self {
            info: info.range(),
            signature_algorithm: signature_algorithm.range(),
            signature,
            public_key,
            subject_der: subject.range(),
            subject: Subject::from_der(subject.raw)?,
            challenge: challenge(&attributes)?,
            sans: value(known::SUBJECT_ALT_NAME).map_or(Ok(Vec::new()), San::list_from_der)?,
            requested_ekus: value(known::EXTENDED_KEY_USAGE)
                .map_or(Ok(Vec::new()), ExtendedKeyUsage::list_from_der)?,
            key_usage: value(known::KEY_USAGE).map(KeyUsage::from_der).transpose()?,
            basic_constraints: value(known::BASIC_CONSTRAINTS)
                .map(BasicConstraints::from_der)
                .transpose()?,
            sha256: sha256(der),
            info_sha256: sha256(info.raw),
            attributes: attributes.into_iter().map(|(oid, set)| (oid, set.range())).collect(),
            extensions,
            der: Zeroizing::new(der.to_vec()),
        })
    }

    /// The request as received.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of the request as received.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        self.sha256
    }

    /// The CertificationRequestInfo as received: what the device signed.
    #[must_use]
    pub fn info_der(&self) -> &[u8] {
        self.slice(&self.info)
    }

    /// SHA-256 of the CertificationRequestInfo as received: equal for a request that was signed anew
    /// by a randomised scheme.
    #[must_use]
    pub fn info_sha256(&self) -> [u8; 32] {
        self.info_sha256
    }

    /// The key the certificate is for.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The subject; empty when all names are alternative names.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The DER of the subject as received.
    #[must_use]
    pub fn subject_der(&self) -> &[u8] {
        self.slice(&self.subject_der)
    }

    /// The subject alternative names, in order.
    #[must_use]
    pub fn sans(&self) -> &[San] {
        &self.sans
    }

    /// Every name it asks for: attributes of the subject, then subject alternative names.
    #[must_use]
    pub fn names(&self) -> Vec<Name> {
        let attributes = self.subject.attributes().cloned().map(Name::Attribute);
        attributes.chain(self.sans.iter().cloned().map(Name::San)).collect()
    }

    /// The purposes of extended key usage; empty when it asks for none.
    #[must_use]
    pub fn requested_ekus(&self) -> &[ExtendedKeyUsage] {
        &self.requested_ekus
    }

    /// The key usage, if it asks for one.
    #[must_use]
    pub fn key_usage(&self) -> Option<KeyUsage> {
        self.key_usage
    }

    /// The basic constraints, if it asks for some.
    #[must_use]
    pub fn basic_constraints(&self) -> Option<BasicConstraints> {
        self.basic_constraints
    }

    /// All extensions it asks for, parsed above or not.
    #[must_use]
    pub fn extensions(&self) -> &[Extension] {
        &self.extensions
    }

    /// All attributes: identifier, and the SET of values as received (a challenge is among them).
    pub fn attributes(&self) -> impl Iterator<Item = (&Oid, &[u8])> {
        self.attributes.iter().map(|(oid, set)| (oid, self.slice(set)))
    }

    /// The challengePassword, if there is one that is not empty.
    #[must_use]
    pub fn challenge(&self) -> Option<&Challenge> {
        self.challenge.as_ref()
    }

    /// Proof that the sender holds the private key.
    ///
    /// # Errors
    /// A wrong signature, or a scheme that is not accepted or does not fit the key.
    pub fn verify_self_signature(&self, legacy: LegacyDigests) -> Result<(), SignatureError> {
        let scheme =
            SignatureScheme::from_algorithm_identifier(self.slice(&self.signature_algorithm))?;
        self.public_key.verify(scheme, legacy, self.info_der(), &self.signature)
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        // Ranges come from parsing these bytes.
        self.der.get(range.clone()).unwrap_or_default()
    }
}

/// Says which request it is, not what it holds: the challenge is inside.
impl fmt::Debug for Csr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Csr(sha256 {})", hex::encode(self.sha256))
    }
}

impl Challenge {
    /// A longer one is refused before it is decoded.
    ///
    /// PKCS #9 has 255, for words that people type. Device managements put sealed tokens there: that
    /// of Intune is an encrypted and signed blob of several KiB. This is enough for them and a
    /// quarter of [`Csr::MAX_OCTETS`]. A verifier draws its own line below; what the host itself
    /// issues keeps to the 255.
    pub const MAX_CHARACTERS: usize = 16 * 1024;

    /// The text. Whoever reads it must not log or store it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenge(…)")
    }
}

fn read_attributes(mut reader: Reader<'_>) -> Result<Vec<(Oid, Tlv<'_>)>, CsrError> {
    let mut attributes: Vec<(Oid, Tlv<'_>)> = Vec::new();
    while !reader.is_empty() {
        if attributes.len() == MAX_ATTRIBUTES {
            return Err(DerError::TooMany { what: "attributes", limit: MAX_ATTRIBUTES }.into());
        }
        let mut fields = reader.sequence()?;
        let oid = Oid::from_tlv(fields.any()?)?;
        let values = fields.expect(tag::SET)?;
        fields.finish()?;
        if attributes.iter().any(|(other, _)| *other == oid) {
            return Err(CsrError::Attribute(oid));
        }
        attributes.push((oid, values));
    }
    Ok(attributes)
}

fn single<'a>(oid: &Oid, values: Tlv<'a>) -> Result<Tlv<'a>, CsrError> {
    only(values.value).map_err(|_| CsrError::Attribute(oid.clone()))
}

fn requested_extensions(attributes: &[(Oid, Tlv<'_>)]) -> Result<Vec<Extension>, CsrError> {
    const KINDS: [const_oid::ObjectIdentifier; 3] = [
        known::EXTENSION_REQUEST,
        known::EXTENSION_REQUEST_VERISIGN,
        known::EXTENSION_REQUEST_MICROSOFT,
    ];
    let mut requests = attributes.iter().filter(|(oid, _)| KINDS.iter().any(|kind| oid == kind));
    let Some((oid, values)) = requests.next() else {
        return Ok(Vec::new());
    };
    if requests.next().is_some() {
        return Err(CsrError::ExtensionRequests);
    }
    Ok(Extension::list(single(oid, *values)?.expect(tag::SEQUENCE)?.reader())?)
}

fn challenge(attributes: &[(Oid, Tlv<'_>)]) -> Result<Option<Challenge>, CsrError> {
    let found = attributes.iter().find(|(oid, _)| *oid == known::CHALLENGE_PASSWORD);
    let Some((oid, values)) = found else {
        return Ok(None);
    };
    let value = single(oid, *values)?;
    if value.value.len() > Challenge::MAX_CHARACTERS * text::octets_a_character(value.tag) {
        return Err(CsrError::ChallengeTooLong);
    }
    let text = Zeroizing::new(text::decode(value.tag, value.value).map_err(CsrError::Challenge)?);
    Ok((!text.is_empty()).then_some(Challenge(text)))
}

#[cfg(test)]
mod tests;

//! CMS SignedData as SCEP uses it (RFC 5652 §5), read leniently and without a copy.

use countersign_profile::{DigestAlgorithm, SignatureError, SignatureScheme};

use crate::algorithm::{self, AlgorithmError};
use crate::certificate::Certificate;
use crate::oid;
use crate::tlv::{self, Element, TlvError};

/// The most certificates or CRLs of one message that are looked at.
const MOST_MEMBERS: usize = 64;

/// A SignedData whose parts are still spans of the input.
pub(crate) struct SignedData<'a> {
    pub(crate) content_type: &'a [u8],
    /// Content of the eContent OCTET STRING.
    pub(crate) content: Option<&'a [u8]>,
    pub(crate) certificates: Vec<Element<'a>>,
    pub(crate) crls: Vec<Element<'a>>,
    pub(crate) signers: Vec<Element<'a>>,
}

impl<'a> SignedData<'a> {
    /// Reads ContentInfo { signedData, `[0]` SignedData }.
    pub(crate) fn read(content_info: &'a [u8]) -> Result<Self, StructureError> {
        let mut signed = content(content_info, oid::SIGNED_DATA)?.reader();
        signed.expect(tlv::INTEGER)?;
        signed.expect(tlv::SET)?;
        let mut encapsulated = signed.expect(tlv::SEQUENCE)?.reader();
        let certificates = signed.optional(tlv::CONTEXT_0)?;
        let crls = signed.optional(tlv::CONTEXT_1)?;
        let signers = signed.expect(tlv::SET)?;
        signed.finish()?;

        let content_type = encapsulated.expect(tlv::OBJECT_IDENTIFIER)?.content;
        let content = match encapsulated.optional(tlv::CONTEXT_0)? {
            Some(explicit) => Some(tlv::only(explicit.content, tlv::OCTET_STRING)?.content),
            None => None,
        };
        encapsulated.finish()?;
        Ok(SignedData {
            content_type,
            content,
            certificates: members(certificates)?,
            crls: members(crls)?,
            signers: members(Some(signers))?,
        })
    }

    /// The certificates proper; other choices of CertificateSet (`[0]`…`[3]`) are passed over.
    pub(crate) fn plain_certificates(&self) -> impl Iterator<Item = &'a [u8]> {
        self.certificates
            .iter()
            .filter(|member| member.tag == tlv::SEQUENCE)
            .map(|member| member.whole)
    }
}

fn members(set: Option<Element<'_>>) -> Result<Vec<Element<'_>>, StructureError> {
    let mut found = Vec::new();
    let Some(set) = set else { return Ok(found) };
    let mut reader = set.reader();
    while !reader.is_empty() {
        if found.len() == MOST_MEMBERS {
            return Err(StructureError::TooManyMembers);
        }
        found.push(reader.next()?);
    }
    Ok(found)
}

/// The content of a ContentInfo of this type.
pub(crate) fn content(
    content_info: &[u8],
    expected: const_oid::ObjectIdentifier,
) -> Result<Element<'_>, StructureError> {
    let mut info = tlv::only(content_info, tlv::SEQUENCE)?.reader();
    let found = info.expect(tlv::OBJECT_IDENTIFIER)?.content;
    if found != expected.as_bytes() {
        return Err(StructureError::ContentType {
            expected: expected.to_string(),
            found: oid::dotted(found),
        });
    }
    let explicit = info.expect(tlv::CONTEXT_0)?;
    info.finish()?;
    Ok(tlv::only(explicit.content, tlv::SEQUENCE)?)
}

/// Why a CMS structure could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StructureError {
    #[error("{0}")]
    Tlv(#[from] TlvError),
    #[error("content type {found} where {expected} belongs")]
    ContentType { expected: String, found: String },
    #[error("more than {MOST_MEMBERS} certificates, CRLs, signers, recipients or attributes")]
    TooManyMembers,
}

/// Whose key signed, or who is to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identifier {
    /// The whole Name and INTEGER elements.
    IssuerAndSerial {
        issuer: Vec<u8>,
        serial: Vec<u8>,
    },
    SubjectKeyIdentifier(Vec<u8>),
}

impl Identifier {
    /// SignerIdentifier and RecipientIdentifier have the same two choices.
    pub(crate) fn read(element: &Element<'_>) -> Result<Self, TlvError> {
        match element.tag {
            tlv::CONTEXT_0_PRIMITIVE => {
                Ok(Identifier::SubjectKeyIdentifier(element.content.to_vec()))
            }
            tlv::SEQUENCE => {
                let mut reader = element.reader();
                let issuer = reader.expect(tlv::SEQUENCE)?.whole.to_vec();
                let serial = reader.expect(tlv::INTEGER)?.whole.to_vec();
                reader.finish()?;
                Ok(Identifier::IssuerAndSerial { issuer, serial })
            }
            found => Err(TlvError::Tag { expected: tlv::SEQUENCE, found }),
        }
    }

    pub(crate) fn names(&self, certificate: &Certificate) -> bool {
        match self {
            Identifier::IssuerAndSerial { issuer, serial } => {
                certificate.issuer_der() == issuer && certificate.serial_der() == serial
            }
            Identifier::SubjectKeyIdentifier(identifier) => {
                certificate.subject_key_identifier() == Some(identifier)
            }
        }
    }
}

/// One SignerInfo (RFC 5652 §5.3).
#[derive(Clone, Debug)]
pub(crate) struct SignerInfo {
    pub(crate) identifier: Identifier,
    /// digestAlgorithm, the whole element.
    digest: Vec<u8>,
    /// signedAttrs, the whole `[0]` element as received.
    signed: Option<Vec<u8>>,
    /// signatureAlgorithm, the whole element.
    signature_algorithm: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    unsigned: Option<Vec<u8>>,
}

impl SignerInfo {
    pub(crate) fn read(element: &Element<'_>) -> Result<Self, StructureError> {
        let mut info = tlv::only(element.whole, tlv::SEQUENCE)?.reader();
        info.expect(tlv::INTEGER)?;
        let identifier = Identifier::read(&info.next()?)?;
        let digest = info.expect(tlv::SEQUENCE)?.whole.to_vec();
        let signed = info.optional(tlv::CONTEXT_0)?.map(|element| element.whole.to_vec());
        let signature_algorithm = info.expect(tlv::SEQUENCE)?.whole.to_vec();
        let signature = info.expect(tlv::OCTET_STRING)?.content.to_vec();
        let unsigned = info.optional(tlv::CONTEXT_1)?.map(|element| element.whole.to_vec());
        info.finish()?;
        Ok(SignerInfo { identifier, digest, signed, signature_algorithm, signature, unsigned })
    }

    pub(crate) fn scheme(&self) -> Result<SignatureScheme, AlgorithmError> {
        algorithm::read_signature(&self.digest, &self.signature_algorithm)
    }

    /// The scheme of a signer who need not be one that answers can be encrypted to: a CA.
    pub(crate) fn any_scheme(&self) -> Result<SignatureScheme, SignatureError> {
        SignatureScheme::from_signer_info(&self.signature_algorithm, &self.digest)
    }

    /// The signed attributes; none if the field is not there.
    pub(crate) fn signed_attributes(&self) -> Result<Attributes<'_>, StructureError> {
        Attributes::read(self.signed.as_deref())
    }

    pub(crate) fn has_signed_attributes(&self) -> bool {
        self.signed.is_some()
    }

    pub(crate) fn unsigned_attributes(&self) -> Result<Attributes<'_>, StructureError> {
        Attributes::read(self.unsigned.as_deref())
    }

    /// The byte strings that the signature may cover: the attributes as received under the tag of
    /// a SET (RFC 5652 §5.4), then the same in DER order for signers that sorted only to sign.
    pub(crate) fn signed_forms(&self) -> Result<Vec<Vec<u8>>, StructureError> {
        let whole = self.signed.as_deref().unwrap_or_default();
        let mut received = whole.to_vec();
        if let Some(tag) = received.first_mut() {
            *tag = tlv::SET;
        }
        let mut members: Vec<Vec<u8>> = self
            .signed_attributes()?
            .all
            .iter()
            .map(|attribute| attribute.whole.to_vec())
            .collect();
        tlv::sort_set(&mut members);
        let sorted = tlv::element(tlv::SET, &members.iter().map(Vec::as_slice).collect::<Vec<_>>());
        if sorted == received { Ok(vec![received]) } else { Ok(vec![received, sorted]) }
    }
}

/// One attribute: its type and the elements of its value set.
pub(crate) struct Attribute<'a> {
    whole: &'a [u8],
    pub(crate) oid: &'a [u8],
    values: Element<'a>,
}

/// The attributes of a SignerInfo.
pub(crate) struct Attributes<'a> {
    pub(crate) all: Vec<Attribute<'a>>,
}

/// Why an attribute has no one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttributeError {
    Missing,
    Repeated,
    NotOneValue,
}

impl<'a> Attributes<'a> {
    fn read(whole: Option<&'a [u8]>) -> Result<Self, StructureError> {
        let mut all = Vec::new();
        let Some(whole) = whole else {
            return Ok(Attributes { all });
        };
        let mut reader = tlv::Reader::new(tlv::content_of(whole));
        while !reader.is_empty() {
            if all.len() == MOST_MEMBERS {
                return Err(StructureError::TooManyMembers);
            }
            let element = reader.expect(tlv::SEQUENCE)?;
            let mut attribute = element.reader();
            let oid = attribute.expect(tlv::OBJECT_IDENTIFIER)?.content;
            let values = attribute.expect(tlv::SET)?;
            attribute.finish()?;
            all.push(Attribute { whole: element.whole, oid, values });
        }
        Ok(Attributes { all })
    }

    /// The one value of the attribute.
    pub(crate) fn one(
        &self,
        oid: const_oid::ObjectIdentifier,
    ) -> Result<Element<'a>, AttributeError> {
        let mut same = self.all.iter().filter(|attribute| attribute.oid == oid.as_bytes());
        let attribute = same.next().ok_or(AttributeError::Missing)?;
        if same.next().is_some() {
            return Err(AttributeError::Repeated);
        }
        let mut values = attribute.values.reader();
        let value = values.next().map_err(|_| AttributeError::NotOneValue)?;
        if values.is_empty() { Ok(value) } else { Err(AttributeError::NotOneValue) }
    }

    /// The identifier of the first attribute that comes twice.
    pub(crate) fn repeated(&self) -> Option<&'a [u8]> {
        let mut seen = Vec::with_capacity(self.all.len());
        self.all.iter().map(|attribute| attribute.oid).find(|oid| {
            let again = seen.contains(oid);
            seen.push(oid);
            again
        })
    }
}

/// Attribute in DER with one value.
pub(crate) fn attribute(oid: const_oid::ObjectIdentifier, value: &[u8]) -> Vec<u8> {
    tlv::sequence(&[&algorithm::object_identifier(oid), &tlv::element(tlv::SET, &[value])])
}

/// ContentInfo { type, `[0]` content } in DER.
pub(crate) fn content_info(oid: const_oid::ObjectIdentifier, content: &[u8]) -> Vec<u8> {
    tlv::sequence(&[&algorithm::object_identifier(oid), &tlv::element(tlv::CONTEXT_0, &[content])])
}

/// A message that lacks nothing but the signature, so that the signing key may live elsewhere.
#[derive(Clone, Debug)]
pub struct ToBeSigned {
    content: Vec<u8>,
    /// The signed attributes as a SET OF in DER.
    attributes: Vec<u8>,
    digest: DigestAlgorithm,
    signer: Certificate,
}

impl ToBeSigned {
    /// `attributes`: those of SCEP; contentType and messageDigest are added here, because clients
    /// refuse a message without them.
    pub(crate) fn new(
        content: Vec<u8>,
        mut attributes: Vec<Vec<u8>>,
        digest: DigestAlgorithm,
        signer: &Certificate,
    ) -> ToBeSigned {
        let message_digest = tlv::element(tlv::OCTET_STRING, &[&digest.digest(&content)]);
        attributes.push(attribute(oid::CONTENT_TYPE, &algorithm::object_identifier(oid::DATA)));
        attributes.push(attribute(oid::MESSAGE_DIGEST, &message_digest));
        ToBeSigned { content, attributes: tlv::set_of(attributes), digest, signer: signer.clone() }
    }

    /// The bytes to sign with RSASSA-PKCS1-v1_5 and [`ToBeSigned::digest`] (not hashed yet).
    pub fn message(&self) -> &[u8] {
        &self.attributes
    }

    /// The digest of the signature.
    pub fn digest(&self) -> DigestAlgorithm {
        self.digest
    }

    /// Signs through the closure, which gets [`ToBeSigned::message`] and returns the signature.
    pub fn sign_with<E>(
        self,
        sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, E> {
        let signature = sign(self.message())?;
        Ok(self.finish(&signature))
    }

    /// The whole message in DER.
    ///
    /// signatureAlgorithm is `rsaEncryption`, not the long identifier, because strongSwan refuses
    /// the long one.
    pub fn finish(self, signature: &[u8]) -> Vec<u8> {
        let digest = algorithm::digest_identifier(self.digest);
        let signed = tlv::element(tlv::CONTEXT_0, &[tlv::content_of(&self.attributes)]);
        let signer_info = tlv::sequence(&[
            &tlv::small_integer(1),
            &self.signer.issuer_and_serial(),
            &digest,
            &signed,
            &algorithm::identifier(oid::RSA_ENCRYPTION, &tlv::null()),
            &tlv::element(tlv::OCTET_STRING, &[signature]),
        ]);
        let encapsulated = tlv::sequence(&[
            &algorithm::object_identifier(oid::DATA),
            &tlv::element(tlv::CONTEXT_0, &[&tlv::element(tlv::OCTET_STRING, &[&self.content])]),
        ]);
        let signed_data = tlv::sequence(&[
            &tlv::small_integer(1),
            &tlv::element(tlv::SET, &[&digest]),
            &encapsulated,
            &tlv::element(tlv::CONTEXT_0, &[self.signer.der()]),
            &tlv::element(tlv::SET, &[&signer_info]),
        ]);
        content_info(oid::SIGNED_DATA, &signed_data)
    }
}

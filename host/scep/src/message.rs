//! A pkiMessage as it comes off the wire, and the checks that need no key (RFC 8894 §3.1, §3.2).
//!
//! Two steps, because they fail differently. [`Message::parse`] finds out whom an answer would go
//! to; where it fails there is no CertRep, only HTTP 400. [`Message::verify`] decides whether the
//! message is one to open; where it fails the answer is a CertRep FAILURE with
//! [`Refused::fail_info`], and no private key has been touched.

use countersign_profile::{DigestAlgorithm, LegacyDigests, SignatureScheme};

use crate::algorithm::{self, AlgorithmError, LegacyAlgorithms};
use crate::ber::{self, BerError, Bounds};
use crate::certificate::{Certificate, CertificateError};
use crate::envelope::Enveloped;
use crate::message_type::{FailInfo, MessageType, RequestType};
use crate::oid;
use crate::request::Request;
use crate::signed_data::{AttributeError, Attributes, SignedData, SignerInfo, StructureError};
use crate::tlv::{self, Element};
use crate::transaction::{Nonce, TransactionId};

/// A message that can be answered: it names its transaction and holds its signer's certificate.
///
/// Nothing in it is verified yet.
#[derive(Clone, Debug)]
pub struct Message {
    transaction_id: TransactionId,
    signer: Certificate,
    signer_info: SignerInfo,
    content_type_is_data: bool,
    content: Option<Vec<u8>>,
    bounds: Bounds,
}

/// Why bytes are no message that could be answered. The answer is HTTP 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not ASN.1 within bounds.
    #[error("the message is not ASN.1 within bounds: {0}")]
    Encoding(#[from] BerError),
    /// Not a CMS SignedData.
    #[error("the message is not a CMS SignedData: {0}")]
    Structure(String),
    /// None or several SignerInfos (T7 of the threat model).
    #[error("a SCEP message has one signer; this one has {0}")]
    SignerCount(usize),
    /// No signed attributes, or no transaction ID among them that could be echoed.
    #[error("no usable transaction ID among the signed attributes: {0}")]
    NoTransactionId(&'static str),
    /// The signer's certificate is not in the message.
    #[error("the message does not hold the certificate of its signer")]
    NoSignerCertificate,
    /// The signer's certificate cannot be read.
    #[error("the signer's certificate cannot be read: {0}")]
    SignerCertificate(#[from] CertificateError),
}

impl From<StructureError> for ParseError {
    fn from(error: StructureError) -> Self {
        ParseError::Structure(error.to_string())
    }
}

/// Why a message that can be answered is not opened. The answer is a CertRep FAILURE.
///
/// Only for ledger and log: the device is told [`Refused::fail_info`] and nothing more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// An algorithm that is not taken.
    #[error(transparent)]
    Algorithm(#[from] AlgorithmError),
    /// A signed attribute is missing.
    #[error("signed attribute {0} is missing")]
    MissingAttribute(&'static str),
    /// A signed attribute comes twice.
    #[error("signed attribute {0} comes more than once")]
    RepeatedAttribute(String),
    /// A signed attribute without exactly one value of the right kind.
    #[error("signed attribute {0} has not exactly one value of the right kind")]
    MalformedAttribute(&'static str),
    /// An attribute that must be signed lies among the unsigned ones.
    #[error("attribute {0} is not signed")]
    UnsignedAttribute(String),
    /// The content type, in the attribute or in the message, is not id-data.
    #[error("the content type is not id-data")]
    ContentType,
    /// The message holds no content to sign.
    #[error("the message has no content")]
    NoContent,
    /// messageDigest is not the digest of the content.
    #[error("messageDigest does not fit the content")]
    MessageDigest,
    /// The signature does not fit.
    #[error("the signature does not verify with the signer's certificate")]
    Signature,
    /// A message type that RFC 8894 does not have (CVE-2026-30836).
    #[error("message type {0:?} is not known")]
    UnknownMessageType(String),
    /// A CertRep where a request belongs.
    #[error("a CertRep is an answer and cannot be a request")]
    NotARequest,
    /// The content is not an EnvelopedData that could be opened.
    #[error("the content is not an envelope that can be opened: {0}")]
    Envelope(String),
    /// The envelope is for somebody else.
    #[error("the envelope is not addressed to any certificate in use here")]
    NoRecipient,
}

impl Refused {
    /// What the device is told.
    pub fn fail_info(&self) -> FailInfo {
        match self {
            Refused::Algorithm(_) => FailInfo::BadAlg,
            Refused::MissingAttribute(_)
            | Refused::RepeatedAttribute(_)
            | Refused::MalformedAttribute(_)
            | Refused::UnsignedAttribute(_)
            | Refused::ContentType
            | Refused::NoContent
            | Refused::MessageDigest
            | Refused::Signature
            | Refused::UnknownMessageType(_)
            | Refused::NotARequest
            | Refused::Envelope(_)
            | Refused::NoRecipient => FailInfo::BadMessageCheck,
        }
    }

    /// A stable word for ledger, log and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Refused::Algorithm(_) => "algorithm",
            Refused::MissingAttribute(_) => "missing-attribute",
            Refused::RepeatedAttribute(_) => "repeated-attribute",
            Refused::MalformedAttribute(_) => "malformed-attribute",
            Refused::UnsignedAttribute(_) => "unsigned-attribute",
            Refused::ContentType => "content-type",
            Refused::NoContent => "no-content",
            Refused::MessageDigest => "message-digest",
            Refused::Signature => "signature",
            Refused::UnknownMessageType(_) => "unknown-message-type",
            Refused::NotARequest => "not-a-request",
            Refused::Envelope(_) => "envelope",
            Refused::NoRecipient => "no-recipient",
        }
    }
}

impl Message {
    /// Reads a message far enough to know whom to answer. Verifies nothing.
    pub fn parse(bytes: &[u8], bounds: &Bounds) -> Result<Message, ParseError> {
        Self::parse_with(bytes, bounds, &[])
    }

    /// As [`Message::parse`], where the signer's certificate may also be one that is known.
    pub(crate) fn parse_with(
        bytes: &[u8],
        bounds: &Bounds,
        known: &[Certificate],
    ) -> Result<Message, ParseError> {
        let der = ber::normalise(bytes, bounds)?;
        let signed = SignedData::read(&der)?;
        let [signer_info] = signed.signers.as_slice() else {
            return Err(ParseError::SignerCount(signed.signers.len()));
        };
        let signer_info = SignerInfo::read(signer_info)?;
        let transaction_id = transaction_id(&signer_info)?;
        let signer = find_signer(&signed, &signer_info, known)?;
        Ok(Message {
            transaction_id,
            signer,
            signer_info,
            content_type_is_data: signed.content_type == oid::DATA.as_bytes(),
            content: signed.content.map(<[u8]>::to_vec),
            bounds: *bounds,
        })
    }

    /// The transaction that an answer belongs to.
    pub fn transaction_id(&self) -> &TransactionId {
        &self.transaction_id
    }

    /// The signer's certificate: proof of nothing, but an answer is encrypted to its key.
    pub fn signer(&self) -> &Certificate {
        &self.signer
    }

    /// The nonce that an answer repeats; `None` where there is not exactly one of 8 to 64 bytes.
    pub fn sender_nonce(&self) -> Option<Nonce> {
        let attributes = self.signer_info.signed_attributes().ok()?;
        Nonce::read(&attributes.one(oid::SENDER_NONCE).ok()?)
    }

    /// Of a CertRep: the nonce of the request that it says it answers; `None` where there is not
    /// exactly one of 8 to 64 bytes. For looking at recorded messages: a client compares the nonce
    /// that it sent ([`crate::client::Reply::read`]).
    pub fn recipient_nonce(&self) -> Option<Nonce> {
        let attributes = self.signer_info.signed_attributes().ok()?;
        Nonce::read(&attributes.one(oid::RECIPIENT_NONCE).ok()?)
    }

    /// The type that the message says it has.
    pub fn message_type(&self) -> Result<MessageType, Refused> {
        let attributes = self.attributes()?;
        let value = one(&attributes, oid::MESSAGE_TYPE, "messageType")?;
        if value.tag != tlv::PRINTABLE_STRING && value.tag != tlv::UTF8_STRING {
            return Err(Refused::MalformedAttribute("messageType"));
        }
        MessageType::from_number(value.content).ok_or_else(|| {
            let shown = value.content.get(..8).unwrap_or(value.content);
            Refused::UnknownMessageType(shown.escape_ascii().to_string())
        })
    }

    /// How the message says it is signed.
    pub fn signature_scheme(&self) -> Result<SignatureScheme, Refused> {
        Ok(self.signer_info.scheme()?)
    }

    /// The digest that an answer is signed with: the request's own where that is SHA-2.
    pub fn reply_digest(&self) -> DigestAlgorithm {
        let declared = self.signature_scheme().ok().and_then(SignatureScheme::digest);
        declared.map_or(DigestAlgorithm::Sha256, algorithm::modern)
    }

    /// Makes sure that the message is a whole and signed request whose envelope can be opened.
    ///
    /// Checked: every signed attribute once and well-formed, nothing of SCEP among the unsigned
    /// ones, contentType, messageDigest, the signature over the received bytes, the message type,
    /// the nonce, the envelope's structure and algorithms. The signer's certificate is not judged.
    pub fn verify(&self, legacy: &LegacyAlgorithms) -> Result<Request, Refused> {
        let content = self.authenticate(legacy)?;
        let kind = RequestType::try_from(self.message_type()?).map_err(|_| Refused::NotARequest)?;
        let sender_nonce = self.required_nonce()?;
        let envelope = Enveloped::read(content, &self.bounds, legacy)?;
        Ok(Request::new(self.without_content(), kind, sender_nonce, envelope, *legacy))
    }

    /// The signed content, once attributes, digest and signature are good.
    pub(crate) fn authenticate(&self, legacy: &LegacyAlgorithms) -> Result<&[u8], Refused> {
        let attributes = self.attributes()?;
        if let Some(repeated) = attributes.repeated() {
            return Err(Refused::RepeatedAttribute(oid::dotted(repeated)));
        }
        self.refuse_unsigned()?;
        let scheme = self.signature_scheme()?;
        let digest = scheme.digest().unwrap_or(DigestAlgorithm::Sha256);
        if digest == DigestAlgorithm::Sha1 && !legacy.sha1_signatures {
            return Err(AlgorithmError::Sha1.into());
        }
        let content_type = one(&attributes, oid::CONTENT_TYPE, "contentType")?;
        let is_data = content_type.tag == tlv::OBJECT_IDENTIFIER
            && content_type.content == oid::DATA.as_bytes();
        if !is_data || !self.content_type_is_data {
            return Err(Refused::ContentType);
        }
        let message_digest = one(&attributes, oid::MESSAGE_DIGEST, "messageDigest")?;
        let content = self.content.as_deref().unwrap_or_default();
        if message_digest.tag != tlv::OCTET_STRING
            || message_digest.content != digest.digest(content)
        {
            return Err(Refused::MessageDigest);
        }
        self.verify_signature(scheme)?;
        Ok(content)
    }

    /// Verifies over the attributes as received, then over their DER order.
    pub(crate) fn verify_signature(&self, scheme: SignatureScheme) -> Result<(), Refused> {
        let forms = self
            .signer_info
            .signed_forms()
            .map_err(|_| Refused::MalformedAttribute("signedAttrs"))?;
        let key = self.signer.rsa_key()?;
        // SHA-1 was refused above where the profile does not let it in.
        let verifies = |form: &Vec<u8>| {
            key.verify(scheme, LegacyDigests::Sha1, form, &self.signer_info.signature).is_ok()
        };
        if forms.iter().any(verifies) { Ok(()) } else { Err(Refused::Signature) }
    }

    pub(crate) fn attributes(&self) -> Result<Attributes<'_>, Refused> {
        self.signer_info.signed_attributes().map_err(|_| Refused::MalformedAttribute("signedAttrs"))
    }

    pub(crate) fn signature(&self) -> &[u8] {
        &self.signer_info.signature
    }

    pub(crate) fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    fn required_nonce(&self) -> Result<Nonce, Refused> {
        let attributes = self.attributes()?;
        Nonce::read(&one(&attributes, oid::SENDER_NONCE, "senderNonce")?)
            .ok_or(Refused::MalformedAttribute("senderNonce"))
    }

    /// What must be signed and is not would be read by one side and not by the other (T7).
    fn refuse_unsigned(&self) -> Result<(), Refused> {
        let attributes = self
            .signer_info
            .unsigned_attributes()
            .map_err(|_| Refused::MalformedAttribute("unsignedAttrs"))?;
        let must_be_signed = |oid: &[u8]| {
            oid::in_arc(oid, oid::SCEP_ATTRIBUTES)
                || [oid::CONTENT_TYPE, oid::MESSAGE_DIGEST, oid::FAIL_INFO_TEXT]
                    .iter()
                    .any(|known| known.as_bytes() == oid)
        };
        match attributes.all.iter().find(|attribute| must_be_signed(attribute.oid)) {
            Some(attribute) => Err(Refused::UnsignedAttribute(oid::dotted(attribute.oid))),
            None => Ok(()),
        }
    }

    /// The message without its content: all that an answer is made for, and little to keep while
    /// the answer waits. It does not verify any more.
    #[must_use]
    pub fn without_content(&self) -> Message {
        Message {
            transaction_id: self.transaction_id.clone(),
            signer: self.signer.clone(),
            signer_info: self.signer_info.clone(),
            content_type_is_data: self.content_type_is_data,
            content: None,
            bounds: self.bounds,
        }
    }
}

/// The one value of a signed attribute.
pub(crate) fn one<'a>(
    attributes: &Attributes<'a>,
    oid: const_oid::ObjectIdentifier,
    name: &'static str,
) -> Result<Element<'a>, Refused> {
    attributes.one(oid).map_err(|error| match error {
        AttributeError::Missing => Refused::MissingAttribute(name),
        AttributeError::Repeated => Refused::RepeatedAttribute(name.to_owned()),
        AttributeError::NotOneValue => Refused::MalformedAttribute(name),
    })
}

fn transaction_id(signer_info: &SignerInfo) -> Result<TransactionId, ParseError> {
    if !signer_info.has_signed_attributes() {
        return Err(ParseError::NoTransactionId("there are no signed attributes"));
    }
    let attributes = signer_info.signed_attributes()?;
    let value = attributes.one(oid::TRANSACTION_ID).map_err(|error| {
        ParseError::NoTransactionId(match error {
            AttributeError::Missing => "there is none",
            AttributeError::Repeated => "there are several",
            AttributeError::NotOneValue => "it has not exactly one value",
        })
    })?;
    TransactionId::read(&value)
        .ok_or(ParseError::NoTransactionId("it is not a string of 1 to 255 bytes"))
}

/// The certificate that the SignerInfo names. Others that cannot be read are passed over.
fn find_signer(
    signed: &SignedData<'_>,
    signer_info: &SignerInfo,
    known: &[Certificate],
) -> Result<Certificate, ParseError> {
    let mut unreadable = None;
    for der in signed.plain_certificates() {
        match Certificate::parse(der) {
            Ok(certificate) if signer_info.identifier.names(&certificate) => {
                return Ok(certificate);
            }
            Ok(_) => {}
            Err(error) => unreadable = Some(error),
        }
    }
    if let Some(certificate) = known.iter().find(|known| signer_info.identifier.names(known)) {
        return Ok(certificate.clone());
    }
    match unreadable {
        Some(error) => Err(ParseError::SignerCertificate(error)),
        None => Err(ParseError::NoSignerCertificate),
    }
}

//! Reading a CertRep (RFC 8894 §3.3.2) as the one who asked.

use crate::algorithm::LegacyAlgorithms;
use crate::ber::Bounds;
use crate::bundle::Bundle;
use crate::certificate::Certificate;
use crate::envelope::{Addressed, Enveloped, NotOpened};
use crate::message::{Message, ParseError, Refused, one};
use crate::message_type::{FailInfo, MessageType, PkiStatus};
use crate::oid;
use crate::tlv;
use crate::transaction::{Nonce, TransactionId};

/// What an answer must fit.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The request's transaction ID.
    pub transaction_id: &'a TransactionId,
    /// The request's senderNonce.
    pub sender_nonce: &'a Nonce,
    /// Whose signature is believed: the certificates of GetCACert, checked by their fingerprint.
    pub responders: &'a [Certificate],
    /// Old algorithms of old servers.
    pub legacy: LegacyAlgorithms,
}

/// An answer that fits its request and is signed by one of the responders.
#[derive(Clone, Debug)]
pub enum Reply {
    /// The certificate, or the CRL, is in the envelope.
    Success(SealedReply),
    /// Ask again later, with [`Ask::CertPoll`](crate::client::Ask) or the same request.
    Pending,
    /// Refused.
    Failure {
        /// The reason.
        fail_info: FailInfo,
        /// What the server says about it, if anything.
        text: Option<String>,
    },
}

/// The envelope of a successful answer.
#[derive(Clone, Debug)]
pub struct SealedReply {
    envelope: Enveloped,
}

/// Why an answer is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// Not a pkiMessage.
    #[error("the answer cannot be read: {0}")]
    Unreadable(#[from] ParseError),
    /// Signature, attributes or algorithms.
    #[error("the answer is not good: {0}")]
    Refused(#[from] Refused),
    /// Signed by somebody else.
    #[error("the answer is signed by a certificate that GetCACert did not give")]
    UnknownResponder,
    /// Not a CertRep.
    #[error("a {0} came where a CertRep belongs")]
    NotACertRep(MessageType),
    /// Of another transaction.
    #[error("the answer belongs to another transaction: expected {expected}, found {found}")]
    OtherTransaction {
        /// The request's.
        expected: TransactionId,
        /// The answer's.
        found: TransactionId,
    },
    /// For another request, perhaps a replay.
    #[error("the answer's recipientNonce is not the nonce of the request")]
    OtherNonce,
    /// A pkiStatus that RFC 8894 does not have.
    #[error("the answer's pkiStatus is not known")]
    UnknownStatus,
    /// A failInfo that RFC 8894 does not have.
    #[error("the answer's failInfo is not known")]
    UnknownFailInfo,
    /// The envelope does not open, or holds no certificates.
    #[error("the answer's envelope does not open with this key")]
    NotOpened,
}

impl From<NotOpened> for ReplyError {
    fn from(_: NotOpened) -> Self {
        ReplyError::NotOpened
    }
}

impl Reply {
    /// Reads an answer and makes sure that it is the one to this request.
    pub fn read(bytes: &[u8], expected: &Expected<'_>) -> Result<Reply, ReplyError> {
        let message = Message::parse_with(bytes, &Bounds::REPLY, expected.responders)?;
        if !expected.responders.iter().any(|known| known.der() == message.signer().der()) {
            return Err(ReplyError::UnknownResponder);
        }
        let content = message.authenticate(&expected.legacy)?;
        match message.message_type()? {
            MessageType::CertRep => {}
            other @ (MessageType::RenewalReq
            | MessageType::PkcsReq
            | MessageType::CertPoll
            | MessageType::GetCert
            | MessageType::GetCrl) => return Err(ReplyError::NotACertRep(other)),
        }
        // By value: some servers answer with another string type.
        if message.transaction_id().as_bytes() != expected.transaction_id.as_bytes() {
            return Err(ReplyError::OtherTransaction {
                expected: expected.transaction_id.clone(),
                found: message.transaction_id().clone(),
            });
        }
        let attributes = message.attributes()?;
        let nonce = one(&attributes, oid::RECIPIENT_NONCE, "recipientNonce")?;
        if nonce.tag != tlv::OCTET_STRING || nonce.content != expected.sender_nonce.as_bytes() {
            return Err(ReplyError::OtherNonce);
        }
        let status = one(&attributes, oid::PKI_STATUS, "pkiStatus")?;
        match PkiStatus::from_number(status.content).ok_or(ReplyError::UnknownStatus)? {
            PkiStatus::Pending => Ok(Reply::Pending),
            PkiStatus::Success => {
                let envelope = Enveloped::read(content, &Bounds::REPLY, &expected.legacy)?;
                Ok(Reply::Success(SealedReply { envelope }))
            }
            PkiStatus::Failure => {
                let fail_info = one(&attributes, oid::FAIL_INFO, "failInfo")?;
                let fail_info =
                    FailInfo::from_number(fail_info.content).ok_or(ReplyError::UnknownFailInfo)?;
                let text = attributes.one(oid::FAIL_INFO_TEXT).ok();
                let text = text.map(|text| String::from_utf8_lossy(text.content).into_owned());
                Ok(Reply::Failure { fail_info, text })
            }
        }
    }
}

impl SealedReply {
    /// What the requester's key must unwrap: the key of the certificate that signed the request.
    pub fn addressed_to(&self, requester: &Certificate) -> Result<Addressed<'_>, ReplyError> {
        Ok(self.envelope.addressed_to([requester])?)
    }

    /// The envelope itself.
    pub fn envelope(&self) -> &Enveloped {
        &self.envelope
    }

    /// Opens the envelope with the unwrapped content key: the issued certificate first, as far as
    /// the server kept to RFC 8894; or a CRL.
    pub fn open(&self, content_key: &[u8]) -> Result<Bundle, ReplyError> {
        let plain = self.envelope.decrypt(content_key)?;
        Ok(Bundle::parse(&plain, &Bounds::REPLY)?)
    }
}

//! Building a CertRep (RFC 8894 §3.3.2): SUCCESS, PENDING or FAILURE, ready to be signed by REP.

use crate::algorithm::KeyTransport;
use crate::bundle;
use crate::certificate::Certificate;
use crate::message::Message;
use crate::message_type::{FailInfo, MessageType, PkiStatus};
use crate::oid;
use crate::request::Request;
use crate::seal::{self, SealError};
use crate::signed_data::{ToBeSigned, attribute};
use crate::tlv;
use crate::transaction::Nonce;

/// An answer to one message, not signed yet.
///
/// Equal answers to messages of equal shape have equal length: what differs between two failures
/// is the failInfo digit, the nonces, the transaction ID and the signature, nothing else.
#[derive(Clone, Debug)]
pub struct CertRep<'m> {
    to: &'m Message,
    status: PkiStatus,
    fail_info: Option<(FailInfo, Option<String>)>,
    /// ContentInfo of the envelope; empty where there is none.
    content: Vec<u8>,
}

impl<'m> CertRep<'m> {
    /// FAILURE. `text` goes into failInfoText (RFC 8894 §3.2.1.4.1); give none where the device
    /// must not learn a reason.
    pub fn failure(to: &'m Message, fail_info: FailInfo, text: Option<&str>) -> CertRep<'m> {
        CertRep {
            to,
            status: PkiStatus::Failure,
            fail_info: Some((fail_info, text.map(str::to_owned))),
            content: Vec::new(),
        }
    }

    /// PENDING: the device asks again later.
    pub fn pending(to: &'m Message) -> CertRep<'m> {
        CertRep { to, status: PkiStatus::Pending, fail_info: None, content: Vec::new() }
    }

    /// SUCCESS with certificates: the issued one first, then its chain as far as the device is to
    /// get it. Encrypted to the key that signed the request, in the request's AES.
    pub fn success(
        to: &'m Request,
        certificates: &[Certificate],
    ) -> Result<CertRep<'m>, SealError> {
        let certificates: Vec<&[u8]> = certificates.iter().map(Certificate::der).collect();
        Self::with_content(to, &bundle::degenerate(&certificates, &[]))
    }

    /// SUCCESS with a CRL in DER: the answer to GetCRL.
    pub fn crl(to: &'m Request, crl: &[u8]) -> Result<CertRep<'m>, SealError> {
        Self::with_content(to, &bundle::degenerate(&[], &[crl]))
    }

    fn with_content(to: &'m Request, plain: &[u8]) -> Result<CertRep<'m>, SealError> {
        let cipher = to.envelope().cipher().for_reply(to.legacy());
        let content = seal::envelope(plain, &[to.signer()], cipher, KeyTransport::Pkcs1v15)?;
        Ok(CertRep { to: to.message(), status: PkiStatus::Success, fail_info: None, content })
    }

    /// The answer with everything but the signature of the responder (REP), whose RSA certificate
    /// goes with it. `sender_nonce` must be fresh.
    ///
    /// The content is an empty OCTET STRING where there is no envelope: RFC 8894 §3.2.2 leaves it
    /// out, but certmonger refuses that and every client takes the empty one.
    pub fn to_be_signed(self, responder: &Certificate, sender_nonce: &Nonce) -> ToBeSigned {
        let printable = |text: &str| tlv::element(tlv::PRINTABLE_STRING, &[text.as_bytes()]);
        let mut attributes = vec![
            attribute(oid::MESSAGE_TYPE, &printable(MessageType::CertRep.number())),
            attribute(oid::PKI_STATUS, &printable(self.status.number())),
            attribute(oid::TRANSACTION_ID, &self.to.transaction_id().to_der()),
            attribute(oid::SENDER_NONCE, &sender_nonce.to_der()),
        ];
        if let Some(nonce) = self.to.sender_nonce() {
            attributes.push(attribute(oid::RECIPIENT_NONCE, &nonce.to_der()));
        }
        if let Some((fail_info, text)) = self.fail_info {
            attributes.push(attribute(oid::FAIL_INFO, &printable(fail_info.number())));
            if let Some(text) = text {
                let text = tlv::element(tlv::UTF8_STRING, &[text.as_bytes()]);
                attributes.push(attribute(oid::FAIL_INFO_TEXT, &text));
            }
        }
        ToBeSigned::new(self.content, attributes, self.to.reply_digest(), responder)
    }
}

//! A request on its way out (RFC 8894 §3.3).

use countersign_profile::DigestAlgorithm;

use crate::algorithm::{ContentCipher, KeyTransport};
use crate::capabilities::Capabilities;
use crate::certificate::Certificate;
use crate::message_type::{MessageType, RequestType};
use crate::oid;
use crate::request::{IssuerAndSerial, IssuerAndSubject};
use crate::seal::{self, SealError};
use crate::signed_data::{ToBeSigned, attribute};
use crate::tlv;
use crate::transaction::{Nonce, TransactionId};

/// What is asked for, with what its message type needs.
#[derive(Clone, Copy, Debug)]
pub enum Ask<'a> {
    /// A first certificate: a PKCS#10 in DER.
    PkcsReq(&'a [u8]),
    /// A renewal: a PKCS#10 in DER; the message is signed with the current certificate.
    RenewalReq(&'a [u8]),
    /// What became of a pending request.
    CertPoll(&'a IssuerAndSubject),
    /// A certificate by name.
    GetCert(&'a IssuerAndSerial),
    /// The CRL that speaks about a certificate.
    GetCrl(&'a IssuerAndSerial),
}

/// The algorithms around a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealing {
    /// Around the content; single DES cannot be written.
    pub cipher: ContentCipher,
    /// Around the content key.
    pub transport: KeyTransport,
    /// Of the signature.
    pub digest: DigestAlgorithm,
}

/// A request that lacks its envelope and its signature.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// What is asked for.
    pub ask: Ask<'a>,
    /// The transaction; the same one for a retry and for the polls of a pending request.
    pub transaction_id: &'a TransactionId,
    /// Fresh for each message.
    pub sender_nonce: &'a Nonce,
    /// The certificate whose RSA key signs, and to which the answer is encrypted.
    pub signer: &'a Certificate,
    /// Whom the envelope is for, [`CaCertificates::recipient`](crate::client::CaCertificates).
    pub recipient: &'a Certificate,
    /// The algorithms.
    pub sealing: Sealing,
}

impl Sealing {
    /// What server and client of our time share, by the server's capabilities.
    pub fn for_server(capabilities: &Capabilities) -> Sealing {
        Sealing {
            cipher: capabilities.cipher(),
            transport: KeyTransport::Pkcs1v15,
            digest: capabilities.digest(),
        }
    }
}

impl Ask<'_> {
    fn kind(&self) -> RequestType {
        match self {
            Ask::PkcsReq(_) => RequestType::PkcsReq,
            Ask::RenewalReq(_) => RequestType::RenewalReq,
            Ask::CertPoll(_) => RequestType::CertPoll,
            Ask::GetCert(_) => RequestType::GetCert,
            Ask::GetCrl(_) => RequestType::GetCrl,
        }
    }

    fn data(&self) -> Vec<u8> {
        match self {
            Ask::PkcsReq(csr) | Ask::RenewalReq(csr) => csr.to_vec(),
            Ask::CertPoll(names) => names.to_der(),
            Ask::GetCert(name) | Ask::GetCrl(name) => name.to_der(),
        }
    }
}

impl Outgoing<'_> {
    /// Encrypts; what is left is the signature by the signer's key.
    pub fn to_be_signed(&self) -> Result<ToBeSigned, SealError> {
        let kind = MessageType::from(self.ask.kind()).number();
        let kind = tlv::element(tlv::PRINTABLE_STRING, &[kind.as_bytes()]);
        let sealing = self.sealing;
        let content =
            seal::envelope(&self.ask.data(), &[self.recipient], sealing.cipher, sealing.transport)?;
        let attributes = vec![
            attribute(oid::MESSAGE_TYPE, &kind),
            attribute(oid::TRANSACTION_ID, &self.transaction_id.to_der()),
            attribute(oid::SENDER_NONCE, &self.sender_nonce.to_der()),
        ];
        Ok(ToBeSigned::new(content, attributes, sealing.digest, self.signer))
    }
}

//! A verified request: what it asks, and opening its envelope with the content key.

use countersign_profile::{Csr, DigestAlgorithm, LegacyDigests};
use zeroize::Zeroizing;

use crate::algorithm::LegacyAlgorithms;
use crate::ber;
use crate::certificate::Certificate;
use crate::envelope::{Enveloped, NotOpened};
use crate::message::Message;
use crate::message_type::RequestType;
use crate::stand_in::stand_in;
use crate::tlv::{self, TlvError};
use crate::transaction::{Nonce, TransactionId};

/// A request whose outer signature holds and whose envelope is well-formed.
///
/// Only [`Message::verify`] makes one. The signer's certificate still proves nothing but possession
/// of its key: it may be self-made, expired or foreign.
#[derive(Clone, Debug)]
pub struct Request {
    message: Message,
    kind: RequestType,
    sender_nonce: Nonce,
    envelope: Enveloped,
    legacy: LegacyAlgorithms,
}

/// What a request's envelope held.
#[derive(Debug)]
pub enum RequestData {
    /// Of PKCSReq and RenewalReq: a PKCS#10 whose self-signature holds.
    Pkcs10(Box<Csr>),
    /// Of CertPoll.
    IssuerAndSubject(IssuerAndSubject),
    /// Of GetCert and GetCRL.
    IssuerAndSerial(IssuerAndSerial),
}

/// The names in a CertPoll (RFC 8894 §3.3.3), each a whole Name element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerAndSubject {
    /// The CA's name.
    pub issuer: Vec<u8>,
    /// The requester's name.
    pub subject: Vec<u8>,
}

/// The certificate that a GetCert or GetCRL is about (RFC 8894 §3.3.4, §3.3.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerAndSerial {
    /// The issuer's name, a whole Name element.
    pub issuer: Vec<u8>,
    /// The serial number, a whole INTEGER element.
    pub serial: Vec<u8>,
}

impl Request {
    pub(crate) fn new(
        message: Message,
        kind: RequestType,
        sender_nonce: Nonce,
        envelope: Enveloped,
        legacy: LegacyAlgorithms,
    ) -> Request {
        Request { message, kind, sender_nonce, envelope, legacy }
    }

    /// The message that it came in, without its content: what an answer is made for.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// What it asks for.
    pub fn kind(&self) -> RequestType {
        self.kind
    }

    /// The transaction it belongs to.
    pub fn transaction_id(&self) -> &TransactionId {
        self.message.transaction_id()
    }

    /// The nonce that the answer repeats.
    pub fn sender_nonce(&self) -> &Nonce {
        &self.sender_nonce
    }

    /// The certificate whose key signed it: the recipient of the answer.
    pub fn signer(&self) -> &Certificate {
        self.message.signer()
    }

    /// The envelope, for finding the recipient.
    pub fn envelope(&self) -> &Enveloped {
        &self.envelope
    }

    /// Whether the key that signed the message is the key that the PKCS#10 asks a certificate for.
    /// Where it is not, the message can only be a renewal.
    pub fn is_signed_with_key_of(&self, csr: &Csr) -> bool {
        self.signer().public_key().is_ok_and(|key| key.key_bits() == csr.public_key().key_bits())
    }

    /// Whether the message's own signature is over SHA-1: where nothing else vouches for a request,
    /// as in a renewal, it is not taken (RFC 8894 §7.9).
    pub fn is_signed_over_sha1(&self) -> bool {
        self.message
            .signature_scheme()
            .is_ok_and(|scheme| scheme.digest() == Some(DigestAlgorithm::Sha1))
    }

    /// Opens the envelope with the content key and reads what the message type holds.
    ///
    /// Whatever goes wrong is one and the same value. Around a PKCS#10 it costs the same work as
    /// well: all blocks are decrypted, and a request is read and its self-signature verified, if
    /// not the one that came out then a stand-in (invariant I4, zone A). This makes shapes equal and
    /// times nearly so; equal times still need the caller's time bucket.
    pub fn open(&self, content_key: &[u8]) -> Result<RequestData, NotOpened> {
        match self.kind {
            RequestType::PkcsReq | RequestType::RenewalReq => {
                // Made before anything is known, so that nobody pays for it alone.
                let stand_in =
                    stand_in(self.signer(), self.message.signature(), self.envelope.plain_len());
                let found = self.plain(content_key).and_then(|plain| read_csr(&plain));
                let Ok(csr) = found else {
                    self.spend_a_reading(&stand_in);
                    return Err(NotOpened);
                };
                csr.verify_self_signature(self.legacy_digests()).map_err(|_| NotOpened)?;
                Ok(RequestData::Pkcs10(Box::new(csr)))
            }
            RequestType::CertPoll => {
                let names =
                    self.plain(content_key).and_then(|plain| IssuerAndSubject::read(&plain));
                self.spend_a_verification();
                names.map(RequestData::IssuerAndSubject)
            }
            RequestType::GetCert | RequestType::GetCrl => {
                let names = self.plain(content_key).and_then(|plain| IssuerAndSerial::read(&plain));
                self.spend_a_verification();
                names.map(RequestData::IssuerAndSerial)
            }
        }
    }

    /// The decrypted content in DER.
    fn plain(&self, content_key: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
        let plain = self.envelope.decrypt(content_key)?;
        match ber::normalise(&plain, self.message.bounds()) {
            Ok(der) => Ok(Zeroizing::new(der.into_owned())),
            Err(_) => Err(NotOpened),
        }
    }

    /// What reading and verifying a request costs.
    fn spend_a_reading(&self, stand_in: &[u8]) {
        let read = ber::normalise(stand_in, self.message.bounds()).map_err(|_| NotOpened);
        match read.and_then(|der| read_csr(&der)) {
            Ok(csr) => {
                let _does_not_hold = csr.verify_self_signature(self.legacy_digests());
            }
            // A signer's name that no request could have.
            Err(NotOpened) => self.spend_a_verification(),
        }
    }

    fn spend_a_verification(&self) {
        if let Ok(scheme) = self.message.signature_scheme() {
            let _known_to_hold = self.message.verify_signature(scheme);
        }
    }

    fn legacy_digests(&self) -> LegacyDigests {
        if self.legacy.sha1_signatures { LegacyDigests::Sha1 } else { LegacyDigests::Refused }
    }

    pub(crate) fn legacy(&self) -> &LegacyAlgorithms {
        &self.legacy
    }
}

fn read_csr(der: &[u8]) -> Result<Csr, NotOpened> {
    Csr::parse(der).map_err(|_| NotOpened)
}

impl IssuerAndSubject {
    fn read(plain: &[u8]) -> Result<Self, NotOpened> {
        let (issuer, subject) = pair(plain, tlv::SEQUENCE).map_err(|_| NotOpened)?;
        Ok(IssuerAndSubject { issuer, subject })
    }

    pub(crate) fn to_der(&self) -> Vec<u8> {
        tlv::sequence(&[&self.issuer, &self.subject])
    }
}

impl IssuerAndSerial {
    /// The name and number of a certificate.
    pub fn of(certificate: &Certificate) -> IssuerAndSerial {
        IssuerAndSerial {
            issuer: certificate.issuer_der().to_vec(),
            serial: certificate.serial_der().to_vec(),
        }
    }

    /// An issuer's Name element with the content octets of a serial number.
    pub fn new(issuer: Vec<u8>, serial: &[u8]) -> IssuerAndSerial {
        IssuerAndSerial { issuer, serial: tlv::element(tlv::INTEGER, &[serial]) }
    }

    /// Content octets of the serial number.
    pub fn serial_octets(&self) -> &[u8] {
        tlv::content_of(&self.serial)
    }

    fn read(plain: &[u8]) -> Result<Self, NotOpened> {
        let (issuer, serial) = pair(plain, tlv::INTEGER).map_err(|_| NotOpened)?;
        Ok(IssuerAndSerial { issuer, serial })
    }

    pub(crate) fn to_der(&self) -> Vec<u8> {
        tlv::sequence(&[&self.issuer, &self.serial])
    }
}

/// SEQUENCE { Name, something of this tag }.
fn pair(plain: &[u8], second: u8) -> Result<(Vec<u8>, Vec<u8>), TlvError> {
    let mut reader = tlv::only(plain, tlv::SEQUENCE)?.reader();
    let name = reader.expect(tlv::SEQUENCE)?.whole.to_vec();
    let other = reader.expect(second)?.whole.to_vec();
    reader.finish()?;
    Ok((name, other))
}

//! The failures that must not be told apart, as messages.

use std::fmt;

use aws_lc_rs::rand;
use aws_lc_rs::rsa::{Pkcs1PublicEncryptingKey, PublicEncryptingKey};
use countersign_scep::client::{
    Ask, CsrDraft, DeviceKey, KeySize, Outgoing, Sealing, SelfSigned, Validity,
};
use countersign_scep::{
    Bounds, Capabilities, Certificate, ContentCipher, Message, Nonce, TransactionId,
};

use crate::forge::{self, Forge};

/// A way to fail in zone A.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// The RSA block holds no PKCS#1 v1.5 padding.
    WrongPadding,
    /// A good padding around a content key of another length than the cipher's.
    WrongLength,
    /// The last block of the plaintext ends in no PKCS#7 padding.
    BadCbc,
    /// The plaintext is no DER.
    NotDer,
    /// The PKCS#10's self-signature does not hold.
    BadSelfSignature,
    /// The PKCS#10 is somebody else's.
    AnotherKey,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::WrongPadding,
        Self::WrongLength,
        Self::BadCbc,
        Self::NotDer,
        Self::BadSelfSignature,
        Self::AnotherKey,
    ];

    /// All unordered pairs.
    pub fn pairs() -> impl Iterator<Item = (Self, Self)> {
        Self::ALL.into_iter().enumerate().flat_map(|(index, first)| {
            Self::ALL.into_iter().skip(index + 1).map(move |second| (first, second))
        })
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::WrongPadding => "wrong RSA padding",
            Self::WrongLength => "wrong length of key",
            Self::BadCbc => "bad CBC padding",
            Self::NotDer => "plaintext not DER",
            Self::BadSelfSignature => "bad self-signature",
            Self::AnotherKey => "signer is not CSR key",
        })
    }
}

/// A stranger with a key of its own, who writes messages for one RA.
pub struct Stranger {
    key: DeviceKey,
    signer: Certificate,
    csr: Vec<u8>,
    csr_of_another: Vec<u8>,
    recipient: Certificate,
    recipient_key: Pkcs1PublicEncryptingKey,
    transaction_id: TransactionId,
}

impl Stranger {
    /// A stranger who encrypts to this RSA certificate.
    #[must_use]
    pub fn new(recipient: &Certificate) -> Self {
        let names = ["CN=device-17".parse().unwrap(), "DNS:device-17.example.org".parse().unwrap()];
        let challenge = Some("MFRGGZDFMZTWQ2LKNNWG23TPOBYXE43U");
        let csr_of = |key: &DeviceKey| {
            CsrDraft { names: &names, challenge, ..CsrDraft::default() }.sign(key).unwrap()
        };
        let key = DeviceKey::generate(KeySize::Rsa2048).unwrap();
        let validity = Validity { not_before: 1_700_000_000, not_after: 4_000_000_000 };
        let signer = SelfSigned { names: &names[..1], validity }.sign(&key).unwrap();
        let public = PublicEncryptingKey::from_der(recipient.spki_der()).unwrap();
        Self {
            csr: csr_of(&key),
            csr_of_another: csr_of(&DeviceKey::generate(KeySize::Rsa2048).unwrap()),
            signer,
            recipient: recipient.clone(),
            recipient_key: Pkcs1PublicEncryptingKey::new(public).unwrap(),
            transaction_id: TransactionId::of_public_key(key.spki_der()),
            key,
        }
    }

    /// A well-signed message that fails in this way.
    #[must_use]
    pub fn failing(&self, class: Class, cipher: ContentCipher) -> Vec<u8> {
        let garbage = || {
            let mut garbage = random(self.csr.len());
            // Not a SEQUENCE, whatever the rest.
            garbage[0] = 0x55;
            garbage
        };
        match class {
            Class::WrongPadding => self.message(&self.csr, cipher, |envelope| {
                let key = encrypted_key(envelope);
                // Below the modulus, and with a chance of 2^-16 to be well padded.
                let block = random(key.len());
                envelope[key.clone()].copy_from_slice(&block);
                envelope[key.start] = 0;
            }),
            Class::WrongLength => self.message(&self.csr, cipher, |envelope| {
                let key = encrypted_key(envelope);
                let other_length = if cipher.key_len() == 16 { 32 } else { 16 };
                let content_key = random(other_length);
                let mut block = vec![0; key.len()];
                self.recipient_key.encrypt(&content_key, &mut block).unwrap();
                envelope[key].copy_from_slice(&block);
            }),
            Class::BadCbc => self.message(&self.csr, cipher, |envelope| {
                // Of the block before the last: its last byte changes the padding's length to one
                // that no block has.
                let at = envelope.len() - cipher.block_len() - 1;
                envelope[at] ^= 0x80;
            }),
            Class::NotDer => self.message(&garbage(), cipher, |_| {}),
            Class::BadSelfSignature => {
                let mut csr = self.csr.clone();
                *csr.last_mut().unwrap() ^= 1;
                self.message(&csr, cipher, |_| {})
            }
            Class::AnotherKey => self.message(&self.csr_of_another, cipher, |_| {}),
        }
    }

    /// A message that opens.
    #[must_use]
    pub fn good(&self, cipher: ContentCipher) -> Vec<u8> {
        self.message(&self.csr, cipher, |_| {})
    }

    /// Around this plaintext, in an envelope that `spoil` has touched before it is signed.
    fn message(
        &self,
        plain: &[u8],
        cipher: ContentCipher,
        spoil: impl FnOnce(&mut Vec<u8>),
    ) -> Vec<u8> {
        let outgoing = Outgoing {
            ask: Ask::PkcsReq(plain),
            transaction_id: &self.transaction_id,
            sender_nonce: &Nonce::random().unwrap(),
            signer: &self.signer,
            recipient: &self.recipient,
            sealing: Sealing { cipher, ..Sealing::for_server(&Capabilities::MODERN) },
        };
        let unsigned = outgoing.to_be_signed().unwrap().finish(&[]);
        // The envelope is the eContent: a ContentInfo, with its length in two octets.
        let enveloped = forge::oid("1.2.840.113549.1.7.3");
        let found = unsigned.windows(enveloped.len()).position(|window| window == enveloped);
        let at = found.unwrap() - 4;
        let length = 4 + usize::from(u16::from_be_bytes([unsigned[at + 2], unsigned[at + 3]]));
        let mut envelope = unsigned[at..at + length].to_vec();
        spoil(&mut envelope);
        let id = forge::tlv(self.transaction_id.tag(), self.transaction_id.as_bytes());
        let message = Forge::new("19", &self.signer, &envelope)
            .with(forge::TRANSACTION_ID, vec![id])
            .message(&self.key);
        Message::parse(&message, &Bounds::REQUEST).expect("a message that can be answered");
        message
    }
}

/// Where the encrypted content key lies: the OCTET STRING of 256 that RSA-2048 makes.
fn encrypted_key(envelope: &[u8]) -> std::ops::Range<usize> {
    let start = [0x04, 0x82, 0x01, 0x00];
    let at = envelope.windows(4).position(|window| window == start).unwrap() + 4;
    at..at + 256
}

fn random(length: usize) -> Vec<u8> {
    let mut octets = vec![0; length];
    rand::fill(&mut octets).unwrap();
    octets
}

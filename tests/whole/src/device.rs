//! A device: a key, a PKCS#10, a self-signed certificate and a transaction.

use std::time::{SystemTime, UNIX_EPOCH};

use countersign_profile::Name;
use countersign_scep::client::{
    Ask, CaCertificates, CsrDraft, DeviceKey, Expected, KeySize, Outgoing, Reply, Sealing,
    SelfSigned, Validity,
};
use countersign_scep::{
    Capabilities, Certificate, FailInfo, IssuerAndSubject, LegacyAlgorithms, Nonce, TransactionId,
};

use crate::http_client::HttpReply;

/// A device that wants a certificate. It says the same again when asked again.
#[derive(Debug)]
pub struct Device {
    /// Its private key.
    pub key: DeviceKey,
    /// Its PKCS#10, DER.
    pub csr: Vec<u8>,
    /// The certificate that its messages are signed with: self-signed, unless a test says else.
    pub signer: Certificate,
    /// Its transaction.
    pub transaction_id: TransactionId,
}

/// A pkiMessage on its way, and what its answer must fit.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The message, DER.
    pub message: Vec<u8>,
    /// Its nonce.
    pub nonce: Nonce,
    /// Its transaction.
    pub transaction_id: TransactionId,
}

/// What a device got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// SUCCESS.
    Issued(Issued),
    /// PENDING.
    Pending,
    /// FAILURE.
    Failure {
        /// failInfo.
        fail_info: FailInfo,
        /// failInfoText.
        text: Option<String>,
    },
    /// No CertRep at all.
    Http(HttpReply),
}

/// A certificate that came in a SUCCESS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate itself, DER.
    pub certificate: Vec<u8>,
    /// Everything in the reply, DER, the certificate included.
    pub all: Vec<Vec<u8>>,
}

impl Answer {
    /// The certificate.
    ///
    /// # Panics
    /// It is another answer.
    #[track_caller]
    #[must_use]
    pub fn issued(self) -> Issued {
        match self {
            Self::Issued(issued) => issued,
            other => panic!("expected a certificate, found {other:?}"),
        }
    }

    /// Whether it is FAILURE badRequest without a reason, as before an approval.
    #[must_use]
    pub fn is_refused_without_reason(&self) -> bool {
        *self == Self::Failure { fail_info: FailInfo::BadRequest, text: None }
    }
}

impl Device {
    /// A device with a new RSA-2048 key that asks for these names (`CN=device-17`, `DNS:…`).
    #[must_use]
    pub fn new(names: &[&str], challenge: Option<&str>) -> Self {
        let key = DeviceKey::generate(KeySize::Rsa2048).expect("a key can be made");
        Self::with_key(key, names, challenge)
    }

    /// The same with a key of one's own.
    #[must_use]
    pub fn with_key(key: DeviceKey, names: &[&str], challenge: Option<&str>) -> Self {
        let names = parsed(names);
        let draft = CsrDraft { names: &names, challenge, ..CsrDraft::default() };
        let csr = draft.sign(&key).expect("the key signs");
        Self::with_csr(key, csr)
    }

    /// A device that sends this PKCS#10, whatever it holds.
    #[must_use]
    pub fn with_csr(key: DeviceKey, csr: Vec<u8>) -> Self {
        let signer = self_signed(&key);
        let transaction_id = TransactionId::of_public_key(key.spki_der());
        Self { key, csr, signer, transaction_id }
    }

    /// The device with its certificate, about to ask for the next one with this PKCS#10: what it
    /// signs goes with the current certificate, in a transaction of its own.
    #[must_use]
    pub fn renewing(self, issued: &Issued, csr: Vec<u8>) -> Self {
        let signer = Certificate::parse(&issued.certificate).expect("the issued certificate");
        let asked = countersign_profile::Csr::parse(&csr).expect("a PKCS#10");
        let transaction_id = TransactionId::of_public_key(asked.public_key().spki_der());
        Self { key: self.key, csr, signer, transaction_id }
    }

    /// A RenewalReq, sealed for the RA.
    #[must_use]
    pub fn renewal(&self, ra: &CaCertificates) -> Sent {
        self.ask(ra, Ask::RenewalReq(&self.csr))
    }

    /// A PKCSReq, sealed for the RA.
    #[must_use]
    pub fn request(&self, ra: &CaCertificates) -> Sent {
        self.ask(ra, Ask::PkcsReq(&self.csr))
    }

    /// A CertPoll of this transaction.
    #[must_use]
    pub fn poll(&self, ra: &CaCertificates) -> Sent {
        let names = IssuerAndSubject {
            issuer: ra.ca().expect("a CA").subject_der().to_vec(),
            subject: self.signer.subject_der().to_vec(),
        };
        self.ask(ra, Ask::CertPoll(&names))
    }

    /// Any request, with a fresh nonce.
    #[must_use]
    pub fn ask(&self, ra: &CaCertificates, ask: Ask<'_>) -> Sent {
        let nonce = Nonce::random().expect("random octets");
        let outgoing = Outgoing {
            ask,
            transaction_id: &self.transaction_id,
            sender_nonce: &nonce,
            signer: &self.signer,
            recipient: ra.recipient().expect("a certificate to encrypt to"),
            sealing: Sealing::for_server(&Capabilities::MODERN),
        };
        let message = outgoing.to_be_signed().expect("the request is sealed");
        let digest = message.digest();
        let message = message.sign_with(|octets| self.key.sign(digest, octets));
        Sent {
            message: message.expect("the key signs"),
            nonce,
            transaction_id: self.transaction_id.clone(),
        }
    }

    /// Reads the answer to what was sent.
    ///
    /// # Panics
    /// It is a CertRep that a client would not believe.
    #[must_use]
    pub fn read(&self, sent: &Sent, reply: HttpReply, ra: &CaCertificates) -> Answer {
        if reply.status != http::StatusCode::OK {
            return Answer::Http(reply);
        }
        assert_eq!(reply.header("content-type"), "application/x-pki-message");
        let expected = Expected {
            transaction_id: &sent.transaction_id,
            sender_nonce: &sent.nonce,
            responders: ra.all(),
            legacy: LegacyAlgorithms::default(),
        };
        match Reply::read(&reply.body, &expected).expect("a CertRep that fits the request") {
            Reply::Pending => Answer::Pending,
            Reply::Failure { fail_info, text } => Answer::Failure { fail_info, text },
            Reply::Success(sealed) => {
                let addressed = sealed.addressed_to(&self.signer).expect("it is for this device");
                let content_key = self.key.unwrap(&addressed).expect("the key opens it");
                let bundle = sealed.open(&content_key).expect("a bundle of certificates");
                let all: Vec<_> = bundle.certificates.iter().map(|c| c.der().to_vec()).collect();
                // The key of the request, which in a renewal may be another than the one that signs.
                let asked = countersign_profile::Csr::parse(&self.csr);
                let key = asked.as_ref().map_or(self.key.spki_der(), |c| c.public_key().spki_der());
                let certificate = bundle.certificates.iter().find(|c| c.spki_der() == key);
                let certificate = certificate.expect("one is for this key").der().to_vec();
                Answer::Issued(Issued { certificate, all })
            }
        }
    }
}

/// A PKCS#10 for these names by this key.
///
/// # Panics
/// The key does not sign.
#[must_use]
pub fn csr(key: &DeviceKey, names: &[&str], challenge: Option<&str>) -> Vec<u8> {
    let names = parsed(names);
    let draft = CsrDraft { names: &names, challenge, ..CsrDraft::default() };
    draft.sign(key).expect("the key signs")
}

/// Names by their textual form.
fn parsed(names: &[&str]) -> Vec<Name> {
    names.iter().map(|name| name.parse().expect("a name")).collect()
}

/// A self-signed certificate for this key, as a client makes it for one enrolment.
fn self_signed(key: &DeviceKey) -> Certificate {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let names = parsed(&["CN=SCEP client"]);
    let validity = Validity { not_before: now - 3600, not_after: now + 86_400 };
    SelfSigned { names: &names, validity }.sign(key).expect("the key signs")
}

//! What a message holds, as facts.

use countersign_profile::{Csr, DigestAlgorithm, LegacyDigests, SignatureScheme};
use countersign_scep::client::{Expected, Reply};
use countersign_scep::{
    Bounds, Bundle, Certificate, Enveloped, LegacyAlgorithms, Message, MessageType, ParseError,
    Request, RequestData,
};
use serde::Serialize;

use super::Recipient;

/// A message.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Opened {
    #[serde(rename = "type")]
    kind: String,
    transaction: String,
    sender_nonce: Option<String>,
    recipient_nonce: Option<String>,
    /// Of a CertRep: `SUCCESS`, `PENDING`, `FAILURE`.
    status: Option<&'static str>,
    fail_info: Option<&'static str>,
    fail_info_text: Option<String>,
    signature: Signature,
    signer: Subject,
    envelope: Option<Envelope>,
    csr: Option<Request10>,
    /// Of a CertRep SUCCESS that was opened.
    certificates: Vec<Subject>,
    crls: usize,
    /// Names in a CertPoll, or issuer and serial of GetCert and GetCRL.
    about: Option<String>,
}

/// The outer signature.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Signature {
    pub(super) algorithm: Option<String>,
    pub(super) good: bool,
    pub(super) problem: Option<String>,
    /// Why a profile without legacy switches refuses the message.
    pub(super) refused_without_legacy_switches: Option<String>,
}

/// A certificate.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Subject {
    pub(super) subject: String,
    pub(super) issuer: String,
    pub(super) serial: String,
    pub(super) key: String,
    pub(super) self_issued: bool,
    pub(super) not_after: Option<u64>,
    pub(super) sha256: Option<String>,
}

/// The EnvelopedData.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Envelope {
    pub(super) cipher: &'static str,
    /// How the content key travels, for each recipient.
    pub(super) recipients: Vec<String>,
    /// Whether it opened; none without a key.
    pub(super) opened: Option<bool>,
    pub(super) problem: Option<String>,
}

/// The PKCS#10 inside.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Request10 {
    pub(super) subject: String,
    pub(super) sans: Vec<String>,
    pub(super) key: String,
    pub(super) requested_ekus: Vec<String>,
    pub(super) attributes: Vec<String>,
    pub(super) extensions: Vec<String>,
    /// `present`, or itself where that was asked for.
    pub(super) challenge: Option<String>,
    pub(super) self_signature: bool,
    pub(super) self_signature_problem: Option<String>,
    /// Whether the message is signed with the key of the CSR: a first request.
    pub(super) signed_by_its_key: bool,
    pub(super) sha256: String,
    pub(super) info_sha256: String,
}

impl Opened {
    /// Signatures hold, and what could be opened did open.
    pub(super) fn is_good(&self) -> bool {
        self.signature.good
            && self.envelope.as_ref().is_none_or(|envelope| envelope.opened != Some(false))
            && self.csr.as_ref().is_none_or(|csr| csr.self_signature)
    }

    pub(super) fn heading(&self) -> (&str, &str) {
        (&self.kind, &self.transaction)
    }

    pub(super) fn nonces(&self) -> (Option<&str>, Option<&str>) {
        (self.sender_nonce.as_deref(), self.recipient_nonce.as_deref())
    }

    pub(super) fn answer(&self) -> Option<(&str, Option<&str>, Option<&str>)> {
        Some((self.status?, self.fail_info, self.fail_info_text.as_deref()))
    }

    pub(super) fn signed(&self) -> (&Signature, &Subject) {
        (&self.signature, &self.signer)
    }

    pub(super) fn envelope(&self) -> Option<&Envelope> {
        self.envelope.as_ref()
    }

    pub(super) fn csr(&self) -> Option<&Request10> {
        self.csr.as_ref()
    }

    pub(super) fn bundle(&self) -> (&[Subject], usize) {
        (&self.certificates, self.crls)
    }

    pub(super) fn about(&self) -> Option<&str> {
        self.about.as_deref()
    }
}

/// Looks at a message with everything that can be read switched on.
pub(super) fn look(
    bytes: &[u8],
    recipient: Option<&Recipient>,
    show_challenge: bool,
) -> Result<Opened, ParseError> {
    let message = Message::parse(bytes, &Bounds::REPLY)?;
    let kind = message.message_type();
    let mut opened = Opened {
        kind: match &kind {
            Ok(kind) => kind.to_string(),
            Err(error) => format!("unknown: {error}"),
        },
        transaction: message.transaction_id().to_string(),
        sender_nonce: message.sender_nonce().map(|nonce| hex::encode(nonce.as_bytes())),
        recipient_nonce: None,
        status: None,
        fail_info: None,
        fail_info_text: None,
        signature: Signature {
            algorithm: message.signature_scheme().ok().map(scheme_name),
            good: false,
            problem: None,
            refused_without_legacy_switches: None,
        },
        signer: subject(message.signer()),
        envelope: None,
        csr: None,
        certificates: Vec::new(),
        crls: 0,
        about: None,
    };
    if kind == Ok(MessageType::CertRep) {
        opened.look_at_reply(bytes, &message, recipient);
    } else {
        opened.look_at_request(&message, recipient, show_challenge);
    }
    Ok(opened)
}

/// The PKCS#10 of a request, in DER; as lenient as [`look`].
pub(super) fn csr(bytes: &[u8], recipient: &Recipient) -> Result<Vec<u8>, String> {
    let message = Message::parse(bytes, &Bounds::REPLY).map_err(|error| error.to_string())?;
    let request =
        message.verify(&LegacyAlgorithms::EVERYTHING).map_err(|error| error.to_string())?;
    let envelope = request.envelope();
    let addressed =
        envelope.addressed_to([&recipient.certificate]).map_err(|error| error.to_string())?;
    let content_key = recipient.key.unwrap(&addressed).map_err(|_| {
        "the content key does not unwrap: it was wrapped for another key, or is damaged".to_owned()
    })?;
    let plain = envelope.decrypt(&content_key).map_err(|error| error.to_string())?;
    Ok(plain.to_vec())
}

impl Opened {
    fn look_at_request(
        &mut self,
        message: &Message,
        recipient: Option<&Recipient>,
        show_challenge: bool,
    ) {
        let request = match message.verify(&LegacyAlgorithms::EVERYTHING) {
            Ok(request) => request,
            Err(refused) => {
                self.signature.problem = Some(refused.to_string());
                return;
            }
        };
        self.signature.good = true;
        self.signature.refused_without_legacy_switches =
            message.verify(&LegacyAlgorithms::default()).err().map(|refused| refused.to_string());
        let content_key = self.unwrap(request.envelope(), recipient);
        let Some(content_key) = content_key else { return };
        match MessageType::from(request.kind()) {
            MessageType::PkcsReq | MessageType::RenewalReq => {
                self.look_at_csr(&request, &content_key, show_challenge);
            }
            MessageType::CertPoll
            | MessageType::GetCert
            | MessageType::GetCrl
            | MessageType::CertRep => match request.open(&content_key) {
                Ok(RequestData::IssuerAndSubject(names)) => {
                    self.opened(Ok(()));
                    let (issuer, subject) = (name(&names.issuer), name(&names.subject));
                    self.about = Some(format!("issuer {issuer}, subject {subject}"));
                }
                Ok(RequestData::IssuerAndSerial(names)) => {
                    self.opened(Ok(()));
                    // Tag and length of an INTEGER this short are one octet each.
                    let serial = names.serial.get(2..).unwrap_or_default();
                    let (issuer, serial) = (name(&names.issuer), hex::encode(serial));
                    self.about = Some(format!("issuer {issuer}, serial {serial}"));
                }
                Ok(RequestData::Pkcs10(_)) => self.opened(Err("it holds a PKCS#10".to_owned())),
                Err(error) => self.opened(Err(error.to_string())),
            },
        }
    }

    /// Not by `Request::open`, which on purpose does not say what is wrong.
    fn look_at_csr(&mut self, request: &Request, content_key: &[u8], show_challenge: bool) {
        let plain = match request.envelope().decrypt(content_key) {
            Ok(plain) => plain,
            Err(error) => return self.opened(Err(error.to_string())),
        };
        let csr = match Csr::parse(&plain) {
            Ok(csr) => csr,
            Err(error) => return self.opened(Err(format!("what it holds: {error}"))),
        };
        self.opened(Ok(()));
        let self_signature = csr.verify_self_signature(LegacyDigests::Sha1);
        self.csr = Some(Request10 {
            subject: csr.subject().to_string(),
            sans: csr.sans().iter().map(ToString::to_string).collect(),
            key: csr.public_key().algorithm().to_string(),
            requested_ekus: csr.requested_ekus().iter().map(ToString::to_string).collect(),
            attributes: csr.attributes().map(|(oid, _)| oid.to_string()).collect(),
            extensions: csr.extensions().iter().map(|found| found.oid.to_string()).collect(),
            challenge: csr.challenge().map(|challenge| {
                if show_challenge { challenge.text().to_owned() } else { "present".to_owned() }
            }),
            self_signature: self_signature.is_ok(),
            self_signature_problem: self_signature.err().map(|error| error.to_string()),
            signed_by_its_key: request.is_signed_with_key_of(&csr),
            sha256: hex::encode(csr.sha256()),
            info_sha256: hex::encode(csr.info_sha256()),
        });
    }

    fn look_at_reply(&mut self, bytes: &[u8], message: &Message, recipient: Option<&Recipient>) {
        let nonce = message.recipient_nonce();
        self.recipient_nonce = nonce.as_ref().map(|nonce| hex::encode(nonce.as_bytes()));
        let Some(nonce) = nonce else {
            self.signature.problem = Some("there is no recipientNonce".to_owned());
            return;
        };
        // Whether it answers a request of ours cannot be said: it is held against itself.
        let responders = [message.signer().clone()];
        let read = |legacy| {
            let transaction_id = message.transaction_id();
            let expected =
                Expected { transaction_id, sender_nonce: &nonce, responders: &responders, legacy };
            Reply::read(bytes, &expected)
        };
        self.signature.refused_without_legacy_switches =
            read(LegacyAlgorithms::default()).err().map(|error| error.to_string());
        let reply = match read(LegacyAlgorithms::EVERYTHING) {
            Ok(reply) => reply,
            Err(error) => {
                self.signature.problem = Some(error.to_string());
                self.signature.refused_without_legacy_switches = None;
                return;
            }
        };
        self.signature.good = true;
        match reply {
            Reply::Pending => self.status = Some("PENDING"),
            Reply::Failure { fail_info, text } => {
                self.status = Some("FAILURE");
                self.fail_info = Some(fail_info.name());
                self.fail_info_text = text;
            }
            Reply::Success(sealed) => {
                self.status = Some("SUCCESS");
                let content_key = self.unwrap(sealed.envelope(), recipient);
                let Some(content_key) = content_key else { return };
                match sealed.open(&content_key) {
                    Ok(Bundle { certificates, crls }) => {
                        self.opened(Ok(()));
                        self.certificates = certificates.iter().map(subject).collect();
                        self.crls = crls.len();
                    }
                    Err(error) => self.opened(Err(error.to_string())),
                }
            }
        }
    }

    /// Notes the envelope; the content key if there is a key for it.
    fn unwrap(
        &mut self,
        envelope: &Enveloped,
        recipient: Option<&Recipient>,
    ) -> Option<zeroize::Zeroizing<Vec<u8>>> {
        let transport = |found: Result<countersign_scep::KeyTransport, String>| match found {
            Ok(transport) => transport.name(),
            Err(error) => error,
        };
        self.envelope = Some(Envelope {
            cipher: envelope.cipher().name(),
            recipients: envelope
                .recipients()
                .iter()
                .map(|one| transport(one.transport().map_err(ToString::to_string)))
                .collect(),
            opened: None,
            problem: None,
        });
        let recipient = recipient?;
        let key = envelope
            .addressed_to([&recipient.certificate])
            .map_err(|error| error.to_string())
            .and_then(|addressed| {
                recipient.key.unwrap(&addressed).map_err(|_| {
                    "the content key does not unwrap: it was wrapped for another key, or is damaged"
                        .to_owned()
                })
            });
        match key {
            Ok(key) => Some(key),
            Err(problem) => {
                self.opened(Err(problem));
                None
            }
        }
    }

    fn opened(&mut self, how: Result<(), String>) {
        if let Some(envelope) = &mut self.envelope {
            envelope.opened = Some(how.is_ok());
            envelope.problem = how.err();
        }
    }
}

fn subject(certificate: &Certificate) -> Subject {
    let parsed = countersign_profile::Certificate::parse(certificate.der()).ok();
    Subject {
        subject: name(certificate.subject_der()),
        issuer: name(certificate.issuer_der()),
        serial: parsed.as_ref().map(|found| found.serial_hex()).unwrap_or_default(),
        key: certificate
            .public_key()
            .map_or_else(|error| error.to_string(), |key| key.algorithm().to_string()),
        self_issued: certificate.is_self_issued(),
        not_after: parsed.as_ref().map(countersign_profile::Certificate::not_after),
        sha256: parsed.as_ref().map(|found| hex::encode(found.sha256())),
    }
}

fn name(der: &[u8]) -> String {
    countersign_profile::Subject::from_der(der)
        .map_or_else(|error| format!("unreadable ({error})"), |name| name.to_string())
}

fn scheme_name(scheme: SignatureScheme) -> String {
    let digest = |digest| match digest {
        DigestAlgorithm::Sha1 => "SHA-1",
        DigestAlgorithm::Sha256 => "SHA-256",
        DigestAlgorithm::Sha384 => "SHA-384",
        DigestAlgorithm::Sha512 => "SHA-512",
    };
    match scheme {
        SignatureScheme::RsaPkcs1(found) => format!("RSASSA-PKCS1-v1_5 with {}", digest(found)),
        SignatureScheme::RsaPss(found) => format!("RSASSA-PSS with {}", digest(found)),
        SignatureScheme::Ecdsa(found) => format!("ECDSA with {}", digest(found)),
        SignatureScheme::Ed25519 => "Ed25519".to_owned(),
    }
}

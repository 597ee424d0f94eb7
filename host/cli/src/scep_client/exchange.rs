//! The way of an enrolment, from GetCACaps to the certificate.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use countersign_scep::client::{
    Ask, CaCertificates, CsrDraft, DeviceKey, Expected, Outgoing, Reply, SealedReply, Sealing,
    SelfSigned, Validity,
};
use countersign_scep::{
    Bundle, Capabilities, Certificate, DigestAlgorithm, IssuerAndSerial, IssuerAndSubject,
    LegacyAlgorithms, Nonce, TransactionId,
};

use super::http::{Answer, Server};
use super::{Asking, Current, EnrolError, EnrolOptions, Enrolled, KeySource, Polling, Step};

/// A device's self-signed certificate lives as long as a request may be pending.
const SELF_SIGNED_LIFE: u64 = 365 * 86_400;

/// The clocks of devices are wrong; servers should not look.
const BACKDATED: u64 = 86_400;

/// Longest GetCACaps that is read.
const LONGEST_CAPABILITIES: usize = 8 * 1024;

pub(super) async fn enrol(
    options: EnrolOptions,
    progress: &mut (dyn FnMut(Step) + Send),
) -> Result<Enrolled, EnrolError> {
    let asking = options.asking.clone();
    let Answered { bundle, key_spki, transaction_id, ca_der } =
        converse(options, &First::Of(asking), progress).await?;
    let found = bundle.certificates.len();
    let mut others = bundle.certificates;
    let position = others
        .iter()
        .position(|certificate| certificate.spki_der() == key_spki)
        .ok_or(EnrolError::NotOurKey { found })?;
    let certificate = others.remove(position);
    progress(Step::Issued {
        subject: subject_of(&certificate),
        serial: hex::encode(serial_octets(&certificate)),
        others: others.len(),
    });
    Ok(Enrolled {
        certificate_der: certificate.der().to_vec(),
        chain_der: others.iter().map(|other| other.der().to_vec()).collect(),
        ca_der,
        transaction_id,
    })
}

pub(super) async fn revocation_list(
    options: EnrolOptions,
    progress: &mut (dyn FnMut(Step) + Send),
) -> Result<Vec<u8>, EnrolError> {
    let answered = converse(options, &First::RevocationList, progress).await?;
    let found = answered.bundle.crls.len();
    answered.bundle.crls.into_iter().next().ok_or(EnrolError::NoList { found })
}

/// The first message.
enum First {
    Of(Asking),
    RevocationList,
}

/// What a conversation gave.
struct Answered {
    bundle: Bundle,
    key_spki: Vec<u8>,
    transaction_id: TransactionId,
    ca_der: Vec<Vec<u8>>,
}

async fn converse(
    options: EnrolOptions,
    first: &First,
    progress: &mut (dyn FnMut(Step) + Send),
) -> Result<Answered, EnrolError> {
    let server = Server::new(&options.url, options.roots_pem.as_deref(), options.timeout)?;
    let capabilities = capabilities(&server, progress).await?;
    let authorities = ca_certificates(&server, options.ca_fingerprint, progress).await?;
    let recipient = authorities.recipient().ok_or(EnrolError::NoRecipient)?;

    let made = matches!(options.key, KeySource::Generate(_));
    let key = match options.key {
        KeySource::Generate(size) => DeviceKey::generate(size)?,
        KeySource::Existing(key) => key,
    };
    progress(Step::Key { bits: bits(&key), made });

    let draft = CsrDraft {
        names: &options.names,
        challenge: options.challenge.as_deref().map(String::as_str),
        ..CsrDraft::default()
    };
    let csr = draft.sign(&key)?;
    let own_signer = self_signed(&options.names, &key)?;
    let (signer, signing_key) = match &options.renewal {
        None => (&own_signer, &key),
        Some(Current { certificate, key }) if certificate.spki_der() == key.spki_der() => {
            (certificate, key)
        }
        Some(_) => return Err(EnrolError::NotAPair),
    };
    if options.renewal.is_some() && !capabilities.renewal {
        progress(Step::Notice(
            "the server does not offer Renewal; it may refuse to renew".to_owned(),
        ));
    }
    let transaction_id =
        options.transaction_id.unwrap_or_else(|| TransactionId::of_public_key(key.spki_der()));
    // RFC 8894 §3.3.3, §3.3.4: names by which the CA finds what was asked for, or issued.
    let issuer = authorities.ca().unwrap_or(recipient).subject_der().to_vec();
    let poll =
        IssuerAndSubject { issuer: issuer.clone(), subject: own_signer.subject_der().to_vec() };
    let name = |serial: &[u8]| IssuerAndSerial::new(issuer.clone(), serial);
    let (certificate, ca);
    let ask = match (first, options.renewal.is_some()) {
        (First::Of(Asking::Request), false) | (First::Of(Asking::RenewalByPkcsReq), _) => {
            Ask::PkcsReq(&csr)
        }
        (First::Of(Asking::Request), true) => Ask::RenewalReq(&csr),
        (First::Of(Asking::Poll), _) => Ask::CertPoll(&poll),
        (First::Of(Asking::Certificate(serial)), _) => {
            certificate = name(serial);
            Ask::GetCert(&certificate)
        }
        (First::RevocationList, _) => {
            ca = IssuerAndSerial::of(authorities.ca().unwrap_or(recipient));
            Ask::GetCrl(&ca)
        }
    };
    let mut conversation = Conversation {
        server: &server,
        authorities: &authorities,
        recipient,
        signer,
        poll: &poll,
        signing_key,
        transaction_id: &transaction_id,
        sealing: sealing(&capabilities, progress),
        legacy: legacy(options.old_algorithms),
        use_get: options.use_get || !(capabilities.post || capabilities.scep_standard),
        polling: options.polling,
        polls: 0,
    };
    let sealed = conversation.until_decided(ask, progress).await?;
    let bundle = open(&sealed, signer, signing_key)?;
    Ok(Answered {
        bundle,
        key_spki: key.spki_der().to_vec(),
        transaction_id,
        ca_der: authorities.all().iter().map(|ca| ca.der().to_vec()).collect(),
    })
}

async fn capabilities(
    server: &Server,
    progress: &mut (dyn FnMut(Step) + Send),
) -> Result<Capabilities, EnrolError> {
    let text = match server.get("GetCACaps", None).await {
        Ok(Answer::Body(body)) => {
            let body = body.get(..body.len().min(LONGEST_CAPABILITIES)).unwrap_or_default();
            String::from_utf8_lossy(body).into_owned()
        }
        // Servers older than GetCACaps answer it with an error; RFC 8894 §3.5.1 takes that as "none".
        Ok(Answer::Busy { .. }) | Err(EnrolError::Status { .. }) => String::new(),
        Err(error) => return Err(error),
    };
    let keywords = text.split_whitespace().take(64).map(str::to_owned).collect();
    progress(Step::Capabilities(keywords));
    Ok(Capabilities::parse(&text))
}

async fn ca_certificates(
    server: &Server,
    expected: Option<[u8; 32]>,
    progress: &mut (dyn FnMut(Step) + Send),
) -> Result<CaCertificates, EnrolError> {
    let body = match server.get("GetCACert", None).await? {
        Answer::Body(body) => body,
        Answer::Busy { said, .. } => {
            return Err(EnrolError::Status {
                operation: "GetCACert",
                status: 503,
                meaning: "the server is not ready; try later",
                said,
            });
        }
    };
    let authorities = CaCertificates::parse(&body)?;
    let found = authorities.ca().map(|ca| DigestAlgorithm::Sha256.digest(ca.der()));
    if let Some(expected) = expected {
        let found = found.as_deref().ok_or(EnrolError::NoCa)?;
        if found != expected.as_slice() {
            return Err(EnrolError::Fingerprint {
                expected: hex::encode(expected),
                found: hex::encode(found),
            });
        }
    }
    progress(Step::CaCertificates {
        count: authorities.all().len(),
        ca: authorities.ca().map(subject_of),
        fingerprint: found.map(hex::encode),
        checked: expected.is_some(),
        recipient: authorities.recipient().map(subject_of).unwrap_or_else(|| "nobody".to_owned()),
    });
    Ok(authorities)
}

/// What stays the same over all messages of one transaction.
struct Conversation<'a> {
    server: &'a Server,
    authorities: &'a CaCertificates,
    recipient: &'a Certificate,
    signer: &'a Certificate,
    /// What a CertPoll asks.
    poll: &'a IssuerAndSubject,
    signing_key: &'a DeviceKey,
    transaction_id: &'a TransactionId,
    sealing: Sealing,
    legacy: LegacyAlgorithms,
    use_get: bool,
    polling: Polling,
    polls: u32,
}

impl Conversation<'_> {
    /// Asks, and polls as long as the answer is PENDING and questions are left.
    async fn until_decided(
        &mut self,
        ask: Ask<'_>,
        progress: &mut (dyn FnMut(Step) + Send),
    ) -> Result<SealedReply, EnrolError> {
        let mut ask = ask;
        loop {
            match self.once(ask, progress).await? {
                Outcome::Decided(sealed) => return Ok(sealed),
                Outcome::Pending => {
                    let wait = self.polling.interval;
                    let (poll, most) = (self.next_poll()?, self.polling.most);
                    progress(Step::Pending { poll, most, wait });
                    tokio::time::sleep(wait).await;
                    ask = Ask::CertPoll(self.poll);
                }
                // Nothing was decided: the same is asked again.
                Outcome::Busy { retry_after, said } => {
                    let wait = self.polling.interval.max(retry_after.unwrap_or_default());
                    let poll = self.next_poll().map_err(|_| EnrolError::Status {
                        operation: "PKIOperation",
                        status: 503,
                        meaning: "the server is busy or not ready; try later",
                        said,
                    })?;
                    progress(Step::Busy { poll, wait });
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    fn next_poll(&mut self) -> Result<u32, EnrolError> {
        if self.polls >= self.polling.most {
            return Err(EnrolError::StillPending {
                polls: self.polls,
                transaction_id: self.transaction_id.clone(),
            });
        }
        self.polls += 1;
        Ok(self.polls)
    }

    /// One message and its answer.
    async fn once(
        &self,
        ask: Ask<'_>,
        progress: &mut (dyn FnMut(Step) + Send),
    ) -> Result<Outcome, EnrolError> {
        let sender_nonce = Nonce::random()?;
        let outgoing = Outgoing {
            ask,
            transaction_id: self.transaction_id,
            sender_nonce: &sender_nonce,
            signer: self.signer,
            recipient: self.recipient,
            sealing: self.sealing,
        };
        let message = outgoing
            .to_be_signed()?
            .sign_with(|bytes| self.signing_key.sign(self.sealing.digest, bytes))?;
        progress(Step::Sent {
            message: match ask {
                Ask::PkcsReq(_) => "PKCSReq",
                Ask::RenewalReq(_) => "RenewalReq",
                Ask::CertPoll(_) => "CertPoll",
                Ask::GetCert(_) => "GetCert",
                Ask::GetCrl(_) => "GetCRL",
            },
            bytes: message.len(),
            method: if self.use_get { "GET" } else { "POST" },
            transaction_id: self.transaction_id.clone(),
        });
        let answer = if self.use_get {
            self.server.get("PKIOperation", Some(&message)).await?
        } else {
            self.server.post("PKIOperation", message).await?
        };
        let body = match answer {
            Answer::Body(body) => body,
            Answer::Busy { retry_after, said } => return Ok(Outcome::Busy { retry_after, said }),
        };
        let expected = Expected {
            transaction_id: self.transaction_id,
            sender_nonce: &sender_nonce,
            responders: self.authorities.all(),
            legacy: self.legacy,
        };
        match Reply::read(&body, &expected)? {
            Reply::Success(sealed) => Ok(Outcome::Decided(sealed)),
            Reply::Pending => Ok(Outcome::Pending),
            Reply::Failure { fail_info, text } => Err(EnrolError::Refused { fail_info, text }),
        }
    }
}

enum Outcome {
    Decided(SealedReply),
    Pending,
    Busy { retry_after: Option<Duration>, said: String },
}

fn open(sealed: &SealedReply, signer: &Certificate, key: &DeviceKey) -> Result<Bundle, EnrolError> {
    let content_key = key.unwrap(&sealed.addressed_to(signer)?)?;
    Ok(sealed.open(&content_key)?)
}

/// SHA-1 is never signed with, whatever an old server offers: most take SHA-256 all the same.
fn sealing(capabilities: &Capabilities, progress: &mut (dyn FnMut(Step) + Send)) -> Sealing {
    let mut sealing = Sealing::for_server(capabilities);
    if sealing.digest == DigestAlgorithm::Sha1 {
        sealing.digest = DigestAlgorithm::Sha256;
        progress(Step::Notice(
            "the server offers no digest but SHA-1; signing with SHA-256".to_owned(),
        ));
    }
    sealing
}

fn legacy(old_algorithms: bool) -> LegacyAlgorithms {
    if old_algorithms { LegacyAlgorithms::EVERYTHING } else { LegacyAlgorithms::default() }
}

fn self_signed(
    names: &[countersign_profile::Name],
    key: &DeviceKey,
) -> Result<Certificate, EnrolError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let validity = Validity {
        not_before: now.saturating_sub(BACKDATED),
        not_after: now.saturating_add(SELF_SIGNED_LIFE),
    };
    Ok(SelfSigned { names, validity }.sign(key)?)
}

fn bits(key: &DeviceKey) -> u32 {
    countersign_profile::PublicKey::from_spki_der(key.spki_der())
        .map_or(0, |key| key.algorithm().bits())
}

/// The subject as text, or that it has none that could be shown.
pub(super) fn subject_of(certificate: &Certificate) -> String {
    countersign_profile::Certificate::parse(certificate.der())
        .ok()
        .and_then(|certificate| certificate.subject().ok())
        .map_or_else(|| "a name that cannot be read".to_owned(), |subject| subject.to_string())
}

fn serial_octets(certificate: &Certificate) -> Vec<u8> {
    countersign_profile::Certificate::parse(certificate.der())
        .map(|certificate| certificate.serial().to_vec())
        .unwrap_or_default()
}

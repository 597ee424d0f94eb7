//! Station `open`: the outer signature, the envelope, the CSR and its self-signature, and that one
//! key made both. Never lets one failure after the unwrap look different from another (zone A).

use countersign_keys::{CepKey, Deadline, TokenError};
use countersign_profile::{Certificate as ProfileCertificate, Csr, LegacyDigests};
use countersign_scep::{Certificate, FailInfo, Refused, Request, RequestData, RequestType};
use std::sync::Arc;
use std::time::Duration;

use crate::arrival::Conclusion;
use crate::receive::Received;

/// How long opening one envelope may take before the device is told to come again.
const UNWRAP: Duration = Duration::from_secs(5);

/// A request whose signature holds and whose envelope is open. Only this station makes one.
#[derive(Debug)]
pub struct Opened {
    received: Received,
    request: Request,
    content: Content,
}

/// What was in the envelope of a message type that is served.
#[derive(Debug)]
pub(crate) enum Content {
    /// A PKCS#10 signed by the key that signed the message: a first enrolment.
    Initial(Arc<Csr>),
    /// A poll: which enrolment, only the transaction and the signer tell.
    Poll,
}

/// The CEP keys: the current one first, then former ones of a roll-over.
#[derive(Debug)]
pub struct Opener {
    keys: Vec<(CepKey, Certificate)>,
}

impl Opener {
    /// An opener with these keys and their certificates, the current one first.
    #[must_use]
    pub fn new(keys: Vec<(CepKey, Certificate)>) -> Self {
        Self { keys }
    }

    /// The current certificate: what GetCACert hands out.
    #[must_use]
    pub fn certificate(&self) -> Option<&Certificate> {
        self.keys.first().map(|(_, certificate)| certificate)
    }
}

/// Opens a message.
///
/// # Errors
/// The conclusion for the device; after the unwrap there is exactly one.
pub(crate) async fn open(received: Received, opener: &Opener) -> Result<Opened, Conclusion> {
    let profile = &received.arrival().profile;
    let request = received.message().verify(&profile.legacy).map_err(before_unwrap)?;
    match request.kind() {
        RequestType::PkcsReq if is_from(request.signer(), &profile.issuing_certificate) => {
            return Err(not_served("renewal-by-pkcsreq-not-served"));
        }
        RequestType::PkcsReq | RequestType::CertPoll => {}
        RequestType::RenewalReq => return Err(not_served("renewal-not-served")),
        RequestType::GetCert => return Err(not_served("getcert-not-served")),
        RequestType::GetCrl => return Err(not_served("getcrl-not-served")),
    }
    let addressed = request
        .envelope()
        .addressed_to(opener.keys.iter().map(|(_, certificate)| certificate))
        .map_err(before_unwrap)?;
    let Some((key, _)) = opener.keys.get(addressed.certificate) else {
        return Err(before_unwrap(Refused::NoRecipient));
    };
    let content_key = key
        .unwrap_content_key(
            transport(addressed.transport)?,
            addressed.encrypted_key.to_vec(),
            addressed.content_key_len,
            Deadline::after(UNWRAP),
        )
        .await
        .map_err(|error| token_failed(&error))?;

    // Zone A begins: one failure, whatever the cause.
    let data = request.open(content_key.as_bytes()).map_err(|_| zone_a())?;
    let content = match data {
        RequestData::Pkcs10(csr) => {
            if !request.is_signed_with_key_of(&csr) {
                return Err(zone_a());
            }
            Content::Initial(Arc::from(csr))
        }
        RequestData::IssuerAndSubject(_) => Content::Poll,
        // Refused by type above; an answer of its own here would tell that the envelope opened.
        RequestData::IssuerAndSerial(_) => return Err(zone_a()),
    };
    Ok(Opened { received, request, content })
}

impl Opened {
    /// The station before.
    #[must_use]
    pub fn received(&self) -> &Received {
        &self.received
    }

    /// The verified request.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    pub(crate) fn content(&self) -> &Content {
        &self.content
    }

    /// SHA-256 of the public key that signed the message.
    pub(crate) fn signer_sha256(&self) -> [u8; 32] {
        sha256(self.request.signer().spki_der())
    }
}

pub(crate) fn sha256(octets: &[u8]) -> [u8; 32] {
    let mut out = [0_u8; 32];
    out.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, octets).as_ref());
    out
}

/// Whether the signer's certificate comes from the profile's CA: then the message is a renewal,
/// whatever its type says (Apple, sscep and certmonger renew so).
fn is_from(signer: &Certificate, issuer: &ProfileCertificate) -> bool {
    let Ok(signer) = ProfileCertificate::parse(signer.der()) else {
        return false;
    };
    signer.issuer_der() == issuer.subject_der()
        && signer.verify_signed_by(issuer, LegacyDigests::Refused).is_ok()
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn before_unwrap(refused: Refused) -> Conclusion {
    Conclusion::Failure {
        fail_info: refused.fail_info(),
        text: None,
        code: refused.code().to_owned(),
    }
}

fn not_served(code: &str) -> Conclusion {
    Conclusion::refused(code)
}

fn zone_a() -> Conclusion {
    Conclusion::Failure {
        fail_info: FailInfo::BadMessageCheck,
        text: None,
        code: "not-opened".to_owned(),
    }
}

fn token_failed(error: &TokenError) -> Conclusion {
    Conclusion::busy(30, format!("the token of CEP: {error}"))
}

/// The same transport in the words of the keys.
fn transport(
    transport: countersign_scep::KeyTransport,
) -> Result<countersign_keys::KeyTransport, Conclusion> {
    use countersign_profile::DigestAlgorithm;
    use countersign_scep::KeyTransport as Asked;

    match transport {
        Asked::Pkcs1v15 => Ok(countersign_keys::KeyTransport::Pkcs1v15),
        Asked::Oaep { digest: DigestAlgorithm::Sha1 } => {
            Ok(countersign_keys::KeyTransport::OaepSha1)
        }
        Asked::Oaep { digest: DigestAlgorithm::Sha256 } => {
            Ok(countersign_keys::KeyTransport::OaepSha256)
        }
        Asked::Oaep { digest: DigestAlgorithm::Sha384 | DigestAlgorithm::Sha512 } => {
            Err(Conclusion::Failure {
                fail_info: FailInfo::BadAlg,
                text: None,
                code: "algorithm".to_owned(),
            })
        }
    }
}

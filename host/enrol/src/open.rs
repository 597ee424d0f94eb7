//! Station `open`: the outer signature, the envelope, the CSR and its self-signature, and that one
//! key made both. Never lets one failure after the unwrap look different from another (zone A).

use countersign_keys::{CepKey, Deadline, TokenError};
use countersign_profile::{Certificate as ProfileCertificate, Csr, LegacyDigests, is_issued_by};
use countersign_scep::{
    Certificate, FailInfo, IssuerAndSerial, Refused, Request, RequestData, RequestType,
};
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

use crate::arrival::Conclusion;
use crate::profile::Profile;
use crate::receive::Received;
use crate::zone_a::{Place, Stay, ZoneA};

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
    /// A PKCS#10, and the certificate of the profile's CA that signed the message.
    Renewal {
        csr: Arc<Csr>,
        current: Box<ProfileCertificate>,
        /// What opened the envelope, for `verify`.
        content_key: Zeroizing<Vec<u8>>,
    },
    /// A poll: which enrolment, only the transaction and the signer tell.
    Poll,
    /// The name of a certificate. Still inside zone A: whether there is such a certificate must not
    /// tell that the envelope opened.
    GetCert { asked: IssuerAndSerial, stay: Stay },
    /// The revocation list; a profile has one CA, so there is nothing to open.
    GetCrl,
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
///
/// Cheapest first: what needs no private key refuses before the one operation that does.
pub(crate) async fn open(
    received: Received,
    opener: &Opener,
    zone_a: &ZoneA,
    place: &mut Place,
) -> Result<Opened, Conclusion> {
    let source = received.arrival().source;
    zone_a.message(source)?;
    let profile = &received.arrival().profile;
    let request = received.message().verify(&profile.legacy).map_err(before_unwrap)?;
    let current = match request.kind() {
        RequestType::RenewalReq => Some(renewing(&request, profile)?),
        // Apple, sscep, certmonger and jscep renew with a PKCSReq: whose certificate signed tells.
        RequestType::PkcsReq if is_from(request.signer(), &profile.issuing_certificate) => {
            Some(renewing(&request, profile)?)
        }
        RequestType::PkcsReq | RequestType::GetCert => None,
        // Nothing in a poll's envelope is needed, nor in that of a GetCRL, so they stay closed:
        // whether somebody else's envelope opens as one would tell what lies in it.
        RequestType::CertPoll => {
            return Ok(Opened { received, request, content: Content::Poll });
        }
        RequestType::GetCrl => {
            return Ok(Opened { received, request, content: Content::GetCrl });
        }
    };
    let addressed = request
        .envelope()
        .addressed_to(opener.keys.iter().map(|(_, certificate)| certificate))
        .map_err(before_unwrap)?;
    let Some((key, _)) = opener.keys.get(addressed.certificate) else {
        return Err(before_unwrap(Refused::NoRecipient));
    };
    let transport = transport(addressed.transport)?;
    let stay = zone_a.enter(source, addressed.certificate)?;
    let content_key = key
        .unwrap_content_key(
            transport,
            addressed.encrypted_key.to_vec(),
            addressed.content_key_len,
            Deadline::after(UNWRAP),
        )
        .await
        .map_err(|error| token_failed(&error))?;
    match content_of(&request, current.as_deref(), content_key.as_bytes()) {
        Some(Inside::Request(csr)) => {
            stay.succeed();
            let content = match current {
                None => Content::Initial(csr),
                Some(current) => Content::Renewal {
                    csr,
                    current,
                    content_key: Zeroizing::new(content_key.as_bytes().to_vec()),
                },
            };
            Ok(Opened { received, request, content })
        }
        Some(Inside::Name(asked)) => {
            Ok(Opened { received, request, content: Content::GetCert { asked, stay } })
        }
        None => {
            // Nothing large waits in the zone.
            drop((received, request, content_key));
            Err(stay.fail(place).await)
        }
    }
}

/// What lies in the envelope, if it is what its message type needs: nothing else is said about it
/// (zone A).
fn content_of(
    request: &Request,
    current: Option<&ProfileCertificate>,
    content_key: &[u8],
) -> Option<Inside> {
    match request.open(content_key).ok()? {
        // A renewal proves the old key, so the new one may be another; its own signature holds.
        RequestData::Pkcs10(csr) if current.is_some() || request.is_signed_with_key_of(&csr) => {
            Some(Inside::Request(Arc::from(csr)))
        }
        RequestData::IssuerAndSerial(asked) => Some(Inside::Name(asked)),
        // The last one was concluded by type above; an answer of its own here would tell that the
        // envelope opened.
        RequestData::Pkcs10(_) | RequestData::IssuerAndSubject(_) => None,
    }
}

enum Inside {
    Request(Arc<Csr>),
    Name(IssuerAndSerial),
}

/// The current certificate of a renewal, as far as it can be judged before any private-key work:
/// the profile renews, its CA issued the certificate, and the signature is not over SHA-1, for which
/// there is a switch of its own: a renewal has no challenge behind it (RFC 8894 §7.9).
fn renewing(request: &Request, profile: &Profile) -> Result<Box<ProfileCertificate>, Conclusion> {
    if !profile.renews {
        return Err(Conclusion::refused("renewal-not-served"));
    }
    if request.is_signed_over_sha1() && !profile.sha1_renewals {
        return Err(Conclusion::Failure {
            fail_info: FailInfo::BadAlg,
            text: None,
            code: "renewal-over-sha1".to_owned(),
        });
    }
    let current = ProfileCertificate::parse(request.signer().der())
        .map_err(|_| Conclusion::refused("renewal-unreadable"))?;
    is_issued_by(&current, &profile.issuing_certificate)
        .map_err(|refusal| Conclusion::refused(refusal.code))?;
    Ok(Box::new(current))
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

    /// What was in the envelope; a later call finds a poll's emptiness.
    pub(crate) fn take_content(&mut self) -> Content {
        std::mem::replace(&mut self.content, Content::Poll)
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

//! A SCEP client: good enough to try any server with, and to be the device of the demo.
//!
//! It goes GetCACaps → GetCACert → PKCSReq or RenewalReq → CertPoll, or asks for what is there already
//! (CertPoll, GetCert, GetCRL), tells each step, and believes
//! an answer only if a certificate of GetCACert signed it, nonce and transaction fit, and the
//! certificate in it is for our key. Files, terminals and prompts are its caller's.

mod error;
mod exchange;
mod http;
mod step;

use std::time::Duration;

use countersign_profile::Name;
use countersign_scep::client::{DeviceKey, KeySize};
use countersign_scep::{Certificate, TransactionId};
use url::Url;
use zeroize::Zeroizing;

pub(crate) use error::EnrolError;
pub(crate) use step::Step;

/// What is to be enrolled, where, and how. Without `Debug`: it holds the challenge.
pub(crate) struct EnrolOptions {
    /// The server, without a query: `http://127.0.0.1:8085/scep/wifi`.
    pub(crate) url: Url,
    /// Attributes become the subject in this order, the others subjectAltNames.
    pub(crate) names: Vec<Name>,
    /// The challenge password.
    pub(crate) challenge: Option<Zeroizing<String>>,
    /// The key that the certificate is for.
    pub(crate) key: KeySource,
    /// Present for a renewal: what the request is signed with.
    pub(crate) renewal: Option<Current>,
    /// What is asked first.
    pub(crate) asking: Asking,
    /// SHA-256 that the CA's certificate must have. Without it nothing vouches for the server.
    pub(crate) ca_fingerprint: Option<[u8; 32]>,
    /// The transaction ID; the hash of the public key if nobody says (RFC 8894 §3.2.1.1).
    pub(crate) transaction_id: Option<TransactionId>,
    /// GET for PKIOperation even where the server takes POST.
    pub(crate) use_get: bool,
    /// Read replies under SHA-1 and Triple DES, as old servers write them.
    pub(crate) old_algorithms: bool,
    /// How a pending request is asked for.
    pub(crate) polling: Polling,
    /// PEM of the roots that an HTTPS server's certificate must lead to.
    pub(crate) roots_pem: Option<Vec<u8>>,
    /// How long one HTTP exchange may take.
    pub(crate) timeout: Duration,
}

/// What is asked first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Asking {
    /// For a certificate: PKCSReq, or RenewalReq where there is a current certificate.
    #[default]
    Request,
    /// For the next certificate by a PKCSReq that the current one signs, as Apple's clients do.
    RenewalByPkcsReq,
    /// What became of an earlier request: CertPoll.
    Poll,
    /// For a certificate of our key that was issued before: GetCert, by the content octets of its
    /// serial number.
    Certificate(Vec<u8>),
}

/// Where the key comes from.
#[derive(Debug)]
pub(crate) enum KeySource {
    /// It is made.
    Generate(KeySize),
    /// It is there.
    Existing(DeviceKey),
}

/// A certificate in use, and its key.
#[derive(Debug)]
pub(crate) struct Current {
    /// The certificate that is to be renewed.
    pub(crate) certificate: Certificate,
    /// Its key.
    pub(crate) key: DeviceKey,
}

/// How a pending request, or a server that is busy, is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Polling {
    /// Time between two questions; a server's Retry-After can make it longer.
    pub(crate) interval: Duration,
    /// Questions beside the first; 0 gives up at the first PENDING.
    pub(crate) most: u32,
}

impl EnrolOptions {
    /// A first enrolment with a new RSA-2048 key and no challenge.
    pub(crate) fn new(url: Url, names: Vec<Name>) -> Self {
        Self {
            url,
            names,
            challenge: None,
            key: KeySource::Generate(KeySize::Rsa2048),
            renewal: None,
            asking: Asking::default(),
            ca_fingerprint: None,
            transaction_id: None,
            use_get: false,
            old_algorithms: false,
            polling: Polling::default(),
            roots_pem: None,
            timeout: Duration::from_secs(30),
        }
    }
}

impl Default for Polling {
    fn default() -> Self {
        Self { interval: Duration::from_secs(10), most: 30 }
    }
}

/// What an enrolment gave.
#[derive(Debug)]
pub(crate) struct Enrolled {
    /// The certificate, DER. Its key is ours.
    pub(crate) certificate_der: Vec<u8>,
    /// What else came with it, DER each, in the order of the answer.
    pub(crate) chain_der: Vec<Vec<u8>>,
    /// What GetCACert gave, DER each: not vouched for unless the fingerprint was checked.
    pub(crate) ca_der: Vec<Vec<u8>>,
    /// The transaction it was.
    pub(crate) transaction_id: TransactionId,
}

/// Enrols, telling each step as it is done.
///
/// # Errors
/// [`EnrolError`]; what it says about a refusal is what the server said.
pub(crate) async fn enrol(
    options: EnrolOptions,
    progress: &mut (dyn FnMut(Step) + Send),
) -> Result<Enrolled, EnrolError> {
    exchange::enrol(options, progress).await
}

/// Asks for the CA's revocation list (GetCRL), DER. Nothing but the server's word says whose it is:
/// verify it with the CA's certificate.
///
/// # Errors
/// As [`enrol`].
pub(crate) async fn revocation_list(
    options: EnrolOptions,
    progress: &mut (dyn FnMut(Step) + Send),
) -> Result<Vec<u8>, EnrolError> {
    exchange::revocation_list(options, progress).await
}

#[cfg(test)]
mod tests;

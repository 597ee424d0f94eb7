//! MS-WSTEP over HTTPS: what AD CS's Certificate Enrollment Web Service (CES) speaks.

mod letter;
mod read;
pub(crate) mod tls;
mod transport;
mod vocabulary;
mod write;
pub(crate) mod xml;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use countersign_profile::{Certificate, RevocationList};
use http::Uri;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

use crate::crl::CrlSource;
use crate::disposition::{Disposition, RequestId};
use crate::error::AuthorityError;
use crate::{Answer, Authority, Submission};

use self::read::Reply;
use self::transport::{Exchanged, Transport};
use self::write::{Envelope, Question, User};

/// Most bytes of one countersigned request. A PKCS#10 with attestation is some tens of kilobytes.
const MAX_REQUEST: usize = 256 << 10;
/// Most characters of a template's name; AD allows 64 for a common name.
const MAX_TEMPLATE: usize = 128;

/// How to reach a CA's enrolment web service.
pub struct WstepConfig {
    /// The service's exact address, `https://host/<CA>_CES_<kind>/service.svc/CES`. Only HTTPS.
    pub url: String,
    /// The roots that may have issued the service's TLS certificate, PEM. Nothing else is trusted.
    pub roots_pem: Vec<u8>,
    /// Who we are.
    pub authentication: Authentication,
    /// The deadline of one call, from name look-up to the last byte.
    pub timeout: Duration,
    /// The chain that devices get, PEM, issuing CA first.
    pub chain_pem: Vec<u8>,
    /// Where the CA publishes its CRL (`http://` or `https://`), if it is wanted from here.
    pub crl_url: Option<String>,
}

/// How we prove who we are to the service. Neither NTLM nor Kerberos is ever offered.
pub enum Authentication {
    /// A client certificate in TLS.
    ClientCertificate {
        /// The certificate and its intermediates, PEM.
        chain_pem: Vec<u8>,
        /// Its private key, PEM (PKCS#8, PKCS#1 or SEC1).
        key_pem: Zeroizing<Vec<u8>>,
    },
    /// A WS-Security UsernameToken in the SOAP header.
    UsernameToken {
        /// `DOMAIN\account` or `account@domain`.
        username: String,
        /// Its password.
        password: Zeroizing<String>,
    },
}

/// The connector to one CA's enrolment web service. Cheap to share behind an `Arc`; keeps its
/// connections alive.
pub struct Wstep {
    url: String,
    transport: Transport,
    user: Option<(String, Zeroizing<String>)>,
    chain: Vec<Vec<u8>>,
    crl: CrlSource,
}

impl Wstep {
    /// Reads and checks the configuration; connects to nothing yet.
    ///
    /// # Errors
    /// [`AuthorityError::Misconfigured`] with what to change.
    pub fn new(config: WstepConfig) -> Result<Self, AuthorityError> {
        let uri = https_uri(&config.url)?;
        let (chain, issuer) = read_chain(&config.chain_pem)?;
        let (user, client) = match config.authentication {
            Authentication::UsernameToken { username, password } => {
                if username.is_empty() || username.chars().any(char::is_control) {
                    return Err(AuthorityError::misconfigured(
                        "The user name for the CA is empty or holds control characters.",
                        "Write it as DOMAIN\\account or account@domain.",
                    ));
                }
                (Some((username, password)), None)
            }
            Authentication::ClientCertificate { chain_pem, key_pem } => {
                (None, Some((chain_pem, key_pem)))
            }
        };
        let transport = Transport::new(uri, &config.roots_pem, client, config.timeout)?;
        let crl =
            CrlSource::new(config.crl_url.as_deref(), &config.roots_pem, issuer, config.timeout)?;
        Ok(Self { url: config.url, transport, user, chain, crl })
    }

    async fn ask(&self, question: &Question<'_>) -> Result<Disposition, AuthorityError> {
        let message_id = new_message_id()?;
        let envelope = Envelope {
            message_id: &message_id,
            to: &self.url,
            user: self.user.as_ref().map(|(name, password)| User { name, password }),
            now: SystemTime::now(),
        };
        let message = write::write(&envelope, question).map_err(|error| {
            AuthorityError::unavailable(format!("the request could not be written: {error}"))
        })?;
        let Exchanged { status, is_soap, body } = self.transport.post(message).await?;
        tracing::debug!(%status, is_soap, bytes = body.len(), message_id, "the CA's web service answered");
        if !is_soap {
            return Err(transport::without_soap(status, &body));
        }
        match read::read(&body, &message_id) {
            Ok(Reply::Disposition(disposition)) if status.is_success() => Ok(disposition),
            Ok(Reply::Disposition(_)) => Err(AuthorityError::unknown(format!(
                "HTTP {status} around an answer that is not a fault"
            ))),
            Ok(Reply::Fault(error)) => Err(error),
            Err(detail) => Err(AuthorityError::unknown(format!("HTTP {status}: {detail}"))),
        }
    }
}

impl Authority for Wstep {
    fn submit<'a>(&'a self, submission: Submission<'a>) -> Answer<'a, Disposition> {
        Box::pin(async move {
            check_submission(&submission)?;
            self.ask(&Question::Issue { request: submission.cms, template: submission.template })
                .await
        })
    }

    fn poll(&self, request_id: RequestId) -> Answer<'_, Disposition> {
        Box::pin(async move {
            match self.ask(&Question::QueryTokenStatus(request_id)).await {
                // Asking changed nothing at the CA: it can simply be asked again.
                Err(AuthorityError::Unknown { detail }) => {
                    Err(AuthorityError::Unavailable { detail })
                }
                Ok(Disposition::Pending { request_id: other, .. }) if other != request_id => {
                    Err(AuthorityError::unavailable(format!(
                        "asked for request {request_id}, got an answer about {other}"
                    )))
                }
                answer => answer,
            }
        })
    }

    fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    fn crl(&self) -> Answer<'_, Arc<RevocationList>> {
        Box::pin(self.crl.list())
    }

    fn health(&self) -> Answer<'_, ()> {
        Box::pin(self.transport.reach())
    }
}

impl fmt::Debug for Wstep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Wstep")
            .field("url", &self.url)
            .field("user", &self.user.as_ref().map(|(name, _)| name))
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Authentication {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::ClientCertificate { .. } => "ClientCertificate",
            Self::UsernameToken { .. } => "UsernameToken",
        })
    }
}

/// Reads the body of an answer to the message with this ID, as [`Wstep`] does: public so that
/// recorded and invented answers can be tried on it.
///
/// # Errors
/// A fault as the error it stands for; [`AuthorityError::Unknown`] for what cannot be read.
pub fn read_wstep_answer(body: &[u8], message_id: &str) -> Result<Disposition, AuthorityError> {
    match read::read(body, message_id) {
        Ok(read::Reply::Disposition(disposition)) => Ok(disposition),
        Ok(read::Reply::Fault(fault)) => Err(fault),
        Err(detail) => Err(AuthorityError::Unknown { detail }),
    }
}

/// CES hands context items to the CA as lines of `name:value`: a line break in a value would be an
/// attribute of its own (`SAN:upn=…`).
fn check_submission(submission: &Submission<'_>) -> Result<(), AuthorityError> {
    let template = submission.template;
    if template.is_empty()
        || template.len() > MAX_TEMPLATE
        || template.chars().any(|character| character.is_control() || character == ':')
    {
        return Err(AuthorityError::misconfigured(
            format!(
                "Expected a template's name of 1 to {MAX_TEMPLATE} bytes without control characters or colons, found {template:?}."
            ),
            "Correct the profile's template; use the name, not the display name.",
        ));
    }
    if submission.cms.is_empty() || submission.cms.len() > MAX_REQUEST {
        return Err(AuthorityError::misconfigured(
            format!(
                "Expected a request of 1 to {MAX_REQUEST} bytes, found {}.",
                submission.cms.len()
            ),
            "Lower the profile's limit for the size of a request.",
        ));
    }
    Ok(())
}

fn https_uri(url: &str) -> Result<Uri, AuthorityError> {
    let wrong = |what: &str| {
        AuthorityError::misconfigured(
            format!("The CA's address is {what}: {url:?}."),
            "Write it as https://host/<CA>_CES_<Certificate or UsernamePassword>/service.svc/CES.",
        )
    };
    let parsed = url::Url::parse(url).map_err(|_| wrong("not a URL"))?;
    if parsed.scheme() != "https" {
        return Err(wrong("not HTTPS; the CA is reached over TLS only"));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(wrong("carrying credentials"));
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(wrong("carrying a query or fragment"));
    }
    url.parse().map_err(|_| wrong("not a URL"))
}

/// The chain, and its first certificate read.
fn read_chain(pem: &[u8]) -> Result<(Vec<Vec<u8>>, Certificate), AuthorityError> {
    let wrong = |what: String| {
        AuthorityError::misconfigured(
            what,
            "Give the issuing CA's certificate and those above it, PEM, issuing CA first.",
        )
    };
    let chain: Vec<Vec<u8>> = CertificateDer::pem_slice_iter(pem)
        .map(|certificate| certificate.map(|certificate| certificate.to_vec()))
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(format!("The CA's chain is not PEM: {error}.")))?;
    let first =
        chain.first().ok_or_else(|| wrong("The CA's chain holds no certificate.".into()))?;
    let issuer = Certificate::parse(first)
        .map_err(|error| wrong(format!("The issuing CA's certificate is not usable: {error}.")))?;
    Ok((chain, issuer))
}

/// `urn:uuid:` and a random UUID (RFC 4122 version 4).
fn new_message_id() -> Result<String, AuthorityError> {
    let mut bytes = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| AuthorityError::unavailable("the random generator failed"))?;
    let number = u128::from_be_bytes(bytes);
    let number = (number & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let text = format!("{number:032x}");
    let (a, rest) = text.split_at(8);
    let (b, rest) = rest.split_at(4);
    let (c, rest) = rest.split_at(4);
    let (d, e) = rest.split_at(4);
    Ok(format!("urn:uuid:{a}-{b}-{c}-{d}-{e}"))
}

#[cfg(test)]
mod tests;

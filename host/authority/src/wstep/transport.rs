//! One HTTPS exchange with the service, and what a failed one says about the request.
//!
//! The point of this module is to know whether a request left this host. hyper takes the body when
//! it is about to write it, and not before the connection and its TLS handshake stand; [`Letter`]
//! notes that moment, and a call that ends earlier takes the letter back so that it cannot leave
//! afterwards.

use std::error::Error as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, ClientConfig, RootCertStore};
use zeroize::Zeroizing;

use crate::error::AuthorityError;

use super::xml;

/// SOAP 1.2 (RFC 3902).
const SOAP_CONTENT_TYPE: &str = "application/soap+xml; charset=utf-8";
/// Shorter than IIS's two minutes: a connection that the server is about to close is not reused.
const IDLE: Duration = Duration::from_secs(30);
/// Connections kept when idle.
const MOST_IDLE: usize = 16;

const AT_HOME: u8 = 0;
const SENT: u8 = 1;
const TAKEN_BACK: u8 = 2;

/// Connections to one service.
pub(super) struct Transport {
    uri: Uri,
    client: Client<HttpsConnector<HttpConnector>, Letter>,
    timeout: Duration,
}

/// An answer, whatever its status.
pub(super) struct Exchanged {
    pub(super) status: StatusCode,
    pub(super) is_soap: bool,
    pub(super) body: Bytes,
}

impl Transport {
    pub(super) fn new(
        uri: Uri,
        roots_pem: &[u8],
        client: Option<(Vec<u8>, Zeroizing<Vec<u8>>)>,
        timeout: Duration,
    ) -> Result<Self, AuthorityError> {
        let tls = tls_config(roots_pem, client)?;
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(timeout));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_only()
            .enable_http1()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MOST_IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Self { uri, client, timeout })
    }

    /// Posts one message and reads the whole answer.
    pub(super) async fn post(
        &self,
        message: Zeroizing<Vec<u8>>,
    ) -> Result<Exchanged, AuthorityError> {
        let (letter, trace) = Letter::new(message);
        let mut request = Request::new(letter);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, http::HeaderValue::from_static(SOAP_CONTENT_TYPE));
        headers.insert(ACCEPT, http::HeaderValue::from_static("application/soap+xml"));

        let exchange = async {
            let response = self.client.request(request).await.map_err(Broken::Request)?;
            collect(response).await
        };
        match tokio::time::timeout(self.timeout, exchange).await {
            Ok(Ok(exchanged)) => Ok(exchanged),
            Ok(Err(broken)) => Err(broken.into_error(trace.take_back())),
            Err(_) if trace.take_back() => Err(AuthorityError::unavailable(format!(
                "no connection to {} within {:?}",
                self.host(),
                self.timeout
            ))),
            Err(_) => Err(AuthorityError::unknown(format!(
                "no answer from {} within {:?}",
                self.host(),
                self.timeout
            ))),
        }
    }

    /// Asks for the address without a message: whatever the service says to that, it is there and
    /// took our TLS.
    pub(super) async fn reach(&self) -> Result<(), AuthorityError> {
        let (letter, _) = Letter::new(Zeroizing::new(Vec::new()));
        let mut request = Request::new(letter);
        *request.uri_mut() = self.uri.clone();
        let exchange = async {
            let response = self.client.request(request).await.map_err(Broken::Request)?;
            collect(response).await
        };
        let answer = tokio::time::timeout(self.timeout, exchange).await;
        let status = match answer {
            Ok(Ok(exchanged)) => exchanged.status,
            // Nothing was submitted whatever happened.
            Ok(Err(broken)) => return Err(broken.into_error(true)),
            Err(_) => {
                return Err(AuthorityError::unavailable(format!(
                    "no answer from {} within {:?}",
                    self.host(),
                    self.timeout
                )));
            }
        };
        match status.as_u16() {
            301 | 302 | 303 | 307 | 308 | 401 | 403 | 404 | 429 | 503 => {
                Err(without_soap(status, &[]))
            }
            502 | 504 => Err(AuthorityError::unavailable(format!("HTTP {status}"))),
            // A service that wants a POST may answer a GET with 400, 405 or 500.
            _ => Ok(()),
        }
    }

    fn host(&self) -> &str {
        self.uri.authority().map_or("the CA", |authority| authority.as_str())
    }
}

/// What an answer that is not SOAP says about the request.
pub(super) fn without_soap(status: StatusCode, body: &[u8]) -> AuthorityError {
    match status.as_u16() {
        401 => AuthorityError::misconfigured(
            "The service asks for another kind of authentication (HTTP 401); NTLM and Kerberos are never used.",
            "Use the URL of a service with the configured kind: _CES_Certificate or _CES_UsernamePassword.",
        ),
        403 => AuthorityError::misconfigured(
            "The web server refused our TLS client certificate, or wants one (HTTP 403).",
            "Check that the client certificate is current, trusted by the web server, and mapped to an account.",
        ),
        404 | 405 | 410 => AuthorityError::misconfigured(
            format!("There is no enrolment web service at this address (HTTP {status})."),
            "Use the exact URL of the service.",
        ),
        // 303 says "done, look there": anything else sends the request elsewhere unprocessed.
        301 | 302 | 307 | 308 => AuthorityError::misconfigured(
            format!("The server redirects (HTTP {status}); a redirect is never followed."),
            "Use the address the service itself has.",
        ),
        411 | 413 | 414 | 415 | 431 => AuthorityError::misconfigured(
            format!("The web server or a proxy refused the form of our request (HTTP {status})."),
            "Check the limits of what stands between us and the service.",
        ),
        429 | 503 => AuthorityError::unavailable(format!(
            "the web server does not take requests now (HTTP {status})"
        )),
        _ => AuthorityError::unknown(format!(
            "HTTP {status} with {} bytes that are not SOAP",
            body.len()
        )),
    }
}

/// How an exchange broke.
enum Broken {
    Request(legacy::Error),
    Body(String),
}

impl Broken {
    fn into_error(self, never_left: bool) -> AuthorityError {
        let error = match self {
            Self::Body(detail) if never_left => return AuthorityError::unavailable(detail),
            Self::Body(detail) => return AuthorityError::unknown(detail),
            Self::Request(error) => error,
        };
        let told = chain_of(&error);
        match tls_error(&error) {
            Some(rustls::Error::InvalidCertificate(why)) => {
                return AuthorityError::misconfigured(
                    format!("The service's TLS certificate was refused: {why}."),
                    "Check the host name in the URL, the configured roots and the certificate's validity.",
                );
            }
            // With TLS 1.3 the server refuses our certificate after the handshake, so that the
            // request may be on its way; a server that refuses the handshake does not read it.
            Some(rustls::Error::AlertReceived(alert)) if refuses_client(*alert) => {
                return AuthorityError::misconfigured(
                    format!("The service refused our TLS client certificate: {alert:?}."),
                    "Check that the client certificate is current and issued by a CA the web server trusts.",
                );
            }
            _ => {}
        }
        if never_left || error.is_connect() {
            AuthorityError::unavailable(told)
        } else {
            AuthorityError::unknown(told)
        }
    }
}

async fn collect(response: Response<Incoming>) -> Result<Exchanged, Broken> {
    let status = response.status();
    let is_soap =
        response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(
            |value| {
                let media_type = value.split(';').next().unwrap_or_default().trim();
                media_type.eq_ignore_ascii_case("application/soap+xml")
            },
        );
    let body = Limited::new(response.into_body(), xml::MAX_BYTES)
        .collect()
        .await
        .map_err(|error| {
            Broken::Body(format!(
                "the answer (HTTP {status}) broke off or is longer than {} bytes: {error}",
                xml::MAX_BYTES
            ))
        })?
        .to_bytes();
    Ok(Exchanged { status, is_soap, body })
}

pub(super) fn tls_config(
    roots_pem: &[u8],
    client: Option<(Vec<u8>, Zeroizing<Vec<u8>>)>,
) -> Result<ClientConfig, AuthorityError> {
    let roots = read_roots(roots_pem)?;
    // aws-lc-rs' default suites are all authenticated encryption with ephemeral keys; TLS 1.2 and 1.3.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| AuthorityError::misconfigured(format!("TLS: {error}."), "Report this."))?
        .with_root_certificates(roots);
    let Some((chain_pem, key_pem)) = client else {
        return Ok(builder.with_no_client_auth());
    };
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&chain_pem).collect::<Result<_, _>>().map_err(|error| {
            AuthorityError::misconfigured(
                format!("The TLS client certificate for the CA is not PEM: {error}."),
                "Give the certificate and its intermediates, the client's own first.",
            )
        })?;
    // The error of a key file is not shown: it may quote what it read.
    let key = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|_| {
        AuthorityError::misconfigured(
            "The private key of the TLS client certificate is not a PEM key.",
            "Give an unencrypted PKCS#8, PKCS#1 or SEC1 key file, readable only by its process.",
        )
    })?;
    builder.with_client_auth_cert(chain, key).map_err(|error| {
        AuthorityError::misconfigured(
            format!("The TLS client certificate and key do not fit: {error}."),
            "Give the key that belongs to the certificate.",
        )
    })
}

fn read_roots(roots_pem: &[u8]) -> Result<RootCertStore, AuthorityError> {
    let wrong = |what: String| {
        AuthorityError::misconfigured(
            what,
            "Give the root that issued the service's TLS certificate, PEM. The system's roots are not used.",
        )
    };
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(roots_pem) {
        let root =
            root.map_err(|error| wrong(format!("The CA's TLS roots are not PEM: {error}.")))?;
        roots
            .add(root)
            .map_err(|error| wrong(format!("A TLS root for the CA is not usable: {error}.")))?;
    }
    if roots.is_empty() {
        return Err(wrong("No TLS root for the CA is configured.".into()));
    }
    Ok(roots)
}

/// The TLS error inside, if that is what went wrong. `io::Error` hides what it wraps from `source`.
fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        current = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

fn refuses_client(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
    )
}

fn chain_of(error: &legacy::Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        told.push_str(": ");
        told.push_str(&error.to_string());
        source = error.source();
    }
    told
}

/// The body of a request, which knows whether it left.
struct Letter {
    content: Option<Bytes>,
    state: Arc<AtomicU8>,
}

/// The sender's half of a [`Letter`].
struct Trace(Arc<AtomicU8>);

impl Letter {
    fn new(content: Zeroizing<Vec<u8>>) -> (Self, Trace) {
        let state = Arc::new(AtomicU8::new(AT_HOME));
        let letter = Self { content: Some(Bytes::from_owner(content)), state: Arc::clone(&state) };
        (letter, Trace(state))
    }
}

impl Trace {
    /// Takes the letter back; `true` when it had not left, and now never will.
    fn take_back(&self) -> bool {
        self.0.compare_exchange(AT_HOME, TAKEN_BACK, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

impl Body for Letter {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.state.swap(SENT, Ordering::SeqCst) == TAKEN_BACK {
            self.state.store(TAKEN_BACK, Ordering::SeqCst);
            self.content = None;
            return Poll::Ready(Some(Err(io::Error::other("the request was taken back"))));
        }
        Poll::Ready(self.content.take().map(|content| Ok(Frame::data(content))))
    }

    fn is_end_stream(&self) -> bool {
        self.content.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.content.as_ref().map_or(0, |content| content.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(letter: &mut Letter) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Pin::new(letter).poll_frame(&mut Context::from_waker(std::task::Waker::noop()))
    }

    #[test]
    fn a_letter_that_was_taken_back_never_leaves() {
        let (mut letter, trace) = Letter::new(Zeroizing::new(b"secret".to_vec()));
        assert!(trace.take_back());
        assert!(matches!(poll(&mut letter), Poll::Ready(Some(Err(_)))));
    }

    #[test]
    fn a_letter_that_left_cannot_be_taken_back() {
        let (mut letter, trace) = Letter::new(Zeroizing::new(b"secret".to_vec()));
        assert!(matches!(poll(&mut letter), Poll::Ready(Some(Ok(_)))));
        assert!(!trace.take_back());
    }
}

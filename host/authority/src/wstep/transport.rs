//! One HTTPS exchange with the service, and what a failed one says about the request.
//!
//! The point of this module is to know whether a request left this host. hyper takes the body when
//! it is about to write it, and not before the connection and its TLS handshake stand; [`Letter`]
//! notes that moment, and a call that ends earlier takes the letter back so that it cannot leave
//! afterwards.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use zeroize::Zeroizing;

use crate::error::AuthorityError;

use super::letter::Letter;
use super::{tls, xml};

/// SOAP 1.2 (RFC 3902).
const SOAP_CONTENT_TYPE: &str = "application/soap+xml; charset=utf-8";
/// Shorter than IIS's two minutes: a connection that the server is about to close is not reused.
const IDLE: Duration = Duration::from_secs(30);
/// Connections kept when idle.
const MOST_IDLE: usize = 16;

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
        let tls = tls::client_config(roots_pem, client)?;
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
        match tls::error_inside(&error) {
            Some(rustls::Error::InvalidCertificate(why)) => {
                return AuthorityError::misconfigured(
                    format!("The service's TLS certificate was refused: {why}."),
                    "Check the host name in the URL, the configured roots and the certificate's validity.",
                );
            }
            // With TLS 1.3 the server refuses our certificate after the handshake, so that the
            // request may be on its way; a server that refuses the handshake does not read it.
            Some(rustls::Error::AlertReceived(alert)) if tls::refuses_client(*alert) => {
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

//! HTTP as SCEP uses it (RFC 8894 §4.1): GET for all, POST for PKIOperation where both can.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use url::Url;

use super::error::EnrolError;
use crate::output;

/// Longest answer read; `Bounds::REPLY` of `countersign_scep` is no larger.
pub(super) const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

/// Characters of an error's body that are shown.
const SHOWN: usize = 200;

/// Longest URL that the `http` crate and most servers take.
const LONGEST_URL: usize = 32 * 1024;

/// Longest wait that a server's Retry-After can make.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// One server.
pub(super) struct Server {
    url: Url,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    timeout: Duration,
}

/// An answer of HTTP 200, or that the server is busy.
pub(super) enum Answer {
    /// The body.
    Body(Bytes),
    /// HTTP 503, with the Retry-After in it if there was one.
    Busy { retry_after: Option<Duration>, said: String },
}

impl Server {
    pub(super) fn new(
        url: &Url,
        roots_pem: Option<&[u8]>,
        timeout: Duration,
    ) -> Result<Self, EnrolError> {
        let useless = |why| EnrolError::Url { url: url.to_string(), why };
        match (url.scheme(), roots_pem) {
            ("http", _) | ("https", Some(_)) => {}
            ("https", None) => {
                return Err(EnrolError::Roots(
                    "an https URL needs --roots PEM: the roots that the server's certificate leads \
                     to; the system's roots are not used, so that nobody else's CA vouches for it"
                        .to_owned(),
                ));
            }
            _ => return Err(useless("it is neither http nor https")),
        }
        if !url.has_host() {
            return Err(useless("it names no host"));
        }
        if url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return Err(useless("it has a fragment, a user or a password"));
        }
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(timeout));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(roots_pem)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { url: url.clone(), client, timeout })
    }

    /// `GET ?operation=…`, with a message where there is one.
    pub(super) async fn get(
        &self,
        operation: &'static str,
        message: Option<&[u8]>,
    ) -> Result<Answer, EnrolError> {
        let mut url = self.url.clone();
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("operation", operation);
            if let Some(message) = message {
                // Percent-encodes `+`, `/` and `=`, which servers decode alike.
                let text = base64::engine::general_purpose::STANDARD.encode(message);
                query.append_pair("message", &text);
            }
        }
        let length = url.as_str().len();
        if length > LONGEST_URL {
            return Err(EnrolError::TooLongForGet(length));
        }
        self.exchange(operation, &url, Method::GET, Bytes::new()).await
    }

    /// `POST ?operation=PKIOperation` with the message as body.
    pub(super) async fn post(
        &self,
        operation: &'static str,
        message: Vec<u8>,
    ) -> Result<Answer, EnrolError> {
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("operation", operation);
        self.exchange(operation, &url, Method::POST, message.into()).await
    }

    async fn exchange(
        &self,
        operation: &'static str,
        url: &Url,
        method: Method,
        body: Bytes,
    ) -> Result<Answer, EnrolError> {
        let uri: Uri = url.as_str().parse().map_err(|_| EnrolError::Url {
            url: self.url.to_string(),
            why: "it cannot be written into a request",
        })?;
        let mut request = Request::new(Full::new(body));
        if method == Method::POST {
            let kind = HeaderValue::from_static("application/x-pki-message");
            request.headers_mut().insert(CONTENT_TYPE, kind);
        }
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let whole = async {
            let response = self
                .client
                .request(request)
                .await
                .map_err(|error| self.broken(operation, &error))?;
            let status = response.status().as_u16();
            let retry_after = response
                .headers()
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok()?.trim().parse().ok())
                .map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT));
            let body = Limited::new(response.into_body(), LONGEST_ANSWER)
                .collect()
                .await
                .map_err(|error| EnrolError::Body {
                    operation,
                    limit: LONGEST_ANSWER,
                    detail: error.to_string(),
                })?
                .to_bytes();
            match status {
                200 => Ok(Answer::Body(body)),
                503 => Ok(Answer::Busy { retry_after, said: excerpt(&body) }),
                _ => Err(EnrolError::Status {
                    operation,
                    status,
                    meaning: meaning(status),
                    said: excerpt(&body),
                }),
            }
        };
        tokio::time::timeout(self.timeout, whole).await.unwrap_or_else(|_| {
            Err(EnrolError::NotReachable {
                operation,
                host: self.host(),
                detail: format!("nothing within {} s", self.timeout.as_secs()),
            })
        })
    }

    fn host(&self) -> String {
        let port = self.url.port_or_known_default().unwrap_or_default();
        format!("{}:{port}", self.url.host_str().unwrap_or_default())
    }

    fn broken(&self, operation: &'static str, error: &legacy::Error) -> EnrolError {
        let mut detail = error.to_string();
        let mut current: Option<&(dyn std::error::Error + 'static)> = error.source();
        while let Some(cause) = current {
            detail = cause.to_string();
            let wrapped = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            if wrapped.is_some_and(|inner| inner.is::<rustls::Error>()) {
                return EnrolError::Tls { host: self.host(), detail };
            }
            current = cause.source();
        }
        EnrolError::NotReachable { operation, host: self.host(), detail }
    }
}

fn tls(roots_pem: Option<&[u8]>) -> Result<ClientConfig, EnrolError> {
    let mut roots = RootCertStore::empty();
    if let Some(pem) = roots_pem {
        for root in CertificateDer::pem_slice_iter(pem) {
            let root =
                root.map_err(|error| EnrolError::Roots(format!("--roots is not PEM: {error}")))?;
            roots.add(root).map_err(|error| EnrolError::Roots(format!("--roots: {error}")))?;
        }
        if roots.is_empty() {
            return Err(EnrolError::Roots(
                "--roots holds no certificate; expected PEM with the server's root".to_owned(),
            ));
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| EnrolError::Roots(format!("TLS: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// What a status says about the request, beside its number.
fn meaning(status: u16) -> &'static str {
    match status {
        300..=399 => {
            "the server redirects, which a SCEP client does not follow; use the address it names"
        }
        400 => "the server could not read the request as SCEP",
        401 | 403 => {
            "the server, or a proxy before it, wants to know who we are; SCEP has no way to say"
        }
        404 | 410 => "there is no SCEP service at this path; check the profile in the URL",
        405 => "this method is not taken; try --get",
        408 => "the server gave up waiting for the request",
        411 | 413 | 414 | 431 => {
            "the server, or a proxy before it, does not take a request of this size"
        }
        415 => "the server does not take application/x-pki-message",
        429 => "too many requests; try later",
        500..=599 => "the server failed",
        _ => "not an answer of SCEP",
    }
}

/// The start of an error's body, made safe for a terminal.
fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..body.len().min(4 * SHOWN)).unwrap_or_default());
    let text: String = text.trim().chars().take(SHOWN).collect();
    if text.is_empty() { String::new() } else { format!(" ({})", output::escaped(&text)) }
}

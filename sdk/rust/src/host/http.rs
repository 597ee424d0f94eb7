use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Backend, HttpError};
use crate::Bytes;

/// Requests over HTTPS to the hosts that were granted, whole and buffered. See
/// [`Host::http`](super::Host::http).
///
/// The host looks names up itself, refuses private and local addresses that were not granted, checks
/// certificates, follows no redirects, and keeps every size and time bounded.
#[derive(Clone, Copy, Debug)]
pub struct Http<'a>(pub(super) &'a Backend);

impl Http<'_> {
    /// Sends a request and waits for the whole answer. A status of 400 or 500 is an answer, not an
    /// error.
    ///
    /// # Errors
    ///
    /// [`HttpError`], if there is no answer; `?` makes `unavailable` of it.
    pub fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.0.http_send(request)
    }
}

/// What to send.
///
/// ```
/// use countersign_sdk::HttpRequest;
///
/// let request = HttpRequest::get("https://api.example.com/devices/17").auth("mdm-api");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct HttpRequest {
    /// `GET`, `POST`, …, upper-case.
    pub method: String,
    /// Absolute, `https`.
    pub url: String,
    /// Names and values. `Authorization` is refused together with `auth`; `Host`, `Content-Length`
    /// and the fields of connections are the host's own.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// Shortened to what is left of the call.
    pub timeout: Option<Duration>,
    /// The name of a credential. The host puts it in, only towards the hosts that it was granted
    /// for; a plug-in never holds it.
    pub auth: Option<String>,
}

impl HttpRequest {
    /// A request without headers and body.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: Bytes::default(),
            timeout: None,
            auth: None,
        }
    }

    /// A `GET`.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// A `POST` with a body.
    pub fn post(url: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..Self::new("POST", url) }
    }

    /// A `POST` with a JSON body.
    ///
    /// # Errors
    ///
    /// [`HttpError::Other`], if the value has no JSON form.
    pub fn post_json(url: impl Into<String>, value: &impl Serialize) -> Result<Self, HttpError> {
        let body = serde_json::to_vec(value)
            .map_err(|error| HttpError::Other(format!("the body has no JSON form: {error}")))?;
        Ok(Self::post(url, body).header("content-type", "application/json"))
    }

    /// Adds a header field.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Has the host put a credential in.
    pub fn auth(mut self, credential: impl Into<String>) -> Self {
        self.auth = Some(credential.into());
        self
    }

    /// Waits no longer than this.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status.
    pub status: u16,
    /// Lower-case names, in the order they came.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl HttpResponse {
    /// An answer, for tests.
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// The first value of a header field; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Reads a JSON body.
    ///
    /// # Errors
    ///
    /// [`HttpError::Other`], if it is no JSON or does not fit the type; the text does not repeat the
    /// body.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let text = match error.classify() {
                serde_json::error::Category::Data => "does not fit the expected JSON",
                _ => "is no JSON",
            };
            HttpError::Other(format!("the answer {text} (line {line}, column {column})"))
        })
    }
}

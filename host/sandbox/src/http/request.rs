//! What a plug-in wants to send, read strictly: what is not understood is not sent.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use url::{Host, Url};

use super::{refusal::HttpRefusal, settings::HttpLimits};

const URL: usize = 8 * 1024;
const HEADERS: usize = 64;
const HEADER_BYTES: usize = 16 * 1024;

/// A request as the plug-in makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// `GET`, `POST`, ….
    pub method: String,
    /// Absolute.
    pub url: String,
    /// Without what the host puts in.
    pub headers: Vec<(String, String)>,
    /// As it is sent.
    pub body: Vec<u8>,
    /// How long the plug-in would wait.
    pub timeout: Option<std::time::Duration>,
    /// The name of the credential that the host puts in.
    pub auth: Option<String>,
}

/// An answer as the plug-in gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// Of HTTP.
    pub status: u16,
    /// Lower-case names, in the order they came.
    pub headers: Vec<(String, String)>,
    /// Whole.
    pub body: Vec<u8>,
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    pub(crate) host: Host<String>,
    pub(crate) port: u16,
}

/// A request that may be sent, if its target is granted.
#[derive(Clone)]
pub(crate) struct Outbound {
    pub(crate) target: Target,
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Neither headers nor body: either may hold a secret.
impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("target", &self.target).finish_non_exhaustive()
    }
}

impl Target {
    /// Of a URL that must be `https`, without user and password.
    pub(crate) fn of(url: &Url) -> Result<Self, HttpRefusal> {
        if url.scheme() != "https" {
            return Err(HttpRefusal::Denied(format!(
                "the URL's scheme is `{}`, and only `https` is sent",
                url.scheme()
            )));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(HttpRefusal::Denied(
                "the URL holds a user or password; use `auth` with a granted credential".into(),
            ));
        }
        match (url.host(), url.port_or_known_default()) {
            (Some(host), Some(port)) => Ok(Self { host: host.to_owned(), port }),
            _ => Err(HttpRefusal::Other("the URL names no host".into())),
        }
    }

    /// As in a `Host` field, and as in a grant.
    pub(crate) fn authority(&self) -> String {
        if self.port == 443 {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl Outbound {
    pub(crate) fn read(request: &HttpRequest, limits: &HttpLimits) -> Result<Self, HttpRefusal> {
        if request.url.len() > URL {
            return Err(HttpRefusal::Other(format!("a URL has at most {URL} bytes")));
        }
        // The text of the error is the parser's own and repeats nothing of the URL.
        let url = Url::parse(&request.url)
            .map_err(|error| HttpRefusal::Other(format!("the URL cannot be read: {error}")))?;
        let target = Target::of(&url)?;
        let method = method(&request.method)?;
        if request.body.len() > limits.request_bytes {
            return Err(HttpRefusal::Quota(format!(
                "the body has {} bytes, {} may be sent",
                request.body.len(),
                limits.request_bytes
            )));
        }
        let mut headers = headers(&request.headers, request.auth.is_some())?;
        let authority = HeaderValue::from_str(&target.authority())
            .map_err(|_| HttpRefusal::Other("the host is no header value".into()))?;
        headers.insert(header::HOST, authority);
        headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(concat!(
            "countersign/",
            env!("CARGO_PKG_VERSION")
        )));
        Ok(Self {
            target,
            method,
            path: path_and_query(&url)?,
            headers,
            body: Bytes::from(request.body.clone()),
        })
    }
}

/// Path and query of a URL, as a request line has them.
pub(crate) fn path_and_query(url: &Url) -> Result<Uri, HttpRefusal> {
    let mut path = url.path().to_owned();
    if let Some(query) = url.query() {
        path.push('?');
        path.push_str(query);
    }
    path.parse().map_err(|_| HttpRefusal::Other("the URL's path cannot be sent".into()))
}

fn method(text: &str) -> Result<Method, HttpRefusal> {
    match text {
        "GET" => Ok(Method::GET),
        "HEAD" => Ok(Method::HEAD),
        "POST" => Ok(Method::POST),
        "PUT" => Ok(Method::PUT),
        "PATCH" => Ok(Method::PATCH),
        "DELETE" => Ok(Method::DELETE),
        _ => Err(HttpRefusal::Denied(
            "the method is none of GET, HEAD, POST, PUT, PATCH and DELETE".into(),
        )),
    }
}

fn headers(given: &[(String, String)], with_auth: bool) -> Result<HeaderMap, HttpRefusal> {
    let bytes: usize = given.iter().map(|(name, value)| name.len() + value.len()).sum();
    if given.len() > HEADERS || bytes > HEADER_BYTES {
        return Err(HttpRefusal::Quota(format!(
            "at most {HEADERS} header fields of {HEADER_BYTES} bytes together can be sent"
        )));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let wrong = |what: &str| {
            HttpRefusal::Other(format!("the header field `{}` {what}", name.escape_debug()))
        };
        let field: HeaderName = name.parse().map_err(|_| wrong("has no name that can be sent"))?;
        if is_the_hosts_own(&field) {
            return Err(wrong("is the host's own"));
        }
        if with_auth && field == header::AUTHORIZATION {
            return Err(HttpRefusal::Denied(
                "`Authorization` is given together with `auth`: the host puts it in".into(),
            ));
        }
        let value = HeaderValue::from_str(value).map_err(|_| wrong("has no value for a header"))?;
        headers.append(field, value);
    }
    Ok(headers)
}

/// What frames a message or belongs to a connection: request smuggling begins here.
fn is_the_hosts_own(field: &HeaderName) -> bool {
    [
        header::HOST,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::UPGRADE,
        header::TE,
        header::TRAILER,
        header::EXPECT,
    ]
    .contains(field)
        || matches!(field.as_str(), "keep-alive" | "http2-settings")
        || field.as_str().starts_with("proxy-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(url: &str) -> HttpRequest {
        HttpRequest {
            method: "POST".into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: None,
            auth: None,
        }
    }

    fn read(request: &HttpRequest) -> Result<Outbound, HttpRefusal> {
        Outbound::read(request, &HttpLimits::default())
    }

    #[test]
    fn what_is_read_is_what_is_sent() {
        let mut asked = request("https://API.example.com:8443/a/../b?c=d#e");
        asked.headers = vec![("X-A".into(), "1".into()), ("x-a".into(), "2".into())];
        let sent = read(&asked).unwrap();
        assert_eq!(sent.target.authority(), "api.example.com:8443");
        assert_eq!(sent.path.to_string(), "/b?c=d");
        assert_eq!(sent.headers.get_all("x-a").iter().count(), 2);
        assert_eq!(sent.headers[header::HOST], "api.example.com:8443");
    }

    /// Fails when `Target::of` no longer looks at the scheme or at user and password.
    #[test]
    fn only_https_without_credentials_in_the_url_is_sent() {
        for url in [
            "http://api.example.com/",
            "ftp://api.example.com/",
            "file:///etc/passwd",
            "https://user@api.example.com/",
            "https://user:pass@api.example.com/",
        ] {
            let refused = read(&request(url)).unwrap_err();
            assert!(matches!(refused, HttpRefusal::Denied(_)), "{url}: {refused}");
            assert!(!refused.to_string().contains("pass@"), "{refused}");
        }
        for url in ["", "/relative", "https://", "https://[::1", "https://a b/"] {
            assert!(read(&request(url)).is_err(), "{url}");
        }
    }

    /// Fails when a field is taken from `is_the_hosts_own`.
    #[test]
    fn fields_that_frame_the_message_are_the_hosts_own() {
        for name in [
            "Host",
            "content-length",
            "Transfer-Encoding",
            "connection",
            "Keep-Alive",
            "upgrade",
            "te",
            "trailer",
            "expect",
            "proxy-authorization",
            "HTTP2-Settings",
            "bad name",
            "",
        ] {
            let mut asked = request("https://api.example.com/");
            asked.headers.push((name.into(), "x".into()));
            assert!(matches!(read(&asked), Err(HttpRefusal::Other(_))), "{name}");
        }
        let mut split = request("https://api.example.com/");
        split.headers.push(("x-a".into(), "1\r\nhost: evil".into()));
        assert!(read(&split).is_err());
    }

    /// Fails when the check of `with_auth` in `headers` is removed.
    #[test]
    fn authorization_comes_from_the_plug_in_or_from_the_host_never_from_both() {
        let mut asked = request("https://api.example.com/");
        asked.headers.push(("AUTHORIZATION".into(), "Bearer own".into()));
        assert!(read(&asked).is_ok());
        asked.auth = Some("api".into());
        assert!(matches!(read(&asked), Err(HttpRefusal::Denied(_))));
    }

    #[test]
    fn what_is_sent_is_bounded() {
        let mut many = request("https://api.example.com/");
        many.headers = vec![("x-a".into(), "1".into()); HEADERS + 1];
        let mut long = request("https://api.example.com/");
        long.headers = vec![("x-a".into(), "1".repeat(HEADER_BYTES))];
        let mut large = request("https://api.example.com/");
        large.body = vec![0; HttpLimits::default().request_bytes + 1];
        for asked in [many, long, large] {
            assert!(matches!(read(&asked), Err(HttpRefusal::Quota(_))));
        }
        let mut verb = request("https://api.example.com/");
        for method in ["CONNECT", "TRACE", "post", "", "GET /"] {
            verb.method = method.into();
            assert!(matches!(read(&verb), Err(HttpRefusal::Denied(_))), "{method}");
        }
    }
}

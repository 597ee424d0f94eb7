//! An HTTPS client: device managements that call us do it with one like this.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Somebody who calls a server and trusts only some roots.
#[derive(Clone)]
pub struct Client {
    authority: String,
    tls: Arc<ClientConfig>,
    headers: Vec<(String, String)>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("authority", &self.authority).finish_non_exhaustive()
    }
}

/// What came back, whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// A header field's first value, where it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    /// A client of `authority` (`127.0.0.1:8443`), which must have a certificate below `roots` (PEM).
    ///
    /// # Panics
    /// Where there are no roots in it.
    #[must_use]
    pub fn new(authority: &str, roots: &[u8]) -> Self {
        let mut store = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(roots) {
            store.add(root.expect("PEM certificates")).expect("a certificate");
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider's own versions")
            .with_root_certificates(store)
            .with_no_client_auth();
        Self { authority: authority.to_owned(), tls: Arc::new(config), headers: Vec::new() }
    }

    /// Sends this header field with every request.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Logs in with HTTP Basic.
    #[must_use]
    pub fn basic(self, user: &str, password: &str) -> Self {
        use base64::Engine as _;
        let pair = format!("{user}:{password}");
        let value = base64::engine::general_purpose::STANDARD.encode(pair);
        self.header("authorization", &format!("Basic {value}"))
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None, Bytes::new()).await
    }

    /// POST of a body of this media type.
    pub async fn post(&self, path: &str, media_type: &str, body: impl Into<Bytes>) -> Answer {
        self.send("POST", path, Some(media_type), body.into()).await
    }

    /// One request on a connection of its own.
    async fn send(
        &self,
        method: &str,
        path: &str,
        media_type: Option<&str>,
        body: Bytes,
    ) -> Answer {
        let stream = TcpStream::connect(&self.authority).await.expect("the server listens");
        let host = self.authority.rsplit_once(':').map_or(&*self.authority, |(host, _)| host);
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).expect("a host");
        let stream = TlsConnector::from(Arc::clone(&self.tls))
            .connect(name, stream)
            .await
            .expect("the server is who it should be");
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
        // Ends with the sender.
        tokio::spawn(connection);
        let mut request =
            Request::builder().method(method).uri(path).header("host", &self.authority);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(media_type) = media_type {
            request = request.header("content-type", media_type);
        }
        let request = request.body(Full::new(body)).expect("a request");
        let response = sender.send_request(request).await.expect("an answer");
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a whole answer").to_bytes();
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    }
}

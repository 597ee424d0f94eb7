//! HTTP as devices speak it: one request, one answer, over TCP.

use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An answer, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpReply {
    /// The status.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl HttpReply {
    /// A header field as text; empty if it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a text"))
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A connection that is kept alive, for whoever has many requests.
#[derive(Debug)]
pub struct Connection {
    address: String,
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Connects to `address` (`127.0.0.1:8085`).
    pub async fn open(address: &str) -> Self {
        Self::try_open(address).await.expect("serve accepts the connection")
    }

    /// Sends a request for `path` and reads the whole answer.
    pub async fn request(&mut self, method: &str, path: &str, body: Vec<u8>) -> HttpReply {
        self.send(method, path, body).await.expect("an answer, whole")
    }

    /// One request where nobody may listen, or the server may end in the middle of its answer.
    pub(crate) async fn try_request(
        address: &str,
        method: &str,
        path: &str,
        body: Vec<u8>,
    ) -> Option<HttpReply> {
        Self::try_open(address).await?.send(method, path, body).await
    }

    async fn try_open(address: &str) -> Option<Self> {
        let stream = TcpStream::connect(address).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.ok()?;
        // Ends with the sender.
        tokio::spawn(connection);
        Some(Self { address: address.to_owned(), sender })
    }

    async fn send(&mut self, method: &str, path: &str, body: Vec<u8>) -> Option<HttpReply> {
        self.sender.ready().await.ok()?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.address)
            .body(Full::new(Bytes::from(body)))
            .expect("a request");
        let response = self.sender.send_request(request).await.ok()?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.ok()?.to_bytes().to_vec();
        Some(HttpReply { status: parts.status, headers: parts.headers, body })
    }
}

/// Sends these octets as they are and reads until the server closes.
pub(crate) async fn raw(address: &str, octets: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("serve accepts the connection");
    stream.write_all(octets).await.expect("the request is taken");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("the answer comes whole");
    answer
}

/// The same, where the server may break the connection: what came before it did.
pub(crate) async fn raw_or_closed(address: &str, octets: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("serve accepts the connection");
    let mut answer = Vec::new();
    if stream.write_all(octets).await.is_ok() {
        // An error is the end of the answer.
        let _ = stream.read_to_end(&mut answer).await;
    }
    answer
}

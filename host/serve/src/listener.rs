//! Where devices connect: TCP, TLS 1.2 and 1.3 with AEAD suites, or a Unix socket behind a proxy.
//! HTTP/1.0 and 1.1 only; every phase of a connection has a deadline.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use countersign_config::{Listen, TlsSettings};
use countersign_enrol::Source;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use crate::start::StartError;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long a drain waits for requests in flight.
const DRAIN: Duration = Duration::from_secs(30);

/// A bound listener.
pub(crate) struct Listener {
    socket: Socket,
    tls: Option<TlsAcceptor>,
    header_deadline: Duration,
    connections: Arc<Semaphore>,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// Binds.
    pub(crate) async fn bind(
        listen: &Listen,
        tls: Option<&TlsSettings>,
        header_deadline: Duration,
        max_connections: u32,
    ) -> Result<Self, StartError> {
        let tls = tls.map(acceptor).transpose()?;
        if tls.is_none() && !listen.is_local() {
            // The config says so already; a second lock on the same door (row 64).
            return Err(StartError::new(
                listen,
                "plain HTTP only on loopback or a Unix socket; set [serve.tls]",
            ));
        }
        let socket = match listen {
            Listen::Tcp(address) => {
                Socket::Tcp(TcpListener::bind(address).await.map_err(StartError::of(address))?)
            }
            // Mode 0660: for a reverse proxy in our group; one left by a crash is replaced.
            Listen::Unix(path) => {
                let listener =
                    countersign_ipc::bind(path).map_err(StartError::of(path.display()))?;
                Socket::Unix(listener, path.clone())
            }
        };
        let connections = Arc::new(Semaphore::new(max_connections as usize));
        Ok(Self { socket, tls, header_deadline, connections })
    }

    /// Where it listens, with the port that the system chose.
    pub(crate) fn address(&self) -> String {
        match &self.socket {
            Socket::Tcp(listener) => {
                listener.local_addr().map_or_else(|_| "?".to_owned(), |address| address.to_string())
            }
            Socket::Unix(_, path) => format!("unix:{}", path.display()),
        }
    }

    /// Serves until `stop` becomes true, then lets what is in flight end.
    pub(crate) async fn serve(self, router: Router, mut stop: watch::Receiver<bool>) {
        let graceful = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                _ = async { stop.wait_for(|stop| *stop).await.is_ok() } => break,
                accepted = self.socket.accept() => accepted,
            };
            let Ok((stream, source)) = accepted else {
                // Out of descriptors, or the peer is gone already.
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let Ok(place) = Arc::clone(&self.connections).try_acquire_owned() else {
                tracing::warn!(%source, "a connection was refused: too many are open");
                continue;
            };
            let (router, watcher) = (router.clone(), graceful.watcher());
            let (tls, header_deadline) = (self.tls.clone(), self.header_deadline);
            tokio::spawn(async move {
                match (stream, tls) {
                    (Stream::Tcp(stream), Some(tls)) => {
                        match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                            Ok(Ok(stream)) => {
                                converse(stream, source, router, watcher, header_deadline, place)
                                    .await;
                            }
                            Ok(Err(error)) => {
                                tracing::info!(%source, %error, "a TLS handshake failed");
                            }
                            Err(_) => {}
                        }
                    }
                    (Stream::Tcp(stream), None) => {
                        converse(stream, source, router, watcher, header_deadline, place).await;
                    }
                    (Stream::Unix(stream), _) => {
                        converse(stream, source, router, watcher, header_deadline, place).await;
                    }
                }
            });
        }
        tokio::select! {
            () = graceful.shutdown() => {}
            () = tokio::time::sleep(DRAIN) => {
                tracing::warn!("connections were cut after {} s of draining", DRAIN.as_secs());
            }
        }
    }
}

enum Stream {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

impl Socket {
    async fn accept(&self) -> std::io::Result<(Stream, Source)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer): (_, SocketAddr) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), Source::Address(peer.ip().to_canonical())))
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), Source::Unix))
            }
        }
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    source: Source,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
    header_deadline: Duration,
    _place: OwnedSemaphorePermit,
) {
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(source);
        let router = router.clone();
        async move { Ok::<_, Infallible>(answered(router.oneshot(request).await)) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_deadline)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%source, %error, "a connection ended");
    }
}

fn answered<T>(result: Result<T, Infallible>) -> T {
    match result {
        Ok(value) => value,
        Err(never) => match never {},
    }
}

fn acceptor(settings: &TlsSettings) -> Result<TlsAcceptor, StartError> {
    let about = "[serve.tls]";
    let chain = CertificateDer::pem_file_iter(&settings.certificate)
        .map_err(StartError::of(settings.certificate.display()))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(StartError::of(settings.certificate.display()))?;
    let key = settings.key.read().map_err(StartError::of(about))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(StartError::of("the TLS key"))?;
    // rustls speaks TLS 1.2 and 1.3 and knows no suite without AEAD (row 64).
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(StartError::of(about))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(StartError::of(about))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

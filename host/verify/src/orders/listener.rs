//! Where revokers connect: TLS 1.2 and 1.3 with AEAD suites, a client certificate for everybody, and
//! a bound for everything. A certificate of the right authority with a name that the config does not
//! know is told so and gets nothing.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use countersign_config::RevokerListener;
use countersign_profile::Name;
use http::StatusCode;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::{Orders, answer};
use crate::mdm::{certificate_names, certificates};
use crate::start::{StartError, now};

/// How long a TLS handshake, a request's header, and a whole connection may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
const HEADER: Duration = Duration::from_secs(10);
const CONNECTION: Duration = Duration::from_secs(300);

/// How long a drain waits for requests in flight.
const DRAIN: Duration = Duration::from_secs(10);

/// The most that a request line and its header may have.
const HEADER_OCTETS: usize = 16 * 1024;

/// A bound listener.
pub(crate) struct Listener {
    listener: TcpListener,
    tls: TlsAcceptor,
    connections: Arc<Semaphore>,
}

impl Listener {
    /// Binds. There is no way to bind it without TLS and client certificates.
    pub(crate) async fn bind(settings: &RevokerListener) -> Result<Self, StartError> {
        let tls = acceptor(settings)?;
        let address = settings.listen.address();
        let listener = TcpListener::bind(address).await.map_err(StartError::of(address))?;
        let connections = Arc::new(Semaphore::new(settings.max_connections as usize));
        Ok(Self { listener, tls, connections })
    }

    /// Where it listens, with the port that the system chose.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Serves until `stop` becomes true, then lets what is in flight end.
    pub(crate) async fn serve(self, orders: Arc<Orders>, mut stop: watch::Receiver<bool>) {
        let graceful = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                _ = async { stop.wait_for(|stop| *stop).await.is_ok() } => break,
                accepted = self.listener.accept() => accepted,
            };
            let Ok((stream, source)) = accepted else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let Ok(place) = Arc::clone(&self.connections).try_acquire_owned() else {
                tracing::warn!(%source, "a revoker's connection was refused: too many are open");
                continue;
            };
            let (orders, tls) = (Arc::clone(&orders), self.tls.clone());
            tokio::spawn(connection(stream, source, tls, orders, graceful.watcher(), place));
        }
        tokio::select! {
            () = graceful.shutdown() => {}
            () = tokio::time::sleep(DRAIN) => {}
        }
    }
}

async fn connection(
    stream: TcpStream,
    source: SocketAddr,
    tls: TlsAcceptor,
    orders: Arc<Orders>,
    watcher: Watcher,
    _place: OwnedSemaphorePermit,
) {
    let _ = stream.set_nodelay(true);
    let stream = match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::info!(%source, %error, "a revoker's TLS handshake failed");
            return;
        }
        Err(_) => return,
    };
    let names: Arc<Vec<Name>> = Arc::new(certificate_names(&stream).unwrap_or_default());
    let service = service_fn(move |request: http::Request<Incoming>| {
        let (orders, names) = (Arc::clone(&orders), Arc::clone(&names));
        async move {
            let Some(revoker) = orders.revoker(&names) else {
                tracing::error!(%source, ?names, "a client certificate that is no revoker's");
                return Ok::<_, Infallible>(answer::error(
                    StatusCode::FORBIDDEN,
                    "not-a-revoker",
                    "no [revoker.NAME] has a `client` that is a name in this certificate",
                ));
            };
            Ok(answer::answer(&orders, revoker, request, now()).await)
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER)
        .max_buf_size(HEADER_OCTETS)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION, watcher.watch(connection)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%source, %error, "a revoker's connection ended"),
        Err(_) => tracing::debug!(%source, "a revoker's connection was cut: it stayed too long"),
    }
}

fn acceptor(settings: &RevokerListener) -> Result<TlsAcceptor, StartError> {
    let about = "[verify.revoker]";
    let chain = certificates(&settings.certificate)?;
    let key = settings.key.read().map_err(StartError::of("[verify.revoker] key"))?;
    let key =
        PrivateKeyDer::from_pem_slice(&key).map_err(StartError::of("[verify.revoker] key"))?;
    let mut roots = RootCertStore::empty();
    let path = &settings.client_ca;
    for root in certificates(path)? {
        roots.add(root).map_err(StartError::of(path.display()))?;
    }
    // rustls speaks TLS 1.2 and 1.3 and knows no suite without AEAD.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(StartError::of(path.display()))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(StartError::of(about))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(StartError::of(about))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // No resumption: each connection shows its certificate anew.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

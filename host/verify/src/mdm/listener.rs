//! Connections of device managements: TLS 1.2 and 1.3 with AEAD suites, client certificates where the
//! config knows some, and a bound for everything.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use countersign_config::{CredentialProof, MdmSettings};
use countersign_profile::{Certificate, Name};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Mdm, answer};
use crate::start::StartError;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long a request's header may take to come.
const HEADER: Duration = Duration::from_secs(10);

/// How long a connection may stay.
const CONNECTION: Duration = Duration::from_secs(600);

/// How long a drain waits for requests in flight.
const DRAIN: Duration = Duration::from_secs(30);

/// The most that a request line and its header may have.
const HEADER_OCTETS: usize = 16 * 1024;

/// The other side of a connection.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) source: IpAddr,
    /// The names in its certificate, which chains to `client-ca`.
    pub(super) certificate: Option<Vec<Name>>,
}

/// A bound listener.
pub(crate) struct Listener {
    listener: TcpListener,
    tls: TlsAcceptor,
    connections: Arc<Semaphore>,
}

impl Listener {
    /// Binds. There is no way to bind it without TLS.
    pub(crate) async fn bind(settings: &MdmSettings) -> Result<Self, StartError> {
        let tls = acceptor(settings)?;
        let address = settings.listen.address();
        let listener = TcpListener::bind(address).await.map_err(StartError::of(address))?;
        let connections = Arc::new(Semaphore::new(settings.limits.max_connections as usize));
        Ok(Self { listener, tls, connections })
    }

    /// Where it listens, with the port that the system chose.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Serves until `stop` becomes true, then lets what is in flight end.
    pub(crate) async fn serve(self, mdm: Arc<Mdm>, mut stop: watch::Receiver<bool>) {
        let graceful = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                _ = async { stop.wait_for(|stop| *stop).await.is_ok() } => break,
                accepted = self.listener.accept() => accepted,
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
            let (mdm, tls, watcher) = (Arc::clone(&mdm), self.tls.clone(), graceful.watcher());
            tokio::spawn(connection(stream, source, tls, mdm, watcher, place));
        }
        tokio::select! {
            () = graceful.shutdown() => {}
            () = tokio::time::sleep(DRAIN) => {
                tracing::warn!("connections were cut after {} s of draining", DRAIN.as_secs());
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    source: SocketAddr,
    tls: TlsAcceptor,
    mdm: Arc<Mdm>,
    watcher: Watcher,
    _place: OwnedSemaphorePermit,
) {
    let _ = stream.set_nodelay(true);
    let stream = match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::info!(%source, %error, "a TLS handshake failed");
            return;
        }
        Err(_) => return,
    };
    let peer = Arc::new(Peer {
        source: source.ip().to_canonical(),
        certificate: certificate_names(&stream),
    });
    let service = service_fn(move |request: http::Request<Incoming>| {
        let (mdm, peer) = (Arc::clone(&mdm), Arc::clone(&peer));
        async move { Ok::<_, Infallible>(answer::answer(&mdm, &peer, request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER)
        .max_buf_size(HEADER_OCTETS)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION, watcher.watch(connection)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%source, %error, "a connection ended"),
        Err(_) => tracing::debug!(%source, "a connection was cut: it stayed too long"),
    }
}

/// Names of the certificate that the handshake accepted. One that our own reader cannot read carries
/// none.
pub(crate) fn certificate_names(stream: &TlsStream<TcpStream>) -> Option<Vec<Name>> {
    let certificate = stream.get_ref().1.peer_certificates()?.first()?;
    Some(names_of(certificate).unwrap_or_default())
}

fn names_of(der: &CertificateDer<'_>) -> Option<Vec<Name>> {
    let certificate = Certificate::parse(der).ok()?;
    let subject = certificate.subject().ok()?;
    let attributes = subject.rdns().iter().flat_map(|rdn| rdn.attributes().to_vec());
    let sans = certificate.sans().ok()?;
    Some(attributes.map(Name::Attribute).chain(sans.into_iter().map(Name::San)).collect())
}

fn acceptor(settings: &MdmSettings) -> Result<TlsAcceptor, StartError> {
    let about = "[verify.mdm]";
    let chain = certificates(&settings.certificate)?;
    let key = settings.key.read().map_err(StartError::of(about))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(StartError::of("[verify.mdm] key"))?;
    // rustls speaks TLS 1.2 and 1.3 and knows no suite without AEAD (row 64).
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(StartError::of(about))?;
    let builder = match &settings.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for root in certificates(path)? {
                roots.add(root).map_err(StartError::of(path.display()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let all_have_certificates = settings.credential.values().all(|credential| {
                matches!(credential.authentication, CredentialProof::ClientCertificate(_))
            });
            let verifier =
                if all_have_certificates { verifier } else { verifier.allow_unauthenticated() };
            let verifier = verifier.build().map_err(StartError::of(path.display()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(StartError::of(about))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // No resumption: each connection shows its certificate anew (CVE-2025-23419 is what comes of
    // the opposite).
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, StartError> {
    let certificates = CertificateDer::pem_file_iter(path)
        .map_err(StartError::of(path.display()))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(StartError::of(path.display()))?;
    if certificates.is_empty() {
        return Err(StartError::Unusable {
            what: path.display().to_string(),
            why: "expected certificates in PEM, found none".into(),
        });
    }
    Ok(certificates)
}

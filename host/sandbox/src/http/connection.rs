//! One connection: to an address that was checked, under the name that was asked for; and the
//! connections that a plug-in may use again.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{net::TcpStream, time::Instant};
use tokio_rustls::TlsConnector;
use url::Host;

use super::{refusal::HttpRefusal, request::Target};

/// Header fields of an answer.
const HEADERS: usize = 100;
/// Octets of an answer's head.
const HEAD_BYTES: usize = 16 * 1024;
/// For one address; the next one is tried then.
const CONNECT: Duration = Duration::from_secs(3);
/// Servers close idle connections at about this time.
const IDLE: Duration = Duration::from_secs(20);

pub(crate) type Sender = SendRequest<Full<Bytes>>;

/// Connects to the first address that takes it.
pub(crate) async fn connect(
    target: &Target,
    addresses: &[IpAddr],
    tls: Arc<ClientConfig>,
) -> Result<Sender, HttpRefusal> {
    let stream = reach(target, addresses).await?;
    let name = match &target.host {
        Host::Domain(name) => ServerName::try_from(name.clone())
            .map_err(|_| HttpRefusal::Tls(format!("`{name}` is no name for a certificate")))?,
        Host::Ipv4(address) => ServerName::from(IpAddr::V4(*address)),
        Host::Ipv6(address) => ServerName::from(IpAddr::V6(*address)),
    };
    let stream = TlsConnector::from(tls)
        .connect(name, stream)
        .await
        .map_err(|error| HttpRefusal::Tls(format!("`{}`: {error}", target.authority())))?;
    let (sender, connection) = http1::Builder::new()
        .max_headers(HEADERS)
        .max_buf_size(HEAD_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| HttpRefusal::Connect(error.to_string()))?;
    // Ends when the sender is dropped, or with the peer.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection of a plug-in ended");
        }
    });
    Ok(sender)
}

async fn reach(target: &Target, addresses: &[IpAddr]) -> Result<TcpStream, HttpRefusal> {
    let mut why = "it has no address".to_owned();
    for address in addresses {
        let address = SocketAddr::new(*address, target.port);
        match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => why = format!("{address}: {error}"),
            Err(_) => why = format!("{address}: no answer within {CONNECT:?}"),
        }
    }
    Err(HttpRefusal::Connect(format!("`{}`: {why}", target.authority())))
}

/// Idle connections of one plug-in, and of no other: what one said over a connection can never
/// reach another's.
#[derive(Default)]
pub(crate) struct Pool {
    idle: Mutex<VecDeque<Idle>>,
}

struct Idle {
    target: Target,
    sender: Sender,
    since: Instant,
}

impl Pool {
    /// The freshest open connection to a target.
    pub(crate) fn take(&self, target: &Target) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| !idle.sender.is_closed() && idle.since.elapsed() < IDLE);
        let position = idle.iter().rposition(|idle| idle.target == *target)?;
        idle.remove(position).map(|idle| idle.sender)
    }

    /// Keeps a connection whose last answer was read to its end; the oldest goes where there are
    /// too many.
    pub(crate) fn keep(&self, target: Target, sender: Sender, most: usize) {
        if sender.is_closed() {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push_back(Idle { target, sender, since: Instant::now() });
        while idle.len() > most {
            idle.pop_front();
        }
    }
}

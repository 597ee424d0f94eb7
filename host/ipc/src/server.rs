//! The side that answers: accepts, checks who is there, then answers frames as they come.

use std::fmt;
use std::future::Future;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use countersign_fail_points::{Point, reached};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use crate::frame::{FrameError, buffered, encode, read_frame, write_frame, write_frames};
use crate::peer::{Peer, PeerRules, Role};

/// Connections at a time on one socket; there are two peers and a few people.
const MAX_CONNECTIONS: usize = 64;

/// Requests of one connection that are worked on at a time; more wait in the socket.
const MAX_IN_FLIGHT: usize = 256;

/// How long a peer may take to say who it is.
const GREETING: Duration = Duration::from_secs(5);

/// The first frame of a connection.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Hello {
    pub(crate) protocol: u32,
    pub(crate) role: Role,
    pub(crate) config_digest: String,
}

/// The answer to it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Welcome {
    Come { protocol: u32 },
    Refused { reason: String },
}

/// A message and the number that ties the answer to it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Numbered<T> {
    pub(crate) number: u64,
    pub(crate) message: T,
}

/// Version of the protocol; the three processes are upgraded together.
pub(crate) const PROTOCOL: u32 = 1;

/// Makes a socket at `path` with mode 0660, replacing a dead one left by a crash.
///
/// # Errors
/// When another process still answers there, when something that is not a socket is there, or
/// when the directory does not let us.
pub fn bind(path: &Path) -> std::io::Result<UnixListener> {
    use std::os::unix::fs::FileTypeExt as _;
    if let Ok(found) = std::fs::symlink_metadata(path) {
        if !found.file_type().is_socket() {
            return Err(std::io::Error::new(
                std::io::ErrorKind::AlreadyExists,
                format!("{} is there and is not a socket; remove it", path.display()),
            ));
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(std::io::Error::new(
                std::io::ErrorKind::AddrInUse,
                format!("another process answers on {}; stop it first", path.display()),
            ));
        }
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// Answers the peers of one socket.
pub struct Server {
    listener: UnixListener,
    rules: PeerRules,
    config_digest: [u8; 32],
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl Server {
    /// A server on `listener` for the peers that `rules` let in. Peers in other roles than
    /// [`Role::Admin`] must have read the same config file.
    #[must_use]
    pub fn new(listener: UnixListener, rules: PeerRules, config_digest: [u8; 32]) -> Self {
        Self { listener, rules, config_digest }
    }

    /// Answers until `stop` becomes true; then takes no new request, finishes what is in flight,
    /// and returns.
    pub async fn run<Request, Reply, Answer>(
        self,
        answer: impl Fn(Peer, Request) -> Answer + Send + Sync + 'static,
        mut stop: watch::Receiver<bool>,
    ) where
        Request: DeserializeOwned + Send + 'static,
        Reply: Serialize + Send + 'static,
        Answer: Future<Output = Reply> + Send + 'static,
    {
        let answer = Arc::new(answer);
        let rules = Arc::new(self.rules);
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        let stopping = stop.clone();
        loop {
            tokio::select! {
                () = stopped(&mut stop) => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                            tracing::warn!("a connection was refused: {MAX_CONNECTIONS} are open");
                            continue;
                        };
                        let (rules, answer) = (Arc::clone(&rules), Arc::clone(&answer));
                        let stop = stopping.clone();
                        connections.spawn(async move {
                            let _place = place;
                            converse(stream, &rules, self.config_digest, answer, stop).await;
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "accepting a connection failed");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
            }
        }
        while connections.join_next().await.is_some() {}
    }
}

async fn converse<Request, Reply, Answer>(
    mut stream: UnixStream,
    rules: &PeerRules,
    config_digest: [u8; 32],
    answer: Arc<impl Fn(Peer, Request) -> Answer + Send + Sync + 'static>,
    mut stop: watch::Receiver<bool>,
) where
    Request: DeserializeOwned + Send + 'static,
    Reply: Serialize + Send + 'static,
    Answer: Future<Output = Reply> + Send + 'static,
{
    let peer = match tokio::time::timeout(GREETING, greet(&mut stream, rules, config_digest)).await
    {
        Ok(Ok(peer)) => peer,
        Ok(Err(reason)) => {
            tracing::warn!(reason, "a peer was refused");
            return;
        }
        Err(_) => return,
    };
    let (reading, writing) = stream.into_split();
    let mut reading = buffered(reading);
    let (replies, outgoing) = mpsc::channel::<Vec<u8>>(MAX_IN_FLIGHT);
    let written = move || fail_point(peer.role, Point::ReplyWritten);
    let writer = tokio::spawn(write_frames(writing, outgoing, written));
    let in_flight = Arc::new(Semaphore::new(MAX_IN_FLIGHT));
    let mut work = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&in_flight).acquire_owned().await else {
            break;
        };
        while work.try_join_next().is_some() {}
        let frame = tokio::select! {
            () = stopped(&mut stop) => break,
            frame = read_frame::<Numbered<Request>>(&mut reading) => frame,
        };
        let Numbered { number, message } = match frame {
            Ok(frame) => frame,
            Err(FrameError::Closed) => break,
            Err(error) => {
                tracing::warn!(%error, role = %peer.role, "a connection was dropped");
                break;
            }
        };
        let (answer, replies) = (Arc::clone(&answer), replies.clone());
        work.spawn(async move {
            let _place = place;
            fail_point(peer.role, Point::RequestReceived);
            let reply = answer(peer, message).await;
            fail_point(peer.role, Point::ReplyReady);
            match encode(&Numbered { number, message: reply }) {
                Ok(frame) => {
                    // The peer may be gone; what was done stays done.
                    let _ = replies.send(frame).await;
                }
                Err(error) => tracing::error!(%error, "a reply could not be written"),
            }
        });
    }
    while work.join_next().await.is_some() {}
    drop(replies);
    let _ = writer.await;
}

/// People's questions are no part of an enrolment: only the talk of the processes is crashed.
fn fail_point(peer: Role, point: Point) {
    if peer != Role::Admin {
        reached(point);
    }
}

/// Returns once `stop` is true, or nobody is left who could make it so.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Learns who is there and says whether they may stay.
async fn greet(
    stream: &mut UnixStream,
    rules: &PeerRules,
    config_digest: [u8; 32],
) -> Result<Peer, String> {
    let hello: Hello = read_frame(stream).await.map_err(|error| error.to_string())?;
    let verdict = if hello.protocol != PROTOCOL {
        Err(format!(
            "this process speaks protocol {PROTOCOL}, the peer {}; run the same version of all \
             processes",
            hello.protocol
        ))
    } else if hello.role != Role::Admin && hello.config_digest != hex::encode(config_digest) {
        Err("the peer has read another version of the config file; restart the processes that \
             still run with the old one"
            .to_owned())
    } else {
        rules.admit(stream, hello.role).map_err(|error| error.to_string())
    };
    let welcome = match &verdict {
        Ok(_) => Welcome::Come { protocol: PROTOCOL },
        Err(reason) => Welcome::Refused { reason: reason.clone() },
    };
    write_frame(stream, &welcome).await.map_err(|error| error.to_string())?;
    verdict
}

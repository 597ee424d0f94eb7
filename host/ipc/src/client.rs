//! The side that asks: one connection, shared by all callers, made again when it breaks.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use countersign_fail_points::{Point, reached};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::frame::{FrameError, buffered, encode, read_frame, write_frame, write_frames};
use crate::peer::Role;
use crate::server::{Hello, Numbered, PROTOCOL, Welcome};

/// Requests that may wait for an answer on one connection.
const MAX_WAITING: usize = 1024;

/// How long connecting and greeting may take.
const GREETING: Duration = Duration::from_secs(5);

/// Why a call has no answer. The difference between the first two and the rest matters: only
/// after those is it certain that the peer did nothing.
#[derive(Debug, Error)]
pub enum CallError {
    /// Nobody answers on the socket; nothing was sent.
    #[error("no process answers on {path}: {detail}")]
    NotThere {
        /// The socket.
        path: PathBuf,
        /// What the operating system said.
        detail: String,
    },
    /// The peer refused the connection; nothing was sent.
    #[error("the process on {path} refused the connection: {reason}")]
    NotWelcome {
        /// The socket.
        path: PathBuf,
        /// What the peer said.
        reason: String,
    },
    /// The connection broke after the request was sent: the peer may have acted on it.
    #[error("the connection to {0} broke before the answer came")]
    Broken(PathBuf),
    /// No answer in time: the peer may still act on it.
    #[error("no answer from {path} within {deadline:?}")]
    Deadline {
        /// The socket.
        path: PathBuf,
        /// The time that was allowed.
        deadline: Duration,
    },
    /// The request is too large for a frame; nothing was sent.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

impl CallError {
    /// True if it is certain that the peer never saw the request.
    #[must_use]
    pub fn nothing_was_sent(&self) -> bool {
        matches!(self, Self::NotThere { .. } | Self::NotWelcome { .. } | Self::Frame(_))
    }
}

/// Asks the process behind one socket. Clones share one connection.
pub struct Client<Request, Reply> {
    shared: Arc<Shared<Reply>>,
    asks: PhantomData<fn(Request)>,
}

struct Shared<Reply> {
    path: PathBuf,
    role: Role,
    config_digest: [u8; 32],
    connection: Mutex<Option<Connection<Reply>>>,
    next: AtomicU64,
}

struct Connection<Reply> {
    outgoing: mpsc::Sender<Vec<u8>>,
    waiting: Arc<Waiting<Reply>>,
}

impl<Reply> Clone for Connection<Reply> {
    fn clone(&self) -> Self {
        Self { outgoing: self.outgoing.clone(), waiting: Arc::clone(&self.waiting) }
    }
}

/// Who waits for which answer; `None` once the connection is dead.
type Waiting<Reply> = std::sync::Mutex<Option<HashMap<u64, oneshot::Sender<Reply>>>>;

impl<Request, Reply> Clone for Client<Request, Reply> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), asks: PhantomData }
    }
}

impl<Request, Reply> fmt::Debug for Client<Request, Reply> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("path", &self.shared.path).finish_non_exhaustive()
    }
}

impl<Request, Reply> Client<Request, Reply>
where
    Request: Serialize,
    Reply: DeserializeOwned + Send + 'static,
{
    /// A client that will speak in `role` to the process behind `path`. Connects at the first
    /// call.
    #[must_use]
    pub fn new(path: &Path, role: Role, config_digest: [u8; 32]) -> Self {
        Self {
            shared: Arc::new(Shared {
                path: path.to_owned(),
                role,
                config_digest,
                connection: Mutex::new(None),
                next: AtomicU64::new(0),
            }),
            asks: PhantomData,
        }
    }

    /// Sends `request` and waits for its answer, at most `deadline`.
    ///
    /// # Errors
    /// [`CallError`]; see [`CallError::nothing_was_sent`].
    pub async fn call(&self, request: &Request, deadline: Duration) -> Result<Reply, CallError> {
        let number = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let frame = encode(&Numbered { number, message: request })?;
        let whole = async {
            let connection = self.shared.connection().await?;
            let (answer, answered) = oneshot::channel();
            if !wait_for(&connection.waiting, number, answer)
                || connection.outgoing.send(frame).await.is_err()
            {
                return Err(CallError::Broken(self.shared.path.clone()));
            }
            answered.await.map_err(|_| CallError::Broken(self.shared.path.clone()))
        };
        tokio::time::timeout(deadline, whole).await.unwrap_or_else(|_| {
            Err(CallError::Deadline { path: self.shared.path.clone(), deadline })
        })
    }
}

fn wait_for<Reply>(waiting: &Waiting<Reply>, number: u64, answer: oneshot::Sender<Reply>) -> bool {
    let Ok(mut waiting) = waiting.lock() else {
        return false;
    };
    match waiting.as_mut() {
        Some(waiting) if waiting.len() < MAX_WAITING => {
            waiting.insert(number, answer);
            true
        }
        _ => false,
    }
}

impl<Reply: DeserializeOwned + Send + 'static> Shared<Reply> {
    async fn connection(&self) -> Result<Connection<Reply>, CallError> {
        let mut current = self.connection.lock().await;
        if let Some(connection) = current.as_ref()
            && connection.waiting.lock().is_ok_and(|waiting| waiting.is_some())
        {
            return Ok(connection.clone());
        }
        let connection = self.connect().await?;
        *current = Some(connection.clone());
        Ok(connection)
    }

    async fn connect(&self) -> Result<Connection<Reply>, CallError> {
        let not_there = |detail: String| CallError::NotThere { path: self.path.clone(), detail };
        let mut stream = tokio::time::timeout(GREETING, UnixStream::connect(&self.path))
            .await
            .map_err(|_| not_there("connecting took too long".to_owned()))?
            .map_err(|error| not_there(error.to_string()))?;
        let greeting = async {
            let hello = Hello {
                protocol: PROTOCOL,
                role: self.role,
                config_digest: hex::encode(self.config_digest),
            };
            write_frame(&mut stream, &hello).await?;
            read_frame::<Welcome>(&mut stream).await
        };
        match tokio::time::timeout(GREETING, greeting).await {
            Ok(Ok(Welcome::Come { protocol: PROTOCOL })) => {}
            Ok(Ok(Welcome::Come { protocol })) => {
                return Err(CallError::NotWelcome {
                    path: self.path.clone(),
                    reason: format!("it speaks protocol {protocol}, this process {PROTOCOL}"),
                });
            }
            Ok(Ok(Welcome::Refused { reason })) => {
                return Err(CallError::NotWelcome { path: self.path.clone(), reason });
            }
            Ok(Err(error)) => return Err(not_there(error.to_string())),
            Err(_) => return Err(not_there("it did not greet in time".to_owned())),
        }
        let (reading, writing) = stream.into_split();
        let (outgoing, frames) = mpsc::channel::<Vec<u8>>(MAX_WAITING);
        let waiting: Arc<Waiting<Reply>> = Arc::new(std::sync::Mutex::new(Some(HashMap::new())));
        tokio::spawn(write_frames(writing, frames, || reached(Point::RequestSent)));
        tokio::spawn(hand_out(buffered(reading), Arc::clone(&waiting)));
        Ok(Connection { outgoing, waiting })
    }
}

/// Reads answers and gives each to who waits for it. When the connection dies, everybody who
/// still waits learns it, and nobody can begin to wait.
async fn hand_out<Reply: DeserializeOwned>(
    mut reading: BufReader<OwnedReadHalf>,
    waiting: Arc<Waiting<Reply>>,
) {
    loop {
        match read_frame::<Numbered<Reply>>(&mut reading).await {
            Ok(Numbered { number, message }) => {
                reached(Point::ReplyReceived);
                let answer = waiting
                    .lock()
                    .ok()
                    .and_then(|mut waiting| waiting.as_mut().and_then(|w| w.remove(&number)));
                if let Some(answer) = answer {
                    // The caller may have given up.
                    let _ = answer.send(message);
                }
            }
            Err(error) => {
                if !matches!(error, FrameError::Closed) {
                    tracing::warn!(%error, "a connection was dropped");
                }
                if let Ok(mut waiting) = waiting.lock() {
                    *waiting = None;
                }
                return;
            }
        }
    }
}

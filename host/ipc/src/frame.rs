//! One frame: four octets of length, big-endian, then that many octets of JSON.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;

/// The largest frame either side accepts, in octets. A CSR is at most 64 KiB; a page of ledger
/// entries is the largest thing that travels.
pub const MAX_FRAME: usize = 1024 * 1024;

/// How long the rest of a frame may take once its first octet came.
const REST_OF_FRAME: Duration = Duration::from_secs(10);

/// What one read of a socket takes: several frames where several are there.
const AT_ONCE: usize = 32 * 1024;

/// Frames that one write gives to a socket.
const TOGETHER: usize = 64;

/// Why a frame could not be read or written.
#[derive(Debug, Error)]
pub enum FrameError {
    /// The peer closed the connection between two frames.
    #[error("the peer closed the connection")]
    Closed,
    /// The announced length is over [`MAX_FRAME`]; nothing of the frame was read.
    #[error("a frame of {0} octets was announced, at most {MAX_FRAME} are accepted")]
    TooLarge(usize),
    /// The frame began but did not end in time.
    #[error("a frame began but did not end within {} s", REST_OF_FRAME.as_secs())]
    Stalled,
    /// The frame's JSON is not what the protocol expects. The text never quotes the content.
    #[error("a frame is not a message of this protocol (line {line}, column {column})")]
    NotAMessage {
        /// Line inside the JSON text, from 1.
        line: usize,
        /// Column inside the line, from 1.
        column: usize,
    },
    /// The socket failed.
    #[error("the socket failed: {0}")]
    Io(#[from] std::io::Error),
}

/// Reads one frame, checking its announced length before any of it is read.
///
/// # Errors
/// [`FrameError`]; after any of them the connection must be dropped, for its position is lost.
pub async fn read_frame<T: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<T, FrameError> {
    read_frame_within(stream, REST_OF_FRAME).await
}

async fn read_frame_within<T: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
    rest_of_frame: Duration,
) -> Result<T, FrameError> {
    let mut length = [0_u8; 4];
    let first = stream.read(&mut length[..1]).await?;
    if first == 0 {
        return Err(FrameError::Closed);
    }
    let rest = async {
        stream.read_exact(&mut length[1..]).await?;
        let announced = u32::from_be_bytes(length) as usize;
        if announced > MAX_FRAME {
            return Err(FrameError::TooLarge(announced));
        }
        let mut body = vec![0_u8; announced];
        stream.read_exact(&mut body).await?;
        Ok(body)
    };
    let body =
        tokio::time::timeout(rest_of_frame, rest).await.map_err(|_| FrameError::Stalled)??;
    decode(&body)
}

/// Writes one frame and flushes it.
///
/// # Errors
/// [`FrameError::TooLarge`] before anything is written; [`FrameError::Io`] when the socket fails.
pub async fn write_frame<T: Serialize>(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &T,
) -> Result<(), FrameError> {
    stream.write_all(&encode(message)?).await?;
    stream.flush().await?;
    Ok(())
}

/// A socket read in large pieces: a system call costs more than the octets of a frame.
pub(crate) fn buffered<S: AsyncRead>(stream: S) -> BufReader<S> {
    BufReader::with_capacity(AT_ONCE, stream)
}

/// Writes frames as they come, those that wait together with one system call; until nobody has
/// any more, or the peer is gone. `written` is called for each.
pub(crate) async fn write_frames(
    mut stream: impl AsyncWrite + Unpin,
    mut frames: mpsc::Receiver<Vec<u8>>,
    written: impl Fn(),
) {
    let mut waiting = Vec::new();
    while frames.recv_many(&mut waiting, TOGETHER).await > 0 {
        let result = match waiting.as_slice() {
            [one] => stream.write_all(one).await,
            several => stream.write_all(&several.concat()).await,
        };
        if result.is_err() {
            return;
        }
        waiting.drain(..).for_each(|_| written());
    }
}

/// A whole frame, length included, as it goes on the wire.
pub(crate) fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let mut frame = vec![0_u8; 4];
    serde_json::to_writer(&mut frame, message).map_err(not_a_message)?;
    let length = frame.len().saturating_sub(4);
    if length > MAX_FRAME {
        return Err(FrameError::TooLarge(length));
    }
    let prefix = u32::try_from(length).map_err(|_| FrameError::TooLarge(length))?;
    for (octet, value) in frame.iter_mut().zip(prefix.to_be_bytes()) {
        *octet = value;
    }
    Ok(frame)
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    serde_json::from_slice(body).map_err(not_a_message)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn not_a_message(error: serde_json::Error) -> FrameError {
    FrameError::NotAMessage { line: error.line(), column: error.column() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_frame_comes_back_as_it_went() {
        let (mut here, mut there) = tokio::io::duplex(64);
        let sent = vec!["one".to_owned(), "two".repeat(100)];
        let expected = sent.clone();
        let writer = tokio::spawn(async move { write_frame(&mut here, &sent).await });
        let received: Vec<String> = read_frame(&mut there).await.unwrap();
        writer.await.unwrap().unwrap();
        assert_eq!(received, expected);
    }

    #[tokio::test]
    async fn an_announced_length_over_the_limit_is_refused_before_it_is_read() {
        let mut wire: &[u8] = &[0xff, 0xff, 0xff, 0xff, b'{'];
        let error = read_frame::<String>(&mut wire).await.unwrap_err();
        assert!(matches!(error, FrameError::TooLarge(0xffff_ffff)));
    }

    #[tokio::test]
    async fn an_error_never_quotes_the_content() {
        let body = br#""the challenge is HUNTER2"#;
        let mut wire = (body.len() as u32).to_be_bytes().to_vec();
        wire.extend_from_slice(body);
        let error = read_frame::<String>(&mut wire.as_slice()).await.unwrap_err();
        assert!(matches!(error, FrameError::NotAMessage { .. }));
        assert!(!format!("{error} {error:?}").contains("HUNTER2"));
    }

    #[tokio::test]
    async fn a_frame_that_does_not_end_is_given_up() {
        let (mut here, mut there) = tokio::io::duplex(64);
        here.write_all(&[0, 0]).await.unwrap();
        let error =
            read_frame_within::<String>(&mut there, Duration::from_millis(10)).await.unwrap_err();
        assert!(matches!(error, FrameError::Stalled));
    }

    #[test]
    fn a_message_over_the_limit_is_not_written() {
        let error = encode(&"x".repeat(MAX_FRAME)).unwrap_err();
        assert!(matches!(error, FrameError::TooLarge(_)));
    }
}

//! A request that knows whether it left.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use zeroize::Zeroizing;

const AT_HOME: u8 = 0;
const SENT: u8 = 1;
const TAKEN_BACK: u8 = 2;

/// The body of a request, which knows whether it left.
pub(super) struct Letter {
    content: Option<Bytes>,
    state: Arc<AtomicU8>,
}

/// The sender's half of a [`Letter`].
pub(super) struct Trace(Arc<AtomicU8>);

impl Letter {
    pub(super) fn new(content: Zeroizing<Vec<u8>>) -> (Self, Trace) {
        let state = Arc::new(AtomicU8::new(AT_HOME));
        let letter = Self { content: Some(Bytes::from_owner(content)), state: Arc::clone(&state) };
        (letter, Trace(state))
    }
}

impl Trace {
    /// Takes the letter back; `true` when it had not left, and now never will.
    pub(super) fn take_back(&self) -> bool {
        self.0.compare_exchange(AT_HOME, TAKEN_BACK, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

impl Body for Letter {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.state.swap(SENT, Ordering::SeqCst) == TAKEN_BACK {
            self.state.store(TAKEN_BACK, Ordering::SeqCst);
            self.content = None;
            return Poll::Ready(Some(Err(io::Error::other("the request was taken back"))));
        }
        Poll::Ready(self.content.take().map(|content| Ok(Frame::data(content))))
    }

    fn is_end_stream(&self) -> bool {
        self.content.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.content.as_ref().map_or(0, |content| content.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(letter: &mut Letter) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Pin::new(letter).poll_frame(&mut Context::from_waker(std::task::Waker::noop()))
    }

    #[test]
    fn a_letter_that_was_taken_back_never_leaves() {
        let (mut letter, trace) = Letter::new(Zeroizing::new(b"secret".to_vec()));
        assert!(trace.take_back());
        assert!(matches!(poll(&mut letter), Poll::Ready(Some(Err(_)))));
    }

    #[test]
    fn a_letter_that_left_cannot_be_taken_back() {
        let (mut letter, trace) = Letter::new(Zeroizing::new(b"secret".to_vec()));
        assert!(matches!(poll(&mut letter), Poll::Ready(Some(Ok(_)))));
        assert!(!trace.take_back());
    }
}

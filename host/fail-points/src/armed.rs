//! The part that kills.

use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::Point;

/// What the process says on standard error before it dies, followed by the name of the point. A
/// delivered binary does not hold it.
pub const ORDERED: &str = "countersign-fail-point: dying as ordered at ";

static ORDERS: OnceLock<PathBuf> = OnceLock::new();

/// The order in force, and how often its point was reached since.
static HITS: Mutex<(String, u32)> = Mutex::new((String::new(), 0));

/// From now on the process obeys the order in `orders`: the name of a point and how often it must
/// be reached (`commit-next 2`). No file, no order; it may come and go while the process runs.
pub fn arm(orders: PathBuf) {
    // A second call changes nothing.
    let _ = ORDERS.set(orders);
}

pub(crate) fn reached(point: Point) {
    let Some(order) = ORDERS.get().and_then(|path| std::fs::read_to_string(path).ok()) else {
        return;
    };
    let Some((name, number)) = order.trim().split_once(' ') else { return };
    if name != point.name() {
        return;
    }
    let mut hits = HITS.lock().unwrap_or_else(PoisonError::into_inner);
    if hits.0 != order {
        *hits = (order.clone(), 0);
    }
    hits.1 += 1;
    if number.parse() == Ok(hits.1) {
        die(point);
    }
}

#[expect(clippy::print_stderr, reason = "the last words of the process")]
fn die(point: Point) -> ! {
    eprintln!("{ORDERED}{}", point.name());
    std::process::abort()
}

impl Point {
    /// Every one.
    pub const ALL: [Self; 17] = [
        Self::RequestSent,
        Self::RequestReceived,
        Self::ReplyReady,
        Self::ReplyWritten,
        Self::ReplyReceived,
        Self::CommitNext,
        Self::Committed,
        Self::VerifiersAgreed,
        Self::SignatureNext,
        Self::SignatureMade,
        Self::CheckpointNext,
        Self::CheckpointTorn,
        Self::CheckpointWritten,
        Self::SubmissionNext,
        Self::SubmissionAnswered,
        Self::AnswerReady,
        Self::OutboxDelivered,
    ];

    /// Its name, as in an order.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RequestSent => "request-sent",
            Self::RequestReceived => "request-received",
            Self::ReplyReady => "reply-ready",
            Self::ReplyWritten => "reply-written",
            Self::ReplyReceived => "reply-received",
            Self::CommitNext => "commit-next",
            Self::Committed => "committed",
            Self::VerifiersAgreed => "verifiers-agreed",
            Self::SignatureNext => "signature-next",
            Self::SignatureMade => "signature-made",
            Self::CheckpointNext => "checkpoint-next",
            Self::CheckpointTorn => "checkpoint-torn",
            Self::CheckpointWritten => "checkpoint-written",
            Self::SubmissionNext => "submission-next",
            Self::SubmissionAnswered => "submission-answered",
            Self::AnswerReady => "answer-ready",
            Self::OutboxDelivered => "outbox-delivered",
        }
    }
}

//! Places where a process can be made to die, for the tests that crash it there.
//!
//! [`reached`] marks such a place. Without the feature `armed` it is an empty function and the
//! names of the places are not compiled; with it, and only after `arm`, the process aborts where an
//! order file says so: no unwinding, no destructor, as a power cut would end it.
//!
//! This crate never does anything in a binary that is delivered; `tests/crashes` shows that their
//! octets hold none of its names.

#[cfg(feature = "armed")]
mod armed;

#[cfg(feature = "armed")]
pub use armed::{ORDERED, arm};

/// Every place, in the order of the way of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "armed", derive(Debug, PartialOrd, Ord))]
pub enum Point {
    /// Between the processes: a frame with a request was written to the socket.
    RequestSent,
    /// A request was read; nothing was done yet.
    RequestReceived,
    /// What was asked is done; its reply is not written yet.
    ReplyReady,
    /// The reply was written to the socket.
    ReplyWritten,
    /// The reply was read by the one who asked; nothing was done with it yet.
    ReplyReceived,
    /// A batch of database jobs has run, and is not committed.
    CommitNext,
    /// It is committed, and nobody knows yet.
    Committed,
    /// `verify`: every verifier approved, nothing is committed.
    VerifiersAgreed,
    /// `sign`: about to use the EA key.
    SignatureNext,
    /// `sign`: the EA key was used, the ledger does not know.
    SignatureMade,
    /// `sign`: a checkpoint is due and not written.
    CheckpointNext,
    /// `sign`: half of a checkpoint is in its file.
    CheckpointTorn,
    /// `sign`: the checkpoint is in its file.
    CheckpointWritten,
    /// `serve`: the intent is durable, the CA has nothing.
    SubmissionNext,
    /// `serve`: the CA has answered, nothing is stored.
    SubmissionAnswered,
    /// `serve`: the CertRep is made, not a byte of it sent.
    AnswerReady,
    /// `serve`: a message of the outbox was delivered and is still in it.
    OutboxDelivered,
}

/// Marks that `point` is reached: nothing.
#[cfg(not(feature = "armed"))]
#[inline(always)]
pub fn reached(_point: Point) {}

/// Marks that `point` is reached: the process dies here if it was ordered to.
#[cfg(feature = "armed")]
pub fn reached(point: Point) {
    armed::reached(point);
}

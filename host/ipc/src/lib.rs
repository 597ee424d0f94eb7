//! What the three processes say to each other, and how: length-prefixed frames over Unix sockets,
//! bounded in size and time, between peers whose credentials the kernel vouches for.
//!
//! This crate carries bytes, strings and numbers. It never parses a certificate or a SCEP message,
//! never touches a key but the approval MAC key, and never decides anything about a request.
//!
//! | Type | Is |
//! |---|---|
//! | [`Approval`], [`SealedApproval`], [`ApprovalKey`] | what `verify` approved, under a MAC that only `verify` and `sign` can make |
//! | [`VerifyRequest`], [`SignRequest`], [`AdminRequest`] and their replies | the whole vocabulary |
//! | [`Client`], [`Server`] | one multiplexed connection each way, with deadlines |
//! | [`PeerRules`] | which user may speak in which role |

mod approval;
mod bytes_as_text;
mod client;
mod frame;
mod message;
mod order;
mod peer;
mod server;

pub use approval::{
    Approval, ApprovalKey, EnrolmentId, Kind, SealError, SealedApproval, VerifierRecord,
};
pub use bytes_as_text::Bytes;
pub use client::{CallError, Client};
pub use frame::{FrameError, MAX_FRAME, read_frame, write_frame};
pub use message::{
    AdminReply, AdminRequest, DenialRecord, OutcomeKind, OutcomeRecord, RenewalEvidence,
    RevocationListPart, RevocationOrder, SignReply, SignRequest, Unsettled, VerifyEnrolment,
    VerifyReply, VerifyRequest,
};
pub use order::{EndedOrder, OrderEnd, OrderToSign, SignedOrder};
pub use peer::{Peer, PeerRefused, PeerRules, Role, own_uid};
pub use server::{Server, bind};

//! The client's side: building requests, reading answers, choosing among a CA's certificates.
//!
//! The way: [`CaCertificates`] and [`Capabilities`](crate::Capabilities) say whom to encrypt to and
//! how; [`Outgoing`] becomes a [`ToBeSigned`](crate::ToBeSigned); [`Reply::read`] checks the answer
//! and hands out an envelope that the requester's key opens. [`DeviceKey`] is such a key in
//! software; with a key elsewhere only its signatures and unwrapped content keys are needed.

mod ca_certificates;
mod csr;
mod device_key;
mod outgoing;
mod reply;

pub use ca_certificates::{CaCertificates, CaCertificatesError};
pub use csr::{CsrDraft, SelfSigned, Validity};
pub use device_key::{DeviceKey, DeviceKeyError, KeySize};
pub use outgoing::{Ask, Outgoing, Sealing};
pub use reply::{Expected, Reply, ReplyError, SealedReply};

//! SCEP messages (RFC 8894): bytes ⇄ types.
//!
//! Does no I/O, reads no clock, holds no key: what needs a private key is handed out as
//! [`ToBeSigned`] or [`Addressed`] and comes back as signature or content key. Decides nothing about
//! identity either: that a message is well signed says only that its sender has the key.
//!
//! The server's way: [`Message::parse`] (else HTTP 400) → [`Message::verify`] (else a FAILURE with
//! [`Refused::fail_info`]) → [`Enveloped::addressed_to`], unwrap elsewhere → [`Request::open`] (else
//! the one FAILURE of zone A) → [`CertRep`]. The client's way is in [`client`].

mod algorithm;
mod ber;
mod bundle;
mod capabilities;
mod certificate;
mod envelope;
mod message;
mod message_type;
mod next_ca;
mod oid;
mod query;
mod reply;
mod request;
mod seal;
mod signed_data;
mod stand_in;
mod tlv;
mod transaction;

pub mod client;

pub use countersign_profile::{DigestAlgorithm, SignatureScheme};

pub use algorithm::{AlgorithmError, ContentCipher, KeyTransport, LegacyAlgorithms};
pub use ber::{BerError, Bounds};
pub use bundle::{Bundle, ca_bundle};
pub use capabilities::Capabilities;
pub use certificate::{Certificate, CertificateError, KeyUsage};
pub use envelope::{Addressed, Enveloped, NotOpened, Recipient};
pub use message::{Message, ParseError, Refused};
pub use message_type::{FailInfo, MessageType, NotARequest, PkiStatus, RequestType};
pub use next_ca::{NextCa, NextCaError};
pub use query::{Operation, Query, QueryError};
pub use reply::CertRep;
pub use request::{IssuerAndSerial, IssuerAndSubject, Request, RequestData};
pub use seal::SealError;
pub use signed_data::ToBeSigned;
pub use transaction::{Nonce, RandomError, TransactionId};

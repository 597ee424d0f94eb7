//! The client's side: building requests, reading answers, choosing among a CA's certificates.
//!
//! The way: [`CaCertificates`] and [`Capabilities`](crate::Capabilities) say whom to encrypt to and
//! how; [`Outgoing`] becomes a [`ToBeSigned`](crate::ToBeSigned); [`Reply::read`] checks the answer
//! and hands out an envelope that the requester's key opens. [`DeviceKey`] is such a key in
//! software; with a key elsewhere only its signatures and unwrapped content keys are needed.
//!
//! ```
//! use countersign_scep::client::{Ask, CsrDraft, DeviceKey, KeySize, Outgoing, Sealing};
//! use countersign_scep::client::{SelfSigned, Validity};
//! use countersign_scep::{Bounds, Capabilities, Message, Nonce, RequestData, TransactionId};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let names = ["CN=device-17".parse()?, "DNS:device-17.example.org".parse()?];
//! let validity = Validity { not_before: 1_795_000_000, not_after: 1_795_600_000 };
//! let key = DeviceKey::generate(KeySize::Rsa2048)?;
//! let signer = SelfSigned { names: &names, validity }.sign(&key)?;
//! let csr = CsrDraft { names: &names, challenge: Some("secret"), ..CsrDraft::default() };
//! let csr = csr.sign(&key)?;
//!
//! // In life the recipient comes out of GetCACert; here the device writes to itself.
//! let outgoing = Outgoing {
//!     ask: Ask::PkcsReq(&csr),
//!     transaction_id: &TransactionId::of_public_key(key.spki_der()),
//!     sender_nonce: &Nonce::random()?,
//!     signer: &signer,
//!     recipient: &signer,
//!     sealing: Sealing::for_server(&Capabilities::MODERN),
//! };
//! let message = outgoing.to_be_signed()?;
//! let digest = message.digest();
//! let bytes = message.sign_with(|to_sign| key.sign(digest, to_sign))?;
//!
//! // The server's side.
//! let request = Message::parse(&bytes, &Bounds::REQUEST)?.verify(&Default::default())?;
//! let content_key = key.unwrap(&request.envelope().addressed_to([&signer])?)?;
//! let RequestData::Pkcs10(csr) = request.open(&content_key)? else { panic!("not a PKCSReq") };
//! assert_eq!(csr.names(), names);
//! # Ok(())
//! # }
//! ```

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

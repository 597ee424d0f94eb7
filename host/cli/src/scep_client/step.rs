//! What the client tells while it goes.

use std::fmt;
use std::time::Duration;

use countersign_scep::TransactionId;

use crate::output::escaped;

/// One step that was done, for people.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// GetCACaps: the keywords, or none where the server does not answer it.
    Capabilities(Vec<String>),
    /// GetCACert.
    CaCertificates {
        /// Certificates in the answer.
        count: usize,
        /// Subject of the CA's certificate.
        ca: Option<String>,
        /// Its SHA-256, hexadecimal.
        fingerprint: Option<String>,
        /// Whether the fingerprint was compared with one that the caller knew.
        checked: bool,
        /// Subject of the certificate that requests are encrypted to.
        recipient: String,
    },
    /// The key is there.
    Key {
        /// Bits of the modulus.
        bits: u32,
        /// Whether it was made now.
        made: bool,
    },
    /// A message went out.
    Sent {
        /// `PKCSReq`, `RenewalReq`, `CertPoll`.
        message: &'static str,
        /// Its length in bytes.
        bytes: usize,
        /// `GET` or `POST`.
        method: &'static str,
        /// Its transaction.
        transaction_id: TransactionId,
    },
    /// The answer is PENDING; the next question follows.
    Pending {
        /// Which one that will be, from 1.
        poll: u32,
        /// How many there may be.
        most: u32,
        /// Time until then.
        wait: Duration,
    },
    /// The server is busy (HTTP 503): the same request will be sent again.
    Busy {
        /// Which repetition, from 1.
        poll: u32,
        /// Time until then.
        wait: Duration,
    },
    /// SUCCESS, and the certificate is for our key.
    Issued {
        /// Its subject.
        subject: String,
        /// Its serial number, hexadecimal.
        serial: String,
        /// How many other certificates came with it.
        others: usize,
    },
    /// Something worth knowing that stops nothing.
    Notice(String),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capabilities(keywords) if keywords.is_empty() => {
                write!(f, "GetCACaps: none")
            }
            Self::Capabilities(keywords) => {
                write!(f, "GetCACaps: {}", escaped(&keywords.join(" ")))
            }
            Self::CaCertificates { count, ca, fingerprint, checked, recipient } => {
                write!(
                    f,
                    "GetCACert: {count} certificates; requests go to {}",
                    escaped(recipient)
                )?;
                if let Some(ca) = ca {
                    write!(f, "; CA {}", escaped(ca))?;
                }
                match fingerprint {
                    Some(hex) if *checked => write!(f, ", fingerprint sha256:{hex} as expected"),
                    Some(hex) => write!(
                        f,
                        ", fingerprint sha256:{hex} NOT CHECKED (compare it, then give it by --ca-fingerprint)"
                    ),
                    None => Ok(()),
                }
            }
            Self::Key { bits, made: true } => write!(f, "RSA-{bits} key made"),
            Self::Key { bits, made: false } => write!(f, "RSA-{bits} key read"),
            Self::Sent { message, bytes, method, transaction_id } => {
                write!(f, "{message}: {bytes} bytes by {method}, transaction {transaction_id}")
            }
            Self::Pending { poll, most, wait } => {
                write!(f, "PENDING; poll {poll} of {most} in {} s", wait.as_secs())
            }
            Self::Busy { poll, wait } => {
                write!(f, "busy (HTTP 503); repetition {poll} in {} s", wait.as_secs())
            }
            Self::Issued { subject, serial, others } => write!(
                f,
                "SUCCESS: {}, serial {serial}, for our key; {others} further certificates",
                escaped(subject)
            ),
            Self::Notice(text) => write!(f, "note: {}", escaped(text)),
        }
    }
}

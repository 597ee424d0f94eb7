//! Why an enrolment did not succeed, in words for who started it.

use countersign_scep::client::{CaCertificatesError, DeviceKeyError, ReplyError};
use countersign_scep::{FailInfo, RandomError, SealError, TransactionId};

use crate::failure::{Exit, Failure};
use crate::output;

/// Why an enrolment did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnrolError {
    /// The URL is of no use.
    #[error(
        "{url} is not the URL of a SCEP server: {why}; expected such as http://127.0.0.1:8085/scep/wifi"
    )]
    Url { url: String, why: &'static str },
    /// HTTPS without roots, or roots that cannot be read.
    #[error("{0}")]
    Roots(String),
    /// No connection, or no answer in time.
    #[error("{operation}: no answer from {host}: {detail}")]
    NotReachable { operation: &'static str, host: String, detail: String },
    /// The server's TLS certificate.
    #[error(
        "the TLS certificate of {host} was refused: {detail}; check the host name in the URL and the roots given by --roots"
    )]
    Tls { host: String, detail: String },
    /// An HTTP status that is no answer of SCEP.
    #[error("{operation}: HTTP {status}: {meaning}{said}")]
    Status { operation: &'static str, status: u16, meaning: &'static str, said: String },
    /// More than any answer has.
    #[error("{operation}: the answer is longer than {limit} bytes, or broke off: {detail}")]
    Body { operation: &'static str, limit: usize, detail: String },
    /// A request too long for GET.
    #[error("the request is too long for a URL ({0} characters); leave out --get")]
    TooLongForGet(usize),
    /// GetCACert.
    #[error(transparent)]
    CaCertificates(#[from] CaCertificatesError),
    /// Another CA than expected.
    #[error(
        "the CA's certificate has the fingerprint sha256:{found}, expected sha256:{expected}; this is another CA, or somebody stands in between"
    )]
    Fingerprint { expected: String, found: String },
    /// A fingerprint was given, but there is no certificate it could be of.
    #[error("GetCACert gave no CA certificate that the fingerprint could be of")]
    NoCa,
    /// Nobody to encrypt to.
    #[error("GetCACert gave no RSA certificate that a request could be encrypted to")]
    NoRecipient,
    /// Certificates given for a renewal that are no pair.
    #[error("the current certificate is not for the current key; give the key it was issued for")]
    NotAPair,
    /// Our own cryptography.
    #[error(transparent)]
    Key(#[from] DeviceKeyError),
    /// Our own cryptography.
    #[error("the request could not be encrypted: {0}")]
    Seal(#[from] SealError),
    /// Our own cryptography.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// An answer that is not believed.
    #[error("{0}")]
    Reply(#[from] ReplyError),
    /// The server said no.
    #[error("the server refused: {}{}", fail_info.name(), said(text.as_deref()))]
    Refused { fail_info: FailInfo, text: Option<String> },
    /// Nobody decided in time.
    #[error(
        "still pending after {polls} polls; the server keeps the request: ask again with the same key, names and --transaction-id {transaction_id}"
    )]
    StillPending { polls: u32, transaction_id: TransactionId },
    /// The answer holds certificates, but none for our key.
    #[error(
        "the answer holds {found} certificates, none of them for our key; it was issued for somebody else"
    )]
    NotOurKey { found: usize },
    /// The answer to GetCRL holds none.
    #[error("the answer holds {found} revocation lists; one was asked for")]
    NoList { found: usize },
}

fn said(text: Option<&str>) -> String {
    text.map(|text| format!(": {}", output::escaped(text))).unwrap_or_default()
}

impl From<EnrolError> for Failure {
    fn from(error: EnrolError) -> Self {
        let exit = match &error {
            EnrolError::Url { .. } | EnrolError::Roots(_) => Exit::Usage,
            EnrolError::NotReachable { .. } => Exit::NotReachable,
            EnrolError::Status { status: 500.., .. } => Exit::NotReachable,
            EnrolError::Status { .. } | EnrolError::Refused { .. } => Exit::Refused,
            EnrolError::Tls { .. }
            | EnrolError::Body { .. }
            | EnrolError::TooLongForGet(_)
            | EnrolError::CaCertificates(_)
            | EnrolError::Fingerprint { .. }
            | EnrolError::NoCa
            | EnrolError::NoRecipient
            | EnrolError::NotAPair
            | EnrolError::Key(_)
            | EnrolError::Seal(_)
            | EnrolError::Random(_)
            | EnrolError::Reply(_)
            | EnrolError::StillPending { .. }
            | EnrolError::NotOurKey { .. }
            | EnrolError::NoList { .. } => Exit::Failed,
        };
        Self::of(exit, error.to_string())
    }
}

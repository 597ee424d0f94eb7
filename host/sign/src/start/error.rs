use std::path::PathBuf;

use countersign_config::{Finding, SecretError, UserError};
use countersign_ipc::SealError;
use countersign_keys::{CertificateError, OpenError as KeyOpenError, TokenError, TokensError};
use countersign_ledger::{KeyError, LedgerError, OpenError as LedgerOpenError};
use countersign_profile::{CertificateError as CaCertificateError, ConstraintsError};
use countersign_store::{ColumnKeyError, StoreError};

use crate::certificate_file::CertificateFileError;
use crate::cms::ReadBackError;
use crate::order::OrderKeyError;

/// Why the process does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Row 50: the daemon refuses uid 0.
    #[error(
        "this process runs as root; start it as the user in `sign.user`, which owns its state and \
         nothing else (only `mode = \"lab\"` runs as root)"
    )]
    Root,
    /// It does not run as the user that the config names.
    #[error(
        "this process runs as uid {found}, `sign.user` is uid {expected}; start it as that user"
    )]
    OtherUser {
        /// The user in the config.
        expected: u32,
        /// The user it runs as.
        found: u32,
    },
    /// A process has no user in production.
    #[error("`{0}.user` is missing: outside lab mode each process has a user of its own")]
    NoUser(&'static str),
    /// A user does not exist.
    #[error(transparent)]
    User(#[from] UserError),
    /// The directory of the database.
    #[error("cannot use the state directory {path}: {problem}; {remedy}", path = .path.display())]
    State {
        /// The directory.
        path: PathBuf,
        /// What was expected and found.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// A secret could not be read.
    #[error("{setting}: {source}")]
    Secret {
        /// Where it stands in the config.
        setting: &'static str,
        /// Why.
        source: SecretError,
    },
    /// The approval key.
    #[error("approval.key: {0}")]
    ApprovalKey(SealError),
    /// The column key.
    #[error("sign.column-key: {0}")]
    ColumnKey(ColumnKeyError),
    /// The checkpoint key.
    #[error("sign.checkpoint.key: {0}")]
    CheckpointKey(KeyError),
    /// The key of revocation orders.
    #[error("sign.order.key: {0}")]
    OrderKey(OrderKeyError),
    /// A file of certificates.
    #[error(transparent)]
    CertificateFile(#[from] CertificateFileError),
    /// A certificate of a role.
    #[error("{setting} ({path}): {source}", path = .path.display())]
    RoleCertificate {
        /// Where it stands in the config.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: CertificateError,
    },
    /// A certificate of a CA.
    #[error("the certificates of authority `{authority}`: {source}")]
    Authority {
        /// Its name in the config.
        authority: String,
        /// Why.
        source: CaCertificateError,
    },
    /// Name constraints that are not understood are not enforced, so nothing is signed.
    #[error("the name constraints of authority `{authority}`: {source}")]
    Constraints {
        /// Its name in the config.
        authority: String,
        /// Why.
        source: ConstraintsError,
    },
    /// The token of the key could not be opened.
    #[error("sign.keys.ea.key: {0}")]
    Token(#[from] TokensError),
    /// The token does not answer.
    #[error("sign.keys.ea.key: {0}")]
    Pool(#[from] TokenError),
    /// Key and certificate are no pair, or the token has no such key.
    #[error("sign.keys.ea: {0}")]
    Ea(#[from] KeyOpenError),
    /// The certificate does not suit its role, or roles share a key.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Findings(Vec<Finding>),
    /// The EA certificate cannot be carried in a message.
    #[error("sign.keys.ea.certificate: {0}; enrol one with an ordinary name and serial number")]
    EaForm(ReadBackError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger and its checkpoints do not fit.
    #[error(transparent)]
    Ledger(#[from] LedgerOpenError),
    /// The ledger could not be written.
    #[error(transparent)]
    Append(#[from] LedgerError),
    /// The operating system refused sockets or signals.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What it said.
        source: std::io::Error,
    },
}

impl StartError {
    /// The exit code for a config file that is not usable; that of the other two processes.
    pub(crate) const CONFIG: u8 = 3;

    /// 1: something is not usable; 4: the start gate. As the other two processes have it.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Findings(_) => 4,
            _ => 1,
        }
    }
}

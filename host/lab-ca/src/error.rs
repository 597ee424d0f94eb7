//! What can go wrong with the lab CA itself (not what it refuses: that is [`crate::Refusal`]).

use std::io;
use std::path::{Path, PathBuf};

/// Why the lab CA could not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum LabCaError {
    /// A file of the CA's directory.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file that does not hold what it should.
    #[error("{path}: expected {expected}; delete the directory and run init again, or restore it", path = path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What was expected there.
        expected: &'static str,
    },
    /// The directory holds a CA already.
    #[error("{path} holds a CA already; choose another directory, or open this one", path = .0.display())]
    Exists(PathBuf),
    /// The request given to an admin's command is not usable.
    #[error("the request cannot be used: {0}")]
    Request(String),
    /// No such request, certificate or template.
    #[error("there is no {0}")]
    NotFound(String),
    /// ASN.1 could not be written.
    #[error("ASN.1: {0}")]
    Asn1(#[from] der::Error),
    /// The cryptography failed.
    #[error("cryptography: {0}")]
    Cryptography(&'static str),
    /// TLS or a listener could not be set up.
    #[error("server: {0}")]
    Server(String),
    /// A listener outside loopback: the lab CA hands out certificates to whoever asks nicely.
    #[error("{0} is not a loopback address; the lab CA listens on loopback only")]
    NotLoopback(std::net::SocketAddr),
}

impl LabCaError {
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::File { path: path.to_owned(), source }
    }
}

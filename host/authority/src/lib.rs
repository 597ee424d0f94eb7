//! Connectors to certificate authorities: hand over what `sign` countersigned, get back what the CA
//! decided, and say how certain that is.
//!
//! This crate never builds, signs or alters a request: it carries the exact bytes it was given. It
//! never retries a submission on its own, never follows a redirect, never takes an attribute of the
//! submission from a request, and never trusts the CA's reply to be what was approved (that is the
//! station `check`).
//!
//! The first connector is [`Wstep`]: MS-WSTEP over HTTPS, the way to AD CS from Linux.

mod crl;
mod disposition;
mod error;
mod hresult;
mod locality;
mod probe;
mod wstep;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use countersign_profile::RevocationList;

pub use crate::disposition::{Disposition, RequestId};
pub use crate::error::{AuthorityError, Certainty};
pub use crate::hresult::Hresult;
pub use crate::locality::is_this_host;
pub use crate::probe::{ProbeResult, probe_uncountersigned};
pub use crate::wstep::{Authentication, Wstep, WstepConfig, read_wstep_answer};

/// What a call to an authority becomes: an answer, or an error that says how certain it is.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, AuthorityError>> + Send + 'a>>;

/// A certificate authority as the enrolment sees it.
///
/// Object-safe, so that a profile can name its authority in the configuration. Every call is bounded
/// by the connector's own deadline.
pub trait Authority: Send + Sync {
    /// Hands over one countersigned request, once.
    ///
    /// # Errors
    /// See [`AuthorityError`]: after [`AuthorityError::Unknown`] the CA may have issued.
    fn submit<'a>(&'a self, submission: Submission<'a>) -> Answer<'a, Disposition>;

    /// Asks what became of a request that was [`Disposition::Pending`]. Asking changes nothing at
    /// the CA, so a lost answer is [`AuthorityError::Unavailable`] here.
    ///
    /// # Errors
    /// [`AuthorityError::Refused`] when the CA denied the request in the meantime.
    fn poll(&self, request_id: RequestId) -> Answer<'_, Disposition>;

    /// The chain that devices are given, issuing CA first, each certificate as DER. It comes from
    /// the configuration, never from the CA's reply.
    fn chain(&self) -> &[Vec<u8>];

    /// The CA's current revocation list, its signature verified with the issuing CA's key. It is
    /// minutes old, or, while its place does not answer, at most an hour; never beyond its own end.
    ///
    /// # Errors
    /// [`AuthorityError::Unavailable`] when there is no such list, [`AuthorityError::Misconfigured`]
    /// when no place to fetch it from is configured or what came is not this CA's complete list.
    /// Neither means "not revoked".
    fn crl(&self) -> Answer<'_, Arc<RevocationList>>;

    /// Whether the CA's front end can be reached and accepts our transport credential. Submits
    /// nothing.
    ///
    /// # Errors
    /// What a submission would meet now, as far as that can be known without one.
    fn health(&self) -> Answer<'_, ()>;
}

/// One countersigned request and where it goes.
#[derive(Clone, Copy, Debug)]
pub struct Submission<'a> {
    /// The exact CMS bytes that `sign` made; submitted unchanged.
    pub cms: &'a [u8],
    /// Name of the CA's certificate template. From the configuration only, never from a request.
    pub template: &'a str,
}

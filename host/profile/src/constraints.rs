//! Name constraints of CAs (RFC 5280 §4.2.1.10), enforced on requests and on issued certificates.

use crate::{certificate::Certificate, csr::Csr, name::Name};

/// The constraints of the issuing CA and of those above it: all must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameConstraints {
    levels: Vec<()>,
}

impl NameConstraints {
    /// What is wrong with the names of a request, each violation as text; empty when nothing is.
    pub(crate) fn violations_of_request(&self, _csr: &Csr, _fixed: &[Name]) -> Vec<String> {
        Vec::new()
    }
    /// From certs.
    ///
    /// # Errors
    /// x
    pub fn from_certificates(_chain: &[Certificate]) -> Result<Self, ConstraintsError> {
        Ok(Self { levels: Vec::new() })
    }
}
/// Why
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintsError {
    /// Der
    #[error("name constraints are not well-formed: {0}")]
    Der(#[from] crate::der::DerError),
}

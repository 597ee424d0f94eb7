//! Station `check`: the issued certificate against the approval. Never hands out a certificate that
//! says more than was approved.

use countersign_profile::{
    Csr, Expected, IssuedCertificate, Name, Vouched, approve_names, check_issued,
};

use crate::issue::Issued;
use crate::profile::Profile;

/// A certificate that says no more than was approved. Only this station makes one.
#[derive(Debug)]
pub struct Checked {
    issued: Issued,
    certificate: IssuedCertificate,
}

/// Compares what was issued with what was approved.
///
/// # Errors
/// The issued certificate with every mismatch: withhold it, order its revocation.
pub(crate) fn check(
    issued: Issued,
    profile: &Profile,
    now: u64,
) -> Result<Checked, Box<(Issued, Vec<String>)>> {
    match compare(&issued, profile, now) {
        Ok(certificate) => Ok(Checked { issued, certificate }),
        Err(mismatches) => Err(Box::new((issued, mismatches))),
    }
}

fn compare(issued: &Issued, profile: &Profile, now: u64) -> Result<IssuedCertificate, Vec<String>> {
    let approval = issued
        .countersigned()
        .sealed()
        .read_unproven()
        .map_err(|_| vec!["the approval is not readable".to_owned()])?;
    let csr = Csr::parse(issued.countersigned().csr())
        .map_err(|error| vec![format!("the request is not readable: {error}")])?;
    let names: Vec<Name> = approval
        .names
        .iter()
        .map(|name| name.parse())
        .collect::<Result<_, _>>()
        .map_err(|_| vec!["an approved name is not readable".to_owned()])?;
    let approved = approve_names(&csr, &[Vouched::Names(names)], &profile.limits)
        .map_err(|refusal| vec![refusal.to_string()])?;
    let expected = Expected {
        csr: &csr,
        approved: &approved,
        limits: &profile.limits,
        issuer: &profile.issuing_certificate,
        latest_end: approval.latest_end,
        submitted: approval.approved_at,
        now,
    };
    check_issued(issued.certificate(), &expected)
        .map_err(|mismatches| mismatches.iter().map(ToString::to_string).collect())
}

impl Checked {
    /// The station before.
    #[must_use]
    pub fn issued(&self) -> &Issued {
        &self.issued
    }

    /// What the certificate says.
    #[must_use]
    pub fn certificate(&self) -> &IssuedCertificate {
        &self.certificate
    }
}

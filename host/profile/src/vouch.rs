//! Vouched ∩ allowed: every name a request asks for must be known to be the device's.

use crate::{
    csr::Csr,
    limits::{Limits, Refusal},
    name::Name,
};

/// What one verifier says about names when it approves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vouched {
    /// Every name of the request as it stands. Only for a verifier to which the configuration grants
    /// this power; the caller must have checked that before it makes this value.
    ExactlyAsRequested,
    /// These names, and no others; may be empty, which vouches for nothing.
    Names(Vec<Name>),
}

/// The names of a request, every one of them vouched for or fixed by the profile. Only
/// [`approve_names`] makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovedNames {
    names: Vec<Name>,
}

impl ApprovedNames {
    /// The names in the order of the request: attributes of the subject, then alternative names.
    #[must_use]
    pub fn names(&self) -> &[Name] {
        &self.names
    }
}

/// Approves the names of a request, or says the first thing that nobody vouched for.
///
/// A name counts when at least one verifier vouched for it, or when it is among the fixed parts of
/// the profile, which the CA would add by itself. A request that asks for more is refused as a whole
/// (CERT VU#971035), for a PKCS#10 cannot be cut without breaking its signature.
///
/// # Errors
/// Codes `name-not-vouched-for` and `no-names`.
pub fn approve_names(
    csr: &Csr,
    vouched: &[Vouched],
    limits: &Limits,
) -> Result<ApprovedNames, Refusal> {
    let names = csr.names();
    if names.is_empty() {
        return Err(Refusal::new("no-names", "the request names nobody"));
    }
    let is_vouched = |name: &Name| {
        vouched.iter().any(|one| match one {
            Vouched::ExactlyAsRequested => true,
            Vouched::Names(known) => known.contains(name),
        }) || limits.subject.fixed.contains(name)
    };
    match names.iter().find(|name| !is_vouched(name)) {
        Some(name) => {
            Err(Refusal::new("name-not-vouched-for", format!("no verifier vouches for {name}")))
        }
        None => Ok(ApprovedNames { names }),
    }
}

#[cfg(test)]
mod tests;

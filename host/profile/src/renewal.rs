//! Whether a current certificate carries a renewal: the rules that `serve` asks for a cheap refusal
//! and that `verify`, which believes `serve` nothing, asks again.

use crate::{
    certificate::Certificate,
    csr::Csr,
    extension::{ExtendedKeyUsage, KeyUsageBit},
    limits::{Limits, Refusal},
    name::Name,
    revocation_list::RevocationList,
    signature::LegacyDigests,
};

/// A current certificate and what it is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Renewal<'a> {
    /// The certificate that signed the message.
    pub current: &'a Certificate,
    /// The certificate that issues for this profile.
    pub issuer: &'a Certificate,
    /// The issuer's list; the caller has made sure that it is current.
    pub revoked: &'a RevocationList,
    /// What is asked for.
    pub csr: &'a Csr,
    /// The profile's limits.
    pub limits: &'a Limits,
    /// Seconds since 1970.
    pub now: u64,
}

impl Renewal<'_> {
    /// Judges it: issued by the profile's CA for an end entity, current, not revoked, and the request
    /// asks for the same names. Does not judge who may renew, nor whether this host delivered it.
    ///
    /// # Errors
    /// Codes `renewal-not-issued-here`, `renewal-of-ca`, `renewal-expired`, `renewal-revoked`,
    /// `renewal-unlisted`, `renewal-unreadable`, `renewal-other-names`.
    pub fn judge(&self) -> Result<(), Refusal> {
        let Self { current, issuer, revoked, now, .. } = *self;
        is_issued_by(current, issuer)?;
        if !current.is_current(now) {
            return Err(Refusal::new(
                "renewal-expired",
                format!(
                    "the current certificate is valid from {} to {}, now {now}",
                    current.not_before(),
                    current.not_after()
                ),
            ));
        }
        if !revoked.covers(current) {
            return Err(Refusal::new(
                "renewal-unlisted",
                "the revocation list does not speak for the current certificate's distribution \
                 point",
            ));
        }
        if revoked.revokes(current) {
            return Err(Refusal::new(
                "renewal-revoked",
                format!("the current certificate {} is revoked", current.serial_hex()),
            ));
        }
        self.same_names()
    }

    /// The fixed parts of the profile may come or go; everything else must be the same.
    fn same_names(&self) -> Result<(), Refusal> {
        let has = names_of(self.current)?;
        let asks = self.csr.names();
        let fixed = &self.limits.subject.fixed;
        let differs =
            |name: &&Name, in_other: &[Name]| !in_other.contains(name) && !fixed.contains(name);
        if let Some(more) = asks.iter().find(|name| differs(name, &has)) {
            return Err(Refusal::new(
                "renewal-other-names",
                format!("the request asks for {more}, which the current certificate does not say"),
            ));
        }
        if let Some(missing) = has.iter().find(|name| differs(name, &asks)) {
            return Err(Refusal::new(
                "renewal-other-names",
                format!("the current certificate says {missing}, which the request leaves out"),
            ));
        }
        Ok(())
    }
}

/// Whether the issuer's key signed this end-entity certificate.
///
/// # Errors
/// Codes `renewal-not-issued-here`, `renewal-of-ca`, `renewal-unreadable`.
pub fn is_issued_by(current: &Certificate, issuer: &Certificate) -> Result<(), Refusal> {
    current
        .verify_signed_by(issuer, LegacyDigests::Refused)
        .map_err(|error| Refusal::new("renewal-not-issued-here", error.to_string()))?;
    let unreadable = |error| unreadable(&error);
    if current.basic_constraints().map_err(unreadable)?.ca {
        return Err(Refusal::new("renewal-of-ca", "the current certificate is a CA's"));
    }
    // Ours for requests of others: whoever has it must not have it renewed over the network.
    let agent = ExtendedKeyUsage::from(crate::known::CERTIFICATE_REQUEST_AGENT);
    if current.ekus().map_err(unreadable)?.contains(&agent) {
        return Err(Refusal::new(
            "renewal-of-agent",
            "the current certificate is an Enrollment Agent's",
        ));
    }
    let usage = current.key_usage().map_err(unreadable)?;
    if usage.is_some_and(|usage| !usage.contains(KeyUsageBit::DigitalSignature)) {
        return Err(Refusal::new(
            "renewal-key-usage",
            "the current certificate's key is not for signatures",
        ));
    }
    Ok(())
}

/// Every name that a certificate says: attributes of its subject, then alternative names.
///
/// # Errors
/// Code `renewal-unreadable`.
pub fn names_of(certificate: &Certificate) -> Result<Vec<Name>, Refusal> {
    let subject = certificate.subject().map_err(|error| unreadable(&error))?;
    let sans = certificate.sans().map_err(|error| unreadable(&error))?;
    Ok(subject
        .attributes()
        .cloned()
        .map(Name::Attribute)
        .chain(sans.into_iter().map(Name::San))
        .collect())
}

fn unreadable(error: &crate::CertificateError) -> Refusal {
    Refusal::new("renewal-unreadable", format!("the current certificate: {error}"))
}

#[cfg(test)]
mod tests;

//! The check of an issued certificate: it may say nothing that was not approved.

use std::collections::BTreeSet;

use crate::{
    certificate::{Certificate, CertificateError},
    constraints::NameConstraints,
    csr::Csr,
    extension::Extension,
    limits::Limits,
    name::Name,
    oid::known,
    san::San,
    signature::LegacyDigests,
    subject::{Attribute, Subject},
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
    /// The certificate of the one CA that may have issued it, from configuration.
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

/// A certificate may start this long before its request was submitted: AD CS sets the clock back by
/// ten minutes, others by an hour or a day.
const BACKDATING: u64 = 24 * 3600;
/// What backdating may add to the length of validity.
const LENGTH_TOLERANCE: u64 = 3600;
/// How far ahead the CA's clock may be.
const CLOCK_SKEW: u64 = 300;

/// Extensions that AD CS adds by itself, or that are judged on their own. Not among them:
/// certificatePolicies, for an issuance policy can carry membership of a group (ESC13), and the SID
/// extension; both must stand in `issued-extensions`.
const USUAL_EXTENSIONS: [const_oid::ObjectIdentifier; 13] = [
    known::SUBJECT_KEY_IDENTIFIER,
    known::AUTHORITY_KEY_IDENTIFIER,
    known::CRL_DISTRIBUTION_POINTS,
    known::FRESHEST_CRL,
    known::AUTHORITY_INFO_ACCESS,
    known::KEY_USAGE,
    known::EXTENDED_KEY_USAGE,
    known::SUBJECT_ALT_NAME,
    known::BASIC_CONSTRAINTS,
    known::SMIME_CAPABILITIES,
    known::MS_TEMPLATE_NAME,
    known::MS_TEMPLATE,
    known::MS_APPLICATION_POLICIES,
];

/// Holds an issued certificate against what was approved, and lists every difference.
///
/// The subject may be less than what was approved (AD CS reorders and drops RDNs) plus the fixed
/// parts of the profile; alternative names must be exactly those approved.
///
/// # Errors
/// Every mismatch, at least one. The certificate must then be withheld and its revocation ordered.
pub fn check_issued(
    der: &[u8],
    expected: &Expected<'_>,
) -> Result<IssuedCertificate, Vec<Mismatch>> {
    let issued = read(der)
        .map_err(|error| vec![Mismatch { code: "unreadable", detail: error.to_string() }])?;
    let mut check = Check { issued: &issued, expected, mismatches: Vec::new() };
    check.key();
    check.issuer();
    check.subject();
    check.sans();
    check.purposes();
    check.validity();
    check.extensions();
    if check.mismatches.is_empty() { Ok(issued) } else { Err(check.mismatches) }
}

fn read(der: &[u8]) -> Result<IssuedCertificate, CertificateError> {
    let certificate = Certificate::parse(der)?;
    Ok(IssuedCertificate {
        subject: certificate.subject()?,
        issuer: certificate.issuer()?,
        sans: certificate.sans()?,
        certificate,
    })
}

impl IssuedCertificate {
    /// Everything about it: DER, serial number, hash, validity.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The certificate as the CA gave it.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        self.certificate.der()
    }

    /// The serial number in lower-case hex.
    #[must_use]
    pub fn serial_hex(&self) -> String {
        self.certificate.serial_hex()
    }

    /// SHA-256 of the certificate.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        self.certificate.sha256()
    }

    /// Start of validity, in seconds since 1970.
    #[must_use]
    pub fn not_before(&self) -> u64 {
        self.certificate.not_before()
    }

    /// End of validity, in seconds since 1970.
    #[must_use]
    pub fn not_after(&self) -> u64 {
        self.certificate.not_after()
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

struct Check<'a> {
    issued: &'a IssuedCertificate,
    expected: &'a Expected<'a>,
    mismatches: Vec<Mismatch>,
}

impl Check<'_> {
    fn add(&mut self, code: &'static str, detail: impl Into<String>) {
        self.mismatches.push(Mismatch { code, detail: detail.into() });
    }

    fn key(&mut self) {
        let requested = self.expected.csr.public_key();
        match self.issued.certificate.public_key() {
            // Not octet by octet: a CA may write the NULL that the device left out.
            Ok(key)
                if key.algorithm() == requested.algorithm()
                    && key.key_bits() == requested.key_bits() => {}
            Ok(_) => self.add("key", "the certificate is for another key than the request"),
            Err(error) => self.add("key", error.to_string()),
        }
    }

    fn issuer(&mut self) {
        let certificate = &self.issued.certificate;
        match certificate.verify_signed_by(self.expected.issuer, LegacyDigests::Refused) {
            Ok(()) => {}
            Err(CertificateError::Issuer) => {
                let found = &self.issued.issuer;
                self.add("issuer", format!("{found} is not the configured CA"));
            }
            Err(error) => {
                self.add("signature", format!("not signed by the configured CA: {error}"))
            }
        }
    }

    fn subject(&mut self) {
        let (expected, issued) = (self.expected, self.issued);
        let fixed = &expected.limits.subject.fixed;
        let approved: BTreeSet<&Attribute> = expected
            .approved
            .names()
            .iter()
            .chain(fixed)
            .filter_map(|name| match name {
                Name::Attribute(attribute) => Some(attribute),
                Name::San(_) => None,
            })
            .collect();
        for attribute in issued.subject.attributes().filter(|found| !approved.contains(found)) {
            self.add("subject", format!("{attribute} was not approved"));
        }
        for required in &expected.limits.subject.required {
            if !issued.subject.attributes().any(|found| found.attribute_type() == required.oid()) {
                self.add("subject-required", format!("{required} is missing in the subject"));
            }
        }
        let several = issued.subject.rdns().iter().any(|rdn| rdn.is_multi_valued());
        if several && !expected.limits.subject.multi_valued {
            self.add("multi-valued-rdn", "an RDN of several attributes in the subject");
        }
        if issued.subject.is_empty() && issued.sans.is_empty() {
            self.add("no-names", "the certificate names nobody");
        }
        match NameConstraints::from_certificates(std::slice::from_ref(expected.issuer)) {
            Ok(constraints) => {
                for violation in constraints.violations(&issued.subject, &issued.sans) {
                    self.add("name-constraint", violation);
                }
            }
            Err(error) => self.add("name-constraint", error.to_string()),
        }
    }

    fn sans(&mut self) {
        let approved: BTreeSet<&San> = self
            .expected
            .approved
            .names()
            .iter()
            .filter_map(|name| match name {
                Name::San(san) => Some(san),
                Name::Attribute(_) => None,
            })
            .collect();
        let issued: BTreeSet<&San> = self.issued.sans.iter().collect();
        for san in issued.difference(&approved) {
            self.add("san", format!("{san} was not approved"));
        }
        for san in approved.difference(&issued) {
            self.add("san", format!("{san} was approved and is missing"));
        }
    }

    fn purposes(&mut self) {
        let (limits, certificate) = (self.expected.limits, &self.issued.certificate);
        match certificate.ekus() {
            Ok(purposes) if purposes.is_empty() => {
                self.add("eku", "no extended key usage, which means every purpose");
            }
            Ok(purposes) => {
                for purpose in purposes.iter().filter(|purpose| !limits.ekus.contains(purpose)) {
                    self.add("eku", format!("{purpose} is not among the profile's purposes"));
                }
            }
            Err(error) => self.add("eku", error.to_string()),
        }
        match certificate.key_usage() {
            Ok(None) => self.add("key-usage", "no key usage, which means every usage"),
            Ok(Some(usage)) => {
                for bit in usage.bits().filter(|bit| !limits.key_usage.contains(bit)) {
                    self.add("key-usage", format!("{bit} is not among the profile's key usages"));
                }
            }
            Err(error) => self.add("key-usage", error.to_string()),
        }
        match certificate.basic_constraints() {
            Ok(constraints) if constraints.ca => {
                self.add("ca-true", "the certificate is a CA's");
            }
            Ok(_) => {}
            Err(error) => self.add("ca-true", error.to_string()),
        }
    }

    fn validity(&mut self) {
        let expected = self.expected;
        let (start, end) = (self.issued.not_before(), self.issued.not_after());
        if start > expected.now.saturating_add(CLOCK_SKEW) {
            let wait = start - expected.now;
            self.add(
                "not-before",
                format!("valid only in {wait} s; is the clock of CA or host wrong?"),
            );
        }
        if start < expected.submitted.saturating_sub(BACKDATING) {
            self.add("not-before", "starts more than a day before the request was submitted");
        }
        if end <= expected.now {
            self.add("expired", "its validity has ended already");
        }
        let longest = expected.limits.max_validity;
        if end.saturating_sub(start) > longest.as_secs().saturating_add(LENGTH_TOLERANCE) {
            let days = end.saturating_sub(start) / 86_400;
            self.add("validity", format!("valid for {days} days; max-validity is {longest}"));
        }
        if let Some(latest) = expected.latest_end
            && end > latest
        {
            let over = end - latest;
            self.add("latest-end", format!("ends {over} s after the latest end a verifier set"));
        }
    }

    fn extensions(&mut self) {
        let (limits, issued) = (self.expected.limits, self.issued);
        for extension in issued.certificate.extensions() {
            let oid = &extension.oid;
            let usual = USUAL_EXTENSIONS.iter().any(|usual| oid == usual);
            if !usual && !limits.issued_extensions.contains(oid) {
                self.add("extension", format!("{oid}; issued-extensions does not list it"));
            }
            if *oid == known::MS_APPLICATION_POLICIES
                && !limits.are_application_policies_allowed(&extension.value)
            {
                self.add("application-policies", "application policies beyond the profile's ekus");
            }
            if !self.is_template_expected(extension) {
                self.add("template", "issued from another template than the profile's");
            }
        }
    }

    /// Only a template that the profile names can be held against the certificate's.
    fn is_template_expected(&self, extension: &Extension) -> bool {
        let template = &self.expected.limits.template;
        let compared = (extension.oid == known::MS_TEMPLATE_NAME && template.name.is_some())
            || (extension.oid == known::MS_TEMPLATE && template.oid.is_some());
        !compared || template.is_named_by(extension)
    }
}

#[cfg(test)]
mod tests;

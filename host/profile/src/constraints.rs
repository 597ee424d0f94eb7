//! Name constraints of CAs (RFC 5280 §4.2.1.10), enforced on requests and on issued certificates.
//!
//! Whatever is not understood counts against the name: a constraint on a form that cannot be read
//! refuses every name of that form, and a malformed constraint refuses the CA's certificate.

mod subtree;

use self::subtree::{DirectoryMatch, Subtree};
use crate::{
    certificate::Certificate,
    csr::Csr,
    der::{DerError, Reader, only, tag},
    name::Name,
    oid::{Oid, known},
    san::{San, is_host_name},
    subject::{Attribute, NameError, Subject, attribute_types},
};

/// The constraints of the issuing CA and of those above it: each of them must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameConstraints {
    levels: Vec<Level>,
}

/// The constraints of one CA certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Level {
    permitted: Vec<Subtree>,
    excluded: Vec<Subtree>,
}

/// Why the name constraints of a CA cannot be enforced; its requests must then be refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintsError {
    /// Not DER of the expected form.
    #[error("name constraints are not well-formed: {0}")]
    Der(#[from] DerError),
    /// A subtree with `minimum` or `maximum`, which RFC 5280 does not allow.
    #[error("name constraints use minimum or maximum, which RFC 5280 forbids")]
    Distance,
    /// A subtree whose base is not of its form.
    #[error("name constraints hold a {0} subtree that cannot be read")]
    Base(&'static str),
    /// A directory name that cannot be read.
    #[error("name constraints: {0}")]
    Name(#[from] NameError),
}

/// More subtrees in one list are not read.
const MAX_SUBTREES: usize = 1024;

/// A name in the form in which constraints see it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tested<'a> {
    Dns(&'a str),
    Email(&'a str),
    Uri(&'a str),
    Ip(std::net::IpAddr),
    Upn(&'a str),
    Directory(&'a Subject),
    Other(&'a Oid),
}

impl NameConstraints {
    /// The constraints in these CA certificates, usually the issuing CA and all above it.
    ///
    /// # Errors
    /// Constraints that cannot be read with certainty.
    pub fn from_certificates(chain: &[Certificate]) -> Result<Self, ConstraintsError> {
        let extensions = chain.iter().filter_map(|ca| ca.extension(known::NAME_CONSTRAINTS));
        let levels: Result<_, _> = extensions.map(|found| Level::from_der(&found.value)).collect();
        Ok(Self { levels: levels? })
    }

    /// Whether there is any constraint.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    /// What is wrong with the names of a certificate, in words; empty when nothing is.
    #[must_use]
    pub fn violations(&self, subject: &Subject, sans: &[San]) -> Vec<String> {
        self.violations_with(subject, sans, &DirectoryMatch::InOrder)
    }

    /// As [`violations`](Self::violations), for a request: the CA may still turn the order of the
    /// subject round and add the fixed parts of the profile.
    pub(crate) fn violations_of_request(&self, csr: &Csr, fixed: &[Name]) -> Vec<String> {
        let fixed: Vec<Attribute> = fixed
            .iter()
            .filter_map(|name| match name {
                Name::Attribute(attribute) => Some(attribute.clone()),
                Name::San(_) => None,
            })
            .collect();
        self.violations_with(csr.subject(), csr.sans(), &DirectoryMatch::BeforeIssuance(fixed))
    }

    fn violations_with(
        &self,
        subject: &Subject,
        sans: &[San],
        directory: &DirectoryMatch,
    ) -> Vec<String> {
        let mut violations = Vec::new();
        let mut judge = |tested: Tested<'_>, shown: &dyn std::fmt::Display, order| {
            for level in &self.levels {
                if let Some(problem) = level.violation(tested, order) {
                    violations.push(format!("{shown} {problem}"));
                }
            }
        };
        if !subject.is_empty() {
            judge(Tested::Directory(subject), &format_args!("subject {subject}"), directory);
        }
        for attribute in subject.attributes() {
            let value = attribute.value();
            if *attribute.attribute_type() == known::EMAIL_ADDRESS {
                // RFC 5280 §4.2.1.10: rfc822Name constraints hold for it too.
                judge(Tested::Email(value), attribute, directory);
            } else if *attribute.attribute_type() == attribute_types::COMMON_NAME
                && value.contains('.')
                && is_host_name(value)
            {
                // Some validators still read a host name from the common name.
                let lower = value.to_ascii_lowercase();
                judge(Tested::Dns(&lower), attribute, directory);
            }
        }
        for san in sans {
            let tested = match san {
                San::Dns(name) => Tested::Dns(name),
                San::Email(mailbox) => Tested::Email(mailbox),
                San::Uri(uri) => Tested::Uri(uri),
                San::Ip(address) => Tested::Ip(*address),
                San::Upn(name) => Tested::Upn(name),
                San::Directory(name) => Tested::Directory(name),
                San::Other(type_id, _) => Tested::Other(type_id),
            };
            judge(tested, san, &DirectoryMatch::InOrder);
        }
        violations
    }
}

impl Level {
    fn from_der(value: &[u8]) -> Result<Self, ConstraintsError> {
        let mut reader = only(value)?.expect(tag::SEQUENCE)?.reader();
        let permitted = match reader.optional(tag::context_constructed(0))? {
            Some(list) => subtrees(list.reader())?,
            None => Vec::new(),
        };
        let excluded = match reader.optional(tag::context_constructed(1))? {
            Some(list) => subtrees(list.reader())?,
            None => Vec::new(),
        };
        reader.finish()?;
        Ok(Self { permitted, excluded })
    }

    fn violation(&self, name: Tested<'_>, order: &DirectoryMatch) -> Option<&'static str> {
        if self.excluded.iter().any(|tree| tree.is_of_form(name) && tree.touches(name, order)) {
            return Some("lies in a subtree that the CA's name constraints exclude");
        }
        let mut permitted = self.permitted.iter().filter(|tree| tree.is_of_form(name)).peekable();
        if permitted.peek().is_some() && !permitted.any(|tree| tree.contains(name, order)) {
            return Some("lies outside the subtrees that the CA's name constraints permit");
        }
        None
    }
}

fn subtrees(mut reader: Reader<'_>) -> Result<Vec<Subtree>, ConstraintsError> {
    let mut subtrees = Vec::new();
    while !reader.is_empty() {
        if subtrees.len() == MAX_SUBTREES {
            return Err(DerError::TooMany { what: "subtrees", limit: MAX_SUBTREES }.into());
        }
        let mut fields = reader.sequence()?;
        let base = fields.any()?;
        // `minimum [0]` is 0 and `maximum [1]` is absent; a written-out default is tolerated.
        if let Some(minimum) = fields.optional(tag::context(0))?
            && minimum.value != [0]
        {
            return Err(ConstraintsError::Distance);
        }
        if !fields.is_empty() {
            return Err(ConstraintsError::Distance);
        }
        subtrees.push(Subtree::from_general_name(base)?);
    }
    Ok(subtrees)
}

#[cfg(test)]
mod tests;

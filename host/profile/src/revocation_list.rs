//! A CA's certificate revocation list (RFC 5280 §5), read so far that one question can be answered:
//! is this certificate on it? Whatever would let the list say less than it seems to is refused.

use std::{fmt, ops::Range};

use const_oid::ObjectIdentifier;

use crate::{
    certificate::{Certificate, CertificateError},
    der::{DerError, Reader, Tlv, only, tag},
    extension::{Extension, ExtensionError},
    key::sha256,
    signature::{LegacyDigests, SignatureError, SignatureScheme},
    time,
};

const ISSUING_DISTRIBUTION_POINT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.28");
const DELTA_CRL_INDICATOR: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.27");
const CRL_DISTRIBUTION_POINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.31");

/// How far the CA's clock may be ahead of ours, in seconds.
const SKEW: u64 = 300;

/// A complete list whose signature holds, made by the CA that it was checked against.
#[derive(Clone, PartialEq, Eq)]
pub struct RevocationList {
    der: Vec<u8>,
    sha256: [u8; 32],
    this_update: u64,
    next_update: u64,
    /// Serial numbers without leading zeros, as spans of `der`, in the order of their octets.
    serials: Vec<Range<u32>>,
    /// The places that the list speaks for, each a whole GeneralName; empty: all.
    scope: Vec<Vec<u8>>,
}

/// Why octets are no list that could be relied on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevocationListError {
    /// More than [`RevocationList::MAX_OCTETS`].
    #[error("revocation list of {0} octets; at most 33554432 are read")]
    TooLarge(usize),
    /// Not DER of the expected form.
    #[error("revocation list is not well-formed: {0}")]
    Der(#[from] DerError),
    /// The extensions.
    #[error(transparent)]
    Extension(#[from] ExtensionError),
    /// Another CA's.
    #[error("revocation list names another issuer")]
    Issuer,
    /// The issuer's key.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The signature.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// It never ends (RFC 5280 §5.1.2.5 demands nextUpdate).
    #[error("revocation list does not say when the next one comes")]
    NoNextUpdate,
    /// A delta, an indirect list, or one for some certificates or reasons only.
    #[error("revocation list is not complete: {0}; give the address of the CA's base list")]
    NotComplete(&'static str),
}

impl RevocationList {
    /// Larger lists are refused unread; a CA with some hundred thousand revoked certificates stays
    /// below.
    pub const MAX_OCTETS: usize = 32 << 20;

    /// Reads a list in DER and makes sure that `issuer` made it, by name (octet by octet) and key.
    /// Whether it is current is another question ([`is_current`](Self::is_current)).
    ///
    /// # Errors
    /// See [`RevocationListError`].
    pub fn read(der: Vec<u8>, issuer: &Certificate) -> Result<Self, RevocationListError> {
        if der.len() > Self::MAX_OCTETS {
            return Err(RevocationListError::TooLarge(der.len()));
        }
        let mut list = only(&der)?.expect(tag::SEQUENCE)?.reader();
        let tbs = list.expect(tag::SEQUENCE)?;
        let algorithm = list.expect(tag::SEQUENCE)?;
        let signature = list.bit_string_octets()?;
        list.finish()?;

        let mut fields = tbs.reader();
        fields.optional(tag::INTEGER)?;
        if fields.expect(tag::SEQUENCE)?.raw != algorithm.raw {
            return Err(CertificateError::TwoAlgorithms.into());
        }
        if fields.expect(tag::SEQUENCE)?.raw != issuer.subject_der() {
            return Err(RevocationListError::Issuer);
        }
        let scheme = SignatureScheme::from_algorithm_identifier(algorithm.raw)?;
        issuer.public_key()?.verify(scheme, LegacyDigests::Refused, tbs.raw, signature)?;

        let this_update = time::unix_seconds(fields.any()?)?;
        let next_update = match fields.peek() {
            Some(tag::UTC_TIME | tag::GENERALIZED_TIME) => time::unix_seconds(fields.any()?)?,
            _ => return Err(RevocationListError::NoNextUpdate),
        };
        let mut serials = match fields.optional(tag::SEQUENCE)? {
            Some(revoked) => read_entries(revoked)?,
            None => Vec::new(),
        };
        let scope = match fields.optional(tag::context_constructed(0))? {
            Some(explicit) => {
                let list = only(explicit.value)?.expect(tag::SEQUENCE)?.reader();
                read_scope(&Extension::list(list)?)?
            }
            None => Vec::new(),
        };
        fields.finish()?;
        serials.sort_unstable_by(|one, other| slice(&der, one).cmp(slice(&der, other)));
        let sha256 = sha256(&der);
        Ok(Self { der, sha256, this_update, next_update, serials, scope })
    }

    /// The list as received.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of the list as received.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        self.sha256
    }

    /// When the CA made it, in seconds since 1970.
    #[must_use]
    pub fn this_update(&self) -> u64 {
        self.this_update
    }

    /// When the CA will have made the next one, in seconds since 1970.
    #[must_use]
    pub fn next_update(&self) -> u64 {
        self.next_update
    }

    /// Whether it may be relied on at `now` (seconds since 1970): made, and not due to be replaced.
    #[must_use]
    pub fn is_current(&self, now: u64) -> bool {
        self.this_update <= now.saturating_add(SKEW) && now <= self.next_update
    }

    /// Whether it speaks for this certificate of the same CA: a list for one distribution point
    /// (RFC 5280 §5.2.5) says nothing about certificates that name another.
    #[must_use]
    pub fn covers(&self, certificate: &Certificate) -> bool {
        self.scope.is_empty()
            || distribution_points(certificate)
                .is_ok_and(|places| places.iter().any(|place| self.scope.contains(place)))
    }

    /// Whether this certificate of the same CA is on it, for whatever reason, on hold included.
    #[must_use]
    pub fn revokes(&self, certificate: &Certificate) -> bool {
        let serial = without_zeros(certificate.serial());
        self.serials.binary_search_by(|entry| slice(&self.der, entry).cmp(serial)).is_ok()
    }

    /// How many certificates are on it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.serials.len()
    }

    /// Whether nothing is on it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.serials.is_empty()
    }
}

impl fmt::Debug for RevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationList")
            .field("sha256", &hex::encode(self.sha256))
            .field("this_update", &self.this_update)
            .field("next_update", &self.next_update)
            .field("entries", &self.serials.len())
            .finish_non_exhaustive()
    }
}

fn read_entries(revoked: Tlv<'_>) -> Result<Vec<Range<u32>>, RevocationListError> {
    let mut entries = Vec::new();
    let mut reader = revoked.reader();
    while !reader.is_empty() {
        let mut entry = reader.sequence()?;
        let serial = entry.expect(tag::INTEGER)?;
        time::unix_seconds(entry.any()?)?;
        if !entry.is_empty() {
            let extensions = Extension::list(entry.sequence()?)?;
            // certificateIssuer above all: the entry would be about another CA's certificate.
            if extensions.iter().any(|extension| extension.critical) {
                return Err(RevocationListError::NotComplete("an entry with a critical extension"));
            }
            entry.finish()?;
        }
        let end = serial.range().end;
        let start = end - without_zeros(serial.value).len();
        // MAX_OCTETS is far below.
        let place = |at: usize| u32::try_from(at).map_err(|_| DerError::Length);
        entries.push(place(start)?..place(end)?);
    }
    Ok(entries)
}

/// What a list must not leave out, and the places that it speaks for.
fn read_scope(extensions: &[Extension]) -> Result<Vec<Vec<u8>>, RevocationListError> {
    if Extension::find(extensions, DELTA_CRL_INDICATOR).is_some() {
        return Err(RevocationListError::NotComplete("it is a delta"));
    }
    let known = |extension: &&Extension| extension.oid != ISSUING_DISTRIBUTION_POINT;
    if extensions.iter().filter(known).any(|extension| extension.critical) {
        return Err(RevocationListError::NotComplete("a critical extension is not known"));
    }
    let Some(point) = Extension::find(extensions, ISSUING_DISTRIBUTION_POINT) else {
        return Ok(Vec::new());
    };
    let mut fields = only(&point.value)?.expect(tag::SEQUENCE)?.reader();
    let scope = match fields.optional(tag::context_constructed(0))? {
        Some(name) => general_names(name.reader())?,
        None => Vec::new(),
    };
    // onlyContainsUserCerts: devices' are.
    fields.optional(tag::context(1))?;
    if !fields.is_empty() {
        return Err(RevocationListError::NotComplete(
            "it is for some certificates or reasons only",
        ));
    }
    Ok(scope)
}

/// The names of a certificate's distribution points (RFC 5280 §4.2.1.13), each a whole GeneralName.
fn distribution_points(certificate: &Certificate) -> Result<Vec<Vec<u8>>, RevocationListError> {
    let Some(extension) = certificate.extension(CRL_DISTRIBUTION_POINTS) else {
        return Ok(Vec::new());
    };
    let mut points = only(&extension.value)?.expect(tag::SEQUENCE)?.reader();
    let mut places = Vec::new();
    while !points.is_empty() {
        if let Some(name) = points.sequence()?.optional(tag::context_constructed(0))? {
            places.extend(general_names(name.reader())?);
        }
    }
    Ok(places)
}

/// DistributionPointName: the full names; one relative to the issuer is refused.
fn general_names(mut name: Reader<'_>) -> Result<Vec<Vec<u8>>, RevocationListError> {
    let full = name.expect(tag::context_constructed(0)).map_err(|_| {
        RevocationListError::NotComplete("its distribution point is relative to the issuer")
    })?;
    name.finish()?;
    let mut names = Vec::new();
    let mut reader = full.reader();
    while !reader.is_empty() {
        names.push(reader.any()?.raw.to_vec());
    }
    Ok(names)
}

fn slice<'a>(der: &'a [u8], range: &Range<u32>) -> &'a [u8] {
    // Ranges come from parsing these bytes.
    der.get(range.start as usize..range.end as usize).unwrap_or_default()
}

fn without_zeros(serial: &[u8]) -> &[u8] {
    let zeros = serial.iter().take_while(|octet| **octet == 0).count();
    serial.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests;

//! What is asked and what is allowed: the view of a request, its names and keys, the limits of a
//! profile, vouched ∩ allowed, and the check of the issued certificate.
//!
//! This crate never does I/O, has no clock, holds no private key and decides nothing about who a
//! device is: it compares. Bytes are bounded before they are parsed, kept as received, and never
//! encoded again.
//!
//! ```
//! use countersign_profile::{Boundary, Csr, LegacyDigests, Limits, Vouched, approve_names};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let received = include_bytes!("../tests/data/openssl-p256-sha256.csr");
//! let csr = Csr::parse(received)?;
//! csr.verify_self_signature(LegacyDigests::Refused)?;
//!
//! let limits = Limits::default();
//! assert_eq!(limits.admit(&csr, &Boundary::default()), Ok(()));
//!
//! let vouched = Vouched::Names(vec!["CN=device-17".parse()?]);
//! let approved = approve_names(&csr, &[vouched], &limits)?;
//! assert_eq!(approved.names()[0].to_string(), "CN=device-17");
//! # Ok(())
//! # }
//! ```

mod certificate;
mod constraints;
mod csr;
mod der;
mod extension;
#[cfg(test)]
mod forge;
mod issued;
mod key;
mod limits;
mod name;
mod oid;
mod renewal;
mod revocation_list;
mod san;
mod signature;
mod subject;
mod text;
mod time;
mod vouch;
mod weakness;

pub use self::{
    certificate::{Certificate, CertificateError},
    constraints::{ConstraintsError, NameConstraints},
    csr::{Challenge, Csr, CsrError},
    der::DerError,
    extension::{
        BasicConstraints, ExtendedKeyUsage, Extension, ExtensionError, KeyUsage, KeyUsageBit,
    },
    issued::{Expected, IssuedCertificate, Mismatch, check_issued},
    key::{KeyAlgorithm, KeyError, PublicKey},
    limits::{
        Boundary, Duration, DurationError, KeyKind, KeyLimits, Limits, LimitsProblem, Refusal,
        SanLimits, SubjectLimits, TemplateReference,
    },
    name::Name,
    oid::{Oid, OidError, known},
    renewal::{Renewal, is_issued_by, names_of},
    revocation_list::{RevocationList, RevocationListError},
    san::{San, SanKind},
    signature::{DigestAlgorithm, LegacyDigests, SignatureError, SignatureScheme},
    subject::{Attribute, AttributeType, NameError, Rdn, Subject, attribute_types},
    text::{MAX_CHARACTERS, TextError},
    vouch::{ApprovedNames, Vouched, approve_names},
};

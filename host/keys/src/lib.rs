//! Private keys: the tokens that hold them, the three roles that use them, and the checks
//! that keep the roles apart.
//!
//! A role is a type. [`KeyHandle<Ea>`](KeyHandle) countersigns, `KeyHandle<Rep>` signs CertRep,
//! `KeyHandle<Cep>` opens SCEP envelopes; a function that signs replies cannot be handed the
//! Enrollment-Agent key, because the value has another type.
//!
//! This crate never parses a request, never decides whether something may be signed, never
//! writes a private key except into a new file of mode 0600, and never tells a good RSA padding
//! from a bad one to its caller.

mod algorithm;
mod certificate;
mod csr;
mod development;
mod error;
mod finding;
mod generate;
mod handle;
mod padding;
pub mod pkcs11;
mod place;
mod pool;
mod process;
mod public_key;
mod role;
pub mod secret_file;
mod token;
mod unwrap;

pub use algorithm::{DigestAlgorithm, KeyTransport, SignatureAlgorithm};
pub use certificate::{
    CertificateError, RoleCertificate, check_distinct_keys, check_role_certificate,
};
pub use csr::{CsrError, UnsignedCsr, csr_signed_by};
pub use development::DevelopmentToken;
pub use error::{LoadError, TokenError};
pub use finding::{Finding, Mode, Severity};
pub use generate::{GeneratedKey, KeySpec, generate_key};
pub use handle::{CepKey, EaKey, KeyHandle, OpenError, RepKey};
pub use place::{KeyPlace, TokenPlace, Tokens, TokensError};
pub use pool::{KeyPool, PoolLimits, PoolStatus};
pub use process::{ProcessError, forbid_core_dumps};
pub use public_key::{KeyKind, PublicKey, PublicKeyError, VerifyError};
pub use role::{Cep, Ea, Rep, Role, RoleKind, Signs};
pub use token::{Capacity, ContentKey, Deadline, KeyName, Token, TokenDescription};

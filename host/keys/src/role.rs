//! The three roles, as types.

use std::fmt;

use serde::Serialize;

mod sealed {
    pub trait Sealed {}
}

/// A role a key is used in. Implemented by [`Ea`], [`Cep`] and [`Rep`] only.
pub trait Role: sealed::Sealed + Send + Sync + 'static {
    /// The role as a value.
    const KIND: RoleKind;
}

/// A role whose key signs: [`Ea`] and [`Rep`], never [`Cep`].
pub trait Signs: Role {}

/// Enrollment Agent: countersigns approved requests, nothing else. Lives in `sign`.
#[derive(Clone, Copy, Debug)]
pub enum Ea {}

/// CEP encryption: opens SCEP envelopes, never signs. Lives in `serve`.
#[derive(Clone, Copy, Debug)]
pub enum Cep {}

/// Signs CertRep, never countersigns. Lives in `serve`.
#[derive(Clone, Copy, Debug)]
pub enum Rep {}

/// A role as a value, for messages and checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoleKind {
    /// Enrollment Agent.
    Ea,
    /// CEP encryption.
    Cep,
    /// CertRep signature.
    Rep,
}

impl fmt::Display for RoleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ea => "EA",
            Self::Cep => "CEP",
            Self::Rep => "REP",
        })
    }
}

impl sealed::Sealed for Ea {}
impl sealed::Sealed for Cep {}
impl sealed::Sealed for Rep {}

impl Role for Ea {
    const KIND: RoleKind = RoleKind::Ea;
}
impl Role for Cep {
    const KIND: RoleKind = RoleKind::Cep;
}
impl Role for Rep {
    const KIND: RoleKind = RoleKind::Rep;
}

impl Signs for Ea {}
impl Signs for Rep {}

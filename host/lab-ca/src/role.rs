//! The certificates an admin asks for, beside those of devices.

use serde::{Deserialize, Serialize};

use crate::certificate::KeyUse;
use crate::template::{CERTIFICATE_REQUEST_AGENT, CLIENT_AUTH, SERVER_AUTH};

/// What a certificate of ours is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Countersigning: digitalSignature, Certificate Request Agent.
    Ea,
    /// Opening SCEP envelopes: keyEncipherment.
    Cep,
    /// Signing CertRep: digitalSignature.
    Rep,
    /// A server: serverAuth, names from the request.
    TlsServer,
    /// An account of the enrolment web service: clientAuth.
    TlsClient,
}

impl Role {
    pub(crate) fn key_use(self) -> KeyUse {
        match self {
            Self::Ea | Self::Rep | Self::TlsClient => KeyUse::Sign,
            Self::Cep => KeyUse::Encipher,
            Self::TlsServer => KeyUse::SignAndEncipher,
        }
    }

    pub(crate) fn extended_key_usages(self) -> &'static [&'static str] {
        match self {
            Self::Ea => &[CERTIFICATE_REQUEST_AGENT],
            Self::Cep | Self::Rep => &[],
            Self::TlsServer => &[SERVER_AUTH],
            Self::TlsClient => &[CLIENT_AUTH],
        }
    }
}

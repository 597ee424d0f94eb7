//! What the journal says: requests, certificates, revocations.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::role::Role;

/// One line of the journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "entry")]
pub(crate) enum Entry {
    Received(RequestRecord),
    Issued(CertificateRecord),
    Denied { id: u32, hresult: u32 },
    Revoked { serial: String, revocation: Revocation },
}

/// A request as the CA keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RequestRecord {
    /// The CA's number for it.
    pub id: u32,
    /// The template it was made for.
    pub template: String,
    /// Who submitted it.
    pub requester: String,
    /// When, seconds since 1970.
    pub received: u64,
    /// The PKCS#10, hexadecimal.
    pub request: String,
    /// What became of it.
    pub state: RequestState,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestState {
    /// Waits for a certificate manager.
    Pending,
    /// Issued, with this serial number (hexadecimal).
    Issued(String),
    /// Refused or denied, with this code.
    Denied(u32),
}

/// An issued certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CertificateRecord {
    /// Serial number, hexadecimal, lower case.
    pub serial: String,
    /// The certificate, DER, hexadecimal.
    pub certificate: String,
    /// What it was issued for.
    pub origin: Origin,
    /// When and why it was revoked, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<Revocation>,
}

/// What a certificate was issued for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// This request.
    Request(u32),
    /// A role, by an admin.
    Role(Role),
}

/// A revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// When, seconds since 1970.
    pub time: u64,
    /// CRLReason (RFC 5280 §5.3.1).
    pub reason: u8,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) requests: BTreeMap<u32, RequestRecord>,
    pub(crate) certificates: BTreeMap<String, CertificateRecord>,
}

impl State {
    pub(crate) fn next_request(&self) -> u32 {
        self.requests.keys().next_back().map_or(1, |last| last + 1)
    }

    pub(crate) fn is_revoked(&self, serial: &str) -> bool {
        self.certificates.get(serial).is_some_and(|certificate| certificate.revocation.is_some())
    }

    pub(crate) fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Received(request) => {
                self.requests.insert(request.id, request);
            }
            Entry::Issued(certificate) => {
                if let Origin::Request(id) = certificate.origin
                    && let Some(request) = self.requests.get_mut(&id)
                {
                    request.state = RequestState::Issued(certificate.serial.clone());
                }
                self.certificates.insert(certificate.serial.clone(), certificate);
            }
            Entry::Denied { id, hresult } => {
                if let Some(request) = self.requests.get_mut(&id) {
                    request.state = RequestState::Denied(hresult);
                }
            }
            Entry::Revoked { serial, revocation } => {
                if let Some(certificate) = self.certificates.get_mut(&serial) {
                    certificate.revocation = Some(revocation);
                }
            }
        }
    }
}

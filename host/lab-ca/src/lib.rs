//! A small certificate authority in AD CS's manners, for demo and tests.
//!
//! It answers MS-WSTEP over HTTPS as AD CS's enrolment web service does, and enforces what AD CS
//! enforces: the template exists, one authorised signature, by a current and unrevoked certificate
//! of this CA with Certificate Request Agent, the template's limits; it refuses with AD CS's own
//! error codes. A template can be told to misbehave ([`Misbehaviour`]), so that tests read like a
//! story.
//!
//! Its revoke agent ([`Agent`]) pulls signed revocation orders and carries them out.
//!
//! It listens on loopback only, keeps its key in a file, and shares no code with the connector in
//! `host/authority` or the writer in `host/sign`: what both sides agree on, they agree on twice.
//! Production code never links it.

mod agent;
mod certificate;
mod cmc;
mod countersigned;
mod crl;
mod decide;
mod directory;
mod error;
mod key;
mod order;
mod request;
mod role;
mod serve;
mod state;
mod template;
mod wstep;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::certificate::{Issuer, Subject};
use crate::directory::Directory;
use crate::request::Request;

pub use crate::agent::{Agent, Report};
pub use crate::decide::Refusal;
pub use crate::directory::{Options, User};
pub use crate::error::LabCaError;
pub use crate::key::Algorithm;
pub use crate::order::OrderKey;
pub use crate::role::Role;
pub use crate::serve::Serving;
pub use crate::state::{CertificateRecord, Origin, RequestRecord, RequestState, Revocation};
pub use crate::template::{
    CERTIFICATE_REQUEST_AGENT, CLIENT_AUTH, Misbehave, Misbehaviour, SERVER_AUTH, Template,
};

/// A lab CA in a directory. Clones share it; other processes may open the same directory.
#[derive(Clone)]
pub struct LabCa(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) directory: Directory,
    pub(crate) issuer: Issuer,
    /// How often each misbehaviour of a template has happened here.
    pub(crate) misbehaved: std::sync::Mutex<std::collections::HashMap<(String, usize), u32>>,
}

impl LabCa {
    /// Makes a CA in `directory`, which must not hold one.
    ///
    /// # Errors
    /// [`LabCaError::Exists`], or what the file system or the cryptography said.
    pub fn create(directory: &Path, options: Options) -> Result<Self, LabCaError> {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let directory = Directory::create(directory)?;
        let key = key::CaKey::generate(options.algorithm)?;
        directory.write_key(&key.to_pkcs8()?)?;
        let issuer = Issuer::self_signed(&options.name, key, DAY * options.validity_days)?;
        directory.write_certificate(&issuer.certificate)?;
        directory.write_settings(&options)?;
        Ok(Self::with(directory, issuer))
    }

    /// Opens the CA that [`Self::create`] made; other processes may have it open too.
    ///
    /// # Errors
    /// What is missing or damaged in the directory.
    pub fn open(directory: &Path) -> Result<Self, LabCaError> {
        let directory = Directory::open(directory)?;
        let key = key::CaKey::from_pkcs8(&directory.read_key()?)?;
        let issuer = Issuer::restore(directory.read_certificate()?, key)?;
        // Read once, so that damage shows at the start.
        directory.settings()?;
        drop(directory.lock()?);
        Ok(Self::with(directory, issuer))
    }

    fn with(directory: Directory, issuer: Issuer) -> Self {
        Self(Arc::new(Inner { directory, issuer, misbehaved: std::sync::Mutex::default() }))
    }

    /// The CA's own certificate, DER. It is the root and the issuer of all it issues.
    #[must_use]
    pub fn certificate_der(&self) -> &[u8] {
        &self.0.issuer.certificate
    }

    /// The same, PEM.
    ///
    /// # Errors
    /// None in practice; PEM could not be written.
    pub fn certificate_pem(&self) -> Result<String, LabCaError> {
        directory::pem_text("CERTIFICATE", self.certificate_der())
    }

    /// Where its files are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.0.directory.path()
    }

    /// The settings as they are now.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn settings(&self) -> Result<Options, LabCaError> {
        Ok((*self.0.directory.settings()?).clone())
    }

    /// Adds the template, or replaces the one of its name; a serving process sees it with the next
    /// request. Counts of misbehaviour start anew.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn set_template(&self, template: Template) -> Result<(), LabCaError> {
        let _locked = self.0.directory.lock()?;
        let mut settings = self.settings()?;
        let mut counts = self.misbehaved();
        counts.retain(|(name, _), _| !name.eq_ignore_ascii_case(&template.name));
        settings.templates.retain(|other| !other.name.eq_ignore_ascii_case(&template.name));
        settings.templates.push(template);
        self.0.directory.write_settings(&settings)
    }

    /// Issues a certificate of ours for two years from a PKCS#10 (DER), with the subject and SAN it
    /// asks for and the extensions of its role.
    ///
    /// # Errors
    /// [`LabCaError::Request`] when the PKCS#10 is not good.
    pub fn issue_role_certificate(&self, csr: &[u8], role: Role) -> Result<Vec<u8>, LabCaError> {
        let (not_before, not_after) = certificate::validity(730);
        self.issue_role_certificate_valid(csr, role, not_before, not_after)
    }

    /// The same with a validity of one's own: expired, or not yet begun.
    ///
    /// # Errors
    /// As [`Self::issue_role_certificate`].
    pub fn issue_role_certificate_valid(
        &self,
        csr: &[u8],
        role: Role,
        not_before: SystemTime,
        not_after: SystemTime,
    ) -> Result<Vec<u8>, LabCaError> {
        let request =
            Request::read(csr).map_err(|refusal| LabCaError::Request(refusal.text.into_owned()))?;
        self.issue_for_role(
            role,
            Subject {
                name: request.subject,
                spki: &request.spki,
                key_use: role.key_use(),
                extended_key_usages: Vec::new(),
                subject_alt_name: request.subject_alt_name,
                not_before,
                not_after,
                template: None,
                more_extensions: Vec::new(),
                publication: None,
            },
        )
    }

    pub(crate) fn issue_for_role(
        &self,
        role: Role,
        subject: Subject<'_>,
    ) -> Result<Vec<u8>, LabCaError> {
        let settings = self.0.directory.settings()?;
        let mut locked = self.0.directory.lock()?;
        let issued = self.0.issuer.issue(Subject {
            extended_key_usages: role
                .extended_key_usages()
                .iter()
                .map(|&usage| usage.to_owned())
                .collect(),
            publication: settings.publication.as_deref(),
            ..subject
        })?;
        locked.append(state::Entry::Issued(CertificateRecord {
            serial: issued.serial,
            certificate: hex::encode(&issued.der),
            origin: Origin::Role(role),
            revocation: None,
        }))?;
        Ok(issued.der)
    }

    /// A certificate manager approves a pending request; returns the certificate, DER.
    ///
    /// # Errors
    /// [`LabCaError::NotFound`] when no such request is pending, or its template is gone.
    pub fn approve(&self, id: u32) -> Result<Vec<u8>, LabCaError> {
        let settings = self.0.directory.settings()?;
        let locked = self.0.directory.lock()?;
        let request = pending(&locked, id)?;
        let template = settings
            .templates
            .iter()
            .find(|template| template.name.eq_ignore_ascii_case(&request.template))
            .ok_or_else(|| LabCaError::NotFound(format!("template {}", request.template)))?;
        let der = hex::decode(&request.request)
            .map_err(|error| LabCaError::Request(error.to_string()))?;
        let misbehaving = self.misbehaving(template);
        self.issue(id, &der, template, &request.requester, &misbehaving, locked)
    }

    /// A certificate manager denies a pending request.
    ///
    /// # Errors
    /// [`LabCaError::NotFound`] when no such request is pending.
    pub fn deny(&self, id: u32) -> Result<(), LabCaError> {
        let mut locked = self.0.directory.lock()?;
        pending(&locked, id)?;
        locked.append(state::Entry::Denied { id, hresult: Refusal::ADMIN_DENIED.hresult })
    }

    /// Revokes the certificate with this serial number (hexadecimal), with a CRLReason of RFC 5280
    /// §5.3.1 (0 unspecified, 1 key compromise, 4 superseded, 5 cessation of operation). Again: no
    /// change.
    ///
    /// # Errors
    /// [`LabCaError::NotFound`] when this CA issued no such certificate.
    pub fn revoke(&self, serial: &str, reason: u8) -> Result<(), LabCaError> {
        let serial = serial.trim().replace(':', "").to_ascii_lowercase();
        let mut locked = self.0.directory.lock()?;
        let certificate = locked
            .state()
            .certificates
            .get(&serial)
            .ok_or_else(|| LabCaError::NotFound(format!("certificate {serial}")))?;
        if certificate.revocation.is_some() {
            return Ok(());
        }
        let revocation = Revocation { time: unix(SystemTime::now()), reason };
        locked.append(state::Entry::Revoked { serial, revocation })
    }

    /// All requests, oldest first.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn requests(&self) -> Result<Vec<RequestRecord>, LabCaError> {
        let locked = self.0.directory.lock()?;
        Ok(locked.state().requests.values().cloned().collect())
    }

    /// All certificates, by serial number.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn certificates(&self) -> Result<Vec<CertificateRecord>, LabCaError> {
        let locked = self.0.directory.lock()?;
        Ok(locked.state().certificates.values().cloned().collect())
    }

    /// The revocation list as of now, DER.
    ///
    /// # Errors
    /// The journal cannot be read, or signing failed.
    pub fn crl(&self) -> Result<Vec<u8>, LabCaError> {
        let locked = self.0.directory.lock()?;
        crl::write(&self.0.issuer, locked.state())
    }

    /// What the template does wrong this time; counts it.
    pub(crate) fn misbehaving(&self, template: &Template) -> Vec<Misbehaviour> {
        let mut counts = self.misbehaved();
        let mut now = Vec::new();
        for (index, misbehave) in template.misbehave.iter().enumerate() {
            let key = (template.name.to_ascii_lowercase(), index);
            let count = counts.entry(key).or_default();
            if misbehave.times.is_none_or(|times| *count < times) {
                *count += 1;
                now.push(misbehave.what.clone());
            }
        }
        now
    }

    fn misbehaved(
        &self,
    ) -> std::sync::MutexGuard<'_, std::collections::HashMap<(String, usize), u32>> {
        self.0.misbehaved.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl std::fmt::Debug for LabCa {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("LabCa")
            .field("directory", &self.directory())
            .finish_non_exhaustive()
    }
}

fn pending(locked: &directory::Locked<'_>, id: u32) -> Result<RequestRecord, LabCaError> {
    locked
        .state()
        .requests
        .get(&id)
        .filter(|request| request.state == RequestState::Pending)
        .cloned()
        .ok_or_else(|| LabCaError::NotFound(format!("pending request {id}")))
}

/// Seconds since 1970.
pub(crate) fn unix(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

//! The CEP and REP keys, with everything about them that can refuse a start.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use countersign_config::{Finding, KeyPairSettings, KeyRef, Mode, ServeKeys};
use countersign_enrol::{Opener, Responder};
use countersign_keys::{
    CepKey, DevelopmentToken, KeyName, KeyPool, PoolLimits, RepKey, RoleCertificate, RoleKind,
    check_distinct_keys, check_role_certificate,
};
use countersign_scep::Certificate;

use crate::start::StartError;

/// The keys of `serve`, what was found about them, and their hashes.
pub(crate) struct RoleKeys {
    pub(crate) opener: Opener,
    pub(crate) responder: Responder,
    pub(crate) pool: KeyPool,
    pub(crate) findings: Vec<Finding>,
    /// SHA-256 of each SubjectPublicKeyInfo: no device may ask for one of them.
    pub(crate) spki_sha256: Vec<[u8; 32]>,
}

impl RoleKeys {
    /// Opens the token and takes each key into its role.
    pub(crate) fn open(mode: Mode, settings: &ServeKeys) -> Result<Self, StartError> {
        let cep: Vec<&KeyPairSettings> =
            std::iter::once(&settings.cep).chain(&settings.previous_cep).collect();
        let name = |pair: &KeyPairSettings| match &pair.key {
            KeyRef::File(path) => KeyName::new(path.display().to_string()),
        };
        let files = cep.iter().copied().chain([&settings.rep]).map(|pair| match &pair.key {
            KeyRef::File(path) => (name(pair), path.as_path()),
        });
        let token = DevelopmentToken::open(mode, files).map_err(StartError::of("the key token"))?;
        let pool = KeyPool::start(Arc::new(token), PoolLimits::default())
            .map_err(StartError::of("the key token"))?;

        let now = SystemTime::now();
        let mut findings = Vec::new();
        let mut opened = Vec::new();
        let mut keys = Vec::new();
        for pair in &cep {
            let certificate = read_certificate(&pair.certificate)?;
            findings.extend(check_role_certificate(RoleKind::Cep, &certificate, now));
            keys.push((RoleKind::Cep, certificate.public_key().clone()));
            let scep = scep_certificate(&pair.certificate, &certificate)?;
            let key = CepKey::open(&pool, name(pair), certificate)
                .map_err(StartError::of("the CEP key"))?;
            opened.push((key, scep));
        }
        let certificate = read_certificate(&settings.rep.certificate)?;
        findings.extend(check_role_certificate(RoleKind::Rep, &certificate, now));
        keys.push((RoleKind::Rep, certificate.public_key().clone()));
        let scep = scep_certificate(&settings.rep.certificate, &certificate)?;
        let key = RepKey::open(&pool, name(&settings.rep), certificate)
            .map_err(StartError::of("the REP key"))?;

        let pairs: Vec<_> = keys.iter().map(|(role, key)| (*role, key)).collect();
        findings.extend(check_distinct_keys(&pairs));
        Ok(Self {
            opener: Opener::new(opened),
            responder: Responder::new(key, scep),
            pool,
            findings,
            spki_sha256: keys.iter().map(|(_, key)| key.spki_sha256()).collect(),
        })
    }
}

fn read_certificate(path: &Path) -> Result<RoleCertificate, StartError> {
    let octets = std::fs::read(path).map_err(StartError::of(path.display()))?;
    RoleCertificate::parse(&octets).map_err(StartError::of(path.display()))
}

fn scep_certificate(path: &Path, role: &RoleCertificate) -> Result<Certificate, StartError> {
    Certificate::parse(role.der()).map_err(StartError::of(path.display()))
}

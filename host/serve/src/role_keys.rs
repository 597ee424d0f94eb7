//! The CEP and REP keys, with everything about them that can refuse a start.

use std::path::Path;
use std::time::{Duration, SystemTime};

use countersign_config::{Config, Finding, KeyPairSettings, Severity};
use countersign_enrol::{Opener, Responder};
use countersign_keys::{
    Cep, Deadline, KeyPool, PublicKey, Rep, RoleCertificate, RoleKind, Tokens, check_distinct_keys,
    check_role_certificate,
};
use countersign_scep::Certificate;

use crate::start::StartError;

/// How long the tokens may take at start: log-in, attributes and one operation for each key.
const START: Duration = Duration::from_secs(60);

/// The keys of `serve`, what was found about them, and their hashes.
pub(crate) struct RoleKeys {
    pub(crate) opener: Opener,
    pub(crate) responder: Responder,
    /// One for each token.
    pub(crate) pools: Vec<KeyPool>,
    pub(crate) findings: Vec<Finding>,
    /// SHA-256 of each SubjectPublicKeyInfo: no device may ask for one of them.
    pub(crate) spki_sha256: Vec<[u8; 32]>,
}

impl RoleKeys {
    /// Opens the tokens, takes each key into its role, and looks whether EA's is in reach.
    pub(crate) fn open(config: &Config) -> Result<Self, StartError> {
        let settings = &config.serve.keys;
        let deadline = Deadline::after(START);
        let cep: Vec<&KeyPairSettings> =
            std::iter::once(&settings.cep).chain(&settings.previous_cep).collect();
        let places: Vec<_> =
            cep.iter().copied().chain([&settings.rep]).map(|pair| pair.key.place()).collect();
        let tokens = Tokens::open(config.mode, &config.token_places(), &places, deadline)
            .map_err(StartError::of("the key token"))?;

        let now = SystemTime::now();
        let mut findings = tokens.findings().to_vec();
        let mut opened = Vec::new();
        let mut keys = Vec::new();
        for pair in &cep {
            let certificate = read_certificate(&pair.certificate)?;
            findings.extend(check_role_certificate(RoleKind::Cep, &certificate, now));
            keys.push((RoleKind::Cep, certificate.public_key().clone()));
            let scep = scep_certificate(&pair.certificate, &certificate)?;
            let about = StartError::of("the CEP key");
            let key =
                tokens.take::<Cep>(&pair.key.place(), certificate, deadline).map_err(about)?;
            let about = StartError::of("the CEP key");
            findings.extend(tokens.examine(&key, deadline).map_err(about)?);
            opened.push((key, scep));
        }
        let certificate = read_certificate(&settings.rep.certificate)?;
        findings.extend(check_role_certificate(RoleKind::Rep, &certificate, now));
        keys.push((RoleKind::Rep, certificate.public_key().clone()));
        let scep = scep_certificate(&settings.rep.certificate, &certificate)?;
        let key = tokens
            .take::<Rep>(&settings.rep.key.place(), certificate, deadline)
            .map_err(StartError::of("the REP key"))?;
        findings.extend(tokens.examine(&key, deadline).map_err(StartError::of("the REP key"))?);

        let ea = read_certificate(&config.sign.keys.ea.certificate)?;
        findings.extend(sees_ea(&tokens, ea.public_key(), deadline)?);
        keys.push((RoleKind::Ea, ea.public_key().clone()));
        let pairs: Vec<_> = keys.iter().map(|(role, key)| (*role, key)).collect();
        findings.extend(check_distinct_keys(&pairs));
        Ok(Self {
            opener: Opener::new(opened),
            responder: Responder::new(key, scep),
            pools: tokens.pools().to_vec(),
            findings,
            spki_sha256: keys.iter().map(|(_, key)| key.spki_sha256()).collect(),
        })
    }
}

/// A log-in opens a whole token. A token that holds EA's key, by whatever name, lets whoever
/// steals this process countersign.
fn sees_ea(
    tokens: &Tokens,
    ea: &PublicKey,
    deadline: Deadline,
) -> Result<Option<Finding>, StartError> {
    let holding = tokens.holding(ea, deadline).map_err(StartError::of("the key token"))?;
    Ok(holding.map(|token| Finding {
        row: Some(57),
        severity: Severity::Critical,
        id: "serve-sees-the-ea-key",
        message: format!(
            "the token `{}`, which serve is logged in to, holds the EA key: whoever takes serve \
             over could countersign",
            token.label
        ),
        remedy: "make a new EA key on a token (slot, partition) of its own, with a PIN that only \
                 sign can read, have a certificate issued for it and revoke this one"
            .into(),
    }))
}

fn read_certificate(path: &Path) -> Result<RoleCertificate, StartError> {
    let octets = std::fs::read(path).map_err(StartError::of(path.display()))?;
    RoleCertificate::parse(&octets).map_err(StartError::of(path.display()))
}

fn scep_certificate(path: &Path, role: &RoleCertificate) -> Result<Certificate, StartError> {
    Certificate::parse(role.der()).map_err(StartError::of(path.display()))
}

//! Where each key and secret stands.

use std::time::SystemTime;

use countersign_config::{Config, KeyRef, Loaded, Mode};
use countersign_keys::{
    DevelopmentToken, Finding, KeyName, PublicKey, RoleCertificate, RoleKind, Severity, Token as _,
    check_distinct_keys, check_role_certificate,
};
use countersign_ledger::CheckpointKey;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Serialize;
use serde_json::json;

use super::Status;
use super::places::{Kind, RoleKey, Secret, role_keys, secrets};
use crate::admin;
use crate::failure::{Exit, Failure};
use crate::file::{self, Existing};
use crate::output::{self, Format};
use crate::time;

/// What is known of one role's key.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct KeyState {
    role: RoleKind,
    setting: &'static str,
    key: String,
    certificate: std::path::PathBuf,
    algorithm: Option<String>,
    subject: Option<String>,
    not_after: Option<u64>,
    problems: Vec<String>,
    findings: Vec<Finding>,
    #[serde(skip)]
    public_key: Option<PublicKey>,
}

/// What is known of one secret.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct SecretState {
    setting: &'static str,
    place: String,
    good: bool,
    problem: Option<String>,
}

pub(super) fn run(arguments: &Status) -> Result<(), Failure> {
    let Loaded { config, findings, .. } = admin::load(&arguments.config.config)?;
    let now = SystemTime::now();
    let keys: Vec<KeyState> =
        role_keys(&config).iter().map(|key| key_state(key, &config, now)).collect();
    let held: Vec<(RoleKind, &PublicKey)> =
        keys.iter().filter_map(|key| Some((key.role, key.public_key.as_ref()?))).collect();
    let mut all = check_distinct_keys(&held);
    all.extend(findings);
    let secrets: Vec<SecretState> = secrets(&config).iter().map(secret_state).collect();
    if let Some(path) = &arguments.checkpoint_key_out {
        let key = checkpoint_key(&config)?;
        file::write(path, key.verifying_key().to_pem().as_bytes(), 0o644, Existing::Refuse)?;
    }
    let critical = |finding: &Finding| finding.severity == Severity::Critical;
    let good = keys.iter().all(|key| key.problems.is_empty() && !key.findings.iter().any(critical))
        && secrets.iter().all(|secret| secret.good)
        && !all.iter().any(critical);
    match arguments.format {
        Format::Json => output::json(&json!({
            "good": good,
            "mode": config.mode,
            "keys": keys,
            "secrets": secrets,
            "findings": all,
        })),
        Format::Text => show(&keys, &secrets, &all),
    }
    if good { Ok(()) } else { Err(Failure::silent(Exit::Config)) }
}

fn key_state(key: &RoleKey<'_>, config: &Config, now: SystemTime) -> KeyState {
    let mut state = KeyState {
        role: key.role,
        setting: key.setting,
        key: key.pair.key.to_string(),
        certificate: key.pair.certificate.clone(),
        algorithm: None,
        subject: None,
        not_after: None,
        problems: Vec::new(),
        findings: Vec::new(),
        public_key: None,
    };
    match public_key(key, config.mode) {
        Ok(public) => {
            state.algorithm = Some(public.kind().to_string());
            state.public_key = Some(public);
        }
        Err(problem) => state.problems.push(problem),
    }
    let certificate = std::fs::read(&key.pair.certificate)
        .map_err(|error| error.to_string())
        .and_then(|bytes| RoleCertificate::parse(&bytes).map_err(|error| error.to_string()));
    match certificate {
        Ok(certificate) => {
            let held = state.public_key.as_ref();
            if held.is_some_and(|held| !held.is_same_key(certificate.public_key())) {
                state.problems.push(format!(
                    "{} is not for this key; put the certificate there that was issued for it",
                    key.pair.certificate.display()
                ));
            }
            state.subject = Some(certificate.subject().to_owned());
            state.not_after = Some(time::seconds(certificate.not_after()));
            state.findings = check_role_certificate(key.role, &certificate, now);
        }
        Err(problem) => state.problems.push(format!(
            "{}: {problem}; `countersign keys init` makes the CSR for it",
            key.pair.certificate.display()
        )),
    }
    state
}

/// The public half of the key on its token.
fn public_key(key: &RoleKey<'_>, mode: Mode) -> Result<PublicKey, String> {
    let KeyRef::File(path) = &key.pair.key;
    let name = KeyName::new(key.setting);
    let token = DevelopmentToken::open(mode, [(name.clone(), path.as_path())])
        .map_err(|error| error.to_string())?;
    token.public_key(&name).map_err(|error| error.to_string())
}

fn secret_state(secret: &Secret<'_>) -> SecretState {
    let read = match secret.kind {
        Kind::SharedRandom => secret.reference.read_shared(),
        Kind::Random | Kind::CheckpointKey => secret.reference.read(),
    };
    let problem = match read {
        Err(error) => Some(error.to_string()),
        Ok(bytes) if secret.kind != Kind::CheckpointKey && bytes.len() != 32 => Some(format!(
            "it holds {} bytes, expected 32 random ones; remove it, then `countersign keys init`",
            bytes.len()
        )),
        Ok(_) => None,
    };
    SecretState {
        setting: secret.setting,
        place: secret.reference.to_string(),
        good: problem.is_none(),
        problem,
    }
}

fn checkpoint_key(config: &Config) -> Result<CheckpointKey, Failure> {
    let failed = |what: String| Failure::new(format!("sign.checkpoint.key: {what}"));
    let bytes = config.sign.checkpoint.key.read().map_err(|error| failed(error.to_string()))?;
    let parsed = if bytes.first() == Some(&0x30) {
        CheckpointKey::from_pkcs8(&bytes)
    } else {
        let key = PrivatePkcs8KeyDer::from_pem_slice(&bytes)
            .map_err(|_| failed("expected a PKCS#8 private key, PEM or DER".to_owned()))?;
        CheckpointKey::from_pkcs8(key.secret_pkcs8_der())
    };
    parsed.map_err(|error| failed(error.to_string()))
}

fn show(keys: &[KeyState], secrets: &[SecretState], findings: &[Finding]) {
    for key in keys {
        let algorithm = key.algorithm.as_deref().unwrap_or("no key");
        output::line(&format!("{:<4} {algorithm:<9} {}", key.role.to_string(), key.key));
        if let (Some(subject), Some(end)) = (&key.subject, key.not_after) {
            let (subject, end) = (output::escaped(subject), time::rfc3339(end));
            output::line(&format!("     {subject}, until {end}, in {}", key.certificate.display()));
        }
        for problem in &key.problems {
            output::line(&format!("     {}: {problem}", output::red("problem")));
        }
        for finding in &key.findings {
            output::line(&format!("     {finding}"));
        }
    }
    for secret in secrets {
        let state = match &secret.problem {
            None => output::green("good"),
            Some(problem) => format!("{}: {problem}", output::red("problem")),
        };
        output::line(&format!("{:<24} {}  {state}", secret.setting, secret.place));
    }
    for finding in findings {
        output::line(&finding.to_string());
    }
}

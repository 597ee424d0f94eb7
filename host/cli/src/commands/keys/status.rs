//! Where each key and secret stands.

use std::path::Path;
use std::time::SystemTime;

use countersign_config::{Config, KeyRef, Loaded, Mode};
use countersign_keys::pkcs11::KeyUri;
use countersign_keys::{
    DevelopmentToken, Finding, KeyName, PublicKey, RoleCertificate, RoleKind, Severity, Token as _,
    check_distinct_keys, check_role_certificate,
};
use countersign_ledger::CheckpointKey;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Serialize;
use serde_json::json;

use super::places::{Kind, RoleKey, Secret, role_keys, secrets};
use super::tokens::{Tokens, deadline};
use super::{Status, is_asked_for};
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
    token: Option<TokenState>,
    certificate: std::path::PathBuf,
    algorithm: Option<String>,
    subject: Option<String>,
    not_after: Option<u64>,
    problems: Vec<String>,
    findings: Vec<Finding>,
    #[serde(skip)]
    public_key: Option<PublicKey>,
}

/// The token of a key, as it names itself.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct TokenState {
    label: String,
    serial: Option<String>,
    model: Option<String>,
    manufacturer: Option<String>,
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
    let named = role_keys(&config);
    let uris = named.iter().filter_map(|key| match &key.pair.key {
        KeyRef::Pkcs11(uri) => Some(uri),
        KeyRef::File(_) => None,
    });
    let mut tokens = Tokens::new(&config, arguments.ask_pin, uris);
    let keys: Vec<KeyState> = named
        .iter()
        .filter(|key| is_asked_for(&arguments.role, key.role))
        .map(|key| key_state(key, &config, &mut tokens, now))
        .collect();
    let held: Vec<(RoleKind, &PublicKey)> =
        keys.iter().filter_map(|key| Some((key.role, key.public_key.as_ref()?))).collect();
    let mut all = check_distinct_keys(&held);
    all.extend(findings);
    all.extend(tokens.findings());
    let secrets: Vec<SecretState> = match arguments.role.as_slice() {
        [] => secrets(&config).iter().map(secret_state).collect(),
        _ => Vec::new(),
    };
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

fn key_state(key: &RoleKey<'_>, config: &Config, tokens: &mut Tokens, now: SystemTime) -> KeyState {
    let mut state = KeyState {
        role: key.role,
        setting: key.setting,
        key: key.pair.key.to_string(),
        token: None,
        certificate: key.pair.certificate.clone(),
        algorithm: None,
        subject: None,
        not_after: None,
        problems: Vec::new(),
        findings: Vec::new(),
        public_key: None,
    };
    let public_key = match &key.pair.key {
        KeyRef::File(path) => key_of_file(key, path, config.mode),
        KeyRef::Pkcs11(uri) => key_on_token(key, uri, tokens, &mut state),
    };
    match public_key {
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
            state.findings.extend(check_role_certificate(key.role, &certificate, now));
        }
        Err(problem) => state.problems.push(format!(
            "{}: {problem}; `countersign keys init` makes the CSR for it",
            key.pair.certificate.display()
        )),
    }
    state
}

fn key_of_file(key: &RoleKey<'_>, path: &Path, mode: Mode) -> Result<PublicKey, String> {
    let name = KeyName::new(key.setting);
    let token =
        DevelopmentToken::open(mode, [(name.clone(), path)]).map_err(|error| error.to_string())?;
    token.public_key(&name).map_err(|error| error.to_string())
}

/// The public half, and beside it which token it is on and what that says against its role.
fn key_on_token(
    key: &RoleKey<'_>,
    uri: &KeyUri,
    tokens: &mut Tokens,
    state: &mut KeyState,
) -> Result<PublicKey, String> {
    let token = tokens.of(uri)?;
    let description = token.description();
    state.token = Some(TokenState {
        label: description.label,
        serial: description.serial,
        model: description.model,
        manufacturer: description.manufacturer,
    });
    let name = uri.key_name();
    let deadline = deadline();
    let public_key = token.public_key(&name).map_err(|error| error.to_string())?;
    state
        .findings
        .extend(token.examine(&name, key.role, deadline).map_err(|error| error.to_string())?);
    Ok(public_key)
}

fn secret_state(secret: &Secret<'_>) -> SecretState {
    let read = match secret.kind {
        Kind::SharedRandom => secret.reference.read_shared(),
        Kind::Random | Kind::SigningKey => secret.reference.read(),
    };
    let problem = match read {
        Err(error) => Some(error.to_string()),
        Ok(bytes) if secret.kind != Kind::SigningKey && bytes.len() != 32 => Some(format!(
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
        if let Some(token) = &key.token {
            let told = |text: &Option<String>| {
                text.as_deref().map_or_else(|| "not told".to_owned(), output::escaped)
            };
            output::line(&format!(
                "     on the token {}, serial number {}, model {} of {}",
                output::escaped(&token.label),
                told(&token.serial),
                told(&token.model),
                told(&token.manufacturer),
            ));
        }
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

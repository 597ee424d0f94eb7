//! Makes what is missing, and never touches what is there.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use countersign_config::{KeyRef, Mode, SecretRef};
use countersign_keys::pkcs11::KeyUri;
use countersign_keys::{
    DevelopmentToken, KeyName, KeySpec, RoleKind, Severity, Token as _, csr_signed_by,
    generate_key, secret_file,
};
use countersign_ledger::CheckpointKey;

use super::places::{Kind, RoleKey, Secret, role_keys, secrets};
use super::tokens::{Tokens, deadline};
use super::{Init, is_asked_for};
use crate::admin;
use crate::failure::{Exit, Failure};
use crate::file::{self, Existing};
use crate::output;

pub(super) fn run(arguments: &Init) -> Result<(), Failure> {
    let loaded = admin::load(&arguments.config.config)?;
    let config = &loaded.config;
    if arguments.role.is_empty() {
        for secret in secrets(config) {
            match config.mode {
                Mode::Lab => make_secret(&secret)?,
                Mode::Production => leave_secret(&secret),
            }
        }
    }
    let keys = role_keys(config);
    let uris = keys.iter().filter_map(|key| match &key.pair.key {
        KeyRef::Pkcs11(uri) => Some(uri),
        KeyRef::File(_) => None,
    });
    let mut tokens = Tokens::new(config, arguments.ask_pin, uris);
    let asked = |key: &&RoleKey<'_>| key.current && is_asked_for(&arguments.role, key.role);
    for key in keys.iter().filter(asked) {
        let wants_csr = arguments.renew || !is_there(&key.pair.certificate);
        let csr = match &key.pair.key {
            KeyRef::File(path) => {
                make_file(key, path, arguments)?;
                wants_csr.then(|| csr_of_file(key, path, config.mode, arguments)).transpose()?
            }
            KeyRef::Pkcs11(uri) => on_token(key, uri, &mut tokens, wants_csr, arguments)?,
        };
        if let Some(csr) = csr {
            hand_out(key, &csr, arguments)?;
        }
    }
    Ok(())
}

/// Makes the key on its token, where it is missing, and its CSR, where one is wanted.
fn on_token(
    key: &RoleKey<'_>,
    uri: &KeyUri,
    tokens: &mut Tokens,
    wants_csr: bool,
    arguments: &Init,
) -> Result<Option<Vec<u8>>, Failure> {
    let failed = |error: String| Failure::new(format!("{}: {error}", key.setting));
    let token = tokens.of(uri).map_err(failed)?;
    let name = uri.key_name();
    let deadline = deadline();
    if token.has(&name, deadline).map_err(|error| failed(error.to_string()))? {
        tell("kept", key.setting, &uri.to_string());
    } else {
        token
            .generate(&name, key.role, spec(key.role, arguments), deadline)
            .map_err(|error| failed(error.to_string()))?;
        tell("made", key.setting, &uri.to_string());
    }
    // Before anybody signs a certificate for it: it is kept as its role demands.
    let findings =
        token.examine(&name, key.role, deadline).map_err(|error| failed(error.to_string()))?;
    for finding in &findings {
        output::error_line(&finding.to_string());
    }
    if findings.iter().any(|finding| finding.severity == Severity::Critical) {
        return Err(Failure::of(
            Exit::Config,
            format!("{}: the key on the token cannot take its role", key.setting),
        ));
    }
    if !wants_csr {
        return Ok(None);
    }
    let subject = subject(key.role, arguments);
    token
        .csr(&name, key.role, &subject, deadline)
        .map(Some)
        .map_err(|error| failed(error.to_string()))
}

/// Each secret belongs to the user of its process, who is not the one who runs this.
fn leave_secret(secret: &Secret<'_>) {
    if let SecretRef::File(path) = secret.reference
        && !is_there(path)
    {
        tell(
            "left",
            secret.setting,
            &format!("{} is missing: make it as its process's user, mode 0600", path.display()),
        );
    }
}

fn make_secret(secret: &Secret<'_>) -> Result<(), Failure> {
    let setting = secret.setting;
    let path = match secret.reference {
        SecretRef::File(path) => path,
        SecretRef::Credential(name) => {
            tell("left", setting, &format!("systemd hands over the credential `{name}`"));
            return Ok(());
        }
    };
    if is_there(path) {
        tell("kept", setting, &path.display().to_string());
        return Ok(());
    }
    make_folder(path)?;
    let failed = |error: &dyn std::error::Error| Failure::new(format!("{setting}: {error}"));
    match secret.kind {
        Kind::Random | Kind::SharedRandom => {
            secret_file::create_random(path).map_err(|error| failed(&error))?;
        }
        Kind::SigningKey => {
            CheckpointKey::create_file(path).map_err(|error| failed(&error))?;
        }
    }
    tell("made", setting, &path.display().to_string());
    Ok(())
}

fn make_file(key: &RoleKey<'_>, path: &Path, arguments: &Init) -> Result<(), Failure> {
    if is_there(path) {
        tell("kept", key.setting, &path.display().to_string());
        return Ok(());
    }
    make_folder(path)?;
    generate_key(spec(key.role, arguments))
        .map_err(|error| Failure::new(format!("{}: {error}", key.setting)))?
        .write_pem(path)
        .map_err(|error| Failure::new(format!("{}: {error}", key.setting)))?;
    tell("made", key.setting, &path.display().to_string());
    Ok(())
}

fn csr_of_file(
    key: &RoleKey<'_>,
    path: &Path,
    mode: Mode,
    arguments: &Init,
) -> Result<Vec<u8>, Failure> {
    let failed = |error: &dyn std::error::Error| Failure::new(format!("{}: {error}", key.setting));
    let name = KeyName::new(key.setting);
    let token =
        DevelopmentToken::open(mode, [(name.clone(), path)]).map_err(|error| failed(&error))?;
    let subject = subject(key.role, arguments);
    csr_signed_by(&token, &name, key.role, &subject, deadline()).map_err(|error| failed(&error))
}

fn spec(role: RoleKind, arguments: &Init) -> KeySpec {
    match role {
        RoleKind::Ea => arguments.ea_key.into(),
        RoleKind::Cep | RoleKind::Rep => KeySpec::Rsa2048,
    }
}

fn subject(role: RoleKind, arguments: &Init) -> String {
    let mut subject = format!("CN=Countersign {role}");
    if let Some(organisation) = &arguments.organisation {
        subject.push_str(&format!(",O={organisation}"));
    }
    subject
}

fn hand_out(key: &RoleKey<'_>, der: &[u8], arguments: &Init) -> Result<(), Failure> {
    let pem = file::pem("CERTIFICATE REQUEST", der);
    let Some(folder) = &arguments.out else {
        output::line(pem.trim_end());
        tell(
            "CSR",
            key.setting,
            &format!("put its certificate into {}", key.pair.certificate.display()),
        );
        return Ok(());
    };
    std::fs::create_dir_all(folder)
        .map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
    let target = folder.join(format!("{}.csr", key.role.to_string().to_lowercase()));
    if is_there(&target) {
        tell("kept", key.setting, &format!("{}; remove it for a new CSR", target.display()));
        return Ok(());
    }
    file::write(&target, pem.as_bytes(), 0o644, Existing::Refuse)?;
    tell(
        "CSR",
        key.setting,
        &format!(
            "{}; put its certificate into {}",
            target.display(),
            key.pair.certificate.display()
        ),
    );
    Ok(())
}

/// A dangling link counts: what it points to is not for us to make.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn make_folder(path: &Path) -> Result<(), Failure> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
        return Ok(());
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| Failure::new(format!("{}: {error}", folder.display())))
}

fn tell(what: &str, setting: &str, rest: &str) {
    output::error_line(&format!("{what:<5} {setting:<24} {rest}"));
}

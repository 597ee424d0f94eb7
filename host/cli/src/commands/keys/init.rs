//! Makes what is missing, and never touches what is there.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::time::Duration;

use countersign_config::{KeyRef, Mode, SecretRef};
use countersign_keys::{
    Deadline, DevelopmentToken, KeyName, KeySpec, RoleKind, csr_signed_by, generate_key,
    secret_file,
};
use countersign_ledger::CheckpointKey;

use super::Init;
use super::places::{Kind, RoleKey, Secret, role_keys, secrets};
use crate::admin;
use crate::failure::{Exit, Failure};
use crate::file::{self, Existing};
use crate::output;

/// Signing one CSR in software takes milliseconds.
const DEADLINE: Duration = Duration::from_secs(30);

pub(super) fn run(arguments: &Init) -> Result<(), Failure> {
    let loaded = admin::load(&arguments.config.config)?;
    let config = &loaded.config;
    if config.mode != Mode::Lab {
        return Err(Failure::of(
            Exit::Config,
            "this version makes keys in files only, which is for `mode = \"lab\"`; hardware tokens \
             come with a later version",
        ));
    }
    for secret in secrets(config) {
        make_secret(&secret)?;
    }
    for key in role_keys(config).iter().filter(|key| key.current) {
        make_key(key, arguments)?;
        if arguments.renew || !is_there(&key.pair.certificate) {
            make_csr(key, config.mode, arguments)?;
        }
    }
    Ok(())
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
        Kind::CheckpointKey => {
            CheckpointKey::create_file(path).map_err(|error| failed(&error))?;
        }
    }
    tell("made", setting, &path.display().to_string());
    Ok(())
}

fn make_key(key: &RoleKey<'_>, arguments: &Init) -> Result<(), Failure> {
    let KeyRef::File(path) = &key.pair.key;
    if is_there(path) {
        tell("kept", key.setting, &path.display().to_string());
        return Ok(());
    }
    make_folder(path)?;
    let spec = match key.role {
        RoleKind::Ea => arguments.ea_key.into(),
        RoleKind::Cep | RoleKind::Rep => KeySpec::Rsa2048,
    };
    generate_key(spec)
        .map_err(|error| Failure::new(format!("{}: {error}", key.setting)))?
        .write_pem(path)
        .map_err(|error| Failure::new(format!("{}: {error}", key.setting)))?;
    tell("made", key.setting, &path.display().to_string());
    Ok(())
}

fn make_csr(key: &RoleKey<'_>, mode: Mode, arguments: &Init) -> Result<(), Failure> {
    let KeyRef::File(path) = &key.pair.key;
    let failed = |error: &dyn std::error::Error| Failure::new(format!("{}: {error}", key.setting));
    let name = KeyName::new(key.setting);
    let token = DevelopmentToken::open(mode, [(name.clone(), path.as_path())])
        .map_err(|error| failed(&error))?;
    let mut subject = format!("CN=Countersign {}", key.role);
    if let Some(organisation) = &arguments.organisation {
        subject.push_str(&format!(",O={organisation}"));
    }
    let der = csr_signed_by(&token, &name, key.role, &subject, Deadline::after(DEADLINE))
        .map_err(|error| failed(&error))?;
    let pem = file::pem("CERTIFICATE REQUEST", &der);
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

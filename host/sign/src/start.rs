//! From a checked configuration to a process that can answer; or the one reason why not.

mod error;
mod gap;

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use countersign_config::{Config, Finding, Loaded, Mode, Severity, User};
use countersign_ipc::{ApprovalKey, PeerRules, Role, own_uid};
use countersign_keys::{
    Deadline, Ea, EaKey, RoleCertificate, RoleKind, Tokens, check_distinct_keys,
    check_role_certificate,
};
use countersign_ledger::{self as ledger, CheckpointKey, CheckpointSettings, KeyError, Ledger};
use countersign_profile::{Boundary, Certificate, NameConstraints};
use countersign_store::{ColumnKey, Owner, Store};
use zeroize::Zeroizing;

pub use self::error::StartError;
pub use self::gap::{Acceptance, Gap, accept_gap};
use crate::book::Book;
use crate::certificate_file::read_certificates;
use crate::clock::Clock;
use crate::countersign::Countersigner;
use crate::denials::Denials;
use crate::digest::sha256;
use crate::fuse::Fuse;
use crate::in_flight::InFlight;
use crate::metrics::Metrics;
use crate::order::{OrderKey, OrderKeyError, Orders};
use crate::process::Process;
use crate::readiness::Readiness;
use crate::recheck::Rules;
use crate::reconcile::Reconciliation;
use crate::room::Room;
use crate::schema::MIGRATIONS;
use crate::seal::Seals;

/// Name of this ledger in its checkpoints.
const ORIGIN: &str = "countersign/sign";

/// How long the token may take at start: log-in, attributes and one signature.
const TOKEN_START: Duration = Duration::from_secs(60);

/// Who may speak on the two sockets.
pub(crate) struct Doors {
    pub(crate) frames: PeerRules,
    pub(crate) admin: PeerRules,
}

/// Checks who we are and who may speak to us.
pub(crate) fn doors(config: &Config) -> Result<Doors, StartError> {
    let lab = config.mode == Mode::Lab;
    refuse_root(config.mode, own_uid())?;
    if !lab {
        let expected = uid(config.sign.user.as_ref(), "sign")?;
        if expected != own_uid() {
            return Err(StartError::OtherUser { expected, found: own_uid() });
        }
    }
    let mut frames = PeerRules::new(lab);
    for (role, user, name) in [
        (Role::Serve, config.serve.user.as_ref(), "serve"),
        (Role::Verify, config.verify.user.as_ref(), "verify"),
    ] {
        // In the lab all may be one user, and the users in the file need not exist.
        frames = match (lab, uid(user, name)) {
            (true, Ok(uid)) => frames.allow(role, uid).allow_own_in_lab(role),
            (true, Err(_)) => frames.allow_own_in_lab(role),
            (false, uid) => frames.allow(role, uid?),
        };
    }
    // Root, or an admin who becomes this user (`sudo -u`): who may do either could read the
    // socket's process anyway. And people under their own names, where two are needed.
    let admin = PeerRules::new(lab).allow(Role::Admin, 0).allow(Role::Admin, own_uid());
    let admin =
        config.admin.uids().into_iter().fold(admin, |admin, uid| admin.allow(Role::Admin, uid));
    Ok(Doors { frames, admin })
}

/// Puts everything together. Blocks on files, token and database.
pub(crate) fn assemble(loaded: &Loaded, clock: Clock, room: Room) -> Result<Process, StartError> {
    let config = &loaded.config;
    let lab = config.mode == Mode::Lab;
    let seals = Seals::new(approval_key(config)?);
    let checkpoint_key = checkpoint_key(config)?;
    let order_key = order_key(config, &checkpoint_key)?;
    let (ea, chain, token_findings) = ea_key(config)?;
    let ca = authorities(config)?;

    let mut findings = loaded.findings.clone();
    findings.extend(token_findings);
    findings.extend(check_role_certificate(RoleKind::Ea, ea.certificate(), clock.system_time()));
    let (others, mut own_keys) = own_keys(config, &ea, &checkpoint_key)?;
    if let Some(key) = &order_key {
        if own_keys.contains(&key.public_sha256()) {
            return Err(StartError::OrderKey(OrderKeyError::Shared("another role")));
        }
        own_keys.push(key.public_sha256());
    }
    let mut roles = vec![(RoleKind::Ea, ea.public_key())];
    roles.extend(others.iter().map(|(role, certificate)| (*role, certificate.public_key())));
    findings.extend(check_distinct_keys(&roles));
    let critical: Vec<_> =
        findings.iter().filter(|finding| finding.severity == Severity::Critical).cloned().collect();
    if !critical.is_empty() {
        return Err(StartError::Findings(critical));
    }
    let boundaries = boundaries(config, &ca, &own_keys);
    let rules = Rules::new(config, loaded.digest, boundaries);
    let countersigner = Countersigner::new(ea, chain, clock.clone()).map_err(StartError::EaForm)?;

    let column_key = secret(&config.sign.column_key, "sign.column-key")?;
    let column_key = ColumnKey::new(&column_key).map_err(StartError::ColumnKey)?;
    let state = state_directory(&config.sign.state, config.mode)?;
    let store = Store::open(&state.join("sign.db"), Owner::Sign, MIGRATIONS)?;
    let settings = CheckpointSettings {
        path: config.sign.checkpoint.file.clone(),
        origin: ORIGIN.to_owned(),
        key: checkpoint_key,
        older_keys: Vec::new(),
    };
    let now = clock.now();
    let ledger = Ledger::open(&store, settings, now)?;
    let start = ledger::Event::Start(ledger::Start {
        version: env!("CARGO_PKG_VERSION").into(),
        config_sha256: loaded.digest.into(),
        ea_certificate_sha256: Some(countersigner.certificate_sha256().into()),
    });
    store.try_write_blocking(move |tx| ledger::append(tx, &start, now, lab))?;
    ledger.checkpoint_blocking(now)?;

    let store_size = store.read_blocking(ledger::size)?;
    let fuse = Fuse::new(&config.sign.fuse, Book::signed_within_a_day(&store, now)?, now);
    let caps = config
        .profile
        .iter()
        .map(|(name, profile)| (name.clone(), profile.denials.clone()))
        .collect();
    Ok(Process {
        mode: config.mode,
        book: Book::new(store, column_key, clock.clone(), lab),
        clock,
        seals,
        rules,
        ledger,
        countersigner,
        fuse,
        orders: Orders::new(config, order_key),
        denials: Denials::new(caps),
        in_flight: InFlight::default(),
        readiness: Readiness::new(findings),
        reconciliation: Reconciliation::from(store_size),
        room,
        metrics: Metrics::default(),
    })
}

fn uid(user: Option<&User>, process: &'static str) -> Result<u32, StartError> {
    Ok(user.ok_or(StartError::NoUser(process))?.uid()?)
}

fn refuse_root(mode: Mode, uid: u32) -> Result<(), StartError> {
    match (mode, uid) {
        (Mode::Production, 0) => Err(StartError::Root),
        (Mode::Production | Mode::Lab, _) => Ok(()),
    }
}

/// The directory of the database: nobody else's to read. Made where it is missing in the lab;
/// elsewhere the service manager makes it.
fn state_directory(path: &Path, mode: Mode) -> Result<PathBuf, StartError> {
    let state = |problem: String, remedy: String| StartError::State {
        path: path.to_owned(),
        problem,
        remedy,
    };
    if mode == Mode::Lab && !path.exists() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| state(error.to_string(), "make it by hand, mode 0700".to_owned()))?;
    }
    let metadata = std::fs::metadata(path).map_err(|error| {
        state(
            error.to_string(),
            "make it first, owned by this process's user, mode 0700 (systemd: StateDirectory= \
             with StateDirectoryMode=0700)"
                .to_owned(),
        )
    })?;
    if metadata.mode() & 0o077 != 0 {
        return Err(state(
            format!("group or others can read or write it (mode {:04o})", metadata.mode() & 0o7777),
            format!("chmod 0700 {}", path.display()),
        ));
    }
    Ok(path.to_owned())
}

fn secret(
    reference: &countersign_config::SecretRef,
    setting: &'static str,
) -> Result<Zeroizing<Vec<u8>>, StartError> {
    reference.read().map_err(|source| StartError::Secret { setting, source })
}

fn approval_key(config: &Config) -> Result<ApprovalKey, StartError> {
    let key = config
        .approval
        .key
        .read_shared()
        .map_err(|source| StartError::Secret { setting: "approval.key", source })?;
    ApprovalKey::new(&key).map_err(StartError::ApprovalKey)
}

fn checkpoint_key(config: &Config) -> Result<CheckpointKey, StartError> {
    let bytes = secret(&config.sign.checkpoint.key, "sign.checkpoint.key")?;
    let expected = || KeyError::Kind("a PKCS#8 private key, PEM or DER");
    pkcs8(bytes)
        .ok_or_else(expected)
        .and_then(|pkcs8| CheckpointKey::from_pkcs8(&pkcs8))
        .map_err(StartError::CheckpointKey)
}

/// The key of revocation orders, where there is a revoker.
fn order_key(
    config: &Config,
    checkpoint_key: &CheckpointKey,
) -> Result<Option<OrderKey>, StartError> {
    let Some(order) = &config.sign.order else { return Ok(None) };
    let bytes = secret(&order.key, "sign.order.key")?;
    let key = pkcs8(bytes)
        .ok_or(OrderKeyError::Kind)
        .and_then(|pkcs8| OrderKey::from_pkcs8(&pkcs8))
        .map_err(StartError::OrderKey)?;
    if key.public_pem().trim() == checkpoint_key.verifying_key().to_pem().trim() {
        return Err(StartError::OrderKey(OrderKeyError::Shared("checkpoints")));
    }
    Ok(Some(key))
}

/// A private key file's octets, PEM or DER, as DER.
fn pkcs8(bytes: Zeroizing<Vec<u8>>) -> Option<Zeroizing<Vec<u8>>> {
    if bytes.first() == Some(&0x30) {
        return Some(bytes);
    }
    match der::pem::decode_vec(bytes.trim_ascii()) {
        Ok(("PRIVATE KEY", pkcs8)) => Some(Zeroizing::new(pkcs8)),
        _ => None,
    }
}

/// The EA key, the chain to be sent with its certificate, and what its token says against it.
#[allow(clippy::type_complexity, reason = "three things that one log-in gives")]
fn ea_key(config: &Config) -> Result<(EaKey, Vec<Vec<u8>>, Vec<Finding>), StartError> {
    let pair = &config.sign.keys.ea;
    let mut certificates = read_certificates(&pair.certificate)?.into_iter();
    let certificate = role_certificate(
        "sign.keys.ea.certificate",
        &pair.certificate,
        // The reader gives at least one.
        &certificates.next().unwrap_or_default(),
    )?;
    let deadline = Deadline::after(TOKEN_START);
    let place = pair.key.place();
    let tokens = Tokens::open(config.mode, &config.token_places(), [&place], deadline)?;
    let ea = tokens.take::<Ea>(&place, certificate, deadline)?;
    let mut findings = tokens.findings().to_vec();
    findings.extend(tokens.examine(&ea, deadline)?);
    Ok((ea, certificates.collect(), findings))
}

fn role_certificate(
    setting: &'static str,
    path: &Path,
    der: &[u8],
) -> Result<RoleCertificate, StartError> {
    RoleCertificate::from_der(der).map_err(|source| StartError::RoleCertificate {
        setting,
        path: path.to_owned(),
        source,
    })
}

/// The certificates of the other roles, and the hashes of every key that no device may get a
/// certificate for.
#[allow(clippy::type_complexity, reason = "two lists that are made in one pass")]
fn own_keys(
    config: &Config,
    ea: &EaKey,
    checkpoint_key: &CheckpointKey,
) -> Result<(Vec<(RoleKind, RoleCertificate)>, Vec<[u8; 32]>), StartError> {
    let keys = &config.serve.keys;
    let mut others = Vec::new();
    let pairs = [
        (RoleKind::Cep, "serve.keys.cep.certificate", &keys.cep),
        (RoleKind::Rep, "serve.keys.rep.certificate", &keys.rep),
    ];
    let former =
        keys.previous_cep.iter().map(|pair| (RoleKind::Cep, "serve.keys.previous-cep", pair));
    for (role, setting, pair) in pairs.into_iter().chain(former) {
        let certificates = read_certificates(&pair.certificate)?;
        let der = certificates.first().map(Vec::as_slice).unwrap_or_default();
        others.push((role, role_certificate(setting, &pair.certificate, der)?));
    }
    let mut hashes: Vec<_> =
        others.iter().map(|(_, certificate)| certificate.public_key().spki_sha256()).collect();
    hashes.push(ea.public_key().spki_sha256());
    let checkpoint_key = checkpoint_key.verifying_key().to_pem();
    if let Ok((_, spki)) = der::pem::decode_vec(checkpoint_key.trim().as_bytes()) {
        hashes.push(sha256(&spki));
    }
    Ok((others, hashes))
}

/// What is known of one authority.
struct Ca {
    constraints: NameConstraints,
    keys: Vec<[u8; 32]>,
}

fn authorities(config: &Config) -> Result<BTreeMap<String, Ca>, StartError> {
    let mut all = BTreeMap::new();
    for (name, settings) in &config.authority {
        let broken = |source| StartError::Authority { authority: name.clone(), source };
        let mut files = read_certificates(&settings.issuing_certificate)?;
        files.extend(read_certificates(&settings.chain)?);
        files.sort_unstable();
        files.dedup();
        let mut chain = Vec::new();
        let mut keys = Vec::new();
        for der in &files {
            let certificate = Certificate::parse(der).map_err(broken)?;
            keys.push(certificate.public_key().map_err(broken)?.spki_sha256());
            chain.push(certificate);
        }
        let constraints = NameConstraints::from_certificates(&chain)
            .map_err(|source| StartError::Constraints { authority: name.clone(), source })?;
        all.insert(name.clone(), Ca { constraints, keys });
    }
    Ok(all)
}

fn boundaries(
    config: &Config,
    authorities: &BTreeMap<String, Ca>,
    own_keys: &[[u8; 32]],
) -> BTreeMap<String, Boundary> {
    // No device may have the key of any of our CAs, whichever issues for its profile.
    let mut keys = own_keys.to_vec();
    keys.extend(authorities.values().flat_map(|ca| ca.keys.iter().copied()));
    let boundaries = config.profile.iter().filter_map(|(name, profile)| {
        // A profile without its authority stays unknown here: nothing of it is signed.
        let ca = authorities.get(&profile.authority)?;
        let boundary =
            Boundary { own_keys: keys.clone(), name_constraints: ca.constraints.clone() };
        Some((name.clone(), boundary))
    });
    boundaries.collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn root_is_refused_outside_the_lab() {
        assert!(matches!(refuse_root(Mode::Production, 0), Err(StartError::Root)));
        assert!(refuse_root(Mode::Production, 4001).is_ok());
        assert!(refuse_root(Mode::Lab, 0).is_ok());
    }

    #[test]
    fn a_state_directory_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sign");
        assert!(state_directory(&path, Mode::Production).is_err());
        state_directory(&path, Mode::Lab).unwrap();
        for mode in [0o750, 0o705, 0o710] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = state_directory(&path, Mode::Lab).unwrap_err().to_string();
            assert!(error.contains("chmod 0700"), "{error}");
        }
    }
}

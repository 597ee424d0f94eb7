//! The private keys of an installation. Made once for a test program and used by each of its
//! installations: what is tested does not depend on them, and RSA keys take their time.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use countersign_keys::{
    Deadline, DevelopmentToken, GeneratedKey, KeyName, KeySpec, Mode, RoleKind, csr_signed_by,
    generate_key,
};
use countersign_lab_ca::{LabCa, Role};
use der::pem::{LineEnding, encode_string};

/// By role's name and kind of key.
type Made = HashMap<(String, &'static str), Arc<GeneratedKey>>;

static MADE: Mutex<Option<Made>> = Mutex::new(None);

/// Key, request and certificate of one role, in `<folder>/<name>.key` and `<folder>/<name>.pem`.
pub(crate) fn make(ca: &LabCa, folder: &Path, name: &str, spec: KeySpec, role: Role) {
    let path = folder.join(format!("{name}.key"));
    write_private(
        &path,
        generated(name, spec).pkcs8_pem().expect("a key has a PEM form").as_bytes(),
    );
    let key_name = KeyName::new(name);
    let token = DevelopmentToken::open(Mode::Lab, [(key_name.clone(), path.as_path())])
        .expect("the key that was just made opens");
    // Only EA's own request says more than the role that the CA is told.
    let kind = match role {
        Role::Ea => RoleKind::Ea,
        Role::Cep => RoleKind::Cep,
        Role::Rep | Role::TlsServer | Role::TlsClient => RoleKind::Rep,
    };
    let subject = format!("CN=Countersign lab {name}");
    let csr =
        csr_signed_by(&token, &key_name, kind, &subject, Deadline::after(Duration::from_secs(10)))
            .expect("the key signs its request");
    let der = ca.issue_role_certificate(&csr, role).expect("the lab CA issues");
    let pem =
        encode_string("CERTIFICATE", LineEnding::LF, &der).expect("a certificate has a PEM form");
    fs::write(folder.join(format!("{name}.pem")), pem).expect("the certificate is written");
}

fn generated(name: &str, spec: KeySpec) -> Arc<GeneratedKey> {
    let spec_name = match spec {
        KeySpec::Rsa2048 => "rsa-2048",
        KeySpec::Rsa3072 => "rsa-3072",
        KeySpec::Rsa4096 => "rsa-4096",
        KeySpec::EcP256 => "p-256",
        KeySpec::EcP384 => "p-384",
    };
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let key = made
        .get_or_insert_default()
        .entry((name.to_owned(), spec_name))
        .or_insert_with(|| Arc::new(generate_key(spec).expect("a key can be made")));
    Arc::clone(key)
}

/// A new file that only its owner reads.
pub(crate) fn write_private(path: &Path, octets: &[u8]) {
    use std::io::Write as _;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .expect("the file is new");
    file.write_all(octets).expect("the file is written");
}

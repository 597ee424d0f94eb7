//! SoftHSM2 for one test: tokens in a directory of its own, in a process of its own.
//!
//! SOFTHSM2_CONF is the whole process's, and a process cannot change its environment while other
//! threads run. So a test starts itself again, with the variable set, and does its work there.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use countersign_keys::pkcs11::{KeyUri, Pin, Pkcs11Settings, Pkcs11Token, TokenOpenError};
use countersign_keys::{Deadline, PublicKey, SignatureAlgorithm};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use der::{Decode, Encode};

pub(crate) const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
pub(crate) const PIN: &str = "71930468";
pub(crate) const SO_PIN: &str = "5829471036";
const DIRECTORY: &str = "COUNTERSIGN_TEST_TOKENS";

pub(crate) fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// A SoftHSM2 that nobody else uses.
pub(crate) struct SoftHsm {
    directory: PathBuf,
}

/// Runs `test` in a process of its own that has a SoftHSM2 of its own.
pub(crate) fn alone(test: impl FnOnce(&SoftHsm)) {
    alone_with("", test);
}

/// As [`alone`], with further lines in SoftHSM2's configuration.
pub(crate) fn alone_with(lines: &str, test: impl FnOnce(&SoftHsm)) {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        test(&SoftHsm { directory: directory.into() });
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let tokens = directory.path().join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let conf = directory.path().join("softhsm2.conf");
    std::fs::write(&conf, format!("directories.tokendir = {}\n{lines}", tokens.display())).unwrap();
    let name = std::thread::current().name().unwrap().to_owned();
    let output = Command::new(std::env::current_exe().unwrap())
        .args([&name, "--exact", "--nocapture", "--include-ignored"])
        .env("SOFTHSM2_CONF", &conf)
        .env(DIRECTORY, directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{} {said}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

impl SoftHsm {
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the tokens' files are.
    pub(crate) fn tokens(&self) -> PathBuf {
        self.directory.join("tokens")
    }

    /// Makes a token.
    pub(crate) fn token(&self, label: &str) {
        let made = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", SO_PIN])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
    }

    /// A file of mode 0600 with this PIN.
    pub(crate) fn pin_file(&self, pin: &str) -> PathBuf {
        let path = self.directory.join("pin");
        let _ = std::fs::remove_file(&path);
        countersign_keys::secret_file::create(&path, pin.as_bytes()).unwrap();
        path
    }

    pub(crate) fn settings(&self, label: &str) -> Pkcs11Settings {
        Pkcs11Settings { module: MODULE.into(), label: label.into(), serial: None, sessions: 3 }
    }

    pub(crate) fn try_open<'a>(
        &self,
        label: &str,
        pin: &str,
        keys: impl IntoIterator<Item = &'a KeyUri>,
    ) -> Result<Pkcs11Token, TokenOpenError> {
        let pin = Pin::new(pin.as_bytes()).unwrap();
        Pkcs11Token::open(&self.settings(label), pin, keys, soon())
    }

    pub(crate) fn open<'a>(
        &self,
        label: &str,
        keys: impl IntoIterator<Item = &'a KeyUri>,
    ) -> Pkcs11Token {
        self.try_open(label, PIN, keys).unwrap()
    }
}

pub(crate) fn uri(label: &str, object: &str) -> KeyUri {
    format!("pkcs11:token={label};object={object}").parse().unwrap()
}

/// A session beside those of the product, logged in.
pub(crate) fn with_session<T>(label: &str, work: impl FnOnce(&Session) -> T) -> T {
    let module = Pkcs11::new(MODULE).unwrap();
    // Beside the product's, or where it has none.
    let flags = CInitializeFlags::OS_LOCKING_OK;
    let mine = module.initialize(CInitializeArgs::new(flags)).is_ok();
    let slot = module
        .get_slots_with_initialized_token()
        .unwrap()
        .into_iter()
        .find(|slot| module.get_token_info(*slot).unwrap().label().trim_end() == label)
        .unwrap();
    let session = module.open_rw_session(slot).unwrap();
    let _ = session.login(UserType::User, Some(&AuthPin::from(PIN)));
    let done = work(&session);
    drop(session);
    if mine {
        module.finalize().unwrap();
    }
    done
}

/// A key pair whose private half has these attributes, where they differ from a good key's.
pub(crate) fn make_key(session: &Session, object: &str, id: u8, differently: &[Attribute]) {
    let public = [
        Attribute::Token(true),
        Attribute::Id(vec![id]),
        Attribute::ModulusBits(2048.into()),
        Attribute::PublicExponent(vec![1, 0, 1]),
    ];
    let mut private = vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Modifiable(false),
        Attribute::Sign(true),
        Attribute::SignRecover(false),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
        Attribute::Label(object.into()),
        Attribute::Id(vec![id]),
    ];
    for other in differently {
        private.retain(|attribute| attribute.attribute_type() != other.attribute_type());
        private.push(other.clone());
    }
    session.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &private).unwrap();
}

/// That a CSR is for this key and signed by it.
pub(crate) fn check_csr(der: &[u8], public_key: &PublicKey) {
    let csr = x509_cert::request::CertReq::from_der(der).unwrap();
    assert_eq!(csr.info.public_key.to_der().unwrap(), public_key.spki_der());
    let algorithm = SignatureAlgorithm::preferred_for(public_key.kind());
    let signature = csr.signature.raw_bytes();
    public_key.verify(algorithm, &csr.info.to_der().unwrap(), signature).unwrap();
}

//! Tokens on their bad days: SoftHSM2 behind a module of ours that does as each test tells it.
//!
//! Each test is a process of its own, as SoftHSM2 has one state for a process; it ends well only if
//! sessions, module and process are given up in the right order.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test states what it knows"
)]

mod attributes;
mod faults;
mod log_in;
mod loss;
mod unwrapping;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use countersign_keys::pkcs11::{KeyUri, Pin, Pkcs11Settings, Pkcs11Token, TokenOpenError};
use countersign_keys::{
    Deadline, KeyName, KeySpec, PublicKey, RoleKind, SignatureAlgorithm, Token as _, TokenError,
};
use countersign_pkcs11_shim::{Script, Shim};
use countersign_softhsm::{init_token, module};

const LABEL: &str = "a token";
const PIN: &str = "correct horse";
const MESSAGE: &[u8] = b"a CertRep, say";

/// A token of SoftHSM2 with the shim before it.
struct Bench {
    shim: Shim,
    tokens: PathBuf,
}

impl Bench {
    fn new(folder: &Path) -> Self {
        init_token(LABEL, "the officer's", PIN);
        let shim = Shim::install(folder, "shim", &Script::forwarding_to(module()));
        Self { shim, tokens: folder.join("tokens") }
    }

    /// From the next call on.
    fn now(&self, change: impl FnOnce(Script) -> Script) {
        self.shim.follow(&change(Script::forwarding_to(module())));
    }

    fn well(&self) {
        self.now(|script| script);
    }

    fn settings(&self) -> Pkcs11Settings {
        Pkcs11Settings {
            module: self.shim.path().to_owned(),
            label: LABEL.to_owned(),
            serial: None,
            sessions: 3,
        }
    }

    fn open_with(&self, pin: &str, keys: &[&str]) -> Result<Pkcs11Token, TokenOpenError> {
        let pin = Pin::new(pin.as_bytes()).unwrap();
        let keys: Vec<KeyUri> = keys.iter().map(|key| uri(key)).collect();
        Pkcs11Token::open(&self.settings(), pin, &keys, soon())
    }

    fn open(&self, keys: &[&str]) -> Pkcs11Token {
        self.open_with(PIN, keys).unwrap()
    }

    /// The token with an EA key on P-256.
    fn with_ea(&self) -> Pkcs11Token {
        let token = self.open(&["ea"]);
        token.generate(&name("ea"), RoleKind::Ea, KeySpec::EcP256, soon()).unwrap();
        token
    }

    /// The token with a CEP key.
    fn with_cep(&self) -> Pkcs11Token {
        let token = self.open(&["cep"]);
        token.generate(&name("cep"), RoleKind::Cep, KeySpec::Rsa2048, soon()).unwrap();
        token
    }
}

fn uri(object: &str) -> KeyUri {
    format!("pkcs11:token=a%20token;object={object}").parse().unwrap()
}

fn name(object: &str) -> KeyName {
    uri(object).key_name()
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

fn preferred(key: &PublicKey) -> SignatureAlgorithm {
    SignatureAlgorithm::preferred_for(key.kind())
}

/// A signature of EA, verified.
fn sign(token: &Pkcs11Token) -> Result<Vec<u8>, TokenError> {
    sign_until(token, soon())
}

fn sign_until(token: &Pkcs11Token, deadline: Deadline) -> Result<Vec<u8>, TokenError> {
    // P-256, as `with_ea` makes it.
    let signature =
        token.sign(&name("ea"), SignatureAlgorithm::EcdsaP256Sha256, MESSAGE, deadline)?;
    let key = token.public_key(&name("ea"))?;
    key.verify(preferred(&key), MESSAGE, &signature).expect("a signature that left verifies");
    Ok(signature)
}

/// Asks again until it works; a token that came back is used again without anybody's help.
fn until_it_works<T>(mut act: impl FnMut() -> Result<T, TokenError>) -> T {
    let started = Instant::now();
    loop {
        match act() {
            Ok(value) => return value,
            Err(error) => {
                assert!(started.elapsed() < Duration::from_secs(15), "still: {error}");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

//! A token by PKCS#11: each operation in a session of its own, up the ladder where it fails.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::connection::{Connection, Identity, Which};
use super::error::TokenOpenError;
use super::failure::Failure;
use super::module::Module;
use super::operation::Afterwards;
use super::pause::Pause;
use super::pin::Pin;
use super::unwrap::Unwrapping;
use super::uri::KeyUri;
use super::{proof, sign};
use crate::algorithm::{KeyTransport, SignatureAlgorithm};
use crate::error::TokenError;
use crate::finding::Finding;
use crate::public_key::PublicKey;
use crate::role::RoleKind;
use crate::token::{Capacity, ContentKey, Deadline, KeyName, Token, TokenDescription};
use crate::unwrap::Substitute;

/// A token that was found good is not asked again within this time: readiness is asked for often.
const HEALTHY_FOR: Duration = Duration::from_secs(1);
/// How long reading a public key, which has no deadline of its own, may wait.
const READING: Duration = Duration::from_secs(10);
/// How long dropping a token may wait for the module, to close its sessions.
const CLOSING: Duration = Duration::from_secs(5);

/// Which token, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pkcs11Settings {
    /// The module: a shared library.
    pub module: PathBuf,
    /// Label of the token. Exactly one token of the module has it.
    pub label: String,
    /// Its serial number, where several tokens have the label.
    pub serial: Option<String>,
    /// Sessions that work at the same time; a further one keeps the log-in.
    pub sessions: usize,
}

impl Pkcs11Settings {
    /// One session for each core, and one more that unwraps never occupy: strangers cause
    /// unwraps, and answers must still be signed.
    pub fn default_sessions() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from) + 1
    }
}

/// Private keys on a PKCS#11 token.
pub struct Pkcs11Token {
    pub(super) module: Arc<Module>,
    pub(super) which: Which,
    pub(super) pin: Pin,
    /// A PIN was refused: the token is never asked again.
    pub(super) pin_refused: AtomicBool,
    /// Between looks for this token by initialising its module again.
    pub(super) pause: Pause,
    pub(super) keys: BTreeMap<KeyName, KeyUri>,
    pub(super) sessions: usize,
    pub(super) identity: Identity,
    pub(super) connection: Mutex<Option<Connection>>,
    pub(super) known: Mutex<BTreeMap<KeyName, Known>>,
    pub(super) substitute: Substitute,
    pub(super) healthy: Mutex<Option<Instant>>,
}

/// What is known of a key from its first use on.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) public_key: PublicKey,
    pub(super) unwrapping: Option<Arc<Unwrapping>>,
    /// The role that its attributes were examined for.
    pub(super) role: Option<RoleKind>,
}

impl Pkcs11Token {
    /// Loads the module, finds the token and logs in, with one attempt.
    ///
    /// Keys are known to it by [`KeyUri::key_name`]; whether they are there shows when they are
    /// used.
    ///
    /// # Errors
    /// The module is not usable; the token is not there, warns about its PIN, or refuses it; a
    /// key's URI names another token.
    pub fn open<'a>(
        settings: &Pkcs11Settings,
        pin: Pin,
        keys: impl IntoIterator<Item = &'a KeyUri>,
        deadline: Deadline,
    ) -> Result<Self, TokenOpenError> {
        let label = settings.label.clone();
        let of_token = |source: TokenError| TokenOpenError::Token { label: label.clone(), source };
        let which = Which { label: label.clone(), serial: settings.serial.clone() };
        let mut named = BTreeMap::new();
        for key in keys {
            let other_serial =
                |serial: &str| which.serial.as_deref().is_some_and(|expected| expected != serial);
            if key.token() != which.label || key.serial().is_some_and(other_serial) {
                return Err(TokenOpenError::OtherToken { key: key.to_string(), label });
            }
            named.insert(key.key_name(), key.clone());
        }
        let substitute = Substitute::new().map_err(of_token)?;
        let module = Module::open(&settings.module)?;
        let connection = {
            let alive = module.enter(deadline).map_err(of_token)?;
            Connection::open(alive.context(), alive.generation(), &which, &pin).map_err(
                |failure| {
                    of_token(match failure {
                        Failure::Final(error) => error,
                        Failure::Gone(what) => TokenError::Lost(what),
                        Failure::Module(error) => TokenError::Lost(error.to_string()),
                    })
                },
            )?
        };
        let identity = connection.identity.clone();
        // One session of those the token takes is the keeper.
        let most = identity.most_sessions.map_or(usize::MAX, |most| most.saturating_sub(1));
        tracing::info!(
            token = label,
            serial = identity.serial,
            model = identity.model,
            manufacturer = identity.manufacturer,
            module = %module.path().display(),
            raw_rsa = connection.mechanisms.raw_rsa,
            "logged in at a token"
        );
        Ok(Self {
            module,
            which,
            pin,
            pin_refused: AtomicBool::new(false),
            pause: Pause::default(),
            keys: named,
            sessions: settings.sessions.clamp(1, most.max(1)),
            identity,
            connection: Mutex::new(Some(connection)),
            known: Mutex::default(),
            substitute,
            healthy: Mutex::default(),
        })
    }
}

impl Token for Pkcs11Token {
    fn description(&self) -> TokenDescription {
        TokenDescription {
            label: self.which.label.clone(),
            hardware: true,
            serial: Some(self.identity.serial.clone()),
            model: Some(self.identity.model.clone()),
            manufacturer: Some(self.identity.manufacturer.clone()),
        }
    }

    fn capacity(&self) -> Capacity {
        Capacity { sessions: self.sessions, reserved_for_signing: usize::from(self.sessions > 1) }
    }

    fn public_key(&self, key: &KeyName) -> Result<PublicKey, TokenError> {
        Ok(self.known(key, Deadline::after(READING))?.public_key)
    }

    fn sign(
        &self,
        key: &KeyName,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        deadline: Deadline,
    ) -> Result<Vec<u8>, TokenError> {
        let public_key = self.known(key, deadline)?.public_key;
        self.with_key(key, Afterwards::Keep, deadline, |work| {
            let question = sign::question(public_key.kind(), algorithm, work.mechanisms, message)
                .ok_or_else(|| {
                TokenError::Refused(format!(
                    "{algorithm} does not go with a key of {}",
                    public_key.kind()
                ))
            })?;
            let signature = work.session.sign(&question.mechanism, work.key, &question.input)?;
            let signature = sign::answer(public_key.kind(), signature).ok_or(TokenError::Faulty)?;
            public_key.verify(algorithm, message, &signature).map_err(|_| TokenError::Faulty)?;
            Ok(signature)
        })
    }

    fn rsa_unwrap(
        &self,
        key: &KeyName,
        transport: KeyTransport,
        ciphertext: &[u8],
        wanted_length: usize,
        deadline: Deadline,
    ) -> Result<ContentKey, TokenError> {
        self.unwrap(key, transport, ciphertext, wanted_length, deadline)
    }

    fn health(&self, deadline: Deadline) -> Result<(), TokenError> {
        deadline.check()?;
        if self.healthy.lock().is_some_and(|at| at.elapsed() < HEALTHY_FOR) {
            return Ok(());
        }
        for key in self.keys.keys() {
            self.try_out(key, deadline)?;
        }
        *self.healthy.lock() = Some(Instant::now());
        Ok(())
    }

    fn examine(
        &self,
        key: &KeyName,
        role: RoleKind,
        deadline: Deadline,
    ) -> Result<Vec<Finding>, TokenError> {
        self.examine_key(key, role, deadline)
    }

    fn holds(&self, key: &PublicKey, deadline: Deadline) -> Result<bool, TokenError> {
        self.with_session(false, deadline, |session, _| proof::holds(session, key))
    }
}

impl fmt::Debug for Pkcs11Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs11Token")
            .field("label", &self.which.label)
            .field("serial", &self.identity.serial)
            .field("module", &self.module.path())
            .field("keys", &self.keys.keys())
            .finish_non_exhaustive()
    }
}

impl Drop for Pkcs11Token {
    fn drop(&mut self) {
        // In order: sessions first; the module is finalized when its last token lets go of it.
        let Some(connection) = self.connection.get_mut().take() else { return };
        if let Ok(alive) = self.module.enter(Deadline::after(CLOSING))
            && alive.generation() == connection.generation
        {
            connection.close();
        }
    }
}

//! A token by PKCS#11: each operation in a session of its own, up the ladder where it fails.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use parking_lot::{Mutex, MutexGuard};

use super::connection::{Connection, Identity, Mechanisms, Which, is_logged_in};
use super::error::TokenOpenError;
use super::failure::{Failure, Ladder, Step};
use super::module::{Alive, Module};
use super::pin::Pin;
use super::unwrap::Unwrapping;
use super::uri::KeyUri;
use super::{proof, public_key, sign};
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
    module: Arc<Module>,
    which: Which,
    pin: Pin,
    /// A PIN was refused: the token is never asked again.
    pin_refused: AtomicBool,
    keys: BTreeMap<KeyName, KeyUri>,
    sessions: usize,
    identity: Identity,
    connection: Mutex<Option<Connection>>,
    pub(super) known: Mutex<BTreeMap<KeyName, Known>>,
    pub(super) substitute: Substitute,
    healthy: Mutex<Option<Instant>>,
}

/// What is known of a key from its first use on.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) public_key: PublicKey,
    pub(super) unwrapping: Option<Arc<Unwrapping>>,
    /// The role that its attributes were examined for.
    pub(super) role: Option<RoleKind>,
}

/// A session at work, and the key found in it.
pub(super) struct Work<'w> {
    pub(super) session: &'w Session,
    pub(super) key: ObjectHandle,
    pub(super) mechanisms: Mechanisms,
    /// Set where the session saw an error that is no failure of the operation.
    pub(super) spoiled: Cell<bool>,
}

/// Whether a session that did its work is used again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Afterwards {
    Keep,
    /// Closed whatever came of it, so that a failure does not show by the closing.
    Close,
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
            keys: named,
            sessions: settings.sessions.clamp(1, most.max(1)),
            identity,
            connection: Mutex::new(Some(connection)),
            known: Mutex::default(),
            substitute,
            healthy: Mutex::default(),
        })
    }

    /// Does `work` with a key, in a session that nobody else uses, and where it fails climbs
    /// the ladder: a new session, then the module initialised again, then [`TokenError::Lost`].
    pub(super) fn with_key<T>(
        &self,
        name: &KeyName,
        afterwards: Afterwards,
        deadline: Deadline,
        mut work: impl FnMut(&Work<'_>) -> Result<T, Failure>,
    ) -> Result<T, TokenError> {
        let uri = self
            .keys
            .get(name)
            .ok_or_else(|| TokenError::NoSuchKey { name: name.as_str().to_owned(), found: 0 })?;
        self.climb(deadline, |alive| {
            let (session, mechanisms, handle) = self.take(alive, name, deadline)?;
            let result = match handle {
                Some(handle) => Ok(handle),
                None => self.find(&session, name, uri, deadline),
            }
            .and_then(|key| {
                let at = Work { session: &session, key, mechanisms, spoiled: Cell::new(false) };
                let value = work(&at)?;
                Ok((value, at.spoiled.get()))
            });
            let good = result.as_ref().is_ok_and(|(_, spoiled)| !spoiled);
            let keep = good && afterwards == Afterwards::Keep;
            self.give_back(alive, session, name, result.is_err(), keep, deadline);
            result.map(|(value, _)| value)
        })
    }

    /// Does `work` in a session of its own that is closed afterwards: for looks at the token's
    /// objects.
    pub(super) fn with_session<T>(
        &self,
        writing: bool,
        deadline: Deadline,
        mut work: impl FnMut(&Session, Mechanisms) -> Result<T, Failure>,
    ) -> Result<T, TokenError> {
        self.climb(deadline, |alive| {
            let mut guard = self.connected(alive, deadline)?;
            let connection = guard.as_mut().ok_or_else(not_connected)?;
            let (slot, mechanisms) = (connection.slot, connection.mechanisms);
            drop(guard);
            let session = if writing {
                alive.context().open_rw_session_no_drop(slot)?
            } else {
                alive.context().open_ro_session_no_drop(slot)?
            };
            let result = work(&session, mechanisms);
            if result.is_err() {
                self.suspect(deadline);
            }
            let _ = session.close();
            result
        })
    }

    /// The URI of a key of this token.
    pub(super) fn uri(&self, name: &KeyName) -> Result<&KeyUri, TokenError> {
        self.keys
            .get(name)
            .ok_or_else(|| TokenError::NoSuchKey { name: name.as_str().to_owned(), found: 0 })
    }

    /// What is known of a key; looks at the token the first time.
    pub(super) fn known(&self, name: &KeyName, deadline: Deadline) -> Result<Known, TokenError> {
        if let Some(known) = self.known.lock().get(name) {
            return Ok(known.clone());
        }
        self.with_key(name, Afterwards::Keep, deadline, |_| Ok(()))?;
        self.known
            .lock()
            .get(name)
            .cloned()
            .ok_or_else(|| TokenError::Lost("the key was not read".into()))
    }

    fn climb<T>(
        &self,
        deadline: Deadline,
        mut attempt: impl FnMut(&Alive<'_>) -> Result<T, Failure>,
    ) -> Result<T, TokenError> {
        let mut ladder = Ladder::default();
        loop {
            deadline.check()?;
            if self.pin_refused.load(Ordering::Acquire) {
                return Err(TokenError::LogInRefused);
            }
            let alive = self.module.enter(deadline)?;
            let generation = alive.generation();
            let failure = match attempt(&alive) {
                Ok(value) => {
                    self.module.worked();
                    return Ok(value);
                }
                Err(failure) => failure,
            };
            // Whoever initialises the module again waits until nobody is in it.
            drop(alive);
            match ladder.climb(failure) {
                Step::Again => {}
                Step::RenewModule(why) => self.module.renew(generation, &why, deadline)?,
                Step::GiveUp(error) => return Err(error),
            }
        }
    }

    /// The connection of this generation of the module, made anew where there is none.
    fn connected(
        &self,
        alive: &Alive<'_>,
        deadline: Deadline,
    ) -> Result<MutexGuard<'_, Option<Connection>>, Failure> {
        let mut guard =
            self.connection.try_lock_until(deadline.instant()).ok_or(TokenError::Deadline)?;
        let generation = alive.generation();
        if let Some(connection) = guard.as_mut()
            && connection.generation == generation
        {
            if !connection.suspect {
                return Ok(guard);
            }
            if connection.stands() {
                connection.suspect = false;
                connection.handles.clear();
                return Ok(guard);
            }
        }
        if let Some(old) = guard.take()
            && old.generation == generation
        {
            old.close();
        }
        match Connection::open(alive.context(), generation, &self.which, &self.pin) {
            Ok(connection) => {
                *guard = Some(connection);
                Ok(guard)
            }
            Err(failure) => {
                if let Failure::Final(TokenError::LogInRefused) = failure {
                    self.pin_refused.store(true, Ordering::Release);
                }
                Err(failure)
            }
        }
    }

    fn take(
        &self,
        alive: &Alive<'_>,
        name: &KeyName,
        deadline: Deadline,
    ) -> Result<(Session, Mechanisms, Option<ObjectHandle>), Failure> {
        let mut guard = self.connected(alive, deadline)?;
        let connection = guard.as_mut().ok_or_else(not_connected)?;
        let handle = connection.handles.get(name).copied();
        let (slot, mechanisms) = (connection.slot, connection.mechanisms);
        if let Some(session) = connection.idle.pop() {
            return Ok((session, mechanisms, handle));
        }
        drop(guard);
        let session = alive.context().open_ro_session_no_drop(slot)?;
        Ok((session, mechanisms, handle))
    }

    fn give_back(
        &self,
        alive: &Alive<'_>,
        session: Session,
        name: &KeyName,
        failed: bool,
        keep: bool,
        deadline: Deadline,
    ) {
        // Past the deadline nobody waits for the lock: the session is closed instead.
        if let Some(mut guard) = self.connection.try_lock_until(deadline.instant())
            && let Some(connection) = guard.as_mut()
            && connection.generation == alive.generation()
        {
            if failed {
                connection.handles.remove(name);
                connection.suspect = true;
            }
            if keep && connection.idle.len() < self.sessions {
                connection.idle.push(session);
                return;
            }
        }
        let _ = session.close();
    }

    fn suspect(&self, deadline: Deadline) {
        if let Some(mut guard) = self.connection.try_lock_until(deadline.instant())
            && let Some(connection) = guard.as_mut()
        {
            connection.suspect = true;
        }
    }

    /// Finds the key: exactly one private key of that name, and the same as the first time.
    fn find(
        &self,
        session: &Session,
        name: &KeyName,
        uri: &KeyUri,
        deadline: Deadline,
    ) -> Result<ObjectHandle, Failure> {
        let found = session.find_objects(&template(ObjectClass::PRIVATE_KEY, uri))?;
        let [handle] = found.as_slice() else {
            // Private objects do not show to a session that is not logged in any more.
            if found.is_empty() && !is_logged_in(session) {
                return Err(Failure::Module(cryptoki::error::Error::Pkcs11(
                    cryptoki::error::RvError::UserNotLoggedIn,
                    cryptoki::context::Function::FindObjects,
                )));
            }
            return Err(TokenError::NoSuchKey {
                name: name.as_str().to_owned(),
                found: found.len(),
            }
            .into());
        };
        let public_key = public_key::read(session, *handle)?;
        let before = self.known.lock().get(name).cloned();
        match before {
            None => {
                let known = Known { public_key, unwrapping: None, role: None };
                self.known.lock().insert(name.clone(), known);
            }
            // Another token of the same label was put in.
            Some(known) if !known.public_key.is_same_key(&public_key) => {
                return Err(TokenError::Refused(format!(
                    "`{name}` is another key than it was at start; put the token back that was \
                     there, or restart"
                ))
                .into());
            }
            Some(Known { role: Some(role), .. }) => {
                let raw = self.unwraps_raw(name);
                if let Some(finding) = proof::attributes(session, *handle, role, raw)?.pop() {
                    return Err(TokenError::Refused(finding.message).into());
                }
            }
            Some(_) => {}
        }
        if let Some(mut guard) = self.connection.try_lock_until(deadline.instant())
            && let Some(connection) = guard.as_mut()
        {
            connection.handles.insert(name.clone(), *handle);
        }
        Ok(*handle)
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

/// What finds a key's objects.
pub(super) fn template(class: ObjectClass, uri: &KeyUri) -> Vec<Attribute> {
    let mut template = vec![Attribute::Class(class)];
    template.extend(uri.object().map(|label| Attribute::Label(label.as_bytes().to_vec())));
    template.extend(uri.id().map(|id| Attribute::Id(id.to_vec())));
    template
}

fn not_connected() -> Failure {
    Failure::Final(TokenError::Lost("there is no connection to the token".into()))
}

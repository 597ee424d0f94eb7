//! One operation: in a session that nobody else uses, and up the ladder where it fails.

use std::cell::Cell;
use std::sync::atomic::Ordering;

use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use parking_lot::MutexGuard;

use super::connection::{Connection, Mechanisms, is_logged_in};
use super::failure::{Failure, Ladder, Step};
use super::module::Alive;
use super::token::{Known, Pkcs11Token};
use super::uri::KeyUri;
use super::{proof, public_key};
use crate::error::TokenError;
use crate::finding::{Finding, Severity};
use crate::token::{Deadline, KeyName};

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
                    self.pause.is_over();
                    return Ok(value);
                }
                Err(failure) => failure,
            };
            // Whoever initialises the module again waits until nobody is in it.
            drop(alive);
            match ladder.climb(failure) {
                Step::Again => {}
                Step::RenewModule(why) => {
                    self.module.renew_for_token(generation, &why, &self.pause, deadline)?;
                }
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
                let findings = proof::attributes(session, *handle, role, raw)?;
                let critical = |finding: &Finding| finding.severity == Severity::Critical;
                if let Some(finding) = findings.into_iter().find(critical) {
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

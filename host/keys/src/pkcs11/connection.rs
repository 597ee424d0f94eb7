//! The log-in at one token and the sessions that live under it.

use std::collections::BTreeMap;

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::MechanismType;
use cryptoki::object::ObjectHandle;
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::{Limit, Slot, TokenInfo};

use super::failure::Failure;
use super::pin::Pin;
use crate::error::TokenError;
use crate::token::KeyName;

/// Which token: its label, and its serial number where the config names it.
#[derive(Clone, Debug)]
pub(super) struct Which {
    pub(super) label: String,
    pub(super) serial: Option<String>,
}

/// A log-in and its sessions. Sessions are closed by hand only: after the module was initialised
/// again an old handle may be somebody else's new session.
pub(super) struct Connection {
    pub(super) generation: u64,
    pub(super) slot: Slot,
    /// Keeps the log-in: it ends when the last session closes.
    keeper: Session,
    pub(super) idle: Vec<Session>,
    pub(super) handles: BTreeMap<KeyName, ObjectHandle>,
    pub(super) mechanisms: Mechanisms,
    pub(super) identity: Identity,
    /// Something failed: whether the log-in still stands is looked at before the next use.
    pub(super) suspect: bool,
}

/// What a token says of itself.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) serial: String,
    pub(super) model: String,
    pub(super) manufacturer: String,
    /// Sessions it takes, where it says.
    pub(super) most_sessions: Option<usize>,
}

/// Mechanisms that a token offers, as far as they matter here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mechanisms {
    /// CKM_RSA_X_509 for decryption.
    pub(super) raw_rsa: bool,
    /// CKM_RSA_PKCS for signatures over a DigestInfo.
    pub(super) rsa_over_digest: bool,
    /// CKM_ECDSA over a digest.
    pub(super) ecdsa_over_digest: bool,
}

impl Connection {
    /// Finds the token and logs in, with one attempt.
    pub(super) fn open(
        context: &Pkcs11,
        generation: u64,
        which: &Which,
        pin: &Pin,
    ) -> Result<Self, Failure> {
        let (slot, info) = find_token(context, which)?;
        let keeper = context.open_ro_session_no_drop(slot)?;
        if let Err(failure) = log_in(&keeper, &info, pin) {
            let _ = keeper.close();
            return Err(failure);
        }
        let mechanisms = match Mechanisms::of(context, slot) {
            Ok(mechanisms) => mechanisms,
            Err(error) => {
                let _ = keeper.close();
                return Err(error.into());
            }
        };
        let identity = Identity {
            serial: info.serial_number().trim_end().to_owned(),
            model: info.model().trim_end().to_owned(),
            manufacturer: info.manufacturer_id().trim_end().to_owned(),
            most_sessions: match info.max_session_count() {
                Limit::Max(most) => usize::try_from(most).ok(),
                Limit::Unavailable | Limit::Infinite => None,
            },
        };
        Ok(Self {
            generation,
            slot,
            keeper,
            idle: Vec::new(),
            handles: BTreeMap::new(),
            mechanisms,
            identity,
            suspect: false,
        })
    }

    /// Whether the user is still logged in.
    pub(super) fn stands(&self) -> bool {
        is_logged_in(&self.keeper)
    }

    /// Closes what is not in use. Only while the module is of this generation.
    pub(super) fn close(self) {
        for session in self.idle.into_iter().chain([self.keeper]) {
            let _ = session.close();
        }
    }
}

impl Mechanisms {
    /// What is on the list and says of itself that it does it: SoftHSM2 takes what its
    /// configuration forbids off the list only.
    fn of(context: &Pkcs11, slot: Slot) -> Result<Self, Error> {
        let offered = context.get_mechanism_list(slot)?;
        let info = |mechanism: MechanismType| {
            let offered = offered.contains(&mechanism).then_some(mechanism)?;
            context.get_mechanism_info(slot, offered).ok()
        };
        Ok(Self {
            raw_rsa: info(MechanismType::RSA_X_509).is_some_and(|info| info.decrypt()),
            rsa_over_digest: info(MechanismType::RSA_PKCS).is_some_and(|info| info.sign()),
            ecdsa_over_digest: info(MechanismType::ECDSA).is_some_and(|info| info.sign()),
        })
    }
}

pub(super) fn is_logged_in(session: &Session) -> bool {
    session.get_session_info().is_ok_and(|info| {
        matches!(info.session_state(), SessionState::RoUser | SessionState::RwUser)
    })
}

fn find_token(context: &Pkcs11, which: &Which) -> Result<(Slot, TokenInfo), Failure> {
    let mut found = Vec::new();
    let mut seen = Vec::new();
    for slot in context.get_slots_with_initialized_token()? {
        // A slot whose token was just pulled does not hide the others.
        let Ok(info) = context.get_token_info(slot) else { continue };
        let label = info.label().trim_end();
        let serial = info.serial_number().trim_end();
        if label == which.label && which.serial.as_deref().is_none_or(|wanted| wanted == serial) {
            found.push((slot, info));
        } else {
            seen.push(format!("`{}`", label.escape_debug()));
        }
    }
    let many = found.len();
    match (found.pop(), many) {
        (Some(only), 1) => Ok(only),
        (Some(_), _) => Err(TokenError::Refused(format!(
            "the module shows {many} tokens of this label; name the serial number, too"
        ))
        .into()),
        (None, _) if seen.is_empty() => Err(Failure::Gone("the module shows no token".into())),
        (None, _) => {
            Err(Failure::Gone(format!("the module shows other tokens only: {}", seen.join(", "))))
        }
    }
}

/// Logs in, unless this process is logged in already. One attempt, and none where the token says
/// that a wrong one came before: too many lock it.
fn log_in(keeper: &Session, info: &TokenInfo, pin: &Pin) -> Result<(), Failure> {
    if is_logged_in(keeper) || !info.login_required() {
        return Ok(());
    }
    let warning = if info.user_pin_locked() {
        Some("CKF_USER_PIN_LOCKED: its PIN is locked")
    } else if info.user_pin_final_try() {
        Some("CKF_USER_PIN_FINAL_TRY: one more wrong PIN locks it")
    } else if info.user_pin_count_low() {
        Some("CKF_USER_PIN_COUNT_LOW: somebody gave a wrong PIN since the last log-in")
    } else if info.user_pin_to_be_changed() {
        Some("CKF_USER_PIN_TO_BE_CHANGED: its PIN is to be changed first")
    } else {
        None
    };
    if let Some(warning) = warning {
        return Err(TokenError::LogInWithheld(warning).into());
    }
    match keeper.login(UserType::User, Some(pin.expose())) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
        Err(Error::Pkcs11(
            RvError::PinIncorrect
            | RvError::PinInvalid
            | RvError::PinLenRange
            | RvError::PinExpired
            | RvError::PinLocked
            | RvError::UserPinNotInitialized,
            _,
        )) => Err(TokenError::LogInRefused.into()),
        Err(Error::Pkcs11(RvError::UserAnotherAlreadyLoggedIn, _)) => Err(TokenError::Refused(
            "another user (the security officer) is logged in at this token".into(),
        )
        .into()),
        Err(error) => Err(error.into()),
    }
}

//! What a return code means for the sessions, the handles and the module.

use cryptoki::error::{Error, RvError};

use crate::error::TokenError;

/// Why a call failed, before it is known what will be done about it.
pub(super) enum Failure {
    /// The module said no.
    Module(Error),
    /// The token is not there: only the module, initialised again, sees one that returned.
    Gone(String),
    /// Nothing more can be done.
    Final(TokenError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Module(error)
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        Self::Final(error)
    }
}

/// What helps. Every error costs the session it came from (a session may stay in
/// OperationActive for ever); this is what is needed beside that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// A new session, with the key found anew and the log-in looked at.
    Session,
    /// The module, finalized and initialised again: re-opening sessions does not help where the
    /// device, or the server behind the module, is gone.
    Module,
    /// A new session; and where it fails there too, the module.
    SessionThenModule,
    /// Nothing: the token will say the same on every repetition.
    None,
}

pub(super) fn remedy(error: &Error) -> Remedy {
    let Error::Pkcs11(code, _) = error else {
        return match error {
            // The module gave something that cannot be read: maybe once, maybe always.
            Error::TryFromInt(_) | Error::TryFromSlice(_) | Error::InvalidValue => Remedy::Session,
            _ => Remedy::None,
        };
    };
    match code {
        RvError::ObjectHandleInvalid
        | RvError::KeyHandleInvalid
        | RvError::SessionHandleInvalid
        | RvError::SessionClosed
        | RvError::UserNotLoggedIn
        | RvError::OperationActive
        | RvError::OperationNotInitialized
        | RvError::FunctionCanceled
        | RvError::Cancel => Remedy::Session,
        RvError::DeviceError
        | RvError::DeviceRemoved
        | RvError::TokenNotPresent
        | RvError::TokenNotRecognized
        | RvError::SlotIdInvalid
        | RvError::CryptokiNotInitialized => Remedy::Module,
        RvError::MechanismInvalid
        | RvError::MechanismParamInvalid
        | RvError::KeyFunctionNotPermitted
        | RvError::KeyTypeInconsistent
        | RvError::KeySizeRange
        | RvError::ArgumentsBad
        | RvError::DataInvalid
        | RvError::DataLenRange
        | RvError::EncryptedDataInvalid
        | RvError::EncryptedDataLenRange
        | RvError::ActionProhibited
        | RvError::AttributeReadOnly
        | RvError::AttributeValueInvalid
        | RvError::AttributeTypeInvalid
        | RvError::TemplateInconsistent
        | RvError::TemplateIncomplete
        | RvError::TokenWriteProtected
        | RvError::CurveNotSupported
        | RvError::PinIncorrect
        | RvError::PinInvalid
        | RvError::PinLenRange
        | RvError::PinExpired
        | RvError::PinLocked
        | RvError::FunctionNotSupported => Remedy::None,
        _ => Remedy::SessionThenModule,
    }
}

/// Whether a return code of a decryption is surely about the session, the log-in or the device,
/// and never about the ciphertext. Modules report a bad padding as GENERAL_ERROR, DEVICE_ERROR,
/// FUNCTION_FAILED or ENCRYPTED_DATA_INVALID, so those are not.
pub(super) fn is_surely_not_the_ciphertext(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::ObjectHandleInvalid
                | RvError::KeyHandleInvalid
                | RvError::SessionHandleInvalid
                | RvError::SessionClosed
                | RvError::SessionCount
                | RvError::UserNotLoggedIn
                | RvError::OperationActive
                | RvError::DeviceRemoved
                | RvError::TokenNotPresent
                | RvError::TokenNotRecognized
                | RvError::SlotIdInvalid
                | RvError::CryptokiNotInitialized,
            _
        )
    )
}

/// How far one operation has climbed: one new session, one new module, no more.
#[derive(Default)]
pub(super) struct Ladder {
    sessions: u8,
    modules: u8,
}

/// The next step of an operation that failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Again,
    /// And why.
    RenewModule(String),
    GiveUp(TokenError),
}

impl Ladder {
    pub(super) fn climb(&mut self, failure: Failure) -> Step {
        let (remedy, what) = match failure {
            Failure::Final(error) => return Step::GiveUp(error),
            Failure::Gone(what) => (Remedy::Module, what),
            // Others have them all: none of ours would be more for a new module.
            Failure::Module(Error::Pkcs11(RvError::SessionCount, _)) => {
                return Step::GiveUp(TokenError::Busy);
            }
            Failure::Module(error) => (remedy(&error), error.to_string()),
        };
        match remedy {
            Remedy::None => return Step::GiveUp(TokenError::Refused(what)),
            Remedy::Session | Remedy::SessionThenModule if self.sessions == 0 => {
                self.sessions += 1;
                return Step::Again;
            }
            Remedy::Session | Remedy::SessionThenModule | Remedy::Module => {}
        }
        if self.modules == 0 {
            self.modules += 1;
            self.sessions = 0;
            return Step::RenewModule(what);
        }
        Step::GiveUp(TokenError::Lost(what))
    }
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    fn failed(code: RvError) -> Error {
        Error::Pkcs11(code, Function::Sign)
    }

    fn climbed(ladder: &mut Ladder, code: RvError) -> Step {
        ladder.climb(failed(code).into())
    }

    #[test]
    fn the_ladder_has_one_new_session_then_one_new_module_then_an_end() {
        let mut ladder = Ladder::default();
        let general = RvError::GeneralError;
        assert_eq!(climbed(&mut ladder, general), Step::Again);
        assert!(matches!(climbed(&mut ladder, general), Step::RenewModule(_)));
        assert_eq!(climbed(&mut ladder, general), Step::Again);
        let end = climbed(&mut ladder, general);
        assert!(matches!(end, Step::GiveUp(TokenError::Lost(_))));
    }

    #[test]
    fn a_removed_device_needs_the_module_and_a_refusal_needs_nothing() {
        let mut ladder = Ladder::default();
        let removed = climbed(&mut ladder, RvError::DeviceRemoved);
        assert!(matches!(removed, Step::RenewModule(_)));
        let mut ladder = Ladder::default();
        let refused = climbed(&mut ladder, RvError::KeyFunctionNotPermitted);
        assert!(matches!(refused, Step::GiveUp(TokenError::Refused(_))));
    }

    /// Fails when a code that modules use for a bad padding counts as a lost token: strangers
    /// could then take the token away (and learn which padding was bad).
    #[test]
    fn what_modules_say_of_a_bad_padding_is_never_taken_for_a_lost_token() {
        for code in [
            RvError::GeneralError,
            RvError::DeviceError,
            RvError::FunctionFailed,
            RvError::EncryptedDataInvalid,
            RvError::EncryptedDataLenRange,
            RvError::DataInvalid,
            RvError::DataLenRange,
            RvError::ArgumentsBad,
        ] {
            assert!(!is_surely_not_the_ciphertext(&failed(code)), "{code:?}");
        }
    }
}

use std::time::Duration;

use crate::{Denial, DenialCode, NotApproved, Retry, deny, unavailable};

/// How soon to ask again when the host or something behind it did not answer.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// A challenge could not be redeemed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedeemError {
    /// No such challenge for this plug-in and profile. The usual answer to guesses.
    #[error("the host keeps no such challenge for this plug-in and profile")]
    Unknown,
    /// It was valid once.
    #[error("the challenge has expired")]
    Expired,
    /// It is held by another request, or was spent by one.
    #[error("the challenge belongs to another request")]
    Used,
    /// Not from here: challenges are redeemed in `verify` only, and by those who were granted it.
    #[error("challenges may not be redeemed here: {0}")]
    Denied(String),
    /// The host's store does not answer.
    #[error("the host's challenges do not answer: {0}")]
    Unavailable(String),
    /// One that this version of the contract does not name.
    #[error("the challenge could not be redeemed: {0}")]
    Other(String),
}

impl From<RedeemError> for NotApproved {
    fn from(error: RedeemError) -> Self {
        let detail = error.to_string();
        match error {
            RedeemError::Unknown => deny(DenialCode::ChallengeUnknown, detail),
            RedeemError::Expired => deny(DenialCode::ChallengeExpired, detail),
            RedeemError::Used => deny(DenialCode::ChallengeUsed, detail),
            RedeemError::Denied(_) | RedeemError::Unavailable(_) | RedeemError::Other(_) => {
                unavailable(RETRY_AFTER, detail)
            }
        }
    }
}

/// A challenge could not be issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The binding cannot be kept as it is: a name that does not parse, a time to live of nothing.
    #[error("the challenge cannot be kept as it is: {0}")]
    Invalid(String),
    /// Too many challenges are open for this plug-in or profile.
    #[error("too many challenges are open: {0}")]
    Quota(String),
    /// Not from here: challenges are issued in `issue` only, and by those who were granted it.
    #[error("challenges may not be issued here: {0}")]
    Denied(String),
    /// The host's store does not answer.
    #[error("the host's challenges do not answer: {0}")]
    Unavailable(String),
    /// One that this version of the contract does not name.
    #[error("the challenge could not be issued: {0}")]
    Other(String),
}

impl From<IssueError> for Denial {
    fn from(error: IssueError) -> Self {
        Denial::new(DenialCode::Other("challenge-not-issued".to_owned()), error.to_string())
    }
}

/// The plug-in's store did not do what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KvError {
    /// A key is 1 to 256 bytes, a value at most 64 KiB, a time to live at least one second.
    #[error("kv takes no such key, value or time to live: {0}")]
    Invalid(String),
    /// The plug-in's space or this call's number of writes is used up.
    #[error("the plug-in's share of kv is used up: {0}")]
    Quota(String),
    /// Not granted, or not from here.
    #[error("kv may not be used here: {0}")]
    Denied(String),
    /// The store does not answer.
    #[error("kv does not answer: {0}")]
    Unavailable(String),
    /// One that this version of the contract does not name.
    #[error("kv failed: {0}")]
    Other(String),
}

/// There is no answer to a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The host, the address, the method or the credential was not granted: the text says which.
    #[error("the request was not permitted: {0}")]
    Denied(String),
    /// The name could not be resolved.
    #[error("the host was not found: {0}")]
    Dns(String),
    /// No connection.
    #[error("no connection: {0}")]
    Connect(String),
    /// No trusted connection.
    #[error("no trusted connection: {0}")]
    Tls(String),
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The answer is over the limit.
    #[error("the answer is too large")]
    TooLarge,
    /// The plug-in sends too much at once.
    #[error("too many requests at once: {0}")]
    Quota(String),
    /// One that this version of the contract does not name, or an answer that makes no sense.
    #[error("{0}")]
    Other(String),
}

/// A secret could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// No secret of this name was granted.
    #[error("no such secret was granted: {0}")]
    Denied(String),
    /// It cannot be read now.
    #[error("the secret cannot be used now: {0}")]
    Unavailable(String),
    /// One that this version of the contract does not name.
    #[error("the secret could not be used: {0}")]
    Other(String),
}

/// What the host cannot do now is no verdict about the device: `?` says "not now", or, where only a
/// denial can be answered, `host-unavailable`.
macro_rules! say_not_now {
    ($($error:ty),+) => {$(
        impl From<$error> for NotApproved {
            fn from(error: $error) -> Self {
                NotApproved::Unavailable(error.into())
            }
        }

        impl From<$error> for Retry {
            fn from(error: $error) -> Self {
                Retry::new(RETRY_AFTER, error.to_string())
            }
        }

        impl From<$error> for Denial {
            fn from(error: $error) -> Self {
                Denial::new(DenialCode::Other("host-unavailable".to_owned()), error.to_string())
            }
        }
    )+};
}

say_not_now!(KvError, HttpError, SecretError);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_challenge_is_a_denial_and_what_is_wrong_with_us_is_not() {
        for (error, code) in [
            (RedeemError::Unknown, DenialCode::ChallengeUnknown),
            (RedeemError::Expired, DenialCode::ChallengeExpired),
            (RedeemError::Used, DenialCode::ChallengeUsed),
        ] {
            assert!(matches!(error.into(), NotApproved::Deny(denial) if denial.code == code));
        }
        for error in [
            RedeemError::Denied("no grant".into()),
            RedeemError::Unavailable("store".into()),
            RedeemError::Other("new".into()),
        ] {
            assert!(matches!(error.into(), NotApproved::Unavailable(_)));
        }
    }
}

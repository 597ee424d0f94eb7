//! What the host keeps for plug-ins, seen from inside a call: reads only, but for issuing a
//! challenge. Whatever else a call wants to change is staged and handed back with its answer.

use std::{future::Future, pin::Pin, time::Duration};

use serde::{Deserialize, Serialize};

use crate::model::{ChallengeBinding, IssuedChallenge, Secret};

/// An answer that takes a while.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The store behind `kv` and `challenges`, for one call. *verify* makes one per request, so that a
/// lookup of a challenge can see whether it is held by another request.
pub trait Backend: Send + Sync + 'static {
    /// The unexpired value of a key in the space of `plugin`.
    fn kv_get<'a>(
        &'a self,
        plugin: &'a str,
        key: &'a str,
    ) -> Answer<'a, Result<Option<Vec<u8>>, Unavailable>>;

    /// Looks a challenge of `plugin` and `profile` up. Must not change anything.
    fn challenge_lookup<'a>(
        &'a self,
        plugin: &'a str,
        profile: &'a str,
        text: &'a str,
    ) -> Answer<'a, Result<ChallengeBinding, RedeemRefusal>>;

    /// Makes and stores a challenge of `plugin` for `profile`. May shorten `ttl`.
    fn challenge_issue<'a>(
        &'a self,
        plugin: &'a str,
        profile: &'a str,
        binding: ChallengeBinding,
        ttl: Duration,
    ) -> Answer<'a, Result<IssuedChallenge, IssueRefusal>>;
}

/// The store does not answer. The text is for the plug-in's and the host's log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the host's store does not answer: {0}")]
pub struct Unavailable(pub String);

/// Why a challenge was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedeemRefusal {
    /// None such for this plug-in and profile.
    #[error("no such challenge for this plug-in and profile")]
    Unknown,
    /// Too late.
    #[error("the challenge has expired")]
    Expired,
    /// Held or spent by another request.
    #[error("the challenge belongs to another request")]
    Used,
    /// The store does not answer.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why no challenge was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssueRefusal {
    /// The binding cannot be kept.
    #[error("the binding cannot be kept: {0}")]
    Invalid(String),
    /// Too many are open.
    #[error("too many challenges are open: {0}")]
    Quota(String),
    /// The store does not answer.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// What a call wants to change, for the caller to commit with the approval, or to drop.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Staged {
    /// At most one per key, in the order of the first write.
    pub kv_writes: Vec<KvWrite>,
    /// Each challenge at most once.
    pub redeemed: Vec<Redeemed>,
}

impl Staged {
    /// True if there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.kv_writes.is_empty() && self.redeemed.is_empty()
    }
}

/// One change of a plug-in's kv space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvWrite {
    /// 1 to 256 bytes.
    pub key: String,
    /// What must still be there at commit, from `compare-and-set`; else the commit must fail.
    pub expected: KvExpectation,
    /// The change.
    pub change: KvChange,
}

/// What a staged write was made under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KvExpectation {
    /// Nothing was compared.
    Anything,
    /// There was no value.
    Nothing,
    /// There was this value.
    Value(Vec<u8>),
}

/// A change of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KvChange {
    /// Set it, for so many seconds from commit, or for good.
    Set {
        /// At most 64 KiB.
        value: Vec<u8>,
        /// At least 1.
        ttl_seconds: Option<u32>,
    },
    /// Remove it.
    Delete,
}

/// A challenge that the call redeemed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redeemed {
    /// As the device sent it.
    pub text: Secret,
    /// What the lookup gave.
    pub binding: ChallengeBinding,
}

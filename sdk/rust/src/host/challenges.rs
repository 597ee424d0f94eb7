use std::time::Duration;

use super::{Backend, IssueError, RedeemError};
use crate::{Attributes, Challenge, IssuedChallenge, Name};

/// One-time challenges that the host makes, keeps (as keyed hashes only) and guards. Each belongs to
/// one plug-in and one profile. See [`Host::challenges`](super::Host::challenges).
#[derive(Clone, Copy, Debug)]
pub struct Challenges<'a>(pub(super) &'a Backend);

impl Challenges<'_> {
    /// Looks a challenge up and marks it for this request. Nothing is spent yet: it is bound to the
    /// request only when all verifiers have approved, together with the approval. So a challenge of
    /// one device tried with the request of another burns nothing. The same request may come again
    /// with it; no other can use it.
    ///
    /// # Errors
    ///
    /// [`RedeemError`]; `?` makes a denial of what it says about the challenge, and `unavailable` of
    /// the rest.
    pub fn redeem(&self, challenge: &Challenge) -> Result<Binding, RedeemError> {
        self.0.redeem(challenge.reveal())
    }

    /// Makes a challenge for the profile of this call. Only in
    /// [`ChallengesIssuer::issue`](crate::ChallengesIssuer::issue). The host shortens a time to live
    /// that is longer than the profile allows.
    ///
    /// # Errors
    ///
    /// [`IssueError`], if none could be made.
    pub fn issue(
        &self,
        binding: Binding,
        time_to_live: Duration,
    ) -> Result<IssuedChallenge, IssueError> {
        self.0.issue(binding, time_to_live)
    }
}

/// What a challenge stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Binding {
    /// The names that whoever holds the challenge may ask for: vouch for these. A challenge without
    /// names vouches for no names.
    pub names: Vec<Name>,
    /// The device, if whoever issued the challenge knew it.
    pub device_id: Option<String>,
    /// The issuer's own words to itself.
    pub attributes: Attributes,
}

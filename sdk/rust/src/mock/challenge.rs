use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::{Attributes, Binding, Challenge, IssueError, IssuedChallenge, Name, RedeemError};

/// A challenge that the mock shall keep, with this text.
pub fn challenge(text: impl Into<String>) -> KeptChallenge {
    KeptChallenge {
        text: text.into(),
        binding: Binding::default(),
        profile: None,
        expires: None,
        state: ChallengeState::Open,
    }
}

/// A challenge as [`Host::keep`](super::Host::keep) takes it: open, for every profile, without end,
/// and bound to nothing unless said otherwise.
#[derive(Clone, Debug)]
#[must_use]
pub struct KeptChallenge {
    text: String,
    binding: Binding,
    profile: Option<String>,
    expires: Option<SystemTime>,
    state: ChallengeState,
}

#[derive(Clone, Debug)]
enum ChallengeState {
    Open,
    /// By the request with this SHA-256. The real host binds to the CertificationRequestInfo.
    Held(Vec<u8>),
    Spent,
}

impl KeptChallenge {
    /// Binds it to a name.
    ///
    /// # Panics
    ///
    /// If the text is no name.
    #[allow(clippy::expect_used, reason = "for tests, where a wrong name is the test's mistake")]
    pub fn name(self, name: &str) -> Self {
        let name = name.parse().expect("a name");
        self.names([name])
    }

    /// Binds it to names.
    pub fn names(mut self, names: impl IntoIterator<Item = Name>) -> Self {
        self.binding.names.extend(names);
        self
    }

    /// Binds it to a device.
    pub fn device_id(mut self, id: impl Into<String>) -> Self {
        self.binding.device_id = Some(id.into());
        self
    }

    /// Puts the issuer's own words in.
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.binding.attributes.push(name, value);
        self
    }

    /// Good for one profile only.
    pub fn profile(mut self, profile: impl Into<String>) -> Self {
        self.profile = Some(profile.into());
        self
    }

    /// Good until then.
    pub fn expires(mut self, expires: SystemTime) -> Self {
        self.expires = Some(expires);
        self
    }

    /// Held by a request that the test does not have.
    pub fn held_by_another(mut self) -> Self {
        self.state = ChallengeState::Held(b"another".to_vec());
        self
    }

    /// Already spent.
    pub fn spent(mut self) -> Self {
        self.state = ChallengeState::Spent;
        self
    }
}

/// All that the mock keeps, by text.
#[derive(Default)]
pub(super) struct Challenges {
    kept: BTreeMap<String, KeptChallenge>,
    staged: Vec<String>,
    issued: u32,
}

impl Challenges {
    pub(super) fn keep(&mut self, challenge: KeptChallenge) {
        self.kept.insert(challenge.text.clone(), challenge);
    }

    pub(super) fn redeem(
        &mut self,
        text: &str,
        profile: &str,
        csr_sha256: &[u8],
        now: SystemTime,
    ) -> Result<Binding, RedeemError> {
        let kept = self
            .kept
            .get(text)
            .filter(|kept| kept.profile.as_deref().is_none_or(|own| own == profile))
            .ok_or(RedeemError::Unknown)?;
        match &kept.state {
            ChallengeState::Spent => Err(RedeemError::Used),
            ChallengeState::Held(holder) if holder != csr_sha256 => Err(RedeemError::Used),
            _ if kept.expires.is_some_and(|expires| expires <= now) => Err(RedeemError::Expired),
            ChallengeState::Held(_) | ChallengeState::Open => {
                self.staged.push(text.to_owned());
                Ok(kept.binding.clone())
            }
        }
    }

    pub(super) fn issue(
        &mut self,
        binding: Binding,
        profile: &str,
        time_to_live: Duration,
        now: SystemTime,
    ) -> Result<IssuedChallenge, IssueError> {
        if time_to_live.is_zero() {
            return Err(IssueError::Invalid("a time to live of nothing".into()));
        }
        let expires = now
            .checked_add(time_to_live)
            .ok_or_else(|| IssueError::Invalid("a time to live without end".into()))?;
        self.issued += 1;
        let text = format!("MOCK-CHALLENGE-{}", self.issued);
        let kept = challenge(&text).profile(profile).expires(expires);
        self.keep(KeptChallenge { binding, ..kept });
        Ok(IssuedChallenge { text: Challenge::new(text), expires, attributes: Attributes::new() })
    }

    /// What was redeemed belongs to this request from now on.
    pub(super) fn hold(&mut self, csr_sha256: &[u8]) {
        for text in std::mem::take(&mut self.staged) {
            if let Some(kept) = self.kept.get_mut(&text) {
                kept.state = ChallengeState::Held(csr_sha256.to_vec());
            }
        }
    }

    pub(super) fn discard(&mut self) {
        self.staged.clear();
    }

    pub(super) fn spend(&mut self, csr_sha256: &[u8]) {
        for kept in self.kept.values_mut() {
            if matches!(&kept.state, ChallengeState::Held(holder) if holder == csr_sha256) {
                kept.state = ChallengeState::Spent;
            }
        }
    }
}

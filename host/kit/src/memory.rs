//! The host's store, in memory, with the contract's rules: what a call changes comes true with its
//! approval, and a challenge that one request holds is no use to another.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use countersign_cases::{HostState, KeptState};
use countersign_sandbox::{
    Answer, Backend, IssueRefusal, KvChange, RedeemRefusal, Staged, Unavailable,
    model::{ChallengeBinding, IssuedChallenge, Secret, Verdict},
};

use crate::names;

/// What is kept between the calls of a case.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    now: u64,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    challenges: BTreeMap<String, Challenge>,
    /// Each with its end, seconds since 1970.
    kv: BTreeMap<String, (Vec<u8>, Option<u64>)>,
    issued: u32,
}

#[derive(Debug)]
struct Challenge {
    binding: ChallengeBinding,
    profile: Option<String>,
    expires: Option<u64>,
    state: State,
}

#[derive(Debug, PartialEq)]
enum State {
    Open,
    Held([u8; 32]),
    HeldByAnother,
    Spent,
}

impl Memory {
    /// A host as a case has it.
    pub(crate) fn of_case(state: &HostState) -> Result<Arc<Self>, String> {
        let mut kept = Kept::default();
        for (key, value) in &state.kv {
            kept.kv.insert(key.clone(), (value.clone().into_bytes(), None));
        }
        for challenge in &state.challenges {
            let binding = ChallengeBinding {
                names: names::read_all(&challenge.names)?,
                device_id: challenge.device_id.clone(),
                attributes: challenge.attributes.clone().into_iter().collect(),
            };
            let state = match challenge.state {
                KeptState::Open => State::Open,
                KeptState::HeldByAnother => State::HeldByAnother,
                KeptState::Spent => State::Spent,
            };
            let (profile, expires) = (challenge.profile.clone(), challenge.expires);
            kept.challenges
                .insert(challenge.text.clone(), Challenge { binding, profile, expires, state });
        }
        Ok(Arc::new(Self { now: state.now(), kept: Mutex::new(kept) }))
    }

    /// The clock, seconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// As one request sees it.
    pub(crate) fn seen_by(self: &Arc<Self>, csr_sha256: [u8; 32]) -> Arc<dyn Backend> {
        Arc::new(Seen { memory: Arc::clone(self), csr_sha256 })
    }

    /// What a verdict makes true, where it is the only verifier of its profile.
    pub(crate) fn settle(&self, verdict: &Verdict, staged: &Staged, csr_sha256: [u8; 32]) {
        if matches!(verdict, Verdict::Approve(_) | Verdict::Pending(_)) {
            let mut kept = self.kept();
            for redeemed in &staged.redeemed {
                if let Some(challenge) = kept.challenges.get_mut(redeemed.text.expose()) {
                    challenge.state = State::Held(csr_sha256);
                }
            }
        }
        if matches!(verdict, Verdict::Approve(_)) {
            self.write(staged);
        }
    }

    /// Writes that come true.
    pub(crate) fn write(&self, staged: &Staged) {
        let mut kept = self.kept();
        for write in &staged.kv_writes {
            match &write.change {
                KvChange::Delete => {
                    kept.kv.remove(&write.key);
                }
                KvChange::Set { value, ttl_seconds } => {
                    let end = ttl_seconds.map(|seconds| self.now.saturating_add(seconds.into()));
                    kept.kv.insert(write.key.clone(), (value.clone(), end));
                }
            }
        }
    }

    /// The request got its certificate.
    pub(crate) fn issued(&self, csr_sha256: [u8; 32]) {
        for challenge in self.kept().challenges.values_mut() {
            if challenge.state == State::Held(csr_sha256) {
                challenge.state = State::Spent;
            }
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn redeem(
        &self,
        profile: &str,
        text: &str,
        csr_sha256: [u8; 32],
    ) -> Result<ChallengeBinding, RedeemRefusal> {
        let kept = self.kept();
        let challenge = kept
            .challenges
            .get(text)
            .filter(|found| found.profile.as_deref().is_none_or(|own| own == profile))
            .ok_or(RedeemRefusal::Unknown)?;
        match challenge.state {
            State::Spent | State::HeldByAnother => Err(RedeemRefusal::Used),
            State::Held(holder) if holder != csr_sha256 => Err(RedeemRefusal::Used),
            _ if challenge.expires.is_some_and(|end| end <= self.now) => {
                Err(RedeemRefusal::Expired)
            }
            State::Held(_) | State::Open => Ok(challenge.binding.clone()),
        }
    }

    fn issue(
        &self,
        profile: &str,
        binding: ChallengeBinding,
        ttl: Duration,
    ) -> Result<IssuedChallenge, IssueRefusal> {
        let expires = self
            .now
            .checked_add(ttl.as_secs())
            .ok_or_else(|| IssueRefusal::Invalid("a time to live without end".to_owned()))?;
        let mut kept = self.kept();
        kept.issued += 1;
        let text = format!("MOCK-CHALLENGE-{}", kept.issued);
        let challenge = Challenge {
            binding,
            profile: Some(profile.to_owned()),
            expires: Some(expires),
            state: State::Open,
        };
        kept.challenges.insert(text.clone(), challenge);
        Ok(IssuedChallenge { text: Secret::new(text), expires })
    }
}

/// The store, for one request.
struct Seen {
    memory: Arc<Memory>,
    csr_sha256: [u8; 32],
}

impl Backend for Seen {
    fn kv_get<'a>(
        &'a self,
        _: &'a str,
        key: &'a str,
    ) -> Answer<'a, Result<Option<Vec<u8>>, Unavailable>> {
        let now = self.memory.now;
        let value = self.memory.kept().kv.get(key).cloned();
        let value = value.filter(|(_, end)| end.is_none_or(|end| now < end));
        Box::pin(async move { Ok(value.map(|(value, _)| value)) })
    }

    fn challenge_lookup<'a>(
        &'a self,
        _: &'a str,
        profile: &'a str,
        text: &'a str,
    ) -> Answer<'a, Result<ChallengeBinding, RedeemRefusal>> {
        let found = self.memory.redeem(profile, text, self.csr_sha256);
        Box::pin(async move { found })
    }

    fn challenge_issue<'a>(
        &'a self,
        _: &'a str,
        profile: &'a str,
        binding: ChallengeBinding,
        ttl: Duration,
    ) -> Answer<'a, Result<IssuedChallenge, IssueRefusal>> {
        let issued = self.memory.issue(profile, binding, ttl);
        Box::pin(async move { issued })
    }
}

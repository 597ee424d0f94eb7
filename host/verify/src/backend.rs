//! What a plug-in sees of the host during one call: reads, and the one write that cannot wait, a
//! fresh challenge.

use std::sync::Arc;
use std::time::Duration;

use countersign_sandbox::model::{ChallengeBinding, IssuedChallenge, Secret};
use countersign_sandbox::{Answer, Backend, IssueRefusal, RedeemRefusal, Unavailable};

use crate::challenges::{ChallengeError, Challenges, NotAccepted, ToIssue};
use crate::kv::Kv;

/// The longest life of a challenge: a day.
pub(crate) const LONGEST_TTL: u64 = 24 * 60 * 60;

/// The host, as seen by the plug-ins that judge one request.
#[derive(Debug)]
pub(crate) struct RequestBackend {
    pub(crate) challenges: Arc<Challenges>,
    pub(crate) kv: Kv,
    /// The request's own hash: a challenge held by it is not "used".
    pub(crate) info_sha256: Option<[u8; 32]>,
    /// Who a challenge may be made for; none while requests are judged.
    pub(crate) issuing: Option<Issuing>,
    pub(crate) now: u64,
}

/// For whom a challenge is made.
#[derive(Debug)]
pub(crate) struct Issuing {
    pub(crate) requester: String,
    /// Seconds.
    pub(crate) longest_ttl: u64,
}

impl Backend for RequestBackend {
    fn kv_get<'a>(
        &'a self,
        plugin: &'a str,
        key: &'a str,
    ) -> Answer<'a, Result<Option<Vec<u8>>, Unavailable>> {
        Box::pin(async move {
            self.kv.get(plugin, key, self.now).await.map_err(|error| Unavailable(error.to_string()))
        })
    }

    fn challenge_lookup<'a>(
        &'a self,
        plugin: &'a str,
        profile: &'a str,
        text: &'a str,
    ) -> Answer<'a, Result<ChallengeBinding, RedeemRefusal>> {
        Box::pin(async move {
            self.challenges
                .look_up(plugin, profile, text, self.info_sha256, self.now)
                .await
                .map_err(|error| RedeemRefusal::Unavailable(Unavailable(error.to_string())))?
                .map_err(|refusal| match refusal {
                    NotAccepted::Unknown => RedeemRefusal::Unknown,
                    NotAccepted::Expired => RedeemRefusal::Expired,
                    NotAccepted::Used => RedeemRefusal::Used,
                })
        })
    }

    fn challenge_issue<'a>(
        &'a self,
        plugin: &'a str,
        profile: &'a str,
        binding: ChallengeBinding,
        ttl: Duration,
    ) -> Answer<'a, Result<IssuedChallenge, IssueRefusal>> {
        Box::pin(async move {
            // The sandbox lets nobody here from another call; a second lock on the same door.
            let issuing = self.issuing.as_ref().ok_or_else(|| {
                IssueRefusal::Invalid("no challenge was asked for in this call".to_owned())
            })?;
            let to_issue = ToIssue {
                plugin: plugin.to_owned(),
                profile: profile.to_owned(),
                binding,
                issued_by: issuing.requester.clone(),
                ttl: ttl.as_secs().clamp(1, issuing.longest_ttl.min(LONGEST_TTL)),
            };
            match self.challenges.issue(to_issue, self.now).await {
                Ok((text, expires)) => {
                    Ok(IssuedChallenge { text: Secret::new(text.as_str()), expires })
                }
                Err(error @ ChallengeError::TooMany { .. }) => {
                    Err(IssueRefusal::Quota(error.to_string()))
                }
                Err(error) => Err(IssueRefusal::Unavailable(Unavailable(error.to_string()))),
            }
        })
    }
}

//! The one way to a challenge, for admins and device managements alike: the verifier of the profile
//! that issues challenges is asked, in the sandbox, as it is asked about requests.

use std::sync::Arc;
use std::time::Duration;

use countersign_profile::Name;
use countersign_sandbox::model::{ChallengeBinding, DenialCode, Hint, check_binding};
use countersign_sandbox::{CallContext, KvWrite};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::backend::{Issuing, LONGEST_TTL, RequestBackend};
use crate::decision::{Installed, Verifiers};
use crate::kv::Written;
use crate::{kv, names};

/// How long a plug-in may take to make a challenge.
const ISSUE: Duration = Duration::from_secs(15);

/// A challenge that somebody asks for. Who asks was authenticated, and may issue for the profile.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) profile: String,
    /// What it shall vouch for; none vouch for none.
    pub(crate) names: Vec<Name>,
    pub(crate) device_id: Option<String>,
    /// Seconds that it shall live.
    pub(crate) ttl: u64,
    /// `uid 0`, or the credential's name: for the plug-in, the database and the log.
    pub(crate) requester: String,
    pub(crate) media_type: Option<String>,
    pub(crate) body: Vec<u8>,
    /// What the host knows beside.
    pub(crate) attributes: Vec<(String, String)>,
}

/// A fresh challenge.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) text: Zeroizing<String>,
    /// Seconds since 1970 UTC.
    pub(crate) expires: u64,
}

/// Why there is none.
#[derive(Debug, Error)]
pub(crate) enum NotIssued {
    /// The question is no good.
    #[error("{0}")]
    Invalid(String),
    /// The profile has nobody who issues.
    #[error("{0}")]
    NoIssuer(String),
    /// The verifier will not.
    #[error("verifier `{plugin}` refuses it ({code}): {detail}")]
    Refused { plugin: String, code: String, detail: String },
    /// The host keeps as many open challenges as it will.
    #[error("verifier `{plugin}` could not have one kept: {detail}")]
    Full { plugin: String, detail: String },
    /// Plug-in or store do not answer.
    #[error("{0}")]
    Unavailable(String),
}

impl Verifiers {
    /// The verifier of a profile that issues its challenges: exactly one of those for first
    /// enrolments.
    pub(crate) fn issuer(&self, profile: &str) -> Result<&Installed, NotIssued> {
        let settings = self.profiles.get(profile).ok_or_else(|| {
            NotIssued::Invalid(format!(
                "there is no profile `{profile}`; there are: {}",
                self.profiles.keys().cloned().collect::<Vec<_>>().join(", ")
            ))
        })?;
        let issuers: Vec<&Installed> = settings
            .verifiers
            .initial
            .iter()
            .filter_map(|name| self.plugins.get(name))
            .filter(|installed| installed.plugin.offers().challenges_issuer)
            .collect();
        match issuers.as_slice() {
            [one] => Ok(one),
            [] => Err(NotIssued::NoIssuer(format!(
                "no verifier of profile `{profile}` issues challenges; name one that exports \
                 `challenges-issuer`, such as one-time-password"
            ))),
            several => Err(NotIssued::NoIssuer(format!(
                "several verifiers of profile `{profile}` issue challenges ({}); a request carries \
                 only one",
                several
                    .iter()
                    .map(|installed| installed.plugin.name())
                    .collect::<Vec<_>>()
                    .join(", ")
            ))),
        }
    }

    /// Whether that verifier reads the body of `/challenge/<profile>` itself: it says so in `describe`
    /// where its device management has a form of its own for the question (Jamf Pro's webhook). Who
    /// asks so takes the answer's body as it is for the challenge.
    pub(crate) fn reads_question(&self, profile: &str) -> bool {
        self.issuer(profile).is_ok_and(|installed| {
            let own = ("challenge-question".to_owned(), "own".to_owned());
            installed.plugin.description().attributes.contains(&own)
        })
    }

    /// Has a challenge made.
    pub(crate) async fn issue(&self, asked: Asked, now: u64) -> Result<Issued, NotIssued> {
        if let Some(detail) = self.why_not_decide(now) {
            return Err(NotIssued::Unavailable(detail));
        }
        let installed = self.issuer(&asked.profile)?;
        if !(1..=LONGEST_TTL).contains(&asked.ttl) {
            return Err(NotIssued::Invalid(format!(
                "a challenge lives 1 to {LONGEST_TTL} seconds, not {}",
                asked.ttl
            )));
        }
        let hint = hint(&asked)?;
        let backend = Arc::new(RequestBackend {
            challenges: Arc::clone(&self.challenges),
            kv: self.kv.clone(),
            info_sha256: None,
            issuing: Some(Issuing { requester: asked.requester.clone(), longest_ttl: asked.ttl }),
            now,
        });
        let context = CallContext {
            trace_id: trace_id()?,
            trial: false,
            now,
            time_left: Some(ISSUE),
            attributes: Vec::new(),
        };
        let plugin = installed.plugin.name().to_owned();
        let outcome =
            installed.plugin.issue(context, hint, backend).await.map_err(|failure| {
                NotIssued::Unavailable(format!("verifier `{plugin}`: {failure}"))
            })?;
        let challenge = outcome.answer.map_err(|denial| match denial.code {
            DenialCode::Other(code) if code == "challenge-not-issued" => {
                NotIssued::Full { plugin: plugin.clone(), detail: denial.detail }
            }
            // The contract has no "not now" here; this is the SDK's word for it.
            DenialCode::Other(code) if code == "host-unavailable" => {
                NotIssued::Unavailable(format!("verifier `{plugin}`: {}", denial.detail))
            }
            code => NotIssued::Refused {
                plugin: plugin.clone(),
                code: code.as_str().to_owned(),
                detail: denial.detail,
            },
        })?;
        self.commit_issue(installed, outcome.staged.kv_writes, now).await?;
        if challenge.expires <= now {
            return Err(NotIssued::Unavailable(format!(
                "verifier `{plugin}` gave a challenge that has expired"
            )));
        }
        // The ledger and the log know that there is one and for whom, never which.
        tracing::info!(requester = asked.requester, profile = asked.profile, plugin,
            names = ?asked.names.iter().map(ToString::to_string).collect::<Vec<_>>(),
            expires = challenge.expires, "a challenge was issued");
        Ok(Issued {
            text: Zeroizing::new(challenge.text.expose().to_owned()),
            expires: challenge.expires,
        })
    }

    async fn commit_issue(
        &self,
        installed: &Installed,
        writes: Vec<KvWrite>,
        now: u64,
    ) -> Result<(), NotIssued> {
        if writes.is_empty() {
            return Ok(());
        }
        let (plugin, entries) = (installed.plugin.name().to_owned(), installed.kv_entries);
        let (key, name) = (Arc::clone(&self.column_key), plugin.clone());
        let written = self
            .store
            .write(move |tx| kv::write(tx, &key, &name, &writes, entries, now))
            .await
            .map_err(|error| NotIssued::Unavailable(error.to_string()))?;
        match written {
            Written::Done => Ok(()),
            Written::Conflict | Written::Full => Err(NotIssued::Unavailable(format!(
                "what verifier `{plugin}` wanted to keep could not be kept ({written:?})"
            ))),
        }
    }
}

/// What the plug-in learns. Its `ttl-seconds` is the longest that it will get.
fn hint(asked: &Asked) -> Result<Hint, NotIssued> {
    let names: Vec<_> = asked.names.iter().map(names::to_plugin).collect();
    let binding = ChallengeBinding {
        names: names.clone(),
        device_id: asked.device_id.clone(),
        attributes: Vec::new(),
    };
    check_binding(&binding).map_err(|error| NotIssued::Invalid(error.to_string()))?;
    let mut attributes = vec![("ttl-seconds".to_owned(), asked.ttl.to_string())];
    attributes.extend(asked.attributes.iter().cloned());
    Ok(Hint {
        profile: asked.profile.clone(),
        requester: asked.requester.clone(),
        names,
        device_id: asked.device_id.clone(),
        media_type: asked.media_type.clone(),
        body: asked.body.clone(),
        attributes,
    })
}

fn trace_id() -> Result<String, NotIssued> {
    let mut octets = [0_u8; 8];
    aws_lc_rs::rand::fill(&mut octets)
        .map_err(|_| NotIssued::Unavailable("the system gives no random bytes".to_owned()))?;
    Ok(hex::encode(octets))
}

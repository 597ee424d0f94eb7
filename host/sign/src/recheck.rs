//! Second step: everything that neither a verifier nor the network-facing process can widen is
//! judged again here, from the received bytes and this process's own reading of the config file.

use std::collections::BTreeMap;

use countersign_config::Config;
use countersign_ipc::Kind;
use countersign_profile::{Boundary, Csr, LegacyDigests, Limits, Name, Vouched, approve_names};

use crate::digest::sha256;
use crate::refusal::Refused;
use crate::seal::ProvenApproval;

/// How far the clock of `verify` may be ahead: both processes run on one host.
const SKEW: u64 = 60;

/// An approval and the request it approves, both within the hard limits. Only this file can make
/// one; only from a [`ProvenApproval`].
///
/// ```compile_fail,E0451
/// fn skip(proven: countersign_sign::ProvenApproval, csr: countersign_profile::Csr)
///     -> countersign_sign::Admissible
/// {
///     countersign_sign::Admissible { proven, csr }
/// }
/// ```
#[derive(Debug)]
pub struct Admissible {
    proven: ProvenApproval,
    csr: Csr,
}

impl Admissible {
    /// The approval.
    #[must_use]
    pub fn proven(&self) -> &ProvenApproval {
        &self.proven
    }

    /// The request, as received and parsed here.
    #[must_use]
    pub fn csr(&self) -> &Csr {
        &self.csr
    }
}

/// The hard limits of every profile.
#[derive(Debug)]
pub(crate) struct Rules {
    config_digest: [u8; 32],
    /// The longest life of a seal, seconds.
    lifetime: u64,
    profiles: BTreeMap<String, Rule>,
}

/// Those of one profile.
#[derive(Debug)]
struct Rule {
    limits: Limits,
    boundary: Boundary,
    /// The verifiers that must all have approved, with the digests of their components.
    initial: BTreeMap<String, [u8; 32]>,
    renewal: BTreeMap<String, [u8; 32]>,
    /// Whether the PKCS#10 may be signed over SHA-1: of a first enrolment, of a renewal.
    sha1: bool,
    sha1_renewals: bool,
}

impl Rules {
    /// The rules of `config`; `boundaries` holds one for each profile.
    pub(crate) fn new(
        config: &Config,
        config_digest: [u8; 32],
        mut boundaries: BTreeMap<String, Boundary>,
    ) -> Self {
        let digests = |names: &[String]| {
            let known = names.iter().filter_map(|name| {
                let plugin = config.plugin.get(name)?;
                Some((name.clone(), *plugin.digest.as_bytes()))
            });
            known.collect::<BTreeMap<_, _>>()
        };
        let profiles = config.profile.iter().filter_map(|(name, profile)| {
            // Without its boundary a profile is not known here, so nothing of it is signed.
            let rule = Rule {
                limits: profile.limits.clone(),
                boundary: boundaries.remove(name)?,
                initial: digests(&profile.verifiers.initial),
                renewal: digests(&profile.verifiers.renewal),
                sha1: profile.accept.sha1_signatures,
                sha1_renewals: profile.accept.sha1_renewals,
            };
            Some((name.clone(), rule))
        });
        Self {
            config_digest,
            lifetime: u64::from(config.approval.lifetime_seconds),
            profiles: profiles.collect(),
        }
    }

    /// Whether `csr` is the request that was approved, octet for octet.
    ///
    /// # Errors
    /// `csr-swapped`.
    pub(crate) fn same_request(proven: &ProvenApproval, csr: &[u8]) -> Result<(), Refused> {
        let (approved, came) = (proven.approval().csr_sha256, sha256(csr));
        if approved == came {
            return Ok(());
        }
        Err(Refused::new(
            "csr-swapped",
            format!("approved was {}, came {}", hex::encode(approved), hex::encode(came)),
        ))
    }

    /// Judges the whole.
    ///
    /// # Errors
    /// The first refusal, with its stable code.
    pub(crate) fn recheck(
        &self,
        proven: ProvenApproval,
        csr: &[u8],
        now: u64,
    ) -> Result<Admissible, Refused> {
        Self::same_request(&proven, csr)?;
        let rule = self.judge_approval(&proven, now)?;
        let csr =
            Csr::parse(csr).map_err(|error| Refused::new("csr-malformed", error.to_string()))?;
        if csr.sha256() != proven.approval().csr_sha256
            || csr.info_sha256() != proven.approval().info_sha256
        {
            return Err(Refused::new(
                "csr-swapped",
                "the request's hashes are not those of the approval",
            ));
        }
        csr.verify_self_signature(rule.legacy_digests(proven.approval().kind))
            .map_err(|error| Refused::new("csr-not-self-signed", error.to_string()))?;
        rule.judge_request(&proven, &csr)?;
        Ok(Admissible { proven, csr })
    }

    fn judge_approval(&self, proven: &ProvenApproval, now: u64) -> Result<&Rule, Refused> {
        let approval = proven.approval();
        if approval.config_digest != self.config_digest {
            return Err(Refused::new(
                "config-differs",
                "it was approved under another version of the config file; restart the process \
                 that still runs with the old one",
            ));
        }
        let rule = self.profiles.get(&approval.profile).ok_or_else(|| {
            Refused::new("profile-unknown", "the config file has no such profile")
        })?;
        let (approved_at, expires_at) = (approval.approved_at, approval.expires_at);
        if approved_at > now.saturating_add(SKEW) {
            return Err(Refused::new(
                "approval-from-the-future",
                format!("approved at {approved_at}, now {now}; compare the clocks"),
            ));
        }
        if now > expires_at {
            return Err(Refused::new(
                "approval-expired",
                format!("it ended at {expires_at}, now {now}"),
            ));
        }
        if expires_at.saturating_sub(approved_at) > self.lifetime.saturating_add(SKEW) {
            return Err(Refused::new(
                "approval-lives-too-long",
                format!(
                    "from {approved_at} to {expires_at}; approval.lifetime-seconds is {}",
                    self.lifetime
                ),
            ));
        }
        if approval.attempt == 0 {
            return Err(Refused::new("attempt-not-next", "attempts count from 1"));
        }
        rule.judge_verifiers(proven)?;
        Ok(rule)
    }
}

impl Rule {
    fn legacy_digests(&self, kind: Kind) -> LegacyDigests {
        match kind {
            Kind::Initial if self.sha1 => LegacyDigests::Sha1,
            Kind::Renewal if self.sha1_renewals => LegacyDigests::Sha1,
            Kind::Initial | Kind::Renewal => LegacyDigests::Refused,
        }
    }

    /// All of the profile's verifiers, none else, each the component that the config names: one
    /// of several is not enough (row 10).
    fn judge_verifiers(&self, proven: &ProvenApproval) -> Result<(), Refused> {
        let approval = proven.approval();
        let (expected, current) = match approval.kind {
            Kind::Initial => (&self.initial, false),
            Kind::Renewal => (&self.renewal, true),
        };
        if current != approval.current_certificate_sha256.is_some() {
            return Err(Refused::new(
                "kind-inconsistent",
                "a renewal names its current certificate, a first enrolment has none",
            ));
        }
        let approved: BTreeMap<_, _> =
            approval.verifiers.iter().map(|one| (one.plugin.clone(), one.digest)).collect();
        if expected.is_empty()
            || approved.len() != approval.verifiers.len()
            || approved != *expected
        {
            let names = |verifiers: &BTreeMap<String, [u8; 32]>| {
                verifiers.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
            };
            return Err(Refused::new(
                "verifiers-differ",
                format!(
                    "approved by [{}]; the profile asks for all of [{}], each with the digest in \
                     the config file",
                    names(&approved),
                    names(expected)
                ),
            ));
        }
        Ok(())
    }

    fn judge_request(&self, proven: &ProvenApproval, csr: &Csr) -> Result<(), Refused> {
        let approval = proven.approval();
        self.limits.admit(csr, &self.boundary).map_err(|refusals| {
            let code = refusals.first().map_or("limits", |refusal| refusal.code);
            let all: Vec<_> = refusals.iter().map(ToString::to_string).collect();
            Refused::new(code, all.join("; "))
        })?;
        let approved: Result<Vec<Name>, _> =
            approval.names.iter().map(|name| name.parse::<Name>()).collect();
        let approved =
            approved.map_err(|error| Refused::new("names-malformed", error.to_string()))?;
        approve_names(csr, &[Vouched::Names(approved)], &self.limits)
            .map_err(|refusal| Refused::new("names-beyond-approval", refusal.to_string()))?;
        if let Some(latest_end) = approval.latest_end {
            // The CA may issue as long as the profile allows: nobody else says how long it will.
            // Counted from the approval, as `verify` did, or the second between would decide.
            let longest = approval.approved_at.saturating_add(self.limits.max_validity.as_secs());
            if longest > latest_end {
                return Err(Refused::new(
                    "outlives-approval",
                    format!(
                        "a verifier allows validity until {latest_end}, the profile until \
                         {longest}; lower limits.max-validity"
                    ),
                ));
            }
        }
        Ok(())
    }
}

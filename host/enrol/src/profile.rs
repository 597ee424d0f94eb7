//! A profile as the way needs it: limits, authority, what goes into answers.

use std::fmt;
use std::sync::Arc;

use countersign_authority::Authority;
use countersign_profile::{Boundary, Limits};
use countersign_scep::{Certificate, LegacyAlgorithms};

/// What devices may get under one URL, and from whom.
pub struct Profile {
    /// Its name in the config and the URL.
    pub name: String,
    /// What a certificate of this profile may say.
    pub limits: Limits,
    /// Our own keys and the CA's name constraints.
    pub boundary: Boundary,
    /// Name of the authority in the config.
    pub authority_name: String,
    /// The authority that issues.
    pub authority: Arc<dyn Authority>,
    /// The template asked for.
    pub template: String,
    /// The issuing CA's certificate: every issued certificate must verify with it.
    pub issuing_certificate: countersign_profile::Certificate,
    /// The CA's chain as GetCACert hands it out, issuing CA first.
    pub ca_certificates: Vec<Certificate>,
    /// What GetNextCACert answers, if the CA's admin has given it.
    pub next_ca: Option<Arc<[u8]>>,
    /// What goes into SUCCESS behind the issued certificate.
    pub reply_chain: Vec<Certificate>,
    /// Whether there are verifiers for renewals.
    pub renews: bool,
    /// Algorithms that this profile takes from old clients; none by default.
    pub legacy: LegacyAlgorithms,
    /// Whether renewals signed over SHA-1 are taken too, where `legacy` takes such messages at all.
    pub sha1_renewals: bool,
    /// Seconds that a request may wait for a verifier or for the CA to be reachable.
    pub patience: u64,
    /// How often the identical bytes may be handed to the CA while an answer is missing: 1 or 2.
    pub most_submissions: u32,
    /// Requests that may wait for a verifier at a time.
    pub waiting_quota: u32,
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile")
            .field("name", &self.name)
            .field("authority", &self.authority_name)
            .field("template", &self.template)
            .finish_non_exhaustive()
    }
}

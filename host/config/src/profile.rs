//! `[profile.NAME]`: what devices may get, from which authority, on whose word.

use schemars::JsonSchema;
use serde::Deserialize;

use countersign_profile::Limits;

/// `[profile.NAME]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ProfileSettings {
    /// The authority that issues, a name of `[authority.NAME]`.
    pub authority: String,
    /// The certificate template to ask it for.
    pub template: String,
    /// The plug-ins that must all approve.
    #[serde(default)]
    pub verifiers: Verifiers,
    /// What a certificate of this profile may say; nobody else can widen it.
    #[serde(default)]
    pub limits: Limits,
    /// Days a pending request is kept.
    #[serde(default = "seven")]
    #[schemars(range(min = 1, max = 90))]
    pub pending_days: u32,
    /// How often identical bytes are sent again where the CA's answer was lost: 0 or 1. AD CS
    /// may then issue a surplus certificate, which is listed and ordered revoked.
    #[serde(default)]
    #[schemars(range(max = 1))]
    pub resubmit_unknown: u8,
    /// Put the authority's intermediate certificates into SUCCESS replies.
    #[serde(default = "yes")]
    pub chain_in_reply: bool,
    /// Put its root there too.
    #[serde(default)]
    pub root_in_reply: bool,
    /// Old algorithms that this profile takes from devices that can do no better. Each is off unless
    /// it stands here, and a finding at every start while it does.
    #[serde(default)]
    pub accept: AcceptSettings,
    /// How many denials are written one by one; the excess becomes one counted entry.
    #[serde(default)]
    pub denials: DenialCaps,
}

/// `[profile.NAME.verifiers]`: names of `[plugin.NAME]`. All of a list must approve.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Verifiers {
    /// For first enrolments; at least one.
    pub initial: Vec<String>,
    /// For renewals. Empty: this profile refuses renewals.
    pub renewal: Vec<String>,
}

/// `[profile.NAME.accept]`: legacy switches, each for the clients that it names. MD5 is not among
/// them, and no answer is ever signed over SHA-1 or encrypted with single DES.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AcceptSettings {
    /// Requests encrypted with single DES: micromdm's scepclient, and what is built on its library,
    /// sends nothing else. A challenge in such a request is worth 56 bits.
    pub single_des: bool,
    /// Requests encrypted with Triple DES: clients made for NDES.
    pub triple_des: bool,
    /// Messages and their PKCS#10 signed over SHA-1: micromdm's scepclient, old Cisco. Renewals only
    /// with `sha1-renewals` beside it.
    pub sha1_signatures: bool,
    /// Renewals signed over SHA-1 too: micromdm's scepclient. Nothing but this signature speaks for
    /// a device that renews, so RFC 8894 §7.9 warns of it.
    pub sha1_renewals: bool,
    /// Answers encrypted with Triple DES where the request came in DES or Triple DES, for clients
    /// that cannot read AES.
    pub triple_des_replies: bool,
}

/// `[profile.NAME.denials]`: strangers cause denials, so their entries are capped.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct DenialCaps {
    /// Entries for one source address in an hour.
    #[schemars(range(min = 1, max = 100_000))]
    pub per_source_per_hour: u32,
    /// Entries for this profile in an hour.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub per_profile_per_hour: u32,
}

impl Default for DenialCaps {
    fn default() -> Self {
        Self { per_source_per_hour: 60, per_profile_per_hour: 1_000 }
    }
}

fn seven() -> u32 {
    7
}

fn yes() -> bool {
    true
}

//! The root of the file, and the sections that more than one process reads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use countersign_keys::{Mode, TokenPlace};

use crate::admin::AdminSettings;
use crate::authority::AuthoritySettings;
use crate::load::{Loaded, load};
use crate::plugin::PluginSettings;
use crate::problem::Problem;
use crate::profile::ProfileSettings;
use crate::revoker::RevokerSettings;
use crate::secret::SecretRef;
use crate::serve::ServeSettings;
use crate::sign::SignSettings;
use crate::token::TokenSettings;
use crate::verify::VerifySettings;

/// The configuration of one installation. `serve`, `verify` and `sign` read the same file, each
/// its own sections; relative paths are taken from the file's directory.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(title = "Countersign configuration")]
pub struct Config {
    /// `lab` for trials (keys in files, one user for all, every ledger entry marked), else
    /// `production`.
    pub mode: Mode,
    /// Where the processes meet.
    pub sockets: Sockets,
    /// The process that faces devices and the CA.
    pub serve: ServeSettings,
    /// The process that runs verifiers.
    pub verify: VerifySettings,
    /// The process that holds the Enrollment-Agent key.
    pub sign: SignSettings,
    /// Sealed approvals: read by `verify` and `sign`.
    pub approval: ApprovalSettings,
    /// People, where a process must know one from another.
    #[serde(default)]
    pub admin: AdminSettings,
    /// PKCS#11 tokens by name.
    #[serde(default)]
    pub token: BTreeMap<String, TokenSettings>,
    /// Certification authorities by name.
    #[serde(default)]
    pub authority: BTreeMap<String, AuthoritySettings>,
    /// Who carries out revocations, by name.
    #[serde(default)]
    pub revoker: BTreeMap<String, RevokerSettings>,
    /// Verifier plug-ins by name.
    #[serde(default)]
    pub plugin: BTreeMap<String, PluginSettings>,
    /// Profiles by name; devices enrol at `/scep/<name>`.
    #[serde(default)]
    pub profile: BTreeMap<String, ProfileSettings>,
}

impl Config {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// Every problem that can be found, ordered by line: first all of spelling and shape, and
    /// where there are none, all of meaning.
    pub fn load(path: &Path) -> Result<Loaded, Vec<Problem>> {
        load(path)
    }

    /// The tokens, as `host/keys` opens them.
    pub fn token_places(&self) -> Vec<TokenPlace> {
        self.token.values().map(TokenSettings::place).collect()
    }
}

/// Where the processes meet.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Sockets {
    /// Directory of the Unix sockets, writable by the three processes' users only.
    pub directory: PathBuf,
}

impl Sockets {
    /// Where `verify` takes frames.
    pub fn verify(&self) -> PathBuf {
        self.directory.join("verify.sock")
    }

    /// Where `sign` takes frames.
    pub fn sign(&self) -> PathBuf {
        self.directory.join("sign.sock")
    }

    /// Where `serve` takes the command line's questions.
    pub fn serve_admin(&self) -> PathBuf {
        self.directory.join("serve.admin.sock")
    }

    /// Where `verify` takes the command line's questions.
    pub fn verify_admin(&self) -> PathBuf {
        self.directory.join("verify.admin.sock")
    }

    /// Where `sign` takes the command line's questions.
    pub fn sign_admin(&self) -> PathBuf {
        self.directory.join("sign.admin.sock")
    }
}

/// Sealed approvals.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ApprovalSettings {
    /// The MAC key, 32 random bytes, that only `verify` and `sign` can read.
    pub key: SecretRef,
    /// How long an approval may wait for its countersignature, in seconds.
    #[serde(default = "ten_minutes")]
    #[schemars(range(min = 10, max = 86_400))]
    pub lifetime_seconds: u32,
}

fn ten_minutes() -> u32 {
    600
}

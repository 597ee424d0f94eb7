//! The config file of an installation under test: the shape that an admin would write.

use std::fmt::Write as _;
use std::path::PathBuf;

use countersign_config::ComponentDigest;

use crate::{PROFILE, TEMPLATE};

/// One `[profile.NAME]`.
#[derive(Debug, Clone)]
pub struct Profile {
    pub(crate) name: String,
    pub(crate) template: String,
    pub(crate) verifiers: Vec<String>,
    pub(crate) renewal: Vec<String>,
    pub(crate) settings: String,
    pub(crate) limits: String,
}

impl Profile {
    /// A profile for DNS names, asking `one-time-password`, for the lab CA's usual template.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            template: TEMPLATE.to_owned(),
            verifiers: vec!["one-time-password".to_owned()],
            renewal: Vec::new(),
            settings: String::new(),
            limits: "[sans]\nallowed = [\"dns\"]\n".to_owned(),
        }
    }

    /// Its name in the config.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Another template.
    #[must_use]
    pub fn template(mut self, template: &str) -> Self {
        self.template = template.to_owned();
        self
    }

    /// Other verifiers, all of which must approve.
    #[must_use]
    pub fn verifiers(mut self, names: &[&str]) -> Self {
        self.verifiers = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// Verifiers for renewals, all of which must approve; without them there are none.
    #[must_use]
    pub fn renewal(mut self, names: &[&str]) -> Self {
        self.renewal = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// Lines directly under `[profile.NAME]`, such as `resubmit-unknown = 1`.
    #[must_use]
    pub fn settings(mut self, toml: &str) -> Self {
        self.settings = toml.to_owned();
        self
    }

    /// The limits, in place of the usual ones: TOML as it stands under `[profile.NAME.limits]`,
    /// with `[section]` for `[profile.NAME.limits.section]`.
    #[must_use]
    pub fn limits(mut self, toml: &str) -> Self {
        self.limits = toml.to_owned();
        self
    }

    fn toml(&self) -> String {
        let Self { name, template, verifiers, renewal, settings, limits } = self;
        let mut toml = format!(
            "\n[profile.{name}]\nauthority = \"lab\"\ntemplate = {template:?}\n{settings}\n\n\
             [profile.{name}.verifiers]\ninitial = {verifiers:?}\nrenewal = {renewal:?}\n\n\
             [profile.{name}.limits]\n"
        );
        for line in limits.lines() {
            let section = line.trim().strip_prefix('[').and_then(|line| line.strip_suffix(']'));
            // Writing to a String does not fail.
            let _ = match section {
                Some(section) => writeln!(toml, "[profile.{name}.limits.{section}]"),
                None => writeln!(toml, "{line}"),
            };
        }
        toml
    }
}

/// One `[plugin.NAME]`.
#[derive(Debug, Clone)]
pub struct Plugin {
    pub(crate) name: String,
    pub(crate) component: PathBuf,
    pub(crate) sections: String,
}

impl Plugin {
    /// The real plug-in `one-time-password` with the grants that it needs.
    #[must_use]
    pub fn one_time_password() -> Self {
        Self::new(
            "one-time-password",
            crate::component("one-time-password"),
            "[grants]\nlog = true\nchallenges = true\n",
        )
    }

    /// The real plug-in `renewal`, which needs nothing but its log.
    #[must_use]
    pub fn renewal() -> Self {
        Self::new("renewal", crate::component("renewal"), "[grants]\nlog = true\n")
    }

    /// A component; `sections` as it stands under `[plugin.NAME]`, with `[grants]` for
    /// `[plugin.NAME.grants]`.
    #[must_use]
    pub fn new(name: &str, component: PathBuf, sections: &str) -> Self {
        Self { name: name.to_owned(), component, sections: sections.to_owned() }
    }

    fn toml(&self) -> String {
        let Self { name, component, sections } = self;
        // A component that is not there still has a digest in the config.
        let digest = std::fs::read(component).unwrap_or_default();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &digest);
        let digest = format!("sha256:{}", hex::encode(digest));
        let _: ComponentDigest = digest.parse().expect("a digest in the form that config reads");
        let mut toml =
            format!("\n[plugin.{name}]\ncomponent = {component:?}\ndigest = \"{digest}\"\n");
        for line in sections.lines() {
            let section = line.trim().strip_prefix('[').and_then(|line| line.strip_suffix(']'));
            // Writing to a String does not fail.
            let _ = match section {
                Some(section) => writeln!(toml, "[plugin.{name}.{section}]"),
                None => writeln!(toml, "{line}"),
            };
        }
        toml
    }
}

/// What the file is made of.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) mode: String,
    pub(crate) listen: String,
    pub(crate) cep_key: String,
    pub(crate) rep_key: String,
    pub(crate) ea_key: String,
    pub(crate) ca_url: String,
    pub(crate) ca_chain: String,
    pub(crate) serve: String,
    pub(crate) verify: String,
    pub(crate) authority: String,
    pub(crate) approval: String,
    pub(crate) sections: String,
    pub(crate) plugins: Vec<Plugin>,
    pub(crate) profiles: Vec<Profile>,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            mode: "lab".to_owned(),
            listen: "127.0.0.1:0".to_owned(),
            cep_key: "file:keys/cep.key".to_owned(),
            rep_key: "file:keys/rep.key".to_owned(),
            ea_key: "file:keys/ea.key".to_owned(),
            ca_url: String::new(),
            ca_chain: "ca/ca.pem".to_owned(),
            serve: String::new(),
            verify: String::new(),
            authority: String::new(),
            approval: String::new(),
            sections: String::new(),
            plugins: vec![Plugin::one_time_password()],
            profiles: vec![Profile::named(PROFILE)],
        }
    }
}

impl Parts {
    pub(crate) fn toml(&self) -> String {
        let Self {
            mode,
            listen,
            cep_key,
            rep_key,
            ea_key,
            ca_url,
            ca_chain,
            serve,
            verify,
            authority,
            approval,
            sections,
            ..
        } = self;
        let mut toml = format!(
            r#"mode = "{mode}"

[sockets]
directory = "run"

[serve]
state = "serve"
listen = "{listen}"
column-key = "file:secrets/serve-column.key"
{serve}

[serve.keys.cep]
certificate = "keys/cep.pem"
key = "{cep_key}"

[serve.keys.rep]
certificate = "keys/rep.pem"
key = "{rep_key}"

[verify]
state = "verify"
challenge-key = "file:secrets/challenge.key"
column-key = "file:secrets/verify-column.key"
{verify}

[sign]
state = "sign"
column-key = "file:secrets/sign-column.key"

[sign.checkpoint]
key = "file:secrets/checkpoint.key"
file = "checkpoints/ledger.checkpoints"

[sign.keys.ea]
certificate = "keys/ea.pem"
key = "{ea_key}"

[approval]
key = "file:secrets/approval.key"
{approval}

[authority.lab]
kind = "wstep"
url = "{ca_url}"
roots = "ca/ca.pem"
issuing-certificate = "ca/ca.pem"
chain = "{ca_chain}"
{authority}

[authority.lab.authentication.client-certificate]
certificate = "keys/client.pem"
key = "file:keys/client.key"
"#
        );
        toml.extend(self.plugins.iter().map(Plugin::toml));
        toml.extend(self.profiles.iter().map(Profile::toml));
        toml.push('\n');
        toml.push_str(sections);
        toml
    }
}

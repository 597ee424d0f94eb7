//! What a plug-in is granted while it is tried: all that it says it wants, and no more; or what a
//! fragment of configuration grants.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use countersign_config::{self as config, GrantedName, HostPattern};
use countersign_sandbox::{
    Budgets, Credential, CredentialKind, Grants, HostMatch, HostRule, HttpSettings, PluginSecrets,
    PluginSettings, Standing,
    model::{Power, Secret},
};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::workshop::Workshop;

/// What a call may take here. The default of an installation is 2 s, but metered code on a busy machine
/// is slower; how much it works is judged by its fuel.
const TIME: Duration = Duration::from_secs(20);

impl Workshop {
    /// Everything that the component wants, for these settings, but for one power.
    pub(crate) fn grants(
        &self,
        given: &Map<String, Value>,
        secrets: &BTreeMap<String, String>,
        without: Option<&Power>,
    ) -> PluginSettings {
        let name = self.description().map_or("plug-in", |description| &description.name);
        let wants = self.description().map_or(&[][..], |description| &description.wants);
        let wanted: Vec<&Power> =
            wants.iter().map(|want| &want.power).filter(|power| Some(*power) != without).collect();
        let settings = &self.with_defaults(given);
        let imports = |interface| self.imports(interface) && without.is_none();
        let has = |power: &Power| wanted.contains(&power);
        let hosts: Vec<HostRule> = wanted
            .iter()
            .filter_map(|power| match power {
                Power::Host(pattern) => rule(pattern, settings),
                _ => None,
            })
            .collect();
        let mut granted = PluginSettings::new(name);
        granted.grants = Grants {
            log: true,
            kv: has(&Power::Kv) || imports("kv"),
            challenges: has(&Power::Challenges) || imports("challenges"),
            exactly_as_requested: has(&Power::ExactlyAsRequested),
            ..Grants::default()
        };
        let mut credentials = BTreeMap::new();
        for power in &wanted {
            let Power::Secret(secret) = power else { continue };
            let value = secrets
                .get(secret)
                .cloned()
                .unwrap_or_else(|| format!("an invention of the kit for {secret}"));
            let kind = CredentialKind::Bearer(Secret::new("an-invention-of-the-kit"));
            credentials.insert(secret.clone(), Credential { hosts: hosts.clone(), kind });
            let value = Zeroizing::new(value.into_bytes());
            granted.secrets = granted.secrets.with(secret, value);
        }
        // With settings that name no host there is none to grant, but the import must be there.
        if !hosts.is_empty() || imports("http") {
            granted.http =
                Some(HttpSettings { credentials, ..HttpSettings::new(hosts, Vec::new()) });
        }
        if granted.secrets.is_empty() && imports("secrets") {
            let value = Zeroizing::new(b"an invention of the kit".to_vec());
            granted.secrets = PluginSecrets::default().with("(none is wanted)", value);
        }
        granted.settings = given.clone();
        granted.budgets = Budgets { time: TIME, ..Budgets::default() };
        granted
    }

    /// Settings, with what the schema says of those that are left out: a host that an admin would write
    /// into the grants may stand there.
    fn with_defaults(&self, given: &Map<String, Value>) -> Map<String, Value> {
        let mut settings = given.clone();
        let schema = self.description().map_or("", |description| &description.settings_schema);
        let schema: Value = serde_json::from_str(schema).unwrap_or_default();
        let properties = schema.get("properties").and_then(Value::as_object);
        for (key, property) in properties.into_iter().flatten() {
            if let Some(default) = property.get("default").filter(|default| !default.is_null()) {
                settings.entry(key.clone()).or_insert_with(|| default.clone());
            }
        }
        settings
    }

    /// The log, challenges and `kv` in memory: what an admin could grant without naming anything.
    pub(crate) fn without_the_world(&self, settings: &Map<String, Value>) -> PluginSettings {
        let name = self.description().map_or("plug-in", |description| &description.name);
        let mut granted = PluginSettings::new(name);
        granted.grants = Grants { log: true, kv: true, challenges: true, ..Grants::default() };
        granted.settings = settings.clone();
        granted
    }

    /// Whether the component imports an interface of the contract that needs a grant.
    pub(crate) fn imports(&self, interface: &str) -> bool {
        self.inspection.imports.iter().any(|import| {
            import.standing == Standing::Grant && interface_of(&import.name) == Some(interface)
        })
    }
}

pub(crate) fn interface_of(import: &str) -> Option<&str> {
    import.split_once('/')?.1.split('@').next()
}

/// A wanted host, with the settings put in; none where they do not name it.
pub(crate) fn rule(pattern: &str, settings: &Map<String, Value>) -> Option<HostRule> {
    let granted = pattern.parse::<HostPattern>().ok()?.resolve(settings).ok()?;
    let host = match granted.name {
        GrantedName::Exact(name) => HostMatch::Name(name),
        GrantedName::Under(name) => HostMatch::Under(name),
        GrantedName::Address(address) => HostMatch::Address(address),
    };
    Some(HostRule { host, port: granted.port })
}

/// What a file says about a plug-in: its settings alone, or `[plugin.NAME]` as an admin writes it.
#[derive(Debug, Clone)]
pub struct Fragment {
    /// The name in `[plugin.NAME]`, where there is one.
    pub name: Option<String>,
    /// Its settings.
    pub settings: Map<String, Value>,
    /// Everything that the file says of it, where it is `[plugin.NAME]`.
    pub plugin: Option<config::PluginSettings>,
}

/// Why a file says nothing about a plug-in.
#[derive(Debug, thiserror::Error)]
pub enum FragmentError {
    /// It cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is of another form.
    #[error(
        "{path}: {what}; expected the plug-in's settings in TOML or JSON, or one [plugin.NAME] as in \
         the configuration"
    )]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A power cannot be given.
    #[error(transparent)]
    Power(#[from] countersign_catalog::PowerError),
}

impl Fragment {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is something else.
    pub fn read(path: &Path) -> Result<Self, FragmentError> {
        let form = |what: String| FragmentError::Form { path: path.to_owned(), what };
        let text = std::fs::read_to_string(path)
            .map_err(|source| FragmentError::Io { path: path.to_owned(), source })?;
        let value: Value = if path.extension().is_some_and(|ending| ending == "json") {
            serde_json::from_str(&text).map_err(|error| form(error.to_string()))?
        } else {
            toml::from_str(&text).map_err(|error| form(error.to_string()))?
        };
        let Value::Object(mut members) = value else {
            return Err(form("it is no object".to_owned()));
        };
        let Some(Value::Object(plugins)) = members.remove("plugin") else {
            return Ok(Self { name: None, settings: members, plugin: None });
        };
        let mut plugins = plugins.into_iter();
        let (Some((name, mut plugin)), None) = (plugins.next(), plugins.next()) else {
            return Err(form("it does not hold exactly one [plugin.NAME]".to_owned()));
        };
        // The component is named on the command line.
        if let Value::Object(members) = &mut plugin {
            members.entry("component").or_insert("".into());
            members.entry("digest").or_insert(format!("sha256:{}", "0".repeat(64)).into());
        }
        let plugin: config::PluginSettings =
            serde_json::from_value(plugin).map_err(|error| form(error.to_string()))?;
        Ok(Self { name: Some(name), settings: plugin.settings.clone(), plugin: Some(plugin) })
    }

    /// What the sandbox grants for it. Reads the secrets and certificates that the file names.
    ///
    /// # Errors
    ///
    /// A power cannot be given.
    pub(crate) fn granted(&self) -> Result<Option<PluginSettings>, FragmentError> {
        match (&self.name, &self.plugin) {
            (Some(name), Some(plugin)) => {
                Ok(Some(countersign_catalog::plugin_settings(name, plugin)?))
            }
            _ => Ok(None),
        }
    }
}

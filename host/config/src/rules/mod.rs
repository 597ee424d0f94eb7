//! Meaning: what a well-formed file must not say.

mod mdm;
mod plugin;
mod principal;
mod profile;
mod revoker;
mod separation;
mod token;

use std::collections::BTreeMap;

use url::Host;

use countersign_keys::{Finding, Mode, Severity};

use crate::config::Config;
use crate::locality::is_loopback_name;
use crate::problem::Draft;
use crate::serve::Listen;
use crate::structure::Places;
use crate::value::BadValue;

/// Everything that is wrong, wherever it stands.
pub(crate) fn problems(config: &Config, places: &Places) -> Vec<Draft> {
    let mut rules = Rules { config, places, drafts: Vec::new() };
    rules.names();
    rules.listener();
    rules.source_header();
    rules.aliases();
    rules.authorities();
    rules.profiles();
    rules.plugins();
    rules.plugin_powers();
    rules.mdm();
    rules.revokers();
    rules.separate();
    rules.principals();
    rules.tokens();
    if config.mode == Mode::Production {
        rules.users();
        rules.keys_on_hardware();
    }
    rules.drafts
}

/// What is allowed but worth mending.
pub(crate) fn findings(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |row: Option<u8>, severity, id, message: String, remedy: &str| {
        findings.push(Finding { row, severity, id, message, remedy: remedy.to_owned() });
    };
    if config.mode == Mode::Lab {
        add(
            Some(5),
            Severity::Medium,
            "lab-mode",
            "mode is `lab`: keys lie in files and every ledger entry is marked".into(),
            "set mode = \"production\" and keep the keys on an HSM before real devices enrol",
        );
    }
    if !config.serve.listen.is_local() {
        add(
            Some(3),
            Severity::High,
            "public-listener",
            format!("`serve` listens on {} itself", config.serve.listen),
            "put a reverse proxy in front, and listen on loopback or a Unix socket",
        );
    }
    if config.mode == Mode::Production
        && config.serve.listen.is_local()
        && config.serve.source_header.is_none()
    {
        add(
            None,
            Severity::Medium,
            "one-source-for-all",
            "behind the reverse proxy all devices are one source: one of them can spend the \
             budget for failures of all"
                .into(),
            "let the proxy set a header, such as x-forwarded-for, and name it in \
             serve.source-header",
        );
    }
    if config.sign.checkpoint.file.starts_with(&config.sign.state) {
        add(
            None,
            Severity::High,
            "checkpoints-beside-the-ledger",
            "checkpoints lie in the directory of the ledger that they vouch for".into(),
            "set sign.checkpoint.file to a place outside sign.state, best on another disk",
        );
    }
    findings.extend(profile::legacy_findings(config));
    findings.extend(plugin::findings(config));
    findings.extend(revoker::findings(config));
    findings
}

struct Rules<'c> {
    config: &'c Config,
    places: &'c Places,
    drafts: Vec<Draft>,
}

impl Rules<'_> {
    fn add(&mut self, path: impl Into<String>, what: BadValue) {
        let path = path.into();
        self.drafts.push(Draft { span: self.places.of(&path), path, what });
    }

    /// Names stand in URLs, in file names, in the ledger and in logs.
    fn names(&mut self) {
        let config = self.config;
        let sections = [
            ("token", config.token.keys().collect::<Vec<_>>()),
            ("authority", config.authority.keys().collect()),
            ("plugin", config.plugin.keys().collect()),
            ("profile", config.profile.keys().collect()),
            ("revoker", config.revoker.keys().collect()),
            (
                "verify.mdm.credential",
                config.verify.mdm.iter().flat_map(|mdm| mdm.credential.keys()).collect(),
            ),
        ];
        for (section, names) in sections {
            for name in names {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
                if name.is_empty()
                    || name.len() > 64
                    || name.starts_with(['-', '_'])
                    || !name.bytes().all(plain)
                {
                    self.add(
                        format!("{section}.{name}"),
                        BadValue::new(
                            "bad-name",
                            format!("`{name}` is no name for a section [{section}.NAME]"),
                            "use 1 to 64 ASCII letters, digits, `-` and `_`, beginning with a \
                             letter or digit",
                        ),
                    );
                }
            }
        }
    }

    fn listener(&mut self) {
        let serve = &self.config.serve;
        if serve.tls.is_none() && !serve.listen.is_local() {
            self.add(
                "serve.listen",
                BadValue::new(
                    "plaintext-listener",
                    format!("`{}` is on the network, without TLS", serve.listen),
                    "add [serve.tls], or listen on loopback (`127.0.0.1:8085`) or \
                     `unix:/path` behind a reverse proxy that has TLS",
                )
                .of_row(64),
            );
        }
        if serve.tls.is_some() && matches!(serve.listen, Listen::Unix(_)) {
            self.add(
                "serve.tls",
                BadValue::new(
                    "tls-on-unix-socket",
                    "a Unix socket has no TLS: the reverse proxy in front of it does",
                    "remove [serve.tls], or listen on an IP address",
                ),
            );
        }
    }

    /// Whoever can connect can write any header: only a proxy on this host is believed.
    fn source_header(&mut self) {
        let serve = &self.config.serve;
        if let Some(header) = &serve.source_header
            && !serve.listen.is_local()
        {
            self.add(
                "serve.source-header",
                BadValue::new(
                    "source-header-from-anyone",
                    format!("anyone who can connect to `{}` could write `{header}`", serve.listen),
                    "remove it: without a proxy the address of the connection is the source; or \
                     listen on loopback or `unix:/path` behind a reverse proxy that sets it",
                ),
            );
        }
    }

    fn aliases(&mut self) {
        let config = self.config;
        for (path, profile) in &config.serve.aliases {
            let at = format!("serve.aliases.{path}");
            let plain = |byte: u8| byte.is_ascii_graphic() && !b"?#%\\".contains(&byte);
            if !path.starts_with('/')
                || path.len() > 256
                || !path.bytes().all(plain)
                || path.split('/').any(|segment| segment == "." || segment == "..")
            {
                self.add(
                    at.clone(),
                    BadValue::new(
                        "bad-alias",
                        format!("`{path}` is no plain URL path"),
                        "write it from the slash on, such as \"/certsrv/mscep/mscep.dll\"",
                    ),
                );
            }
            if !config.profile.contains_key(profile) {
                let known = known_names(&config.profile);
                self.add(
                    at,
                    BadValue::new(
                        "unknown-profile",
                        format!("the alias stands for the profile `{profile}`, which is not there"),
                        format!("add [profile.{profile}], or name one of those there: {known}"),
                    ),
                );
            }
        }
    }

    fn authorities(&mut self) {
        let config = self.config;
        for (name, authority) in &config.authority {
            let written_local = match authority.url.url().host() {
                Some(Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
                Some(Host::Ipv6(address)) => {
                    let address = address.to_canonical();
                    address.is_loopback() || address.is_unspecified()
                }
                Some(Host::Domain(domain)) => is_loopback_name(domain),
                None => false,
            };
            if config.mode == Mode::Production && written_local {
                self.add(
                    format!("authority.{name}.url"),
                    BadValue::new(
                        "authority-on-this-host",
                        format!("the authority `{name}` is on this host"),
                        "run Countersign on a host of its own, away from the CA",
                    )
                    .of_row(35),
                );
            }
            if let Some(url) = &authority.crl_url
                && !(url.starts_with("http://") || url.starts_with("https://"))
            {
                self.add(
                    format!("authority.{name}.crl-url"),
                    BadValue::new(
                        "bad-url",
                        "the CRL's address is neither http nor https",
                        "write it as it stands in the CA's certificates (LDAP is not supported)",
                    ),
                );
            }
        }
    }

    fn plugins(&mut self) {
        let config = self.config;
        let most = config.verify.sandbox.max_memory_mib;
        for (name, plugin) in &config.plugin {
            if plugin.limits.memory_mib > most {
                self.add(
                    format!("plugin.{name}.limits.memory-mib"),
                    BadValue::new(
                        "more-memory-than-the-sandbox-has",
                        format!(
                            "the plug-in `{name}` may use {} MiB; verify.sandbox allows {most}",
                            plugin.limits.memory_mib
                        ),
                        "lower it, or raise verify.sandbox.max-memory-mib",
                    ),
                );
            }
        }
    }
}

fn known_names<T>(section: &BTreeMap<String, T>) -> String {
    if section.is_empty() {
        return "none".into();
    }
    section.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

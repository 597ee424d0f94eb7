//! What a plug-in is granted, held against itself: a grant that leads nowhere is a mistake that
//! would show when the first device comes.

use countersign_keys::{Finding, Severity};

use crate::config::Config;
use crate::plugin::PluginSettings;
use crate::plugin::host::{AddressRange, HostPattern};
use crate::value::BadValue;

use super::Rules;

impl Rules<'_> {
    /// Hosts, secrets and credentials of every plug-in.
    pub(super) fn plugin_powers(&mut self) {
        let config = self.config;
        for (name, plugin) in &config.plugin {
            self.plugin_hosts(name, plugin);
            self.plugin_secrets(name, plugin);
            self.plugin_schedule(name, plugin);
        }
    }

    /// What a feed leads to is revocations; pulled for nothing it would only look as if it worked.
    fn plugin_schedule(&mut self, name: &str, plugin: &PluginSettings) {
        if plugin.schedule_seconds.is_some() && !plugin.grants.revocation {
            self.add(
                format!("plugin.{name}.schedule-seconds"),
                BadValue::new(
                    "events-without-revocation",
                    format!(
                        "the feed of the plug-in `{name}` would come to nothing: it may not have \
                         certificates revoked"
                    ),
                    format!(
                        "set `revocation = true` in [plugin.{name}.grants], or remove \
                         `schedule-seconds`"
                    ),
                )
                .of_row(38),
            );
        }
    }

    fn plugin_hosts(&mut self, name: &str, plugin: &PluginSettings) {
        let at = format!("plugin.{name}");
        self.resolved(&format!("{at}.grants.hosts"), &plugin.grants.hosts, plugin);
        for (credential, settings) in &plugin.credentials {
            let at = format!("{at}.credentials.{credential}.hosts");
            self.resolved(&at, &settings.hosts, plugin);
        }
        if let Some(client) = plugin.http.as_ref().and_then(|http| http.client_certificate.as_ref())
        {
            self.resolved(&format!("{at}.http.client-certificate.hosts"), &client.hosts, plugin);
        }
        if plugin.http.is_none() && !plugin.grants.hosts.is_empty() {
            self.add(
                format!("{at}.grants.hosts"),
                BadValue::new(
                    "http-without-roots",
                    format!("the plug-in `{name}` may speak to hosts, but no roots are trusted"),
                    format!(
                        "add [plugin.{name}.http] with `roots = \
                         \"/etc/ssl/certs/ca-certificates.crt\"`, or your own CA's"
                    ),
                ),
            );
        }
        let needless = [
            ("http", plugin.http.is_some()),
            ("grants.addresses", !plugin.grants.addresses.is_empty()),
            ("credentials", !plugin.credentials.is_empty()),
        ];
        for (key, there) in needless {
            if there && plugin.grants.hosts.is_empty() {
                self.add(
                    format!("{at}.{key}"),
                    BadValue::new(
                        "http-without-hosts",
                        format!("the plug-in `{name}` is granted no host"),
                        format!(
                            "add `hosts = [\"api.example.com\"]` to [plugin.{name}.grants], or \
                             remove this"
                        ),
                    ),
                );
            }
        }
    }

    fn resolved(&mut self, at: &str, hosts: &[HostPattern], plugin: &PluginSettings) {
        for (index, host) in hosts.iter().enumerate() {
            if let Err(what) = host.resolve(&plugin.settings) {
                self.add(format!("{at}[{index}]"), what);
            }
        }
    }

    fn plugin_secrets(&mut self, name: &str, plugin: &PluginSettings) {
        for (index, secret) in plugin.grants.secrets.iter().enumerate() {
            if !plugin.secrets.contains_key(secret) {
                self.add(
                    format!("plugin.{name}.grants.secrets[{index}]"),
                    BadValue::new(
                        "unknown-secret",
                        format!("the plug-in `{name}` may use a secret that is not there"),
                        format!(
                            "add [plugin.{name}.secrets.X] for it, with `value = \"file:/path\"`"
                        ),
                    ),
                );
            }
        }
        for secret in plugin.secrets.keys() {
            if !plugin.grants.secrets.contains(secret) {
                self.add(
                    format!("plugin.{name}.secrets.{secret}"),
                    BadValue::new(
                        "secret-not-granted",
                        format!("the plug-in `{name}` is not granted its secret `{secret}`"),
                        format!(
                            "add `secrets = [\"{secret}\"]` to [plugin.{name}.grants], or remove \
                             this section"
                        ),
                    ),
                );
            }
        }
    }
}

/// Ranges in which this host itself, or a cloud's metadata, answers.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let own = ["127.0.0.0/8", "169.254.0.0/16", "::1/128", "fe80::/10", "0.0.0.0/8"];
    let own: Vec<AddressRange> = own.iter().filter_map(|range| range.parse().ok()).collect();
    let mut findings = Vec::new();
    for (name, plugin) in &config.plugin {
        for range in &plugin.grants.addresses {
            if own.iter().any(|own| own.meets(range)) {
                findings.push(Finding {
                    row: None,
                    severity: Severity::High,
                    id: "plugin-reaches-this-host",
                    message: format!(
                        "the plug-in `{name}` may reach {range}, where this host itself or a \
                         cloud's metadata answers"
                    ),
                    remedy: "grant the addresses of its service only".into(),
                });
            }
        }
    }
    findings
}

//! Meaning: what a well-formed file must not say.

use std::collections::BTreeMap;

use url::Host;

use countersign_keys::{Finding, Mode, Severity};

use crate::config::Config;
use crate::locality::is_loopback_name;
use crate::problem::Draft;
use crate::profile::ProfileSettings;
use crate::serve::Listen;
use crate::structure::Places;
use crate::user::User;
use crate::value::BadValue;

/// Everything that is wrong, wherever it stands.
pub(crate) fn problems(config: &Config, places: &Places) -> Vec<Draft> {
    let mut rules = Rules {
        config,
        places,
        drafts: Vec::new(),
    };
    rules.names();
    rules.listener();
    rules.aliases();
    rules.authorities();
    rules.profiles();
    rules.plugins();
    rules.separate();
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
        findings.push(Finding {
            row,
            severity,
            id,
            message,
            remedy: remedy.to_owned(),
        });
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
    if config.sign.checkpoint.file.starts_with(&config.sign.state) {
        add(
            None,
            Severity::High,
            "checkpoints-beside-the-ledger",
            "checkpoints lie in the directory of the ledger that they vouch for".into(),
            "set sign.checkpoint.file to a place outside sign.state, best on another disk",
        );
    }
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
        self.drafts.push(Draft {
            span: self.places.of(&path),
            path,
            what,
        });
    }

    /// Names stand in URLs, in file names, in the ledger and in logs.
    fn names(&mut self) {
        let config = self.config;
        let sections = [
            ("authority", config.authority.keys().collect::<Vec<_>>()),
            ("plugin", config.plugin.keys().collect()),
            ("profile", config.profile.keys().collect()),
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

    fn aliases(&mut self) {
        let config = self.config;
        for (path, profile) in &config.serve.aliases {
            let at = format!("serve.aliases.{path}");
            let plain = |byte: u8| byte.is_ascii_graphic() && !b"?#%\\".contains(&byte);
            if !path.starts_with('/')
                || path.len() > 256
                || !path.bytes().all(plain)
                || path
                    .split('/')
                    .any(|segment| segment == "." || segment == "..")
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

    fn profiles(&mut self) {
        let config = self.config;
        if config.profile.is_empty() {
            self.add(
                "profile",
                BadValue::new(
                    "no-profile",
                    "there is no profile: no device could enrol",
                    "add a section [profile.NAME]",
                ),
            );
        }
        for (name, profile) in &config.profile {
            let at = format!("profile.{name}");
            self.profile_references(&at, name, profile);
            for problem in profile.limits.problems() {
                self.limits_problem(&at, &problem);
            }
        }
    }

    fn profile_references(&mut self, at: &str, name: &str, profile: &ProfileSettings) {
        let config = self.config;
        if !config.authority.contains_key(&profile.authority) {
            let known = known_names(&config.authority);
            self.add(
                format!("{at}.authority"),
                BadValue::new(
                    "unknown-authority",
                    format!("there is no authority `{}`", profile.authority),
                    format!(
                        "add [authority.{}], or name one of those there: {known}",
                        profile.authority
                    ),
                ),
            );
        }
        if profile.template.trim().is_empty() || profile.template.chars().any(char::is_control) {
            self.add(
                format!("{at}.template"),
                BadValue::new(
                    "bad-template",
                    "the template's name is empty or holds control characters",
                    "write the template's name (not its display name) as the CA knows it",
                ),
            );
        }
        if profile.verifiers.initial.is_empty() {
            self.add(
                format!("{at}.verifiers.initial"),
                BadValue::new(
                    "profile-without-verifier",
                    format!(
                        "the profile `{name}` has no verifier: SCEP cannot tell who is asking, \
                         so nobody would"
                    ),
                    format!("set `verifiers.initial = [\"PLUGIN\"]` in [{at}]"),
                )
                .of_row(1),
            );
        }
        let lists = [
            ("initial", &profile.verifiers.initial),
            ("renewal", &profile.verifiers.renewal),
        ];
        for (kind, verifiers) in lists {
            for (index, verifier) in verifiers.iter().enumerate() {
                let here = format!("{at}.verifiers.{kind}[{index}]");
                if !config.plugin.contains_key(verifier) {
                    let known = known_names(&config.plugin);
                    self.add(
                        here,
                        BadValue::new(
                            "unknown-verifier",
                            format!("there is no plug-in `{verifier}`"),
                            format!("add [plugin.{verifier}], or name one of those there: {known}"),
                        ),
                    );
                } else if verifiers
                    .iter()
                    .take(index)
                    .any(|earlier| earlier == verifier)
                {
                    self.add(
                        here,
                        BadValue::new(
                            "verifier-twice",
                            format!("`{verifier}` stands twice in this list"),
                            "name each verifier once: all of them must approve",
                        ),
                    );
                }
            }
        }
    }

    fn limits_problem(&mut self, at: &str, problem: &countersign_profile::LimitsProblem) {
        let what = BadValue::new("limits", problem.message.clone(), problem.remedy);
        let purpose = problem.path.starts_with("ekus");
        let what = if purpose {
            BadValue {
                id: "forbidden-purpose",
                ..what
            }
            .of_row(46)
        } else {
            what
        };
        self.add(format!("{at}.limits.{}", problem.path), what);
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

    /// What must not be shared between processes and roles.
    fn separate(&mut self) {
        let config = self.config;
        let states = [
            ("serve.state", config.serve.state.as_path()),
            ("verify.state", config.verify.state.as_path()),
            ("sign.state", config.sign.state.as_path()),
        ];
        for (one, two) in equal_pairs(&states) {
            self.add(
                two,
                BadValue::new(
                    "shared-state-directory",
                    format!("{one} and {two} are the same directory"),
                    "give each process a directory that only its user can open",
                ),
            );
        }
        let keys = [
            ("serve.keys.cep.key", config.serve.keys.cep.key.to_string()),
            ("serve.keys.rep.key", config.serve.keys.rep.key.to_string()),
            ("sign.keys.ea.key", config.sign.keys.ea.key.to_string()),
        ];
        for (one, two) in equal_pairs(&keys) {
            self.add(
                two,
                BadValue::new(
                    "one-key-in-two-roles",
                    format!("{one} and {two} are the same key"),
                    "make a key pair of its own for each role with `countersign keys init`",
                )
                .of_row(42),
            );
        }
        let secrets = [
            ("approval.key", config.approval.key.to_string()),
            (
                "verify.challenge-key",
                config.verify.challenge_key.to_string(),
            ),
            ("verify.column-key", config.verify.column_key.to_string()),
            ("serve.column-key", config.serve.column_key.to_string()),
            ("sign.column-key", config.sign.column_key.to_string()),
            (
                "sign.checkpoint.key",
                config.sign.checkpoint.key.to_string(),
            ),
        ];
        // In each unit systemd gives a name a meaning of its own, so only files are compared.
        let files: Vec<(&str, String)> = secrets
            .into_iter()
            .filter(|(_, reference)| reference.starts_with("file:"))
            .collect();
        for (one, two) in equal_pairs(&files) {
            self.add(
                two,
                BadValue::new(
                    "one-secret-for-two-uses",
                    format!("{one} and {two} are the same file"),
                    "give each use 32 random bytes of its own",
                ),
            );
        }
    }

    /// Row 58: one user per process, none of them root (row 50).
    fn users(&mut self) {
        let config = self.config;
        let users = [
            ("serve", &config.serve.user),
            ("verify", &config.verify.user),
            ("sign", &config.sign.user),
        ];
        let mut named = Vec::new();
        for (process, user) in users {
            let at = format!("{process}.user");
            match user {
                None => self.add(
                    at,
                    BadValue::new(
                        "missing-user",
                        format!("[{process}] names no user; outside lab mode each process has one"),
                        format!("add `user = \"countersign-{process}\"`"),
                    )
                    .of_row(58),
                ),
                Some(user) if is_root(user) => self.add(
                    at,
                    BadValue::new(
                        "runs-as-root",
                        format!("[{process}] would run as root"),
                        format!("set `user = \"countersign-{process}\"`, a user without rights"),
                    )
                    .of_row(50),
                ),
                Some(user) => {
                    // A name that is not known here may be known where the process runs.
                    let identity = user
                        .uid()
                        .map_or_else(|_| user.to_string(), |uid| uid.to_string());
                    named.push((at, identity));
                }
            }
        }
        for (one, two) in equal_pairs(&named) {
            self.add(
                two.clone(),
                BadValue::new(
                    "shared-user",
                    format!("{one} and {two} are the same user: either process could read the other's keys"),
                    "give each process a user of its own",
                )
                .of_row(58),
            );
        }
    }

    fn keys_on_hardware(&mut self) {
        let keys = &self.config.serve.keys;
        let previous = (0..keys.previous_cep.len())
            .map(|index| format!("serve.keys.previous-cep[{index}].key"));
        let fixed = [
            "serve.keys.cep.key",
            "serve.keys.rep.key",
            "sign.keys.ea.key",
        ];
        for at in fixed.map(str::to_owned).into_iter().chain(previous) {
            self.add(
                at.clone(),
                BadValue::new(
                    "software-key-in-production",
                    format!("{at} is a file: a development key, refused in production"),
                    "keep the key on an HSM; for a trial set mode = \"lab\"",
                )
                .of_row(5),
            );
        }
    }
}

fn is_root(user: &User) -> bool {
    match user {
        User::Number(uid) => *uid == 0,
        User::Name(name) => name == "root" || matches!(user.uid(), Ok(0)),
    }
}

fn known_names<T>(section: &BTreeMap<String, T>) -> String {
    if section.is_empty() {
        return "none".into();
    }
    section
        .keys()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Each later entry that equals an earlier one, with the earlier one's name.
fn equal_pairs<N: Clone, V: PartialEq>(entries: &[(N, V)]) -> Vec<(N, N)> {
    let mut pairs = Vec::new();
    for (index, (name, value)) in entries.iter().enumerate() {
        if let Some((earlier, _)) = entries.iter().take(index).find(|(_, other)| other == value) {
            pairs.push((earlier.clone(), name.clone()));
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_entries_are_named_with_the_first_of_them() {
        let entries = [("a", 1), ("b", 2), ("c", 1), ("d", 1)];
        assert_eq!(equal_pairs(&entries), [("a", "c"), ("a", "d")]);
    }
}

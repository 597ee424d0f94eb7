//! Revokers: each authority's certificates are revoked by one agent, who is nobody else, and whose
//! orders are signed.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_keys::{Finding, Severity};
use countersign_profile::{Certificate, Name};

use super::separation::is_root;
use super::{Rules, known_names};
use crate::authority::Authentication;
use crate::config::Config;
use crate::mdm::CredentialProof;
use crate::value::BadValue;

impl Rules<'_> {
    pub(super) fn revokers(&mut self) {
        self.revoker_links();
        self.revoker_authorities();
        self.revoker_principals();
        self.revoking_plugins();
        self.people();
    }

    /// Orders that nobody signs, or that nobody can pull.
    fn revoker_links(&mut self) {
        let config = self.config;
        let Some(first) = config.revoker.keys().next() else {
            if config.verify.revoker.is_some() {
                self.add(
                    "verify.revoker",
                    BadValue::new(
                        "listener-without-revoker",
                        "[verify.revoker] is there, and no revoker may connect",
                        "add a section [revoker.NAME], or remove [verify.revoker]",
                    ),
                );
            }
            return;
        };
        if config.verify.revoker.is_none() {
            self.add(
                format!("revoker.{first}"),
                BadValue::new(
                    "revoker-without-listener",
                    format!("the revoker `{first}` has nowhere to pull orders from"),
                    "add [verify.revoker] with `listen`, `certificate`, `key` and `client-ca`",
                )
                .of_row(38),
            );
        }
        if config.sign.order.is_none() {
            self.add(
                format!("revoker.{first}"),
                BadValue::new(
                    "revoker-without-order-key",
                    "no key signs the orders that revokers carry out",
                    "add [sign.order] with `key = \"file:secrets/order.key\"`, and make it with \
                     `countersign keys init`",
                )
                .of_row(38),
            );
        }
    }

    fn revoker_authorities(&mut self) {
        let config = self.config;
        let mut taken: Vec<(&str, &str)> = Vec::new();
        for (name, revoker) in &config.revoker {
            let at = format!("revoker.{name}.authorities");
            if revoker.authorities.is_empty() {
                self.add(
                    at.clone(),
                    BadValue::new(
                        "revoker-without-authority",
                        format!("the revoker `{name}` revokes for no authority"),
                        format!("name one of those there: {}", known_names(&config.authority)),
                    ),
                );
            }
            for (index, authority) in revoker.authorities.iter().enumerate() {
                let at = format!("{at}[{index}]");
                if !config.authority.contains_key(authority) {
                    self.add(
                        at,
                        BadValue::new(
                            "unknown-authority",
                            format!("there is no authority `{authority}`"),
                            format!("name one of those there: {}", known_names(&config.authority)),
                        ),
                    );
                } else if let Some((_, other)) = taken.iter().find(|(taken, _)| taken == authority)
                {
                    self.add(
                        at,
                        BadValue::new(
                            "authority-with-two-revokers",
                            format!("`{other}` already revokes for the authority `{authority}`"),
                            "let one revoker carry out an authority's orders",
                        ),
                    );
                } else {
                    taken.push((authority, name));
                }
            }
        }
    }

    /// Row 39: whoever may revoke may not enrol, and is no device management either.
    fn revoker_principals(&mut self) {
        let config = self.config;
        let mut clients: Vec<(&str, &Name)> = Vec::new();
        for (name, revoker) in &config.revoker {
            let at = format!("revoker.{name}.client");
            let client = &revoker.client;
            if let Some((other, _)) = clients.iter().find(|(_, earlier)| *earlier == client) {
                self.add(
                    at.clone(),
                    one_principal(
                        format!("`{name}` and `{other}` are told apart by nothing"),
                        "give each revoker a certificate and a name of its own",
                    ),
                );
            }
            clients.push((name, client));
            for (authority, settings) in &config.authority {
                let same = match &settings.authentication {
                    Authentication::ClientCertificate(enrolling) => {
                        carries(&enrolling.certificate, client)
                    }
                    Authentication::UsernameToken(account) => {
                        let account = super::principal::account_name(&account.username);
                        value_of(client)
                            .is_some_and(|value| super::principal::account_name(&value) == account)
                    }
                };
                if same {
                    self.add(
                        at.clone(),
                        one_principal(
                            format!(
                                "{client} is also who enrols at the authority `{authority}`: one \
                                 thief could issue and revoke"
                            ),
                            "give the revoker an identity of its own, Restricted Certificate Manager \
                             and nothing else",
                        ),
                    );
                }
            }
            for (credential, settings) in
                config.verify.mdm.iter().flat_map(|mdm| mdm.credential.iter())
            {
                if let CredentialProof::ClientCertificate(pinned) = &settings.authentication
                    && pinned.name == *client
                {
                    self.add(
                        at.clone(),
                        one_principal(
                            format!("{client} is also the device management `{credential}`"),
                            "give the revoker an identity of its own",
                        ),
                    );
                }
            }
        }
    }

    /// A plug-in that may have certificates revoked, under profiles whose authority nobody revokes
    /// for: its wipes would come to nothing.
    fn revoking_plugins(&mut self) {
        let config = self.config;
        for (name, plugin) in &config.plugin {
            if !plugin.grants.revocation {
                continue;
            }
            for (profile, settings) in &config.profile {
                let verifiers = &settings.verifiers;
                let uses =
                    verifiers.initial.iter().chain(&verifiers.renewal).any(|used| used == name);
                if uses && revoker_of(config, &settings.authority).is_none() {
                    self.add(
                        format!("plugin.{name}.grants.revocation"),
                        BadValue::new(
                            "revocation-without-revoker",
                            format!(
                                "the plug-in `{name}` may have certificates of the profile \
                                 `{profile}` revoked, and nobody revokes for its authority `{}`",
                                settings.authority
                            ),
                            format!(
                                "add a [revoker.NAME] with `authorities = [\"{}\"]`, or take the \
                                 grant back",
                                settings.authority
                            ),
                        )
                        .of_row(38),
                    );
                }
            }
        }
    }

    /// Whom two people are told apart by: nobody may become both, and no process is a person.
    fn people(&mut self) {
        let config = self.config;
        let processes = [&config.serve.user, &config.verify.user, &config.sign.user];
        for (index, person) in config.admin.persons.iter().enumerate() {
            let problem = if is_root(person) {
                "root is nobody: everybody who may become root would be this person"
            } else if processes.iter().any(|user| user.as_ref() == Some(person)) {
                "it is the user of a process, and a process is no person"
            } else {
                continue;
            };
            self.add(
                format!("admin.persons[{index}]"),
                BadValue::new(
                    "not-a-person",
                    format!("`{person}`: {problem}"),
                    "name the users that people log in as, one each",
                )
                .of_row(38),
            );
        }
    }
}

/// What is allowed but worth mending.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if config.mode == countersign_keys::Mode::Production
        && !config.revoker.is_empty()
        && config.admin.persons.len() < 2
    {
        findings.push(Finding {
            row: Some(38),
            severity: Severity::High,
            id: "no-second-person",
            message: "fewer than two people are named: a revocation fuse that has blown could not \
                      be reset"
                .into(),
            remedy: "name the users of two or more people in [admin] persons".into(),
        });
    }
    findings
}

/// The revoker of an authority.
fn revoker_of<'c>(config: &'c Config, authority: &str) -> Option<&'c str> {
    config
        .revoker
        .iter()
        .find(|(_, revoker)| revoker.authorities.iter().any(|named| named == authority))
        .map(|(name, _)| name.as_str())
}

fn one_principal(message: String, remedy: &str) -> BadValue {
    BadValue::new("one-principal-in-two-roles", message, remedy).of_row(39)
}

/// Whether the certificate in the file carries the name. A file that cannot be read is somebody
/// else's finding.
fn carries(path: &Path, name: &Name) -> bool {
    let Ok(octets) = std::fs::read(path) else { return false };
    let der = first_block(&octets).unwrap_or(octets);
    names_of(&der).is_some_and(|names| names.contains(name))
}

/// The first certificate of a PEM file, which may hold a chain.
fn first_block(octets: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(octets).ok()?;
    let (_, rest) = text.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(body).ok()
}

fn names_of(der: &[u8]) -> Option<Vec<Name>> {
    let certificate = Certificate::parse(der).ok()?;
    let subject = certificate.subject().ok()?;
    let attributes = subject.rdns().iter().flat_map(|rdn| rdn.attributes().to_vec());
    let sans = certificate.sans().ok()?;
    Some(attributes.map(Name::Attribute).chain(sans.into_iter().map(Name::San)).collect())
}

/// The part of a name behind its kind: `revoker` of `CN=revoker`.
fn value_of(name: &Name) -> Option<String> {
    let text = name.to_string();
    text.split_once(['=', ':']).map(|(_, value)| value.to_owned())
}

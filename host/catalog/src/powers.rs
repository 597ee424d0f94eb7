//! What `[plugin.NAME]` grants beyond the host's own store: hosts, credentials and secrets, read
//! from where the configuration says they are.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use countersign_config as config;
use countersign_sandbox::{
    AddressRange, ClientIdentity, ClientProof, Credential, CredentialKind, HostMatch, HostRule,
    HttpLimits, HttpSettings, OAuth2, PluginSecrets, SystemResolver, model::Secret,
};

/// Bundles of a system's roots have some 200 KiB.
const PEM_BYTES: u64 = 4 << 20;

/// Why a grant cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum PowerError {
    /// A host of the file, with the settings put in, is none.
    #[error("{0}")]
    Host(config::BadValue),
    /// A certificate file.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A secret.
    #[error("[plugin.{plugin}.{section}]: {source}")]
    Secret {
        /// The plug-in.
        plugin: String,
        /// Where it stands in the file.
        section: String,
        /// Why.
        source: config::PluginSecretError,
    },
    /// A grant leads to nothing. `config check` says where.
    #[error("the plug-in `{plugin}` is granted {what}, but the configuration has no such section")]
    Missing {
        /// The plug-in.
        plugin: String,
        /// What.
        what: String,
    },
}

/// The grant of `secrets`.
pub(crate) fn secrets(
    name: &str,
    from: &config::PluginSettings,
) -> Result<PluginSecrets, PowerError> {
    let mut secrets = PluginSecrets::default();
    for granted in &from.grants.secrets {
        let secret = from.secrets.get(granted).ok_or_else(|| PowerError::Missing {
            plugin: name.to_owned(),
            what: format!("the secret `{granted}`"),
        })?;
        let value = secret.read().map_err(|source| PowerError::Secret {
            plugin: name.to_owned(),
            section: format!("secrets.{granted}"),
            source,
        })?;
        secrets = secrets.with(granted, value);
    }
    Ok(secrets)
}

/// The grant of `http`; none where no host is granted.
pub(crate) fn http(
    name: &str,
    from: &config::PluginSettings,
) -> Result<Option<HttpSettings>, PowerError> {
    if from.grants.hosts.is_empty() {
        return Ok(None);
    }
    let http = from.http.as_ref().ok_or_else(|| PowerError::Missing {
        plugin: name.to_owned(),
        what: "hosts and needs `http.roots`".to_owned(),
    })?;
    let hosts = |patterns: &[config::HostPattern]| rules(patterns, from);
    let client = match &http.client_certificate {
        None => None,
        Some(client) => Some(ClientIdentity {
            hosts: hosts(&client.hosts)?,
            chain_pem: read(&client.certificate)?,
            key_pem: client.key.read().map_err(|source| PowerError::Secret {
                plugin: name.to_owned(),
                section: "http.client-certificate".to_owned(),
                source: source.into(),
            })?,
        }),
    };
    let credentials = from
        .credentials
        .iter()
        .map(|(credential, settings)| {
            let kind = kind(name, credential, &settings.authentication)?;
            Ok((credential.clone(), Credential { hosts: hosts(&settings.hosts)?, kind }))
        })
        .collect::<Result<_, PowerError>>()?;
    let size = |bytes: u32| usize::try_from(bytes).unwrap_or(usize::MAX);
    Ok(Some(HttpSettings {
        hosts: hosts(&from.grants.hosts)?,
        addresses: from
            .grants
            .addresses
            .iter()
            .filter_map(|range| AddressRange::new(range.address(), range.prefix()))
            .collect(),
        roots_pem: read(&http.roots)?,
        client,
        credentials,
        limits: HttpLimits {
            time: Duration::from_millis(http.timeout_ms.into()),
            request_bytes: size(http.max_request_bytes),
            response_bytes: size(http.max_response_bytes),
            concurrency: http.concurrency,
        },
        resolver: Arc::new(SystemResolver::default()),
    }))
}

fn rules(
    patterns: &[config::HostPattern],
    from: &config::PluginSettings,
) -> Result<Vec<HostRule>, PowerError> {
    let rule = |pattern: &config::HostPattern| {
        let granted = pattern.resolve(&from.settings).map_err(PowerError::Host)?;
        let host = match granted.name {
            config::GrantedName::Exact(name) => HostMatch::Name(name),
            config::GrantedName::Under(name) => HostMatch::Under(name),
            config::GrantedName::Address(address) => HostMatch::Address(address),
        };
        Ok(HostRule { host, port: granted.port })
    };
    patterns.iter().map(rule).collect()
}

fn kind(
    plugin: &str,
    credential: &str,
    from: &config::CredentialKind,
) -> Result<CredentialKind, PowerError> {
    let fail = |source| PowerError::Secret {
        plugin: plugin.to_owned(),
        section: format!("credentials.{credential}"),
        source,
    };
    let text = |reference| {
        config::read_text(reference).map(|text| Secret::new(text.as_str())).map_err(fail)
    };
    Ok(match from {
        config::CredentialKind::Bearer(bearer) => CredentialKind::Bearer(text(&bearer.token)?),
        config::CredentialKind::Basic(basic) => CredentialKind::Basic {
            username: basic.username.clone(),
            password: text(&basic.password)?,
        },
        config::CredentialKind::Header(header) => {
            CredentialKind::Header { name: header.name.clone(), value: text(&header.value)? }
        }
        config::CredentialKind::Oauth2(oauth2) => CredentialKind::OAuth2(OAuth2 {
            token_url: oauth2.token_url.url().clone(),
            client_id: oauth2.client_id.clone(),
            scope: oauth2.scope.clone(),
            proof: match &oauth2.client {
                config::Oauth2Client::Secret(secret) => ClientProof::Secret(text(secret)?),
                config::Oauth2Client::Assertion(assertion) => ClientProof::Assertion {
                    key_pem: assertion.key.read().map_err(|source| fail(source.into()))?,
                    key_id: assertion.key_id.clone(),
                    certificate_pem: assertion.certificate.as_deref().map(read).transpose()?,
                },
            },
        }),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, PowerError> {
    let fail = |source| PowerError::File { path: path.to_owned(), source };
    let file = File::open(path).map_err(fail)?;
    let mut bytes = Vec::new();
    file.take(PEM_BYTES.saturating_add(1)).read_to_end(&mut bytes).map_err(fail)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= PEM_BYTES) {
        return Ok(bytes);
    }
    Err(fail(io::Error::other(format!("has more than {PEM_BYTES} bytes, too many for PEM"))))
}

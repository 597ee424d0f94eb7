//! Credentials that the host puts into requests, only towards the hosts they were granted for. No
//! plug-in, log or error ever sees one.

use std::fmt;

use base64::Engine as _;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use zeroize::Zeroizing;

use super::{
    host_rule::HostRule,
    oauth::{OAuth2, TokenSource},
    refusal::HttpRefusal,
    request::Target,
};
use crate::model::Secret;

/// A credential.
#[derive(Debug, Clone)]
pub struct Credential {
    /// The hosts it is for. A request to any other with it is refused.
    pub hosts: Vec<HostRule>,
    /// What it is.
    pub kind: CredentialKind,
}

/// What a credential is.
#[derive(Debug, Clone)]
pub enum CredentialKind {
    /// `Authorization: Bearer …` (RFC 6750).
    Bearer(Secret),
    /// `Authorization: Basic …` (RFC 7617).
    Basic {
        /// The user; holds no colon.
        username: String,
        /// Its password.
        password: Secret,
    },
    /// A header field of its own, such as an API key.
    Header {
        /// The field's name.
        name: String,
        /// Its value.
        value: Secret,
    },
    /// A token that the host fetches, keeps and renews (RFC 6749 §4.4).
    OAuth2(OAuth2),
}

/// A credential, ready to be put in.
pub(crate) struct Loaded {
    hosts: Vec<HostRule>,
    form: Form,
}

enum Form {
    Fixed { name: HeaderName, value: HeaderValue },
    Token(Box<TokenSource>),
}

impl Loaded {
    /// The error quotes no secret.
    pub(crate) fn new(credential: &Credential) -> Result<Self, String> {
        let authorization = |value| Form::Fixed { name: header::AUTHORIZATION, value };
        let form = match &credential.kind {
            CredentialKind::Bearer(token) => authorization(sensitive("Bearer ", token.expose())?),
            CredentialKind::Basic { username, password } => {
                if username.contains(':') {
                    return Err("the user of Basic authentication holds a colon".into());
                }
                let pair = Zeroizing::new(format!("{username}:{}", password.expose()));
                let pair = Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(&*pair));
                authorization(sensitive("Basic ", &pair)?)
            }
            CredentialKind::Header { name, value } => Form::Fixed {
                name: name.parse().map_err(|_| format!("`{name}` is no header field's name"))?,
                value: sensitive("", value.expose())?,
            },
            CredentialKind::OAuth2(settings) => {
                Form::Token(Box::new(TokenSource::new(settings.clone())?))
            }
        };
        Ok(Self { hosts: credential.hosts.clone(), form })
    }

    /// Refuses a host that it was not granted for, and a request that brings the field itself.
    pub(crate) fn admit(
        &self,
        plugin: &str,
        name: &str,
        target: &Target,
        headers: &HeaderMap,
    ) -> Result<(), HttpRefusal> {
        if !self.hosts.iter().any(|rule| rule.matches(&target.host, target.port)) {
            let host = target.authority();
            return Err(HttpRefusal::Denied(format!(
                "the credential `{name}` is not granted for the host `{host}`; to grant it, write \
                 `hosts = [{host:?}]` under `[plugin.{plugin}.credentials.{name}]`"
            )));
        }
        let field = match &self.form {
            Form::Fixed { name, .. } => name,
            Form::Token(_) => &header::AUTHORIZATION,
        };
        if headers.contains_key(field) {
            return Err(HttpRefusal::Denied(format!(
                "the header field `{field}` is given together with `auth`: the host puts it in"
            )));
        }
        Ok(())
    }

    /// The tokens' source, for a credential that has one.
    pub(crate) fn token_source(&self) -> Option<&TokenSource> {
        match &self.form {
            Form::Token(source) => Some(source),
            Form::Fixed { .. } => None,
        }
    }

    /// Puts a credential in that does not have to be fetched.
    pub(crate) fn insert(&self, headers: &mut HeaderMap) {
        if let Form::Fixed { name, value } = &self.form {
            headers.insert(name.clone(), value.clone());
        }
    }
}

/// A header value that no `Debug` shows.
pub(crate) fn sensitive(prefix: &str, secret: &str) -> Result<HeaderValue, String> {
    if secret.is_empty() {
        return Err("a credential is empty".into());
    }
    let text = Zeroizing::new(format!("{prefix}{secret}"));
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| "a credential holds characters that no header field can".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

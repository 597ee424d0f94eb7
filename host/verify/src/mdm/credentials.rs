//! Who asks. A credential is a name in the config with the profiles and the plug-ins that it is for;
//! nothing else can be done with it.

use std::collections::BTreeMap;

use aws_lc_rs::{constant_time, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_config::{CredentialProof, MdmCredential, MdmSettings};
use countersign_profile::Name;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use zeroize::Zeroizing;

use super::password::{Busy, Passwords};
use crate::start::StartError;

/// The longest `Authorization` that is read.
const LONGEST: usize = 4096;

/// Somebody who may fetch challenges or post events.
#[derive(Debug)]
pub(super) struct Credential {
    pub(super) name: String,
    profiles: Vec<String>,
    events: Vec<String>,
    pub(super) per_hour: u32,
}

impl Credential {
    pub(super) fn may_fetch_for(&self, profile: &str) -> bool {
        self.profiles.iter().any(|allowed| allowed == profile)
    }

    pub(super) fn may_post_to(&self, plugin: &str) -> bool {
        self.events.iter().any(|allowed| allowed == plugin)
    }
}

/// Why nobody was recognised.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stranger {
    /// Nothing was shown that could be checked; NTLM and Negotiate are nothing.
    ShowedNothing,
    /// What was shown is wrong.
    Wrong,
    /// Too many wait for their password to be hashed.
    Busy,
}

impl From<Busy> for Stranger {
    fn from(Busy: Busy) -> Self {
        Self::Busy
    }
}

/// What somebody shows in a request.
pub(super) enum Shown {
    Nothing,
    Wrong,
    Basic { user: String, password: Zeroizing<Vec<u8>> },
    Bearer(Zeroizing<Vec<u8>>),
}

/// Everybody who may fetch challenges or post events.
#[derive(Debug)]
pub(super) struct Credentials {
    all: BTreeMap<String, Credential>,
    passwords: Passwords,
    tokens: Vec<([u8; 32], String)>,
    pinned: Vec<(Name, String)>,
}

impl Credentials {
    pub(super) fn open(settings: &MdmSettings) -> Result<Self, StartError> {
        let mut credentials = Self {
            all: BTreeMap::new(),
            passwords: Passwords::new(settings.limits.max_hashing),
            tokens: Vec::new(),
            pinned: Vec::new(),
        };
        for (name, credential) in &settings.credential {
            credentials.add(name, credential)?;
        }
        Ok(credentials)
    }

    fn add(&mut self, name: &str, settings: &MdmCredential) -> Result<(), StartError> {
        match &settings.authentication {
            CredentialProof::Basic(basic) => {
                self.passwords.add(name, &basic.user, &basic.password_hash)?;
            }
            CredentialProof::Bearer(bearer) => {
                self.tokens.push((*bearer.token.as_bytes(), name.to_owned()));
            }
            CredentialProof::ClientCertificate(pinned) => {
                self.pinned.push((pinned.name.clone(), name.to_owned()));
            }
        }
        let credential = Credential {
            name: name.to_owned(),
            profiles: settings.profiles.clone(),
            events: settings.events.clone(),
            // The config lets no profile stand without a quota; no quota is none.
            per_hour: settings.quota_per_hour.unwrap_or(0),
        };
        self.all.insert(name.to_owned(), credential);
        Ok(())
    }

    /// The schemes that a 401 offers: never NTLM, never Negotiate (row 60).
    pub(super) fn schemes(&self) -> impl Iterator<Item = &'static str> {
        let basic =
            (!self.passwords.is_empty()).then_some(r#"Basic realm="Countersign", charset="UTF-8""#);
        let bearer = (!self.tokens.is_empty()).then_some(r#"Bearer realm="Countersign""#);
        basic.into_iter().chain(bearer)
    }

    /// Who shows this. What stands in the request counts before the connection's certificate: a
    /// wrong password is not made good by it.
    pub(super) async fn identify(
        &self,
        shown: Shown,
        certificate: Option<&[Name]>,
    ) -> Result<&Credential, Stranger> {
        let found = match shown {
            Shown::Wrong => None,
            Shown::Basic { user, password } => self.passwords.check(&user, password).await?,
            Shown::Bearer(token) => self.bearer(&token),
            Shown::Nothing => {
                let names = certificate.ok_or(Stranger::ShowedNothing)?;
                let carried = |(pinned, _): &&(Name, String)| names.contains(pinned);
                let mut fitting = self.pinned.iter().filter(carried);
                // One certificate that fits two credentials is neither.
                match (fitting.next(), fitting.next()) {
                    (Some((_, name)), None) => Some(name.as_str()),
                    _ => None,
                }
            }
        };
        found.and_then(|name| self.all.get(name)).ok_or(Stranger::Wrong)
    }

    fn bearer(&self, token: &[u8]) -> Option<&str> {
        let digest = digest::digest(&digest::SHA256, token);
        self.tokens
            .iter()
            .find(|(stored, _)| {
                constant_time::verify_slices_are_equal(digest.as_ref(), stored).is_ok()
            })
            .map(|(_, name)| name.as_str())
    }
}

impl Shown {
    /// Reads the one `Authorization` of a request.
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let mut fields = headers.get_all(AUTHORIZATION).iter();
        let Some(field) = fields.next() else { return Self::Nothing };
        if fields.next().is_some() || field.len() > LONGEST {
            return Self::Wrong;
        }
        let octets = field.as_bytes();
        let end = octets.iter().position(|octet| *octet == b' ').unwrap_or(octets.len());
        let (scheme, rest) = octets.split_at(end);
        let rest = rest.trim_ascii();
        if scheme.eq_ignore_ascii_case(b"basic") {
            basic(rest).unwrap_or(Self::Wrong)
        } else if scheme.eq_ignore_ascii_case(b"bearer") && !rest.is_empty() {
            Self::Bearer(Zeroizing::new(rest.to_vec()))
        } else if scheme.eq_ignore_ascii_case(b"ntlm") || scheme.eq_ignore_ascii_case(b"negotiate")
        {
            // Not read and not answered; a certificate beside it does not make it right either.
            Self::Wrong
        } else {
            Self::Wrong
        }
    }
}

fn basic(encoded: &[u8]) -> Option<Shown> {
    let decoded = Zeroizing::new(STANDARD.decode(encoded).ok()?);
    let colon = decoded.iter().position(|octet| *octet == b':')?;
    let (user, password) = decoded.split_at(colon);
    Some(Shown::Basic {
        user: String::from_utf8(user.to_vec()).ok()?,
        password: Zeroizing::new(password.strip_prefix(b":")?.to_vec()),
    })
}

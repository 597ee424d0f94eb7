//! What a token says (RFC 7519 §4), read after its signature held.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_sdk::{Context, DenialCode, Name, NotApproved, Request, deny};
use serde_json::{Map, Value};

use crate::refusal::{claim, malformed, shown, unbound};
use crate::{Settings, strict};

const MOST_NAMES: usize = 64;
const MOST_AUDIENCES: usize = 16;
const LONGEST_ID: usize = 128;
const LONGEST_DEVICE_ID: usize = 256;
const LONGEST_ISSUER: usize = 512;
/// RFC 7800: how the token is bound to a key. SHA-256 over the DER SubjectPublicKeyInfo, which is what
/// the host tells of a request's key; an RFC 7638 thumbprint cannot be made from that.
const KEY_THUMBPRINT: &str = "spki#S256";

/// The claims that count. Others are not looked at.
pub(crate) struct Claims {
    /// `jti`: which token it is.
    pub(crate) id: String,
    pub(crate) issuer: Option<String>,
    audiences: Vec<String>,
    issued_at: u64,
    not_before: Option<u64>,
    pub(crate) expires: u64,
    /// `sub`: the device in the words of its management.
    pub(crate) device_id: Option<String>,
    pub(crate) names: Vec<Name>,
    /// `cnf`: the only key that may use it.
    spki_sha256: Option<Vec<u8>>,
}

impl Claims {
    /// Reads the payload of a token.
    pub(crate) fn read(payload: &[u8]) -> Result<Self, NotApproved> {
        let claims = strict::object(payload)
            .ok_or_else(|| malformed("its payload is no JSON object with each name once"))?;
        Ok(Self {
            id: id(&claims)?,
            issuer: text(&claims, "iss", LONGEST_ISSUER)?,
            audiences: audiences(&claims)?,
            issued_at: demanded(time(&claims, "iat")?, "iat")?,
            not_before: time(&claims, "nbf")?,
            expires: demanded(time(&claims, "exp")?, "exp")?,
            device_id: text(&claims, "sub", LONGEST_DEVICE_ID)?,
            names: names(&claims)?,
            spki_sha256: confirmation(&claims)?,
        })
    }

    /// Whether they are for this request, here and now.
    pub(crate) fn check(
        &self,
        settings: &Settings,
        context: &Context,
        request: &Request,
    ) -> Result<(), NotApproved> {
        self.check_parties(settings, request)?;
        self.check_times(settings, seconds(context.now))?;
        match &self.spki_sha256 {
            Some(thumbprint) if *thumbprint != request.key.spki_sha256 => {
                return Err(claim(
                    "token-other-key",
                    "the token is bound to another key than the one that asks".to_owned(),
                ));
            }
            None if settings.require_key_binding => {
                return Err(unbound("`cnf`", "require-key-binding"));
            }
            Some(_) | None => {}
        }
        if settings.require_names && self.names.is_empty() {
            return Err(unbound("`names`", "require-names"));
        }
        if settings.require_device_id && self.device_id.is_none() {
            return Err(unbound("`sub`", "require-device-id"));
        }
        Ok(())
    }

    fn check_parties(&self, settings: &Settings, request: &Request) -> Result<(), NotApproved> {
        let audience = format!("{}{}", settings.audience_prefix, request.profile);
        if !self.audiences.contains(&audience) {
            let found: Vec<_> = self.audiences.iter().take(3).map(|one| shown(one)).collect();
            return Err(claim(
                "token-audience",
                format!("the token's `aud` is {}, expected `{audience}`", found.join(", ")),
            ));
        }
        match (&settings.issuer, &self.issuer) {
            (None, _) => Ok(()),
            (Some(expected), Some(found)) if expected == found => Ok(()),
            (Some(expected), found) => {
                let found = found.as_deref().map_or_else(|| "not there".to_owned(), shown);
                Err(claim(
                    "token-issuer",
                    format!("the token's `iss` is {found}, expected `{expected}`"),
                ))
            }
        }
    }

    fn check_times(&self, settings: &Settings, now: u64) -> Result<(), NotApproved> {
        let skew = u64::from(settings.clock_skew_seconds);
        let begins = self.issued_at.max(self.not_before.unwrap_or(0));
        if begins > now.saturating_add(skew) {
            return Err(claim(
                "token-not-yet-valid",
                format!("the token begins in {} seconds; compare the clocks", begins - now),
            ));
        }
        if now >= self.expires.saturating_add(skew) {
            let ago = now.saturating_sub(self.expires);
            return Err(deny(
                DenialCode::ChallengeExpired,
                format!("the token ended {ago} seconds ago: have a new one made"),
            ));
        }
        let (life, most) =
            (self.expires.saturating_sub(self.issued_at), settings.max_lifetime_seconds);
        if life > u64::from(most) {
            return Err(claim(
                "token-lifetime",
                format!(
                    "the token lives for {life} seconds from `iat` to `exp`, and \
                     `max-lifetime-seconds` is {most}"
                ),
            ));
        }
        Ok(())
    }
}

fn id(claims: &Map<String, Value>) -> Result<String, NotApproved> {
    let id = demanded(text(claims, "jti", LONGEST_ID)?, "jti")?;
    if !id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(malformed("its `jti` is not 1 to 128 printable ASCII characters"));
    }
    Ok(id)
}

fn audiences(claims: &Map<String, Value>) -> Result<Vec<String>, NotApproved> {
    match claims.get("aud") {
        None => Err(malformed("it has no `aud`")),
        Some(Value::String(one)) => Ok(vec![one.clone()]),
        Some(Value::Array(list)) if (1..=MOST_AUDIENCES).contains(&list.len()) => {
            texts(list).ok_or_else(|| malformed("its `aud` holds what is no text"))
        }
        Some(_) => Err(malformed("its `aud` is neither a text nor a list of 1 to 16")),
    }
}

fn names(claims: &Map<String, Value>) -> Result<Vec<Name>, NotApproved> {
    let texts = match claims.get("names") {
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) if list.len() <= MOST_NAMES => texts(list),
        Some(_) => None,
    };
    texts
        .ok_or_else(|| malformed("its `names` is no list of at most 64 texts"))?
        .iter()
        .map(|name| name.parse().map_err(|error| malformed(&format!("in its `names`, {error}"))))
        .collect()
}

/// A binding that cannot be kept is no reason to leave it out.
fn confirmation(claims: &Map<String, Value>) -> Result<Option<Vec<u8>>, NotApproved> {
    let refused = || {
        malformed(&format!(
            "its `cnf` is not an object with `{KEY_THUMBPRINT}` alone: base64url of the SHA-256 of \
             the key's SubjectPublicKeyInfo"
        ))
    };
    let Some(found) = claims.get("cnf") else {
        return Ok(None);
    };
    let members = found.as_object().filter(|members| members.len() == 1).ok_or_else(refused)?;
    let thumbprint = members.get(KEY_THUMBPRINT).and_then(Value::as_str).ok_or_else(refused)?;
    let thumbprint = URL_SAFE_NO_PAD.decode(thumbprint).map_err(|_| refused())?;
    if thumbprint.len() == 32 { Ok(Some(thumbprint)) } else { Err(refused()) }
}

fn text(
    claims: &Map<String, Value>,
    name: &str,
    longest: usize,
) -> Result<Option<String>, NotApproved> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text))
            if (1..=longest).contains(&text.len()) && !text.contains(char::is_control) =>
        {
            Ok(Some(text.clone()))
        }
        Some(Value::String(_)) => {
            Err(malformed(&format!("its `{name}` is not 1 to {longest} bytes on one line")))
        }
        Some(_) => Err(malformed(&format!("its `{name}` is no text"))),
    }
}

/// Whole seconds since 1970. RFC 7519 would have fractions too; nobody needs them.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, NotApproved> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => value
            .as_u64()
            .map(Some)
            .ok_or_else(|| malformed(&format!("its `{name}` is no whole number of seconds"))),
    }
}

fn demanded<T>(found: Option<T>, name: &str) -> Result<T, NotApproved> {
    found.ok_or_else(|| malformed(&format!("it has no `{name}`")))
}

fn texts(list: &[Value]) -> Option<Vec<String>> {
    list.iter().map(|value| value.as_str().map(str::to_owned)).collect()
}

/// Seconds since 1970.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

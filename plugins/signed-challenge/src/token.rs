//! The outer form of a token: the JWS compact serialization (RFC 7515 §7.1) and its header.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_sdk::NotApproved;
use serde_json::Value;

use crate::refusal::{malformed, not_permitted, shown};
use crate::{Algorithm, Settings, strict};

/// More than any token needs; the host takes no longer challenges.
const LONGEST: usize = 16 * 1024;
/// Of a key's identifier.
const LONGEST_KEY_ID: usize = 256;

/// A token that was taken apart. Nothing in it is verified yet.
pub(crate) struct Token<'t> {
    pub(crate) algorithm: Algorithm,
    pub(crate) key_id: Option<String>,
    /// What the signature is over: header and payload as they came.
    pub(crate) signed: &'t str,
    pub(crate) payload: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

impl<'t> Token<'t> {
    /// Takes a challenge apart. Keys that the header offers (`jwk`, `jku`, `x5c`, `x5u`) are not looked
    /// at: whoever could choose the key could sign anything.
    pub(crate) fn read(text: &'t str, settings: &Settings) -> Result<Self, NotApproved> {
        if text.len() > LONGEST {
            return Err(malformed("it is longer than 16384 characters"));
        }
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed("it is not three parts with a dot between them"));
        };
        let signed = text.get(..header.len() + 1 + payload.len()).unwrap_or_default();
        let header = strict::object(&decoded(header, "header")?)
            .ok_or_else(|| malformed("its header is no JSON object with each name once"))?;
        let payload = decoded(payload, "payload")?;
        let signature = decoded(signature, "signature")?;

        let Some(Value::String(algorithm)) = header.get("alg") else {
            return Err(malformed("its header has no `alg`"));
        };
        let algorithm = Algorithm::named(algorithm)
            .filter(|algorithm| settings.algorithms.contains(algorithm))
            .ok_or_else(|| {
                let found = shown(algorithm);
                not_permitted(format!("the token's `alg` is {found}, which `algorithms` lacks"))
            })?;
        // RFC 7515 §4.1.11: an extension that is not understood makes it invalid, and here are none.
        if header.contains_key("crit") {
            return Err(not_permitted(
                "the token's header has `crit`, and this plug-in understands no extensions".into(),
            ));
        }
        check_type(header.get("typ"), settings)?;
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(id)) if id.len() <= LONGEST_KEY_ID => Some(id.clone()),
            Some(_) => return Err(malformed("its `kid` is no text of at most 256 bytes")),
        };
        Ok(Self { algorithm, key_id, signed, payload, signature })
    }
}

/// base64url without padding and without bits left over: one text for one value.
fn decoded(part: &str, name: &str) -> Result<Vec<u8>, NotApproved> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed(&format!("its {name} is no base64url")))
}

/// RFC 8725 §3.11: a token that was made for something else says so in `typ`, and is none of ours.
fn check_type(found: Option<&Value>, settings: &Settings) -> Result<(), NotApproved> {
    let expected = settings.token_type.as_deref();
    let fits = match (found, expected) {
        (None, None) => true,
        (Some(Value::String(found)), expected) => is_type(found, expected.unwrap_or("JWT")),
        (None, Some(_)) | (Some(_), _) => false,
    };
    if fits {
        return Ok(());
    }
    let found = match found {
        None => "none".to_owned(),
        Some(Value::String(found)) => shown(found),
        Some(_) => "no text".to_owned(),
    };
    let expected = expected.unwrap_or("JWT");
    Err(not_permitted(format!("the token's `typ` is {found}, expected `{expected}`")))
}

/// Media types are compared without regard to case, `application/` may be left out
/// (RFC 7515 §4.1.9).
fn is_type(found: &str, expected: &str) -> bool {
    let short = |text: &str| {
        let text = text.to_ascii_lowercase();
        text.strip_prefix("application/").map(str::to_owned).unwrap_or(text)
    };
    short(found) == short(expected)
}

//! Public keys from `jwks-url`, kept for a while.
//!
//! Everybody may send a token, so a token must not be what makes us ask: the keys are fetched when
//! there are none, when a token holds under keys that are too old to be trusted without a look, and
//! when a `kid` is not among keys that are older than the minimum interval.

use std::time::Duration;

use countersign_sdk::{Context, Host, HttpRequest, HttpResponse, NotApproved, unavailable};
use serde_json::json;

use crate::claims::seconds;
use crate::keys::{KeySet, Standing};
use crate::refusal::{no_keys, unknown_key};
use crate::token::Token;
use crate::{Settings, strict};

/// Where the keys are kept.
const PLACE: &str = "jwks";
/// When they are forgotten, should no good token have come meanwhile: a key that was replaced under
/// its old `kid` is found again then.
const FORGOTTEN: Duration = Duration::from_secs(24 * 60 * 60);
/// Of a key set; a large one has a few kilobytes.
const LARGEST: usize = 64 * 1024;
const RETRY: Duration = Duration::from_secs(60);
/// The longest that a server may have us wait.
const LONGEST_RETRY: u64 = 3600;

/// Keys that were fetched.
struct Kept {
    fetched: u64,
    keys: KeySet,
}

/// Holds a token against the keys at `url`.
pub(crate) fn check(
    settings: &Settings,
    url: &str,
    context: &Context,
    host: &Host,
    token: &Token<'_>,
) -> Result<(), NotApproved> {
    let now = seconds(context.now);
    if let Some(kept) = kept(url, host)? {
        let age = now.saturating_sub(kept.fetched);
        match kept.keys.check(token) {
            Standing::Good if age <= settings.jwks_max_age_seconds.into() => return Ok(()),
            // A key that signed it, but may have been withdrawn.
            Standing::Good => {}
            Standing::Forged => return Standing::Forged.allow(),
            Standing::NoKey(why) if age < settings.jwks_min_interval_seconds.into() => {
                return Err(unknown_key(format!(
                    "{why} at `jwks-url`, whose keys were fetched {age} seconds ago"
                )));
            }
            Standing::NoKey(_) => {}
        }
    }
    let fresh = fetch(settings, url, host)?;
    let value = json!({ "fetched": now, "url": url, "keys": fresh.to_json() }).to_string();
    // Comes true with the approval only, as all that is done in `verify`.
    host.kv().set(PLACE, value.as_bytes(), Some(FORGOTTEN))?;
    fresh.check(token).allow()
}

/// What was kept, unless it is of another URL or not to be read.
fn kept(url: &str, host: &Host) -> Result<Option<Kept>, NotApproved> {
    let read = |value: &[u8]| {
        let kept = strict::object(value)?;
        if kept.get("url")?.as_str()? != url {
            return None;
        }
        let keys = KeySet::read(kept.get("keys")?.as_object()?).ok()?;
        Some(Kept { fetched: kept.get("fetched")?.as_u64()?, keys })
    };
    Ok(host.kv().get(PLACE)?.and_then(|value| read(&value)))
}

fn fetch(settings: &Settings, url: &str, host: &Host) -> Result<KeySet, NotApproved> {
    let request = HttpRequest::get(url)
        .header("accept", "application/jwk-set+json, application/json")
        .timeout(settings.timeout());
    let response = host.http().send(request)?;
    if response.status != 200 {
        let detail = format!("`jwks-url` answered {}", response.status);
        return Err(unavailable(retry_after(&response), detail));
    }
    if response.body.len() > LARGEST {
        return Err(no_keys("the answer of `jwks-url` is over 65536 bytes"));
    }
    let set = strict::object(&response.body)
        .ok_or_else(|| no_keys("the answer of `jwks-url` is no JSON object with each name once"))?;
    KeySet::read(&set).map_err(|why| no_keys(format!("in the answer of `jwks-url`: {why}")))
}

/// What the server asks for in `Retry-After`, where it says seconds.
fn retry_after(response: &HttpResponse) -> Duration {
    response
        .header("retry-after")
        .and_then(|text| text.trim().parse::<u64>().ok())
        .map_or(RETRY, |seconds| Duration::from_secs(seconds.clamp(1, LONGEST_RETRY)))
}

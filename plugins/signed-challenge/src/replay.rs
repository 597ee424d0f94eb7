//! A token is good for one request.

use std::time::Duration;

use countersign_sdk::{Context, DenialCode, Host, NotApproved, Request, deny, unavailable};

use crate::Settings;
use crate::claims::{Claims, seconds};

/// How much longer than the token its use is remembered.
const MARGIN: u64 = 60;
const RETRY: Duration = Duration::from_secs(1);

/// Ties the token to this request. The host makes it true together with the approval: a token tried
/// with a request that is denied elsewhere burns nothing, and of two that race one is told to come
/// again and then finds it used.
pub(crate) fn hold(
    settings: &Settings,
    context: &Context,
    request: &Request,
    host: &Host,
    claims: &Claims,
) -> Result<(), NotApproved> {
    let key = format!("jti/{}", claims.id);
    match host.kv().get(&key)? {
        Some(holder) if holder == request.csr_sha256 => return Ok(()),
        Some(_) => {
            return Err(deny(
                DenialCode::ChallengeUsed,
                "the token was used by another request: have a new one made",
            ));
        }
        None => {}
    }
    let end = claims.expires.saturating_add(settings.clock_skew_seconds.into());
    let life = end.saturating_sub(seconds(context.now)).saturating_add(MARGIN);
    let life = Some(Duration::from_secs(life));
    if host.kv().compare_and_set(&key, None, &request.csr_sha256, life)? {
        Ok(())
    } else {
        Err(unavailable(RETRY, "the token is being used by another request"))
    }
}

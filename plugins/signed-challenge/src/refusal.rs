//! What is said to the admin. Never the token, and of what a stranger wrote only a short, escaped part.

use std::time::Duration;

use countersign_sdk::{DenialCode, NotApproved, deny, unavailable};

/// Of words that came from outside, in characters.
const WORDS: usize = 64;
const RETRY: Duration = Duration::from_secs(60);

/// It is no token at all.
pub(crate) fn malformed(why: &str) -> NotApproved {
    deny(
        DenialCode::Other("token-malformed".to_owned()),
        format!("the challenge is no token that this plug-in reads: {why}"),
    )
}

/// It is a token of a kind that the settings do not let in.
pub(crate) fn not_permitted(detail: String) -> NotApproved {
    deny(DenialCode::Other("token-not-permitted".to_owned()), detail)
}

/// No key for it.
pub(crate) fn unknown_key(detail: impl Into<String>) -> NotApproved {
    deny(DenialCode::Other("token-key-unknown".to_owned()), detail)
}

/// The key is there and did not sign it.
pub(crate) fn signature(key: &str) -> NotApproved {
    deny(
        DenialCode::Other("token-signature".to_owned()),
        format!("the token's signature does not verify {key}"),
    )
}

/// It lacks what a setting demands.
pub(crate) fn unbound(what: &str, setting: &str) -> NotApproved {
    deny(
        DenialCode::Other("token-unbound".to_owned()),
        format!("the token is signed without {what}, and the setting `{setting}` demands it"),
    )
}

/// It is signed, and for somebody or something else.
pub(crate) fn claim(code: &str, detail: String) -> NotApproved {
    deny(DenialCode::Other(code.to_owned()), detail)
}

/// The keys cannot be had now, which says nothing about the device.
pub(crate) fn no_keys(detail: impl Into<String>) -> NotApproved {
    unavailable(RETRY, detail)
}

/// Settings that passed the check say where keys are; others verify nothing.
pub(crate) fn misconfigured() -> NotApproved {
    unavailable(RETRY, "the settings name no keys for their `algorithms`")
}

/// A short part of what somebody wrote, on one line.
pub(crate) fn shown(text: &str) -> String {
    let mut part: String = text.chars().take(WORDS).flat_map(char::escape_debug).collect();
    if text.chars().nth(WORDS).is_some() {
        part.push('…');
    }
    format!("`{part}`")
}

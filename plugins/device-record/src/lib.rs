//! What plug-ins have in common that find a device's record in a device management by what the request
//! says: which part of the request names the device, the question to the API, the names that the record
//! gives, and one certificate for each enrolment of a device.
//!
//! It decides nothing about a device: whether a record is one of a managed device is each plug-in's own.

mod api;
mod field;
mod identity;
mod names;
mod once;
mod record;
mod template;

pub use api::{NoAnswer, Question};
pub use field::Field;
pub use identity::{Identity, identity, identity_problem, is_identifier};
pub use names::{name_problems, names};
pub use once::{settle, take};
pub use record::Record;
pub use template::Template;

use countersign_sdk::{Denial, DenialCode, Hint, Problem};
use std::time::Duration;

/// The setting `url` of a server without a path.
#[must_use]
pub fn url_problem(url: &str, example: &str) -> Option<Problem> {
    let is_server = url.strip_prefix("https://").is_some_and(|authority| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        !authority.is_empty() && authority.bytes().all(plain)
    });
    let text = format!("expected the address of a server and nothing after it: write {example}");
    (!is_server).then(|| Problem::new("/url", text))
}

/// How long a challenge lives: as the settings say, and never longer than the host does.
///
/// # Errors
/// What the host says is no number.
pub fn life(lifetime: Duration, hint: &Hint) -> Result<Duration, Denial> {
    match hint.attributes.get("ttl-seconds") {
        None => Ok(lifetime),
        Some(text) => {
            text.parse().map(|longest| lifetime.min(Duration::from_secs(longest))).map_err(|_| {
                Denial::new(DenialCode::NotSupported, "`ttl-seconds` is no number of seconds")
            })
        }
    }
}

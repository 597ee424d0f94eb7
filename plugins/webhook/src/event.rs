//! Events that the receiver posts to `/event/<plugin>`: a device was wiped, a certificate shall be
//! revoked. Signed under the key, as its answers are, whatever the format of the questions: an event
//! is believed for no other reason.

use std::time::SystemTime;

use countersign_sdk::{Action, Denial, DenialCode, Event, Host, Reason};
use serde::Deserialize;

use crate::KEY;
use crate::settings::Settings;
use crate::time::seconds;

/// How far the receiver's clock may be from ours. Within it a recorded event may come again: its id
/// is known then, and repeats nothing.
const WINDOW: u64 = 300;
const DETAIL: usize = 200;

/// The body of an event.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Body {
    /// The receiver's own; the same event keeps it.
    id: String,
    action: Wanted,
    /// All certificates of this device, as `data.deviceId` named it, or
    #[serde(default)]
    device_id: Option<String>,
    /// one certificate.
    #[serde(default)]
    certificate: Option<Certificate>,
    #[serde(default)]
    reason: Why,
    #[serde(default)]
    detail: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Wanted {
    Revoke,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Certificate {
    issuer: String,
    serial_number: String,
}

/// RFC 5280 §5.3.1.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Why {
    Unspecified,
    KeyCompromise,
    AffiliationChanged,
    Superseded,
    #[default]
    CessationOfOperation,
}

/// What an event asks for.
///
/// # Errors
/// It is not signed under the key for this time, or it cannot be read.
pub(crate) fn read(
    settings: &Settings,
    now: SystemTime,
    event: &Event,
    host: &Host,
) -> Result<Vec<Action>, Denial> {
    believe(settings, now, event, host)?;
    let body: Body = serde_json::from_slice(&event.body).map_err(|error| {
        denial(
            "event-unreadable",
            format!(
                "expected {{\"id\", \"action\": \"revoke\", \"deviceId\" or \"certificate\"}}, found: \
                 {error}"
            ),
        )
    })?;
    let Wanted::Revoke = body.action;
    let (reason, detail) = (reason(&body.reason), detail(&body.detail));
    match (body.device_id, body.certificate) {
        (Some(device), None) => Ok(vec![Action::revoke_device(body.id, device, reason, detail)]),
        (None, Some(Certificate { issuer, serial_number })) => {
            Ok(vec![Action::revoke_certificate(body.id, issuer, serial_number, reason, detail)])
        }
        _ => Err(denial("event-unreadable", "expected `deviceId` or `certificate`, one of them")),
    }
}

/// Four lines and the body. No part but the body can hold a line feed.
fn believe(settings: &Settings, now: SystemTime, event: &Event, host: &Host) -> Result<(), Denial> {
    let header = |name: &str| {
        let mut found = event.headers.iter().filter(|(field, _)| field == name);
        found.next().filter(|_| found.next().is_none()).map(|(_, value)| value.as_str())
    };
    let unsigned = |what: &str| denial("event-unsigned", format!("the event {what}"));
    let timestamp =
        header("countersign-timestamp").ok_or_else(|| unsigned("has no Countersign-Timestamp"))?;
    let signature = header("countersign-signature")
        .and_then(|text| hex::decode(text.strip_prefix("v1=")?).ok())
        .ok_or_else(|| unsigned("has no Countersign-Signature of the form v1=hex"))?;
    let mut signed =
        format!("countersign-webhook-1 event\n{}\n{timestamp}\n", settings.id).into_bytes();
    signed.extend_from_slice(&event.body);
    let is_ours = host
        .secrets()
        .verify_mac(KEY, &signed, &signature)
        .map_err(|error| denial("host-unavailable", error.to_string()))?;
    if !is_ours {
        return Err(unsigned("is not signed for this webhook under the key"));
    }
    let is_fresh = timestamp.parse::<u64>().is_ok_and(|time| time.abs_diff(seconds(now)) <= WINDOW);
    if !is_fresh {
        return Err(unsigned("was signed too long ago or too far ahead; compare the clocks"));
    }
    Ok(())
}

fn reason(why: &Why) -> Reason {
    match why {
        Why::Unspecified => Reason::Unspecified,
        Why::KeyCompromise => Reason::KeyCompromise,
        Why::AffiliationChanged => Reason::AffiliationChanged,
        Why::Superseded => Reason::Superseded,
        Why::CessationOfOperation => Reason::CessationOfOperation,
    }
}

/// One line, short: it stands in the ledger.
fn detail(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(DETAIL).collect()
}

fn denial(code: &str, detail: impl Into<String>) -> Denial {
    Denial::new(DenialCode::Other(code.to_owned()), detail)
}

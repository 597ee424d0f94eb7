//! The feed of certificates that Intune wants revoked, and what became of them.

use std::collections::BTreeMap;

use countersign_sdk::{Action, ActionResult, Batch, Reason, ResultKind, Retry};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::discovery::Service;
use crate::pending;
use crate::upstream::Call;

/// The longest context that is kept, in octets.
const CONTEXT: usize = 4 * 1024;
/// Results in one upload: with the longest contexts, the body stays under what may be sent (256 KiB).
const AT_ONCE: usize = 40;
/// Of a message to Intune, in characters.
const MESSAGE: usize = 255;
/// Hexadecimal digits of a serial number (RFC 5280 §4.1.2.2: 20 octets), and some more.
const SERIAL: usize = 64;

/// Intune's answer.
#[derive(Deserialize)]
struct Page {
    value: Vec<Wanted>,
}

/// A certificate that shall be revoked.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    #[serde(default)]
    request_context: Option<String>,
    #[serde(default)]
    serial_number: Option<String>,
    #[serde(default)]
    issuer_name: Option<String>,
}

/// Fetches a page of the feed. Intune hands out what it was not told of until it is told, so the
/// cursor is what the last page was: where the same page comes again, nothing more is waiting.
pub(crate) fn pull(call: Call<'_>, cursor: Option<&[u8]>) -> Result<Batch, Retry> {
    let largest = usize::from(call.settings.revocation_batch);
    let body = json!({
        "downloadParameters": {
            "maxRequests": largest,
            "issuerName": call.settings.revocation_issuer,
        }
    });
    let download = "CertificateAuthorityRequests/downloadRevocationRequests";
    let answer = call.post(Service::Revocation, download, &body)?;
    let page: Page = answer.read()?;
    let is_full = page.value.len() >= largest;

    let (mut contexts, mut readable, mut unfit) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for wanted in page.value.into_iter().take(largest) {
        let context = wanted.request_context.as_deref().unwrap_or_default();
        if context.is_empty() || context.len() > CONTEXT {
            call.host.log().warn(answer.complaint("holds a revocation without a usable context"));
            continue;
        }
        match certificate(call, &wanted) {
            Ok(certificate) => {
                let digest = hex::encode(Sha256::digest(context));
                contexts.insert(digest.clone(), context.to_owned());
                readable.insert(digest, certificate);
            }
            Err(why) => unfit.push(failed(context, "ParameterDataInvalidError", why)),
        }
    }
    refuse(call, &unfit);
    let ids = pending::keep(call, &contexts)?;
    if ids.len() < contexts.len() {
        call.host.log().warn("too many revocations are under way: the rest is fetched later");
    }
    let here = cursor_of(ids.values());
    let actions: Vec<_> = readable
        .into_iter()
        .filter_map(|(digest, certificate)| Some(action(ids.get(&digest)?, certificate)))
        .collect();

    // Where the same page came again, its actions are repeated, and repeat nothing.
    let is_new = cursor != Some(here.as_slice());
    if is_full && is_new && !actions.is_empty() && actions.len() == contexts.len() {
        return Ok(Batch::more(actions, here));
    }
    Ok(Batch::last(actions, here))
}

/// Tells Intune what became of revocations.
pub(crate) fn report(call: Call<'_>, results: &[ActionResult]) -> Result<(), Retry> {
    let contexts = pending::contexts(call, results.iter().map(|result| result.id.as_str()))?;
    let mut told = Vec::new();
    for result in results {
        match contexts.get(&result.id) {
            Some(context) => told.push(outcome(context, &result.kind)),
            None => call.host.log().warn(format!(
                "Intune does not wait any more for the result of the revocation {}",
                result.id
            )),
        }
    }
    upload(call, &told)?;
    pending::forget(call, contexts.keys().map(String::as_str))
}

/// A certificate by issuer and serial number.
struct Certificate {
    issuer: String,
    serial_number: String,
}

fn certificate(call: Call<'_>, wanted: &Wanted) -> Result<Certificate, &'static str> {
    let serial_number = wanted.serial_number.as_deref().and_then(serial_number);
    let serial_number = serial_number.ok_or("the serial number is not hexadecimal")?;
    // With the filter set, an answer that leaves the issuer out can only mean that one.
    let issuer = wanted.issuer_name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    let issuer = issuer.or(call.settings.revocation_issuer.as_deref());
    let issuer = issuer.ok_or("the issuer is missing")?.to_owned();
    Ok(Certificate { issuer, serial_number })
}

fn action(id: &str, certificate: Certificate) -> Action {
    let Certificate { issuer, serial_number } = certificate;
    // Intune does not say why: a wipe, a retirement, a profile that was taken away.
    let detail = "Intune wants the certificate revoked";
    Action::revoke_certificate(id, issuer, serial_number, Reason::CessationOfOperation, detail)
}

fn outcome(context: &str, kind: &ResultKind) -> Value {
    match kind {
        ResultKind::Done => json!({
            "requestContext": context,
            "succeeded": true,
            "errorCode": "None",
            "errorMessage": null,
        }),
        ResultKind::NothingToDo => failed(
            context,
            "CertificateNotFoundError",
            "no certificate of this serial number is in force here",
        ),
        ResultKind::Refused(why) => failed(context, "NonRetryableServiceException", why),
        ResultKind::Failed(why) => failed(context, "RetryableServiceException", why),
        ResultKind::Other(why) => failed(context, "NonRetryableServiceException", why),
    }
}

fn failed(context: &str, code: &str, why: &str) -> Value {
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    let message: String = why.chars().map(shown).take(MESSAGE).collect();
    json!({
        "requestContext": context,
        "succeeded": false,
        "errorCode": code,
        "errorMessage": message,
    })
}

/// Requests that no action can be made of are answered at once; where that fails, they come again.
fn refuse(call: Call<'_>, unfit: &[Value]) {
    if let Err(retry) = upload(call, unfit) {
        let why = retry.detail;
        call.host.log().warn(format!("revocations that cannot be read were not refused: {why}"));
    }
}

fn upload(call: Call<'_>, results: &[Value]) -> Result<(), Retry> {
    let upload = "CertificateAuthorityRequests/uploadRevocationResults";
    for some in results.chunks(AT_ONCE) {
        let answer = call.post(Service::Revocation, upload, &json!({ "results": some }))?;
        let taken: Value = answer.read()?;
        if taken.get("value") != Some(&Value::Bool(true)) {
            return Err(answer.senseless("the results were not taken"));
        }
    }
    Ok(())
}

/// What a page was, in 32 octets.
fn cursor_of<'i>(ids: impl Iterator<Item = &'i String>) -> Vec<u8> {
    let mut digest = Sha256::new();
    ids.for_each(|id| digest.update(id));
    digest.finalize().to_vec()
}

/// Lower-case hexadecimal digits without leading zeros, as the contract has serial numbers.
fn serial_number(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text.strip_prefix("0x").unwrap_or(text);
    let digits: String = text.chars().filter(|c| !matches!(c, ':' | ' ' | '-')).collect();
    let is_hex = (1..=SERIAL).contains(&digits.len())
        && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let digits = digits.trim_start_matches('0').to_ascii_lowercase();
    (is_hex && !digits.is_empty()).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_are_read_however_they_are_written() {
        for (text, expected) in [
            ("0A1B", Some("a1b")),
            ("00:0a:1b", Some("a1b")),
            ("0x0a1b", Some("a1b")),
            (" 12 34 ", Some("1234")),
            ("", None),
            ("00", None),
            ("xyz", None),
            ("-", None),
        ] {
            assert_eq!(serial_number(text).as_deref(), expected, "{text}");
        }
        assert_eq!(serial_number(&"1".repeat(65)), None);
    }
}

//! How an enrolment ended, told to Intune.

use std::time::Duration;

use countersign_sdk::{Certificate, Ending, Outcome, Retry};
use serde_json::{Map, Value, json};
use sha1::{Digest as _, Sha1};

use crate::answer::{Said, certificate_request};
use crate::discovery::Service;
use crate::time;
use crate::upstream::{CALLER, Call};

/// How soon to tell again what Intune refused.
const RETRY: Duration = Duration::from_secs(60);
/// Intune's own limit, in characters.
const DESCRIPTION: usize = 255;

// HRESULTs of our own ([MS-ERREF] §2.1: severity and customer bit set). They are shown in Intune's
// console and explained in the README.
const NOT_ISSUED: u32 = 0xA000_0001;
const WITHHELD: u32 = 0xA000_0002;
const OTHER: u32 = 0xA000_0003;

/// Tells an outcome. The same outcome is always told in the same words, so that a repetition tells
/// nothing new.
pub(crate) fn tell(call: Call<'_>, outcome: &Outcome) -> Result<(), Retry> {
    match &outcome.ending {
        Ending::Issued(certificate) => success(call, outcome, certificate),
        Ending::Failed(why) => failure(call, outcome, NOT_ISSUED, why),
        Ending::Withheld(why) => failure(call, outcome, WITHHELD, why),
        Ending::Other(why) => failure(call, outcome, OTHER, why),
    }
}

/// The device gets its certificate only after this: whatever is not `Success` is told again.
fn success(call: Call<'_>, outcome: &Outcome, certificate: &Certificate) -> Result<(), Retry> {
    let mut notification = common(outcome);
    let mut put = |name: &str, value: &str| notification.insert(name.to_owned(), value.into());
    put("certificateThumbprint", &hex::encode_upper(Sha1::digest(&certificate.der)));
    put("certificateSerialNumber", &serial_number(&certificate.serial_number));
    put("certificateExpirationDateUtc", &time::iso8601(certificate.not_after));
    put("issuingCertificateAuthority", &certificate.issuer);
    if let Some(configuration) = &call.settings.ca_configuration {
        put("caConfiguration", configuration);
    }
    if let Some(authority) = &call.settings.certificate_authority {
        put("certificateAuthority", authority);
    }
    let body = json!({ "notification": notification });
    let answer = call.post(Service::Validation, "ScepActions/successNotification", &body)?;
    let said = Said::read(&answer)?;
    if said.is_success() {
        return Ok(());
    }
    Err(Retry::new(RETRY, answer.complaint(&format!("says {}", said.words(&outcome.request)))))
}

fn failure(call: Call<'_>, outcome: &Outcome, result: u32, why: &str) -> Result<(), Retry> {
    let mut notification = common(outcome);
    notification.insert("hResult".to_owned(), result.into());
    notification.insert("errorDescription".to_owned(), description(why).into());
    let body = json!({ "notification": notification });
    let answer = call.post(Service::Validation, "ScepActions/failureNotification", &body)?;
    let said = Said::read(&answer)?;
    if !said.is_success() {
        // Intune has heard and does not want to know, because its challenge has expired, say. To
        // insist would hold up the device's next attempt, which is told after this one.
        let words = said.words(&outcome.request);
        call.host.log().warn(answer.complaint(&format!("says {words}; it is left at that")));
    }
    Ok(())
}

fn common(outcome: &Outcome) -> Map<String, Value> {
    let request = &outcome.request;
    Map::from_iter([
        ("transactionId".to_owned(), request.transaction_id.as_str().into()),
        ("certificateRequest".to_owned(), certificate_request(request).into()),
        ("callerInfo".to_owned(), CALLER.into()),
    ])
}

/// Hexadecimal digits by pairs and in upper case, as .NET writes serial numbers.
fn serial_number(hex: &str) -> String {
    let pad = if hex.len().is_multiple_of(2) { "" } else { "0" };
    format!("{pad}{}", hex.to_ascii_uppercase())
}

/// One line, as long as Intune takes it, and never empty.
fn description(why: &str) -> String {
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    let line: String = why.chars().map(shown).take(DESCRIPTION).collect();
    if line.trim().is_empty() { "no reason is known".to_owned() } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_are_pairs_of_upper_case_digits() {
        for (hex, expected) in [("a1b", "0A1B"), ("0f", "0F"), ("1", "01"), ("", "")] {
            assert_eq!(serial_number(hex), expected);
        }
    }

    #[test]
    fn descriptions_are_one_short_line_of_characters() {
        assert_eq!(description("a\nb"), "a b");
        assert_eq!(description(" \n"), "no reason is known");
        assert_eq!(description(&"ü".repeat(300)).chars().count(), 255);
    }
}

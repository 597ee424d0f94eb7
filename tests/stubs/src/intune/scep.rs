//! Intune's service for SCEP: validates requests, and hears what became of them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::script::{Script, Trouble};
use super::{IntuneTenant, State, script};
use crate::Reply;

/// A transaction that was validated.
#[derive(Debug)]
pub(super) struct Transaction {
    csr: Vec<u8>,
    /// The notification of its certificate.
    certificate: Option<Value>,
}

impl IntuneTenant {
    pub(super) fn validate(&self, body: &Value, state: &mut State) -> Reply {
        let Some((transaction, csr)) = about(&body["request"]) else {
            return state
                .fault(400, "validateRequest without transactionId, request or callerInfo");
        };
        let code = match script::read(&csr) {
            Some(Script::Trouble(trouble)) => return trouble.reply(),
            Some(Script::UnauthorizedOnce) => {
                if !std::mem::replace(&mut state.refused_once, true) {
                    return Trouble::Unauthorized.reply();
                }
                "Success"
            }
            Some(Script::UntoldOnce) => "Success",
            Some(Script::Code(code)) => code,
            None => self.judge(&csr),
        };
        if code == "Success" {
            // A renewal under the same transaction ID is validated anew.
            state.transactions.insert(transaction, Transaction { csr, certificate: None });
        }
        answer(code)
    }

    fn judge(&self, csr: &[u8]) -> &'static str {
        let holds = |octets: &[u8]| csr.windows(octets.len()).any(|found| found == octets);
        // DER: the type, the length, the text. In a subject UTF8String or PrintableString, among the
        // alternative names rfc822Name, dNSName or uniformResourceIdentifier.
        let says = |tags: &[u8], text: &str| {
            let length = u8::try_from(text.len()).ok().filter(|length| *length < 0x80);
            let length = length.expect("names of the stub are short");
            tags.iter().any(|tag| holds(&[&[*tag, length], text.as_bytes()].concat()))
        };
        let given = self.challenges.iter().find(|given| holds(given.text.as_bytes()));
        match given {
            None => "ChallengeDecodingError",
            Some(given) if !says(&[0x0c, 0x13], &given.subject) => "SubjectNameMismatch",
            Some(given)
                if !given.alternatives.iter().all(|name| says(&[0x81, 0x82, 0x86], name)) =>
            {
                "SubjectAltNameMismatch"
            }
            Some(_) => "Success",
        }
    }
}

pub(super) fn succeeded(body: &Value, state: &mut State) -> Reply {
    let notification = &body["notification"];
    if !validated(notification, state) {
        return state.fault(400, "successNotification for what was not validated");
    }
    let text = |name: &str| notification[name].as_str().unwrap_or_default();
    let digits = |text: &str, longest| {
        (1..=longest).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_hexdigit())
    };
    let thumbprint = text("certificateThumbprint");
    // Hexadecimal or decimal: both are seen in the field.
    let is_well_formed = thumbprint.len() == 40
        && digits(thumbprint, 40)
        && digits(text("certificateSerialNumber"), 64)
        && is_date(text("certificateExpirationDateUtc"))
        && !text("issuingCertificateAuthority").is_empty();
    if !is_well_formed {
        return state.fault(400, "successNotification that is not as documented");
    }
    let is_untold =
        about(notification).is_some_and(|(_, csr)| script::read(&csr) == Some(Script::UntoldOnce));
    if is_untold && !std::mem::replace(&mut state.untold_once, true) {
        return Trouble::Broken.reply();
    }
    let Some(transaction) = state.transactions.get_mut(text("transactionId")) else {
        return state.fault(400, "successNotification for no transaction");
    };
    match &transaction.certificate {
        Some(earlier) if earlier != notification => {
            state.fault(409, "two certificates for one transaction")
        }
        _ => {
            transaction.certificate = Some(notification.clone());
            answer("Success")
        }
    }
}

pub(super) fn failed(body: &Value, state: &mut State) -> Reply {
    let notification = &body["notification"];
    if !validated(notification, state) {
        return state.fault(400, "failureNotification for what was not validated");
    }
    let description = notification["errorDescription"].as_str().unwrap_or_default();
    let is_hresult = notification["hResult"]
        .as_i64()
        .is_some_and(|code| (i64::from(i32::MIN)..=i64::from(u32::MAX)).contains(&code));
    if !is_hresult || !(1..=255).contains(&description.chars().count()) {
        return state.fault(400, "failureNotification that is not as documented");
    }
    answer("Success")
}

/// Whether a notification is about a request that was validated, the very same.
fn validated(notification: &Value, state: &State) -> bool {
    about(notification).is_some_and(|(transaction, csr)| {
        state.transactions.get(&transaction).is_some_and(|found| found.csr == csr)
    })
}

/// Transaction and PKCS#10.
fn about(part: &Value) -> Option<(String, Vec<u8>)> {
    let text = |name: &str| part[name].as_str().filter(|text| !text.is_empty());
    text("callerInfo")?;
    let csr = STANDARD.decode(text("certificateRequest")?).ok()?;
    // DER of a SEQUENCE, and no armour.
    (csr.first() == Some(&0x30)).then_some((text("transactionId")?.to_owned(), csr))
}

/// `YYYY-MM-DDThh:mm:ss.fffffffZ`.
fn is_date(text: &str) -> bool {
    const FORM: &[u8] = b"0000-00-00T00:00:00.0000000Z";
    text.len() == FORM.len()
        && text.bytes().zip(FORM).all(|(found, form)| match form {
            b'0' => found.is_ascii_digit(),
            other => found == *other,
        })
}

fn answer(code: &str) -> Reply {
    let description = if code == "Success" { "" } else { "said by the stub" };
    Reply::json(200, &json!({ "code": code, "errorDescription": description }))
}

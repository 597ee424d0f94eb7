//! The question about a request, and what Intune says to it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use countersign_sdk::{Approval, Denial, DenialCode, NotApproved, Request, Retry, Verdict};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::code;
use crate::upstream::{Answer, CALLER};

/// The only answer that approves.
const SUCCESS: &str = "Success";
/// Of Intune's own words, in characters.
const WORDS: usize = 512;
/// Of a code that nobody knows.
const CODE: usize = 64;

/// What Intune says to a request or a notification.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Said {
    pub(crate) code: String,
    #[serde(default)]
    error_description: Option<String>,
}

impl Said {
    pub(crate) fn read(answer: &Answer) -> Result<Self, Retry> {
        answer.read()
    }

    pub(crate) fn is_success(&self) -> bool {
        self.code == SUCCESS
    }

    /// Code and description on one line, bounded, and never the challenge that it may repeat.
    pub(crate) fn words(&self, request: &Request) -> String {
        let code: String = self.code.chars().take(CODE).collect();
        let mut text = match self.error_description.as_deref() {
            None | Some("") => code,
            Some(description) => format!("{code}: {description}"),
        };
        if let Some(challenge) = request.challenge.as_ref().filter(|one| !one.reveal().is_empty()) {
            text = text.replace(challenge.reveal(), "(the challenge)");
        }
        let shown = |c: char| if c.is_control() { ' ' } else { c };
        text.chars().map(shown).take(WORDS).collect()
    }
}

/// The question about a request.
pub(crate) fn question(request: &Request) -> Value {
    json!({
        "request": {
            "transactionId": request.transaction_id,
            "certificateRequest": certificate_request(request),
            "callerInfo": CALLER,
        }
    })
}

/// The PKCS#10 as Intune reads it.
pub(crate) fn certificate_request(request: &Request) -> String {
    STANDARD.encode(&request.csr)
}

/// The verdict in an answer.
pub(crate) fn verdict(answer: &Answer, request: &Request) -> Verdict {
    let said = Said::read(answer).map_err(NotApproved::Unavailable)?;
    if said.is_success() {
        // Intune does not say which device it is: there is no device id to give.
        return Ok(Approval::exactly_as_requested()
            .evidence("intune-code", SUCCESS)
            .evidence("client-request-id", &answer.request_id));
    }
    let words = said.words(request);
    let (code, advice) = match code::of(&said.code) {
        Some(known) => known,
        None => (
            DenialCode::Other("intune-unknown-code".to_owned()),
            "this code is not documented; whatever it means, it is not `Success`",
        ),
    };
    let detail = answer.complaint(&format!("says {words}; {advice}"));
    let mut denial = Denial::new(code, detail);
    denial.attributes.push("client-request-id", &answer.request_id);
    Err(denial.into())
}

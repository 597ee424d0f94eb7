//! What the end point says, read strictly.

use std::collections::BTreeMap;
use std::time::Duration;

use countersign_sdk::{
    Approval, DenialCode, Name, NotApproved, Request, Verdict, deny, pending, unavailable,
};
use serde::Deserialize;

use crate::settings::{Settings, Vouch};

const RETRY: Duration = Duration::from_secs(60);
/// Of an end point's own words, in characters.
const WORDS: usize = 512;

/// step-ca's `ResponseBody`; what is in `data` is ours to say.
#[derive(Deserialize)]
struct Answer {
    allow: bool,
    #[serde(default)]
    data: Option<Data>,
    #[serde(default)]
    error: Option<Refusal>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Data {
    names: Vec<String>,
    device_id: Option<String>,
    /// Seconds: somebody still has to decide.
    pending: Option<u32>,
    evidence: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// The verdict in an answer.
pub(crate) fn read(settings: &Settings, request: &Request, status: u16, body: &[u8]) -> Verdict {
    if !(200..300).contains(&status) {
        // Not a word about the device: a wrong path, a wrong credential, a broken end point.
        return Err(unavailable(RETRY, format!("the end point answered {status}")));
    }
    // serde would take a list for a structure: `[true]` is no answer.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(unavailable(RETRY, "the end point's answer is not {\"allow\":…}"));
    }
    let answer: Answer = serde_json::from_slice(body).map_err(|error| {
        unavailable(
            RETRY,
            format!("the end point's answer is not {{\"allow\":…}}: {}", kind(&error)),
        )
    })?;
    let data = answer.data.unwrap_or_default();
    if let Some(seconds) = data.pending {
        let detail = words(answer.error.as_ref().map_or("", |error| &error.message), request);
        return Err(pending(Duration::from_secs(seconds.into()), detail));
    }
    if !answer.allow {
        return Err(refusal(answer.error, request));
    }
    let mut approval = match settings.vouch {
        Vouch::ExactlyAsRequested => Approval::exactly_as_requested(),
        Vouch::Names => Approval::of_names(names(&data.names)?),
    };
    if let Some(id) = data.device_id {
        approval = approval.device_id(id);
    }
    for (name, value) in data.evidence {
        approval = approval.evidence(name, value);
    }
    Ok(approval)
}

fn names(texts: &[String]) -> Result<Vec<Name>, NotApproved> {
    texts
        .iter()
        .map(|text| {
            text.parse().map_err(|error| {
                let detail = format!("the end point vouches for a name that is none: {error}");
                unavailable(RETRY, detail)
            })
        })
        .collect()
}

fn refusal(error: Option<Refusal>, request: &Request) -> NotApproved {
    let code = DenialCode::Other("webhook-denied".to_owned());
    let Some(Refusal { code: word, message }) = error else {
        return deny(code, "the end point does not allow it and says no more");
    };
    let detail = format!("the end point does not allow it: {word} {message}");
    deny(code, words(&detail, request))
}

/// An end point's own words: one line, bounded, and never the challenge that it may repeat.
fn words(text: &str, request: &Request) -> String {
    let mut text = text.to_owned();
    if let Some(challenge) = request.challenge.as_ref().filter(|one| !one.reveal().is_empty()) {
        text = text.replace(challenge.reveal(), "(the challenge)");
    }
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(shown).take(WORDS).collect()
}

/// Errors of serde quote what they found, and an end point may echo the challenge.
fn kind(error: &serde_json::Error) -> String {
    let what = if error.is_data() { "something is missing or of another type" } else { "no JSON" };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

//! A real upstream's answers, kept as a golden case with everything secret masked, and played again.

use std::collections::BTreeMap;
use std::path::Path;

use countersign_cases::{
    Answered as Answer, Asked, Case, CaseError, Exchange, Expected, HostState, KeptChallenge,
    NoAnswer, RequestKind as Kind, Step,
};
use countersign_sandbox::{
    HttpRefusal, HttpRequest, HttpResponse,
    model::{Name, RequestKind, Verdict, Vouched},
};
use serde_json::{Map, Value};

use crate::answer;
use crate::by_hand::{Asking, ByHand, Seen};
use crate::play::{Manner, PlayError, Played};
use crate::workshop::Workshop;

/// What stands where a secret stood.
const MASK: &str = "MASKED";

/// Parts of names of header fields and JSON members whose values are secret.
const SECRET: [&str; 9] = [
    "authorization",
    "cookie",
    "token",
    "secret",
    "password",
    "api-key",
    "apikey",
    "credential",
    "signature",
];

/// Why a run is no case.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// There is no answer to record.
    #[error("{0}; a case records an answer")]
    NoAnswer(String),
    /// An upstream's answer is no text.
    #[error("the answer of {0} is no text, and a case holds text only")]
    NoText(String),
}

/// Makes a case of a run. The request is written as cases write it: without its PKCS#10, and with a
/// challenge of the case's own in place of the real one, wherever that stood.
///
/// # Errors
///
/// There was no answer, or one that a case cannot hold.
pub fn record(
    summary: &str,
    settings: &Map<String, Value>,
    asking: &Asking,
    run: &ByHand,
) -> Result<Case, RecordError> {
    let request = &asking.request;
    let outcome =
        run.answer.as_ref().map_err(|_| RecordError::NoAnswer(answer::say(&run.answer)))?;
    let mut mask = Mask::default();
    if let Some(challenge) = &request.challenge {
        mask.add(challenge.expose(), "RECORDED-CHALLENGE");
    }
    let http = run.exchanges.iter().map(|seen| exchange(seen, &mask)).collect::<Result<_, _>>()?;
    let challenges = asking
        .kept
        .iter()
        .map(|(text, names)| KeptChallenge {
            text: mask.text(text),
            names: names.clone(),
            device_id: None,
            profile: None,
            expires: None,
            state: Default::default(),
            attributes: Default::default(),
        })
        .collect();
    let asked = Asked {
        kind: match request.kind {
            RequestKind::Initial => Kind::Initial,
            RequestKind::Renewal => Kind::Renewal,
        },
        profile: request.profile.clone(),
        subject: request
            .subject
            .iter()
            .map(|rdn| {
                let names: Vec<String> = rdn
                    .iter()
                    .map(|attribute| Name::SubjectAttribute(attribute.clone()).to_string())
                    .collect();
                match <[String; 1]>::try_from(names) {
                    Ok([name]) => Step::One(name),
                    Err(names) => Step::Many(names),
                }
            })
            .collect(),
        subject_alternative_names: answer::texts(&request.subject_alternative_names),
        challenge: request.challenge.as_ref().map(|_| "RECORDED-CHALLENGE".to_owned()),
        path_suffix: (!request.path_suffix.is_empty()).then(|| request.path_suffix.clone()),
        transaction_id: Some(request.transaction_id.clone()),
        current_certificate: None,
        attributes: request.attributes.iter().cloned().collect(),
        denied_elsewhere: false,
        issued: false,
    };
    Ok(Case {
        summary: summary.to_owned(),
        settings: settings.clone(),
        host: HostState { now: Some(asking.now), challenges, http, ..HostState::default() },
        earlier: Vec::new(),
        request: Some(asked),
        expect: expected(&outcome.answer, &mask),
    })
}

/// Plays one case offline, and says whether it came as it says.
///
/// # Errors
///
/// It cannot be read or played.
pub async fn replay(
    workshop: &Workshop,
    path: &Path,
) -> Result<(Case, Played, Result<(), String>), ReplayError> {
    let file = countersign_cases::read(path)?;
    let played = workshop.play(&file.case, &Manner::AS_RECORDED).await?;
    let compared =
        answer::compare(&file.case.expect, &played.answer).and_then(|()| played.script.clone());
    Ok((file.case, played, compared))
}

/// Why a case was not played.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file.
    #[error(transparent)]
    Case(#[from] CaseError),
    /// The plug-in, or what the case asks.
    #[error(transparent)]
    Play(#[from] PlayError),
}

fn expected(verdict: &Verdict, mask: &Mask) -> Expected {
    match verdict {
        Verdict::Approve(approval) => Expected::Approve {
            vouched: match &approval.vouched {
                Vouched::ExactlyAsRequested => None,
                Vouched::Names(names) => Some(answer::texts(names)),
            },
            device_id: approval.device_id.clone(),
        },
        Verdict::Deny(denial) => Expected::Deny {
            code: denial.code.to_string(),
            detail: Some(mask.text(&denial.detail)),
        },
        Verdict::Pending(_) => Expected::Pending,
        Verdict::Unavailable(_) => Expected::Unavailable,
    }
}

fn exchange((request, answer): &Seen, mask: &Mask) -> Result<Exchange, RecordError> {
    Ok(Exchange {
        method: request.method.clone(),
        url: mask.text(&request.url),
        headers: kept_headers(request, mask),
        json: members(request, mask),
        auth: request.auth.clone(),
        decides: true,
        answer: match answer {
            Ok(response) => answered(request, response, mask)?,
            Err(refusal) => Answer::Error(match refusal {
                HttpRefusal::Dns(_) => NoAnswer::Dns,
                HttpRefusal::Tls(_) => NoAnswer::Tls,
                HttpRefusal::Timeout => NoAnswer::Timeout,
                HttpRefusal::TooLarge => NoAnswer::TooLarge,
                _ => NoAnswer::Connect,
            }),
        },
    })
}

/// Header fields that the plug-in set and that are the same each time.
fn kept_headers(request: &HttpRequest, mask: &Mask) -> BTreeMap<String, String> {
    request
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), mask.text(value)))
        .filter(|(name, _)| matches!(name.as_str(), "accept" | "content-type"))
        .collect()
}

/// Members of the body that are short texts, numbers and the like: the rest is the plug-in's business.
fn members(request: &HttpRequest, mask: &Mask) -> BTreeMap<String, Value> {
    let Ok(Value::Object(members)) = serde_json::from_slice(&request.body) else {
        return BTreeMap::new();
    };
    members
        .into_iter()
        .filter(|(name, _)| !is_secret(name))
        .filter_map(|(name, value)| match value {
            Value::String(text) if text.len() <= 256 => Some((name, mask.text(&text).into())),
            Value::Number(_) | Value::Bool(_) => Some((name, value)),
            _ => None,
        })
        .collect()
}

fn answered(
    request: &HttpRequest,
    response: &HttpResponse,
    mask: &Mask,
) -> Result<Answer, RecordError> {
    let body = String::from_utf8(response.body.clone())
        .map_err(|_| RecordError::NoText(format!("{} {}", request.method, request.url)))?;
    let body = match serde_json::from_str::<Value>(&body) {
        Ok(mut value) => {
            mask.value(&mut value);
            value.to_string()
        }
        Err(_) => mask.text(&body),
    };
    let headers = response
        .headers
        .iter()
        .filter(|(name, _)| {
            !is_secret(name) && !matches!(name.as_str(), "date" | "content-length" | "connection")
        })
        .map(|(name, value)| (name.clone(), mask.text(value)))
        .collect();
    Ok(Answer::Response { status: response.status, headers, body })
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    SECRET.iter().any(|part| name.contains(part))
}

/// Texts that were secret, and what stands for them.
#[derive(Default)]
struct Mask(Vec<(String, &'static str)>);

impl Mask {
    fn add(&mut self, secret: &str, instead: &'static str) {
        if !secret.is_empty() {
            self.0.push((secret.to_owned(), instead));
        }
    }

    fn text(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, (secret, instead)| text.replace(secret.as_str(), instead))
    }

    /// Everything inside: known secrets wherever they stand, and members with secrets' names.
    fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.value(value)),
            Value::Object(members) => {
                for (name, value) in members {
                    match value {
                        Value::String(text) if is_secret(name) => MASK.clone_into(text),
                        other => self.value(other),
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_is_masked_wherever_it_stands() {
        let mut mask = Mask::default();
        mask.add("OPEN-SESAME", "RECORDED-CHALLENGE");
        let body = r#"{"access_token":"abc","echo":["OPEN-SESAME!"],"device":{"client-secret":"x","id":"17"}}"#;
        let response = HttpResponse {
            status: 200,
            headers: vec![
                ("set-cookie".to_owned(), "session=1".to_owned()),
                ("content-type".to_owned(), "application/json".to_owned()),
            ],
            body: body.as_bytes().to_vec(),
        };
        let request = HttpRequest {
            method: "POST".to_owned(),
            url: "https://mdm.example/check?c=OPEN-SESAME".to_owned(),
            headers: vec![("Authorization".to_owned(), "Bearer own".to_owned())],
            body: br#"{"challenge":"OPEN-SESAME","password":"p","n":1}"#.to_vec(),
            timeout: None,
            auth: Some("mdm".to_owned()),
        };
        let recorded = exchange(&(request, Ok(response)), &mask).unwrap();
        let text = serde_json::to_string(&recorded).unwrap();
        for secret in ["OPEN-SESAME", "abc", "session=1", "Bearer own", "\"p\"", ":\"x\""] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        for kept in ["RECORDED-CHALLENGE", "MASKED", "application/json", "\"n\":1", "17"] {
            assert!(text.contains(kept), "{kept} not in {text}");
        }
    }
}

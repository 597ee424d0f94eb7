//! Intune's service for CAs: hands out what shall be revoked until it hears what became of it.

use serde_json::{Value, json};

use super::State;
use crate::Reply;

/// What Intune was told of a revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The certificate, as Intune named it.
    pub serial_number: String,
    /// Whether it is revoked.
    pub succeeded: bool,
    /// `None`, `CertificateNotFoundError`, ….
    pub error_code: String,
    /// For a person.
    pub error_message: Option<String>,
}

#[derive(Debug, Clone)]
struct Wanted {
    context: String,
    issuer: String,
    serial_number: String,
}

/// What shall be revoked, and what was.
#[derive(Debug, Default)]
pub(super) struct Feed {
    wanted: Vec<Wanted>,
    told: Vec<Told>,
    count: u32,
}

impl Feed {
    pub(super) fn want(&mut self, issuer: &str, serial_number: &str) {
        self.count += 1;
        self.wanted.push(Wanted {
            context: format!("context-{}", self.count),
            issuer: issuer.to_owned(),
            serial_number: serial_number.to_owned(),
        });
    }

    pub(super) fn told(&self) -> &[Told] {
        &self.told
    }
}

pub(super) fn download(body: &Value, state: &mut State) -> Reply {
    let parameters = &body["downloadParameters"];
    let most = parameters["maxRequests"].as_u64().unwrap_or_default();
    let issuer = &parameters["issuerName"];
    if !(1..=500).contains(&most) || !(issuer.is_null() || issuer.is_string()) {
        return state.fault(400, "downloadRevocationRequests with other parameters");
    }
    let wanted = state.revocations.wanted.iter();
    let value: Vec<_> = wanted
        .filter(|one| issuer.as_str().is_none_or(|issuer| issuer == one.issuer))
        .take(usize::try_from(most).unwrap_or(500))
        .map(|one| {
            json!({
                "requestContext": one.context,
                "serialNumber": one.serial_number,
                "issuerName": one.issuer,
                "caConfiguration": null,
            })
        })
        .collect();
    Reply::json(200, &json!({ "value": value }))
}

pub(super) fn upload(body: &Value, state: &mut State) -> Reply {
    let Some(results) = body["results"].as_array() else {
        return state.fault(400, "uploadRevocationResults without results");
    };
    for result in results {
        let feed = &mut state.revocations;
        let at = feed.wanted.iter().position(|one| result["requestContext"] == one.context);
        let (Some(at), Some(succeeded)) = (at, result["succeeded"].as_bool()) else {
            return state.fault(400, "a result of a revocation that was not asked for");
        };
        let error_code = result["errorCode"].as_str().unwrap_or_default().to_owned();
        if succeeded != (error_code == "None") {
            return state.fault(400, "a result that succeeded with an error, or failed without");
        }
        feed.told.push(Told {
            serial_number: feed.wanted[at].serial_number.clone(),
            succeeded,
            error_code: error_code.clone(),
            error_message: result["errorMessage"].as_str().map(str::to_owned),
        });
        // What may be tried again is asked for again.
        if !error_code.starts_with("Retryable") {
            feed.wanted.remove(at);
        }
    }
    Reply::json(200, &json!({ "value": true }))
}

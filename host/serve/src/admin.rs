//! Questions of the command line, on a socket of their own.

use std::sync::Arc;

use countersign_enrol::Record;
use countersign_ipc::{AdminReply, AdminRequest, Peer};
use serde_json::{Value, json};

use crate::state::Shared;

/// Digits of an enrolment's identity that must be given.
const LEAST_DIGITS: usize = 8;

/// Answers one question.
pub(crate) async fn answer(shared: Arc<Shared>, peer: Peer, question: AdminRequest) -> AdminReply {
    tracing::info!(uid = peer.uid, "an admin asks");
    match question {
        AdminRequest::Status => status(&shared).await,
        AdminRequest::Metrics => metrics(&shared),
        AdminRequest::Requests { limit } => requests(&shared, limit.min(1000)).await,
        AdminRequest::Request { enrolment } => request(&shared, &enrolment).await,
        AdminRequest::IssueChallenge { .. }
        | AdminRequest::Plugins
        | AdminRequest::Tombstones
        | AdminRequest::LiftTombstone { .. }
        | AdminRequest::DeadLetters
        | AdminRequest::Resend { .. }
        | AdminRequest::Orders
        | AdminRequest::Orphans
        | AdminRequest::Revoke { .. }
        | AdminRequest::WithdrawOrders { .. }
        | AdminRequest::FuseStatus
        | AdminRequest::FuseReset { .. }
        | AdminRequest::OrderKey
        | AdminRequest::Ledger { .. }
        | AdminRequest::Checkpoint => {
            AdminReply::Refused { message: "serve does not answer this; ask verify or sign".into() }
        }
    }
}

async fn status(shared: &Shared) -> AdminReply {
    let readiness = shared.gate.readiness().await;
    let states = match shared.enrolments.records().count_by_state().await {
        Ok(states) => states.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        Err(error) => return AdminReply::Refused { message: error.to_string() },
    };
    AdminReply::Facts(json!({
        "process": "serve",
        "readiness": readiness,
        "findings": shared.gate.findings(),
        "profiles": shared.profiles.keys().collect::<Vec<_>>(),
        "enrolments": states,
    }))
}

/// Prometheus text of everything counted here.
pub(crate) fn metrics(shared: &Shared) -> AdminReply {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &shared.registry) {
        Ok(()) => AdminReply::Text(text),
        Err(error) => AdminReply::Refused { message: error.to_string() },
    }
}

async fn requests(shared: &Shared, limit: u32) -> AdminReply {
    match shared.enrolments.records().newest(limit).await {
        Ok(records) => AdminReply::Facts(records.iter().map(brief).collect()),
        Err(error) => AdminReply::Refused { message: error.to_string() },
    }
}

async fn request(shared: &Shared, digits: &str) -> AdminReply {
    let is_prefix = digits.len() >= LEAST_DIGITS
        && digits.len() <= 64
        && digits.bytes().all(|d| d.is_ascii_hexdigit());
    if !is_prefix {
        return AdminReply::Refused {
            message: format!(
                "expected {LEAST_DIGITS} to 64 hexadecimal digits of an enrolment's identity; \
                 `countersign request list` shows them"
            ),
        };
    }
    match shared.enrolments.records().with_prefix(digits).await {
        Ok(records) if records.is_empty() => AdminReply::Refused {
            message: format!(
                "no enrolment begins with {digits}; denied requests are in the ledger"
            ),
        },
        Ok(records) => AdminReply::Facts(records.iter().map(whole).collect()),
        Err(error) => AdminReply::Refused { message: error.to_string() },
    }
}

fn brief(record: &Record) -> Value {
    json!({
        "enrolment": record.id,
        "attempt": record.attempt,
        "profile": record.profile,
        "state": record.state.name(),
        "names": record.names,
        "source": record.source,
        "created": record.created,
        "updated": record.updated,
    })
}

/// Everything but what holds a challenge: neither CSR nor CMS leaves the process here.
fn whole(record: &Record) -> Value {
    let mut facts = brief(record);
    let approval = record.sealed.as_ref().and_then(|sealed| sealed.read_unproven().ok());
    if let Value::Object(map) = &mut facts {
        let more = json!({
            "transaction": record.transaction_id.escape_ascii().to_string(),
            "signer-sha256": hex::encode(record.signer),
            "path-suffix": record.path_suffix,
            "submissions": record.submissions,
            "ca-request-id": record.request_id,
            "not-after": record.not_after,
            "code": record.code,
            "certificate-sha256": record.certificate.as_deref().map(sha256_hex),
            "approved-names": approval.as_ref().map(|approval| &approval.names),
            "verifiers": approval.as_ref().map(|approval| {
                approval.verifiers.iter().map(|verifier| json!({
                    "plugin": verifier.plugin,
                    "digest": format!("sha256:{}", hex::encode(verifier.digest)),
                    "evidence": verifier.evidence,
                })).collect::<Vec<_>>()
            }),
        });
        if let Value::Object(more) = more {
            map.extend(more);
        }
    }
    facts
}

fn sha256_hex(der: &[u8]) -> String {
    countersign_profile::Certificate::parse(der)
        .map(|certificate| hex::encode(certificate.sha256()))
        .unwrap_or_default()
}

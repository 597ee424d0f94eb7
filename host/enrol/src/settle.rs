//! What a start finds: signatures without an outcome, enrolments that nobody asks for any more.

use std::time::Duration;

use countersign_ipc::{
    EnrolmentId, OutcomeKind, OutcomeRecord, SignReply, SignRequest, VerifyRequest,
};

use crate::enrolments::Enrolments;
use crate::record::{Ending, OutboxMessage, Record, RecordError, Records};
use crate::state::State;

const ASK: Duration = Duration::from_secs(20);

/// The code of an end that nobody but this process decided.
const NEVER_SUBMITTED: &str = "never-submitted";

/// Closes what was never submitted and has outlived `patience` seconds. Every signature ends with a
/// submission or the mark `abandoned`; what the CA may have seen is never closed here.
///
/// # Errors
/// [`RecordError`] of the store; what was closed before it stays closed.
pub async fn settle(
    enrolments: &Enrolments,
    patience: u64,
    now: u64,
) -> Result<usize, RecordError> {
    let records = enrolments.records();
    let before = now.saturating_sub(patience);
    let mut closed = 0;
    for record in records.unmoved_since(State::Ready, before).await? {
        let outcome = abandoned(record.id, record.attempt, record.profile.clone());
        let messages = vec![
            OutboxMessage::Sign(SignRequest::Outcome(outcome.clone())),
            OutboxMessage::Verify(VerifyRequest::Outcome(outcome)),
        ];
        end(records, &record, messages, now).await?;
        closed += 1;
    }
    for record in records.unmoved_since(State::Waiting, before).await? {
        end(records, &record, Vec::new(), now).await?;
        closed += 1;
    }
    closed += close_unknown_signatures(enrolments, before, now).await?;
    Ok(closed)
}

/// Signatures that `sign` made and this process never stored: it died in between. The device's
/// retry gets the same bytes; without a retry they are closed. `sign` is told first and in the
/// enrolment's turn: whoever comes afterwards gets no bytes of the closed attempt, and begins the
/// next one. Should this process die before `verify` is told, only a notice of failure is lost.
async fn close_unknown_signatures(
    enrolments: &Enrolments,
    before: u64,
    now: u64,
) -> Result<usize, RecordError> {
    let (records, peers) = (enrolments.records(), enrolments.peers());
    let unsettled = match peers.sign.call(&SignRequest::Unsettled, ASK).await {
        Ok(SignReply::Unsettled(unsettled)) => unsettled,
        Ok(other) => {
            tracing::warn!(?other, "sign did not say which signatures are unsettled");
            return Ok(0);
        }
        Err(error) => {
            tracing::warn!(%error, "sign could not be asked for unsettled signatures");
            return Ok(0);
        }
    };
    let mut closed = 0;
    for signature in unsettled.into_iter().filter(|signature| signature.signed_at < before) {
        let _turn = enrolments.turn(signature.enrolment).await;
        let latest = records.latest(signature.enrolment).await?;
        let is_stored = latest.is_some_and(|record| {
            record.attempt >= signature.attempt && record.state != State::Waiting
        });
        if is_stored {
            // The row's own way ends it, or its message is already in the outbox.
            continue;
        }
        let outcome = abandoned(signature.enrolment, signature.attempt, signature.profile);
        match peers.sign.call(&SignRequest::Outcome(outcome.clone()), ASK).await {
            Ok(SignReply::Done) => {}
            other => {
                tracing::warn!(?other, "sign did not take the end of a signature; later again");
                continue;
            }
        }
        let message = OutboxMessage::Verify(VerifyRequest::Outcome(outcome));
        records.post(signature.enrolment, &message, now).await?;
        closed += 1;
    }
    Ok(closed)
}

fn abandoned(enrolment: EnrolmentId, attempt: u32, profile: String) -> OutcomeRecord {
    OutcomeRecord {
        enrolment,
        attempt,
        profile,
        outcome: OutcomeKind::Abandoned,
        certificate: None,
        code: Some(NEVER_SUBMITTED.to_owned()),
    }
}

async fn end(
    records: &Records,
    record: &Record,
    messages: Vec<OutboxMessage>,
    now: u64,
) -> Result<(), RecordError> {
    let ending = Ending {
        state: State::Abandoned,
        certificate: None,
        serial: None,
        not_after: None,
        code: Some(NEVER_SUBMITTED.to_owned()),
        messages,
    };
    match records.end(record.id, record.attempt, ending, now).await {
        // A device came back in the same moment; its request has the word.
        Err(RecordError::Overtaken { .. }) => Ok(()),
        other => other,
    }
}

//! Station `notify`: the durable outbox to `verify` and `sign`. At least once, in order for each
//! enrolment and recipient. Never loses a message.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use countersign_fail_points::{Point, reached};
use countersign_ipc::{
    Bytes, Client, DenialRecord, OutcomeKind, OutcomeRecord, SealedApproval, SignReply,
    SignRequest, VerifyReply, VerifyRequest,
};
use countersign_store::rusqlite::params;
use tokio::sync::{Notify, mpsc, watch};

use crate::enrolments::Peers;
use crate::metrics::Metrics;
use crate::record::{OutboxMessage, Record, RecordError, Records};

/// Messages delivered in one round.
const AT_ONCE: u32 = 256;

/// Octets of messages in one round: they must fit into a frame.
const OCTETS_AT_ONCE: usize = 512 * 1024;

/// How long `verify` may take over those who must hear of an outcome before the device: they are told
/// afterwards too, and the device comes again.
const TELL_FIRST: Duration = Duration::from_secs(15);

/// How long messages are gathered: the other two make those of one round durable together.
const GATHERING: Duration = Duration::from_millis(20);

/// The longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

const DELIVERY: Duration = Duration::from_secs(20);

/// Delivers what the outbox holds.
#[derive(Debug)]
pub struct Outbox {
    records: Records,
    peers: Peers,
    metrics: Metrics,
    wake: Arc<Notify>,
}

struct Letter {
    sequence: i64,
    enrolment: Vec<u8>,
    message: OutboxMessage,
}

/// What became of one message.
struct Delivery {
    sequence: i64,
    result: Result<(), String>,
}

impl Outbox {
    /// An outbox over `records`; `wake` is notified when something was put in.
    #[must_use]
    pub fn new(records: Records, peers: Peers, metrics: Metrics, wake: Arc<Notify>) -> Self {
        Self { records, peers, metrics, wake }
    }

    /// Delivers until `stop` becomes true. What is left then waits for the next start.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut pause = Duration::ZERO;
        loop {
            let mut news = false;
            match self.deliver_some().await {
                Ok(Delivered { all: true, any }) => {
                    pause = Duration::ZERO;
                    news = any;
                }
                Ok(Delivered { all: false, .. }) => pause = longer(pause),
                Err(error) => {
                    tracing::error!(%error, "the outbox could not be read");
                    pause = longer(pause);
                }
            }
            let waking = async {
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                } else {
                    if !news {
                        self.wake.notified().await;
                    }
                    tokio::time::sleep(GATHERING).await;
                }
            };
            tokio::select! {
                () = waking => {}
                _ = async { stop.wait_for(|stop| *stop).await.is_ok() } => return,
            }
        }
    }

    /// One round. Of each enrolment and recipient only the oldest message goes out; outcomes go out
    /// together, orders one by one.
    async fn deliver_some(&self) -> Result<Delivered, RecordError> {
        let letters = self.oldest().await?;
        let any = !letters.is_empty();
        let (mut for_verify, mut for_sign, mut orders) = (Vec::new(), Vec::new(), Vec::new());
        for Letter { sequence, enrolment, message } in letters {
            match message {
                OutboxMessage::Verify(VerifyRequest::Outcome(outcome)) => {
                    for_verify.push((sequence, outcome));
                }
                OutboxMessage::Sign(SignRequest::Outcome(outcome)) => {
                    for_sign.push((sequence, outcome));
                }
                message => orders.push(Letter { sequence, enrolment, message }),
            }
        }
        let (told_verify, told_sign) = tokio::join!(
            outcomes_to_verify(&self.peers.verify, for_verify),
            outcomes_to_sign(&self.peers.sign, for_sign),
        );
        let mut deliveries: Vec<Delivery> = told_verify.into_iter().chain(told_sign).collect();
        for Letter { sequence, enrolment, message } in orders {
            let result = deliver(&self.peers, &message)
                .await
                .map_err(|error| format!("enrolment {}: {error}", hex::encode(enrolment)));
            deliveries.push(Delivery { sequence, result });
        }
        let (mut done, mut all) = (Vec::new(), true);
        for Delivery { sequence, result } in deliveries {
            match result {
                Ok(()) => {
                    reached(Point::OutboxDelivered);
                    done.push(sequence);
                }
                Err(error) => {
                    all = false;
                    self.metrics.not_delivered();
                    tracing::warn!(
                        sequence,
                        error,
                        "a message was not delivered and stays in the outbox"
                    );
                }
            }
        }
        self.metrics.delivered(done.len());
        if !done.is_empty() {
            self.records
                .store()
                .write(move |tx| {
                    let mut delete = tx.prepare_cached("DELETE FROM outbox WHERE sequence = ?1")?;
                    for sequence in done {
                        delete.execute([sequence])?;
                    }
                    Ok(())
                })
                .await?;
        }
        Ok(Delivered { all, any })
    }

    async fn oldest(&self) -> Result<Vec<Letter>, RecordError> {
        let rows: Vec<(i64, Vec<u8>, String, String)> = self
            .records
            .store()
            .try_read(|connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT sequence, enrolment, recipient, message FROM outbox
                     ORDER BY sequence LIMIT ?1",
                )?;
                let rows = statement.query_map(params![AT_ONCE], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
                })?;
                Ok::<_, RecordError>(rows.collect::<Result<_, _>>()?)
            })
            .await?;
        let (mut seen, mut octets) = (HashSet::new(), 0);
        rows.into_iter()
            .take_while(|(_, _, _, text)| {
                // The first goes out whatever its size.
                let fits = octets == 0 || octets + text.len() <= OCTETS_AT_ONCE;
                octets += text.len();
                fits
            })
            .filter(|(_, enrolment, recipient, _)| {
                seen.insert((enrolment.clone(), recipient.clone()))
            })
            .map(|(sequence, enrolment, recipient, text)| {
                let message = match recipient.as_str() {
                    "verify" => serde_json::from_str(&text).map(OutboxMessage::Verify),
                    _ => serde_json::from_str(&text).map(OutboxMessage::Sign),
                };
                let message =
                    message.map_err(|_| RecordError::Unreadable("a message of the outbox"))?;
                Ok(Letter { sequence, enrolment, message })
            })
            .collect()
    }
}

struct Delivered {
    all: bool,
    any: bool,
}

fn longer(pause: Duration) -> Duration {
    (pause * 2).clamp(Duration::from_millis(200), LONGEST_PAUSE)
}

async fn deliver(peers: &Peers, message: &OutboxMessage) -> Result<(), String> {
    match message {
        OutboxMessage::Verify(message) => to_verify(&peers.verify, message).await,
        OutboxMessage::Sign(message) => to_sign(&peers.sign, message).await,
    }
}

async fn outcomes_to_verify(
    client: &Client<VerifyRequest, VerifyReply>,
    outcomes: Vec<(i64, OutcomeRecord)>,
) -> Vec<Delivery> {
    let (sequences, records): (Vec<i64>, Vec<_>) = outcomes.into_iter().unzip();
    if records.is_empty() {
        return Vec::new();
    }
    let answers = match client.call(&VerifyRequest::Outcomes(records), DELIVERY).await {
        Ok(VerifyReply::Each(replies)) if replies.len() == sequences.len() => {
            replies.into_iter().map(taken_by_verify).collect()
        }
        // One answer to several questions is an answer to none of them.
        Ok(other) => vec![Err(unexpected(&other)); sequences.len()],
        Err(error) => vec![Err(error.to_string()); sequences.len()],
    };
    deliveries(sequences, answers)
}

async fn outcomes_to_sign(
    client: &Client<SignRequest, SignReply>,
    outcomes: Vec<(i64, OutcomeRecord)>,
) -> Vec<Delivery> {
    let (sequences, records): (Vec<i64>, Vec<_>) = outcomes.into_iter().unzip();
    if records.is_empty() {
        return Vec::new();
    }
    let answers = match client.call(&SignRequest::Outcomes(records), DELIVERY).await {
        Ok(SignReply::Each(replies)) if replies.len() == sequences.len() => {
            replies.into_iter().map(taken_by_sign).collect()
        }
        // One answer to several questions is an answer to none of them.
        Ok(other) => vec![Err(unexpected(&other)); sequences.len()],
        Err(error) => vec![Err(error.to_string()); sequences.len()],
    };
    deliveries(sequences, answers)
}

fn deliveries(sequences: Vec<i64>, answers: Vec<Result<(), String>>) -> Vec<Delivery> {
    let pairs = sequences.into_iter().zip(answers);
    pairs.map(|(sequence, result)| Delivery { sequence, result }).collect()
}

async fn to_verify(
    client: &Client<VerifyRequest, VerifyReply>,
    message: &VerifyRequest,
) -> Result<(), String> {
    client
        .call(message, DELIVERY)
        .await
        .map_err(|error| error.to_string())
        .and_then(taken_by_verify)
}

async fn to_sign(
    client: &Client<SignRequest, SignReply>,
    message: &SignRequest,
) -> Result<(), String> {
    client.call(message, DELIVERY).await.map_err(|error| error.to_string()).and_then(taken_by_sign)
}

fn taken_by_verify(reply: VerifyReply) -> Result<(), String> {
    match reply {
        VerifyReply::Done => Ok(()),
        VerifyReply::Unavailable { detail, .. } => Err(detail),
        other => Err(unexpected(&other)),
    }
}

fn taken_by_sign(reply: SignReply) -> Result<(), String> {
    match reply {
        SignReply::Done => Ok(()),
        // Definite: `sign` has it in the ledger that it would not take it. Trying for ever would
        // hold up what comes after.
        SignReply::Refused { code } => {
            tracing::error!(code, "sign refused a message of the outbox");
            Ok(())
        }
        SignReply::Unavailable { detail, .. } => Err(detail),
        other => Err(unexpected(&other)),
    }
}

/// Whether nobody has to hear any more of this enrolment's certificate before the device has it.
pub(crate) async fn may_be_given(
    client: &Client<VerifyRequest, VerifyReply>,
    record: &Record,
) -> bool {
    if !record.sealed.as_ref().is_some_and(SealedApproval::must_tell_first) {
        return true;
    }
    let outcome = OutcomeRecord {
        enrolment: record.id,
        attempt: record.attempt,
        profile: record.profile.clone(),
        outcome: OutcomeKind::Issued,
        certificate: record.certificate.as_deref().map(Bytes::from),
        code: None,
    };
    tell_first(client, outcome).await
}

/// Has those verifiers told that must hear of the outcome before the device does. False until all
/// have: the device comes again, and the outbox goes on.
pub(crate) async fn tell_first(
    client: &Client<VerifyRequest, VerifyReply>,
    outcome: OutcomeRecord,
) -> bool {
    let enrolment = outcome.enrolment;
    match client.call(&VerifyRequest::TellFirst(outcome), TELL_FIRST).await {
        Ok(VerifyReply::Told { all: true }) => true,
        Ok(VerifyReply::Told { all: false }) => {
            tracing::info!(station = "notify", %enrolment,
                "issued, and a device management that must hear of it first has not yet");
            false
        }
        Ok(other) => {
            tracing::warn!(station = "notify", %enrolment, reply = unexpected(&other), "not told");
            false
        }
        Err(error) => {
            tracing::warn!(station = "notify", %enrolment, %error, "not told");
            false
        }
    }
}

fn unexpected(reply: &impl std::fmt::Debug) -> String {
    format!("an answer to another question: {reply:?}")
}

/// Carries denials to the ledger. They are not durable on the way: strangers provoke them.
pub(crate) async fn report_denials(
    client: Client<SignRequest, SignReply>,
    mut denials: mpsc::Receiver<DenialRecord>,
) {
    while let Some(denial) = denials.recv().await {
        if let Err(error) = to_sign(&client, &SignRequest::Denied(denial)).await {
            tracing::warn!(error, "a denial did not reach the ledger");
        }
    }
}

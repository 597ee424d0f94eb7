//! Station `notify`: the durable outbox to `verify` and `sign`. At least once, in order for each
//! enrolment and recipient. Never loses a message.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use countersign_fail_points::{Point, reached};
use countersign_ipc::{Client, DenialRecord, SignReply, SignRequest, VerifyReply, VerifyRequest};
use countersign_store::rusqlite::params;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

use crate::enrolments::Peers;
use crate::metrics::Metrics;
use crate::record::{OutboxMessage, RecordError, Records};

/// Messages delivered side by side, of different enrolments.
const AT_ONCE: u32 = 64;

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
            match self.deliver_some().await {
                Ok(Delivered { all: true, any: true }) => {
                    pause = Duration::ZERO;
                    continue;
                }
                Ok(Delivered { all: true, any: false }) => pause = Duration::ZERO,
                Ok(Delivered { all: false, .. }) => pause = longer(pause),
                Err(error) => {
                    tracing::error!(%error, "the outbox could not be read");
                    pause = longer(pause);
                }
            }
            let waking = async {
                if pause.is_zero() {
                    self.wake.notified().await;
                } else {
                    tokio::time::sleep(pause).await;
                }
            };
            tokio::select! {
                () = waking => {}
                _ = async { stop.wait_for(|stop| *stop).await.is_ok() } => return,
            }
        }
    }

    /// One round. Of each enrolment and recipient only the oldest message goes out.
    async fn deliver_some(&self) -> Result<Delivered, RecordError> {
        let letters = self.oldest().await?;
        let any = !letters.is_empty();
        let mut deliveries = JoinSet::new();
        for letter in letters {
            let peers = self.peers.clone();
            deliveries.spawn(async move {
                let delivered = deliver(&peers, &letter.message).await;
                (letter, delivered)
            });
        }
        let (mut done, mut all) = (Vec::new(), true);
        while let Some(delivery) = deliveries.join_next().await {
            match delivery {
                Ok((letter, Ok(()))) => {
                    reached(Point::OutboxDelivered);
                    done.push(letter.sequence);
                }
                Ok((letter, Err(error))) => {
                    all = false;
                    self.metrics.not_delivered();
                    tracing::warn!(
                        enrolment = hex::encode(&letter.enrolment),
                        error,
                        "a message was not delivered and stays in the outbox"
                    );
                }
                Err(error) => {
                    all = false;
                    tracing::error!(%error, "a delivery ended abnormally");
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
        let mut seen = HashSet::new();
        rows.into_iter()
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

async fn to_verify(
    client: &Client<VerifyRequest, VerifyReply>,
    message: &VerifyRequest,
) -> Result<(), String> {
    match client.call(message, DELIVERY).await {
        Ok(VerifyReply::Done) => Ok(()),
        Ok(VerifyReply::Unavailable { detail, .. }) => Err(detail),
        Ok(other) => Err(format!("an answer to another question: {other:?}")),
        Err(error) => Err(error.to_string()),
    }
}

async fn to_sign(
    client: &Client<SignRequest, SignReply>,
    message: &SignRequest,
) -> Result<(), String> {
    match client.call(message, DELIVERY).await {
        Ok(SignReply::Done) => Ok(()),
        // Definite: `sign` has it in the ledger that it would not take it. Trying for ever would
        // hold up what comes after.
        Ok(SignReply::Refused { code }) => {
            tracing::error!(code, "sign refused a message of the outbox");
            Ok(())
        }
        Ok(SignReply::Unavailable { detail, .. }) => Err(detail),
        Ok(other) => Err(format!("an answer to another question: {other:?}")),
        Err(error) => Err(error.to_string()),
    }
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

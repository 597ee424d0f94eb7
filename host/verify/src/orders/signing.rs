//! Placed orders go to `sign`, one after the other, until each is signed, refused or held; ends go
//! to its ledger. Nothing is lost on the way: what was not answered is asked again.

use std::sync::Arc;
use std::time::Duration;

use countersign_ipc::{
    Bytes, EndedOrder, EnrolmentId, OrderEnd, OrderToSign, SignReply, SignRequest, SignedOrder,
};
use countersign_store::StoreError;
use countersign_store::rusqlite::params;
use tokio::sync::watch;

use super::{Orders, Reason, State, natural, number};
use crate::start::now;

/// The pause between two looks at the table.
const LOOK: Duration = Duration::from_secs(1);

/// The same while the fuse holds orders.
const LOOK_WHILE_HELD: Duration = Duration::from_secs(5);

/// How long `sign` may take to answer.
const ASK: Duration = Duration::from_secs(10);

/// Orders of one look.
const BATCH: u32 = 64;

/// Signs what is placed and reports what has ended, until `stop` becomes true.
pub(crate) async fn run(orders: Arc<Orders>, mut stop: watch::Receiver<bool>) {
    if !orders.are_signed {
        return;
    }
    loop {
        let signed = orders.sign_placed(now()).await;
        let reported = orders.report_ended().await;
        let pause = match (signed, reported) {
            (Ok(pause), Ok(())) => pause,
            (Err(error), _) | (_, Err(error)) => {
                tracing::error!(%error, "revocation orders wait: the database does not answer");
                LOOK_WHILE_HELD
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = async { stop.wait_for(|stop| *stop).await.is_ok() } => return,
        }
    }
}

impl Orders {
    /// Has `sign` sign what is placed; says when to look again.
    pub(super) async fn sign_placed(&self, now: u64) -> Result<Duration, StoreError> {
        for order in self.unsigned(now).await? {
            let certificate = order.certificate_sha256.0.clone();
            let serial = order.serial.clone();
            let reply = self.sign.call(&SignRequest::SignOrder(order), ASK).await;
            match reply {
                Ok(SignReply::OrderSigned(signed)) => {
                    tracing::info!(number = signed.number, serial, "a revocation order was signed");
                    self.keep_signed(certificate, signed).await?;
                }
                Ok(SignReply::OrderHeld { detail }) => {
                    self.hold_all(&detail).await?;
                    return Ok(LOOK_WHILE_HELD);
                }
                Ok(SignReply::Refused { code }) => {
                    tracing::error!(
                        serial,
                        code,
                        "ALARM: sign refuses a revocation order; revoke the certificate by hand"
                    );
                    self.refuse(certificate, code).await?;
                }
                Ok(SignReply::Unavailable { retry_after, detail }) => {
                    tracing::warn!(serial, detail, "a revocation order waits");
                    self.ask_later(certificate, now + u64::from(retry_after)).await?;
                }
                Ok(other) => {
                    tracing::error!(?other, "sign gave an answer to another question");
                    return Ok(LOOK_WHILE_HELD);
                }
                Err(error) => {
                    tracing::warn!(%error, "revocation orders wait for sign");
                    return Ok(LOOK_WHILE_HELD);
                }
            }
        }
        Ok(LOOK)
    }

    /// What `sign` has not signed, oldest first.
    async fn unsigned(&self, now: u64) -> Result<Vec<OrderToSign>, StoreError> {
        self.store
            .read(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT authority, serial, certificate_sha256, profile, enrolment, attempt,
                         reason, source, source_detail
                     FROM revocation_order
                     WHERE state IN ('placed', 'held') AND next_try <= ?1
                     ORDER BY ordered, certificate_sha256 LIMIT ?2",
                )?;
                let rows = statement.query_map(params![number(now), BATCH], |row| {
                    let reason: String = row.get(6)?;
                    Ok(OrderToSign {
                        authority: row.get(0)?,
                        serial: row.get(1)?,
                        certificate_sha256: Bytes(row.get(2)?),
                        profile: row.get(3)?,
                        enrolment: EnrolmentId(row.get(4)?),
                        attempt: row.get(5)?,
                        // An order from before there were revokers says what `check` found.
                        reason: reason.parse().unwrap_or(Reason::Unspecified).as_str().to_owned(),
                        source: row.get(7)?,
                        detail: row.get(8)?,
                    })
                })?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
    }

    async fn keep_signed(
        &self,
        certificate: Vec<u8>,
        signed: SignedOrder,
    ) -> Result<(), StoreError> {
        self.store
            .write(move |tx| {
                tx.prepare_cached(
                    "UPDATE revocation_order
                     SET state = 'signed', number = ?2, document = ?3, signature = ?4, next_try = 0
                     WHERE certificate_sha256 = ?1 AND state IN ('placed', 'held')",
                )?
                .execute(params![
                    certificate,
                    number(signed.number),
                    signed.document.0,
                    signed.signature.0
                ])?;
                Ok(())
            })
            .await
    }

    /// All that are placed are held from now on; the one alarm is `sign`'s.
    async fn hold_all(&self, detail: &str) -> Result<(), StoreError> {
        let held = self
            .store
            .write(|tx| {
                Ok(tx
                    .prepare_cached(
                        "UPDATE revocation_order SET state = 'held' WHERE state = 'placed'",
                    )?
                    .execute([])?)
            })
            .await?;
        if held > 0 {
            tracing::warn!(held, detail, "revocation orders are held");
        }
        Ok(())
    }

    async fn refuse(&self, certificate: Vec<u8>, code: String) -> Result<(), StoreError> {
        self.store
            .write(move |tx| {
                // Without a number there is nothing in the ledger to report an end of.
                tx.prepare_cached(
                    "UPDATE revocation_order
                     SET state = 'failed', final = 1, reported = 1, result = ?2
                     WHERE certificate_sha256 = ?1 AND state IN ('placed', 'held')",
                )?
                .execute(params![certificate, format!("sign refused it: {code}")])?;
                Ok(())
            })
            .await
    }

    async fn ask_later(&self, certificate: Vec<u8>, at: u64) -> Result<(), StoreError> {
        self.store
            .write(move |tx| {
                tx.prepare_cached(
                    "UPDATE revocation_order SET next_try = ?2 WHERE certificate_sha256 = ?1",
                )?
                .execute(params![certificate, number(at)])?;
                Ok(())
            })
            .await
    }

    /// Tells the ledger what became of orders.
    pub(super) async fn report_ended(&self) -> Result<(), StoreError> {
        for ended in self.unreported().await? {
            let number_of = ended.number;
            let reply = self.sign.call(&SignRequest::OrderEnded(ended), ASK).await;
            match reply {
                Ok(SignReply::Done) => {}
                Ok(SignReply::Refused { code }) => {
                    tracing::error!(number = number_of, code, "the ledger refuses an order's end");
                }
                Ok(other) => {
                    tracing::warn!(?other, "the end of an order waits for the ledger");
                    return Ok(());
                }
                Err(error) => {
                    tracing::warn!(%error, "the end of an order waits for the ledger");
                    return Ok(());
                }
            }
            self.store
                .write(move |tx| {
                    tx.prepare_cached(
                        "UPDATE revocation_order SET reported = 1 WHERE number = ?1",
                    )?
                    .execute([number(number_of)])?;
                    Ok(())
                })
                .await?;
        }
        Ok(())
    }

    async fn unreported(&self) -> Result<Vec<EndedOrder>, StoreError> {
        self.store
            .read(|connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT number, state, coalesce(revoker, ''), coalesce(result, '')
                     FROM revocation_order
                     WHERE final = 1 AND reported = 0 AND number IS NOT NULL
                     ORDER BY number LIMIT ?1",
                )?;
                let rows = statement.query_map([BATCH], |row| {
                    let state: String = row.get(1)?;
                    Ok(EndedOrder {
                        number: natural(row.get(0)?),
                        end: match State::from_word(&state) {
                            Some(State::CarriedOut) => OrderEnd::CarriedOut,
                            Some(State::NothingToDo) => OrderEnd::NothingToDo,
                            _ => OrderEnd::Failed,
                        },
                        revoker: row.get(2)?,
                        detail: row.get(3)?,
                    })
                })?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
    }
}

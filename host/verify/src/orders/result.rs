//! What became of orders, by the revoker's word.

use countersign_store::StoreError;
use countersign_store::rusqlite::{OptionalExtension as _, Transaction, params};
use serde::Deserialize;

use super::{Orders, Revoker, natural, number};

/// What is kept of a revoker's words.
const LONGEST: usize = 512;

/// The first pause before a failed order is served again, and the longest, seconds.
const FIRST_PAUSE: u64 = 30;
const LONGEST_PAUSE: u64 = 3600;

/// How one try went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Outcome {
    /// The certificate is revoked now.
    CarriedOut,
    /// The CA knows no such certificate, or it was revoked before.
    NothingToDo,
    /// Not done.
    Failed,
}

/// What a revoker says of one order.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct OrderResult {
    /// The order's number.
    pub(super) number: u64,
    /// How it went.
    pub(super) result: Outcome,
    /// Whether a failed one may be served again.
    #[serde(default)]
    pub(super) retry: bool,
    /// In the revoker's words.
    #[serde(default)]
    pub(super) detail: String,
}

impl Orders {
    /// Takes results. One for an order that is not this revoker's, or has ended, changes nothing.
    /// Says how many it took.
    pub(super) async fn take_results(
        &self,
        revoker: &Revoker,
        results: Vec<OrderResult>,
        now: u64,
    ) -> Result<usize, StoreError> {
        let (name, authorities) = (revoker.name.clone(), revoker.authorities.clone());
        self.store
            .write(move |tx| {
                let mut taken = 0;
                for result in results {
                    taken += usize::from(take_one(tx, &name, &authorities, &result, now)?);
                }
                Ok(taken)
            })
            .await
    }
}

fn take_one(
    tx: &Transaction<'_>,
    revoker: &str,
    authorities: &[String],
    result: &OrderResult,
    now: u64,
) -> Result<bool, StoreError> {
    let row: Option<(String, String, i64, String)> = tx
        .prepare_cached(
            "SELECT authority, state, tries, serial FROM revocation_order WHERE number = ?1",
        )?
        .query_row([number(result.number)], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .optional()?;
    let Some((authority, state, tries, serial)) = row else {
        tracing::warn!(revoker, number = result.number, "a result for an order that is not there");
        return Ok(false);
    };
    if !authorities.contains(&authority) {
        tracing::error!(revoker, number = result.number, "a result for another revoker's order");
        return Ok(false);
    }
    if matches!(state.as_str(), "carried-out" | "nothing-to-do" | "withdrawn") {
        // Told again, or too late: the first word counts.
        return Ok(true);
    }
    let detail: String = result.detail.chars().take(LONGEST).collect();
    let (state, is_final) = match (result.result, result.retry) {
        (Outcome::CarriedOut, _) => ("carried-out", true),
        (Outcome::NothingToDo, _) => ("nothing-to-do", true),
        (Outcome::Failed, retry) => ("failed", !retry),
    };
    if state == "failed" {
        tracing::error!(
            revoker,
            number = result.number,
            serial,
            retry = result.retry,
            detail,
            "ALARM: a certificate could not be revoked"
        );
    } else {
        tracing::info!(revoker, number = result.number, serial, state, "a revocation order ended");
    }
    let tries = natural(tries);
    let pause = FIRST_PAUSE.saturating_mul(1 << tries.min(16)).min(LONGEST_PAUSE);
    tx.prepare_cached(
        "UPDATE revocation_order
         SET state = ?2, final = ?3, reported = 0, tries = tries + 1, revoker = ?4, result = ?5,
             next_try = ?6, carried_out = CASE WHEN ?2 = 'failed' THEN NULL ELSE ?7 END
         WHERE number = ?1",
    )?
    .execute(params![
        number(result.number),
        state,
        is_final,
        revoker,
        detail,
        number(now.saturating_add(pause)),
        number(now)
    ])?;
    Ok(true)
}

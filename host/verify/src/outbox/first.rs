//! A device waits for its certificate, and its management must hear of it first: the notice is told at
//! once. A healthy service costs the device no second visit; for another one it comes again while
//! the outbox goes on.

use std::sync::Arc;
use std::time::Duration;

use countersign_store::StoreError;
use tokio::time::Instant;

use super::notice::{self, Untold};
use super::tell_and_settle;
use crate::decision::Verifiers;
use crate::start::now;

/// How long the device is kept waiting; below what `serve` waits.
const FIRST: Duration = Duration::from_secs(10);

/// The pause between two looks at a notice that somebody else has in hand.
const LOOK: Duration = Duration::from_millis(50);

/// Tells those that must hear of this outcome before the device does; true once all have.
pub(crate) async fn tell_first(
    verifiers: &Arc<Verifiers>,
    enrolment: [u8; 32],
    attempt: u32,
) -> Result<bool, StoreError> {
    let deadline = Instant::now() + FIRST;
    while Instant::now() < deadline {
        let mut untold = notice::untold(&verifiers.store, enrolment, attempt, now()).await?;
        untold.retain(|one| verifiers.hears_first(&one.plugin));
        if untold.is_empty() {
            return Ok(true);
        }
        if !try_all(verifiers, untold, deadline).await? {
            return Ok(false);
        }
    }
    Ok(false)
}

/// One try of each that can be tried now. False if nothing is left to wait for.
async fn try_all(
    verifiers: &Arc<Verifiers>,
    untold: Vec<Untold>,
    deadline: Instant,
) -> Result<bool, StoreError> {
    let numbers: Vec<i64> = untold.iter().map(|one| one.number).collect();
    let mut telling = Vec::new();
    for due in untold.into_iter().filter_map(|one| one.due) {
        if let Some(held) = verifiers.in_hand.take(due.number()) {
            // On its own: it goes on to its end when the device is not kept any longer.
            telling.push(tokio::spawn(tell_and_settle(Arc::clone(verifiers), due, held)));
        }
    }
    if telling.is_empty() {
        let in_other_hands = numbers.iter().any(|number| verifiers.in_hand.holds(*number));
        if in_other_hands {
            tokio::time::sleep(LOOK).await;
        }
        return Ok(in_other_hands);
    }
    for told in telling {
        match tokio::time::timeout_at(deadline, told).await {
            Ok(Ok(settled)) => settled?,
            Ok(Err(error)) => tracing::error!(%error, "telling an outcome ended abnormally"),
            Err(_) => return Ok(false),
        }
    }
    Ok(true)
}

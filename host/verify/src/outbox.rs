//! The outbox of outcomes: what became of an approval is told to every verifier that gave it and wants
//! to hear, at least once, in order per transaction, over restarts, and never lost: what cannot be
//! told is given up after some days, stays visible, and raises an alarm.
//!
//! A notice is written with its approval, so that nobody who approved can be forgotten; the outcome
//! makes it due.

mod first;
mod in_hand;
mod notice;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use countersign_ipc::EnrolmentId;
use countersign_profile::Certificate;
use countersign_sandbox::model::{Ending, Outcome};
use countersign_sandbox::{CallContext, CallError};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) use self::first::tell_first;
pub(crate) use self::in_hand::InHand;
use self::notice::{Due, Settled};
pub(crate) use self::notice::{Waiting, arrived, resend, sweep};
use crate::backend::RequestBackend;
use crate::certificate;
use crate::decision::Verifiers;
use crate::start::now;

/// Notices told side by side. Few: they share the plug-ins' places with devices that wait.
const AT_ONCE: u32 = 4;

/// The longest sleep; what is due earlier wakes it.
const LONGEST_SLEEP: u64 = 60;

/// How long a plug-in may take to tell one.
const NOTIFY: Duration = Duration::from_secs(30);

/// When to look again at a plug-in that has no place or is not asked for a while. That is no try.
const NO_PLACE: u64 = 10;

/// How a delivery ended.
enum Told {
    Done(Vec<countersign_sandbox::KvWrite>),
    /// A try that failed; the plug-in may say when to come again, in seconds.
    Failed {
        again: u64,
        why: String,
    },
    /// Nobody was asked.
    NoPlace,
}

/// Tells until `stop` becomes true. What is left then waits for the next start.
pub(crate) async fn run(verifiers: Arc<Verifiers>, mut stop: watch::Receiver<bool>) {
    loop {
        let sleep = match round(&verifiers).await {
            Ok(sleep) => sleep,
            Err(error) => {
                tracing::error!(%error, "the outbox of outcomes could not be read or written");
                NO_PLACE
            }
        };
        if sleep == 0 {
            if *stop.borrow() {
                return;
            }
            continue;
        }
        tokio::select! {
            () = verifiers.outcomes_came.notified() => {}
            () = tokio::time::sleep(Duration::from_secs(sleep)) => {}
            _ = async { stop.wait_for(|stop| *stop).await.is_ok() } => return,
        }
    }
}

/// Tells what is due, and says in how many seconds something else will be.
async fn round(verifiers: &Arc<Verifiers>) -> Result<u64, countersign_store::StoreError> {
    let due = notice::due(&verifiers.store, AT_ONCE, now()).await?;
    if due.is_empty() {
        let next = notice::next(&verifiers.store).await?;
        return Ok(
            next.map_or(LONGEST_SLEEP, |at| at.saturating_sub(now()).clamp(1, LONGEST_SLEEP))
        );
    }
    let mut telling = JoinSet::new();
    for notice in due {
        if let Some(held) = verifiers.in_hand.take(notice.number()) {
            telling.spawn(tell_and_settle(Arc::clone(verifiers), notice, held));
        }
    }
    if telling.is_empty() {
        // All of them are being told for devices that wait.
        return Ok(1);
    }
    while let Some(ended) = telling.join_next().await {
        match ended {
            Ok(settled) => settled?,
            Err(error) => tracing::error!(%error, "telling an outcome ended abnormally"),
        }
    }
    Ok(0)
}

/// Tells one, unless somebody else did since it was read.
async fn tell_and_settle(
    verifiers: Arc<Verifiers>,
    due: Due,
    _held: in_hand::Held,
) -> Result<(), countersign_store::StoreError> {
    if !notice::is_untouched(&verifiers.store, &due).await? {
        return Ok(());
    }
    let told = tell(&verifiers, &due).await;
    settle(&verifiers, due, told).await
}

async fn tell(verifiers: &Verifiers, due: &Due) -> Told {
    let failed = |why: String| Told::Failed { again: 0, why };
    let Some(installed) = verifiers.plugins.get(&due.plugin) else {
        return failed(format!("plug-in `{}` is not in the config any more", due.plugin));
    };
    let outcome = match outcome(verifiers, due) {
        Ok(outcome) => outcome,
        Err(why) => return failed(why),
    };
    let now = now();
    let backend = Arc::new(RequestBackend {
        challenges: Arc::clone(&verifiers.challenges),
        kv: verifiers.kv.clone(),
        info_sha256: None,
        issuing: None,
        now,
    });
    let context = CallContext {
        trace_id: due.trace_id(),
        trial: false,
        now,
        time_left: Some(NOTIFY),
        attributes: Vec::new(),
    };
    match installed.plugin.notify(context, outcome, backend).await {
        Ok(answered) => match answered.answer {
            Ok(()) => Told::Done(answered.staged.kv_writes),
            Err(retry) => Told::Failed { again: retry.after.as_secs(), why: retry.detail },
        },
        Err(failure) => match failure.error {
            CallError::Busy | CallError::Suspended(_) => Told::NoPlace,
            error => failed(error.to_string()),
        },
    }
}

/// The outcome in the contract's words, the same at each delivery.
fn outcome(verifiers: &Verifiers, due: &Due) -> Result<Outcome, String> {
    let letter = due.open(&verifiers.column_key)?;
    let reason = due.code.clone().unwrap_or_else(|| due.outcome.clone());
    let ending = match (due.outcome.as_str(), &due.certificate) {
        ("issued", Some(der)) => {
            let certificate = Certificate::parse(der)
                .and_then(|certificate| certificate::describe(&certificate))
                .map_err(|error| format!("the certificate cannot be read: {error}"))?;
            Ending::Issued(Box::new(certificate))
        }
        ("issued", None) => return Err("the certificate is not stored".to_owned()),
        ("withheld", _) => Ending::Withheld(reason),
        _ => Ending::Failed(reason),
    };
    Ok(Outcome {
        request: letter.request,
        ending,
        memo: letter.memo,
        idempotency_key: due.idempotency_key(),
        attributes: Vec::new(),
    })
}

async fn settle(
    verifiers: &Verifiers,
    due: Due,
    told: Told,
) -> Result<(), countersign_store::StoreError> {
    let (plugin, enrolment) = (due.plugin.clone(), EnrolmentId(due.enrolment).to_hex());
    let settled = match told {
        Told::Done(writes) => {
            let entries = verifiers.plugins.get(&plugin).map_or(0, |found| found.kv_entries);
            let key = Arc::clone(&verifiers.column_key);
            notice::done(&verifiers.store, due, key, writes, entries, now()).await?
        }
        Told::Failed { again, why } => {
            notice::failed(&verifiers.store, due, again, why, now()).await?
        }
        Told::NoPlace => notice::postponed(&verifiers.store, due, now() + NO_PLACE).await?,
    };
    let result = match &settled {
        Settled::Told => "told",
        Settled::Later { why } => {
            tracing::warn!(plugin, enrolment, why, "an outcome was not told and stays due");
            "retried"
        }
        Settled::NoPlace => "no-place",
        Settled::GivenUp { why } => {
            tracing::error!(
                plugin,
                enrolment,
                why,
                "ALARM: an outcome was given up: the device management does not know of it"
            );
            "given-up"
        }
    };
    verifiers.counters.count("outcomes", &[("plugin", &plugin), ("result", result)]);
    Ok(())
}

/// What is not told yet, for admins.
pub(crate) async fn facts(verifiers: &Verifiers) -> Value {
    notice::facts(&verifiers.store)
        .await
        .unwrap_or_else(|error| serde_json::json!({ "error": error.to_string() }))
}

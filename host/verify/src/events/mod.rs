//! What device managements say of their devices, pushed to us or pulled by us, and what comes of it.
//!
//! ```text
//!  /event/<plugin> ─▶ on-event ─┐                      ┌─▶ tombstone
//!                               ├─▶ actions, stored ───┤
//!  schedule ────▶ on-schedule ──┘   (once an id)       └─▶ orders ─▶ … ─▶ settled ─▶ the plug-in
//! ```
//!
//! An action is stored and carried out in one transaction, together with what the plug-in wrote and
//! with the cursor of its feed: what is answered with a 2xx is ordered, and what crashed before it
//! never was.
//!
//! | Module | Is |
//! |---|---|
//! | `action` | an action, once: its tombstone, its orders, or why there are none |
//! | `incoming` | a plug-in understands an event, or the next page of its feed |
//! | `schedule` | feeds are read on their schedule, from where they were left |
//! | `settle` | actions end with their orders, and plug-ins are told |

mod action;
mod incoming;
mod schedule;
mod settle;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) use self::action::place;
pub(crate) use self::incoming::NotTaken;
pub(crate) use self::settle::{facts, resend, sweep};
use crate::decision::Verifiers;

/// How long a plug-in may take to understand an event, to pull a page, to tell results.
const CALL: Duration = Duration::from_secs(25);

/// Reads feeds and settles actions until `stop` becomes true.
pub(crate) async fn run(verifiers: Arc<Verifiers>, stop: watch::Receiver<bool>) {
    let mut tasks = JoinSet::new();
    for (name, installed) in &verifiers.plugins {
        if !installed.plugin.offers().events {
            continue;
        }
        tasks.spawn(settle::tell(Arc::clone(&verifiers), name.clone(), stop.clone()));
        if let Some(every) = installed.schedule {
            let verifiers = Arc::clone(&verifiers);
            tasks.spawn(schedule::run(verifiers, name.clone(), every, stop.clone()));
        }
    }
    tasks.spawn(settle::run(verifiers, stop));
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a task of events ended abnormally");
        }
    }
}

/// Waits, or until `stop`; true if it is time to stop.
async fn pause(wait: Duration, stop: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        () = tokio::time::sleep(wait) => false,
        _ = async { stop.wait_for(|stop| *stop).await.is_ok() } => true,
    }
}

fn seconds(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

//! Feeds are read on their schedule, from where they were left. The cursor is stored with the
//! actions of its page: a page is never lost, and one that comes again repeats nothing.

use std::sync::Arc;
use std::time::Duration;

use countersign_store::rusqlite::{OptionalExtension as _, Transaction, params};
use countersign_store::{Store, StoreError};
use tokio::sync::watch;

use super::incoming::had_no_place;
use super::{pause, seconds};
use crate::decision::{Installed, Verifiers};
use crate::start::now;

/// Pages read without a pause, for a feed that always says that more is waiting.
const PAGES: u32 = 20;

/// The pause after them, and after a call that found no place, seconds.
const SHORT: u64 = 10;

/// The longest pause after failures, seconds; a plug-in may ask for a longer one.
const LONGEST: u64 = 3600;

/// What is kept of a reason.
const REASON: usize = 512;

/// Where a feed stands.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Feed {
    pub(super) cursor: Option<Vec<u8>>,
    pub(super) next_run: u64,
    pub(super) failures: u32,
}

/// How one page ended: when to read the next one.
enum Page {
    More,
    Read,
    Again { after: u64, why: String },
    NoPlace,
}

/// Reads a plug-in's feed until `stop` becomes true.
pub(super) async fn run(
    verifiers: Arc<Verifiers>,
    plugin: String,
    every: u32,
    mut stop: watch::Receiver<bool>,
) {
    let Some(installed) = verifiers.plugins.get(&plugin) else { return };
    let mut pages = 0;
    loop {
        let now = now();
        let feed = match load(&verifiers.store, &plugin).await {
            Ok(feed) => feed,
            Err(error) => {
                tracing::error!(plugin, %error, "where a feed stands could not be read");
                if pause(Duration::from_secs(SHORT), &mut stop).await {
                    return;
                }
                continue;
            }
        };
        let wait = feed.next_run.saturating_sub(now);
        // A clock that was put back must not stop the feed for longer than its schedule.
        if wait > 0 && pause(Duration::from_secs(wait.min(LONGEST * 24)), &mut stop).await {
            return;
        }
        if *stop.borrow() {
            return;
        }
        if let Err(error) = round(&verifiers, installed, feed, every, &mut pages).await {
            tracing::error!(plugin, %error, "where a feed stands could not be stored");
            if pause(Duration::from_secs(SHORT), &mut stop).await {
                return;
            }
        }
    }
}

async fn round(
    verifiers: &Verifiers,
    installed: &Installed,
    feed: Feed,
    every: u32,
    pages: &mut u32,
) -> Result<(), StoreError> {
    let plugin = installed.plugin.name().to_owned();
    let failures = feed.failures;
    let page = read(verifiers, installed, feed).await;
    let now = now();
    let (next, failures, why) = match page {
        Page::More => {
            *pages += 1;
            let short = SHORT.min(every.into());
            (
                if *pages < PAGES {
                    0
                } else {
                    std::mem::take(pages);
                    short
                },
                0,
                None,
            )
        }
        Page::Read => {
            *pages = 0;
            (every.into(), 0, None)
        }
        Page::Again { after, why } => {
            *pages = 0;
            let failures = failures.saturating_add(1);
            tracing::warn!(plugin, failures, why, "a feed was not read");
            (backed_off(failures, after), failures, Some(why))
        }
        Page::NoPlace => (SHORT, failures, None),
    };
    let result = if why.is_some() { "failed" } else { "read" };
    verifiers.counters.count("feeds", &[("plugin", &plugin), ("result", result)]);
    let why = why.map(|why| why.chars().take(REASON).collect::<String>());
    verifiers
        .store
        .write(move |tx| {
            tx.prepare_cached(
                "INSERT INTO feed (plugin, next_run, failures, failure) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (plugin) DO UPDATE SET next_run = ?2, failures = ?3, failure = ?4",
            )?
            .execute(params![
                plugin,
                seconds(now.saturating_add(next)),
                failures,
                why
            ])?;
            Ok(())
        })
        .await
}

async fn read(verifiers: &Verifiers, installed: &Installed, feed: Feed) -> Page {
    let failed = |why: String| Page::Again { after: 0, why };
    let now = now();
    let context = match verifiers.event_context(now) {
        Ok(context) => context,
        Err(error) => return failed(error.to_string()),
    };
    let before = feed.cursor.clone();
    let answered =
        installed.plugin.on_schedule(context, feed.cursor, verifiers.event_backend(now)).await;
    let outcome = match answered {
        Ok(outcome) => outcome,
        Err(failure) if had_no_place(&failure.error) => return Page::NoPlace,
        Err(failure) => return failed(failure.to_string()),
    };
    let batch = match outcome.answer {
        Ok(batch) => batch,
        Err(retry) => return Page::Again { after: retry.after.as_secs(), why: retry.detail },
    };
    // A page that leads nowhere is the last, whatever it says of more.
    let leads_on = !batch.actions.is_empty() || before.as_ref() != Some(&batch.cursor);
    let (plugin, cursor) = (installed.plugin.name().to_owned(), batch.cursor);
    let kept = verifiers
        .keep(installed, batch.actions, outcome.staged.kv_writes, now, move |tx| {
            advance(tx, &plugin, &cursor, now)
        })
        .await;
    match kept {
        Ok(_) if batch.more && leads_on => Page::More,
        Ok(_) => Page::Read,
        Err(error) => failed(error.to_string()),
    }
}

/// Stores the cursor, in the transaction of its page.
pub(super) fn advance(
    tx: &Transaction<'_>,
    plugin: &str,
    cursor: &[u8],
    now: u64,
) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO feed (plugin, cursor, read) VALUES (?1, ?2, ?3)
         ON CONFLICT (plugin) DO UPDATE SET cursor = ?2, read = ?3",
    )?
    .execute(params![plugin, cursor, seconds(now)])?;
    Ok(())
}

pub(super) async fn load(store: &Store, plugin: &str) -> Result<Feed, StoreError> {
    let plugin = plugin.to_owned();
    store
        .read(move |connection| {
            let found = connection
                .prepare_cached("SELECT cursor, next_run, failures FROM feed WHERE plugin = ?1")?
                .query_row([plugin], |row| {
                    Ok(Feed {
                        cursor: row.get(0)?,
                        next_run: u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0),
                        failures: row.get(2)?,
                    })
                })
                .optional()?;
            Ok(found.unwrap_or_default())
        })
        .await
}

/// Twice as long with each failure in a row; what the plug-in asks for counts if it is longer.
fn backed_off(failures: u32, asked: u64) -> u64 {
    (SHORT << failures.saturating_sub(1).min(16)).min(LONGEST).max(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_after_failures_grow_and_the_plug_in_may_ask_for_longer_ones() {
        let pauses: Vec<u64> = (1..=11).map(|failures| backed_off(failures, 0)).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]);
        assert_eq!(backed_off(1, 7), 10);
        assert_eq!(backed_off(1, 7200), 7200);
    }
}

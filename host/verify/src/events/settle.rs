//! Actions end with their orders, and plug-ins are told what became of them: at least once, some at a
//! time, over restarts.

use std::sync::Arc;
use std::time::Duration;

use countersign_sandbox::KvWrite;
use countersign_sandbox::model::{ActionResult, Settlement};
use countersign_store::rusqlite::{Transaction, params};
use countersign_store::{Store, StoreError};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::incoming::{NotStored, had_no_place};
use super::{pause, seconds};
use crate::decision::{Installed, Verifiers};
use crate::kv::{self, Written};
use crate::start::now;

/// The pause between two looks at what has ended.
const LOOK: Duration = Duration::from_secs(1);

/// The pause after a failure of the database.
const SHORT: Duration = Duration::from_secs(10);

/// Actions that are ended, or told, at once.
const AT_ONCE: u32 = 100;

/// Results are given up after so many tries: with an hour between the later ones, about four days.
const MOST_TRIES: u32 = 100;

/// The longest pause between two tries, seconds.
const LONGEST: u64 = 3600;

/// What is kept of a reason.
const REASON: usize = 512;

/// Actions are remembered for 400 days after they came, so that a repetition repeats nothing.
const REMEMBER: u64 = 400 * 24 * 60 * 60;

/// Dead results that are listed.
const LISTED: u32 = 100;

/// Ends actions with their orders until `stop` becomes true.
pub(super) async fn run(verifiers: Arc<Verifiers>, mut stop: watch::Receiver<bool>) {
    loop {
        let wait = match end_some(&verifiers.store).await {
            Ok(AT_ONCE) => Duration::ZERO,
            Ok(_) => LOOK,
            Err(error) => {
                tracing::error!(%error, "what became of actions could not be read or stored");
                SHORT
            }
        };
        if pause(wait, &mut stop).await {
            return;
        }
    }
}

/// Ends those whose orders have all ended; says how many.
pub(super) async fn end_some(store: &Store) -> Result<u32, StoreError> {
    let ended: Vec<(i64, String, String)> = store
        .read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT number, plugin, id FROM action a
                 WHERE state = 'open' AND NOT EXISTS (
                     SELECT 1 FROM action_order o
                     JOIN revocation_order r ON r.certificate_sha256 = o.certificate_sha256
                     WHERE o.action = a.number AND r.final = 0 AND r.state <> 'withdrawn')
                 ORDER BY number LIMIT ?1",
            )?;
            let rows = statement
                .query_map([AT_ONCE], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await?;
    let count = u32::try_from(ended.len()).unwrap_or(u32::MAX);
    if count > 0 {
        let end_all = move |tx: &Transaction<'_>| {
            for (number, plugin, id) in &ended {
                if let Some(settlement) = settlement(tx, *number)? {
                    tracing::info!(plugin, action = id, ?settlement, "an action has ended");
                    end(tx, *number, &settlement)?;
                }
            }
            Ok(())
        };
        store.write(end_all).await?;
    }
    Ok(count)
}

/// What became of the orders of an action, the worst of them first; nothing if one was placed anew
/// meanwhile.
fn settlement(tx: &Transaction<'_>, number: i64) -> Result<Option<Settlement>, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT o.had_ended, coalesce(r.state, 'withdrawn'), coalesce(r.result, ''),
                coalesce(r.final, 1)
         FROM action_order o
         LEFT JOIN revocation_order r ON r.certificate_sha256 = o.certificate_sha256
         WHERE o.action = ?1",
    )?;
    let mut rows = statement.query([number])?;
    let (mut done, mut withdrawn) = (false, false);
    while let Some(row) = rows.next()? {
        let (had_ended, state, result): (bool, String, String) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        if state != "withdrawn" && !row.get::<_, bool>(3)? {
            return Ok(None);
        }
        match state.as_str() {
            "carried-out" => done |= !had_ended,
            "nothing-to-do" => {}
            "withdrawn" => withdrawn = true,
            _ => {
                let result = if result.is_empty() { "the order failed".to_owned() } else { result };
                return Ok(Some(Settlement::Failed(result.chars().take(REASON).collect())));
            }
        }
    }
    Ok(Some(match (withdrawn, done) {
        (true, _) => Settlement::Refused("the order was taken back by two people".to_owned()),
        (false, true) => Settlement::Done,
        (false, false) => Settlement::NothingToDo,
    }))
}

/// Ends one action, inside the caller's transaction.
pub(super) fn end(
    tx: &Transaction<'_>,
    number: i64,
    settlement: &Settlement,
) -> Result<(), StoreError> {
    let result = serde_json::to_string(settlement)
        .map_err(|error| StoreError::Constraint(error.to_string()))?;
    tx.prepare_cached(
        "UPDATE action SET state = 'settled', result = ?2 WHERE number = ?1 AND state = 'open'",
    )?
    .execute(params![number, result])?;
    Ok(())
}

/// Results that wait for one plug-in.
#[derive(Debug, Default)]
pub(super) struct Untold {
    numbers: Vec<i64>,
    pub(super) results: Vec<ActionResult>,
}

/// Tells one plug-in until `stop` becomes true.
pub(super) async fn tell(
    verifiers: Arc<Verifiers>,
    plugin: String,
    mut stop: watch::Receiver<bool>,
) {
    let Some(installed) = verifiers.plugins.get(&plugin) else { return };
    loop {
        let wait = match tell_some(&verifiers, installed).await {
            Ok(wait) => wait,
            Err(error) => {
                tracing::error!(plugin, %error, "results of actions could not be read or stored");
                SHORT
            }
        };
        if pause(wait, &mut stop).await {
            return;
        }
    }
}

async fn tell_some(verifiers: &Verifiers, installed: &Installed) -> Result<Duration, StoreError> {
    let (plugin, now) = (installed.plugin.name().to_owned(), now());
    let untold = untold(&verifiers.store, &plugin, now).await?;
    if untold.numbers.is_empty() {
        return Ok(LOOK);
    }
    let failed = |why: String| (0, why);
    let (again, why) = match verifiers.event_context(now) {
        Err(error) => failed(error.to_string()),
        Ok(context) => {
            let backend = verifiers.event_backend(now);
            let results = untold.results.clone();
            match installed.plugin.settled(context, results, backend).await {
                Ok(answered) => match answered.answer {
                    Ok(()) => {
                        let writes = answered.staged.kv_writes;
                        match told(verifiers, installed, untold.numbers.clone(), writes, now).await
                        {
                            Ok(()) => return Ok(Duration::ZERO),
                            Err(NotStored::Store(error)) => return Err(error),
                            Err(error @ NotStored::Kv(_)) => failed(format!("told, but {error}")),
                        }
                    }
                    Err(retry) => (retry.after.as_secs(), retry.detail),
                },
                Err(failure) if had_no_place(&failure.error) => return Ok(SHORT),
                Err(failure) => failed(failure.to_string()),
            }
        }
    };
    let given_up = not_told(&verifiers.store, untold.numbers, again, why.clone(), now).await?;
    if given_up > 0 {
        tracing::error!(
            plugin,
            given_up,
            why,
            "ALARM: results of actions were given up: the device management does not know of them"
        );
    } else {
        tracing::warn!(plugin, why, "results of actions were not told and stay due");
    }
    Ok(LOOK)
}

/// What is due, oldest first.
pub(super) async fn untold(store: &Store, plugin: &str, now: u64) -> Result<Untold, StoreError> {
    let plugin = plugin.to_owned();
    store
        .read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT number, id, result FROM action
                 WHERE plugin = ?1 AND state = 'settled' AND next_try <= ?2
                 ORDER BY number LIMIT ?3",
            )?;
            let rows = statement.query_map(params![plugin, seconds(now), AT_ONCE], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?))
            })?;
            let mut untold = Untold::default();
            for row in rows {
                let (number, id, result) = row?;
                let settlement = serde_json::from_str(&result)
                    .unwrap_or_else(|_| Settlement::Failed("the result was lost".to_owned()));
                untold.numbers.push(number);
                untold.results.push(ActionResult { id, settlement, attributes: Vec::new() });
            }
            Ok(untold)
        })
        .await
}

async fn told(
    verifiers: &Verifiers,
    installed: &Installed,
    numbers: Vec<i64>,
    writes: Vec<KvWrite>,
    now: u64,
) -> Result<(), NotStored> {
    let (plugin, entries) = (installed.plugin.name().to_owned(), installed.kv_entries);
    let key = Arc::clone(&verifiers.column_key);
    verifiers
        .store
        .try_write(move |tx| {
            match kv::write(tx, &key, &plugin, &writes, entries, now)? {
                Written::Done => {}
                other => return Err(NotStored::Kv(other)),
            }
            Ok(mark_told(tx, &numbers)?)
        })
        .await
}

pub(super) fn mark_told(tx: &Transaction<'_>, numbers: &[i64]) -> Result<(), StoreError> {
    let mut statement =
        tx.prepare_cached("UPDATE action SET state = 'told', failure = NULL WHERE number = ?1")?;
    for number in numbers {
        statement.execute([number])?;
    }
    Ok(())
}

/// A try has failed; says how many results are given up with it.
pub(super) async fn not_told(
    store: &Store,
    numbers: Vec<i64>,
    again: u64,
    why: String,
    now: u64,
) -> Result<usize, StoreError> {
    let why: String = why.chars().take(REASON).collect();
    store
        .write(move |tx| {
            let mut given_up = 0;
            for number in numbers {
                let tries: u32 = tx
                    .prepare_cached(
                        "UPDATE action SET tries = tries + 1, failure = ?2 WHERE number = ?1
                         RETURNING tries",
                    )?
                    .query_row(params![number, why], |row| row.get(0))?;
                let dead = tries >= MOST_TRIES;
                given_up += usize::from(dead);
                let pause = (1_u64 << tries.min(16)).min(LONGEST).max(again);
                tx.prepare_cached("UPDATE action SET state = ?2, next_try = ?3 WHERE number = ?1")?
                    .execute(params![
                        number,
                        if dead { "dead" } else { "settled" },
                        seconds(now.saturating_add(pause))
                    ])?;
            }
            Ok(given_up)
        })
        .await
}

/// A dead result is told again; false if there is no such one.
pub(crate) async fn resend(store: &Store, number: i64) -> Result<bool, StoreError> {
    store
        .write(move |tx| {
            let again = tx
                .prepare_cached(
                    "UPDATE action SET state = 'settled', tries = 0, next_try = 0
                     WHERE number = ?1 AND state = 'dead'",
                )?
                .execute([number])?;
            Ok(again == 1)
        })
        .await
}

/// Removes what nobody asks for any more.
pub(crate) fn sweep(tx: &Transaction<'_>, now: u64) -> Result<usize, StoreError> {
    let before = seconds(now.saturating_sub(REMEMBER));
    tx.prepare_cached(
        "DELETE FROM action_order WHERE action IN (
             SELECT number FROM action WHERE state <> 'open' AND stored < ?1)",
    )?
    .execute([before])?;
    Ok(tx
        .prepare_cached("DELETE FROM action WHERE state <> 'open' AND stored < ?1")?
        .execute([before])?)
}

/// Counts, feeds, and results that were given up, for admins.
pub(crate) async fn facts(store: &Store) -> Result<Value, StoreError> {
    store
        .read(|connection| {
            let count = |state: &str| {
                connection
                    .prepare_cached("SELECT count(*) FROM action WHERE state = ?1")?
                    .query_row([state], |row| row.get::<_, u32>(0))
            };
            let mut statement = connection.prepare_cached(
                "SELECT number, plugin, id, result, tries, failure FROM action
                 WHERE state = 'dead' ORDER BY number DESC LIMIT ?1",
            )?;
            let dead = statement
                .query_map([LISTED], |row| {
                    let result: String = row.get(3)?;
                    Ok(json!({
                        "id": format!("result-{}", row.get::<_, i64>(0)?),
                        "plugin": row.get::<_, String>(1)?,
                        "action": row.get::<_, String>(2)?,
                        "outcome": serde_json::from_str::<Value>(&result).unwrap_or_default(),
                        "tries": row.get::<_, u32>(4)?,
                        "failure": row.get::<_, Option<String>>(5)?,
                    }))
                })?
                .collect::<Result<Vec<_>, _>>()?;
            let mut statement = connection.prepare_cached(
                "SELECT plugin, read, next_run, failures, failure FROM feed ORDER BY plugin",
            )?;
            let feeds = statement
                .query_map([], |row| {
                    Ok(json!({
                        "plugin": row.get::<_, String>(0)?,
                        "read": row.get::<_, Option<i64>>(1)?,
                        "next-run": row.get::<_, i64>(2)?,
                        "failures": row.get::<_, u32>(3)?,
                        "failure": row.get::<_, Option<String>>(4)?,
                    }))
                })?
                .collect::<Result<Vec<_>, _>>()?;
            Ok(json!({
                "open": count("open")?,
                "settled": count("settled")?,
                "given-up": count("dead")?,
                "newest-given-up": dead,
                "feeds": feeds,
            }))
        })
        .await
}

//! Notices in the database: waiting for an outcome, due, or given up.

use std::sync::Arc;

use countersign_ipc::{Bytes, EnrolmentId};
use countersign_sandbox::{KvWrite, model};
use countersign_store::rusqlite::{ToSql, Transaction, params};
use countersign_store::{ColumnKey, Store, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::kv::{self, Written};

/// A notice is given up after so many tries: with an hour between the later ones, about four days.
const MOST_TRIES: u32 = 100;

/// The longest pause between two tries, seconds.
const LONGEST_PAUSE: u64 = 3600;

/// Notices that nothing came of, and those given up, are removed after 200 days: longer than any
/// request may be pending.
const KEEP: u64 = 200 * 24 * 60 * 60;

/// The longest reason that is kept.
const REASON: usize = 512;

/// Given up notices that are listed.
const LISTED: u32 = 100;

const DUE: &str =
    "SELECT n.number, n.enrolment, n.attempt, n.plugin, n.request, n.tries, n.outcome, n.code,
            a.certificate
     FROM notice n
     JOIN approval a ON a.enrolment = n.enrolment AND a.attempt = n.attempt
     WHERE n.state = 'due' AND n.next_try <= ?1
       -- only
       AND NOT EXISTS (
         SELECT 1 FROM notice e
         WHERE e.state = 'due' AND e.plugin = n.plugin AND e.thread = n.thread
           AND e.arrived < n.arrived)
     ORDER BY n.arrived, n.number LIMIT ?2";

/// A notice to be, which is written with its approval.
#[derive(Debug)]
pub(crate) struct Waiting {
    plugin: String,
    thread: [u8; 32],
    request: Vec<u8>,
}

/// What a notice holds, sealed: the request has a challenge inside.
#[derive(Serialize, Deserialize)]
pub(super) struct Letter {
    pub(super) request: model::Request,
    csr: Bytes,
    memo_text: Bytes,
    #[serde(skip)]
    pub(super) memo: Vec<u8>,
}

/// A notice to be told now.
#[derive(Debug)]
pub(super) struct Due {
    number: i64,
    pub(super) enrolment: [u8; 32],
    attempt: u32,
    pub(super) plugin: String,
    request: Vec<u8>,
    tries: u32,
    pub(super) outcome: String,
    pub(super) code: Option<String>,
    pub(super) certificate: Option<Vec<u8>>,
}

/// Where a notice stands after a delivery.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Settled {
    Told,
    Later { why: String },
    NoPlace,
    GivenUp { why: String },
}

impl Waiting {
    /// Seals what the verifier will be told about.
    pub(crate) fn new(
        key: &ColumnKey,
        (enrolment, attempt): (&EnrolmentId, u32),
        plugin: &str,
        mut request: model::Request,
        memo: &[u8],
    ) -> Result<Self, StoreError> {
        let mut thread = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        thread.update(&(request.profile.len() as u64).to_be_bytes());
        thread.update(request.profile.as_bytes());
        thread.update(request.transaction_id.as_bytes());
        let mut digest = [0_u8; 32];
        digest.copy_from_slice(thread.finish().as_ref());
        let csr = Bytes(std::mem::take(&mut request.csr));
        let letter = Letter { request, csr, memo_text: Bytes(memo.to_vec()), memo: Vec::new() };
        let text = serde_json::to_vec(&letter).map(Zeroizing::new);
        let text = text.map_err(|error| StoreError::Constraint(error.to_string()))?;
        let request = key
            .seal("notice", "request", &place(&enrolment.0, attempt, plugin), &text)
            .map_err(|error| StoreError::Constraint(error.to_string()))?;
        Ok(Self { plugin: plugin.to_owned(), thread: digest, request })
    }

    /// Writes it, inside the transaction of the approval. The same approval again replaces it.
    pub(crate) fn write(
        &self,
        tx: &Transaction<'_>,
        enrolment: &[u8; 32],
        attempt: u32,
        now: u64,
    ) -> Result<(), StoreError> {
        tx.prepare_cached(
            "INSERT INTO notice (enrolment, attempt, plugin, thread, approved, request)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (enrolment, attempt, plugin) DO UPDATE
             SET approved = ?5, request = ?6 WHERE state = 'waiting'",
        )?
        .execute(params![
            enrolment,
            attempt,
            self.plugin,
            self.thread,
            seconds(now),
            self.request
        ])?;
        Ok(())
    }
}

/// Makes the notices of an approval due, inside the transaction that keeps its outcome.
pub(crate) fn arrived(
    tx: &Transaction<'_>,
    enrolment: &[u8; 32],
    attempt: u32,
    outcome: &str,
    code: Option<&str>,
) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE notice
         SET state = 'due', outcome = ?3, code = ?4,
             arrived = (SELECT coalesce(max(arrived), 0) + 1 FROM notice WHERE arrived IS NOT NULL)
         WHERE enrolment = ?1 AND attempt = ?2 AND state = 'waiting'",
    )?
    .execute(params![enrolment, attempt, outcome, code])?;
    Ok(())
}

/// The oldest of each thread and plug-in, if its time has come.
pub(super) async fn due(store: &Store, most: u32, now: u64) -> Result<Vec<Due>, StoreError> {
    select_due(store, most, now, None).await
}

/// The same, of one attempt only where `of` names it.
async fn select_due(
    store: &Store,
    most: u32,
    now: u64,
    of: Option<([u8; 32], u32)>,
) -> Result<Vec<Due>, StoreError> {
    let only = match of {
        None => "",
        Some(_) => "AND n.enrolment = ?3 AND n.attempt = ?4",
    };
    let sql = DUE.replace("-- only", only);
    let (enrolment, attempt) = of.unzip();
    let now = seconds(now);
    store
        .read(move |connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let mut values: Vec<&dyn ToSql> = vec![&now, &most];
            if let (Some(enrolment), Some(attempt)) = (&enrolment, &attempt) {
                values.extend([enrolment as &dyn ToSql, attempt]);
            }
            let rows = statement.query_map(values.as_slice(), |row| {
                Ok(Due {
                    number: row.get(0)?,
                    enrolment: row.get(1)?,
                    attempt: row.get(2)?,
                    plugin: row.get(3)?,
                    request: row.get(4)?,
                    tries: row.get(5)?,
                    outcome: row.get(6)?,
                    code: row.get(7)?,
                    certificate: row.get(8)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
}

/// A notice of one enrolment that is not told yet.
#[derive(Debug)]
pub(super) struct Untold {
    pub(super) number: i64,
    pub(super) plugin: String,
    /// To be told now, if nothing of its thread comes before it and it is not given up.
    pub(super) due: Option<Due>,
}

/// What is not told yet of one attempt, whoever is to hear it.
pub(super) async fn untold(
    store: &Store,
    enrolment: [u8; 32],
    attempt: u32,
    now: u64,
) -> Result<Vec<Untold>, StoreError> {
    let untold = store
        .read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT number, plugin FROM notice WHERE enrolment = ?1 AND attempt = ?2",
            )?;
            let rows = statement.query_map(params![enrolment, attempt], |row| {
                Ok(Untold { number: row.get(0)?, plugin: row.get(1)?, due: None })
            })?;
            Ok(rows.collect::<Result<Vec<_>, _>>()?)
        })
        .await?;
    if untold.is_empty() {
        return Ok(untold);
    }
    let mut due = select_due(store, u32::MAX, now, Some((enrolment, attempt))).await?;
    let with = |mut one: Untold| {
        let at = due.iter().position(|due| due.number == one.number);
        one.due = at.map(|at| due.swap_remove(at));
        one
    };
    Ok(untold.into_iter().map(with).collect())
}

/// Whether a notice is still as it was read: nobody has told it since.
pub(super) async fn is_untouched(store: &Store, due: &Due) -> Result<bool, StoreError> {
    let (number, tries) = (due.number, due.tries);
    store
        .read(move |connection| {
            Ok(connection
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM notice
                         WHERE number = ?1 AND tries = ?2 AND state = 'due')",
                )?
                .query_row(params![number, tries], |row| row.get(0))?)
        })
        .await
}

/// When the next one will be due.
pub(super) async fn next(store: &Store) -> Result<Option<u64>, StoreError> {
    let next: Option<i64> = store
        .read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT min(next_try) FROM notice WHERE state = 'due'")?;
            Ok(statement.query_row([], |row| row.get(0))?)
        })
        .await?;
    Ok(next.and_then(|next| u64::try_from(next).ok()))
}

/// It was told: what the plug-in wrote comes true with the notice's end.
pub(super) async fn done(
    store: &Store,
    due: Due,
    key: Arc<ColumnKey>,
    writes: Vec<KvWrite>,
    entries: u32,
    now: u64,
) -> Result<Settled, StoreError> {
    let (number, plugin) = (due.number, due.plugin.clone());
    let written = store
        .try_write(move |tx| {
            // Rolled back by the error, so that the writes are all or none.
            match kv::write(tx, &key, &plugin, &writes, entries, now)? {
                Written::Done => {}
                other => return Err(NotKept::Kv(other)),
            }
            tx.prepare_cached("DELETE FROM notice WHERE number = ?1")
                .and_then(|mut delete| delete.execute([number]))
                .map_err(StoreError::from)?;
            Ok(())
        })
        .await;
    match written {
        Ok(()) => Ok(Settled::Told),
        Err(NotKept::Store(error)) => Err(error),
        Err(NotKept::Kv(written)) => {
            let why = format!("told, but what the plug-in wrote could not be kept ({written:?})");
            failed(store, due, 0, why, now).await
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum NotKept {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0:?}")]
    Kv(Written),
}

/// A try has failed.
pub(super) async fn failed(
    store: &Store,
    due: Due,
    again: u64,
    why: String,
    now: u64,
) -> Result<Settled, StoreError> {
    let why: String = why.chars().take(REASON).collect();
    let tries = due.tries.saturating_add(1);
    let given_up = tries >= MOST_TRIES;
    let pause = (1_u64 << tries.min(16)).min(LONGEST_PAUSE).max(again);
    let (state, next) = (if given_up { "dead" } else { "due" }, now.saturating_add(pause));
    let kept = why.clone();
    store
        .write(move |tx| {
            tx.prepare_cached(
                "UPDATE notice SET state = ?2, tries = ?3, next_try = ?4, failure = ?5
                 WHERE number = ?1",
            )?
            .execute(params![due.number, state, tries, seconds(next), kept])?;
            Ok(())
        })
        .await?;
    Ok(if given_up { Settled::GivenUp { why } } else { Settled::Later { why } })
}

/// Nobody was asked: no try.
pub(super) async fn postponed(store: &Store, due: Due, until: u64) -> Result<Settled, StoreError> {
    store
        .write(move |tx| {
            tx.prepare_cached("UPDATE notice SET next_try = ?2 WHERE number = ?1")?
                .execute(params![due.number, seconds(until)])?;
            Ok(())
        })
        .await?;
    Ok(Settled::NoPlace)
}

/// A notice that was given up is told again; false if there is no such one.
pub(crate) async fn resend(store: &Store, number: i64) -> Result<bool, StoreError> {
    store
        .write(move |tx| {
            let again = tx
                .prepare_cached(
                    "UPDATE notice SET state = 'due', tries = 0, next_try = 0
                     WHERE number = ?1 AND state = 'dead'",
                )?
                .execute([number])?;
            Ok(again == 1)
        })
        .await
}

/// Removes what nobody waits for any more.
pub(crate) fn sweep(tx: &Transaction<'_>, now: u64) -> Result<usize, StoreError> {
    Ok(tx
        .prepare_cached("DELETE FROM notice WHERE state <> 'due' AND approved < ?1")?
        .execute([seconds(now.saturating_sub(KEEP))])?)
}

/// Counts, and those given up, newest first.
pub(super) async fn facts(store: &Store) -> Result<Value, StoreError> {
    store
        .read(|connection| {
            let count = |state: &str| {
                connection
                    .prepare_cached("SELECT count(*) FROM notice WHERE state = ?1")?
                    .query_row([state], |row| row.get::<_, u32>(0))
            };
            let mut statement = connection.prepare_cached(
                "SELECT enrolment, attempt, plugin, outcome, tries, failure, number FROM notice
                 WHERE state = 'dead' ORDER BY number DESC LIMIT ?1",
            )?;
            let rows = statement.query_map([LISTED], |row| {
                Ok(json!({
                    "id": format!("notice-{}", row.get::<_, i64>(6)?),
                    "enrolment": hex::encode(row.get::<_, [u8; 32]>(0)?),
                    "attempt": row.get::<_, u32>(1)?,
                    "plugin": row.get::<_, String>(2)?,
                    "outcome": row.get::<_, String>(3)?,
                    "tries": row.get::<_, u32>(4)?,
                    "failure": row.get::<_, Option<String>>(5)?,
                }))
            })?;
            let dead = rows.collect::<Result<Vec<_>, _>>()?;
            Ok(json!({
                "waiting": count("waiting")?,
                "due": count("due")?,
                "given-up": count("dead")?,
                "newest-given-up": dead,
            }))
        })
        .await
}

impl Due {
    pub(super) fn number(&self) -> i64 {
        self.number
    }

    pub(super) fn open(&self, key: &ColumnKey) -> Result<Letter, String> {
        let place = place(&self.enrolment, self.attempt, &self.plugin);
        let text = key
            .open("notice", "request", &place, &self.request)
            .map_err(|error| error.to_string())?;
        let mut letter: Letter =
            serde_json::from_slice(&text).map_err(|_| "the notice cannot be read".to_owned())?;
        letter.request.csr = std::mem::take(&mut letter.csr.0);
        letter.memo = std::mem::take(&mut letter.memo_text.0);
        Ok(letter)
    }

    #[cfg(test)]
    pub(super) fn tries_before(&self) -> u32 {
        self.tries
    }

    pub(super) fn trace_id(&self) -> String {
        EnrolmentId(self.enrolment).to_hex().chars().take(16).collect()
    }

    /// The same for each delivery of this outcome, different for every other: an attempt of an
    /// enrolment ends once.
    pub(super) fn idempotency_key(&self) -> String {
        format!("{}.{}", EnrolmentId(self.enrolment).to_hex(), self.attempt)
    }
}

/// What a sealed letter is bound to.
fn place(enrolment: &[u8; 32], attempt: u32, plugin: &str) -> Vec<u8> {
    [enrolment.as_slice(), &attempt.to_be_bytes(), plugin.as_bytes()].concat()
}

fn seconds(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

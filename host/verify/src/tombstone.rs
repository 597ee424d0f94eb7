//! Devices that get no further certificate: their management said that they are wiped, retired, lost.
//!
//! A tombstone belongs to a plug-in and one of its devices, and stops every profile of that plug-in:
//! those that name it now, and those that did when it was placed. It is looked at in the
//! transaction that commits an approval, and again when an outcome arrives. Only an admin lifts it.

use countersign_store::rusqlite::{OptionalExtension as _, Row, Transaction, params};
use countersign_store::{Store, StoreError};
use serde_json::{Value, json};

use crate::devices::Reach;
use crate::orders::Reason;

/// Tombstones that are listed.
const LISTED: u32 = 1000;

/// The longest text of a plug-in that is kept.
const WORDS: usize = 256;

/// A tombstone that stops a device.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tombstone {
    pub(crate) plugin: String,
    pub(crate) reason: Reason,
}

/// Which action places it, and why.
#[derive(Debug)]
pub(crate) struct Because<'a> {
    pub(crate) action: &'a str,
    pub(crate) reason: Reason,
    pub(crate) detail: &'a str,
}

/// Places one; an earlier one stays as it is.
pub(crate) fn place(
    tx: &Transaction<'_>,
    reach: &Reach,
    plugin: &str,
    device_id: &str,
    because: &Because<'_>,
    now: u64,
) -> Result<(), StoreError> {
    let profiles = serde_json::to_string(&reach.profiles_of(plugin))
        .map_err(|error| StoreError::Constraint(error.to_string()))?;
    let detail: String = because.detail.chars().take(WORDS).collect();
    tx.prepare_cached(
        "INSERT INTO tombstone (device_id, plugin, placed, action, detail, reason, profiles)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
    )?
    .execute(params![
        device_id,
        plugin,
        seconds(now),
        because.action,
        detail,
        because.reason.as_str(),
        profiles
    ])?;
    Ok(())
}

/// The tombstone that stops a device under a profile, if there is one.
pub(crate) fn of(
    tx: &Transaction<'_>,
    reach: &Reach,
    profile: &str,
    device_id: &str,
) -> Result<Option<Tombstone>, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT plugin, reason,
                EXISTS (SELECT 1 FROM json_each(profiles) WHERE value = ?2)
         FROM tombstone WHERE device_id = ?1",
    )?;
    let mut rows = statement.query(params![device_id, profile])?;
    while let Some(row) = rows.next()? {
        let (plugin, reason): (String, String) = (row.get(0)?, row.get(1)?);
        if row.get(2)? || reach.reaches(&plugin, profile) {
            let reason = reason.parse().unwrap_or(Reason::Unspecified);
            return Ok(Some(Tombstone { plugin, reason }));
        }
    }
    Ok(None)
}

/// All, newest first.
pub(crate) async fn list(store: &Store) -> Result<Value, StoreError> {
    store
        .read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT device_id, plugin, placed, action, detail, reason, profiles FROM tombstone
                 ORDER BY placed DESC, device_id LIMIT ?1",
            )?;
            let rows = statement.query_map([LISTED], fact)?;
            Ok(Value::Array(rows.collect::<Result<_, _>>()?))
        })
        .await
}

fn fact(row: &Row<'_>) -> Result<Value, countersign_store::rusqlite::Error> {
    let profiles: String = row.get(6)?;
    Ok(json!({
        "device-id": row.get::<_, String>(0)?,
        "plugin": row.get::<_, String>(1)?,
        "placed": row.get::<_, i64>(2)?,
        "action": row.get::<_, String>(3)?,
        "detail": row.get::<_, String>(4)?,
        "reason": row.get::<_, String>(5)?,
        "profiles": serde_json::from_str::<Value>(&profiles).unwrap_or_default(),
    }))
}

/// Lifts one; says what it was, or nothing if there was none. Orders stay: a certificate that was
/// ordered revoked is not the device's any more.
pub(crate) async fn lift(
    store: &Store,
    plugin: String,
    device_id: String,
) -> Result<Option<Value>, StoreError> {
    store
        .write(move |tx| {
            let found = tx
                .prepare_cached(
                    "DELETE FROM tombstone WHERE device_id = ?1 AND plugin = ?2
                     RETURNING device_id, plugin, placed, action, detail, reason, profiles",
                )?
                .query_row(params![device_id, plugin], fact)
                .optional()?;
            Ok(found)
        })
        .await
}

fn seconds(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

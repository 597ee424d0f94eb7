//! Orders as people see them: those that have not ended, and what came to nothing.

use countersign_store::StoreError;
use countersign_store::rusqlite::{Connection, Row};
use serde_json::{Map, Value, json};

use super::Orders;

/// Rows of one answer: it must fit into a frame.
const MOST: u32 = 1000;

/// Tries after which an order that still fails is an orphan too.
const MANY_TRIES: u32 = 3;

const COLUMNS: &str = "certificate_sha256, authority, serial, enrolment, attempt, profile, reason,
    ordered, state, source, source_detail, number, tries, revoker, result";

impl Orders {
    /// Orders that have not ended, oldest first.
    pub(crate) async fn open(&self) -> Result<Value, StoreError> {
        self.store.read(|connection| rows(connection, "final = 0")).await
    }

    /// How many orders stand where.
    pub(crate) async fn counts(&self) -> Result<Value, StoreError> {
        self.store
            .read(|connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT state, count(*) FROM revocation_order GROUP BY state",
                )?;
                let rows =
                    statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
                let mut counts = Map::new();
                for row in rows {
                    let (state, count): (String, i64) = row?;
                    counts.insert(state, count.into());
                }
                Ok(Value::Object(counts))
            })
            .await
    }

    /// What a person must look at: orders that failed, or keep failing; and delivered certificates
    /// of devices that their management gave up, which nobody ordered revoked.
    pub(crate) async fn orphans(&self) -> Result<Value, StoreError> {
        self.store
            .read(|connection| {
                let failed = format!("state = 'failed' AND (final = 1 OR tries >= {MANY_TRIES})");
                Ok(json!({
                    "failed-orders": rows(connection, &failed)?,
                    "left-behind": left_behind(connection)?,
                }))
            })
            .await
    }
}

fn rows(connection: &Connection, condition: &str) -> Result<Value, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM revocation_order WHERE {condition} ORDER BY ordered LIMIT {MOST}"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([], shown)?;
    Ok(Value::Array(rows.collect::<Result<_, _>>()?))
}

fn shown(row: &Row<'_>) -> countersign_store::rusqlite::Result<Value> {
    Ok(json!({
        "certificate-sha256": hex::encode(row.get::<_, Vec<u8>>(0)?),
        "authority": row.get::<_, String>(1)?,
        "serial": row.get::<_, String>(2)?,
        "enrolment": hex::encode(row.get::<_, Vec<u8>>(3)?),
        "attempt": row.get::<_, u32>(4)?,
        "profile": row.get::<_, String>(5)?,
        "reason": row.get::<_, String>(6)?,
        "ordered": row.get::<_, i64>(7)?,
        "state": row.get::<_, String>(8)?,
        "source": row.get::<_, String>(9)?,
        "detail": row.get::<_, String>(10)?,
        "number": row.get::<_, Option<i64>>(11)?,
        "tries": row.get::<_, i64>(12)?,
        "revoker": row.get::<_, Option<String>>(13)?,
        "result": row.get::<_, Option<String>>(14)?,
    }))
}

fn left_behind(connection: &Connection) -> Result<Value, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT a.certificate_sha256, a.profile, a.device_id, a.approved FROM approval AS a
         WHERE a.outcome = 'issued' AND a.device_id IS NOT NULL
             AND NOT EXISTS (
                 SELECT 1 FROM revocation_order AS o
                 WHERE o.certificate_sha256 = a.certificate_sha256 AND o.state <> 'withdrawn'
             )
             AND EXISTS (
                 SELECT 1 FROM tombstone AS t
                 WHERE t.device_id = a.device_id
                     AND EXISTS (SELECT 1 FROM json_each(t.profiles) WHERE value = a.profile)
             )
         ORDER BY a.approved LIMIT 1000",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(json!({
            "certificate-sha256": hex::encode(row.get::<_, Vec<u8>>(0)?),
            "profile": row.get::<_, String>(1)?,
            "device": row.get::<_, String>(2)?,
            "approved": row.get::<_, i64>(3)?,
        }))
    })?;
    Ok(Value::Array(rows.collect::<Result<_, _>>()?))
}

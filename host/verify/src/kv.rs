//! The plug-ins' key-value spaces. Writes made in a call are committed with its approval, under
//! the expectations they were made under, or not at all.

use std::sync::Arc;

use countersign_sandbox::{KvChange, KvExpectation, KvWrite};
use countersign_store::rusqlite::{OptionalExtension as _, Transaction, params};
use countersign_store::{ColumnKey, Store, StoreError};

/// Reads of all plug-ins' spaces.
#[derive(Debug, Clone)]
pub(crate) struct Kv {
    store: Store,
    key: Arc<ColumnKey>,
}

/// How a commit of writes ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Written {
    Done,
    /// Another call changed what this one was built on.
    Conflict,
    /// The plug-in's quota is used up.
    Full,
}

impl Kv {
    pub(crate) fn new(store: Store, key: Arc<ColumnKey>) -> Self {
        Self { store, key }
    }

    /// The unexpired value of a key.
    pub(crate) async fn get(
        &self,
        plugin: &str,
        key: &str,
        now: u64,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let (plugin, name) = (plugin.to_owned(), key.to_owned());
        let column_key = Arc::clone(&self.key);
        self.store
            .look_up(move |connection| {
                let sealed = connection
                    .prepare_cached(
                        "SELECT value FROM kv
                         WHERE plugin = ?1 AND key = ?2 AND (expires IS NULL OR expires > ?3)",
                    )?
                    .query_row(params![plugin, name, seconds(now)], |row| row.get::<_, Vec<u8>>(0))
                    .optional()?;
                sealed.map(|sealed| open(&column_key, &plugin, &name, &sealed)).transpose()
            })
            .await
    }
}

/// Applies the writes of one call, inside the transaction that commits its approval.
pub(crate) fn write(
    tx: &Transaction<'_>,
    key: &ColumnKey,
    plugin: &str,
    writes: &[KvWrite],
    most_entries: u32,
    now: u64,
) -> Result<Written, StoreError> {
    for write in writes {
        let found = tx
            .prepare_cached(
                "SELECT value FROM kv
                 WHERE plugin = ?1 AND key = ?2 AND (expires IS NULL OR expires > ?3)",
            )?
            .query_row(params![plugin, write.key, seconds(now)], |row| row.get::<_, Vec<u8>>(0))
            .optional()?;
        let found = found.map(|sealed| open(key, plugin, &write.key, &sealed)).transpose()?;
        let as_expected = match &write.expected {
            KvExpectation::Anything => true,
            KvExpectation::Nothing => found.is_none(),
            KvExpectation::Value(value) => found.as_ref() == Some(value),
        };
        if !as_expected {
            return Ok(Written::Conflict);
        }
        match &write.change {
            KvChange::Delete => {
                tx.prepare_cached("DELETE FROM kv WHERE plugin = ?1 AND key = ?2")?
                    .execute(params![plugin, write.key])?;
            }
            KvChange::Set { value, ttl_seconds } => {
                let sealed = key
                    .seal("kv", "value", &place(plugin, &write.key), value)
                    .map_err(|error| StoreError::Constraint(error.to_string()))?;
                let expires = ttl_seconds.map(|ttl| seconds(now.saturating_add(ttl.into())));
                tx.prepare_cached(
                    "INSERT INTO kv (plugin, key, value, expires) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (plugin, key) DO UPDATE SET value = ?3, expires = ?4",
                )?
                .execute(params![plugin, write.key, sealed, expires])?;
            }
        }
    }
    if writes.iter().any(|write| matches!(write.change, KvChange::Set { .. })) {
        let entries: u32 = tx
            .prepare_cached("SELECT count(*) FROM kv WHERE plugin = ?1")?
            .query_row([plugin], |row| row.get(0))?;
        if entries > most_entries {
            return Ok(Written::Full);
        }
    }
    Ok(Written::Done)
}

/// Removes what has expired.
pub(crate) fn sweep(tx: &Transaction<'_>, now: u64) -> Result<usize, StoreError> {
    Ok(tx.prepare_cached("DELETE FROM kv WHERE expires <= ?1")?.execute([seconds(now)])?)
}

fn open(key: &ColumnKey, plugin: &str, name: &str, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
    key.open("kv", "value", &place(plugin, name), sealed)
        .map(|value| value.to_vec())
        .map_err(|error| StoreError::Constraint(error.to_string()))
}

/// What a value is bound to: it cannot be moved to another plug-in or key.
fn place(plugin: &str, key: &str) -> Vec<u8> {
    [&(plugin.len() as u64).to_be_bytes(), plugin.as_bytes(), key.as_bytes()].concat()
}

fn seconds(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use countersign_store::Owner;

    use super::*;
    use crate::schema::SCHEMA;

    struct Lab {
        kv: Kv,
        _directory: tempfile::TempDir,
    }

    fn lab() -> Lab {
        let directory = tempfile::tempdir().unwrap();
        let store =
            Store::open(&directory.path().join("verify.db"), Owner::Verify, SCHEMA).unwrap();
        let key = Arc::new(ColumnKey::new(&[3; 32]).unwrap());
        Lab { kv: Kv::new(store, key), _directory: directory }
    }

    async fn put(lab: &Lab, plugin: &str, expected: KvExpectation, value: &[u8]) -> Written {
        let (plugin, key) = (plugin.to_owned(), Arc::clone(&lab.kv.key));
        let write = KvWrite {
            key: "k".into(),
            expected,
            change: KvChange::Set { value: value.to_vec(), ttl_seconds: Some(10) },
        };
        lab.kv
            .store
            .write(move |tx| super::write(tx, &key, &plugin, &[write], 1, 100))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_space_belongs_to_one_plug_in_and_values_expire() {
        let lab = lab();
        assert_eq!(put(&lab, "a", KvExpectation::Anything, b"one").await, Written::Done);
        assert_eq!(lab.kv.get("a", "k", 109).await.unwrap().as_deref(), Some(&b"one"[..]));
        assert_eq!(lab.kv.get("b", "k", 109).await.unwrap(), None);
        assert_eq!(lab.kv.get("a", "k", 110).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_write_made_under_another_value_is_a_conflict() {
        let lab = lab();
        assert_eq!(put(&lab, "a", KvExpectation::Nothing, b"one").await, Written::Done);
        assert_eq!(put(&lab, "a", KvExpectation::Nothing, b"two").await, Written::Conflict);
        let expected = KvExpectation::Value(b"one".to_vec());
        assert_eq!(put(&lab, "a", expected, b"two").await, Written::Done);
    }
}

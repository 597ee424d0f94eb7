use std::path::Path;

use aws_lc_rs::digest;
use rusqlite::{Connection, TransactionBehavior, params};

use crate::StoreError;

/// One step of a schema. Once released it is never changed: its hash stands in the database, and
/// another text under the same name is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    /// Name, unique within the list: `0001-ledger`.
    pub name: &'static str,
    /// Statements, separated by semicolons. Run inside a transaction of their own.
    pub sql: &'static str,
}

impl Migration {
    fn sha256(&self) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"countersign migration 1\n");
        context.update(&(self.name.len() as u64).to_be_bytes());
        context.update(self.name.as_bytes());
        context.update(self.sql.as_bytes());
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        hash
    }
}

/// Brings the schema up to date: what is applied must be a prefix of `migrations`, the rest is
/// applied in order, each with its record in one transaction.
pub(crate) fn apply(
    connection: &mut Connection,
    path: &Path,
    migrations: &[Migration],
) -> Result<(), StoreError> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS store_migration (
             position INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, sha256 BLOB NOT NULL
         ) STRICT",
    )?;
    let applied: Vec<(String, Vec<u8>)> = connection
        .prepare("SELECT name, sha256 FROM store_migration ORDER BY position")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;

    for (place, (found, hash)) in applied.iter().enumerate() {
        let Some(expected) = migrations.get(place) else {
            return Err(StoreError::SchemaNewer { path: path.into(), found: found.clone() });
        };
        if found != expected.name || *hash != expected.sha256() {
            return Err(StoreError::MigrationChanged {
                path: path.into(),
                found: found.clone(),
                expected: expected.name.into(),
            });
        }
    }
    for (place, migration) in migrations.iter().enumerate().skip(applied.len()) {
        apply_one(connection, place, migration).map_err(|error| match error.into() {
            full @ StoreError::Full { .. } => full,
            other => StoreError::MigrationFailed {
                path: path.into(),
                name: migration.name.into(),
                reason: other.to_string(),
            },
        })?;
    }
    Ok(())
}

fn apply_one(
    connection: &mut Connection,
    place: usize,
    migration: &Migration,
) -> Result<(), rusqlite::Error> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute_batch(migration.sql)?;
    tx.execute(
        "INSERT INTO store_migration (position, name, sha256) VALUES (?1, ?2, ?3)",
        params![i64::try_from(place).unwrap_or(i64::MAX), migration.name, migration.sha256()],
    )?;
    tx.commit()
}

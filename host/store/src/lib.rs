//! Durable state of one process: one SQLite file, one writer thread, group commit, migrations.
//!
//! A [`Store`] takes jobs from many tasks, runs all that wait in one transaction, commits once with
//! the disk's word that it is kept, and only then answers them. It never decides anything about a
//! request, never reads the clock of the wall (callers pass seconds since 1970 UTC), never opens
//! another process's database, and never weakens durability for speed.
//!
//! | Type | Is |
//! |---|---|
//! | [`Store`] | the open database: [`Store::write`], [`Store::read`], [`Store::close`] |
//! | [`Owner`] | which process the file belongs to; stands in the file's header |
//! | [`Migration`] | one step of the schema, applied once, never changed afterwards |
//! | [`ColumnKey`] | AES-256-GCM for columns that hold a secret |
//! | [`StoreError`] | what went wrong and what to do |
//!
//! ```
//! # let directory = tempfile::tempdir().unwrap();
//! # let path = directory.path().join("sign.db");
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
//! use countersign_store::{Migration, Owner, Store, StoreError};
//!
//! const SCHEMA: &[Migration] =
//!     &[Migration { name: "0001-fuse", sql: "CREATE TABLE fuse (used INTEGER NOT NULL) STRICT" }];
//!
//! let store = Store::open(&path, Owner::Sign, SCHEMA)?;
//! store.write(|tx| Ok(tx.execute("INSERT INTO fuse (used) VALUES (1)", [])?)).await?;
//! let used: i64 = store.read(|c| Ok(c.query_row("SELECT used FROM fuse", [], |r| r.get(0))?)).await?;
//! assert_eq!(used, 1);
//! store.close().await
//! # }).unwrap();
//! ```

mod announce;
mod column;
mod connection;
mod error;
mod job;
mod metrics;
mod migration;
mod owner;
mod place;
mod reader;
mod store;
mod writer;

pub use announce::Announced;
pub use column::{ColumnKey, ColumnKeyError};
pub use connection::open_offline;
pub use error::StoreError;
pub use metrics::{BATCH_SIZE_BOUNDS, StoreMetrics};
pub use migration::Migration;
pub use owner::Owner;
pub use rusqlite;
pub use store::{Options, Store};

//! Connections and the pragmas that every one of them gets.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::{Owner, StoreError, place};

/// How long a connection waits for a lock of another process (a backup, `ledger verify`).
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// What a WAL file is cut back to when SQLite starts it anew, octets: more than it holds when it is
/// copied under load, because octets that are there already are synced faster than new ones.
const WAL_KEPT: i64 = 24 * 1024 * 1024;

/// The only connection that writes. Refuses a foreign file before it changes anything in it.
pub(crate) fn open_writer(path: &Path, owner: Owner) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(LOCK_WAIT)?;
    harden(&connection)?;
    claim(&connection, path, owner)?;

    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::Place {
            path: path.into(),
            problem: format!("expected the journal mode `wal`, SQLite chose `{mode}`"),
            remedy: "put the database on a local file system (not NFS or SMB)".into(),
        });
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection
        .pragma_update_and_check(None, "wal_autocheckpoint", 0, |row| row.get::<_, i64>(0))?;
    connection.pragma_update_and_check(None, "journal_size_limit", WAL_KEPT, |row| {
        row.get::<_, i64>(0)
    })?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

/// A connection that cannot write, for the pool of a running store.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(LOCK_WAIT)?;
    harden(&connection)?;
    connection.pragma_update(None, "query_only", "ON")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// A read-only look at a database of `owner` from outside its process: for `ledger verify` and the
/// like. Works on a live database, on a copy, and on a copy in a read-only directory. The file is
/// not trusted: its schema runs no functions and its pages are checked as they are read.
///
/// # Errors
/// [`StoreError::Place`], [`StoreError::NotOurs`] and [`StoreError::ForeignOwner`].
pub fn open_offline(path: &Path, owner: Owner) -> Result<Connection, StoreError> {
    // SQLite would say "unable to open" for everything.
    if let Err(error) = std::fs::File::open(path) {
        return Err(StoreError::Place {
            path: path.into(),
            problem: error.to_string(),
            remedy: "give the path of a readable database file".into(),
        });
    }
    let connection = open_reader(path)?;
    match check_owner(&connection, path, owner) {
        Err(StoreError::Sql(error)) if cannot_open(&error) => {}
        other => return other.map(|_| connection),
    }
    // A database in WAL mode wants its `-shm` beside it. Where that cannot be made and no `-wal`
    // has anything to add, the file alone is the whole database.
    let wal = place::beside(path, "-wal");
    if std::fs::metadata(&wal).is_ok_and(|metadata| metadata.len() > 0) {
        return Err(StoreError::Place {
            path: wal,
            problem: "the write-ahead log holds entries, but its directory cannot be written"
                .into(),
            remedy: "copy the database with its -wal into a writable directory and look there"
                .into(),
        });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(immutable_uri(path), flags)?;
    harden(&connection)?;
    check_owner(&connection, path, owner)?;
    Ok(connection)
}

fn harden(connection: &Connection) -> Result<(), StoreError> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // The bundled SQLite has STAT4: without this, a cached statement is compiled anew each time a
    // bound value changes that could matter to its plan.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "cell_size_check", "ON")?;
    Ok(())
}

/// Writes the owner's number into a new database; otherwise checks it.
fn claim(connection: &Connection, path: &Path, owner: Owner) -> Result<(), StoreError> {
    if check_owner(connection, path, owner)? == Found::New {
        connection.pragma_update(None, "application_id", owner.application_id())?;
    }
    Ok(())
}

#[derive(PartialEq)]
enum Found {
    New,
    Ours,
}

fn check_owner(connection: &Connection, path: &Path, owner: Owner) -> Result<Found, StoreError> {
    let read = || -> Result<(i32, i64), rusqlite::Error> {
        let number = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let objects =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((number, objects))
    };
    let (number, objects) = read().map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => {
            StoreError::NotOurs { path: path.into(), found: "it is not an SQLite file".into() }
        }
        _ => error.into(),
    })?;
    match Owner::from_application_id(number) {
        Some(found) if found == owner => Ok(Found::Ours),
        Some(found) => Err(StoreError::ForeignOwner { path: path.into(), expected: owner, found }),
        None if number == 0 && objects == 0 => Ok(Found::New),
        None => Err(StoreError::NotOurs {
            path: path.into(),
            found: format!("an SQLite file with application id {number} and {objects} objects"),
        }),
    }
}

fn cannot_open(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
}

fn immutable_uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()) {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                uri.push(char::from(*byte));
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    uri
}

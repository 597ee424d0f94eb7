//! Which files a store takes, and what it says of the others.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests state what they know"
)]

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use countersign_store::rusqlite::Connection;
use countersign_store::{Migration, Owner, Store, StoreError, open_offline};
use tempfile::TempDir;

const FIRST: Migration = Migration { name: "0001", sql: "CREATE TABLE a (x INTEGER) STRICT" };
const SECOND: Migration = Migration { name: "0002", sql: "CREATE TABLE b (x INTEGER) STRICT" };

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sign.db");
    (directory, path)
}

fn open(path: &Path, migrations: &[Migration]) -> Result<Store, StoreError> {
    Store::open(path, Owner::Sign, migrations)
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn tables(store: &Store) -> Vec<String> {
    store
        .read_blocking(|connection| {
            let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
            let mut statement = connection.prepare(sql)?;
            let names = statement.query_map([], |row| row.get(0))?;
            Ok::<_, StoreError>(names.collect::<Result<_, _>>()?)
        })
        .unwrap()
}

#[test]
fn a_new_database_belongs_to_its_owner_alone() {
    let (_directory, path) = place();
    let store = open(&path, &[FIRST]).unwrap();
    store.write_blocking(|tx| Ok(tx.execute("INSERT INTO a VALUES (1)", [])?)).unwrap();
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let file = PathBuf::from(format!("{}{suffix}", path.display()));
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn commits_wait_for_the_disk_and_deleted_rows_are_scrubbed() {
    let (_directory, path) = place();
    let store = open(&path, &[FIRST]).unwrap();
    let pragma = |name: &'static str| {
        let read = move |tx: &countersign_store::rusqlite::Transaction<'_>| {
            Ok(tx.pragma_query_value(None, name, |row| row.get::<_, i64>(0))?)
        };
        store.write_blocking(read).unwrap()
    };
    assert_eq!(pragma("synchronous"), 2, "FULL");
    assert_eq!(pragma("secure_delete"), 1);
    assert_eq!(pragma("foreign_keys"), 1);
    assert_eq!(pragma("wal_autocheckpoint"), 0);
    assert_eq!(pragma("trusted_schema"), 0);
}

#[test]
fn migrations_are_applied_in_order_and_once() {
    let (_directory, path) = place();
    drop(open(&path, &[FIRST]).unwrap());
    let store = open(&path, &[FIRST, SECOND]).unwrap();
    assert_eq!(tables(&store), ["a", "b", "store_migration"]);
    drop(store);
    drop(open(&path, &[FIRST, SECOND]).unwrap());
}

#[test]
fn a_database_of_a_newer_version_is_refused_by_the_migrations_name() {
    let (_directory, path) = place();
    drop(open(&path, &[FIRST, SECOND]).unwrap());
    let error = open(&path, &[FIRST]).unwrap_err();
    assert!(matches!(&error, StoreError::SchemaNewer { found, .. } if found == "0002"), "{error}");
    assert!(error.to_string().contains("newer version"), "{error}");
}

#[test]
fn a_changed_migration_is_refused() {
    let (_directory, path) = place();
    drop(open(&path, &[FIRST]).unwrap());
    let changed = Migration { sql: "CREATE TABLE a (x TEXT) STRICT", ..FIRST };
    let error = open(&path, &[changed]).unwrap_err();
    assert!(matches!(error, StoreError::MigrationChanged { .. }), "{error}");
    let renamed = Migration { name: "other", ..FIRST };
    let error = open(&path, &[renamed]).unwrap_err();
    assert!(matches!(error, StoreError::MigrationChanged { .. }), "{error}");
}

#[test]
fn a_failing_migration_leaves_the_schema_as_it_was() {
    let (_directory, path) = place();
    let broken = Migration { name: "0002", sql: "CREATE TABLE b (x INTEGER); SELECT nonsense" };
    let error = open(&path, &[FIRST, broken]).unwrap_err();
    assert!(
        matches!(&error, StoreError::MigrationFailed { name, .. } if name == "0002"),
        "{error}"
    );
    let store = open(&path, &[FIRST]).unwrap();
    assert_eq!(tables(&store), ["a", "store_migration"]);
}

#[test]
fn another_process_database_is_refused_naming_both() {
    let (_directory, path) = place();
    drop(open(&path, &[FIRST]).unwrap());
    let before = std::fs::read(&path).unwrap();
    let error = Store::open(&path, Owner::Verify, &[FIRST]).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("of `sign`, not of `verify`"), "{text}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn files_that_are_not_ours_are_refused_and_left_alone() {
    let (directory, path) = place();
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("CREATE TABLE theirs (x)").unwrap();
    connection.close().unwrap();
    set_mode(&path, 0o600);
    let error = open(&path, &[FIRST]).unwrap_err();
    assert!(matches!(error, StoreError::NotOurs { .. }), "{error}");

    let text = directory.path().join("text.db");
    std::fs::write(&text, "this is no database, but it is long enough to look at".repeat(99))
        .unwrap();
    set_mode(&text, 0o600);
    let error = open(&text, &[FIRST]).unwrap_err();
    assert!(error.to_string().contains("not an SQLite file"), "{error}");
}

#[test]
fn wide_modes_links_and_missing_directories_are_refused_with_the_remedy() {
    let (directory, path) = place();
    drop(open(&path, &[FIRST]).unwrap());

    set_mode(&path, 0o640);
    let error = open(&path, &[FIRST]).unwrap_err().to_string();
    assert!(error.contains("expected mode 0600, found 0640"), "{error}");
    assert!(error.contains("chmod 0600"), "{error}");
    set_mode(&path, 0o600);

    let link = directory.path().join("link.db");
    symlink(&path, &link).unwrap();
    let error = open(&link, &[FIRST]).unwrap_err().to_string();
    assert!(error.contains("symbolic link"), "{error}");

    set_mode(directory.path(), 0o770);
    let error = open(&path, &[FIRST]).unwrap_err().to_string();
    assert!(error.contains("writable for group or others (mode 0770)"), "{error}");
    assert!(error.contains("chmod 0700"), "{error}");
    set_mode(directory.path(), 0o755);
    drop(open(&path, &[FIRST]).unwrap());

    let error = open(&directory.path().join("no/sign.db"), &[FIRST]).unwrap_err().to_string();
    assert!(error.contains("make the directory first"), "{error}");
}

#[test]
fn a_database_has_one_writing_process() {
    let (_directory, path) = place();
    let first = open(&path, &[FIRST]).unwrap();
    let error = open(&path, &[FIRST]).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    first.close_blocking().unwrap();
    drop(open(&path, &[FIRST]).unwrap());
}

#[test]
fn an_offline_look_works_beside_the_writer_on_a_copy_and_on_read_only_media() {
    let (directory, path) = place();
    let store = open(&path, &[FIRST]).unwrap();
    store.write_blocking(|tx| Ok(tx.execute("INSERT INTO a VALUES (7)", [])?)).unwrap();
    let look = |path: &Path| -> Result<i64, StoreError> {
        Ok(open_offline(path, Owner::Sign)?.query_row("SELECT x FROM a", [], |row| row.get(0))?)
    };
    assert_eq!(look(&path).unwrap(), 7, "beside the writer");
    store.close_blocking().unwrap();
    assert_eq!(look(&path).unwrap(), 7, "after it");

    let copy = directory.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    let copied = copy.join("100% ?#.db");
    std::fs::copy(&path, &copied).unwrap();
    set_mode(&copied, 0o400);
    set_mode(&copy, 0o500);
    assert_eq!(look(&copied).unwrap(), 7, "a copy in a read-only directory");
    set_mode(&copy, 0o700);

    let write = open_offline(&path, Owner::Sign).unwrap().execute("DELETE FROM a", []);
    assert!(write.is_err());
    let error = open_offline(&path, Owner::Serve).unwrap_err();
    assert!(matches!(error, StoreError::ForeignOwner { .. }), "{error}");
    let error = open_offline(&directory.path().join("none.db"), Owner::Sign).unwrap_err();
    assert!(matches!(error, StoreError::Place { .. }), "{error}");
}

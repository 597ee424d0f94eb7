//! What was answered is still there after the process was killed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests state what they know; the child tells its parent by standard output"
)]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use countersign_store::rusqlite::Transaction;
use countersign_store::{Migration, Owner, Store, StoreError};

const CHILD: &str = "COUNTERSIGN_TEST_DATABASE";
const WRITERS: i64 = 4;
const SCHEMA: &[Migration] =
    &[Migration { name: "0001", sql: "CREATE TABLE item (writer INTEGER, number INTEGER) STRICT" }];

#[test]
fn every_answered_write_survives_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("verify.db");
    let mut answered = [None; 4];
    for round in 0..3 {
        let acknowledged = write_until_killed(&path, 200 + 50 * round);
        for (writer, number) in acknowledged {
            let last = &mut answered[usize::try_from(writer).unwrap()];
            *last = Some(last.map_or(number, |last: u64| last.max(number)));
        }
        let store = Store::open(&path, Owner::Verify, SCHEMA).expect("opens after a kill");
        for (writer, last) in answered.iter().enumerate() {
            let kept = store.read_blocking(|c| numbers(c, writer)).unwrap();
            let expected: Vec<u64> = (0..kept.len() as u64).collect();
            assert_eq!(kept, expected, "no hole, nothing twice");
            assert!(kept.last().copied() >= *last, "writer {writer}: {last:?} was answered");
        }
    }
    assert!(answered.iter().flatten().sum::<u64>() > 0);
}

fn numbers(
    c: &countersign_store::rusqlite::Connection,
    writer: usize,
) -> Result<Vec<u64>, StoreError> {
    let mut statement = c.prepare("SELECT number FROM item WHERE writer = ?1 ORDER BY rowid")?;
    let rows = statement.query_map([i64::try_from(writer).unwrap()], |row| row.get::<_, i64>(0))?;
    rows.map(|row| Ok(u64::try_from(row?).unwrap())).collect()
}

/// Starts this test program as a child that writes, kills it after some answers.
fn write_until_killed(path: &Path, answers: usize) -> Vec<(u64, u64)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_is_killed", "--nocapture", "--test-threads=1"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut acknowledged = Vec::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut keep = |line: &str| {
        if let Some((writer, number)) = line.strip_prefix("kept ").and_then(|l| l.split_once(' ')) {
            acknowledged.push((writer.parse().unwrap(), number.parse().unwrap()));
        }
        acknowledged.len() < answers
    };
    while keep(&lines.next().expect("the child writes until it is killed").unwrap()) {}
    child.kill().unwrap();
    // Answers that were given before the kill and not read yet count too. The last line may be cut.
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    for line in rest.iter().take(rest.len().saturating_sub(1)) {
        keep(line);
    }
    child.wait().unwrap();
    acknowledged
}

/// Does nothing unless it is the child.
#[test]
fn child_that_is_killed() {
    let Some(path) = std::env::var_os(CHILD).map(PathBuf::from) else {
        return;
    };
    let store = Store::open(&path, Owner::Verify, SCHEMA).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = &store;
            scope.spawn(move || write_for_ever(store, writer));
        }
    });
}

fn write_for_ever(store: &Store, writer: i64) {
    loop {
        let next = move |tx: &Transaction<'_>| -> Result<i64, StoreError> {
            Ok(tx.query_row(
                "INSERT INTO item SELECT ?1, count(*) FROM item WHERE writer = ?1 RETURNING number",
                [writer],
                |row| row.get(0),
            )?)
        };
        println!("kept {writer} {}", store.write_blocking(next).unwrap());
    }
}

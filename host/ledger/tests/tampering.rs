//! What the offline proof finds in real database files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests state what they know"
)]

mod place;

use std::path::Path;

use countersign_ledger::{
    Checkpoint, CheckpointKey, Digest, Fault, Report, append, verify_database,
};
use countersign_store::rusqlite::{Connection, params};
use place::{Place, START, admin, rehash, signed};
use proptest::prelude::*;

fn faults(place: &Place) -> Vec<Fault> {
    verify_database(&place.database, Some(&place.witness())).unwrap_err().faults
}

fn faults_without_witness(place: &Place) -> Vec<Fault> {
    verify_database(&place.database, None).unwrap_err().faults
}

fn report(place: &Place) -> Report {
    verify_database(&place.database, Some(&place.witness())).unwrap()
}

fn execute(sql: &'static str) -> impl FnOnce(&Connection) {
    move |connection| {
        assert!(connection.execute(sql, []).unwrap() > 0, "{sql}");
    }
}

#[test]
fn a_sound_ledger_is_reported_with_what_it_holds() {
    let place = Place::with_entries(25);
    let report = report(&place);
    assert_eq!((report.entries, report.covered, report.checkpoints), (25, 25, 4));
    assert_eq!((report.kinds["signed"], report.kinds["outcome"]), (13, 12));
    assert_eq!(report.unsettled, 1);
    assert_eq!(report.times, Some((START, START + 24)));
    assert!(report.gaps.is_empty() && report.torn.is_empty());

    let without = verify_database(&place.database, None).unwrap();
    assert_eq!((without.entries, without.covered, without.checkpoints), (25, 0, 0));
    assert_eq!(without.head, report.head);
}

#[test]
fn a_live_ledger_can_be_verified() {
    let place = Place::with_entries(10);
    let store = place.store();
    let event = admin("in the write-ahead log");
    store.try_write_blocking(move |tx| append(tx, &event, START + 99, false)).unwrap();
    let report = report(&place);
    assert_eq!((report.entries, report.covered), (11, 10));
}

#[test]
fn a_rewritten_entry_is_found() {
    let place = Place::with_entries(20);
    place.tamper(execute(
        "UPDATE ledger SET body = replace(body, 'device-4', 'device-5') WHERE idx = 4",
    ));
    for faults in [faults(&place), faults_without_witness(&place)] {
        assert!(matches!(faults[..], [Fault::Rewritten { index: 4, .. }]), "{faults:?}");
    }
}

#[test]
fn a_rewritten_entry_with_its_own_hash_made_to_fit_is_found() {
    let place = Place::with_entries(20);
    place.tamper(|connection| {
        execute("UPDATE ledger SET time = time + 1 WHERE idx = 4")(connection);
        let mut entry = place::raw_entries(connection).remove(4);
        entry.hash = entry.computed_hash();
        connection.execute("UPDATE ledger SET hash = ?1 WHERE idx = 4", [entry.hash.0]).unwrap();
    });
    for faults in [faults(&place), faults_without_witness(&place)] {
        assert!(matches!(faults[..], [Fault::Unlinked { index: 5, .. }]), "{faults:?}");
    }
}

#[test]
fn a_ledger_rewritten_to_its_end_is_found_by_its_checkpoints() {
    let place = Place::with_entries(20);
    place.tamper(|connection| {
        execute("UPDATE ledger SET body = replace(body, 'device-4', 'device-5') WHERE idx = 4")(
            connection,
        );
        rehash(connection, 4);
    });
    let faults = faults(&place);
    assert!(
        matches!(
            faults[..],
            [
                Fault::Differs { size: 10, number: 2, .. },
                Fault::Differs { size: 20, .. },
                Fault::Differs { size: 20, .. }
            ]
        ),
        "{faults:?}"
    );
    let without = verify_database(&place.database, None).unwrap();
    assert_eq!(without.covered, 0, "without a witness the report says that nothing is covered");
}

#[test]
fn entries_removed_in_the_middle_are_found() {
    let place = Place::with_entries(20);
    place.tamper(execute("DELETE FROM ledger WHERE idx IN (4, 5)"));
    let faults = faults_without_witness(&place);
    assert!(
        matches!(faults[..], [Fault::Missing { from: 4, to: 5 }, Fault::Unlinked { index: 6, .. }]),
        "{faults:?}"
    );
}

#[test]
fn entries_removed_in_the_middle_and_renumbered_are_found() {
    let place = Place::with_entries(20);
    place.tamper(|connection| {
        execute("DELETE FROM ledger WHERE idx = 4")(connection);
        connection.execute("UPDATE ledger SET idx = idx - 1 WHERE idx > 4", []).unwrap();
    });
    assert!(!faults_without_witness(&place).is_empty());
    place.tamper(|connection| rehash(connection, 0));
    assert!(verify_database(&place.database, None).is_ok(), "the attacker's hashes fit");
    let faults = faults(&place);
    assert!(
        faults.iter().any(|fault| matches!(fault, Fault::Truncated { size: 20, entries: 19, .. }))
    );
    assert!(faults.iter().any(|fault| matches!(fault, Fault::Differs { size: 10, .. })));
}

#[test]
fn a_ledger_that_was_cut_off_is_found_by_its_checkpoints() {
    let place = Place::with_entries(20);
    place.tamper(execute("DELETE FROM ledger WHERE idx >= 15"));
    let faults = faults(&place);
    assert!(
        matches!(
            faults[..],
            [Fault::Truncated { size: 20, entries: 15, .. }, Fault::Truncated { .. }]
        ),
        "{faults:?}"
    );
    assert!(faults[0].to_string().contains("was cut off"), "{}", faults[0]);
}

#[test]
fn an_emptied_or_missing_table_is_found() {
    let place = Place::with_entries(20);
    place.tamper(execute("DELETE FROM ledger"));
    assert!(matches!(faults(&place)[0], Fault::Truncated { entries: 0, .. }));
    place.tamper(|connection| connection.execute_batch("DROP TABLE ledger").unwrap());
    assert!(matches!(faults_without_witness(&place)[0], Fault::Structure { .. }));
    std::fs::remove_file(&place.database).unwrap();
    assert!(matches!(faults_without_witness(&place)[0], Fault::Unreadable { .. }));
}

#[test]
fn a_view_in_place_of_the_table_is_found() {
    let place = Place::with_entries(20);
    place.tamper(|connection| {
        connection
            .execute_batch(
                "ALTER TABLE ledger RENAME TO real;
                 CREATE VIEW ledger AS SELECT * FROM real",
            )
            .unwrap();
    });
    assert!(matches!(faults(&place)[0], Fault::Structure { .. }));
}

#[test]
fn an_inserted_entry_is_found() {
    let place = Place::with_entries(20);
    place.tamper(|connection| {
        connection.execute("UPDATE ledger SET idx = -idx WHERE idx >= 10", []).unwrap();
        connection.execute("UPDATE ledger SET idx = 1 - idx WHERE idx < 0", []).unwrap();
        execute(
            "INSERT INTO ledger SELECT 10, time, kind, lab, body, previous, hash
             FROM ledger WHERE idx = 8",
        )(connection);
    });
    let faults = faults_without_witness(&place);
    assert!(faults.iter().any(|fault| matches!(fault, Fault::Unlinked { index: 10, .. })));

    // With hashes that fit, the checkpoints tell, and so does the attempt that was signed twice.
    place.tamper(|connection| rehash(connection, 0));
    let faults = faults_without_witness(&place);
    assert!(
        faults.iter().any(|fault| matches!(
            fault,
            Fault::SignedTwice { index: 10, first: 8, attempt: 1, .. }
        )),
        "{faults:?}"
    );
    let found = verify_database(&place.database, Some(&place.witness())).unwrap_err().faults;
    assert!(found.iter().any(|fault| matches!(fault, Fault::Differs { size: 20, .. })));
}

#[test]
fn an_entry_added_after_the_last_checkpoint_is_not_covered() {
    let place = Place::with_entries(20);
    place.append(admin("new"), START + 99);
    let report = report(&place);
    assert_eq!((report.entries, report.covered), (21, 20), "whoever verifies is told");
}

#[test]
fn exchanged_entries_are_found() {
    let place = Place::with_entries(20);
    place.tamper(|connection| {
        for sql in [
            "UPDATE ledger SET idx = -1 WHERE idx = 4",
            "UPDATE ledger SET idx = 4 WHERE idx = 6",
            "UPDATE ledger SET idx = 6 WHERE idx = -1",
        ] {
            assert_eq!(connection.execute(sql, []).unwrap(), 1);
        }
    });
    assert!(faults_without_witness(&place).len() >= 4);
}

#[test]
fn times_out_of_order_are_found_even_with_fitting_hashes() {
    let place = Place::with_entries(5);
    place.tamper(|connection| {
        execute("UPDATE ledger SET time = time - 1000 WHERE idx = 3")(connection);
        rehash(connection, 3);
    });
    let faults = faults_without_witness(&place);
    assert!(matches!(faults[..], [Fault::TimeBackwards { index: 3, .. }]), "{faults:?}");
}

#[test]
fn a_body_in_another_spelling_is_found_even_with_fitting_hashes() {
    let place = Place::with_entries(5);
    place.tamper(|connection| {
        execute("UPDATE ledger SET body = replace(body, '\":', '\": ') WHERE idx = 4")(connection);
        rehash(connection, 4);
    });
    let faults = faults_without_witness(&place);
    assert!(matches!(faults[..], [Fault::Malformed { index: 4, .. }]), "{faults:?}");
}

#[test]
fn a_huge_body_is_found_without_being_read() {
    let place = Place::with_entries(5);
    place.tamper(execute("UPDATE ledger SET body = zeroblob(50000000) || 'x' WHERE idx = 2"));
    assert!(
        faults_without_witness(&place)
            .iter()
            .any(|f| matches!(f, Fault::Malformed { index: 2, .. }))
    );
}

#[test]
fn an_index_that_hides_entries_is_found() {
    let place = Place::with_entries(5);
    let connection = Connection::open(&place.database).unwrap();
    // The index then claims to be on something else than it was filled with.
    connection
        .execute_batch(
            "PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET sql = replace(sql, '$.enrolment', '$.serial')
             WHERE name = 'ledger_by_enrolment'",
        )
        .unwrap();
    connection.close().unwrap();
    let faults = faults_without_witness(&place);
    assert!(matches!(faults[0], Fault::Structure { .. }), "{faults:?}");
}

#[test]
fn a_damaged_file_is_a_fault_and_no_panic() {
    let place = Place::with_entries(200);
    let whole = std::fs::read(&place.database).unwrap();
    for page in 0..whole.len() / 4096 {
        let mut damaged = whole.clone();
        damaged[page * 4096..page * 4096 + 512].fill(0xA5);
        std::fs::write(&place.database, &damaged).unwrap();
        // Pages on the list of free ones hold nothing.
        let _ = verify_database(&place.database, Some(&place.witness()));
    }
    std::fs::write(&place.database, &whole[..whole.len() / 2]).unwrap();
    assert!(verify_database(&place.database, Some(&place.witness())).is_err());
}

#[test]
fn an_altered_checkpoint_is_found() {
    let place = Place::with_entries(20);
    let text = std::fs::read_to_string(&place.checkpoints).unwrap();
    std::fs::write(&place.checkpoints, text.replace("\n10\n", "\n11\n")).unwrap();
    let faults = faults(&place);
    assert!(matches!(faults[..], [Fault::BadCheckpoint { number: 2, .. }]), "{faults:?}");
}

#[test]
fn a_checkpoint_of_another_key_is_found() {
    let place = Place::with_entries(20);
    let mut witness = place.witness();
    witness.keys = vec![CheckpointKey::generate().unwrap().verifying_key().clone()];
    let faults = verify_database(&place.database, Some(&witness)).unwrap_err();
    assert_eq!(faults.count, 4);
    assert!(matches!(faults.faults[0], Fault::BadCheckpoint { number: 1, .. }));
    assert!(faults.to_string().contains("none of those given"), "{faults}");
}

#[test]
fn a_fork_shows_in_two_checkpoint_files() {
    let place = Place::with_entries(20);
    let elsewhere = fork(&place, |connection| {
        execute("UPDATE ledger SET body = replace(body, 'device-4', 'device-5') WHERE idx = 4")(
            connection,
        );
        rehash(connection, 4);
    });
    let mut witness = place.witness();
    witness.files.push(elsewhere.clone());
    let faults = verify_database(&place.database, Some(&witness)).unwrap_err().faults;
    assert!(
        faults.iter().any(|fault| matches!(
            fault,
            Fault::Fork { size: 20, first_file, second_file, .. }
                if *first_file == place.checkpoints && *second_file == elsewhere
        )),
        "{faults:?}"
    );
    assert!(faults.iter().any(|fault| matches!(fault, Fault::Differs { size: 20, .. })));
}

#[test]
fn a_fork_shows_even_if_the_database_has_neither_side() {
    let place = Place::with_entries(20);
    let elsewhere = fork(&place, |connection| {
        execute("UPDATE ledger SET lab = 1 WHERE idx = 4")(connection);
        rehash(connection, 4);
    });
    place.tamper(execute("DELETE FROM ledger WHERE idx >= 5"));
    let mut witness = place.witness();
    witness.files.push(elsewhere);
    let faults = verify_database(&place.database, Some(&witness)).unwrap_err().faults;
    assert!(faults.iter().any(|fault| matches!(fault, Fault::Fork { size: 20, .. })), "{faults:?}");
}

/// What a `sign` in wrong hands would show to others: a checkpoint, well signed, of another ledger.
fn fork(place: &Place, tamper: impl FnOnce(&Connection)) -> std::path::PathBuf {
    let copy = place.directory.path().join("fork.db");
    std::fs::copy(&place.database, &copy).unwrap();
    let connection = Connection::open(&copy).unwrap();
    connection
        .execute_batch(
            "DROP TRIGGER ledger_has_no_gaps; DROP TRIGGER ledger_is_not_rewritten; DROP TRIGGER ledger_is_not_cut;
             DROP INDEX ledger_by_enrolment",
        )
        .unwrap();
    tamper(&connection);
    let last = place::raw_entries(&connection).pop().unwrap();
    let checkpoint = Checkpoint {
        origin: "ra.example/ledger".into(),
        size: last.index + 1,
        root: last.hash,
        time: START,
    };
    let elsewhere = place.directory.path().join("checkpoints of the fork");
    let key = CheckpointKey::from_file(&place.key).unwrap();
    std::fs::write(&elsewhere, checkpoint.to_note(&key).unwrap()).unwrap();
    elsewhere
}

#[test]
fn checkpoints_of_two_ledgers_do_not_mix() {
    let place = Place::with_entries(20);
    let other = place.directory.path().join("other");
    let checkpoint =
        Checkpoint { origin: "other".into(), size: 0, root: Digest::default(), time: START };
    let key = CheckpointKey::from_file(&place.key).unwrap();
    std::fs::write(&other, checkpoint.to_note(&key).unwrap()).unwrap();
    let mut witness = place.witness();
    witness.files.push(other);
    let faults = verify_database(&place.database, Some(&witness)).unwrap_err().faults;
    assert!(matches!(faults[..], [Fault::ForeignOrigin { .. }]), "{faults:?}");
}

#[test]
fn a_checkpoint_file_of_anything_else_is_a_fault_and_no_panic() {
    let place = Place::with_entries(3);
    for octets in [
        vec![0xFF; 100_000],
        b"\n".repeat(100),
        "— x\n\n".repeat(100).into_bytes(),
        vec![b'a'; 3_000_000],
    ] {
        std::fs::write(&place.checkpoints, &octets).unwrap();
        let verified = verify_database(&place.database, Some(&place.witness()));
        match verified {
            Err(_) => {}
            Ok(report) => assert_eq!((report.torn.len(), report.covered), (1, 0)),
        }
    }
    std::fs::remove_file(&place.checkpoints).unwrap();
    assert!(matches!(faults(&place)[0], Fault::Unreadable { .. }));
}

#[test]
fn a_second_signature_for_an_attempt_is_found() {
    let place = Place::with_entries(4);
    place.append(signed(2, 1), START + 50);
    let faults = faults_without_witness(&place);
    assert!(
        matches!(faults[..], [Fault::SignedTwice { index: 4, first: 2, attempt: 1, .. }]),
        "{faults:?}"
    );
}

#[test]
fn a_million_faults_are_counted_and_a_hundred_listed() {
    let place = Place::with_entries(150);
    place.tamper(execute("UPDATE ledger SET hash = zeroblob(32)"));
    let faults = verify_database(&place.database, None).unwrap_err();
    assert!(faults.count > 250);
    assert_eq!(faults.faults.len(), 100);
    assert!(faults.to_string().ends_with("more"), "{faults}");
}

#[derive(Debug, Clone, Copy)]
enum Column {
    Index,
    Time,
    Kind,
    Lab,
    Body,
    Previous,
    Hash,
}

fn any_column() -> impl Strategy<Value = Column> {
    prop_oneof![
        Just(Column::Index),
        Just(Column::Time),
        Just(Column::Kind),
        Just(Column::Lab),
        Just(Column::Body),
        Just(Column::Previous),
        Just(Column::Hash),
    ]
}

/// Alters one octet of one stored value.
fn alter(connection: &Connection, index: i64, column: Column, octet: usize, mask: u8) {
    let name = match column {
        Column::Index => "idx",
        Column::Time => "time",
        Column::Kind => "kind",
        Column::Lab => "lab",
        Column::Body => "body",
        Column::Previous => "previous",
        Column::Hash => "hash",
    };
    let select = format!("SELECT {name} FROM ledger WHERE idx = ?1");
    match column {
        Column::Index | Column::Time | Column::Lab => {
            let value: i64 = connection.query_row(&select, [index], |row| row.get(0)).unwrap();
            let altered = value ^ (i64::from(mask) << (8 * (octet % 8)));
            let update = format!("UPDATE OR REPLACE ledger SET {name} = ?2 WHERE idx = ?1");
            connection.execute(&update, [index, altered]).unwrap();
        }
        Column::Kind | Column::Body | Column::Previous | Column::Hash => {
            let select = format!("SELECT CAST({name} AS BLOB) FROM ledger WHERE idx = ?1");
            let mut value: Vec<u8> =
                connection.query_row(&select, [index], |row| row.get(0)).unwrap();
            let place = octet % value.len();
            value[place] ^= mask;
            let kind = if matches!(column, Column::Kind | Column::Body) { "TEXT" } else { "BLOB" };
            let update = format!("UPDATE ledger SET {name} = CAST(?2 AS {kind}) WHERE idx = ?1");
            connection.execute(&update, params![index, value]).unwrap();
        }
    }
}

fn copy_of(place: &Place, name: &str) -> std::path::PathBuf {
    let copy = place.directory.path().join(name);
    std::fs::copy(&place.database, &copy).unwrap();
    copy
}

fn verify_altered(database: &Path, alter: impl FnOnce(&Connection)) -> bool {
    let connection = Connection::open(database).unwrap();
    alter(&connection);
    connection.close().unwrap();
    verify_database(database, None).is_err()
}

#[test]
fn any_altered_octet_of_any_stored_value_is_found() {
    let place = Place::with_entries(12);
    place.tamper(|_| {});
    assert!(verify_database(&place.database, None).is_ok());
    let cases = (0..12_i64, any_column(), 0..4096_usize, 1..=255_u8);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&cases, |(index, column, octet, mask)| {
            let copy = copy_of(&place, "altered.db");
            let found = verify_altered(&copy, |c| alter(c, index, column, octet, mask));
            prop_assert!(found, "{column:?} of entry {index}, octet {octet}, mask {mask:02x}");
            Ok(())
        })
        .unwrap();
}

/// With hashes made to fit afterwards, the checkpoints must find what the chain cannot.
#[test]
fn any_consistent_rewriting_of_covered_entries_is_found() {
    let place = Place::with_entries(12);
    place.tamper(|_| {});
    let witness = place.witness();
    let cases = (0..12_i64, 0..3_usize, 0..4_usize, 1..=127_u8);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&cases, |(index, column, octet, mask)| {
            let copy = copy_of(&place, "rewritten.db");
            let connection = Connection::open(&copy).unwrap();
            match column {
                0 => alter(&connection, index, Column::Time, octet, mask),
                1 => alter(&connection, index, Column::Lab, 0, 1),
                _ => {
                    let sql =
                        "UPDATE ledger SET body = replace(body, 'wifi', 'vpn') WHERE idx = ?1";
                    connection.execute(sql, [index]).unwrap();
                }
            }
            rehash(&connection, 0);
            connection.close().unwrap();
            prop_assert!(verify_database(&copy, Some(&witness)).is_err());
            Ok(())
        })
        .unwrap();
}

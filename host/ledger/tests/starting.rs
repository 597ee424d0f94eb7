//! Which ledgers `sign` starts with, and which it does not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests state what they know"
)]

mod place;

use std::os::unix::fs::PermissionsExt as _;

use countersign_ledger::{
    CheckpointKey, CheckpointSettings, Kind, Ledger, LedgerError, OpenError, verify_database,
};
use place::{LATER, Place, START, admin, rehash, signed};

fn open_error(place: &Place) -> OpenError {
    place.open(&place.store()).map(|_| ()).unwrap_err()
}

#[test]
fn a_new_ledger_gets_its_first_checkpoint_before_its_first_entry() {
    let place = Place::new();
    let store = place.store();
    let ledger = place.open(&store).unwrap();
    let checkpoint = ledger.last_checkpoint().unwrap();
    assert_eq!((checkpoint.size, checkpoint.time), (0, LATER));
    drop((ledger, store));
    let report = verify_database(&place.database, Some(&place.witness())).unwrap();
    assert_eq!((report.entries, report.checkpoints), (0, 1));
}

#[test]
fn a_ledger_ahead_of_its_last_checkpoint_is_sound() {
    let place = Place::with_entries(10);
    place.append(admin("after the last checkpoint"), START + 100);
    let store = place.store();
    let ledger = place.open(&store).unwrap();
    assert_eq!(ledger.last_checkpoint().unwrap().size, 11);
}

#[test]
fn a_ledger_that_was_cut_off_does_not_start() {
    let place = Place::with_entries(20);
    place.tamper(|connection| {
        connection.execute("DELETE FROM ledger WHERE idx >= 15", []).unwrap();
    });
    let error = open_error(&place);
    assert!(matches!(error, OpenError::Truncated { size: 20, entries: 15, .. }), "{error}");
    assert!(error.to_string().contains("has a checkpoint of 20 entries"), "{error}");
}

#[test]
fn a_restored_older_database_does_not_start() {
    let place = Place::with_entries(10);
    let backup = std::fs::read(&place.database).unwrap();
    let store = place.store();
    let ledger = place.open(&store).unwrap();
    store
        .try_write_blocking(|tx| {
            countersign_ledger::append(tx, &admin("later"), START + 50, false).map(|_| ())
        })
        .unwrap();
    ledger.checkpoint_blocking(START + 60).unwrap();
    drop((ledger, store));
    std::fs::write(&place.database, backup).unwrap();
    assert!(matches!(open_error(&place), OpenError::Truncated { size: 11, entries: 10, .. }));
}

#[test]
fn a_rewritten_ledger_does_not_start_even_with_fitting_hashes() {
    let place = Place::with_entries(20);
    place.tamper(|connection| {
        connection
            .execute("UPDATE ledger SET body = replace(body, 'device-4', 'device-5')", [])
            .unwrap();
        rehash(connection, 0);
    });
    let error = open_error(&place);
    assert!(matches!(error, OpenError::Differs { size: 20, .. }), "{error}");
}

#[test]
fn a_damaged_entry_after_the_last_checkpoint_does_not_start() {
    let place = Place::with_entries(10);
    place.append(admin("as it was"), START + 100);
    place.append(admin("next"), START + 101);
    place.tamper(|connection| {
        connection
            .execute("UPDATE ledger SET body = replace(body, 'as it was', 'else')", [])
            .unwrap();
    });
    let error = open_error(&place);
    assert!(matches!(error, OpenError::Ledger(LedgerError::Damaged { index: 10, .. })), "{error}");
}

#[test]
fn a_running_ledger_notices_a_rewritten_entry_at_the_next_checkpoint() {
    let place = Place::with_entries(10);
    let store = place.store();
    let ledger = place.open(&store).unwrap();
    place.tamper(|connection| {
        connection.execute("DELETE FROM ledger WHERE idx = 9", []).unwrap();
    });
    let error = ledger.checkpoint_blocking(START + 100).unwrap_err();
    assert!(matches!(error, LedgerError::Damaged { index: 9, .. }), "{error}");
}

#[test]
fn a_missing_or_emptied_checkpoint_file_does_not_start() {
    let place = Place::with_entries(10);
    std::fs::write(&place.checkpoints, "").unwrap();
    let error = open_error(&place);
    assert!(matches!(error, OpenError::CheckpointsMissing { entries: 10, .. }), "{error}");
    std::fs::remove_file(&place.checkpoints).unwrap();
    assert!(matches!(open_error(&place), OpenError::CheckpointsMissing { .. }));
    // The file was made by the attempt; it is still empty, so the next one fails like the first.
    assert!(matches!(open_error(&place), OpenError::CheckpointsMissing { .. }));
}

#[test]
fn a_checkpoint_of_another_key_or_altered_does_not_start() {
    let place = Place::with_entries(10);
    let settings =
        CheckpointSettings { key: CheckpointKey::generate().unwrap(), ..place.settings() };
    let error = Ledger::open(&place.store(), settings, START).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("none of those given"), "{error}");

    let text = std::fs::read_to_string(&place.checkpoints).unwrap();
    let place_of_last = text.rfind("\n10\n").unwrap();
    let altered = format!("{}\n09{}", &text[..place_of_last], &text[place_of_last + 3..]);
    std::fs::write(&place.checkpoints, altered).unwrap();
    let error = open_error(&place);
    assert!(matches!(error, OpenError::BadCheckpoint { .. }), "{error}");
}

#[test]
fn a_new_key_goes_on_where_the_old_one_stopped() {
    let place = Place::with_entries(10);
    let key = CheckpointKey::generate().unwrap();
    let new = key.verifying_key().clone();
    let old = CheckpointKey::from_file(&place.key).unwrap().verifying_key().clone();
    let settings = CheckpointSettings { key, older_keys: vec![old], ..place.settings() };
    Ledger::open(&place.store(), settings, START + 100).unwrap();
    let mut witness = place.witness();
    witness.keys.push(new);
    let report = verify_database(&place.database, Some(&witness)).unwrap();
    assert_eq!(report.covered, 10);
}

#[test]
fn the_checkpoints_of_another_ledger_do_not_start() {
    let place = Place::with_entries(10);
    let settings = CheckpointSettings { origin: "other".into(), ..place.settings() };
    let error = Ledger::open(&place.store(), settings, START).map(|_| ()).unwrap_err();
    assert!(
        matches!(&error, OpenError::ForeignOrigin { expected, .. } if expected == "other"),
        "{error}"
    );
    for origin in ["", "two words", "a+b", "line\nbreak", "é"] {
        let settings = CheckpointSettings { origin: origin.into(), ..place.settings() };
        assert!(Ledger::open(&place.store(), settings, START).is_err(), "{origin:?}");
    }
}

#[test]
fn a_checkpoint_cut_short_by_a_power_failure_is_removed() {
    let place = Place::with_entries(10);
    let whole = std::fs::read(&place.checkpoints).unwrap();
    let begin = whole.windows(2).enumerate().filter(|(_, w)| *w == b"\n\n").map(|(p, _)| p + 2);
    let begin = begin.rev().nth(2).unwrap();
    for cut in begin..whole.len() {
        std::fs::write(&place.checkpoints, &whole[..cut]).unwrap();
        let torn = verify_database(&place.database, Some(&place.witness())).unwrap().torn;
        assert_eq!(torn.len(), usize::from(cut > begin), "cut at {cut} of {}", whole.len());
        let store = place.store();
        let ledger = place.open(&store).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        assert_eq!(ledger.last_checkpoint().unwrap().size, 10);
        drop((ledger, store));
        let report = verify_database(&place.database, Some(&place.witness())).unwrap();
        assert_eq!((report.torn.len(), report.covered), (0, 10), "cut at {cut}");
    }
}

#[test]
fn a_checkpoint_file_that_others_may_write_does_not_start() {
    let place = Place::with_entries(10);
    let wide = std::fs::Permissions::from_mode(0o664);
    std::fs::set_permissions(&place.checkpoints, wide).unwrap();
    let error = open_error(&place).to_string();
    assert!(error.contains("found mode 0664"), "{error}");
}

/// Fails without `ahead_of` in `ledger.rs`.
#[test]
fn a_clock_behind_the_last_entry_or_the_last_checkpoint_does_not_start() {
    let place = Place::with_entries(10);
    drop(place.open(&place.store()).unwrap());
    let store = place.store();
    let at = |now| Ledger::open(&store, place.settings(), now).map(|_| ());
    match at(LATER - 10).unwrap_err() {
        OpenError::Ledger(LedgerError::ClockBackwards { last, now }) => {
            assert_eq!((last, now), (LATER, LATER - 10), "by the checkpoint of the quiet hour");
        }
        other => panic!("{other}"),
    }
    at(LATER - 5).unwrap();

    let gap = |now| Ledger::open_after_gap(&store, place.settings(), "root", "set", false, now);
    gap(START - 1000).unwrap();
    at(START - 1000).unwrap();
}

#[test]
fn an_operator_may_record_a_gap_and_it_is_shown_for_ever() {
    let place = Place::with_entries(20);
    place.tamper(|connection| {
        connection.execute("DELETE FROM ledger WHERE idx >= 15", []).unwrap();
    });
    let store = place.store();
    let ledger = Ledger::open_after_gap(
        &store,
        place.settings(),
        "uid 0 (root)",
        "disk replaced, restored from the backup of Monday",
        false,
        START + 200,
    )
    .unwrap();
    assert_eq!(ledger.last_checkpoint().unwrap().size, 16);
    drop((ledger, store));

    let store = place.store();
    place.open(&store).expect("starts as usual from now on");
    drop(store);
    let report = verify_database(&place.database, Some(&place.witness())).unwrap();
    assert_eq!(report.kinds[Kind::Gap.as_str()], 1);
    let (index, gap) = &report.gaps[0];
    assert_eq!(*index, 15);
    assert_eq!(gap.reason, "disk replaced, restored from the backup of Monday");
}

#[test]
fn a_gap_may_be_recorded_over_other_entries_too() {
    let place = Place::with_entries(20);
    place.tamper(|connection| {
        connection
            .execute("UPDATE ledger SET body = replace(body, 'device-4', 'device-5')", [])
            .unwrap();
        rehash(connection, 0);
    });
    let store = place.store();
    Ledger::open_after_gap(&store, place.settings(), "root", "other copy", false, START + 200)
        .unwrap();
    drop(store);
    let report = verify_database(&place.database, Some(&place.witness())).unwrap();
    assert_eq!((report.explained, report.covered, report.gaps.len()), (3, 21, 1));

    // What is rewritten after that is no longer explained.
    place.tamper(|connection| {
        connection
            .execute("UPDATE ledger SET body = replace(body, 'device-6', 'device-7')", [])
            .unwrap();
        rehash(connection, 0);
    });
    assert!(verify_database(&place.database, Some(&place.witness())).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_ledger_gets_a_checkpoint_each_hour() {
    let place = Place::with_entries(4);
    let store = place.store();
    let ledger = place.open(&store).unwrap();
    let due = |now| {
        let ledger = ledger.clone();
        async move { ledger.checkpoint_if_due(now).await.unwrap().map(|written| written.time) }
    };
    assert_eq!(due(LATER + 60).await, None);
    assert_eq!(due(LATER + 3599).await, None);
    assert_eq!(due(LATER + 3600).await, Some(LATER + 3600));
    ledger.append(admin("something"), LATER + 3601, false).await.unwrap();
    assert_eq!(due(LATER + 3660).await, Some(LATER + 3660));
    assert_eq!(due(LATER + 3720).await, None);
    assert_eq!(due(LATER).await, Some(LATER), "a clock that went back is no reason to be silent");
    place.tamper(|connection| {
        connection.execute("DELETE FROM ledger WHERE idx = 4", []).unwrap();
    });
    assert!(ledger.checkpoint_if_due(LATER).await.is_err());
}

#[test]
fn lost_checkpoints_may_be_recorded_too_but_damage_never() {
    let place = Place::with_entries(10);
    std::fs::remove_file(&place.checkpoints).unwrap();
    let after_gap = |place: &Place| {
        let store = place.store();
        Ledger::open_after_gap(&store, place.settings(), "root", "lost", false, START + 200)
            .map(|_| ())
    };
    after_gap(&place).unwrap();
    assert_eq!(verify_database(&place.database, Some(&place.witness())).unwrap().covered, 11);

    let place = Place::with_entries(10);
    std::fs::remove_file(&place.checkpoints).unwrap();
    place.tamper(|connection| {
        connection.execute("UPDATE ledger SET lab = 1 WHERE idx = 2", []).unwrap();
    });
    let error = after_gap(&place).unwrap_err();
    assert!(matches!(error, OpenError::Ledger(LedgerError::Damaged { index: 2, .. })), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_are_written_while_entries_are() {
    let place = Place::new();
    let store = place.store();
    let ledger = place.open(&store).unwrap();
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let ledger = ledger.clone();
            tokio::spawn(async move {
                for number in 0..25 {
                    ledger.append(signed(writer * 100 + number, 1), START, true).await.unwrap();
                }
            })
        })
        .collect();
    let other = tokio::spawn({
        let ledger = ledger.clone();
        async move {
            for _ in 0..20 {
                ledger.checkpoint(START).await.unwrap();
            }
        }
    });
    for _ in 0..20 {
        ledger.checkpoint(START).await.unwrap();
    }
    other.await.unwrap();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(ledger.checkpoint(START + 1).await.unwrap().size, 200);
    assert_eq!(ledger.size().await.unwrap(), 200);
    store.close().await.unwrap();
    let report = verify_database(&place.database, Some(&place.witness())).unwrap();
    assert_eq!((report.entries, report.covered, report.lab), (200, 200, 200));
    assert_eq!(report.checkpoints, 42);
}

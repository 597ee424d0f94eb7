//! What an entry is, and when there is none.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests state what they know"
)]

mod place;

use countersign_ledger::{
    Denial, DenialExcess, Digest, Event, Filter, Gap, Kind, LedgerError, Lost, Order, OrderEnded,
    OrderSigned, RefusedSeal, Start, Station, Stop, append, entries, size, summary,
};
use countersign_store::StoreError;
use place::{Place, START, admin, all, enrolment, outcome, signed};

#[test]
fn each_entry_names_the_hash_of_the_one_before() {
    let place = Place::new();
    let store = place.store();
    for number in 0..5 {
        let event = signed(number, 1);
        let position = store
            .try_write_blocking(move |tx| append(tx, &event, START + number, number == 3))
            .unwrap();
        assert_eq!(position.index, number);
    }
    let entries = all(&store);
    assert_eq!(entries[0].previous, Digest::default());
    for pair in entries.windows(2) {
        assert_eq!(pair[1].previous, pair[0].hash);
    }
    assert!(entries.iter().all(|entry| entry.hash == entry.computed_hash()));
    assert_eq!(
        entries.iter().map(|entry| entry.lab).collect::<Vec<_>>(),
        [false, false, false, true, false]
    );
    assert_eq!(entries[2].event().unwrap(), signed(2, 1));
}

/// The form is for ever: what was logged once must verify in ten years.
#[test]
fn the_hash_of_a_known_entry_does_not_change() {
    let place = Place::new();
    place.append(admin("for ever"), START);
    let entry = all(&place.store()).remove(0);
    assert_eq!(entry.body, r#"{"act":"fuse-reset","detail":"for ever","who":"uid 0 (root)"}"#);
    assert_eq!(
        entry.hash.to_string(),
        "ba19ef229cc776149a523df4e6ad3b5341074ed7d34e9ca8ad62342414c5f51f"
    );
}

#[test]
fn an_entry_is_kept_with_the_callers_rows_or_not_at_all() {
    let place = Place::new();
    let store = place.store();
    store
        .write_blocking(|tx| Ok(tx.execute_batch("CREATE TABLE cms (octets BLOB NOT NULL)")?))
        .unwrap();
    let event = signed(0, 1);
    let failed = store.try_write_blocking(move |tx| -> Result<(), LedgerError> {
        append(tx, &event, START, false)?;
        tx.execute("INSERT INTO cms VALUES (NULL)", [])?;
        Ok(())
    });
    assert!(matches!(failed, Err(LedgerError::Store(StoreError::Constraint(_)))), "{failed:?}");
    assert!(all(&store).is_empty());

    let event = signed(0, 1);
    store
        .try_write_blocking(move |tx| -> Result<(), LedgerError> {
            tx.execute("INSERT INTO cms VALUES (x'00')", [])?;
            append(tx, &event, START, false)?;
            Ok(())
        })
        .unwrap();
    assert_eq!(all(&store).len(), 1);
}

#[test]
fn a_clock_that_jumps_back_stops_the_ledger() {
    let place = Place::new();
    let store = place.store();
    place.open(&store).unwrap();
    let write = |event: Event, now| {
        store.try_write_blocking(move |tx| append(tx, &event, now, false).map(|_| ()))
    };
    write(signed(0, 1), START).unwrap();
    // Time synchronisation moves the clock a little.
    write(outcome(0, 1), START - 5).unwrap();
    assert_eq!(all(&store)[1].time, START, "the order of times is kept");
    let error = write(signed(1, 1), START - 6).unwrap_err();
    let LedgerError::ClockBackwards { last, now } = error else { panic!("{error}") };
    assert_eq!((last, now), (START, START - 6));
    assert_eq!(all(&store).len(), 2);

    // A clock that was ahead is set right by an operator's entry, and by nothing else.
    let gap = Gap {
        lost: Lost::Clock { last: START },
        who: "uid 0 (root)".into(),
        reason: "BIOS battery".into(),
    };
    write(Event::Gap(gap), START - 86400).unwrap();
    write(signed(1, 1), START - 86000).unwrap();
    place.open(&store).unwrap();
    drop(store);
    let report = countersign_ledger::verify_database(&place.database, Some(&place.witness()));
    assert_eq!(report.unwrap().gaps.len(), 1);
}

#[test]
fn strangers_words_are_harmless_and_bounded() {
    let place = Place::new();
    let text = "CN=a\u{1b}[31m\r\n{\"kind\":\"signed\"}\u{202e}".to_owned();
    place.append(
        Event::Denied(Denial {
            by: Station::Verify,
            profile: "wifi".into(),
            code: "name-mismatch".into(),
            detail: format!("{text}{}", "x".repeat(100_000)).into(),
            csr_sha256: Some(Digest([1; 32])),
            names: vec!["\u{7}".repeat(2000).into(); 500],
            source: "192.0.2.1".into(),
        }),
        START,
    );
    let entry = all(&place.store()).remove(0);
    assert!(entry.body.len() < 24 * 1024, "{}", entry.body.len());
    assert!(entry.body.chars().all(|c| !c.is_control() && c != '\u{202e}'));
    let Event::Denied(denial) = entry.event().unwrap() else { panic!("{entry:?}") };
    assert!(denial.detail.starts_with(r#"CN=a\u{1b}[31m\u{d}\u{a}{"kind":"signed"}\u{202e}x"#));
    assert_eq!(denial.names.len(), Denial::MAX_NAMES);
    assert_eq!(denial.names.last().unwrap().as_str(), "… and 485 more");
}

#[test]
fn a_body_beyond_the_limit_is_refused_whole() {
    let place = Place::new();
    let store = place.store();
    let Event::Signed(mut body) = signed(0, 1) else { panic!() };
    body.names = vec!["n".repeat(1000).into(); 100];
    let refused = store
        .try_write_blocking(move |tx| append(tx, &Event::Signed(body), START, false).map(|_| ()));
    assert!(matches!(refused, Err(LedgerError::TooLarge { .. })), "{refused:?}");
    assert!(all(&store).is_empty());
}

#[test]
fn our_own_code_cannot_rewrite_or_cut_the_ledger() {
    let place = Place::with_entries(3);
    let store = place.store();
    for sql in [
        "UPDATE ledger SET lab = 0 WHERE idx = 1",
        "DELETE FROM ledger WHERE idx = 2",
        "REPLACE INTO ledger SELECT idx, time, kind, 1, body, previous, hash FROM ledger WHERE idx = 1",
    ] {
        let refused = store.write_blocking(move |tx| Ok(tx.execute(sql, [])?));
        assert!(refused.is_err(), "{sql}");
    }
    assert_eq!(all(&store).len(), 3);
}

#[test]
fn every_kind_reads_back_as_it_was_written() {
    let place = Place::new();
    let gap = |lost| Gap { lost, who: "uid 0".into(), reason: "restored".into() };
    let events = vec![
        signed(1, 2),
        outcome(1, 2),
        Event::Denied(Denial {
            by: Station::Admit,
            profile: "wifi".into(),
            code: "key-too-small".into(),
            detail: "expected 2048 bit, found 1024".into(),
            csr_sha256: None,
            names: Vec::new(),
            source: "unix".into(),
        }),
        Event::DeniedExcess(DenialExcess {
            by: Station::Sign,
            profile: "wifi".into(),
            source: "192.0.2.1".into(),
            count: 1000,
            since: START,
            until: START + 60,
        }),
        Event::RefusedSeal(RefusedSeal {
            code: "expired".into(),
            detail: "an hour ago".into(),
            seal_sha256: Digest([1; 32]),
            csr_sha256: Digest([2; 32]),
            enrolment: Some(enrolment(1)),
            profile: Some("wifi".into()),
        }),
        Event::Order(Order {
            enrolment: enrolment(1),
            attempt: 2,
            profile: "wifi".into(),
            authority: "lab".into(),
            certificate_sha256: Digest([3; 32]),
            serial: "4d2".into(),
            reason: "check-failed".into(),
        }),
        Event::OrderSigned(OrderSigned {
            number: 1,
            enrolment: enrolment(1),
            attempt: 2,
            profile: "wifi".into(),
            authority: "lab".into(),
            certificate_sha256: Digest([3; 32]),
            serial: "04d2".into(),
            reason: "unspecified".into(),
            source: "check".into(),
            detail: "check-failed".into(),
            document_sha256: Digest([6; 32]),
            order_key_sha256: Digest([7; 32]),
            let_through: true,
        }),
        Event::OrderEnded(OrderEnded {
            number: 1,
            enrolment: enrolment(1),
            attempt: 2,
            certificate_sha256: Digest([3; 32]),
            end: "carried-out".into(),
            revoker: "lab".into(),
            detail: "".into(),
        }),
        admin("by hand"),
        Event::Start(Start {
            version: "0.1.0".into(),
            config_sha256: Digest([4; 32]),
            ea_certificate_sha256: None,
        }),
        Event::Stop(Stop { reason: "SIGTERM".into() }),
        Event::Gap(gap(Lost::Entries { size: 9, root: Digest([5; 32]), time: START })),
        Event::Gap(gap(Lost::Checkpoints)),
        Event::Gap(gap(Lost::Clock { last: START })),
    ];
    for event in &events {
        place.append(event.clone(), START);
    }
    let read = all(&place.store());
    assert_eq!(read.iter().map(|entry| entry.event().unwrap()).collect::<Vec<_>>(), events);
    for kind in Kind::ALL {
        assert!(read.iter().any(|entry| entry.kind == kind.as_str()), "{kind} is not tested");
        assert_eq!(kind.as_str().parse(), Ok(kind));
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
    }
}

#[test]
fn entries_are_found_by_range_kind_enrolment_and_time() {
    let place = Place::with_entries(20);
    let store = place.store();
    let found = |filter: Filter| -> Vec<u64> {
        let found = store.read_blocking(|connection| entries(connection, &filter)).unwrap();
        found.iter().map(|entry| entry.index).collect()
    };
    let any = Filter::default;
    assert_eq!(found(Filter { from: 17, ..any() }), [17, 18, 19]);
    assert_eq!(found(Filter { from: 3, limit: 2, ..any() }), [3, 4]);
    assert_eq!(found(Filter { kind: Some(Kind::Outcome), limit: 3, ..any() }), [1, 3, 5]);
    assert_eq!(found(Filter { enrolment: Some(enrolment(6)), ..any() }), [6, 7]);
    let (since, until) = (Some(START + 4), Some(START + 6));
    assert_eq!(found(Filter { since, until, ..any() }), [4, 5, 6]);
    assert_eq!(store.read_blocking(size).unwrap(), 20);
}

#[test]
fn an_enrolment_is_told_from_its_entries() {
    let place = Place::with_entries(4);
    place.append(signed(2, 2), START + 10);
    let store = place.store();
    let told = store.read_blocking(|connection| summary(connection, enrolment(2))).unwrap();
    assert_eq!(told.signed, [1, 2]);
    assert_eq!(told.unsettled, [2]);
    assert_eq!(told.certificates, [Digest([9; 32])]);
    assert_eq!(told.entries.iter().map(|entry| entry.index).collect::<Vec<_>>(), [2, 3, 4]);
    let plan: String = store
        .read_blocking(|connection| {
            Ok::<_, StoreError>(connection.query_row(
                "EXPLAIN QUERY PLAN SELECT idx FROM ledger
                 WHERE idx >= 0 AND json_extract(body, '$.enrolment') = 'x' ORDER BY idx",
                [],
                |row| row.get(3),
            )?)
        })
        .unwrap();
    assert!(plan.contains("ledger_by_enrolment"), "{plan}");
}

//! A ledger in a temporary directory, and what an attacker does to it.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "shared by several tests, each of which uses a part; tests state what they know"
)]

use std::path::PathBuf;

use countersign_ledger::{
    Admin, CheckpointKey, CheckpointSettings, Digest, Entry, Event, Filter, Ledger, MIGRATION,
    OpenError, Outcome, OutcomeKind, RequestKind, Signed, Verifier, Witness, append, entries,
};
use countersign_store::rusqlite::{Connection, params};
use countersign_store::{Owner, Store};
use tempfile::TempDir;

pub const START: u64 = 1_800_000_000;

/// When it is opened again: after everything that a test writes.
pub const LATER: u64 = START + 1000;

pub struct Place {
    pub directory: TempDir,
    pub database: PathBuf,
    pub checkpoints: PathBuf,
    pub key: PathBuf,
}

impl Place {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("sign.db");
        let checkpoints = directory.path().join("checkpoints");
        let key = directory.path().join("checkpoint.key");
        CheckpointKey::create_file(&key).unwrap();
        Self { directory, database, checkpoints, key }
    }

    /// With `count` entries (countersigned attempts and their outcomes in turn), a checkpoint
    /// after each tenth and at the end.
    pub fn with_entries(count: u64) -> Self {
        let place = Self::new();
        let store = place.store();
        let ledger = place.open(&store).unwrap();
        for number in 0..count {
            let event = if number % 2 == 0 { signed(number, 1) } else { outcome(number - 1, 1) };
            store.try_write_blocking(move |tx| append(tx, &event, START + number, false)).unwrap();
            if number % 10 == 9 {
                ledger.checkpoint_blocking(START + number).unwrap();
            }
        }
        ledger.checkpoint_blocking(START + count).unwrap();
        place
    }

    pub fn store(&self) -> Store {
        Store::open(&self.database, Owner::Sign, &[MIGRATION]).unwrap()
    }

    pub fn settings(&self) -> CheckpointSettings {
        CheckpointSettings {
            path: self.checkpoints.clone(),
            origin: "ra.example/ledger".into(),
            key: CheckpointKey::from_file(&self.key).unwrap(),
            older_keys: Vec::new(),
        }
    }

    pub fn open(&self, store: &Store) -> Result<Ledger, OpenError> {
        Ledger::open(store, self.settings(), LATER)
    }

    pub fn witness(&self) -> Witness {
        let key = CheckpointKey::from_file(&self.key).unwrap();
        Witness { files: vec![self.checkpoints.clone()], keys: vec![key.verifying_key().clone()] }
    }

    pub fn append(&self, event: Event, time: u64) {
        let store = self.store();
        store.try_write_blocking(move |tx| append(tx, &event, time, false)).unwrap();
    }

    /// What somebody with the file in hand does: triggers and index do not stop them.
    pub fn tamper(&self, tamper: impl FnOnce(&Connection)) {
        let connection = Connection::open(&self.database).unwrap();
        connection
            .execute_batch(
                "DROP TRIGGER IF EXISTS ledger_has_no_gaps;
                 DROP TRIGGER IF EXISTS ledger_is_not_rewritten;
                 DROP TRIGGER IF EXISTS ledger_is_not_cut;
                 DROP INDEX IF EXISTS ledger_by_enrolment",
            )
            .unwrap();
        tamper(&connection);
        connection.close().unwrap();
    }
}

pub fn enrolment(number: u64) -> Digest {
    Digest::of(&number.to_be_bytes())
}

pub fn signed(number: u64, attempt: u32) -> Event {
    Event::Signed(Signed {
        enrolment: enrolment(number),
        attempt,
        request: RequestKind::Initial,
        profile: "wifi".into(),
        current_certificate_sha256: None,
        csr_sha256: Digest([1; 32]),
        cri_sha256: Digest([2; 32]),
        spki_sha256: Digest([3; 32]),
        names: vec![format!("CN=device-{number}").into(), "DNS:device.example".into()],
        device_id: Some("device".into()),
        latest_end: None,
        verifiers: vec![Verifier {
            plugin: "one-time-password".into(),
            digest: Digest([4; 32]),
            evidence: Vec::new(),
        }],
        config_sha256: Digest([5; 32]),
        seal_sha256: Digest([6; 32]),
        approved_at: START,
        expires_at: START + 60,
        ea_certificate_sha256: Digest([7; 32]),
        cms_sha256: Digest([8; 32]),
    })
}

pub fn outcome(number: u64, attempt: u32) -> Event {
    Event::Outcome(Outcome {
        enrolment: enrolment(number),
        attempt,
        profile: "wifi".into(),
        outcome: OutcomeKind::Issued,
        certificate_sha256: Some(Digest([9; 32])),
        serial: Some("4d2".into()),
        code: None,
    })
}

pub fn admin(detail: &str) -> Event {
    Event::Admin(Admin {
        who: "uid 0 (root)".into(),
        act: "fuse-reset".into(),
        detail: detail.into(),
    })
}

/// Makes all hashes from `from` on fit again, as an attacker does who knows how.
pub fn rehash(connection: &Connection, from: u64) {
    let all = raw_entries(connection);
    let mut previous = Digest::default();
    for mut entry in all {
        if entry.index >= from {
            entry.previous = previous;
            entry.hash = entry.computed_hash();
            connection
                .execute(
                    "UPDATE ledger SET previous = ?2, hash = ?3 WHERE idx = ?1",
                    params![i64::try_from(entry.index).unwrap(), entry.previous.0, entry.hash.0],
                )
                .unwrap();
        }
        previous = entry.hash;
    }
}

pub fn raw_entries(connection: &Connection) -> Vec<Entry> {
    let mut statement = connection
        .prepare("SELECT idx, time, kind, lab, body, previous, hash FROM ledger ORDER BY idx")
        .unwrap();
    let rows = statement.query_map([], |row| {
        Ok(Entry {
            index: u64::try_from(row.get::<_, i64>(0)?).unwrap(),
            time: u64::try_from(row.get::<_, i64>(1)?).unwrap(),
            kind: row.get(2)?,
            lab: row.get(3)?,
            body: row.get(4)?,
            previous: Digest(row.get(5)?),
            hash: Digest(row.get(6)?),
        })
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

pub fn all(store: &Store) -> Vec<Entry> {
    store.read_blocking(|connection| entries(connection, &Filter::default())).unwrap()
}

//! The schema of `verify`'s database.

use countersign_store::Migration;

/// Challenges, kv, approvals, orders.
pub(crate) const SCHEMA: &[Migration] = &[Migration {
    name: "0001-challenges-kv-approvals-orders",
    sql: "
    CREATE TABLE challenge (
        mac         BLOB    NOT NULL PRIMARY KEY CHECK (length(mac) = 32),
        plugin      TEXT    NOT NULL,
        profile     TEXT    NOT NULL,
        names       TEXT    NOT NULL,
        device_id   TEXT,
        attributes  TEXT    NOT NULL,
        issued_by   TEXT    NOT NULL,
        created     INTEGER NOT NULL,
        expires     INTEGER NOT NULL,
        state       TEXT    NOT NULL CHECK (state IN ('issued', 'bound', 'spent')),
        info_sha256 BLOB,
        enrolment   BLOB,
        held_until  INTEGER,
        CHECK ((state = 'issued') = (info_sha256 IS NULL))
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX challenge_of_enrolment ON challenge (enrolment) WHERE enrolment IS NOT NULL;
    CREATE INDEX challenge_open ON challenge (plugin, expires) WHERE state = 'issued';
    CREATE TABLE kv (
        plugin  TEXT NOT NULL,
        key     TEXT NOT NULL,
        value   BLOB NOT NULL,
        expires INTEGER,
        PRIMARY KEY (plugin, key)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX kv_expiry ON kv (expires) WHERE expires IS NOT NULL;
    CREATE TABLE approval (
        enrolment   BLOB    NOT NULL,
        attempt     INTEGER NOT NULL,
        profile     TEXT    NOT NULL,
        device_id   TEXT,
        approval    BLOB    NOT NULL,
        approved    INTEGER NOT NULL,
        outcome     TEXT,
        certificate BLOB,
        PRIMARY KEY (enrolment, attempt)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX approval_of_device ON approval (device_id) WHERE device_id IS NOT NULL;
    CREATE TABLE revocation_order (
        certificate_sha256 BLOB    NOT NULL PRIMARY KEY,
        authority          TEXT    NOT NULL,
        serial             TEXT    NOT NULL,
        enrolment          BLOB    NOT NULL,
        attempt            INTEGER NOT NULL,
        profile            TEXT    NOT NULL,
        reason             TEXT    NOT NULL,
        ordered            INTEGER NOT NULL,
        carried_out        INTEGER
    ) STRICT, WITHOUT ROWID;
    ",
}];

//! The schema of `verify`'s database.

use countersign_store::Migration;

/// Challenges, kv, approvals, orders.
pub(crate) const SCHEMA: &[Migration] = &[
    Migration {
        name: "0001-challenges-kv-approvals-orders",
        sql: "
    CREATE TABLE challenge (
        -- Rows that are read and written in one moment share a page; keys are random.
        number      INTEGER PRIMARY KEY,
        mac         BLOB    NOT NULL UNIQUE CHECK (length(mac) = 32),
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
    ) STRICT;
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
        number      INTEGER PRIMARY KEY,
        enrolment   BLOB    NOT NULL,
        attempt     INTEGER NOT NULL,
        profile     TEXT    NOT NULL,
        device_id   TEXT,
        approval    BLOB    NOT NULL,
        approved    INTEGER NOT NULL,
        outcome     TEXT,
        certificate BLOB,
        UNIQUE (enrolment, attempt)
    ) STRICT;
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
    },
    Migration {
        name: "0002-mdm-and-notices",
        sql: "
    CREATE TABLE mdm_fetched (
        credential TEXT    NOT NULL,
        minute     INTEGER NOT NULL,
        count      INTEGER NOT NULL,
        PRIMARY KEY (credential, minute)
    ) STRICT, WITHOUT ROWID;
    -- What verifiers that approved will be told: waiting for the outcome, then due, or given up.
    CREATE TABLE notice (
        number    INTEGER PRIMARY KEY,
        enrolment BLOB    NOT NULL,
        attempt   INTEGER NOT NULL,
        plugin    TEXT    NOT NULL,
        -- Of profile and transaction ID: one thread is told in order.
        thread    BLOB    NOT NULL,
        approved  INTEGER NOT NULL,
        -- Request and memo, sealed: there is a challenge inside.
        request   BLOB    NOT NULL,
        state     TEXT    NOT NULL DEFAULT 'waiting'
                  CHECK (state IN ('waiting', 'due', 'dead')),
        arrived   INTEGER,
        outcome   TEXT,
        code      TEXT,
        tries     INTEGER NOT NULL DEFAULT 0,
        next_try  INTEGER NOT NULL DEFAULT 0,
        failure   TEXT,
        UNIQUE (enrolment, attempt, plugin),
        CHECK ((state = 'waiting') = (outcome IS NULL))
    ) STRICT;
    CREATE INDEX notice_due ON notice (plugin, thread, arrived) WHERE state = 'due';
    CREATE INDEX notice_arrived ON notice (arrived) WHERE arrived IS NOT NULL;
    ",
    },
    Migration {
        name: "0003-certificates-of-approvals",
        sql: "
    ALTER TABLE approval ADD COLUMN certificate_sha256 BLOB;
    CREATE INDEX approval_of_certificate ON approval (certificate_sha256)
        WHERE certificate_sha256 IS NOT NULL;
    ",
    },
    Migration {
        name: "0004-orders",
        sql: "
    ALTER TABLE revocation_order ADD COLUMN state TEXT NOT NULL DEFAULT 'placed'
        CHECK (state IN ('placed', 'held', 'signed', 'carried-out', 'nothing-to-do', 'failed',
            'withdrawn'));
    -- Who wants it: `check`, `event`, `tombstone`, `admin`; the rest in words; the plug-in behind it.
    ALTER TABLE revocation_order ADD COLUMN source TEXT NOT NULL DEFAULT 'check';
    ALTER TABLE revocation_order ADD COLUMN source_detail TEXT NOT NULL DEFAULT 'check-failed';
    ALTER TABLE revocation_order ADD COLUMN plugin TEXT;
    -- From `sign`: the number it counts orders by, the octets it signed, and the signature.
    ALTER TABLE revocation_order ADD COLUMN number INTEGER;
    ALTER TABLE revocation_order ADD COLUMN document BLOB;
    ALTER TABLE revocation_order ADD COLUMN signature BLOB;
    -- From the revoker: how often it tried, its last word, and whether that is the end.
    ALTER TABLE revocation_order ADD COLUMN tries INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE revocation_order ADD COLUMN revoker TEXT;
    ALTER TABLE revocation_order ADD COLUMN result TEXT;
    ALTER TABLE revocation_order ADD COLUMN final INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE revocation_order ADD COLUMN next_try INTEGER NOT NULL DEFAULT 0;
    -- Whether the ledger has the end.
    ALTER TABLE revocation_order ADD COLUMN reported INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX revocation_order_unsigned ON revocation_order (ordered)
        WHERE state IN ('placed', 'held');
    CREATE UNIQUE INDEX revocation_order_number ON revocation_order (number)
        WHERE number IS NOT NULL;
    CREATE INDEX revocation_order_unreported ON revocation_order (number)
        WHERE final = 1 AND reported = 0;
    ",
    },
];

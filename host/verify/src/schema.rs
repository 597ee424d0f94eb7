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
    Migration {
        name: "0005-events",
        sql: "
    -- Of an issued certificate: its serial number in hexadecimal without zeros before it, as device
    -- managements name it.
    ALTER TABLE approval ADD COLUMN serial TEXT;
    CREATE INDEX approval_of_serial ON approval (serial) WHERE serial IS NOT NULL;
    -- Devices that get no further certificate until an admin says otherwise.
    CREATE TABLE tombstone (
        device_id TEXT    NOT NULL,
        plugin    TEXT    NOT NULL,
        placed    INTEGER NOT NULL,
        -- The plug-in's own identity of the action, and its words for the reason.
        action    TEXT    NOT NULL,
        detail    TEXT    NOT NULL,
        reason    TEXT    NOT NULL,
        -- The profiles of the plug-in at that time, JSON: renaming it lifts nothing.
        profiles  TEXT    NOT NULL,
        PRIMARY KEY (device_id, plugin)
    ) STRICT, WITHOUT ROWID;
    -- What plug-ins wanted done, until they know what became of it, and after that so that a
    -- repetition repeats nothing.
    CREATE TABLE action (
        number   INTEGER PRIMARY KEY,
        plugin   TEXT    NOT NULL,
        id       TEXT    NOT NULL,
        stored   INTEGER NOT NULL,
        -- `open` while its orders run; `settled` until the plug-in is told; `told`; or `dead`, if it
        -- could not be.
        state    TEXT    NOT NULL DEFAULT 'open'
                 CHECK (state IN ('open', 'settled', 'told', 'dead')),
        result   TEXT,
        tries    INTEGER NOT NULL DEFAULT 0,
        next_try INTEGER NOT NULL DEFAULT 0,
        failure  TEXT,
        UNIQUE (plugin, id),
        CHECK ((state = 'open') = (result IS NULL))
    ) STRICT;
    CREATE INDEX action_open ON action (number) WHERE state = 'open';
    CREATE INDEX action_settled ON action (plugin, number) WHERE state = 'settled';
    CREATE TABLE action_order (
        action             INTEGER NOT NULL,
        certificate_sha256 BLOB    NOT NULL,
        -- Whether the order had ended before the action came.
        had_ended          INTEGER NOT NULL,
        PRIMARY KEY (action, certificate_sha256)
    ) STRICT, WITHOUT ROWID;
    -- How far feeds have been read.
    CREATE TABLE feed (
        plugin   TEXT    NOT NULL PRIMARY KEY,
        cursor   BLOB,
        next_run INTEGER NOT NULL DEFAULT 0,
        failures INTEGER NOT NULL DEFAULT 0,
        failure  TEXT,
        read     INTEGER
    ) STRICT, WITHOUT ROWID;
    ",
    },
    Migration {
        name: "0006-clock",
        sql: "
    -- How late it has been, so that a clock that went back is noticed by the next start too.
    CREATE TABLE clock (
        one  INTEGER PRIMARY KEY CHECK (one = 1),
        seen INTEGER NOT NULL
    ) STRICT;
    ",
    },
];

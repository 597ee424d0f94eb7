//! Tables of `sign.db`: the ledger's, then ours.

use countersign_ledger as ledger;
use countersign_store::Migration;

/// In order; what was released is never changed.
pub(crate) const MIGRATIONS: &[Migration] = &[ledger::MIGRATION, SIGNATURES, ORDERS];

/// The rules that must hold whatever the code does: one signature for each attempt, at most one
/// of an enrolment without an outcome, and no signed octets left once the outcome is known.
const SIGNATURES: Migration = Migration {
    name: "sign-0001",
    sql: "
        CREATE TABLE signature (
            enrolment          BLOB NOT NULL CHECK (length(enrolment) = 32),
            attempt            INTEGER NOT NULL CHECK (attempt >= 1),
            profile            TEXT NOT NULL,
            csr_sha256         BLOB NOT NULL CHECK (length(csr_sha256) = 32),
            info_sha256        BLOB NOT NULL CHECK (length(info_sha256) = 32),
            spki_sha256        BLOB NOT NULL CHECK (length(spki_sha256) = 32),
            cms                BLOB,
            cms_sha256         BLOB NOT NULL CHECK (length(cms_sha256) = 32),
            -- In the order of signing, so that rows of one moment share a page.
            ledger_index       INTEGER PRIMARY KEY,
            signed_at          INTEGER NOT NULL,
            outcome            TEXT
                CHECK (outcome IN ('issued', 'refused', 'withheld', 'abandoned')),
            certificate_sha256 BLOB CHECK (length(certificate_sha256) = 32),
            not_after          INTEGER,
            settled_at         INTEGER,
            UNIQUE (enrolment, attempt),
            CHECK ((outcome IS NULL) = (cms IS NOT NULL)),
            CHECK ((outcome IS NULL) = (settled_at IS NULL)),
            CHECK (outcome IS NOT 'issued' OR (certificate_sha256 IS NOT NULL AND not_after IS NOT NULL))
        ) STRICT;
        CREATE UNIQUE INDEX signature_unsettled ON signature (enrolment) WHERE outcome IS NULL;
        CREATE INDEX signature_by_time ON signature (signed_at);

        CREATE TABLE revocation_order (
            authority          TEXT NOT NULL,
            certificate_sha256 BLOB NOT NULL CHECK (length(certificate_sha256) = 32),
            enrolment          BLOB NOT NULL,
            attempt            INTEGER NOT NULL,
            profile            TEXT NOT NULL,
            serial             TEXT NOT NULL,
            reason             TEXT NOT NULL,
            ledger_index       INTEGER NOT NULL UNIQUE,
            ordered_at         INTEGER NOT NULL,
            PRIMARY KEY (certificate_sha256, authority),
            FOREIGN KEY (enrolment, attempt) REFERENCES signature (enrolment, attempt)
        ) STRICT, WITHOUT ROWID;
    ",
};

/// Revocation orders that were signed, and the fuse that holds them: once blown it stays so over a
/// restart, until two people reset it.
const ORDERS: Migration = Migration {
    name: "sign-0002-orders",
    sql: "
        ALTER TABLE signature ADD COLUMN serial TEXT;

        CREATE TABLE signed_order (
            number             INTEGER PRIMARY KEY,
            authority          TEXT NOT NULL,
            certificate_sha256 BLOB NOT NULL CHECK (length(certificate_sha256) = 32),
            enrolment          BLOB NOT NULL,
            attempt            INTEGER NOT NULL,
            document           BLOB NOT NULL,
            signature          BLOB NOT NULL CHECK (length(signature) = 64),
            ledger_index       INTEGER NOT NULL UNIQUE,
            signed_at          INTEGER NOT NULL,
            -- 0 for one that two people let through beyond the fuse.
            counted            INTEGER NOT NULL,
            result             TEXT CHECK (result IN ('carried-out', 'nothing-to-do', 'failed')),
            ended_at           INTEGER,
            UNIQUE (certificate_sha256, authority),
            FOREIGN KEY (enrolment, attempt) REFERENCES signature (enrolment, attempt)
        ) STRICT;
        CREATE INDEX signed_order_by_time ON signed_order (signed_at) WHERE counted = 1;

        CREATE TABLE revocation_fuse (
            only_row          INTEGER PRIMARY KEY CHECK (only_row = 1),
            blown_at          INTEGER,
            blown_window      TEXT,
            reset_after       INTEGER NOT NULL,
            let_through       INTEGER NOT NULL CHECK (let_through >= 0),
            let_through_until INTEGER NOT NULL,
            CHECK ((blown_at IS NULL) = (blown_window IS NULL))
        ) STRICT;
        INSERT INTO revocation_fuse VALUES (1, NULL, NULL, 0, 0, 0);
    ",
};

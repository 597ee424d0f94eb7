//! The durable side of an enrolment: its row, and the transactions that move it on.
//!
//! Each move states the state it leaves (`WHERE state IN …`), so that two of them can never both
//! happen. An outcome and the messages that carry it (`outbox`) are one transaction.

use std::sync::Arc;

use countersign_authority::RequestId;
use countersign_ipc::{EnrolmentId, SealedApproval, SignRequest, VerifyRequest};
use countersign_profile::Certificate;
use countersign_store::rusqlite::{self, Row, Transaction, params};
use countersign_store::{ColumnKey, ColumnKeyError, Migration, Store, StoreError};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::renewal::Renewal;
use crate::state::State;

/// The schema of `serve`'s database.
pub const SCHEMA: &[Migration] = &[ENROLMENT_AND_OUTBOX, RENEWALS_AND_SERIALS];

const ENROLMENT_AND_OUTBOX: Migration = Migration {
    name: "0001-enrolment-and-outbox",
    sql: "
    CREATE TABLE enrolment (
        number         INTEGER PRIMARY KEY,
        id             BLOB    NOT NULL CHECK (length(id) = 32),
        attempt        INTEGER NOT NULL CHECK (attempt > 0),
        profile        TEXT    NOT NULL,
        transaction_id BLOB    NOT NULL,
        signer         BLOB    NOT NULL CHECK (length(signer) = 32),
        names          TEXT    NOT NULL,
        source         TEXT    NOT NULL,
        state          TEXT    NOT NULL,
        csr            BLOB    NOT NULL,
        path_suffix    TEXT    NOT NULL,
        sealed         TEXT,
        cms            BLOB,
        submissions    INTEGER NOT NULL DEFAULT 0,
        request_id     INTEGER,
        certificate    BLOB,
        not_after      INTEGER,
        code           TEXT,
        created        INTEGER NOT NULL,
        updated        INTEGER NOT NULL,
        UNIQUE (id, attempt)
    ) STRICT;
    CREATE INDEX enrolment_by_transaction ON enrolment (profile, transaction_id, signer, created);
    CREATE INDEX enrolment_unfinished ON enrolment (state, updated)
        WHERE state IN ('waiting', 'ready', 'intended', 'pending');
    CREATE TABLE outbox (
        sequence  INTEGER PRIMARY KEY AUTOINCREMENT,
        enrolment BLOB    NOT NULL,
        recipient TEXT    NOT NULL CHECK (recipient IN ('verify', 'sign')),
        message   TEXT    NOT NULL,
        created   INTEGER NOT NULL
    ) STRICT;
    ",
};

const RENEWALS_AND_SERIALS: Migration = Migration {
    name: "0002-renewals-and-serials",
    sql: "
    ALTER TABLE enrolment ADD COLUMN renewal BLOB;
    ALTER TABLE enrolment ADD COLUMN serial BLOB;
    CREATE INDEX enrolment_by_serial ON enrolment (profile, serial) WHERE serial IS NOT NULL;
    ",
};

/// Why the record of an enrolment could not be read or moved on.
#[derive(Debug, Clone, Error)]
pub enum RecordError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An encrypted column did not open.
    #[error(transparent)]
    Column(#[from] ColumnKeyError),
    /// The enrolment was not in a state from which this move leads on. Another task moved it.
    #[error("enrolment {id} attempt {attempt} is no longer in a state that may become {to}")]
    Overtaken {
        /// Which enrolment.
        id: EnrolmentId,
        /// Which attempt.
        attempt: u32,
        /// Where it should have gone.
        to: State,
    },
    /// A row holds what this version does not write.
    #[error("the row of an enrolment is not readable: {0}; restore the database from a backup")]
    Unreadable(&'static str),
    /// Too many requests wait for a verifier.
    #[error("{held} requests of profile {profile} wait already, its quota")]
    Quota {
        /// The profile.
        profile: String,
        /// How many wait.
        held: u32,
    },
}

impl From<rusqlite::Error> for RecordError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// An enrolment as stored.
#[derive(Debug, Clone)]
pub struct Record {
    /// Which enrolment.
    pub id: EnrolmentId,
    /// Which attempt.
    pub attempt: u32,
    /// Profile name.
    pub profile: String,
    /// SCEP transaction ID as received.
    pub transaction_id: Vec<u8>,
    /// SHA-256 of the public key that signed the request.
    pub signer: [u8; 32],
    /// Names asked for, textual form.
    pub names: Vec<String>,
    /// Where the request came from.
    pub source: String,
    /// Where it stands.
    pub state: State,
    /// The PKCS#10 as received.
    pub csr: Zeroizing<Vec<u8>>,
    /// What followed the profile in the URL.
    pub path_suffix: String,
    /// What a renewal leans on, while it waits for a verifier.
    pub renewal: Option<Renewal>,
    /// The approval, once there is one.
    pub sealed: Option<SealedApproval>,
    /// The exact countersigned bytes, until the enrolment is final.
    pub cms: Option<Zeroizing<Vec<u8>>>,
    /// How often the bytes were handed to the CA.
    pub submissions: u32,
    /// The CA's number for it.
    pub request_id: Option<RequestId>,
    /// The certificate, where one was issued.
    pub certificate: Option<Vec<u8>>,
    /// Its end of validity, seconds since 1970 UTC.
    pub not_after: Option<u64>,
    /// Stable code of the reason, for a state that has one.
    pub code: Option<String>,
    /// First seen, seconds since 1970 UTC.
    pub created: u64,
    /// Last moved, seconds since 1970 UTC.
    pub updated: u64,
}

/// Which attempt stands where: what whoever moved a row last knows without reading it again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) id: EnrolmentId,
    pub(crate) attempt: u32,
    pub(crate) state: State,
}

impl From<&Record> for Standing {
    fn from(record: &Record) -> Self {
        Self { id: record.id, attempt: record.attempt, state: record.state }
    }
}

/// What is written when an enrolment first becomes durable.
#[derive(Debug, Clone)]
pub(crate) struct Beginning {
    pub(crate) id: EnrolmentId,
    pub(crate) attempt: u32,
    pub(crate) profile: String,
    pub(crate) transaction_id: Vec<u8>,
    pub(crate) signer: [u8; 32],
    pub(crate) names: Vec<String>,
    pub(crate) source: String,
    pub(crate) csr: Zeroizing<Vec<u8>>,
    pub(crate) path_suffix: String,
    pub(crate) renewal: Option<Renewal>,
}

/// How an attempt ended, with the messages that must go out because of it.
#[derive(Debug, Clone)]
pub(crate) struct Ending {
    pub(crate) state: State,
    pub(crate) certificate: Option<Vec<u8>>,
    /// Of a certificate that is the device's: the content octets of its serial number.
    pub(crate) serial: Option<Vec<u8>>,
    pub(crate) not_after: Option<u64>,
    pub(crate) code: Option<String>,
    pub(crate) messages: Vec<OutboxMessage>,
}

/// A message that must arrive.
#[derive(Debug, Clone)]
pub(crate) enum OutboxMessage {
    Verify(VerifyRequest),
    Sign(SignRequest),
}

/// Reads and moves the rows of enrolments.
#[derive(Debug, Clone)]
pub struct Records {
    store: Store,
    key: Arc<ColumnKey>,
}

impl Records {
    /// Records in `store`, opened with [`SCHEMA`]; what holds a challenge is encrypted under `key`.
    #[must_use]
    pub fn new(store: Store, key: ColumnKey) -> Self {
        Self { store, key: Arc::new(key) }
    }

    /// The store behind.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The latest attempt of an enrolment.
    ///
    /// # Errors
    /// [`RecordError::Store`], [`RecordError::Column`], [`RecordError::Unreadable`].
    pub async fn latest(&self, id: EnrolmentId) -> Result<Option<Record>, RecordError> {
        self.one(LATEST, move |statement| statement.raw_bind_parameter(1, id.0)).await
    }

    /// The newest enrolment of a transaction, of the key that signed it: what a CertPoll finds,
    /// which carries no CSR (RFC 8894 §3.3.3).
    ///
    /// # Errors
    /// As [`Records::latest`].
    pub async fn newest_of_transaction(
        &self,
        profile: &str,
        transaction_id: &[u8],
        signer: [u8; 32],
    ) -> Result<Option<Record>, RecordError> {
        let (profile, transaction_id) = (profile.to_owned(), transaction_id.to_vec());
        self.one(NEWEST_OF_TRANSACTION, move |statement| {
            statement.raw_bind_parameter(1, profile)?;
            statement.raw_bind_parameter(2, transaction_id)?;
            statement.raw_bind_parameter(3, signer)
        })
        .await
    }

    /// The enrolment that this certificate was delivered for, by the octets of the certificate.
    ///
    /// # Errors
    /// As [`Records::latest`].
    pub async fn delivered(
        &self,
        profile: &str,
        certificate: &Certificate,
    ) -> Result<Option<Record>, RecordError> {
        let found = self.delivered_by_serial(profile, certificate.serial()).await?;
        Ok(found
            .into_iter()
            .find(|record| record.certificate.as_deref() == Some(certificate.der())))
    }

    /// Enrolments whose delivered certificate has this serial number, at most 16: authorities of one
    /// profile may have changed.
    ///
    /// # Errors
    /// As [`Records::latest`].
    pub async fn delivered_by_serial(
        &self,
        profile: &str,
        serial: &[u8],
    ) -> Result<Vec<Record>, RecordError> {
        let (profile, serial) = (profile.to_owned(), serial.to_vec());
        self.many(DELIVERED, {
            move |statement| {
                statement.raw_bind_parameter(1, profile)?;
                statement.raw_bind_parameter(2, serial)
            }
        })
        .await
    }

    /// Whether `verify` still has to be told something about this enrolment.
    ///
    /// # Errors
    /// [`RecordError::Store`].
    pub(crate) async fn is_untold(&self, id: EnrolmentId) -> Result<bool, RecordError> {
        self.store
            .try_read(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT EXISTS (
                         SELECT 1 FROM outbox WHERE enrolment = ?1 AND recipient = 'verify')",
                )?;
                Ok(statement.query_row([id.0], |row| row.get(0))?)
            })
            .await
    }

    /// The newest enrolments, newest first.
    ///
    /// # Errors
    /// As [`Records::latest`].
    pub async fn newest(&self, limit: u32) -> Result<Vec<Record>, RecordError> {
        self.many(NEWEST, move |statement| statement.raw_bind_parameter(1, limit)).await
    }

    /// Enrolments whose identity begins with these hexadecimal digits, at most 16, newest first.
    ///
    /// # Errors
    /// As [`Records::latest`].
    pub async fn with_prefix(&self, digits: &str) -> Result<Vec<Record>, RecordError> {
        let pattern: String = digits.chars().filter(char::is_ascii_hexdigit).chain(['%']).collect();
        self.many("WHERE hex(id) LIKE ?1 ORDER BY number DESC LIMIT 16", move |statement| {
            statement.raw_bind_parameter(1, pattern)
        })
        .await
    }

    /// Enrolments in one state that were last moved before `before`, oldest first, at most 256.
    ///
    /// # Errors
    /// As [`Records::latest`].
    pub async fn unmoved_since(
        &self,
        state: State,
        before: u64,
    ) -> Result<Vec<Record>, RecordError> {
        let before = i64::try_from(before).unwrap_or(i64::MAX);
        self.many(UNMOVED, {
            move |statement| {
                statement.raw_bind_parameter(1, state.name())?;
                statement.raw_bind_parameter(2, before)
            }
        })
        .await
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`RecordError::Store`].
    pub async fn answers(&self) -> Result<(), RecordError> {
        self.store
            .look_up(|connection| {
                let mut statement =
                    connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM enrolment)")?;
                Ok(statement.query_row([], |_| Ok(()))?)
            })
            .await
    }

    /// How many enrolments stand in each state. Reads them all.
    ///
    /// # Errors
    /// [`RecordError::Store`].
    pub async fn count_by_state(&self) -> Result<Vec<(String, u64)>, RecordError> {
        self.store
            .try_read(|connection| {
                let mut statement = connection
                    .prepare_cached("SELECT state, count(*) FROM enrolment GROUP BY 1")?;
                let rows = statement
                    .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
    }

    /// Keeps a request for which a verifier wants more time.
    ///
    /// # Errors
    /// [`RecordError::Quota`] when the profile's places are taken.
    pub(crate) async fn keep_waiting(
        &self,
        beginning: Beginning,
        quota: u32,
        now: u64,
    ) -> Result<(), RecordError> {
        let (id, attempt) = (beginning.id, beginning.attempt);
        let csr = self.seal("csr", id, attempt, &beginning.csr)?;
        let renewal = beginning
            .renewal
            .as_ref()
            .map(|renewal| self.seal("renewal", id, attempt, &renewal.to_column()))
            .transpose()?;
        self.store
            .try_write(move |tx| {
                let touched = tx
                    .prepare_cached(
                        "UPDATE enrolment SET updated = ?3
                         WHERE id = ?1 AND attempt = ?2 AND state = 'waiting'",
                    )?
                    .execute(params![id.0, attempt, seconds(now)])?;
                if touched == 1 {
                    return Ok(());
                }
                let held: u32 = tx
                    .prepare_cached(COUNT_WAITING)?
                    .query_row([&beginning.profile], |row| row.get(0))?;
                if held >= quota {
                    return Err(RecordError::Quota { profile: beginning.profile, held });
                }
                insert(tx, &beginning, State::Waiting, &csr, None, None, now)?;
                if let Some(renewal) = renewal {
                    tx.prepare_cached(
                        "UPDATE enrolment SET renewal = ?3 WHERE id = ?1 AND attempt = ?2",
                    )?
                    .execute(params![id.0, attempt, renewal])?;
                }
                Ok(())
            })
            .await
    }

    /// The intent to submit: durable before the CA sees a byte. From nothing, or from `waiting`.
    pub(crate) async fn intend(
        &self,
        beginning: Beginning,
        sealed: &SealedApproval,
        cms: &[u8],
        now: u64,
    ) -> Result<(), RecordError> {
        let Beginning { id, attempt, .. } = beginning;
        let csr = self.seal("csr", id, attempt, &beginning.csr)?;
        let cms = self.seal("cms", id, attempt, cms)?;
        let sealed = serde_json::to_string(sealed)
            .map_err(|_| RecordError::Unreadable("the approval has no text form"))?;
        self.store
            .try_write(move |tx| {
                let moved = tx
                    .prepare_cached(
                        "UPDATE enrolment
                         SET state = 'intended', sealed = ?3, cms = ?4, submissions = 1,
                             renewal = NULL, updated = ?5
                         WHERE id = ?1 AND attempt = ?2 AND state = 'waiting'",
                    )?
                    .execute(params![id.0, attempt, sealed, cms, seconds(now)])?;
                if moved == 1 {
                    return Ok(());
                }
                insert(tx, &beginning, State::Intended, &csr, Some(&sealed), Some(&cms), now)
                    .map_err(|error| match error {
                        RecordError::Store(store) if store.is_constraint() => {
                            RecordError::Overtaken { id, attempt, to: State::Intended }
                        }
                        other => other,
                    })
            })
            .await
    }

    /// The identical bytes once more: from `ready`, or from `intended` while fewer than
    /// `at_most` submissions were made.
    pub(crate) async fn intend_again(
        &self,
        record: &Record,
        at_most: u32,
        now: u64,
    ) -> Result<(), RecordError> {
        let (id, attempt) = (record.id, record.attempt);
        self.step(
            id,
            attempt,
            State::Intended,
            "UPDATE enrolment SET state = 'intended', submissions = submissions + 1, updated = ?3
             WHERE id = ?1 AND attempt = ?2
               AND (state = 'ready' OR (state = 'intended' AND submissions < ?4))",
            move |tx, sql| {
                tx.prepare_cached(sql)?.execute(params![id.0, attempt, seconds(now), at_most])
            },
        )
        .await
    }

    /// The CA surely did not process it.
    pub(crate) async fn not_processed(
        &self,
        standing: Standing,
        now: u64,
    ) -> Result<(), RecordError> {
        let Standing { id, attempt, .. } = standing;
        // A first submission whose answer was lost may have been processed, whatever a second met.
        self.step(
            id,
            attempt,
            State::Ready,
            "UPDATE enrolment
             SET state = CASE WHEN submissions = 1 THEN 'ready' ELSE 'intended' END,
                 submissions = submissions - 1, updated = ?3
             WHERE id = ?1 AND attempt = ?2 AND state = 'intended'",
            move |tx, sql| tx.prepare_cached(sql)?.execute(params![id.0, attempt, seconds(now)]),
        )
        .await
    }

    /// The CA keeps it under submission.
    pub(crate) async fn under_submission(
        &self,
        standing: Standing,
        request_id: RequestId,
        now: u64,
    ) -> Result<(), RecordError> {
        let Standing { id, attempt, .. } = standing;
        self.step(
            id,
            attempt,
            State::Pending,
            "UPDATE enrolment SET state = 'pending', request_id = ?4, updated = ?3
             WHERE id = ?1 AND attempt = ?2 AND state = 'intended'",
            move |tx, sql| {
                tx.prepare_cached(sql)?.execute(params![id.0, attempt, seconds(now), request_id.0])
            },
        )
        .await
    }

    /// The end of an attempt and its messages, in one transaction. What held a challenge is
    /// scrubbed with it.
    pub(crate) async fn end(
        &self,
        id: EnrolmentId,
        attempt: u32,
        ending: Ending,
        now: u64,
    ) -> Result<(), RecordError> {
        let from: Vec<&str> = State::ALL
            .into_iter()
            .filter(|state| state.may_become(ending.state))
            .map(State::name)
            .collect();
        let from = format!("'{}'", from.join("', '"));
        let messages =
            ending.messages.iter().map(OutboxMessage::to_row).collect::<Result<Vec<_>, _>>()?;
        self.store
            .try_write(move |tx| {
                let moved = tx
                    .prepare_cached(&format!(
                        "UPDATE enrolment
                         SET state = ?3, certificate = ?4, not_after = ?5, code = ?6, updated = ?7,
                             csr = x'', cms = NULL, renewal = NULL, serial = ?8
                         WHERE id = ?1 AND attempt = ?2 AND state IN ({from})"
                    ))?
                    .execute(params![
                        id.0,
                        attempt,
                        ending.state.name(),
                        ending.certificate,
                        ending.not_after.map(seconds),
                        ending.code,
                        seconds(now),
                        ending.serial
                    ])?;
                if moved != 1 {
                    return Err(RecordError::Overtaken { id, attempt, to: ending.state });
                }
                for (recipient, message) in messages {
                    put_into_outbox(tx, id, recipient, &message, now)?;
                }
                Ok(())
            })
            .await
    }

    /// Puts a message into the outbox that belongs to no move of a row: a signature that `sign`
    /// made and that this process never came to store.
    pub(crate) async fn post(
        &self,
        id: EnrolmentId,
        message: &OutboxMessage,
        now: u64,
    ) -> Result<(), RecordError> {
        let (recipient, message) = message.to_row()?;
        self.store
            .try_write(move |tx| {
                put_into_outbox(tx, id, recipient, &message, now)?;
                Ok(())
            })
            .await
    }

    async fn step(
        &self,
        id: EnrolmentId,
        attempt: u32,
        to: State,
        sql: &'static str,
        run: impl FnOnce(&Transaction<'_>, &str) -> Result<usize, rusqlite::Error> + Send + 'static,
    ) -> Result<(), RecordError> {
        self.store
            .try_write(move |tx| match run(tx, sql)? {
                1 => Ok(()),
                _ => Err(RecordError::Overtaken { id, attempt, to }),
            })
            .await
    }

    async fn one(
        &self,
        condition: &'static str,
        bind: impl FnOnce(&mut rusqlite::Statement<'_>) -> rusqlite::Result<()>,
    ) -> Result<Option<Record>, RecordError> {
        let key = Arc::clone(&self.key);
        self.store
            .look_up(move |connection| {
                let mut statement = connection.prepare_cached(&format!("{SELECT} {condition}"))?;
                bind(&mut statement)?;
                statement.raw_query().next()?.map(|row| read(row, &key)).transpose()
            })
            .await
    }

    async fn many(
        &self,
        condition: &'static str,
        bind: impl FnOnce(&mut rusqlite::Statement<'_>) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<Vec<Record>, RecordError> {
        let key = Arc::clone(&self.key);
        self.store
            .try_read(move |connection| {
                let mut statement = connection.prepare_cached(&format!("{SELECT} {condition}"))?;
                bind(&mut statement)?;
                let mut rows = statement.raw_query();
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    found.push(read(row, &key)?);
                }
                Ok(found)
            })
            .await
    }

    fn seal(
        &self,
        column: &str,
        id: EnrolmentId,
        attempt: u32,
        value: &[u8],
    ) -> Result<Vec<u8>, RecordError> {
        Ok(self.key.seal("enrolment", column, &row_name(id, attempt), value)?)
    }
}

impl OutboxMessage {
    fn to_row(&self) -> Result<(&'static str, String), RecordError> {
        let (recipient, text) = match self {
            Self::Verify(message) => ("verify", serde_json::to_string(message)),
            Self::Sign(message) => ("sign", serde_json::to_string(message)),
        };
        text.map(|text| (recipient, text))
            .map_err(|_| RecordError::Unreadable("a message has no text form"))
    }
}

// What is read of each enrolment on its way: none of it may take longer with the number of rows. The
// test `no_statement_of_the_way_reads_a_whole_table` holds them to it.

const LATEST: &str = "WHERE id = ?1 ORDER BY attempt DESC LIMIT 1";

const NEWEST_OF_TRANSACTION: &str = "WHERE profile = ?1 AND transaction_id = ?2 AND signer = ?3
     ORDER BY created DESC, number DESC LIMIT 1";

const DELIVERED: &str = "WHERE profile = ?1 AND serial = ?2 AND state = 'issued' LIMIT 16";

const NEWEST: &str = "ORDER BY number DESC LIMIT ?1";

// The list of states word for word as in the index, or SQLite would not use it.
const UNMOVED: &str = "WHERE state IN ('waiting', 'ready', 'intended', 'pending')
       AND state = ?1 AND updated < ?2
     ORDER BY updated LIMIT 256";

const COUNT_WAITING: &str = "SELECT count(*) FROM enrolment
     WHERE state IN ('waiting', 'ready', 'intended', 'pending')
       AND state = 'waiting' AND profile = ?1";

const SELECT: &str = "SELECT id, attempt, profile, transaction_id, signer, names, source, state,
    csr, path_suffix, sealed, cms, submissions, request_id, certificate, not_after, code, created,
    updated, renewal FROM enrolment";

fn read(row: &Row<'_>, key: &ColumnKey) -> Result<Record, RecordError> {
    let id = EnrolmentId(row.get(0)?);
    let attempt = row.get(1)?;
    let open = |column: &str, sealed: Vec<u8>| {
        key.open("enrolment", column, &row_name(id, attempt), &sealed)
    };
    let csr: Vec<u8> = row.get(8)?;
    let cms: Option<Vec<u8>> = row.get(11)?;
    let names: String = row.get(5)?;
    let state: String = row.get(7)?;
    let sealed: Option<String> = row.get(10)?;
    let renewal: Option<Vec<u8>> = row.get(19)?;
    Ok(Record {
        id,
        attempt,
        profile: row.get(2)?,
        transaction_id: row.get(3)?,
        signer: row.get(4)?,
        names: serde_json::from_str(&names).map_err(|_| RecordError::Unreadable("names"))?,
        source: row.get(6)?,
        state: State::from_name(&state).ok_or(RecordError::Unreadable("state"))?,
        // Scrubbed once the enrolment is final.
        csr: if csr.is_empty() { Zeroizing::default() } else { open("csr", csr)? },
        path_suffix: row.get(9)?,
        renewal: renewal
            .map(|sealed| {
                Renewal::from_column(&open("renewal", sealed)?)
                    .ok_or(RecordError::Unreadable("renewal"))
            })
            .transpose()?,
        sealed: sealed
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|_| RecordError::Unreadable("approval"))?,
        cms: cms.map(|cms| open("cms", cms)).transpose()?,
        submissions: row.get(12)?,
        request_id: row.get::<_, Option<u32>>(13)?.map(RequestId),
        certificate: row.get(14)?,
        not_after: row.get::<_, Option<i64>>(15)?.and_then(|time| u64::try_from(time).ok()),
        code: row.get(16)?,
        created: row.get::<_, i64>(17)?.try_into().unwrap_or(0),
        updated: row.get::<_, i64>(18)?.try_into().unwrap_or(0),
    })
}

fn insert(
    tx: &Transaction<'_>,
    beginning: &Beginning,
    state: State,
    csr: &[u8],
    sealed: Option<&str>,
    cms: Option<&[u8]>,
    now: u64,
) -> Result<(), RecordError> {
    let names = serde_json::to_string(&beginning.names)
        .map_err(|_| RecordError::Unreadable("names have no text form"))?;
    tx.prepare_cached(
        "INSERT INTO enrolment (id, attempt, profile, transaction_id, signer, names, source, state,
            csr, path_suffix, sealed, cms, submissions, created, updated)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?14)",
    )?
    .execute(params![
        beginning.id.0,
        beginning.attempt,
        beginning.profile,
        beginning.transaction_id,
        beginning.signer,
        names,
        beginning.source,
        state.name(),
        csr,
        beginning.path_suffix,
        sealed,
        cms,
        u32::from(cms.is_some()),
        seconds(now)
    ])?;
    Ok(())
}

fn put_into_outbox(
    tx: &Transaction<'_>,
    id: EnrolmentId,
    recipient: &str,
    message: &str,
    now: u64,
) -> Result<(), RecordError> {
    tx.prepare_cached(
        "INSERT INTO outbox (enrolment, recipient, message, created) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![id.0, recipient, message, seconds(now)])?;
    Ok(())
}

/// What an encrypted column is bound to: a value cannot be moved to another enrolment or attempt.
fn row_name(id: EnrolmentId, attempt: u32) -> Vec<u8> {
    [id.0.as_slice(), &attempt.to_be_bytes()].concat()
}

/// SQLite's integers are signed; the year 292 277 026 596 is soon enough to saturate.
fn seconds(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;

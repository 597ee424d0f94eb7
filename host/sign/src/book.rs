//! Fourth step: what was signed becomes durable, together with its ledger entry; and what is
//! known of every signature from then on.

mod order;
mod outcome;
mod standing;

use std::sync::Arc;

use countersign_ipc::{Approval, Bytes, EnrolmentId, Kind, SignReply, Unsettled};
use countersign_ledger::{self as ledger, LedgerError};
use countersign_store::rusqlite::{Connection, params};
use countersign_store::{ColumnKey, ColumnKeyError, Store, StoreError};
use zeroize::Zeroizing;

pub(crate) use self::order::OrderTaken;
pub(crate) use self::outcome::Taken;
use self::standing::Found;
use crate::clock::Clock;
use crate::countersign::Signed;
use crate::fuse::DAY;
use crate::order::OrderKeyError;
use crate::recheck::Admissible;
use crate::refusal::Refused;
use crate::seal::ProvenApproval;

/// More are not listed in one answer: it must fit into a frame. The oldest come first.
const MOST_UNSETTLED: u32 = 4096;

/// A countersigned request that is on the disk, with its entry in the ledger. A reply is made of
/// nothing else. Only this file can make one.
///
/// ```compile_fail,E0451
/// fn leak(cms: Vec<u8>) -> countersign_sign::Durable {
///     countersign_sign::Durable { cms: cms.into() }
/// }
/// ```
pub struct Durable {
    cms: Zeroizing<Vec<u8>>,
}

impl Durable {
    /// The answer to `serve`: the one way out for signed octets.
    #[must_use]
    pub fn into_reply(self) -> SignReply {
        SignReply::Countersigned { cms: Bytes(self.cms.to_vec()) }
    }
}

impl std::fmt::Debug for Durable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Durable({} octets)", self.cms.len())
    }
}

/// Where an attempt of an enrolment stands.
#[derive(Debug)]
pub(crate) enum Standing {
    /// Not signed yet, and may be.
    Fresh,
    /// Signed, and the outcome is not known: these are the octets.
    Stored(Durable),
    /// May not be signed (any more).
    Refused(Refused),
    /// The outcome of the attempt before is not known yet.
    Unsettled { attempt: u32 },
    /// The clock went back behind the ledger's last entry.
    ClockBackwards { last: u64, now: u64 },
}

/// Why something did not become durable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BookError {
    /// The database.
    #[error(transparent)]
    Store(StoreError),
    /// The ledger.
    #[error(transparent)]
    Ledger(LedgerError),
    /// The column key.
    #[error(transparent)]
    Column(#[from] ColumnKeyError),
    /// The key of revocation orders.
    #[error(transparent)]
    OrderKey(#[from] OrderKeyError),
    /// Another signature of the enrolment became durable first; ours was thrown away.
    #[error("another signature of this enrolment became durable first; this one was thrown away")]
    Overtaken,
}

impl From<StoreError> for BookError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<LedgerError> for BookError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Store(error) => Self::Store(error),
            other => Self::Ledger(other),
        }
    }
}

impl From<countersign_store::rusqlite::Error> for BookError {
    fn from(error: countersign_store::rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// The database of `sign`: signatures and ledger.
#[derive(Debug, Clone)]
pub(crate) struct Book {
    store: Store,
    column_key: Arc<ColumnKey>,
    clock: Clock,
    lab: bool,
}

impl Book {
    pub(crate) fn new(store: Store, column_key: ColumnKey, clock: Clock, lab: bool) -> Self {
        Self { store, column_key: Arc::new(column_key), clock, lab }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Whether the database answers.
    pub(crate) async fn answers(&self) -> Result<(), BookError> {
        self.store.try_read(ledger::size).await?;
        Ok(())
    }

    /// When signatures were made in the day before `now`, for the fuse. Blocks.
    pub(crate) fn signed_within_a_day(store: &Store, now: u64) -> Result<Vec<u64>, StoreError> {
        let since = number(now.saturating_sub(DAY));
        store.read_blocking(|connection| {
            let mut statement =
                connection.prepare("SELECT signed_at FROM signature WHERE signed_at > ?1")?;
            let times = statement.query_map([since], |row| row.get::<_, i64>(0))?;
            Ok(times.collect::<Result<Vec<_>, _>>()?.into_iter().map(natural).collect())
        })
    }

    /// Appends `events` to the ledger, all or none; durable when this returns.
    pub(crate) async fn record(&self, events: Vec<ledger::Event>) -> Result<(), BookError> {
        let (clock, lab) = (self.clock.clone(), self.lab);
        self.store
            .try_write(move |tx| {
                for event in &events {
                    ledger::append(tx, event, clock.now(), lab)?;
                }
                Ok(())
            })
            .await
    }

    /// Where the attempt that `proven` approves stands. Call it with the enrolment held.
    pub(crate) async fn standing(&self, proven: &ProvenApproval) -> Result<Standing, BookError> {
        let approval = proven.approval().clone();
        let (key, clock) = (Arc::clone(&self.column_key), self.clock.clone());
        self.store
            .look_up(move |connection| {
                match Found::of(connection, &approval, clock.now())? {
                    Found::Nothing => {}
                    Found::Sealed(sealed) => {
                        let name = row_name(approval.enrolment, approval.attempt);
                        let cms = key.open("signature", "cms", &name, &sealed)?;
                        return Ok(Standing::Stored(Durable { cms }));
                    }
                    Found::Unsettled { attempt } => return Ok(Standing::Unsettled { attempt }),
                    Found::Refused(refused) => return Ok(Standing::Refused(refused)),
                }
                let (last, now) = (last_entry_time(connection)?, clock.now());
                if now.saturating_add(ledger::CLOCK_TOLERANCE) < last {
                    return Ok(Standing::ClockBackwards { last, now });
                }
                Ok(Standing::Fresh)
            })
            .await
    }

    /// Whether the ledger has room for what would be written of `admissible`: told before it is
    /// signed, not after.
    pub(crate) fn fits(admissible: &Admissible) -> Result<(), Refused> {
        match signed_event(admissible, [0; 32], [0; 32]).body() {
            Ok(_) => Ok(()),
            Err(error) => Err(Refused::new("approval-too-large", error.to_string())),
        }
    }

    /// Makes `signed` durable: ledger entry, encrypted octets and row, or nothing at all.
    ///
    /// # Errors
    /// [`BookError`]; the octets are gone then.
    pub(crate) async fn keep(&self, signed: Signed) -> Result<Durable, BookError> {
        let event =
            signed_event(signed.admissible(), signed.ea_certificate_sha256(), signed.cms_sha256());
        let approval = signed.admissible().proven().approval().clone();
        let name = row_name(approval.enrolment, approval.attempt);
        let sealed = self.column_key.seal("signature", "cms", &name, signed.cms())?;
        let (cms_sha256, spki_sha256) =
            (signed.cms_sha256(), signed.admissible().csr().public_key().spki_sha256());
        let (clock, lab) = (self.clock.clone(), self.lab);
        self.store
            .try_write(move |tx| {
                // Once more, where nothing can come between: the last word is the database's.
                let now = clock.now();
                if !matches!(Found::of(tx, &approval, now)?, Found::Nothing) {
                    return Err(BookError::Overtaken);
                }
                let position = ledger::append(tx, &event, now, lab)?;
                tx.prepare_cached(
                    "INSERT INTO signature (enrolment, attempt, profile, csr_sha256, info_sha256,
                         spki_sha256, cms, cms_sha256, ledger_index, signed_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                )?
                .execute(params![
                    approval.enrolment.0,
                    approval.attempt,
                    approval.profile,
                    approval.csr_sha256,
                    approval.info_sha256,
                    spki_sha256,
                    sealed,
                    cms_sha256,
                    number(position.index),
                    number(now),
                ])?;
                Ok::<_, BookError>(())
            })
            .await?;
        Ok(Durable { cms: signed.into_cms() })
    }

    /// Signatures without an outcome, oldest first.
    pub(crate) async fn unsettled(&self) -> Result<Vec<Unsettled>, StoreError> {
        self.store
            .read(|connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT enrolment, attempt, profile, signed_at FROM signature
                     WHERE outcome IS NULL ORDER BY signed_at LIMIT ?1",
                )?;
                let rows = statement.query_map([MOST_UNSETTLED], |row| {
                    Ok(Unsettled {
                        enrolment: EnrolmentId(row.get(0)?),
                        attempt: row.get(1)?,
                        profile: row.get(2)?,
                        signed_at: natural(row.get(3)?),
                    })
                })?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
    }

    /// How many signatures have no outcome.
    pub(crate) async fn count_unsettled(&self) -> Result<u64, StoreError> {
        self.store
            .read(|connection| {
                Ok(natural(connection.query_row(
                    "SELECT count(*) FROM signature WHERE outcome IS NULL",
                    [],
                    |row| row.get(0),
                )?))
            })
            .await
    }
}

/// The entry that says what was signed, and on whose word.
fn signed_event(
    admissible: &Admissible,
    ea_certificate_sha256: [u8; 32],
    cms_sha256: [u8; 32],
) -> ledger::Event {
    let proven = admissible.proven();
    let approval: &Approval = proven.approval();
    let verifiers = approval.verifiers.iter().map(|verifier| ledger::Verifier {
        plugin: verifier.plugin.as_str().into(),
        digest: verifier.digest.into(),
        evidence: verifier
            .evidence
            .iter()
            .map(|(name, value)| ledger::Fact {
                name: name.as_str().into(),
                value: value.as_str().into(),
            })
            .collect(),
    });
    ledger::Event::Signed(ledger::Signed {
        enrolment: approval.enrolment.0.into(),
        attempt: approval.attempt,
        request: match approval.kind {
            Kind::Initial => ledger::RequestKind::Initial,
            Kind::Renewal => ledger::RequestKind::Renewal,
        },
        profile: approval.profile.as_str().into(),
        current_certificate_sha256: approval.current_certificate_sha256.map(Into::into),
        csr_sha256: approval.csr_sha256.into(),
        cri_sha256: approval.info_sha256.into(),
        spki_sha256: admissible.csr().public_key().spki_sha256().into(),
        names: approval.names.iter().map(|name| name.as_str().into()).collect(),
        device_id: approval.device_id.as_deref().map(Into::into),
        latest_end: approval.latest_end,
        verifiers: verifiers.collect(),
        config_sha256: approval.config_digest.into(),
        seal_sha256: proven.seal_sha256().into(),
        approved_at: approval.approved_at,
        expires_at: approval.expires_at,
        ea_certificate_sha256: ea_certificate_sha256.into(),
        cms_sha256: cms_sha256.into(),
    })
}

/// Time of the ledger's last entry; 0 for an empty one.
fn last_entry_time(connection: &Connection) -> Result<u64, LedgerError> {
    let Some(from) = ledger::size(connection)?.checked_sub(1) else { return Ok(0) };
    let filter = ledger::Filter { from, limit: 1, ..ledger::Filter::default() };
    Ok(ledger::entries(connection, &filter)?.first().map_or(0, |entry| entry.time))
}

/// Names a row for ever, under its column's encryption.
fn row_name(enrolment: EnrolmentId, attempt: u32) -> Vec<u8> {
    let mut name = enrolment.0.to_vec();
    name.extend_from_slice(&attempt.to_be_bytes());
    name
}

/// SQLite's numbers have a sign; a time or an index beyond 63 bits is none of ours.
fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn natural(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

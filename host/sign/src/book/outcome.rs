//! How attempts end, and what must be revoked.

use countersign_ipc::{EnrolmentId, OutcomeKind, OutcomeRecord, RevocationOrder};
use countersign_ledger as ledger;
use countersign_profile::Certificate;
use countersign_store::rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::{Book, BookError, number};
use crate::clock::Clock;
use crate::digest::sha256;
use crate::refusal::Refused;

/// No certificate that is told of is larger.
const MAX_CERTIFICATE: usize = 64 * 1024;

/// What was told is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// For the first time.
    Now,
    /// It was told before, and was the same.
    Before,
}

/// A certificate as the ledger names it.
struct Told {
    sha256: [u8; 32],
    /// Missing where a CA issued octets that cannot be read; they are withheld.
    serial: Option<String>,
    /// End of its validity, seconds since 1970 UTC.
    not_after: Option<u64>,
}

/// The row that an outcome or an order is about.
pub(super) struct Row {
    pub(super) profile: String,
    spki_sha256: [u8; 32],
    pub(super) outcome: Option<String>,
    pub(super) certificate_sha256: Option<[u8; 32]>,
    /// Missing where it was settled before serials were kept.
    pub(super) serial: Option<String>,
}

impl Book {
    /// Takes the ends of attempts: for each a ledger entry, and the signed octets are scrubbed. May
    /// be told more than once; another end than the first is refused. Answers in the same order.
    ///
    /// # Errors
    /// [`BookError`]; nothing was taken then.
    pub(crate) async fn settle(
        &self,
        records: Vec<OutcomeRecord>,
    ) -> Result<Vec<Result<Taken, Refused>>, BookError> {
        let (clock, lab) = (self.clock.clone(), self.lab);
        self.store
            .try_write(move |tx| {
                records.iter().map(|record| settle_one(tx, record, &clock, lab)).collect()
            })
            .await
    }

    /// Takes an order to revoke a certificate that one of our signatures led to.
    ///
    /// # Errors
    /// [`BookError`]; nothing was taken then.
    pub(crate) async fn order(
        &self,
        order: RevocationOrder,
    ) -> Result<Result<Taken, Refused>, BookError> {
        let (clock, lab) = (self.clock.clone(), self.lab);
        self.store
            .try_write(move |tx| {
                let Ok(certificate_sha256) =
                    <[u8; 32]>::try_from(order.certificate_sha256.as_ref())
                else {
                    return Ok(Err(Refused::new(
                        "certificate-malformed",
                        "expected a SHA-256 of 32 octets",
                    )));
                };
                match Row::of(tx, order.enrolment, order.attempt)? {
                    Some(row) if row.profile == order.profile => {}
                    Some(_) => return Ok(Err(other_profile())),
                    None => return Ok(Err(unknown())),
                }
                let known: Option<i64> = tx
                    .prepare_cached(
                        "SELECT ledger_index FROM revocation_order
                         WHERE authority = ?1 AND certificate_sha256 = ?2",
                    )?
                    .query_row(params![order.authority, certificate_sha256], |row| row.get(0))
                    .optional()?;
                if known.is_some() {
                    return Ok(Ok(Taken::Before));
                }
                let now = clock.now();
                let event = ledger::Event::Order(ledger::Order {
                    enrolment: order.enrolment.0.into(),
                    attempt: order.attempt,
                    profile: order.profile.as_str().into(),
                    authority: order.authority.as_str().into(),
                    certificate_sha256: certificate_sha256.into(),
                    serial: order.serial.as_str().into(),
                    reason: order.reason.as_str().into(),
                });
                let position = ledger::append(tx, &event, now, lab)?;
                tx.prepare_cached(
                    "INSERT INTO revocation_order (authority, certificate_sha256, enrolment,
                         attempt, profile, serial, reason, ledger_index, ordered_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                )?
                .execute(params![
                    order.authority,
                    certificate_sha256,
                    order.enrolment.0,
                    order.attempt,
                    order.profile,
                    order.serial,
                    order.reason,
                    number(position.index),
                    number(now)
                ])?;
                Ok(Ok(Taken::Now))
            })
            .await
    }
}

fn settle_one(
    tx: &Transaction<'_>,
    record: &OutcomeRecord,
    clock: &Clock,
    lab: bool,
) -> Result<Result<Taken, Refused>, BookError> {
    let Some(row) = Row::of(tx, record.enrolment, record.attempt)? else {
        return Ok(Err(unknown()));
    };
    let told = match row.judge(record) {
        Ok(told) => told,
        Err(refused) => return Ok(Err(refused)),
    };
    let certificate_sha256 = told.as_ref().map(|told| told.sha256);
    let not_after = told.as_ref().and_then(|told| told.not_after).map(number);
    let serial = told.and_then(|told| told.serial);
    let outcome = word(record.outcome);
    if let Some(known) = row.outcome {
        return Ok(if known == outcome && row.certificate_sha256 == certificate_sha256 {
            Ok(Taken::Before)
        } else {
            Err(Refused::new(
                "settled-otherwise",
                format!("recorded is `{known}`, told is `{outcome}`"),
            ))
        });
    }
    let now = clock.now();
    let event = ledger::Event::Outcome(ledger::Outcome {
        enrolment: record.enrolment.0.into(),
        attempt: record.attempt,
        profile: record.profile.as_str().into(),
        outcome: match record.outcome {
            OutcomeKind::Issued => ledger::OutcomeKind::Issued,
            OutcomeKind::Refused => ledger::OutcomeKind::Refused,
            OutcomeKind::Withheld => ledger::OutcomeKind::Withheld,
            OutcomeKind::Abandoned => ledger::OutcomeKind::Abandoned,
        },
        certificate_sha256: certificate_sha256.map(Into::into),
        serial: serial.as_ref().map(Into::into),
        code: record.code.as_deref().map(Into::into),
    });
    ledger::append(tx, &event, now, lab)?;
    tx.prepare_cached(
        "UPDATE signature SET outcome = ?3, certificate_sha256 = ?4, not_after = ?5,
             settled_at = ?6, serial = ?7, cms = NULL
         WHERE enrolment = ?1 AND attempt = ?2 AND outcome IS NULL",
    )?
    .execute(params![
        record.enrolment.0,
        record.attempt,
        outcome,
        certificate_sha256,
        not_after,
        number(now),
        serial
    ])?;
    Ok(Ok(Taken::Now))
}

impl Row {
    pub(super) fn of(
        connection: &Connection,
        enrolment: EnrolmentId,
        attempt: u32,
    ) -> Result<Option<Self>, BookError> {
        Ok(connection
            .prepare_cached(
                "SELECT profile, spki_sha256, outcome, certificate_sha256, serial FROM signature
                 WHERE enrolment = ?1 AND attempt = ?2",
            )?
            .query_row(params![enrolment.0, attempt], |row| {
                Ok(Self {
                    profile: row.get(0)?,
                    spki_sha256: row.get(1)?,
                    outcome: row.get(2)?,
                    certificate_sha256: row.get(3)?,
                    serial: row.get(4)?,
                })
            })
            .optional()?)
    }

    /// Whether `record` can be the end of this attempt. A certificate goes with `issued` and
    /// `withheld` only, and one that is handed out is for the key that was signed for: whoever
    /// tells is the process that faces the network.
    fn judge(&self, record: &OutcomeRecord) -> Result<Option<Told>, Refused> {
        if self.profile != record.profile {
            return Err(other_profile());
        }
        let certificate = record.certificate.as_ref().map(|octets| octets.0.as_slice());
        if certificate.is_some_and(|octets| octets.len() > MAX_CERTIFICATE) {
            return Err(Refused::new("certificate-malformed", "more than 64 KiB"));
        }
        let parsed = certificate.map(Certificate::parse);
        match (record.outcome, certificate) {
            (OutcomeKind::Issued, Some(_)) => {
                let key = parsed.as_ref().and_then(|parsed| {
                    parsed.as_ref().ok().and_then(|certificate| certificate.public_key().ok())
                });
                if key.map(|key| key.spki_sha256()) != Some(self.spki_sha256) {
                    return Err(Refused::new(
                        "certificate-of-another-key",
                        "the certificate is not for the key of the countersigned request",
                    ));
                }
            }
            (OutcomeKind::Issued, None) => {
                return Err(Refused::new("certificate-missing", "`issued` names a certificate"));
            }
            (OutcomeKind::Withheld, _) => {}
            (OutcomeKind::Refused | OutcomeKind::Abandoned, None) => {}
            (OutcomeKind::Refused | OutcomeKind::Abandoned, Some(_)) => {
                return Err(Refused::new(
                    "certificate-unexpected",
                    "`refused` and `abandoned` have no certificate",
                ));
            }
        }
        let parsed = parsed.and_then(Result::ok);
        Ok(certificate.map(|octets| Told {
            sha256: sha256(octets),
            serial: parsed.as_ref().map(Certificate::serial_hex),
            not_after: parsed.as_ref().map(Certificate::not_after),
        }))
    }
}

fn word(outcome: OutcomeKind) -> &'static str {
    match outcome {
        OutcomeKind::Issued => "issued",
        OutcomeKind::Refused => "refused",
        OutcomeKind::Withheld => "withheld",
        OutcomeKind::Abandoned => "abandoned",
    }
}

pub(super) fn unknown() -> Refused {
    Refused::new("unknown-enrolment", "nothing was signed for this enrolment and attempt")
}

pub(super) fn other_profile() -> Refused {
    Refused::new("profile-differs", "the signature was made for another profile")
}

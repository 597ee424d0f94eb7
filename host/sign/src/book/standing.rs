//! The rule of idempotency, as one look at the rows of an enrolment.

use countersign_ipc::Approval;
use countersign_store::StoreError;
use countersign_store::rusqlite::{Connection, OptionalExtension as _, params};

use crate::refusal::Refused;

/// What the database has of an attempt.
#[derive(Debug)]
pub(super) struct Row {
    attempt: u32,
    profile: String,
    info_sha256: [u8; 32],
    outcome: Option<String>,
    cms: Option<Vec<u8>>,
}

impl Row {
    /// The sealed octets of the attempt that `approval` is for, where they are stored; nothing
    /// where it may be signed; a refusal where it may not.
    ///
    /// An enrolment has one attempt after the other, from 1, each after the one before it ended
    /// without a certificate. So at most one signature of an enrolment is ever under way.
    pub(super) fn of(
        connection: &Connection,
        approval: &Approval,
    ) -> Result<Result<Option<Vec<u8>>, Refused>, StoreError> {
        let Some(last) = Self::last(connection, approval)? else {
            return Ok(if approval.attempt == 1 {
                Ok(None)
            } else {
                Err(not_next(approval.attempt, 1))
            });
        };
        // The identity is a hash over both, so one that comes with others is not an enrolment's.
        if last.profile != approval.profile || last.info_sha256 != approval.info_sha256 {
            return Ok(Err(Refused::new(
                "enrolment-inconsistent",
                "an earlier signature of this enrolment is for another profile or request",
            )));
        }
        if approval.attempt < last.attempt {
            return Ok(Err(settled(approval.attempt, "a later one was signed since")));
        }
        if approval.attempt == last.attempt {
            return Ok(match (last.outcome, last.cms) {
                (None, Some(cms)) => Ok(Some(cms)),
                (outcome, _) => Err(settled(last.attempt, outcome.as_deref().unwrap_or("unknown"))),
            });
        }
        Ok(match last.outcome.as_deref() {
            _ if approval.attempt != last.attempt.saturating_add(1) => {
                Err(not_next(approval.attempt, last.attempt.saturating_add(1)))
            }
            Some("refused" | "withheld" | "abandoned") => Ok(None),
            Some(_) => Err(Refused::new(
                "already-issued",
                format!("attempt {} ended with a certificate", last.attempt),
            )),
            None => Err(Refused::new(
                "attempt-unsettled",
                format!("the outcome of attempt {} is not recorded yet", last.attempt),
            )),
        })
    }

    fn last(connection: &Connection, approval: &Approval) -> Result<Option<Self>, StoreError> {
        Ok(connection
            .prepare_cached(
                "SELECT attempt, profile, info_sha256, outcome, cms FROM signature
                 WHERE enrolment = ?1 ORDER BY attempt DESC LIMIT 1",
            )?
            .query_row(params![approval.enrolment.0], |row| {
                Ok(Self {
                    attempt: row.get(0)?,
                    profile: row.get(1)?,
                    info_sha256: row.get(2)?,
                    outcome: row.get(3)?,
                    cms: row.get(4)?,
                })
            })
            .optional()?)
    }
}

fn settled(attempt: u32, outcome: &str) -> Refused {
    Refused::new("settled", format!("attempt {attempt} has ended: {outcome}"))
}

fn not_next(attempt: u32, next: u32) -> Refused {
    Refused::new("attempt-not-next", format!("attempt {attempt} was approved, the next is {next}"))
}

//! The rule of idempotency, as one look at the rows of an enrolment.

use countersign_ipc::Approval;
use countersign_store::StoreError;
use countersign_store::rusqlite::{Connection, OptionalExtension as _, params};

use super::natural;
use crate::refusal::Refused;

/// Where an attempt stands by the database.
#[derive(Debug)]
pub(super) enum Found {
    /// May be signed.
    Nothing,
    /// Signed, outcome not known: the sealed octets.
    Sealed(Vec<u8>),
    /// The outcome of the attempt before is not known yet; it may be on its way.
    Unsettled {
        /// That attempt.
        attempt: u32,
    },
    /// May not be signed.
    Refused(Refused),
}

/// The latest attempt of an enrolment.
#[derive(Debug)]
struct Last {
    attempt: u32,
    profile: String,
    info_sha256: [u8; 32],
    outcome: Option<String>,
    cms: Option<Vec<u8>>,
    /// End of validity of the certificate that was issued.
    not_after: Option<u64>,
    /// An order to revoke that certificate was taken.
    ordered_revoked: bool,
}

impl Found {
    /// Looks.
    ///
    /// An enrolment has one attempt after the other, from 1, each after the one before it ended
    /// without a certificate, or with one that has expired or was ordered revoked. So at most one
    /// signature of an enrolment is ever under way.
    pub(super) fn of(
        connection: &Connection,
        approval: &Approval,
        now: u64,
    ) -> Result<Self, StoreError> {
        let Some(last) = Last::of(connection, approval)? else {
            return Ok(match approval.attempt {
                1 => Self::Nothing,
                other => Self::Refused(not_next(other, 1)),
            });
        };
        // The identity is a hash over both, so one that comes with others is not an enrolment's.
        if last.profile != approval.profile || last.info_sha256 != approval.info_sha256 {
            return Ok(Self::Refused(Refused::new(
                "enrolment-inconsistent",
                "an earlier signature of this enrolment is for another profile or request",
            )));
        }
        let next = last.attempt.saturating_add(1);
        Ok(if approval.attempt < last.attempt {
            Self::Refused(settled(approval.attempt, "a later one was signed since"))
        } else if approval.attempt == last.attempt {
            match (last.outcome, last.cms) {
                (None, Some(cms)) => Self::Sealed(cms),
                (outcome, _) => {
                    Self::Refused(settled(last.attempt, outcome.as_deref().unwrap_or("unknown")))
                }
            }
        } else if approval.attempt == next {
            last.then_next(now)
        } else {
            Self::Refused(not_next(approval.attempt, next))
        })
    }
}

impl Last {
    /// Whether the attempt after this one may be signed.
    fn then_next(&self, now: u64) -> Found {
        match self.outcome.as_deref() {
            Some("refused" | "withheld" | "abandoned") => Found::Nothing,
            // Some clients renew with the very request they enrolled with (micromdm).
            Some("issued")
                if self.ordered_revoked || self.not_after.is_some_and(|end| end < now) =>
            {
                Found::Nothing
            }
            Some(_) => Found::Refused(Refused::new(
                "already-issued",
                format!("attempt {} ended with a certificate that is current", self.attempt),
            )),
            None => Found::Unsettled { attempt: self.attempt },
        }
    }

    fn of(connection: &Connection, approval: &Approval) -> Result<Option<Self>, StoreError> {
        Ok(connection
            .prepare_cached(
                "SELECT attempt, profile, info_sha256, outcome, cms, not_after, EXISTS (
                     SELECT 1 FROM revocation_order AS o
                     WHERE o.certificate_sha256 = signature.certificate_sha256
                 ) OR EXISTS (
                     SELECT 1 FROM signed_order AS o
                     WHERE o.certificate_sha256 = signature.certificate_sha256
                 ) FROM signature
                 WHERE enrolment = ?1 ORDER BY attempt DESC LIMIT 1",
            )?
            .query_row(params![approval.enrolment.0], |row| {
                Ok(Self {
                    attempt: row.get(0)?,
                    profile: row.get(1)?,
                    info_sha256: row.get(2)?,
                    outcome: row.get(3)?,
                    cms: row.get(4)?,
                    not_after: row.get::<_, Option<i64>>(5)?.map(natural),
                    ordered_revoked: row.get(6)?,
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

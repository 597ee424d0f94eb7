//! The one way into the table.

use countersign_store::StoreError;
use countersign_store::rusqlite::{OptionalExtension as _, Transaction, params};

use super::{Reason, Source};

/// An order as whoever places it knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewOrder {
    /// Authority name in the config.
    pub(crate) authority: String,
    /// Serial number, lower-case hexadecimal.
    pub(crate) serial: String,
    /// SHA-256 of the certificate's DER.
    pub(crate) certificate_sha256: [u8; 32],
    /// Profile it was issued under.
    pub(crate) profile: String,
    /// Enrolment that led to it.
    pub(crate) enrolment: [u8; 32],
    /// Attempt of it.
    pub(crate) attempt: u32,
    /// Why.
    pub(crate) reason: Reason,
    /// Who wants it.
    pub(crate) source: Source,
}

/// What placing an order did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placed {
    /// It was not ordered before.
    New,
    /// The certificate has an order already, whoever placed that; nothing changed.
    Already,
}

/// Places an order inside the caller's transaction. A certificate has one order, ever; one that
/// was withdrawn is placed anew.
///
/// # Errors
/// [`StoreError`]; the caller must let its transaction fail then.
pub(crate) fn place(
    tx: &Transaction<'_>,
    order: &NewOrder,
    now: u64,
) -> Result<Placed, StoreError> {
    let state: Option<String> = tx
        .prepare_cached("SELECT state FROM revocation_order WHERE certificate_sha256 = ?1")?
        .query_row(params![order.certificate_sha256], |row| row.get(0))
        .optional()?;
    match state.as_deref() {
        None => {}
        Some("withdrawn") => {
            tx.prepare_cached("DELETE FROM revocation_order WHERE certificate_sha256 = ?1")?
                .execute(params![order.certificate_sha256])?;
        }
        Some(_) => return Ok(Placed::Already),
    }
    tx.prepare_cached(
        "INSERT INTO revocation_order (certificate_sha256, authority, serial, enrolment, attempt,
             profile, reason, ordered, state, source, source_detail, plugin)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'placed', ?9, ?10, ?11)",
    )?
    .execute(params![
        order.certificate_sha256,
        order.authority,
        order.serial,
        order.enrolment,
        order.attempt,
        order.profile,
        order.reason.as_str(),
        i64::try_from(now).unwrap_or(i64::MAX),
        order.source.kind(),
        order.source.detail(),
        order.source.plugin()
    ])?;
    Ok(Placed::New)
}

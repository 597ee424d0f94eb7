//! What became of approvals: challenges are spent, the device index learns its certificate, orders
//! of `serve` are placed.

use std::sync::Arc;

use countersign_ipc::{Bytes, OutcomeKind, OutcomeRecord, RevocationOrder};
use countersign_store::rusqlite::{Transaction, params};
use countersign_store::{Store, StoreError};

use crate::decision::Verifiers;
use crate::devices::{self, Indexed, Reach};
use crate::orders::{self, NewOrder, Reason, Source};
use crate::{challenges, events, outbox, tombstone};

/// Takes outcomes, all or none; a second time they change nothing.
pub(crate) async fn take(
    verifiers: &Verifiers,
    outcomes: Vec<OutcomeRecord>,
    now: u64,
) -> Result<(), StoreError> {
    let reach = Arc::clone(&verifiers.reach);
    verifiers
        .store
        .write(move |tx| {
            outcomes.into_iter().try_for_each(|outcome| take_one(tx, &reach, outcome, now))
        })
        .await
}

pub(crate) fn take_one(
    tx: &Transaction<'_>,
    reach: &Reach,
    outcome: OutcomeRecord,
    now: u64,
) -> Result<(), StoreError> {
    let kind = match outcome.outcome {
        OutcomeKind::Issued => "issued",
        OutcomeKind::Refused => "refused",
        OutcomeKind::Withheld => "withheld",
        OutcomeKind::Abandoned => "abandoned",
    };
    // Spent with the certificate, and with a withheld one: the CA has issued. A refusal leaves the
    // challenge to its request, which may try again.
    if matches!(outcome.outcome, OutcomeKind::Issued | OutcomeKind::Withheld) {
        challenges::spend(tx, &outcome.enrolment.0)?;
    }
    let (enrolment, attempt) = (&outcome.enrolment.0, outcome.attempt);
    outbox::arrived(tx, enrolment, attempt, kind, outcome.code.as_deref())?;
    let certificate = outcome.certificate.map(|Bytes(der)| der);
    // By this hash a renewal finds that its current certificate was delivered here.
    let sha256 = certificate.as_deref().map(sha256);
    let serial = certificate.as_deref().and_then(devices::serial_of);
    let taken = tx
        .prepare_cached(
        "UPDATE approval SET outcome = ?3, certificate = ?4, certificate_sha256 = ?5, serial = ?6
         WHERE enrolment = ?1 AND attempt = ?2 AND outcome IS NULL",
    )?
    .execute(params![outcome.enrolment.0, outcome.attempt, kind, certificate, sha256, serial])?;
    if taken == 1 && outcome.outcome == OutcomeKind::Issued {
        revoke_if_gone(tx, reach, &outcome.enrolment.0, outcome.attempt, now)?;
    }
    Ok(())
}

/// A device that was wiped while it enrolled has a certificate now, and shall have none.
fn revoke_if_gone(
    tx: &Transaction<'_>,
    reach: &Reach,
    enrolment: &[u8; 32],
    attempt: u32,
    now: u64,
) -> Result<(), StoreError> {
    let Some((device, profile)) = devices::device_of(tx, enrolment, attempt)? else {
        return Ok(());
    };
    let Some(tombstone) = tombstone::of(tx, reach, &profile, &device)? else { return Ok(()) };
    let certificates = devices::of_device(tx, &device, now)?;
    let of_this = |one: &&Indexed| one.enrolment == *enrolment && one.attempt == attempt;
    if let Some(certificate) = certificates.iter().find(of_this) {
        tracing::warn!(
            device,
            plugin = tombstone.plugin,
            serial = certificate.serial,
            "a certificate came for a device that is gone; its revocation is ordered"
        );
        let source = Source::Tombstone { plugin: tombstone.plugin };
        events::place(tx, reach, certificate, tombstone.reason, source, now)?;
    }
    Ok(())
}

fn sha256(octets: &[u8]) -> Vec<u8> {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, octets).as_ref().to_vec()
}

/// Places the order of `serve` for what its check withheld; a second time it changes nothing.
pub(crate) async fn keep_order(
    store: &Store,
    order: RevocationOrder,
    now: u64,
) -> Result<(), StoreError> {
    tracing::error!(
        authority = order.authority,
        serial = order.serial,
        reason = order.reason,
        "ALARM: a certificate says what was not approved; its revocation is ordered"
    );
    let Ok(certificate_sha256) = <[u8; 32]>::try_from(order.certificate_sha256.0.as_slice()) else {
        tracing::error!("an order without a SHA-256 of 32 octets was not kept");
        return Ok(());
    };
    let order = NewOrder {
        authority: order.authority,
        serial: order.serial,
        certificate_sha256,
        profile: order.profile,
        enrolment: order.enrolment.0,
        attempt: order.attempt,
        reason: Reason::Unspecified,
        source: Source::Check { code: order.reason },
    };
    store.write(move |tx| orders::place(tx, &order, now).map(|_| ())).await
}

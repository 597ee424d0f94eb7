//! An action, once: what it asks for is ordered in the transaction that stores it.

use countersign_sandbox::model::{self, Act, Settlement, Target};
use countersign_store::StoreError;
use countersign_store::rusqlite::{OptionalExtension as _, Transaction, params};

use super::seconds;
use crate::devices::{self, Indexed, Reach};
use crate::orders::{self, NewOrder, Reason, Source};
use crate::tombstone::{self, Because};

/// The plug-in whose actions they are.
#[derive(Debug, Clone)]
pub(super) struct Actor {
    pub(super) plugin: String,
    pub(super) may_revoke: bool,
}

/// What became of a number of actions.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept {
    /// New ones.
    pub(crate) actions: u32,
    /// Those that came before and repeat nothing.
    pub(crate) repeated: u32,
    /// Orders that were placed for the new ones.
    pub(crate) orders: u32,
}

/// Stores actions and carries them out, inside the caller's transaction.
pub(super) fn keep(
    tx: &Transaction<'_>,
    reach: &Reach,
    actor: &Actor,
    actions: &[model::Action],
    now: u64,
) -> Result<Kept, StoreError> {
    let mut kept = Kept::default();
    for action in actions {
        let stored = tx
            .prepare_cached(
                "INSERT INTO action (plugin, id, stored) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            )?
            .execute(params![actor.plugin, action.id, seconds(now)])?;
        if stored == 0 {
            kept.repeated += 1;
            continue;
        }
        let number = tx.last_insert_rowid();
        kept.actions += 1;
        let ordered = carry_out(tx, reach, actor, number, action, now)?;
        match ordered {
            Ordered::Some(new) => kept.orders += new,
            Ordered::Ended(settlement) => super::settle::end(tx, number, &settlement)?,
        }
    }
    Ok(kept)
}

/// What carrying out an action led to.
enum Ordered {
    /// Orders, so many of them new: the action ends when they have.
    Some(u32),
    /// Nothing to wait for.
    Ended(Settlement),
}

fn carry_out(
    tx: &Transaction<'_>,
    reach: &Reach,
    actor: &Actor,
    number: i64,
    action: &model::Action,
    now: u64,
) -> Result<Ordered, StoreError> {
    let plugin = &actor.plugin;
    let revocation = match &action.act {
        Act::Revoke(revocation) => revocation,
        Act::Other(word) => {
            return Ok(refused(format!("this version of the host does not know `{word}`")));
        }
    };
    if !actor.may_revoke {
        tracing::error!(
            plugin,
            action = action.id,
            "ALARM: a plug-in wants a revocation that it was not granted"
        );
        return Ok(refused(format!(
            "not granted: set `revocation = true` in [plugin.{plugin}.grants]"
        )));
    }
    let reason = reason(revocation.reason);
    let certificates = match &revocation.target {
        Target::Device(device_id) => {
            let because = Because { action: &action.id, reason, detail: &revocation.detail };
            tombstone::place(tx, reach, plugin, device_id, &because, now)?;
            let found = devices::of_device(tx, device_id, now)?;
            found.into_iter().filter(|one| reach.reaches(plugin, &one.profile)).collect()
        }
        Target::Certificate { issuer, serial_number } => {
            let found = devices::by_serial(tx, issuer, serial_number)?;
            let known = !found.is_empty();
            let reached: Vec<Indexed> =
                found.into_iter().filter(|one| reach.reaches(plugin, &one.profile)).collect();
            if known && reached.is_empty() {
                tracing::error!(
                    plugin,
                    action = action.id,
                    serial = serial_number,
                    "ALARM: a plug-in wants a certificate revoked that it has no word about"
                );
                return Ok(refused(format!(
                    "the certificate was not issued under a profile that names the plug-in `{plugin}`"
                )));
            }
            reached.into_iter().filter(|one| one.not_after > now).collect::<Vec<_>>()
        }
    };
    let source = Source::Event { plugin: plugin.clone(), action: action.id.clone() };
    let mut new = 0;
    for certificate in &certificates {
        new += u32::from(order(tx, reach, number, certificate, reason, &source, now)?);
    }
    tracing::info!(
        plugin,
        action = action.id,
        certificates = certificates.len(),
        new,
        "a device management has certificates revoked"
    );
    if certificates.is_empty() {
        Ok(Ordered::Ended(Settlement::NothingToDo))
    } else {
        Ok(Ordered::Some(new))
    }
}

/// Places one order and remembers that the action waits for it. True if it was not ordered before.
fn order(
    tx: &Transaction<'_>,
    reach: &Reach,
    number: i64,
    certificate: &Indexed,
    reason: Reason,
    source: &Source,
    now: u64,
) -> Result<bool, StoreError> {
    let had_ended: Option<bool> = tx
        .prepare_cached(
            "SELECT final FROM revocation_order
             WHERE certificate_sha256 = ?1 AND state <> 'withdrawn'",
        )?
        .query_row([certificate.sha256], |row| row.get(0))
        .optional()?;
    place(tx, reach, certificate, reason, source.clone(), now)?;
    tx.prepare_cached(
        "INSERT INTO action_order (action, certificate_sha256, had_ended) VALUES (?1, ?2, ?3)
         ON CONFLICT DO NOTHING",
    )?
    .execute(params![number, certificate.sha256, had_ended.unwrap_or(false)])?;
    Ok(had_ended.is_none())
}

/// The one place from which events order.
pub(crate) fn place(
    tx: &Transaction<'_>,
    reach: &Reach,
    certificate: &Indexed,
    reason: Reason,
    source: Source,
    now: u64,
) -> Result<(), StoreError> {
    let authority = reach.authority_of(&certificate.profile).unwrap_or_default().to_owned();
    let order = NewOrder {
        authority,
        serial: certificate.serial.clone(),
        certificate_sha256: certificate.sha256,
        profile: certificate.profile.clone(),
        enrolment: certificate.enrolment,
        attempt: certificate.attempt,
        reason,
        source,
    };
    orders::place(tx, &order, now).map(drop)
}

fn refused(why: String) -> Ordered {
    Ordered::Ended(Settlement::Refused(why))
}

fn reason(reason: model::RevocationReason) -> Reason {
    match reason {
        model::RevocationReason::Unspecified => Reason::Unspecified,
        model::RevocationReason::KeyCompromise => Reason::KeyCompromise,
        model::RevocationReason::AffiliationChanged => Reason::AffiliationChanged,
        model::RevocationReason::Superseded => Reason::Superseded,
        model::RevocationReason::CessationOfOperation => Reason::CessationOfOperation,
    }
}

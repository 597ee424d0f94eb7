//! Orders in the database: the fuse, the ledger entry and the signature become durable together.

use std::sync::Arc;

use countersign_config::RevocationFuseSettings;
use countersign_ipc::{Bytes, EndedOrder, SignedOrder};
use countersign_ledger as ledger;
use countersign_store::rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::outcome::{Row, other_profile, unknown};
use super::{Book, BookError, Taken, natural, number};
use crate::digest::sha256;
use crate::fuse::{DAY, Fill};
use crate::order::{Admitted, OrderKey, document};
use crate::refusal::Refused;

/// How long what two people let through may be used, seconds: what is left of it would be a hole.
const LET_THROUGH: u64 = 3600;

/// How the ledger names this process where it acts by itself.
const OURSELVES: &str = "countersign-sign";

/// What became of an order.
#[derive(Debug)]
pub(crate) enum OrderTaken {
    /// It is in the ledger and signed.
    Signed { order: SignedOrder, is_new: bool },
    /// The revocation fuse holds it.
    Held { detail: String, is_first: bool },
    /// What it is about is not known yet; its outcome may be on its way.
    NotYet(String),
    /// It is for no certificate that our signatures led to.
    Refused(Refused),
}

/// How the revocation fuse stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RevocationFuse {
    /// Since when it holds; `None` while it is whole.
    pub(crate) blown_at: Option<u64>,
    /// Which window was full.
    pub(crate) blown_window: Option<String>,
    /// Orders that two people let through and that did not come yet.
    pub(crate) let_through: u64,
    /// How full each window is.
    pub(crate) fill: [Fill; 3],
}

impl Book {
    /// Signs an order, at most once; the same again gets the same octets, blown fuse or not.
    ///
    /// # Errors
    /// [`BookError`]; nothing was signed then.
    pub(crate) async fn sign_order(
        &self,
        admitted: Admitted,
        key: Arc<OrderKey>,
        limits: RevocationFuseSettings,
    ) -> Result<OrderTaken, BookError> {
        let (clock, lab) = (self.clock.clone(), self.lab);
        self.store
            .try_write(move |tx| sign_one(tx, &admitted, &key, &limits, clock.now(), lab))
            .await
    }

    /// Takes the end of an order.
    ///
    /// # Errors
    /// [`BookError`]; nothing was taken then.
    pub(crate) async fn order_ended(
        &self,
        ended: EndedOrder,
    ) -> Result<Result<Taken, Refused>, BookError> {
        let (clock, lab) = (self.clock.clone(), self.lab);
        self.store.try_write(move |tx| end_one(tx, &ended, clock.now(), lab)).await
    }

    /// How the revocation fuse stands.
    ///
    /// # Errors
    /// [`BookError`].
    pub(crate) async fn revocation_fuse(
        &self,
        limits: RevocationFuseSettings,
    ) -> Result<RevocationFuse, BookError> {
        let now = self.clock.now();
        self.store.try_read(move |connection| RevocationFuse::of(connection, &limits, now)).await
    }

    /// The first person's part.
    ///
    /// # Errors
    /// [`BookError`].
    pub(crate) async fn propose_fuse_reset(
        &self,
        who: String,
        detail: String,
    ) -> Result<(), BookError> {
        let act = "revocation-fuse-reset-proposed".into();
        let event = ledger::Admin { who: who.into(), act, detail: detail.into() };
        self.record(vec![ledger::Event::Admin(event)]).await
    }

    /// Makes the fuse whole, with its entry.
    ///
    /// # Errors
    /// [`BookError`]; it stays blown then.
    pub(crate) async fn reset_revocation_fuse(
        &self,
        people: String,
        let_through: u32,
    ) -> Result<(), BookError> {
        let (clock, lab) = (self.clock.clone(), self.lab);
        self.store
            .try_write(move |tx| {
                let now = clock.now();
                let event = ledger::Event::Admin(ledger::Admin {
                    who: people.into(),
                    act: "revocation-fuse-reset".into(),
                    detail: format!("{let_through} orders are let through").into(),
                });
                ledger::append(tx, &event, now, lab)?;
                tx.prepare_cached(
                    "UPDATE revocation_fuse SET blown_at = NULL, blown_window = NULL,
                         reset_after = (SELECT coalesce(max(number), 0) FROM signed_order),
                         let_through = ?1, let_through_until = ?2",
                )?
                .execute(params![let_through, number(now.saturating_add(LET_THROUGH))])?;
                Ok(())
            })
            .await
    }
}

fn sign_one(
    tx: &Transaction<'_>,
    admitted: &Admitted,
    key: &OrderKey,
    limits: &RevocationFuseSettings,
    now: u64,
    lab: bool,
) -> Result<OrderTaken, BookError> {
    if let Some(order) = known(tx, admitted)? {
        return Ok(OrderTaken::Signed { order, is_new: false });
    }
    match ours(tx, admitted)? {
        Ok(None) => {}
        Ok(Some(not_yet)) => return Ok(OrderTaken::NotYet(not_yet)),
        Err(refused) => return Ok(OrderTaken::Refused(refused)),
    }
    let fuse = RevocationFuse::of(tx, limits, now)?;
    if let Some(window) = &fuse.blown_window {
        return Ok(OrderTaken::Held { detail: held(window), is_first: false });
    }
    if fuse.let_through == 0
        && let Some(full) = fuse.fill.iter().find(|fill| fill.is_full())
    {
        tx.prepare_cached("UPDATE revocation_fuse SET blown_at = ?1, blown_window = ?2")?
            .execute(params![number(now), full.window])?;
        let detail = format!(
            "{} orders in the last {}, {} are allowed; {}",
            full.used,
            full.window,
            full.limit,
            held(full.window)
        );
        let event = ledger::Event::Admin(ledger::Admin {
            who: OURSELVES.into(),
            act: "revocation-fuse-blown".into(),
            detail: detail.as_str().into(),
        });
        ledger::append(tx, &event, now, lab)?;
        return Ok(OrderTaken::Held { detail, is_first: true });
    }
    let let_through = fuse.let_through > 0;
    if let_through {
        tx.prepare_cached("UPDATE revocation_fuse SET let_through = let_through - 1")?
            .execute([])?;
    }
    let order = write(tx, admitted, key, let_through, now, lab)?;
    Ok(OrderTaken::Signed { order, is_new: true })
}

/// Entry, signature and row.
fn write(
    tx: &Transaction<'_>,
    admitted: &Admitted,
    key: &OrderKey,
    let_through: bool,
    now: u64,
    lab: bool,
) -> Result<SignedOrder, BookError> {
    let order = &admitted.order;
    let next: i64 = tx
        .prepare_cached("SELECT coalesce(max(number), 0) + 1 FROM signed_order")?
        .query_row([], |row| row.get(0))?;
    let octets = document(natural(next), admitted, now).into_bytes();
    let event = ledger::Event::OrderSigned(ledger::OrderSigned {
        number: natural(next),
        enrolment: order.enrolment.0.into(),
        attempt: order.attempt,
        profile: order.profile.as_str().into(),
        authority: order.authority.as_str().into(),
        certificate_sha256: admitted.certificate_sha256.into(),
        serial: order.serial.as_str().into(),
        reason: order.reason.as_str().into(),
        source: order.source.as_str().into(),
        detail: order.detail.as_str().into(),
        document_sha256: sha256(&octets).into(),
        order_key_sha256: key.public_sha256().into(),
        let_through,
    });
    let position = ledger::append(tx, &event, now, lab)?;
    let signature = key.sign(&octets)?;
    tx.prepare_cached(
        "INSERT INTO signed_order (number, authority, certificate_sha256, enrolment, attempt,
             document, signature, ledger_index, signed_at, counted)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        next,
        order.authority,
        admitted.certificate_sha256,
        order.enrolment.0,
        order.attempt,
        octets,
        signature,
        number(position.index),
        number(now),
        !let_through
    ])?;
    Ok(SignedOrder { number: natural(next), document: Bytes(octets), signature: Bytes(signature) })
}

/// The order as it was signed before.
fn known(tx: &Transaction<'_>, admitted: &Admitted) -> Result<Option<SignedOrder>, BookError> {
    Ok(tx
        .prepare_cached(
            "SELECT number, document, signature FROM signed_order
             WHERE certificate_sha256 = ?1 AND authority = ?2",
        )?
        .query_row(params![admitted.certificate_sha256, admitted.order.authority], |row| {
            Ok(SignedOrder {
                number: natural(row.get(0)?),
                document: Bytes(row.get(1)?),
                signature: Bytes(row.get(2)?),
            })
        })
        .optional()?)
}

/// Whether one of our signatures led to the certificate; `Some` where that is not known yet.
fn ours(
    tx: &Transaction<'_>,
    admitted: &Admitted,
) -> Result<Result<Option<String>, Refused>, BookError> {
    let order = &admitted.order;
    let row = match Row::of(tx, order.enrolment, order.attempt)? {
        Some(row) if row.profile == order.profile => row,
        Some(_) => return Ok(Err(other_profile())),
        None => return Ok(Err(unknown())),
    };
    let Some(certificate_sha256) = row.certificate_sha256 else {
        return Ok(match row.outcome {
            None => Ok(Some("the outcome of its enrolment is not recorded yet".to_owned())),
            Some(_) => Err(Refused::new("nothing-issued", "its enrolment led to no certificate")),
        });
    };
    let same_serial = row.serial.as_ref().is_none_or(|serial| *serial == order.serial);
    if certificate_sha256 != admitted.certificate_sha256 || !same_serial {
        return Ok(Err(Refused::new(
            "certificate-differs",
            "its enrolment led to another certificate",
        )));
    }
    Ok(Ok(None))
}

/// A signed order whose end is told.
struct Ended {
    certificate_sha256: [u8; 32],
    enrolment: [u8; 32],
    attempt: u32,
    /// What was told before.
    before: Option<String>,
}

fn end_one(
    tx: &Transaction<'_>,
    ended: &EndedOrder,
    now: u64,
    lab: bool,
) -> Result<Result<Taken, Refused>, BookError> {
    let row: Option<Ended> = tx
        .prepare_cached(
            "SELECT certificate_sha256, enrolment, attempt, result FROM signed_order
             WHERE number = ?1",
        )?
        .query_row([number(ended.number)], |row| {
            Ok(Ended {
                certificate_sha256: row.get(0)?,
                enrolment: row.get(1)?,
                attempt: row.get(2)?,
                before: row.get(3)?,
            })
        })
        .optional()?;
    let Some(Ended { certificate_sha256, enrolment, attempt, before }) = row else {
        return Ok(Err(Refused::new("unknown-order", "no order of this number was signed")));
    };
    match before.as_deref() {
        Some(before) if before == ended.end.as_str() => return Ok(Ok(Taken::Before)),
        // The first word counts, but that a failed one was carried out after all.
        Some("carried-out" | "nothing-to-do") => return Ok(Ok(Taken::Before)),
        _ => {}
    }
    let event = ledger::Event::OrderEnded(ledger::OrderEnded {
        number: ended.number,
        enrolment: enrolment.into(),
        attempt,
        certificate_sha256: certificate_sha256.into(),
        end: ended.end.as_str().into(),
        revoker: ended.revoker.as_str().into(),
        detail: ended.detail.as_str().into(),
    });
    ledger::append(tx, &event, now, lab)?;
    tx.prepare_cached("UPDATE signed_order SET result = ?2, ended_at = ?3 WHERE number = ?1")?
        .execute(params![number(ended.number), ended.end.as_str(), number(now)])?;
    Ok(Ok(Taken::Now))
}

impl RevocationFuse {
    fn of(
        connection: &Connection,
        limits: &RevocationFuseSettings,
        now: u64,
    ) -> Result<Self, BookError> {
        let (blown_at, blown_window, reset_after, let_through, until) = connection
            .prepare_cached(
                "SELECT blown_at, blown_window, reset_after, let_through, let_through_until
                 FROM revocation_fuse",
            )?
            .query_row([], |row| {
                Ok((
                    row.get::<_, Option<i64>>(0)?.map(natural),
                    row.get::<_, Option<String>>(1)?,
                    natural(row.get(2)?),
                    natural(row.get(3)?),
                    natural(row.get(4)?),
                ))
            })?;
        let mut fuse = Self {
            blown_at,
            blown_window,
            let_through: if now < until { let_through } else { 0 },
            fill: [
                ("day", DAY, limits.per_day),
                ("hour", 3600, limits.per_hour),
                ("minute", 60, limits.per_minute),
            ]
            .map(|(window, _, limit)| Fill { window, used: 0, limit }),
        };
        for (fill, seconds) in fuse.fill.iter_mut().zip([DAY, 3600, 60]) {
            let used: i64 = connection
                .prepare_cached(
                    "SELECT count(*) FROM signed_order
                     WHERE counted = 1 AND signed_at > ?1 AND number > ?2",
                )?
                // Orders before the last reset count no more.
                .query_row(params![number(now) - number(seconds), number(reset_after)], |row| {
                    row.get(0)
                })?;
            fill.used = natural(used);
        }
        Ok(fuse)
    }
}

fn held(window: &str) -> String {
    format!(
        "the revocation fuse has blown (`sign.revocation-fuse.per-{window}`) and holds orders until \
         two people reset it: `countersign fuse status`"
    )
}

#[cfg(test)]
mod tests {
    use countersign_ipc::{EnrolmentId, OrderToSign};
    use countersign_ledger::Kind;
    use countersign_store::{ColumnKey, Owner, Store};
    use std::sync::atomic::{AtomicU64, Ordering};
    use tokio::task::JoinSet;

    use super::*;
    use crate::clock::Clock;
    use crate::schema::MIGRATIONS;

    const NOW: u64 = 1_900_000_000;

    /// A book with so many certificates that were issued.
    struct World {
        book: Book,
        key: Arc<OrderKey>,
        time: Arc<AtomicU64>,
        limits: RevocationFuseSettings,
        _directory: tempfile::TempDir,
    }

    impl World {
        fn new(certificates: u32) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("sign.db");
            let store = Store::open(&path, Owner::Sign, MIGRATIONS).unwrap();
            store
                .write_blocking(move |tx| {
                    tx.execute(
                        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
                         INSERT INTO signature (enrolment, attempt, profile, csr_sha256, info_sha256,
                             spki_sha256, cms_sha256, ledger_index, signed_at, outcome,
                             certificate_sha256, not_after, settled_at, serial)
                         SELECT name, 1, 'wifi', zeroblob(32), zeroblob(32), zeroblob(32),
                             zeroblob(32), i, 1, 'issued', name, 2000000000, 1, printf('%04x', i)
                         FROM (SELECT i, CAST(printf('%032d', i) AS BLOB) AS name FROM n)",
                        [certificates],
                    )?;
                    Ok(())
                })
                .unwrap();
            let time = Arc::new(AtomicU64::new(NOW));
            let source = Arc::clone(&time);
            let clock = Clock::by(move || source.load(Ordering::Relaxed));
            let column_key = ColumnKey::new(&zeroize::Zeroizing::new(vec![1; 32])).unwrap();
            let pair = aws_lc_rs::signature::EcdsaKeyPair::generate_pkcs8(
                &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
                &aws_lc_rs::rand::SystemRandom::new(),
            )
            .unwrap();
            Self {
                book: Book::new(store, column_key, clock, true),
                key: Arc::new(OrderKey::from_pkcs8(pair.as_ref()).unwrap()),
                time,
                limits: RevocationFuseSettings::default(),
                _directory: directory,
            }
        }

        fn later(&self, seconds: u64) {
            self.time.fetch_add(seconds, Ordering::Relaxed);
        }

        async fn sign(&self, certificate: u32) -> OrderTaken {
            self.try_sign(order(certificate)).await
        }

        async fn try_sign(&self, order: Admitted) -> OrderTaken {
            self.book.sign_order(order, Arc::clone(&self.key), self.limits.clone()).await.unwrap()
        }

        async fn ledger(&self, kind: Kind) -> usize {
            let filter = ledger::Filter { kind: Some(kind), ..ledger::Filter::default() };
            self.book.store.try_read(move |c| ledger::entries(c, &filter)).await.unwrap().len()
        }
    }

    fn order(certificate: u32) -> Admitted {
        let mut name = [0; 32];
        name.copy_from_slice(format!("{certificate:032}").as_bytes());
        Admitted {
            certificate_sha256: name,
            order: OrderToSign {
                authority: "lab".into(),
                serial: format!("{certificate:04x}"),
                certificate_sha256: Bytes(name.to_vec()),
                profile: "wifi".into(),
                enrolment: EnrolmentId(name),
                attempt: 1,
                reason: "cessation-of-operation".into(),
                source: "event".into(),
                detail: "mdm: wipe".into(),
            },
        }
    }

    fn is_signed(taken: &OrderTaken) -> bool {
        matches!(taken, OrderTaken::Signed { .. })
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn row_38_ten_thousand_wipes_at_once_blow_the_fuse_and_wait_for_two_people() {
        let world = Arc::new(World::new(10_000));
        let mut tasks = JoinSet::new();
        for certificate in 1..=10_000 {
            let world = Arc::clone(&world);
            tasks.spawn(async move { world.sign(certificate).await });
            if tasks.len() >= 200 {
                tasks.join_next().await;
            }
        }
        while tasks.join_next().await.is_some() {}
        assert_eq!(world.ledger(Kind::OrderSigned).await, 10, "per minute, and not one more");
        assert_eq!(world.ledger(Kind::Admin).await, 1, "one alarm");

        // Time alone does not heal it.
        world.later(2 * DAY);
        assert!(matches!(world.sign(10_000).await, OrderTaken::Held { is_first: false, .. }));
        world.book.reset_revocation_fuse("anna and berta".into(), 30).await.unwrap();
        let mut signed = 0;
        for certificate in 1..=10_000 {
            match world.sign(certificate).await {
                OrderTaken::Signed { is_new, .. } => signed += usize::from(is_new),
                OrderTaken::Held { .. } => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(signed, 30 + 10, "what was let through, and then as many as in any minute");
    }

    #[tokio::test]
    async fn what_was_let_through_and_not_used_is_no_hole() {
        let world = World::new(60);
        for certificate in 1..=11 {
            world.sign(certificate).await;
        }
        world.book.reset_revocation_fuse("anna and berta".into(), 1000).await.unwrap();
        assert!(is_signed(&world.sign(12).await));
        world.later(LET_THROUGH);
        for certificate in 13..=22 {
            assert!(is_signed(&world.sign(certificate).await), "{certificate}");
        }
        assert!(matches!(world.sign(23).await, OrderTaken::Held { is_first: true, .. }));
    }

    #[tokio::test]
    async fn slow_wipes_are_counted_over_hours_and_days() {
        let world = World::new(60);
        for certificate in 1..=50 {
            world.later(61);
            assert!(is_signed(&world.sign(certificate).await), "{certificate}");
        }
        world.later(61);
        match world.sign(51).await {
            OrderTaken::Held { detail, .. } => assert!(detail.contains("per-hour"), "{detail}"),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn the_same_order_again_gets_the_same_octets_even_while_the_fuse_has_blown() {
        let world = World::new(20);
        let OrderTaken::Signed { order: first, is_new: true } = world.sign(1).await else {
            panic!("not signed");
        };
        for certificate in 2..=11 {
            world.sign(certificate).await;
        }
        assert!(matches!(world.sign(12).await, OrderTaken::Held { .. }));
        match world.sign(1).await {
            OrderTaken::Signed { order, is_new: false } => assert_eq!(order, first),
            other => panic!("{other:?}"),
        }
        assert_eq!(world.ledger(Kind::OrderSigned).await, 10);
    }

    #[tokio::test]
    async fn an_order_for_what_our_signatures_did_not_lead_to_is_refused() {
        let world = World::new(2);
        let mut another_serial = order(1);
        another_serial.order.serial = "0002".into();
        let mut another_certificate = order(1);
        another_certificate.certificate_sha256 = [9; 32];
        let mut another_profile = order(1);
        another_profile.order.profile = "lan".into();
        for (wrong, code) in [
            (another_serial, "certificate-differs"),
            (another_certificate, "certificate-differs"),
            (another_profile, "profile-differs"),
            (order(3), "unknown-enrolment"),
        ] {
            match world.try_sign(wrong).await {
                OrderTaken::Refused(refused) => assert_eq!(refused.code, code),
                other => panic!("{code}: {other:?}"),
            }
        }
        assert_eq!(world.ledger(Kind::OrderSigned).await, 0);
    }
}

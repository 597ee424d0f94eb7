//! Revocations by hand, and taking back what the fuse holds. One person may have a few certificates
//! revoked in a day; more needs two, and so does taking back.

use std::time::Instant;

use countersign_config::Person;
use countersign_ipc::{Peer, SignReply, SignRequest};
use countersign_profile::Certificate;
use countersign_store::StoreError;
use countersign_store::rusqlite::types::Value as SqlValue;
use countersign_store::rusqlite::{Connection, params};
use serde_json::{Value, json};

use super::proposal::{Asked, PROPOSAL};
use super::{NewOrder, Orders, Placed, Reason, Source, number, place};

/// Certificates that one command may name.
const MOST: usize = 1000;

/// The window of what one person may do alone.
const DAY: u64 = 86_400;

/// How long `sign` may take to put an act into the ledger.
const ASK: std::time::Duration = std::time::Duration::from_secs(10);

/// What shall be revoked.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// One certificate, by its serial number, lower-case hexadecimal.
    Serial(String),
    /// All certificates of a device.
    Device(String),
}

/// A certificate that was issued here.
#[derive(Debug, Clone)]
struct Found {
    serial: String,
    certificate_sha256: [u8; 32],
    profile: String,
    enrolment: [u8; 32],
    attempt: u32,
}

impl Target {
    /// From the command line: exactly one of the two.
    pub(crate) fn read(serial: Option<String>, device: Option<String>) -> Result<Self, String> {
        match (serial, device) {
            (Some(serial), None) => {
                let digits: String = serial.chars().filter(|c| *c != ':').collect();
                if hex::decode(&digits).is_err() || digits.is_empty() || digits.len() > 80 {
                    return Err(
                        "expected a serial number in hexadecimal, an even number of digits, \
                                as `certutil` and `openssl x509 -serial` print it"
                            .to_owned(),
                    );
                }
                Ok(Self::Serial(digits.to_ascii_lowercase()))
            }
            (None, Some(device)) if !device.is_empty() => Ok(Self::Device(device)),
            _ => Err("name one certificate by --serial, or one device by --device".to_owned()),
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Serial(serial) => format!("serial {serial}"),
            Self::Device(device) => format!("device {device}"),
        }
    }
}

impl Orders {
    /// One person's part in a revocation by hand.
    pub(crate) async fn revoke(
        &self,
        peer: Peer,
        target: &Target,
        reason: &str,
        named: Option<&str>,
        now: u64,
    ) -> Result<Value, String> {
        let reason: Reason = reason.parse()?;
        let person = self.people.person(self.mode, peer.uid, named)?;
        let failed = |error: StoreError| error.to_string();
        let wanted = target.clone();
        let (found, alone) = self
            .store
            .read(move |connection| {
                Ok((certificates(connection, &wanted, now)?, alone_today(connection, now)?))
            })
            .await
            .map_err(failed)?;
        if found.is_empty() {
            return Err(format!(
                "no current certificate of {} was issued here and is without an order; \
                 `countersign orders list` shows those that are under way",
                target.words()
            ));
        }
        if found.len() > MOST {
            return Err(format!(
                "{} has {} certificates, more than {MOST}",
                target.words(),
                found.len()
            ));
        }
        let mut persons = vec![person.to_string()];
        if alone.saturating_add(found.len() as u64) > u64::from(self.alone_per_day) {
            let what = proposal_text(target, reason, &found);
            match self.proposals.ask(&what, &person, Instant::now()) {
                Asked::Confirmed(first) => persons.insert(0, first.to_string()),
                Asked::Proposed => return Ok(self.proposed(&person, &found)),
            }
        }
        self.order(&found, reason, persons, now).await
    }

    fn proposed(&self, person: &Person, found: &[Found]) -> Value {
        tracing::warn!(%person, certificates = found.len(), "a revocation by hand was proposed");
        json!({
            "state": "proposed",
            "person": person.as_str(),
            "certificates": found.iter().map(|found| json!({
                "serial": found.serial,
                "profile": found.profile,
            })).collect::<Vec<_>>(),
            "remedy": format!(
                "another person must run the same command within {} minutes: one alone may have {} \
                 certificates revoked in a day (verify.revocation.alone-per-day)",
                PROPOSAL.as_secs() / 60,
                self.alone_per_day
            ),
        })
    }

    async fn order(
        &self,
        found: &[Found],
        reason: Reason,
        persons: Vec<String>,
        now: u64,
    ) -> Result<Value, String> {
        let mut orders = Vec::new();
        for found in found {
            let authority = self
                .authorities
                .get(&found.profile)
                .ok_or_else(|| format!("the config has no profile `{}` any more", found.profile))?;
            orders.push(NewOrder {
                authority: authority.clone(),
                serial: found.serial.clone(),
                certificate_sha256: found.certificate_sha256,
                profile: found.profile.clone(),
                enrolment: found.enrolment,
                attempt: found.attempt,
                reason,
                source: Source::Admin { persons: persons.clone() },
            });
        }
        tracing::warn!(?persons, certificates = orders.len(), "revocations were ordered by hand");
        let placed = self
            .store
            .write(move |tx| {
                let mut placed = Vec::new();
                for order in &orders {
                    let is_new = place(tx, order, now)? == Placed::New;
                    placed.push(json!({
                        "serial": order.serial,
                        "authority": order.authority,
                        "profile": order.profile,
                        "new": is_new,
                    }));
                }
                Ok(placed)
            })
            .await
            .map_err(|error| error.to_string())?;
        Ok(json!({ "state": "ordered", "persons": persons, "certificates": placed }))
    }

    /// One person's part in taking back what the fuse holds: the answer to a mass wipe that nobody
    /// wanted. The ledger has it before anything is taken back.
    pub(crate) async fn withdraw(
        &self,
        peer: Peer,
        plugin: Option<String>,
        named: Option<&str>,
    ) -> Result<Value, String> {
        let person = self.people.person(self.mode, peer.uid, named)?;
        let what = format!("withdraw {}", plugin.as_deref().unwrap_or("all"));
        let first = match self.proposals.ask(&what, &person, Instant::now()) {
            Asked::Confirmed(first) => first,
            Asked::Proposed => {
                return Ok(json!({
                    "state": "proposed",
                    "person": person.as_str(),
                    "remedy": format!(
                        "another person must run the same command within {} minutes",
                        PROPOSAL.as_secs() / 60
                    ),
                }));
            }
        };
        let people = format!("{first} and {person}");
        let detail = match &plugin {
            Some(plugin) => format!("held orders of plug-in {plugin}"),
            None => "all held orders".to_owned(),
        };
        let told = SignRequest::OrdersWithdrawn { people: people.clone(), detail };
        match self.sign.call(&told, ASK).await {
            Ok(SignReply::Done) => {}
            Ok(other) => return Err(format!("nothing was taken back; sign answered {other:?}")),
            Err(error) => return Err(format!("nothing was taken back: {error}")),
        }
        let result = format!("withdrawn by {people}");
        let withdrawn = self
            .store
            .write(move |tx| {
                Ok(tx
                    .prepare_cached(
                        "UPDATE revocation_order
                         SET state = 'withdrawn', final = 1, reported = 1, result = ?2
                         WHERE state = 'held' AND (?1 IS NULL OR plugin = ?1)",
                    )?
                    .execute(params![plugin, result])?)
            })
            .await
            .map_err(|error| error.to_string())?;
        tracing::warn!(withdrawn, people, "held revocation orders were taken back");
        Ok(json!({
            "state": "withdrawn",
            "persons": [first.as_str(), person.as_str()],
            "orders": withdrawn,
        }))
    }
}

/// Everything that the second person must mean too: the very certificates.
fn proposal_text(target: &Target, reason: Reason, found: &[Found]) -> String {
    let mut hashes: Vec<_> =
        found.iter().map(|found| hex::encode(found.certificate_sha256)).collect();
    hashes.sort_unstable();
    format!("revoke {} {} {}", target.words(), reason.as_str(), hashes.join(" "))
}

/// What was issued here, is current and has no order.
fn certificates(
    connection: &Connection,
    target: &Target,
    now: u64,
) -> Result<Vec<Found>, StoreError> {
    let (condition, value) = match target {
        Target::Device(device) => ("device_id = ?1", SqlValue::Text(device.clone())),
        // A few rows hold the octets somewhere; the parser says in which they are the serial.
        Target::Serial(serial) => {
            ("instr(certificate, ?1) > 0", SqlValue::Blob(hex::decode(serial).unwrap_or_default()))
        }
    };
    let sql = format!(
        "SELECT certificate, certificate_sha256, profile, enrolment, attempt FROM approval
         WHERE {condition} AND certificate IS NOT NULL AND outcome IN ('issued', 'withheld')
             AND NOT EXISTS (
                 SELECT 1 FROM revocation_order AS o
                 WHERE o.certificate_sha256 = approval.certificate_sha256
                     AND o.state <> 'withdrawn'
             )
         LIMIT 10000"
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map(params![value], |row| {
        Ok((
            row.get::<_, Vec<u8>>(0)?,
            row.get::<_, [u8; 32]>(1)?,
            row.get::<_, String>(2)?,
            row.get::<_, [u8; 32]>(3)?,
            row.get::<_, u32>(4)?,
        ))
    })?;
    let mut found = Vec::new();
    for row in rows {
        let (der, certificate_sha256, profile, enrolment, attempt) = row?;
        let Ok(certificate) = Certificate::parse(&der) else { continue };
        let serial = certificate.serial_hex();
        let wanted = match target {
            Target::Serial(wanted) => same_number(wanted, &serial),
            Target::Device(_) => true,
        };
        if wanted && certificate.not_after() >= now {
            found.push(Found { serial, certificate_sha256, profile, enrolment, attempt });
        }
    }
    Ok(found)
}

/// Serial numbers are numbers: a zero before them changes nothing.
fn same_number(one: &str, two: &str) -> bool {
    one.trim_start_matches('0') == two.trim_start_matches('0')
}

/// What people ordered alone in the last day.
fn alone_today(connection: &Connection, now: u64) -> Result<u64, StoreError> {
    let count: i64 = connection.query_row(
        "SELECT count(*) FROM revocation_order
         WHERE source = 'admin' AND instr(source_detail, ', ') = 0 AND ordered > ?1",
        [number(now.saturating_sub(DAY))],
        |row| row.get(0),
    )?;
    Ok(super::natural(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_one_serial_or_one_device() {
        let serial = |text: &str| Target::read(Some(text.to_owned()), None);
        assert!(matches!(serial("61:00:AB"), Ok(Target::Serial(digits)) if digits == "6100ab"));
        for wrong in ["", "6", "zz", &"00".repeat(41)] {
            assert!(serial(wrong).is_err(), "{wrong}");
        }
        assert!(Target::read(None, Some("device-17".into())).is_ok());
        assert!(Target::read(None, Some(String::new())).is_err());
        assert!(Target::read(Some("61".into()), Some("d".into())).is_err());
        assert!(Target::read(None, None).is_err());
    }

    #[test]
    fn a_zero_before_a_serial_number_changes_nothing() {
        assert!(same_number("00ab", "ab"));
        assert!(!same_number("ab00", "ab"));
    }
}

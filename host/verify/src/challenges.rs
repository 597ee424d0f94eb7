//! One-time challenges kept by the host: issued with names, looked up without effect, bound to one
//! request together with its approval, spent when a certificate is issued.
//!
//! Only a MAC of a challenge is stored: neither a backup nor a reader of the database learns one.

use std::fmt;

use aws_lc_rs::{hmac, rand};
use countersign_sandbox::model::ChallengeBinding;
use countersign_store::rusqlite::{OptionalExtension as _, Transaction, params};
use countersign_store::{Store, StoreError};
use serde::Serialize;
use thiserror::Error;
use zeroize::Zeroizing;

/// Octets of randomness in a challenge: 160 bit.
const OCTETS: usize = 20;

/// Open challenges of one plug-in.
const MOST_OPEN: u32 = 100_000;

/// The key under which challenges are stored.
pub(crate) struct ChallengeKey(hmac::Key);

impl fmt::Debug for ChallengeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChallengeKey(..)")
    }
}

impl ChallengeKey {
    /// A key from exactly 32 secret octets.
    pub(crate) fn new(secret: &Zeroizing<Vec<u8>>) -> Result<Self, &'static str> {
        if secret.len() != 32 {
            return Err("the challenge key must hold exactly 32 octets");
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }

    /// What is stored for a challenge of a profile. The profile is inside: the same text at another
    /// profile's URL is unknown (threat T15).
    fn mac(&self, profile: &str, text: &str) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&(profile.len() as u64).to_be_bytes());
        context.update(profile.as_bytes());
        context.update(text.as_bytes());
        let mut mac = [0_u8; 32];
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }
}

/// The challenges of all plug-ins.
#[derive(Debug)]
pub(crate) struct Challenges {
    store: Store,
    key: ChallengeKey,
}

/// A challenge to be issued.
#[derive(Debug, Clone)]
pub(crate) struct ToIssue {
    pub(crate) plugin: String,
    pub(crate) profile: String,
    pub(crate) binding: ChallengeBinding,
    pub(crate) issued_by: String,
    pub(crate) ttl: u64,
}

/// Why a challenge is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotAccepted {
    Unknown,
    Expired,
    Used,
}

/// Why a challenge was not issued or looked up.
#[derive(Debug, Clone, Error)]
pub(crate) enum ChallengeError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{open} challenges of plug-in `{plugin}` are open, its limit; let them expire")]
    TooMany { plugin: String, open: u32 },
    #[error("the system gives no random bytes")]
    Random,
}

impl From<countersign_store::rusqlite::Error> for ChallengeError {
    fn from(error: countersign_store::rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Who a challenge was made for, and which request has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) device_id: Option<String>,
    pub(crate) info_sha256: Option<[u8; 32]>,
    /// The certificate that it was spent for.
    pub(crate) certificate_sha256: Option<[u8; 32]>,
}

/// One challenge that a request redeemed, for the commit.
#[derive(Debug, Clone)]
pub(crate) struct Redemption {
    mac: [u8; 32],
}

impl Challenges {
    pub(crate) fn new(store: Store, key: ChallengeKey) -> Self {
        Self { store, key }
    }

    /// Makes a challenge and stores its MAC. The text is returned once and kept nowhere.
    pub(crate) async fn issue(
        &self,
        to_issue: ToIssue,
        now: u64,
    ) -> Result<(Zeroizing<String>, u64), ChallengeError> {
        let text = random_text()?;
        let mac = self.key.mac(&to_issue.profile, &text);
        let expires = now.saturating_add(to_issue.ttl);
        self.store.try_write(move |tx| insert(tx, mac, &to_issue, now, expires)).await?;
        Ok((text, expires))
    }

    /// What a challenge stands for, if this request may use it. Changes nothing.
    ///
    /// A challenge bound to a request is that request's for as long as it is held, also past its
    /// expiry: a pending request must not lose it.
    pub(crate) async fn look_up(
        &self,
        plugin: &str,
        profile: &str,
        text: &str,
        info_sha256: Option<[u8; 32]>,
        now: u64,
    ) -> Result<Result<ChallengeBinding, NotAccepted>, ChallengeError> {
        let mac = self.key.mac(profile, &normalised(text));
        let plugin = plugin.to_owned();
        self.store
            .look_up(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT names, device_id, attributes, expires, state, info_sha256, held_until
                     FROM challenge WHERE mac = ?1 AND plugin = ?2",
                )?;
                let found = statement
                    .query_row(params![mac, plugin], |row| {
                        Ok((
                            row.get::<_, String>(0)?,
                            row.get::<_, Option<String>>(1)?,
                            row.get::<_, String>(2)?,
                            row.get::<_, i64>(3)?,
                            row.get::<_, String>(4)?,
                            row.get::<_, Option<[u8; 32]>>(5)?,
                            row.get::<_, Option<i64>>(6)?,
                        ))
                    })
                    .optional()?;
                let Some((names, device_id, attributes, expires, state, bound_to, held_until)) =
                    found
                else {
                    return Ok(Err(NotAccepted::Unknown));
                };
                let is_mine = bound_to.is_some() && bound_to == info_sha256;
                let ends = match state.as_str() {
                    "issued" => expires,
                    "bound" if is_mine => held_until.unwrap_or(expires).max(expires),
                    _ => return Ok(Err(NotAccepted::Used)),
                };
                if ends <= seconds(now) {
                    return Ok(Err(NotAccepted::Expired));
                }
                Ok(Ok(ChallengeBinding {
                    names: serde_json::from_str(&names).unwrap_or_default(),
                    device_id,
                    attributes: serde_json::from_str(&attributes).unwrap_or_default(),
                }))
            })
            .await
    }

    /// Whose challenge a refused one is, if the host keeps it.
    pub(crate) async fn holder(
        &self,
        profile: &str,
        text: &str,
    ) -> Result<Option<Holder>, StoreError> {
        let mac = self.key.mac(profile, &normalised(text));
        self.store
            .read(move |connection| {
                Ok(connection
                    .prepare_cached(
                        "SELECT c.device_id, c.info_sha256,
                                (SELECT a.certificate_sha256 FROM approval a
                                 WHERE a.enrolment = c.enrolment AND a.outcome = 'issued'
                                 ORDER BY a.attempt DESC LIMIT 1)
                         FROM challenge c WHERE c.mac = ?1",
                    )?
                    .query_row([mac], |row| {
                        Ok(Holder {
                            device_id: row.get(0)?,
                            info_sha256: row.get(1)?,
                            certificate_sha256: row.get(2)?,
                        })
                    })
                    .optional()?)
            })
            .await
    }

    /// Names a challenge for the commit.
    pub(crate) fn redemption(&self, profile: &str, text: &str) -> Redemption {
        Redemption { mac: self.key.mac(profile, &normalised(text)) }
    }
}

/// Binds redeemed challenges to one request, inside the transaction that commits its approval.
/// False if another request was faster, or the challenge expired in between.
pub(crate) fn bind(
    tx: &Transaction<'_>,
    redemptions: &[Redemption],
    info_sha256: &[u8; 32],
    enrolment: &[u8; 32],
    held_until: u64,
    now: u64,
) -> Result<bool, StoreError> {
    for redemption in redemptions {
        let bound = tx
            .prepare_cached(
                "UPDATE challenge
                 SET state = 'bound', info_sha256 = ?2, enrolment = ?3,
                     held_until = max(coalesce(held_until, 0), ?4)
                 WHERE mac = ?1
                   AND ((state = 'issued' AND expires > ?5)
                     OR (state = 'bound' AND info_sha256 = ?2
                         AND max(expires, coalesce(held_until, 0)) > ?5))",
            )?
            .execute(params![
                redemption.mac,
                info_sha256,
                enrolment,
                seconds(held_until),
                seconds(now)
            ])?;
        if bound != 1 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Spends what is bound to an enrolment: its certificate was issued.
pub(crate) fn spend(tx: &Transaction<'_>, enrolment: &[u8; 32]) -> Result<usize, StoreError> {
    Ok(tx
        .prepare_cached("UPDATE challenge SET state = 'spent' WHERE enrolment = ?1")?
        .execute([enrolment])?)
}

/// Removes what can never be used again. Spent and bound ones are kept for `keep` seconds past
/// their end, so that a reuse is recognised as one.
pub(crate) fn sweep(tx: &Transaction<'_>, keep: u64, now: u64) -> Result<usize, StoreError> {
    Ok(tx
        .prepare_cached(
            "DELETE FROM challenge
             WHERE (state = 'issued' AND expires < ?1)
                OR max(expires, coalesce(held_until, 0)) < ?2",
        )?
        .execute(params![seconds(now.saturating_sub(3600)), seconds(now.saturating_sub(keep))])?)
}

fn insert(
    tx: &Transaction<'_>,
    mac: [u8; 32],
    to_issue: &ToIssue,
    now: u64,
    expires: u64,
) -> Result<(), ChallengeError> {
    let open: u32 = tx
        .prepare_cached(
            "SELECT count(*) FROM challenge
             WHERE plugin = ?1 AND state = 'issued' AND expires > ?2",
        )?
        .query_row(params![to_issue.plugin, seconds(now)], |row| row.get(0))?;
    if open >= MOST_OPEN {
        return Err(ChallengeError::TooMany { plugin: to_issue.plugin.clone(), open });
    }
    tx.prepare_cached(
        "INSERT INTO challenge
            (mac, plugin, profile, names, device_id, attributes, issued_by, created, expires, state)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'issued')",
    )?
    .execute(params![
        mac,
        to_issue.plugin,
        to_issue.profile,
        text_of(&to_issue.binding.names)?,
        to_issue.binding.device_id,
        text_of(&to_issue.binding.attributes)?,
        to_issue.issued_by,
        seconds(now),
        seconds(expires)
    ])?;
    Ok(())
}

fn text_of<T: Serialize>(value: &T) -> Result<String, ChallengeError> {
    serde_json::to_string(value)
        .map_err(|_| ChallengeError::Store(StoreError::Constraint("no text form".into())))
}

/// Base32 (RFC 4648) without padding: people may have to type it.
fn random_text() -> Result<Zeroizing<String>, ChallengeError> {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut octets = Zeroizing::new([0_u8; OCTETS]);
    rand::fill(octets.as_mut_slice()).map_err(|_| ChallengeError::Random)?;
    let mut text = Zeroizing::new(String::with_capacity(OCTETS * 8 / 5));
    for chunk in octets.chunks(5) {
        let bits = chunk.iter().fold(0_u64, |bits, octet| (bits << 8) | u64::from(*octet));
        for place in (0..8).rev() {
            let index = usize::try_from((bits >> (place * 5)) & 31).unwrap_or(0);
            text.push(char::from(ALPHABET.get(index).copied().unwrap_or(b'A')));
        }
    }
    Ok(text)
}

/// People type lower case and put spaces or dashes in.
fn normalised(text: &str) -> Zeroizing<String> {
    Zeroizing::new(
        text.chars().filter(|c| !matches!(c, ' ' | '-')).map(|c| c.to_ascii_uppercase()).collect(),
    )
}

fn seconds(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use countersign_sandbox::model::Name;
    use countersign_store::Owner;

    use super::*;
    use crate::schema::SCHEMA;

    struct Lab {
        challenges: Challenges,
        _directory: tempfile::TempDir,
    }

    fn lab() -> Lab {
        let directory = tempfile::tempdir().unwrap();
        let store =
            Store::open(&directory.path().join("verify.db"), Owner::Verify, SCHEMA).unwrap();
        let key = ChallengeKey::new(&Zeroizing::new(vec![7; 32])).unwrap();
        Lab { challenges: Challenges::new(store, key), _directory: directory }
    }

    fn to_issue(profile: &str) -> ToIssue {
        ToIssue {
            plugin: "otp".into(),
            profile: profile.into(),
            binding: ChallengeBinding {
                names: vec![Name::Dns("a.example.com".into())],
                device_id: Some("a".into()),
                attributes: vec![],
            },
            issued_by: "uid 0".into(),
            ttl: 600,
        }
    }

    async fn bind_at(lab: &Lab, text: &str, info: [u8; 32], now: u64) -> bool {
        let redemption = lab.challenges.redemption("wifi", text);
        lab.challenges
            .store
            .write(move |tx| bind(tx, &[redemption], &info, &[9; 32], now + 1000, now))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_challenge_is_known_at_its_own_profile_and_plug_in_only() {
        let lab = lab();
        let (text, expires) = lab.challenges.issue(to_issue("wifi"), 1000).await.unwrap();
        assert_eq!((text.len(), expires), (32, 1600));
        let look = |plugin: &'static str, profile: &'static str, now| {
            let (challenges, text) = (&lab.challenges, text.clone());
            async move { challenges.look_up(plugin, profile, &text, None, now).await.unwrap() }
        };
        assert_eq!(look("otp", "wifi", 1000).await.unwrap().device_id.as_deref(), Some("a"));
        assert_eq!(look("otp", "vpn", 1000).await, Err(NotAccepted::Unknown));
        assert_eq!(look("other", "wifi", 1000).await, Err(NotAccepted::Unknown));
        assert_eq!(look("otp", "wifi", 1600).await, Err(NotAccepted::Expired));
    }

    #[tokio::test]
    async fn a_person_may_type_it_in_lower_case_with_dashes() {
        let lab = lab();
        let (text, _) = lab.challenges.issue(to_issue("wifi"), 1000).await.unwrap();
        let typed = format!("{}-{}", &text[..16].to_lowercase(), &text[16..]);
        let found = lab.challenges.look_up("otp", "wifi", &typed, None, 1000).await.unwrap();
        assert!(found.is_ok());
    }

    #[tokio::test]
    async fn row_62_one_challenge_serves_one_request_and_no_other() {
        let lab = lab();
        let (text, _) = lab.challenges.issue(to_issue("wifi"), 1000).await.unwrap();
        assert!(bind_at(&lab, &text, [1; 32], 1000).await);
        // The same request again, as a device that lost the answer sends it.
        assert!(bind_at(&lab, &text, [1; 32], 1001).await);
        assert!(!bind_at(&lab, &text, [2; 32], 1001).await);
        let other = lab.challenges.look_up("otp", "wifi", &text, Some([2; 32]), 1001).await;
        assert_eq!(other.unwrap(), Err(NotAccepted::Used));
        lab.challenges.store.write(|tx| spend(tx, &[9; 32])).await.unwrap();
        assert!(!bind_at(&lab, &text, [1; 32], 1002).await);
    }

    #[tokio::test]
    async fn a_held_challenge_outlives_its_expiry_for_its_own_request() {
        let lab = lab();
        let (text, _) = lab.challenges.issue(to_issue("wifi"), 1000).await.unwrap();
        assert!(bind_at(&lab, &text, [1; 32], 1000).await);
        let mine = lab.challenges.look_up("otp", "wifi", &text, Some([1; 32]), 1900).await;
        assert!(mine.unwrap().is_ok());
        let late = lab.challenges.look_up("otp", "wifi", &text, Some([1; 32]), 2100).await;
        assert_eq!(late.unwrap(), Err(NotAccepted::Expired));
    }

    #[tokio::test]
    async fn an_expired_challenge_binds_nothing() {
        let lab = lab();
        let (text, _) = lab.challenges.issue(to_issue("wifi"), 1000).await.unwrap();
        assert!(!bind_at(&lab, &text, [1; 32], 1600).await);
    }

    #[tokio::test]
    async fn whose_a_refused_challenge_is_can_be_told() {
        let lab = lab();
        let (text, _) = lab.challenges.issue(to_issue("wifi"), 1000).await.unwrap();
        let holder = |profile: &'static str| {
            let (challenges, text) = (&lab.challenges, text.clone());
            async move { challenges.holder(profile, &text).await.unwrap() }
        };
        let fresh = holder("wifi").await.unwrap();
        assert_eq!((fresh.device_id.as_deref(), fresh.info_sha256), (Some("a"), None));
        assert_eq!(holder("vpn").await, None);
        assert!(bind_at(&lab, &text, [1; 32], 1000).await);
        lab.challenges
            .store
            .write(|tx| {
                tx.execute(
                    "INSERT INTO approval (enrolment, attempt, profile, approval, approved, outcome,
                         certificate_sha256)
                     VALUES (?1, 1, 'wifi', x'00', 1000, 'issued', ?2)",
                    params![[9_u8; 32], [5_u8; 32]],
                )?;
                Ok(())
            })
            .await
            .unwrap();
        let held = holder("wifi").await.unwrap();
        assert_eq!((held.info_sha256, held.certificate_sha256), (Some([1; 32]), Some([5; 32])));
    }

    #[tokio::test]
    async fn the_database_does_not_hold_the_text() {
        let lab = lab();
        let (text, _) = lab.challenges.issue(to_issue("wifi"), 1000).await.unwrap();
        let path = lab.challenges.store.path().to_owned();
        lab.challenges.store.close().await.unwrap();
        let octets = std::fs::read(path).unwrap();
        assert!(!octets.windows(text.len()).any(|window| window == text.as_bytes()));
    }
}

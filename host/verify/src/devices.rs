//! The device index: which certificates a device has, as far as they were issued here, and which
//! plug-in reaches them.
//!
//! A plug-in reaches what was issued under the profiles that name it, for first enrolments or for
//! renewals, and nothing else: one device management has no word about the devices of another.

use std::collections::BTreeMap;

use countersign_config::ProfileSettings;
use countersign_profile::Certificate;
use countersign_store::rusqlite::{OptionalExtension as _, Transaction, params};
use countersign_store::{Store, StoreError};

/// Certificates without a serial number in the index, which an older version stored, that are brought
/// up to date at once.
const AT_ONCE: u32 = 500;

/// Which plug-in reaches which profiles, and who issued under them.
#[derive(Debug)]
pub(crate) struct Reach(BTreeMap<String, Profile>);

#[derive(Debug)]
struct Profile {
    authority: String,
    plugins: Vec<String>,
}

/// A certificate of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Indexed {
    pub(crate) enrolment: [u8; 32],
    pub(crate) attempt: u32,
    pub(crate) profile: String,
    pub(crate) sha256: [u8; 32],
    /// As the certificate has it, hexadecimal.
    pub(crate) serial: String,
    pub(crate) not_after: u64,
    /// RFC 4514.
    issuer: String,
}

impl Reach {
    pub(crate) fn new(profiles: &BTreeMap<String, ProfileSettings>) -> Self {
        let reached = profiles.iter().map(|(name, settings)| {
            let verifiers = &settings.verifiers;
            let mut plugins = verifiers.initial.clone();
            plugins.extend(verifiers.renewal.iter().cloned());
            plugins.sort();
            plugins.dedup();
            (name.clone(), Profile { authority: settings.authority.clone(), plugins })
        });
        Self(reached.collect())
    }

    /// Profiles of the authority `lab` with their plug-ins.
    #[cfg(test)]
    pub(crate) fn of(profiles: &[(&str, &[&str])]) -> Self {
        let profile = |(name, plugins): &(&str, &[&str])| {
            let plugins = plugins.iter().map(|plugin| (*plugin).to_owned()).collect();
            ((*name).to_owned(), Profile { authority: "lab".to_owned(), plugins })
        };
        Self(profiles.iter().map(profile).collect())
    }

    /// The profiles that name the plug-in.
    pub(crate) fn profiles_of(&self, plugin: &str) -> Vec<String> {
        let reached = |profile: &&Profile| profile.plugins.iter().any(|named| named == plugin);
        let found = self.0.iter().filter(|(_, profile)| reached(profile));
        found.map(|(name, _)| name.clone()).collect()
    }

    /// The plug-ins that a profile names.
    pub(crate) fn plugins_of(&self, profile: &str) -> &[String] {
        self.0.get(profile).map_or(&[], |profile| &profile.plugins)
    }

    /// Whether the plug-in reaches what was issued under the profile.
    pub(crate) fn reaches(&self, plugin: &str, profile: &str) -> bool {
        self.plugins_of(profile).iter().any(|named| named == plugin)
    }

    /// Who issues under a profile.
    pub(crate) fn authority_of(&self, profile: &str) -> Option<&str> {
        self.0.get(profile).map(|profile| profile.authority.as_str())
    }
}

/// The certificates of a device that have not ended, whoever issued them for it.
pub(crate) fn of_device(
    tx: &Transaction<'_>,
    device_id: &str,
    now: u64,
) -> Result<Vec<Indexed>, StoreError> {
    let found = find(
        tx,
        "SELECT enrolment, attempt, profile, certificate FROM approval
         WHERE device_id = ?1 AND outcome = 'issued' AND certificate IS NOT NULL
         ORDER BY number",
        device_id,
    )?;
    Ok(found.into_iter().filter(|one| one.not_after > now).collect())
}

/// The certificates of an issuer with a serial number: one, unless two authorities have one name.
pub(crate) fn by_serial(
    tx: &Transaction<'_>,
    issuer: &str,
    serial: &str,
) -> Result<Vec<Indexed>, StoreError> {
    let found = find(
        tx,
        "SELECT enrolment, attempt, profile, certificate FROM approval
         WHERE serial = ?1 AND outcome = 'issued' AND certificate IS NOT NULL ORDER BY number",
        &serial_key(serial),
    )?;
    Ok(found.into_iter().filter(|one| is_same_name(&one.issuer, issuer)).collect())
}

fn find(tx: &Transaction<'_>, sql: &str, key: &str) -> Result<Vec<Indexed>, StoreError> {
    let mut statement = tx.prepare_cached(sql)?;
    let rows = statement.query_map([key], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, Vec<u8>>(3)?))
    })?;
    let mut found = Vec::new();
    for row in rows {
        let (enrolment, attempt, profile, der): ([u8; 32], u32, String, Vec<u8>) = row?;
        let Ok(certificate) = Certificate::parse(&der) else {
            // `serve` has checked it before it was stored here.
            tracing::error!(
                enrolment = hex::encode(enrolment),
                "a stored certificate is unreadable"
            );
            continue;
        };
        found.push(Indexed {
            enrolment,
            attempt,
            profile,
            sha256: certificate.sha256(),
            serial: certificate.serial_hex(),
            not_after: certificate.not_after(),
            issuer: certificate.issuer().map(|issuer| issuer.to_string()).unwrap_or_default(),
        });
    }
    Ok(found)
}

/// What a certificate is found by: its serial number as device managements write it.
pub(crate) fn serial_of(der: &[u8]) -> Option<String> {
    Certificate::parse(der).ok().map(|certificate| serial_key(&certificate.serial_hex()))
}

/// Serial numbers come with zeros and colons and in both cases.
fn serial_key(text: &str) -> String {
    let digits: String =
        text.chars().filter(|c| !matches!(c, ':' | ' ')).map(|c| c.to_ascii_lowercase()).collect();
    digits.trim_start_matches('0').to_owned()
}

/// Whether two texts mean one issuer. Programs write the steps of a name in both orders, with and
/// without blanks; the serial number beside it, and the profiles, say what is meant.
fn is_same_name(ours: &str, theirs: &str) -> bool {
    let (ours, mut theirs) = (steps(ours), steps(theirs));
    if ours == theirs {
        return true;
    }
    theirs.reverse();
    ours == theirs
}

fn steps(text: &str) -> Vec<String> {
    let mut steps = vec![String::new()];
    let mut escaped = false;
    for character in text.chars() {
        match (escaped, character) {
            (false, ',' | ';') => steps.push(String::new()),
            (_, other) => {
                escaped = !escaped && other == '\\';
                if let Some(step) = steps.last_mut() {
                    step.extend(other.to_lowercase());
                }
            }
        }
    }
    steps.iter().map(|step| normal_step(step.trim())).collect()
}

/// `type=value` with one spelling of the type.
fn normal_step(step: &str) -> String {
    let Some((attribute, value)) = step.split_once('=') else { return step.to_owned() };
    let attribute = match attribute.trim() {
        "s" => "st",
        "emailaddress" => "e",
        other => other,
    };
    format!("{attribute}={}", value.trim())
}

/// Adds to the index what an older version stored without it.
pub(crate) async fn complete(store: &Store) -> Result<(), StoreError> {
    loop {
        let added = store
            .write(|tx| {
                let mut statement = tx.prepare_cached(
                    "SELECT number, certificate FROM approval
                     WHERE serial IS NULL AND outcome = 'issued' AND certificate IS NOT NULL
                     LIMIT ?1",
                )?;
                let rows: Vec<(i64, Vec<u8>)> = statement
                    .query_map([AT_ONCE], |row| Ok((row.get(0)?, row.get(1)?)))?
                    .collect::<Result<_, _>>()?;
                for (number, der) in &rows {
                    // What cannot be read has none, and is not looked at again.
                    let serial = serial_of(der).unwrap_or_default();
                    tx.prepare_cached("UPDATE approval SET serial = ?2 WHERE number = ?1")?
                        .execute(params![number, serial])?;
                }
                Ok(rows.len())
            })
            .await?;
        if added < AT_ONCE as usize {
            return Ok(());
        }
    }
}

/// The device and profile of an approval.
pub(crate) fn device_of(
    tx: &Transaction<'_>,
    enrolment: &[u8; 32],
    attempt: u32,
) -> Result<Option<(String, String)>, StoreError> {
    Ok(tx
        .prepare_cached(
            "SELECT device_id, profile FROM approval
             WHERE enrolment = ?1 AND attempt = ?2 AND device_id IS NOT NULL",
        )?
        .query_row(params![enrolment, attempt], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_are_one_however_they_are_written() {
        for text in ["00:AB:12", "ab12", "00AB12", "AB 12"] {
            assert_eq!(serial_key(text), "ab12");
        }
        assert_ne!(serial_key("ab1200"), "ab12");
    }

    #[test]
    fn an_issuer_is_one_in_either_order_and_spelling() {
        let ours = "DC=com,DC=example,CN=Issuing CA";
        assert!(is_same_name(ours, ours));
        assert!(is_same_name(ours, "CN=Issuing CA, DC=example, DC=com"));
        assert!(is_same_name(ours, "dc=COM, dc=example,cn=issuing ca"));
        assert!(is_same_name("C=DE,ST=A,CN=x\\,y", "CN=x\\,y, S=A, C=DE"));
        assert!(!is_same_name(ours, "DC=example,DC=com,CN=Issuing CA"));
        assert!(!is_same_name(ours, "CN=Issuing CA"));
        assert!(!is_same_name("CN=x\\,y", "CN=x,y"));
    }
}

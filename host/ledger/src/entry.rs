use countersign_store::rusqlite::Row;
use countersign_store::rusqlite::types::ValueRef;
use serde::{Serialize, Serializer};
use thiserror::Error;

use crate::canonical::{MAX_BODY, check_canonical};
use crate::digest::Hasher;
use crate::{Digest, Event, Kind, Text};

/// First octets under every hash: what it is of, and which version.
const DOMAIN: &[u8] = b"countersign ledger entry 1\n";

/// What the first entry names as the one before it, and the root of an empty ledger.
pub(crate) const GENESIS: Digest = Digest([0; 32]);

/// One entry as it stands in the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    /// Place in the ledger, from 0.
    pub index: u64,
    /// Seconds since 1970 UTC. Never less than that of the entry before.
    pub time: u64,
    /// Word of its kind; one of [`Kind`], or a later version's.
    pub kind: String,
    /// Made in lab mode, with keys in files: proves nothing.
    pub lab: bool,
    /// Canonical JSON.
    #[serde(serialize_with = "body_as_json")]
    pub body: String,
    /// Hash of the entry before; zeros for the first.
    pub previous: Digest,
    /// Hash of this entry.
    pub hash: Digest,
}

/// An entry in the database is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("ledger entry {index}: {problem}")]
pub struct EntryError {
    /// Its index, as far as it can be told.
    pub index: u64,
    /// What was expected and found.
    pub problem: String,
}

impl Entry {
    /// Columns that [`Entry::from_row`] reads, in order. A body over the limit reads as NULL
    /// without being loaded.
    pub(crate) fn columns() -> String {
        format!(
            "idx, time, kind, lab, CASE WHEN octet_length(body) <= {MAX_BODY} THEN body END, \
             previous, hash"
        )
    }

    /// Reads one row without trusting any column's type.
    pub(crate) fn from_row(row: &Row<'_>) -> Result<Self, EntryError> {
        let mut index = 0;
        Self::read(row, &mut index).map_err(|problem| EntryError { index, problem })
    }

    fn read(row: &Row<'_>, index: &mut u64) -> Result<Self, String> {
        *index = number(row, 0, "idx")?;
        Ok(Self {
            index: *index,
            time: number(row, 1, "time")?,
            kind: text(row, 2, "kind")?,
            lab: match number(row, 3, "lab")? {
                0 => false,
                1 => true,
                other => return Err(format!("lab: expected 0 or 1, found {other}")),
            },
            body: text(row, 4, "body")?,
            previous: digest(row, 5, "previous")?,
            hash: digest(row, 6, "hash")?,
        })
    }

    /// The hash that an entry with these members has: SHA-256 over domain, index, time, hash of
    /// the entry before, kind, lab flag and body; numbers as 8 octets big-endian, texts after
    /// their length.
    #[must_use]
    pub fn computed_hash(&self) -> Digest {
        let mut hasher = Hasher::new(DOMAIN);
        hasher.number(self.index);
        hasher.number(self.time);
        hasher.octets(&self.previous.0);
        hasher.number(self.kind.len() as u64);
        hasher.octets(self.kind.as_bytes());
        hasher.octets(&[u8::from(self.lab)]);
        hasher.number(self.body.len() as u64);
        hasher.octets(self.body.as_bytes());
        hasher.finish()
    }

    /// Checks that the members have the hash that stands beside them.
    ///
    /// # Errors
    /// [`EntryError`] with both hashes.
    pub fn check_hash(&self) -> Result<(), EntryError> {
        let computed = self.computed_hash();
        if computed == self.hash {
            return Ok(());
        }
        Err(EntryError {
            index: self.index,
            problem: format!("its content has the hash {computed}, beside it stands {}", self.hash),
        })
    }

    /// The typed event.
    ///
    /// # Errors
    /// [`EntryError`] for a kind or body of a later version.
    pub fn event(&self) -> Result<Event, EntryError> {
        let error = |problem| EntryError { index: self.index, problem };
        let kind: Kind = self.kind.parse().map_err(error)?;
        Event::from_body(kind, &self.body).map_err(|problem| error(problem.to_string()))
    }

    /// The enrolment that the body names, whatever its kind.
    #[must_use]
    pub fn enrolment(&self) -> Option<Digest> {
        let body: serde_json::Value = serde_json::from_str(&self.body).ok()?;
        body.get("enrolment")?.as_str()?.parse().ok()
    }

    /// Checks that kind and body are written as we write them.
    pub(crate) fn check_form(&self) -> Result<(), String> {
        let plain = |c: char| c.is_ascii_lowercase() || c == '-';
        if self.kind.is_empty() || self.kind.len() > 64 || !self.kind.chars().all(plain) {
            return Err(format!("kind: `{}` is not a word", Text::new(&self.kind)));
        }
        check_canonical(&self.body).map_err(|problem| format!("body: {problem}"))?;
        if self.kind.parse::<Kind>().is_ok() {
            self.event().map_err(|error| format!("body: {}", error.problem))?;
        }
        Ok(())
    }
}

fn body_as_json<S: Serializer>(body: &str, serializer: S) -> Result<S::Ok, S::Error> {
    match serde_json::from_str::<serde_json::Value>(body) {
        Ok(value) => value.serialize(serializer),
        Err(_) => serializer.serialize_str(&Text::new(body)),
    }
}

fn number(row: &Row<'_>, place: usize, name: &str) -> Result<u64, String> {
    match value(row, place, name)? {
        ValueRef::Integer(number) => {
            u64::try_from(number).map_err(|_| format!("{name}: negative number {number}"))
        }
        other => Err(format!("{name}: expected a number, found {}", other.data_type())),
    }
}

fn text(row: &Row<'_>, place: usize, name: &str) -> Result<String, String> {
    match value(row, place, name)? {
        ValueRef::Text(text) => String::from_utf8(text.to_vec())
            .map_err(|_| format!("{name}: expected UTF-8, found other octets")),
        ValueRef::Null => Err(format!("{name}: missing, or over the limit of {MAX_BODY} octets")),
        other => Err(format!("{name}: expected text, found {}", other.data_type())),
    }
}

fn digest(row: &Row<'_>, place: usize, name: &str) -> Result<Digest, String> {
    match value(row, place, name)? {
        ValueRef::Blob(octets) => <[u8; 32]>::try_from(octets)
            .map(Digest)
            .map_err(|_| format!("{name}: expected 32 octets, found {}", octets.len())),
        other => Err(format!("{name}: expected 32 octets, found {}", other.data_type())),
    }
}

fn value<'r>(row: &'r Row<'_>, place: usize, name: &str) -> Result<ValueRef<'r>, String> {
    row.get_ref(place).map_err(|error| format!("{name}: {error}"))
}

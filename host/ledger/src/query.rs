//! Reading the ledger: typed, nothing rendered.

use countersign_store::rusqlite::{Connection, ToSql};
use serde::Serialize;

use crate::{Digest, Entry, Event, Kind, LedgerError};

/// Which entries, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// From this index on.
    pub from: u64,
    /// At most so many.
    pub limit: u32,
    /// Of this kind only.
    pub kind: Option<Kind>,
    /// Naming this enrolment only.
    pub enrolment: Option<Digest>,
    /// Not before this second (since 1970 UTC).
    pub since: Option<u64>,
    /// Not after this second.
    pub until: Option<u64>,
}

impl Default for Filter {
    fn default() -> Self {
        Self { from: 0, limit: 1000, kind: None, enrolment: None, since: None, until: None }
    }
}

/// Everything that the ledger knows of one enrolment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Summary {
    /// Which enrolment.
    pub enrolment: Digest,
    /// Attempts that were countersigned.
    pub signed: Vec<u32>,
    /// Attempts of those that have no outcome yet.
    pub unsettled: Vec<u32>,
    /// SHA-256 of the certificates that were issued or withheld.
    pub certificates: Vec<Digest>,
    /// All entries that name it, oldest first.
    pub entries: Vec<Entry>,
}

/// How many entries the ledger has.
///
/// # Errors
/// The store's.
pub fn size(connection: &Connection) -> Result<u64, LedgerError> {
    let last: Option<i64> = connection
        .prepare_cached("SELECT max(idx) FROM ledger")?
        .query_row([], |row| row.get(0))?;
    Ok(last.map_or(0, |last| u64::try_from(last).unwrap_or(0) + 1))
}

/// How many entries of `kind` there are from index `from` to before `to`. Counts rows, checks no
/// hash.
///
/// # Errors
/// The store's.
pub fn count(connection: &Connection, kind: Kind, from: u64, to: u64) -> Result<u64, LedgerError> {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM ledger WHERE idx >= ?1 AND idx < ?2 AND kind = ?3")?
        .query_row((signed(from), signed(to), kind.as_str()), |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// The entries that `filter` asks for, each with its hash checked.
///
/// # Errors
/// [`LedgerError::Damaged`] at the first entry that is not as it was written; the store's errors.
pub fn entries(connection: &Connection, filter: &Filter) -> Result<Vec<Entry>, LedgerError> {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let from = signed(filter.from);
    let limit = i64::from(filter.limit);
    let kind = filter.kind.map(Kind::as_str);
    let enrolment = filter.enrolment.map(|enrolment| enrolment.to_string());
    let since = filter.since.map(signed);
    let until = filter.until.map(signed);

    let mut sql = format!("SELECT {} FROM ledger WHERE idx >= :from", Entry::columns());
    let mut values: Vec<(&str, &dyn ToSql)> = vec![(":from", &from), (":limit", &limit)];
    if kind.is_some() {
        sql.push_str(" AND kind = :kind");
        values.push((":kind", &kind));
    }
    if enrolment.is_some() {
        sql.push_str(" AND json_extract(body, '$.enrolment') = :enrolment");
        values.push((":enrolment", &enrolment));
    }
    if since.is_some() {
        sql.push_str(" AND time >= :since");
        values.push((":since", &since));
    }
    if until.is_some() {
        sql.push_str(" AND time <= :until");
        values.push((":until", &until));
    }
    sql.push_str(" ORDER BY idx LIMIT :limit");

    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(&*values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let entry = Entry::from_row(row)?;
        entry.check_hash()?;
        found.push(entry);
    }
    Ok(found)
}

/// All that names `enrolment`: attempts are few, so the list is short.
///
/// # Errors
/// As [`entries`].
pub fn summary(connection: &Connection, enrolment: Digest) -> Result<Summary, LedgerError> {
    let filter = Filter { enrolment: Some(enrolment), limit: u32::MAX, ..Filter::default() };
    let entries = entries(connection, &filter)?;
    let mut signed = Vec::new();
    let mut settled = Vec::new();
    let mut certificates = Vec::new();
    for entry in &entries {
        match entry.event() {
            Ok(Event::Signed(body)) => signed.push(body.attempt),
            Ok(Event::Outcome(body)) => {
                settled.push(body.attempt);
                certificates.extend(body.certificate_sha256);
            }
            // Everything else is shown with the entries.
            _ => {}
        }
    }
    certificates.sort_unstable();
    certificates.dedup();
    let unsettled = signed.iter().copied().filter(|attempt| !settled.contains(attempt)).collect();
    Ok(Summary { enrolment, signed, unsettled, certificates, entries })
}

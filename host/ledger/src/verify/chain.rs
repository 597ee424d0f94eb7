//! Every entry of the database, in order.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use countersign_store::rusqlite::Connection;

use super::Report;
use super::fault::{Collector, Fault};
use crate::entry::{Entry, GENESIS};
use crate::{Digest, Event};

/// Reads all entries; gives back the root at each of `sizes` that the database reaches.
pub(super) fn verify(
    connection: &Connection,
    sizes: BTreeSet<u64>,
    report: &mut Report,
    faults: &mut Collector,
) -> BTreeMap<u64, Digest> {
    let mut chain = Chain {
        sizes,
        roots: BTreeMap::new(),
        expected: 0,
        head: GENESIS,
        before: None,
        attempts: HashMap::new(),
        report,
        faults,
    };
    chain.note_root();
    for result in [check_structure(connection), chain.read(connection)] {
        if let Err(problem) = result {
            chain.faults.add(Fault::Structure { problem });
        }
    }
    chain.finish()
}

/// SQLite's own check finds an index that hides entries from a search.
fn check_structure(connection: &Connection) -> Result<(), String> {
    let said = |error: countersign_store::rusqlite::Error| error.to_string();
    let tables: i64 = connection
        .query_row(
            "SELECT count(*) FROM sqlite_schema WHERE name = 'ledger' AND type = 'table'",
            [],
            |row| row.get(0),
        )
        .map_err(said)?;
    if tables != 1 {
        return Err("it has no table `ledger`".into());
    }
    let result: String =
        connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(said)?;
    if result == "ok" { Ok(()) } else { Err(result) }
}

struct Chain<'a> {
    sizes: BTreeSet<u64>,
    roots: BTreeMap<u64, Digest>,
    /// Index that comes next.
    expected: u64,
    /// Hash of the entry before.
    head: Digest,
    /// Time of the entry before.
    before: Option<u64>,
    /// Signed attempts: where, and whether the outcome is known.
    attempts: HashMap<(Digest, u32), (u64, bool)>,
    report: &'a mut Report,
    faults: &'a mut Collector,
}

impl Chain<'_> {
    fn read(&mut self, connection: &Connection) -> Result<(), String> {
        let sql = format!("SELECT {} FROM ledger NOT INDEXED ORDER BY idx", Entry::columns());
        let mut statement = connection.prepare(&sql).map_err(|error| error.to_string())?;
        let mut rows = statement.query([]).map_err(|error| error.to_string())?;
        while let Some(row) = rows.next().map_err(|error| error.to_string())? {
            match Entry::from_row(row) {
                Ok(entry) => self.entry(&entry),
                Err(error) => {
                    let (index, problem) = (error.index, error.problem);
                    self.faults.add(Fault::Malformed { index, problem });
                    self.report.entries += 1;
                    self.expected = index.saturating_add(1);
                }
            }
        }
        Ok(())
    }

    fn entry(&mut self, entry: &Entry) {
        let index = entry.index;
        if index > self.expected {
            self.faults.add(Fault::Missing { from: self.expected, to: index - 1 });
        }
        if entry.previous != self.head {
            let (named, found) = (entry.previous, self.head);
            self.faults.add(Fault::Unlinked { index, named, found });
        }
        if let Err(error) = entry.check_hash() {
            self.faults.add(Fault::Rewritten { index, problem: error.problem });
        }
        if let Err(problem) = entry.check_form() {
            self.faults.add(Fault::Malformed { index, problem });
        }
        self.meaning(entry);
        self.report.entries += 1;
        self.report.lab += u64::from(entry.lab);
        *self.report.kinds.entry(entry.kind.clone()).or_default() += 1;
        self.expected = index.saturating_add(1);
        self.head = entry.hash;
        self.before = Some(entry.time);
        self.note_root();
    }

    fn meaning(&mut self, entry: &Entry) {
        let event = entry.event().ok();
        if let Some(before) = self.before
            && entry.time < before
            && !event.as_ref().is_some_and(Event::sets_clock_back)
        {
            let (index, time) = (entry.index, entry.time);
            self.faults.add(Fault::TimeBackwards { index, time, before });
        }
        let first = self.report.times.map_or(entry.time, |(first, _)| first);
        self.report.times = Some((first, entry.time));
        match event {
            Some(Event::Signed(body)) => {
                let attempt = (body.enrolment, body.attempt);
                if let Some((first, _)) = self.attempts.get(&attempt) {
                    self.faults.add(Fault::SignedTwice {
                        index: entry.index,
                        first: *first,
                        enrolment: body.enrolment,
                        attempt: body.attempt,
                    });
                } else {
                    self.attempts.insert(attempt, (entry.index, false));
                }
            }
            Some(Event::Outcome(body)) => {
                if let Some((_, settled)) = self.attempts.get_mut(&(body.enrolment, body.attempt)) {
                    *settled = true;
                }
            }
            Some(Event::Gap(gap)) => self.report.gaps.push((entry.index, gap)),
            _ => {}
        }
    }

    fn note_root(&mut self) {
        if self.sizes.contains(&self.expected) {
            self.roots.insert(self.expected, self.head);
        }
    }

    fn finish(self) -> BTreeMap<u64, Digest> {
        self.report.head = self.head;
        let unsettled = self.attempts.values().filter(|(_, settled)| !settled).count();
        self.report.unsettled = unsettled as u64;
        self.roots
    }
}

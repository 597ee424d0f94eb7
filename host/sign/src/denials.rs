//! Refusals that strangers can provoke: written one by one up to a cap, then only counted, so
//! that nobody can fill the ledger (and its disk) from outside.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use countersign_config::DenialCaps;
use countersign_ledger::{DenialExcess, Station};

/// Length of a window, seconds: what the caps are for.
const HOUR: u64 = 3600;

/// Sources that are told apart; the rest is counted as one.
const MOST_SOURCES: usize = 4096;

/// Stands in the ledger for sources that were not told apart.
const OTHERS: &str = "(others)";

/// The counters. In memory only: a restart begins a new window.
#[derive(Debug)]
pub(crate) struct Denials {
    caps: BTreeMap<String, DenialCaps>,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    sources: HashMap<Key, Window>,
    profiles: HashMap<String, Window>,
    /// Of windows that ended, not yet in the ledger.
    ended: Vec<DenialExcess>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    by: &'static str,
    profile: String,
    source: String,
}

#[derive(Debug, Default)]
struct Window {
    start: u64,
    written: u32,
    excess: Option<Excess>,
}

#[derive(Debug)]
struct Excess {
    by: Station,
    count: u64,
    since: u64,
    until: u64,
}

impl Denials {
    /// Counters with the caps of each profile; a profile that is not there has the default caps.
    pub(crate) fn new(caps: BTreeMap<String, DenialCaps>) -> Self {
        Self { caps, counts: Mutex::default() }
    }

    /// Whether this refusal is written by itself. Counted in any case.
    pub(crate) fn admit(&self, by: Station, profile: &str, source: &str, now: u64) -> bool {
        // Names that are in no config share one counter, or naming would be a way around it.
        let (profile, caps) = match self.caps.get_key_value(profile) {
            Some((profile, caps)) => (profile.as_str(), caps.clone()),
            None => ("", DenialCaps::default()),
        };
        let mut counts = self.lock();
        let Counts { sources, profiles, ended } = &mut *counts;
        let whole = profiles.entry(profile.to_owned()).or_default();
        if now >= whole.start.saturating_add(HOUR) {
            *whole = Window { start: now, ..Window::default() };
        }
        let mut key = Key { by: word(by), profile: profile.to_owned(), source: source.to_owned() };
        let profile_is_full = whole.written >= caps.per_profile_per_hour;
        if profile_is_full || (sources.len() >= MOST_SOURCES && !sources.contains_key(&key)) {
            key.source = OTHERS.to_owned();
        }
        let window = sources.entry(key.clone()).or_default();
        if now >= window.start.saturating_add(HOUR) {
            let before = std::mem::replace(window, Window { start: now, ..Window::default() });
            ended.extend(before.into_entry(&key));
        }
        if !profile_is_full && window.written < caps.per_source_per_hour {
            window.written += 1;
            whole.written += 1;
            return true;
        }
        let excess = window.excess.get_or_insert(Excess { by, count: 0, since: now, until: now });
        excess.count += 1;
        excess.until = now.max(excess.since);
        false
    }

    /// Counted entries of windows that have ended; the caller writes them.
    pub(crate) fn ended(&self, now: u64) -> Vec<DenialExcess> {
        self.collect(|window| now >= window.start.saturating_add(HOUR))
    }

    /// Counted entries of all windows: the process stops.
    pub(crate) fn all(&self) -> Vec<DenialExcess> {
        self.collect(|_| true)
    }

    /// Takes back entries that could not be written.
    pub(crate) fn restore(&self, entries: Vec<DenialExcess>) {
        self.lock().ended.extend(entries);
    }

    fn collect(&self, is_over: impl Fn(&Window) -> bool) -> Vec<DenialExcess> {
        let mut counts = self.lock();
        let Counts { sources, ended, .. } = &mut *counts;
        for (key, window) in sources.extract_if(|_, window| is_over(window)) {
            ended.extend(window.into_entry(&key));
        }
        std::mem::take(ended)
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    fn into_entry(self, key: &Key) -> Option<DenialExcess> {
        self.excess.map(|excess| DenialExcess {
            by: excess.by,
            profile: key.profile.as_str().into(),
            source: key.source.as_str().into(),
            count: excess.count,
            since: excess.since,
            until: excess.until,
        })
    }
}

fn word(station: Station) -> &'static str {
    match station {
        Station::Admit => "admit",
        Station::Verify => "verify",
        Station::Sign => "sign",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denials(per_source: u32, per_profile: u32) -> Denials {
        let caps =
            DenialCaps { per_source_per_hour: per_source, per_profile_per_hour: per_profile };
        Denials::new(BTreeMap::from([("device".to_owned(), caps)]))
    }

    fn admit(denials: &Denials, source: &str, now: u64) -> bool {
        denials.admit(Station::Verify, "device", source, now)
    }

    #[test]
    fn beyond_the_cap_of_a_source_the_rest_becomes_one_counted_entry() {
        let denials = denials(2, 100);
        let written = (0..10).filter(|second| admit(&denials, "192.0.2.1", 5000 + second)).count();
        assert_eq!(written, 2);
        assert!(admit(&denials, "192.0.2.2", 5000), "another source has its own cap");
        assert!(denials.ended(5000 + HOUR - 1).is_empty());
        let ended = denials.ended(5000 + HOUR);
        assert_eq!(ended.len(), 1);
        assert_eq!(
            (ended[0].count, ended[0].since, ended[0].until, &*ended[0].source),
            (8, 5002, 5009, "192.0.2.1")
        );
        assert!(denials.all().is_empty(), "it is told once");
    }

    #[test]
    fn a_new_window_writes_again_and_tells_of_the_old_one() {
        let denials = denials(1, 100);
        assert!(admit(&denials, "a", 5000));
        assert!(!admit(&denials, "a", 5001));
        assert!(admit(&denials, "a", 5000 + HOUR));
        assert_eq!(denials.all().iter().map(|excess| excess.count).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn many_sources_cannot_get_around_the_cap_of_the_profile() {
        let denials = denials(5, 10);
        let written =
            (0..100).filter(|number| admit(&denials, &format!("2001:db8::{number}"), 5000)).count();
        assert_eq!(written, 10);
        let told = denials.all();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!((told[0].count, &*told[0].source), (90, OTHERS));
    }

    #[test]
    fn profiles_that_do_not_exist_share_one_counter() {
        let denials = denials(5, 10);
        let written = (0..100)
            .filter(|number| denials.admit(Station::Admit, &format!("p{number}"), "a", 5000))
            .count();
        assert_eq!(written, DenialCaps::default().per_source_per_hour as usize);
    }

    #[test]
    fn what_could_not_be_written_is_not_lost() {
        let denials = denials(1, 100);
        for second in 5000..5003 {
            admit(&denials, "a", second);
        }
        let taken = denials.all();
        denials.restore(taken.clone());
        assert_eq!(denials.ended(5003), taken);
    }
}

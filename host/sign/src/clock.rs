//! The one clock of the process, and the highest time it has said.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use countersign_ledger::CLOCK_TOLERANCE;

/// Seconds since 1970 UTC, by the system or by a test. Copies share what they have seen.
#[derive(Clone)]
pub struct Clock {
    source: Arc<dyn Fn() -> u64 + Send + Sync>,
    highest: Arc<AtomicU64>,
}

/// The clock went back (threat T36): what has expired would be good again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WentBack {
    /// The highest time seen.
    pub(crate) last: u64,
    /// What the clock says.
    pub(crate) now: u64,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::by(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }

    /// A clock that says what `now` says: for tests of expiry and of clocks that go wrong.
    #[must_use]
    pub fn by(now: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self { source: Arc::new(now), highest: Arc::default() }
    }

    pub(crate) fn now(&self) -> u64 {
        let now = (self.source)();
        self.highest.fetch_max(now, Ordering::Relaxed);
        now
    }

    pub(crate) fn system_time(&self) -> SystemTime {
        UNIX_EPOCH + std::time::Duration::from_secs(self.now())
    }

    /// Whether the clock is behind what it said before, or behind `durable`, which an earlier run
    /// wrote down. A few seconds are time synchronisation's.
    pub(crate) fn went_back(&self, durable: u64) -> Option<WentBack> {
        let now = self.now();
        let last = self.highest.load(Ordering::Relaxed).max(durable);
        (now.saturating_add(CLOCK_TOLERANCE) < last).then_some(WentBack { last, now })
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_behind_what_it_said_and_what_an_earlier_run_wrote() {
        let time = Arc::new(AtomicU64::new(1000));
        let source = Arc::clone(&time);
        let clock = Clock::by(move || source.load(Ordering::Relaxed));
        assert_eq!(clock.went_back(0), None);
        assert_eq!(clock.went_back(1000 + CLOCK_TOLERANCE), None);
        assert!(clock.went_back(1001 + CLOCK_TOLERANCE).is_some());
        time.store(2000, Ordering::Relaxed);
        assert_eq!(clock.clone().went_back(0), None);
        time.store(1990, Ordering::Relaxed);
        assert_eq!(clock.went_back(0), Some(WentBack { last: 2000, now: 1990 }));
        time.store(1995, Ordering::Relaxed);
        assert_eq!(clock.went_back(0), None);
    }
}

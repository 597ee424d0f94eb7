//! The rate fuse: so many signatures in a minute, an hour and a day, whatever is approved.
//!
//! It counts what is durable (a restart does not reset it) and what is being signed now (a burst
//! does not overshoot it), on the clock that never goes back (setting the host's clock does not
//! reset it either).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use countersign_config::FuseSettings;

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;
/// The longest window; what is older counts no more.
pub(crate) const DAY: u64 = 86_400;

/// The fuse. Copies share it.
#[derive(Debug, Clone)]
pub(crate) struct Fuse {
    started: Instant,
    windows: Arc<Mutex<Windows>>,
}

/// A place under the fuse, taken before a signature is made. Given back when dropped, unless the
/// signature became durable.
#[derive(Debug)]
pub(crate) struct Place {
    fuse: Fuse,
    number: Option<u64>,
}

/// The fuse does not let another signature through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the fuse has blown: {limit} signatures per {window}; it holds for another {retry_after} s. \
     If the load is honest, raise `sign.fuse.per-{window}`; if not, find out who approves so much"
)]
pub(crate) struct Blown {
    /// `minute`, `hour` or `day`.
    pub(crate) window: &'static str,
    /// Signatures allowed in it.
    pub(crate) limit: u32,
    /// Seconds until the oldest signature leaves the window.
    pub(crate) retry_after: u32,
    /// True the first time in a window: the ledger is told once.
    pub(crate) first: bool,
}

/// How full one window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Fill {
    pub(crate) window: &'static str,
    pub(crate) used: u64,
    pub(crate) limit: u32,
}

impl Fill {
    /// Whether another signature would be held back.
    pub(crate) fn is_full(&self) -> bool {
        self.used >= u64::from(self.limit)
    }
}

impl Fuse {
    /// A fuse that has already let `signed_at` through (seconds since 1970 UTC).
    pub(crate) fn new(
        settings: &FuseSettings,
        signed_at: impl IntoIterator<Item = u64>,
        now: u64,
    ) -> Self {
        // The first second of this process is one day after zero, so that all that counts fits.
        let mut before: Vec<u64> = signed_at
            .into_iter()
            .map(|time| DAY.saturating_sub(now.saturating_sub(time)))
            .collect();
        before.sort_unstable();
        Self {
            started: Instant::now(),
            windows: Arc::new(Mutex::new(Windows::new(settings, before))),
        }
    }

    /// Takes a place.
    ///
    /// # Errors
    /// [`Blown`], for the longest window that is full.
    pub(crate) fn take(&self) -> Result<Place, Blown> {
        let second = self.second();
        let number = self.lock().take(second)?;
        Ok(Place { fuse: self.clone(), number: Some(number) })
    }

    /// How full each window is.
    pub(crate) fn fill(&self) -> [Fill; 3] {
        let second = self.second();
        self.lock().fill(second)
    }

    fn second(&self) -> u64 {
        DAY + self.started.elapsed().as_secs()
    }

    fn lock(&self) -> MutexGuard<'_, Windows> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The signature is durable: it counts from now on.
    pub(crate) fn keep(mut self) {
        self.number = None;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.fuse.lock().give_back(number);
        }
    }
}

#[derive(Debug)]
struct Windows {
    /// Second and number of each signature of the last day, oldest first.
    taken: VecDeque<(u64, u64)>,
    next: u64,
    windows: [Window; 3],
}

#[derive(Debug)]
struct Window {
    name: &'static str,
    seconds: u64,
    limit: u32,
    alarmed_at: Option<u64>,
}

impl Windows {
    fn new(settings: &FuseSettings, before: Vec<u64>) -> Self {
        let window = |name, seconds, limit| Window { name, seconds, limit, alarmed_at: None };
        Self {
            next: before.len() as u64,
            taken: before.into_iter().zip(0..).collect(),
            windows: [
                window("day", DAY, settings.per_day),
                window("hour", HOUR, settings.per_hour),
                window("minute", MINUTE, settings.per_minute),
            ],
        }
    }

    fn take(&mut self, second: u64) -> Result<u64, Blown> {
        while self.taken.front().is_some_and(|(time, _)| time + DAY <= second) {
            self.taken.pop_front();
        }
        for window in &mut self.windows {
            let start = self.taken.partition_point(|(time, _)| time + window.seconds <= second);
            let used = self.taken.len() - start;
            let limit = usize::try_from(window.limit).unwrap_or(usize::MAX);
            if used >= limit {
                // When so many have left that one more fits.
                let leaves = self
                    .taken
                    .get(start + (used - limit))
                    .map_or(0, |(time, _)| (time + window.seconds).saturating_sub(second));
                let first = window.alarmed_at.is_none_or(|time| time + window.seconds <= second);
                if first {
                    window.alarmed_at = Some(second);
                }
                return Err(Blown {
                    window: window.name,
                    limit: window.limit,
                    retry_after: u32::try_from(leaves).unwrap_or(u32::MAX).max(1),
                    first,
                });
            }
        }
        let number = self.next;
        self.next += 1;
        self.taken.push_back((second, number));
        Ok(number)
    }

    fn give_back(&mut self, number: u64) {
        if let Some(index) = self.taken.iter().rposition(|(_, taken)| *taken == number) {
            self.taken.remove(index);
        }
    }

    fn fill(&self, second: u64) -> [Fill; 3] {
        self.windows.each_ref().map(|window| {
            let start = self.taken.partition_point(|(time, _)| time + window.seconds <= second);
            Fill {
                window: window.name,
                used: (self.taken.len() - start) as u64,
                limit: window.limit,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(per_minute: u32, per_hour: u32, per_day: u32) -> FuseSettings {
        FuseSettings { per_minute, per_hour, per_day }
    }

    fn windows(per_minute: u32, per_hour: u32, per_day: u32) -> Windows {
        Windows::new(&settings(per_minute, per_hour, per_day), Vec::new())
    }

    #[test]
    fn a_full_minute_lets_nothing_through_until_its_oldest_has_left() {
        let mut windows = windows(2, 100, 100);
        windows.take(1000).unwrap();
        windows.take(1010).unwrap();
        let blown = windows.take(1020).unwrap_err();
        assert_eq!((blown.window, blown.limit, blown.retry_after), ("minute", 2, 40));
        assert!(windows.take(1059).is_err());
        windows.take(1060).unwrap();
        assert!(windows.take(1060).is_err());
    }

    #[test]
    fn the_alarm_is_raised_once_in_a_window() {
        let mut windows = windows(1, 100, 100);
        windows.take(1000).unwrap();
        assert!(windows.take(1000).unwrap_err().first);
        assert!(!windows.take(1030).unwrap_err().first);
        windows.take(1060).unwrap();
        assert!(windows.take(1061).unwrap_err().first);
    }

    #[test]
    fn hour_and_day_count_across_minutes() {
        let mut windows = windows(10, 3, 5);
        for second in [0, 100, 200] {
            windows.take(second).unwrap();
        }
        assert_eq!(windows.take(300).unwrap_err().window, "hour");
        windows.take(3600).unwrap();
        windows.take(3700).unwrap();
        let blown = windows.take(7300).unwrap_err();
        assert_eq!((blown.window, blown.retry_after), ("day", 86_400 - 7300));
        windows.take(86_400).unwrap();
    }

    #[test]
    fn a_place_is_given_back_unless_it_was_kept() {
        let fuse = Fuse::new(&settings(1, 10, 10), [], 0);
        drop(fuse.take().unwrap());
        fuse.take().unwrap().keep();
        assert!(fuse.take().is_err());
        assert_eq!(fuse.fill()[2], Fill { window: "minute", used: 1, limit: 1 });
    }

    #[test]
    fn what_was_signed_before_a_restart_counts() {
        let now = 1_900_000_000;
        let fuse = Fuse::new(&settings(2, 10, 10), [now - 10, now - 70, now - 90_000], now);
        assert_eq!(fuse.fill().map(|fill| fill.used), [2, 2, 1]);
        fuse.take().unwrap().keep();
        assert_eq!(fuse.take().unwrap_err().window, "minute");
    }

    #[test]
    fn many_at_once_do_not_overshoot() {
        let fuse = Fuse::new(&settings(8, 100, 100), [], 0);
        let threads: Vec<_> = (0..32)
            .map(|_| {
                let fuse = fuse.clone();
                std::thread::spawn(move || fuse.take().map(Place::keep).is_ok())
            })
            .collect();
        let through = threads.into_iter().map(|thread| thread.join().unwrap());
        assert_eq!(through.filter(|through| *through).count(), 8);
    }
}

//! Failed log-ins, counted by source: after a few it must wait, each time twice as long. Nothing is
//! hashed meanwhile.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Failures older than this are forgotten.
const FORGET: Duration = Duration::from_secs(15 * 60);

/// The first wait; each further one is twice as long.
const FIRST: Duration = Duration::from_secs(5);

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(300);

/// Sources that are told apart; the rest share one count.
const MOST_SOURCES: usize = 4096;

/// The counts. In memory only: a restart forgives.
#[derive(Debug)]
pub(super) struct Throttle {
    free: u32,
    sources: Mutex<HashMap<Option<IpAddr>, Failures>>,
}

#[derive(Debug)]
struct Failures {
    count: u32,
    last: Instant,
    blocked_until: Instant,
}

impl Throttle {
    /// So many failures are free.
    pub(super) fn new(free: u32) -> Self {
        Self { free, sources: Mutex::default() }
    }

    /// How long a source must wait before its next log-in is looked at.
    pub(super) fn wait(&self, source: IpAddr, now: Instant) -> Option<Duration> {
        let sources = self.lock();
        let key = key_in(&sources, source);
        let left = sources.get(&key)?.blocked_until.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// Counts a failure and says how many that makes.
    pub(super) fn failed(&self, source: IpAddr, now: Instant) -> u32 {
        let mut sources = self.lock();
        if sources.len() >= MOST_SOURCES {
            sources.retain(|_, failures| now.saturating_duration_since(failures.last) < FORGET);
        }
        let key = key_in(&sources, source);
        let failures =
            sources.entry(key).or_insert(Failures { count: 0, last: now, blocked_until: now });
        if now.saturating_duration_since(failures.last) >= FORGET {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
        if let Some(over) = failures.count.checked_sub(self.free) {
            let wait = FIRST.saturating_mul(1 << over.min(16)).min(LONGEST);
            failures.blocked_until = now + wait;
        }
        failures.count
    }

    /// Whether a count of failures is one to raise an alarm at: the first that makes a source wait,
    /// then each doubling.
    pub(super) fn is_alarming(&self, count: u32) -> bool {
        count >= self.free
            && (count / self.free).is_power_of_two()
            && count.is_multiple_of(self.free)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Option<IpAddr>, Failures>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One network of IPv6 is one source: its addresses are free.
fn key_in(sources: &HashMap<Option<IpAddr>, Failures>, source: IpAddr) -> Option<IpAddr> {
    let source = match source.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    };
    (sources.len() < MOST_SOURCES || sources.contains_key(&Some(source))).then_some(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "192.0.2.1";

    fn fail(throttle: &Throttle, source: &str, times: u32, now: Instant) {
        for _ in 0..times {
            throttle.failed(source.parse().unwrap(), now);
        }
    }

    fn wait(throttle: &Throttle, source: &str, now: Instant) -> Option<u64> {
        throttle.wait(source.parse().unwrap(), now).map(|wait| wait.as_secs())
    }

    #[test]
    fn each_failure_beyond_the_free_ones_doubles_the_wait() {
        let (throttle, now) = (Throttle::new(3), Instant::now());
        fail(&throttle, A, 2, now);
        assert_eq!(wait(&throttle, A, now), None);
        let mut waits = Vec::new();
        for _ in 0..8 {
            fail(&throttle, A, 1, now);
            waits.push(wait(&throttle, A, now).unwrap());
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(wait(&throttle, A, now + LONGEST), None);
        assert_eq!(wait(&throttle, "192.0.2.2", now), None, "others do not wait");
    }

    #[test]
    fn failures_are_forgotten_after_a_while() {
        let (throttle, now) = (Throttle::new(3), Instant::now());
        fail(&throttle, A, 8, now);
        fail(&throttle, A, 1, now + FORGET);
        assert_eq!(wait(&throttle, A, now + FORGET), None);
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_source() {
        let (throttle, now) = (Throttle::new(1), Instant::now());
        fail(&throttle, "2001:db8::1", 1, now);
        assert!(wait(&throttle, "2001:db8::ffff:2", now).is_some());
        assert!(wait(&throttle, "2001:db8:0:1::1", now).is_none());
        fail(&throttle, A, 1, now);
        assert!(wait(&throttle, "::ffff:192.0.2.1", now).is_some());
    }

    #[test]
    fn more_sources_than_are_told_apart_share_one_count() {
        let (throttle, now) = (Throttle::new(1), Instant::now());
        for number in 0..=u32::try_from(MOST_SOURCES).unwrap() {
            throttle.failed(IpAddr::V4((0x0a00_0000 + number).into()), now);
        }
        assert!(throttle.lock().len() <= MOST_SOURCES + 1);
        assert!(wait(&throttle, "192.0.2.99", now).is_some());
    }

    #[test]
    fn alarms_come_at_the_first_wait_and_at_each_doubling() {
        let throttle = Throttle::new(5);
        let alarms: Vec<u32> = (0..=40).filter(|count| throttle.is_alarming(*count)).collect();
        assert_eq!(alarms, [5, 10, 20, 40]);
    }
}

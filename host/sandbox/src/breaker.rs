//! Stops asking a plug-in that only fails, so that it does not hold up every device until its
//! time-out.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// When to stop asking, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerSettings {
    /// So many failed calls in a row stop the asking. Not few: strangers choose what is asked.
    pub failures: u32,
    /// For so long; then one call is tried.
    pub pause: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self { failures: 20, pause: Duration::from_secs(5) }
    }
}

/// One per plug-in.
#[derive(Debug)]
pub(crate) struct Breaker {
    settings: BreakerSettings,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    Trying { since: Instant },
}

impl Breaker {
    pub(crate) fn new(settings: BreakerSettings) -> Self {
        Self { settings, state: Mutex::new(State::Closed { failures: 0 }) }
    }

    /// Whether to ask now; if not, how long to wait.
    pub(crate) fn admit(&self, now: Instant) -> Result<(), Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match *state {
            State::Closed { .. } => Ok(()),
            State::Open { until } if now < until => Err(until - now),
            State::Open { .. } => {
                *state = State::Trying { since: now };
                Ok(())
            }
            // The one on trial may have been given up by its caller: do not wait for it for ever.
            State::Trying { since } if now < since + self.settings.pause => {
                Err(since + self.settings.pause - now)
            }
            State::Trying { .. } => {
                *state = State::Trying { since: now };
                Ok(())
            }
        }
    }

    /// The plug-in answered, whatever it said.
    pub(crate) fn answered(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::Closed { failures: 0 };
    }

    /// The plug-in failed.
    pub(crate) fn failed(&self, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = match *state {
            State::Closed { failures } => failures.saturating_add(1),
            State::Open { .. } | State::Trying { .. } => self.settings.failures,
        };
        *state = if failures >= self.settings.failures.max(1) {
            State::Open { until: now + self.settings.pause }
        } else {
            State::Closed { failures }
        };
    }

    /// Whether it is stopping calls now: for readiness and metrics.
    pub(crate) fn is_open(&self, now: Instant) -> bool {
        match *self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Closed { .. } => false,
            State::Open { until } => now < until,
            State::Trying { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> (Breaker, Instant) {
        let settings = BreakerSettings { failures: 3, pause: Duration::from_secs(5) };
        (Breaker::new(settings), Instant::now())
    }

    #[test]
    fn opens_after_failures_in_a_row_and_not_before() {
        let (breaker, now) = breaker();
        breaker.failed(now);
        breaker.failed(now);
        breaker.answered();
        breaker.failed(now);
        breaker.failed(now);
        assert!(breaker.admit(now).is_ok());
        breaker.failed(now);
        assert_eq!(breaker.admit(now), Err(Duration::from_secs(5)));
        assert!(breaker.is_open(now));
    }

    #[test]
    fn tries_one_call_after_the_pause_and_closes_when_it_is_answered() {
        let (breaker, now) = breaker();
        for _ in 0..3 {
            breaker.failed(now);
        }
        let later = now + Duration::from_secs(5);
        assert!(breaker.admit(later).is_ok());
        assert!(breaker.admit(later).is_err(), "only one on trial");
        breaker.answered();
        assert!(breaker.admit(later).is_ok());
        assert!(breaker.admit(later).is_ok());
    }

    #[test]
    fn opens_again_when_the_call_on_trial_fails() {
        let (breaker, now) = breaker();
        for _ in 0..3 {
            breaker.failed(now);
        }
        let later = now + Duration::from_secs(5);
        assert!(breaker.admit(later).is_ok());
        breaker.failed(later);
        assert!(breaker.admit(later + Duration::from_secs(4)).is_err());
    }
}

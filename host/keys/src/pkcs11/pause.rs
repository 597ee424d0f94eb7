//! Pauses between vain attempts, each twice as long as the one before.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The pause after the first attempt.
const FIRST: Duration = Duration::from_millis(100);

/// How long what failed is let alone.
#[derive(Default)]
pub(super) struct Pause {
    /// The last pause and its end; none while all is well.
    last: Mutex<Option<(Duration, Instant)>>,
}

impl Pause {
    /// The right to one attempt, or how much of the pause is left. Until
    /// [`is_over`](Self::is_over) the next pause is twice as long, and at most `longest`.
    pub(super) fn attempt(&self, longest: Duration) -> Result<(), Duration> {
        let now = Instant::now();
        let mut last = self.last.lock();
        let next = match *last {
            Some((_, end)) if now < end => return Err(end.duration_since(now)),
            Some((pause, _)) => (pause * 2).min(longest),
            None => FIRST,
        };
        *last = Some((next, now + next));
        Ok(())
    }

    /// It worked: the next failure is met without a pause.
    pub(super) fn is_over(&self) {
        *self.last.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pause_is_twice_the_one_before_up_to_the_longest() {
        let pause = Pause::default();
        let longest = Duration::from_millis(250);
        for expected in [100, 200, 250, 250] {
            pause.attempt(longest).unwrap();
            let rest = pause.attempt(longest).unwrap_err();
            assert!(rest <= Duration::from_millis(expected), "{rest:?}");
            assert!(rest > Duration::from_millis(expected - 50), "{rest:?}");
            std::thread::sleep(rest);
        }
        pause.is_over();
        pause.attempt(longest).unwrap();
        assert!(pause.attempt(longest).unwrap_err() <= FIRST);
    }
}

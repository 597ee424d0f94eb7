//! Notices that are being told: the outbox and a request that waits for one do not tell it both.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Their numbers.
#[derive(Debug, Default)]
pub(crate) struct InHand(Mutex<HashSet<i64>>);

/// A notice in hand; free again when this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    all: Arc<InHand>,
    number: i64,
}

impl InHand {
    /// Takes one, if nobody has it.
    pub(super) fn take(self: &Arc<Self>, number: i64) -> Option<Held> {
        let is_free = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(number);
        is_free.then(|| Held { all: Arc::clone(self), number })
    }

    /// Whether somebody has it.
    pub(super) fn holds(&self, number: i64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&number)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_one_hand_is_in_no_other_until_it_is_put_down() {
        let all = Arc::new(InHand::default());
        let held = all.take(7).unwrap();
        assert!(all.take(7).is_none());
        assert!(all.take(8).is_some());
        assert!(all.holds(7));
        drop(held);
        assert!(!all.holds(7));
        assert!(all.take(7).is_some());
    }
}

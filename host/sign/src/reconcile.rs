//! Uses of the EA key against the ledger (checklist row 4, invariant I2): each use is a `signed`
//! entry, or is known to have been thrown away. Anything else means that the key is used, or the
//! ledger written, by somebody else: signing stops.
//!
//! Only what this process did since it started is counted. A use that a crash kept from the ledger
//! is not known to anybody but the token.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use countersign_config::{Finding, Severity};

/// The counters.
#[derive(Debug)]
pub(crate) struct Reconciliation {
    begun: AtomicU64,
    kept: AtomicU64,
    thrown_away: AtomicU64,
    /// Of those, not yet told to the ledger.
    untold: AtomicU64,
    ledger: Mutex<Counted>,
}

/// What was counted in the ledger so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Entries before this index were looked at.
    pub(crate) next: u64,
    /// `signed` entries among them, since this process started.
    pub(crate) signed: u64,
}

/// The counts do not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Drift {
    pub(crate) ledger: u64,
    pub(crate) at_least: u64,
    pub(crate) at_most: u64,
}

impl Reconciliation {
    /// For a ledger of `size` entries.
    pub(crate) fn from(size: u64) -> Self {
        Self {
            begun: AtomicU64::new(0),
            kept: AtomicU64::new(0),
            thrown_away: AtomicU64::new(0),
            untold: AtomicU64::new(0),
            ledger: Mutex::new(Counted { next: size, signed: 0 }),
        }
    }

    /// The EA key is about to be used.
    pub(crate) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::SeqCst);
    }

    /// The signature is in the ledger.
    pub(crate) fn kept(&self) {
        self.kept.fetch_add(1, Ordering::SeqCst);
    }

    /// No signature came of it.
    pub(crate) fn nothing_came(&self) {
        self.thrown_away.fetch_add(1, Ordering::SeqCst);
    }

    /// A signature was made and thrown away; the ledger is to be told.
    pub(crate) fn thrown_away(&self) {
        self.thrown_away.fetch_add(1, Ordering::SeqCst);
        self.untold.fetch_add(1, Ordering::SeqCst);
    }

    /// How many signatures were thrown away that the ledger does not know of; the caller tells it.
    pub(crate) fn take_untold(&self) -> u64 {
        self.untold.swap(0, Ordering::SeqCst)
    }

    /// Telling did not succeed.
    pub(crate) fn give_back_untold(&self, count: u64) {
        self.untold.fetch_add(count, Ordering::SeqCst);
    }

    /// Where the ledger is to be counted on from; before it is read.
    pub(crate) fn before(&self) -> (Counted, u64, u64) {
        let counted = *self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        (counted, self.kept.load(Ordering::SeqCst), self.thrown_away.load(Ordering::SeqCst))
    }

    /// Judges what was counted after [`Reconciliation::before`]. Between the two, signatures come
    /// and go, so it is a range: exact as soon as nothing is in flight.
    pub(crate) fn judge(
        &self,
        (before, kept, thrown_away): (Counted, u64, u64),
        next: u64,
        more: u64,
    ) -> Result<(), Drift> {
        let signed = before.signed + more;
        let at_most = self.begun.load(Ordering::SeqCst).saturating_sub(thrown_away);
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        if ledger.next < next {
            *ledger = Counted { next, signed };
        }
        if (kept..=at_most).contains(&signed) {
            Ok(())
        } else {
            Err(Drift { ledger: signed, at_least: kept, at_most })
        }
    }
}

impl Drift {
    /// For status and log.
    pub(crate) fn finding(&self) -> Finding {
        Finding {
            row: Some(4),
            severity: Severity::Critical,
            id: "ea-use-drift",
            message: format!(
                "since its start this process used the EA key for {} to {} signatures, the ledger \
                 has {}: the key or the ledger is used by somebody else",
                self.at_least, self.at_most, self.ledger
            ),
            remedy:
                "nothing is signed any more; keep copies of sign.db and of the checkpoints, run \
                     `countersign ledger verify`, compare with the token's own log and with what \
                     the CA issued, then restart sign"
                    .into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_use_is_an_entry_or_was_thrown_away() {
        let counts = Reconciliation::from(7);
        for _ in 0..3 {
            counts.begin();
        }
        counts.kept();
        counts.thrown_away();
        // One is in flight: it may be in the ledger or not.
        for more in [1, 2] {
            assert_eq!(Reconciliation::from(7).judge((COUNTED, 0, 0), 8, 0), Ok(()));
            let before = (COUNTED, 1, 1);
            assert_eq!(counts.judge(before, 7, more), Ok(()), "{more}");
        }
        assert!(counts.judge((COUNTED, 1, 1), 7, 0).is_err(), "an entry is gone");
        assert!(counts.judge((COUNTED, 1, 1), 7, 3).is_err(), "an entry of nobody's");
        assert_eq!(counts.take_untold(), 1);
        assert_eq!(counts.take_untold(), 0);
    }

    const COUNTED: Counted = Counted { next: 7, signed: 0 };

    #[test]
    fn it_counts_on_from_where_it_was() {
        let counts = Reconciliation::from(7);
        counts.begin();
        counts.kept();
        assert_eq!(counts.judge(counts.before(), 9, 1), Ok(()));
        assert_eq!(counts.before().0, Counted { next: 9, signed: 1 });
        assert_eq!(counts.judge(counts.before(), 9, 0), Ok(()));
        assert!(counts.judge(counts.before(), 10, 1).is_err());
    }
}

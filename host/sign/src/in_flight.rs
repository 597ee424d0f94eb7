//! One enrolment at a time: the second request of an enrolment waits until the first is durable,
//! and then finds what it stored.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use countersign_ipc::EnrolmentId;
use tokio::sync::OwnedMutexGuard;

/// Entries that are forgotten lazily.
const TIDY_AT: usize = 1024;

/// Which enrolments are being worked on.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    locks: Mutex<HashMap<EnrolmentId, Weak<tokio::sync::Mutex<()>>>>,
}

impl InFlight {
    /// Waits until nobody else works on `enrolment`; nobody will while the guard lives.
    pub(crate) async fn hold(&self, enrolment: EnrolmentId) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            if locks.len() >= TIDY_AT {
                locks.retain(|_, lock| lock.strong_count() > 0);
            }
            match locks.get(&enrolment).and_then(Weak::upgrade) {
                Some(lock) => lock,
                None => {
                    let lock = Arc::new(tokio::sync::Mutex::new(()));
                    locks.insert(enrolment, Arc::downgrade(&lock));
                    lock
                }
            }
        };
        lock.lock_owned().await
    }
}

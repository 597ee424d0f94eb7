//! One task per enrolment: a device that repeats itself waits for its own first request instead of
//! racing it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use countersign_ipc::EnrolmentId;
use tokio::sync::OwnedMutexGuard;

/// Locks by enrolment; a lock that nobody holds or waits for takes no room.
#[derive(Debug, Default)]
pub(crate) struct OneAtATime {
    locks: Mutex<HashMap<EnrolmentId, Arc<tokio::sync::Mutex<()>>>>,
}

/// The turn of one task; ends when dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    all: &'a OneAtATime,
    id: EnrolmentId,
    guard: Option<OwnedMutexGuard<()>>,
}

impl OneAtATime {
    /// Waits for the turn.
    pub(crate) async fn turn(&self, id: EnrolmentId) -> Turn<'_> {
        let lock = Arc::clone(
            self.locks.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default(),
        );
        Turn { all: self, id, guard: Some(lock.lock_owned().await) }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut locks = self.all.locks.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.guard.take());
        // Taken out only under the map's own lock, so that nobody can begin to wait in between.
        if locks.get(&self.id).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            locks.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn one_enrolment_has_one_task_at_a_time_and_leaves_nothing_behind() {
        let all = Arc::new(OneAtATime::default());
        let inside = Arc::new(AtomicU32::new(0));
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let (all, inside) = (Arc::clone(&all), Arc::clone(&inside));
                tokio::spawn(async move {
                    let _turn = all.turn(EnrolmentId([7; 32])).await;
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    tokio::task::yield_now().await;
                    inside.fetch_sub(1, Ordering::SeqCst);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert!(all.locks.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn another_enrolment_does_not_wait() {
        let all = OneAtATime::default();
        let _one = all.turn(EnrolmentId([1; 32])).await;
        let _two = all.turn(EnrolmentId([2; 32])).await;
    }
}

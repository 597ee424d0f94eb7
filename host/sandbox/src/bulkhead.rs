//! Keeps one plug-in from taking all the room: so many calls at once, so many waiting.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How much of a plug-in runs and waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkheadSettings {
    /// Calls that run at the same time.
    pub concurrency: u32,
    /// Calls that wait for a place; the next one is told "busy" at once.
    pub queue: u32,
    /// How long one waits before it is told "busy".
    pub patience: Duration,
}

impl Default for BulkheadSettings {
    fn default() -> Self {
        Self { concurrency: 8, queue: 64, patience: Duration::from_secs(1) }
    }
}

/// One per plug-in.
#[derive(Debug)]
pub(crate) struct Bulkhead {
    places: Arc<Semaphore>,
    waiting: AtomicU32,
    settings: BulkheadSettings,
}

impl Bulkhead {
    pub(crate) fn new(settings: BulkheadSettings) -> Self {
        let places = usize::try_from(settings.concurrency.max(1)).unwrap_or(1);
        Self { places: Arc::new(Semaphore::new(places)), waiting: AtomicU32::new(0), settings }
    }

    /// A place, held until the permit is dropped; none if too many wait or it takes too long.
    pub(crate) async fn enter(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(permit);
        }
        let _place_in_queue = self.queue()?;
        let acquire = Arc::clone(&self.places).acquire_owned();
        tokio::time::timeout(self.settings.patience, acquire).await.ok()?.ok()
    }

    fn queue(&self) -> Option<QueuePlace<'_>> {
        let limit = self.settings.queue;
        self.waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
                (waiting < limit).then_some(waiting + 1)
            })
            .ok()
            .map(|_| QueuePlace(&self.waiting))
    }
}

struct QueuePlace<'a>(&'a AtomicU32);

impl Drop for QueuePlace<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn takes_as_many_as_there_are_places_then_queues_then_refuses() {
        let bulkhead = Arc::new(Bulkhead::new(BulkheadSettings {
            concurrency: 1,
            queue: 1,
            patience: Duration::from_secs(1),
        }));
        let running = bulkhead.enter().await.unwrap();
        let queued = tokio::spawn({
            let bulkhead = Arc::clone(&bulkhead);
            async move { bulkhead.enter().await.is_some() }
        });
        tokio::task::yield_now().await;
        assert!(bulkhead.enter().await.is_none(), "the queue is full");
        drop(running);
        assert!(queued.await.unwrap());
        assert_eq!(bulkhead.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn whoever_waits_too_long_is_refused() {
        let bulkhead = Bulkhead::new(BulkheadSettings {
            concurrency: 1,
            queue: 8,
            patience: Duration::from_millis(30),
        });
        let _running = bulkhead.enter().await.unwrap();
        assert!(bulkhead.enter().await.is_none());
        assert_eq!(bulkhead.waiting.load(Ordering::Relaxed), 0);
    }
}

//! Who is about to write: what the writer needs to know to tell whether waiting would gather more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many writes are announced and not done yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Announcements(Arc<AtomicUsize>);

/// A write that will come. Dropped, it is done or will not come.
#[derive(Debug)]
pub struct Announced(Announcements);

impl Announcements {
    pub(crate) fn one_more(&self) -> Announced {
        self.0.fetch_add(1, Ordering::Relaxed);
        Announced(self.clone())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

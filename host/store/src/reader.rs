//! A few connections that only read. Each read sees one snapshot, whatever is written meanwhile.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::job::panic_text;
use crate::{StoreError, connection};

pub(crate) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    places: Arc<Semaphore>,
    count: u32,
}

impl Readers {
    pub(crate) fn open(path: &Path, count: u32) -> Result<Self, StoreError> {
        let count = count.max(1);
        let idle = (0..count).map(|_| connection::open_reader(path)).collect::<Result<_, _>>()?;
        let places = Arc::new(Semaphore::new(count as usize));
        Ok(Self { path: path.into(), idle: Mutex::new(idle), places, count })
    }

    pub(crate) async fn place(&self, wait: Duration) -> Result<OwnedSemaphorePermit, StoreError> {
        match tokio::time::timeout(wait, Arc::clone(&self.places).acquire_owned()).await {
            Ok(place) => place.map_err(|_| StoreError::Closed),
            Err(_) => Err(StoreError::Busy { waited: wait }),
        }
    }

    pub(crate) fn place_now(&self) -> Result<Option<OwnedSemaphorePermit>, StoreError> {
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => Ok(Some(place)),
            Err(tokio::sync::TryAcquireError::NoPermits) => Ok(None),
            Err(tokio::sync::TryAcquireError::Closed) => Err(StoreError::Closed),
        }
    }

    /// Runs `work` on one of the connections, within one snapshot.
    pub(crate) fn run<T, E, F>(&self, place: OwnedSemaphorePermit, work: F) -> Result<T, E>
    where
        F: FnOnce(&Connection) -> Result<T, E>,
        E: From<StoreError>,
    {
        let connection = match self.idle().pop() {
            Some(connection) => connection,
            // The one before was lost to a panic or an error.
            None => connection::open_reader(&self.path)?,
        };
        statement(&connection, "BEGIN")?;
        let result = catch_unwind(AssertUnwindSafe(|| work(&connection))).unwrap_or_else(|panic| {
            tracing::error!(panic = panic_text(&*panic), "a database read panicked");
            Err(E::from(StoreError::JobPanicked))
        });
        if statement(&connection, "ROLLBACK").is_ok() && !self.places.is_closed() {
            self.idle().push(connection);
        }
        drop(place);
        result
    }

    /// Takes no more reads, waits for those under way, closes the connections.
    pub(crate) async fn close(&self) {
        // Fails only if already closed.
        let all = self.places.acquire_many(self.count).await;
        self.places.close();
        self.idle().clear();
        drop(all);
    }

    pub(crate) fn close_now(&self) {
        self.places.close();
        self.idle().clear();
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn statement(connection: &Connection, sql: &str) -> Result<(), StoreError> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

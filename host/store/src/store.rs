use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake};
use std::thread::{JoinHandle, Thread, ThreadId};
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::{SendTimeoutError, TrySendError};

use crate::announce::{Announced, Announcements};
use crate::job::{self, Message};
use crate::metrics::Counters;
use crate::reader::Readers;
use crate::writer::Writer;
use crate::{Migration, Owner, StoreError, StoreMetrics, connection, migration, place};

/// An open database. Copies share it; the last one dropped closes it, [`Store::close`] does so
/// in order.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

/// Bounds of a store. The defaults suit a process of ours.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Jobs that may wait for the writer.
    pub queue: usize,
    /// Jobs in one transaction at most.
    pub batch: usize,
    /// How long a job or a read may wait before it is begun.
    pub wait: Duration,
    /// Connections that read.
    pub readers: u32,
    /// WAL frames (pages of 4 KiB) at which the writer copies them into the database even under
    /// load; below, it waits for a pause.
    pub wal_frames: i64,
    /// How long the writer waits for writes that are announced ([`Store::announce`]).
    pub gather: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queue: 1024,
            batch: 128,
            wait: Duration::from_secs(5),
            readers: 4,
            wal_frames: 2048,
            // About what a commit costs with its sync, and little beside what an enrolment takes
            // while several are under way.
            gather: Duration::from_micros(1500),
        }
    }
}

struct Inner {
    path: PathBuf,
    queue: mpsc::Sender<Message>,
    readers: Readers,
    counters: Arc<Counters>,
    announced: Announcements,
    options: Options,
    writer: ThreadId,
    thread: Mutex<Option<JoinHandle<Result<(), StoreError>>>>,
}

impl Store {
    /// Opens or makes the database of `owner` at `path` and brings its schema up to date.
    ///
    /// The file gets mode 0600; its directory must not be writable for group or others. While the
    /// store is open no other process can open it for writing.
    ///
    /// # Errors
    /// Each kind of [`StoreError`] under "Place" and after it: wrong modes, in use, another
    /// process's database, a newer or altered schema. The file is not changed then.
    pub fn open(path: &Path, owner: Owner, migrations: &[Migration]) -> Result<Self, StoreError> {
        Self::open_with(path, owner, migrations, Options::default())
    }

    /// [`Store::open`] with other bounds.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(
        path: &Path,
        owner: Owner,
        migrations: &[Migration],
        options: Options,
    ) -> Result<Self, StoreError> {
        let lock = place::prepare(path)?;
        let mut connection = connection::open_writer(path, owner)?;
        migration::apply(&mut connection, path, migrations)?;
        let readers = Readers::open(path, options.readers)?;

        let cannot_start = |error: std::io::Error| StoreError::Place {
            path: path.into(),
            problem: format!("cannot start the writer thread: {error}"),
            remedy: "raise the limit of threads (systemd: TasksMax=)".into(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(cannot_start)?;
        let (sender, queue) = mpsc::channel(options.queue.max(1));
        let counters = Arc::new(Counters::default());
        let announced = Announcements::default();
        let writer = Writer {
            connection,
            queue,
            runtime,
            counters: Arc::clone(&counters),
            announced: announced.clone(),
            options,
            failed: None,
            lock,
        };
        let thread = std::thread::Builder::new()
            .name(format!("store-{owner}"))
            .spawn(move || writer.run())
            .map_err(cannot_start)?;
        let inner = Inner {
            path: path.into(),
            queue: sender,
            readers,
            counters,
            announced,
            options,
            writer: thread.thread().id(),
            thread: Mutex::new(Some(thread)),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Says that the caller is about to write: while several have said so, the writer waits a moment
    /// for them and makes what they write durable with one sync. Hold what is returned until the
    /// write is done.
    #[must_use]
    pub fn announce(&self) -> Announced {
        self.inner.announced.one_more()
    }

    /// Runs `work` on the writer thread and returns when what it wrote is durable.
    ///
    /// Jobs of a batch see each other's work in order. A job that fails or panics is undone alone.
    /// Dropping the future before the job is begun cancels it; later, it runs to its end.
    ///
    /// # Errors
    /// What `work` returns; [`StoreError::Busy`] if it was not begun in time; [`StoreError::Full`],
    /// [`StoreError::Failed`] or another error of the commit.
    pub async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        self.try_write(work).await
    }

    /// [`Store::write`] for jobs with an error of their own, which undoes them like any other.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub async fn try_write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let Inner { queue, options, counters, .. } = &*self.inner;
        let (message, answer) = job::queue_up(work, options.wait);
        match queue.send_timeout(message, options.wait).await {
            Ok(()) => {}
            Err(SendTimeoutError::Closed(_)) => return Err(StoreError::Closed.into()),
            Err(SendTimeoutError::Timeout(_)) => {
                Counters::count(&counters.busy, 1);
                return Err(StoreError::Busy { waited: options.wait }.into());
            }
        }
        answer.await.unwrap_or_else(|_| Err(writer_gone().into()))
    }

    /// [`Store::write`] for threads outside an async runtime: start-up, the command line, tests.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub fn write_blocking<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        self.try_write_blocking(work)
    }

    /// [`Store::try_write`] for threads outside an async runtime.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub fn try_write_blocking<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let Inner { queue, options, writer, .. } = &*self.inner;
        if std::thread::current().id() == *writer {
            return Err(StoreError::Nested.into());
        }
        let (message, answer) = job::queue_up(work, options.wait);
        let mut message = Some(message);
        self.until_deadline(|| match message.take().map(|message| queue.try_send(message)) {
            Some(Ok(())) | None => Ok(Some(())),
            Some(Err(TrySendError::Closed(_))) => Err(StoreError::Closed),
            Some(Err(TrySendError::Full(back))) => {
                message = Some(back);
                Ok(None)
            }
        })?;
        block_on(answer).unwrap_or_else(|_| Err(writer_gone().into()))
    }

    /// Runs `work` on a connection that cannot write, within one snapshot of what is committed.
    ///
    /// # Errors
    /// What `work` returns; [`StoreError::Busy`] if no connection was free in time.
    pub async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        self.try_read(work).await
    }

    /// [`Store::read`] for reads with an error of their own.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn try_read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        let place = inner.readers.place(inner.options.wait).await.inspect_err(|error| {
            Counters::count(&inner.counters.busy, usize::from(error.is_transient()));
        })?;
        Counters::count(&inner.counters.reads, 1);
        tokio::task::spawn_blocking(move || inner.readers.run(place, work))
            .await
            .unwrap_or_else(|_| Err(StoreError::Closed.into()))
    }

    /// A look-up of a few rows by key, on the calling thread: handing it to another one costs more
    /// than it takes. What may read much belongs to [`Store::read`].
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn look_up<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Connection) -> Result<T, E>,
        E: From<StoreError>,
    {
        let inner = &*self.inner;
        let place = match inner.readers.place_now()? {
            Some(place) => place,
            None => inner.readers.place(inner.options.wait).await.inspect_err(|error| {
                Counters::count(&inner.counters.busy, usize::from(error.is_transient()));
            })?,
        };
        Counters::count(&inner.counters.reads, 1);
        inner.readers.run(place, work)
    }

    /// [`Store::read`] for threads outside an async runtime.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn read_blocking<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Connection) -> Result<T, E>,
        E: From<StoreError>,
    {
        let place = self.until_deadline(|| self.inner.readers.place_now())?;
        Counters::count(&self.inner.counters.reads, 1);
        self.inner.readers.run(place, work)
    }

    /// Finishes what is queued, copies the WAL into the database and closes it. Later calls on any
    /// copy get [`StoreError::Closed`].
    ///
    /// # Errors
    /// What the last checkpoint or the close said; everything answered before is durable all the
    /// same.
    pub async fn close(&self) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.inner);
        inner.readers.close().await;
        // Fails only if already closed.
        let _ = inner.queue.send(Message::Close).await;
        tokio::task::spawn_blocking(move || inner.join())
            .await
            .unwrap_or_else(|_| Err(writer_gone()))
    }

    /// [`Store::close`] for threads outside an async runtime.
    ///
    /// # Errors
    /// As [`Store::close`].
    pub fn close_blocking(&self) -> Result<(), StoreError> {
        self.inner.readers.close_now();
        self.inner.send_close();
        self.inner.join()
    }

    /// Octets that an unprivileged writer may still use on the database's file system.
    ///
    /// # Errors
    /// [`StoreError::Place`] if the file system does not say.
    pub fn free_octets(&self) -> Result<u64, StoreError> {
        let path = &self.inner.path;
        match rustix::fs::statvfs(path) {
            Ok(room) => Ok(room.f_bavail.saturating_mul(room.f_frsize)),
            Err(error) => Err(StoreError::Place {
                path: path.clone(),
                problem: error.to_string(),
                remedy: "check that the file system is still mounted".into(),
            }),
        }
    }

    /// Below this much room a process should stop beginning what it must be able to write down: 32
    /// MiB, some thousands of entries and whatever is in flight.
    pub const ROOM: u64 = 32 * 1024 * 1024;

    /// Why there is too little room on the database's file system, if there is less than
    /// [`Store::ROOM`] or nobody knows.
    #[must_use]
    pub fn too_little_room(&self) -> Option<String> {
        match self.free_octets() {
            Ok(free) if free >= Self::ROOM => None,
            Ok(free) => Some(Self::room_text(&self.inner.path, free)),
            Err(error) => Some(error.to_string()),
        }
    }

    /// The words for it.
    #[must_use]
    pub fn room_text(path: &Path, free: u64) -> String {
        format!(
            "{} KiB are free on the file system of {}, at least {} are needed; make room",
            free / 1024,
            path.display(),
            Self::ROOM / 1024
        )
    }

    /// Where the database lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Counters since the store was opened.
    #[must_use]
    pub fn metrics(&self) -> StoreMetrics {
        self.inner.counters.snapshot()
    }

    /// Jobs that wait for the writer now.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.inner.queue.max_capacity() - self.inner.queue.capacity()
    }

    /// Tries again each millisecond: only ever waits when the queue or the pool is full.
    fn until_deadline<T>(
        &self,
        mut attempt: impl FnMut() -> Result<Option<T>, StoreError>,
    ) -> Result<T, StoreError> {
        let begin = Instant::now();
        loop {
            if let Some(value) = attempt()? {
                return Ok(value);
            }
            let waited = begin.elapsed();
            if waited >= self.inner.options.wait {
                Counters::count(&self.inner.counters.busy, 1);
                return Err(StoreError::Busy { waited });
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.inner.path).finish_non_exhaustive()
    }
}

impl Inner {
    fn send_close(&self) {
        // The queue is not full for long: the writer empties it whatever comes.
        let mut message = Some(Message::Close);
        while let Some(Err(TrySendError::Full(back))) =
            message.take().map(|message| self.queue.try_send(message))
        {
            message = Some(back);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn join(&self) -> Result<(), StoreError> {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        match thread {
            // A job that held the last copy is dropped on the writer thread itself.
            Some(thread) if self.writer != std::thread::current().id() => {
                thread.join().unwrap_or_else(|_| Err(writer_gone()))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.readers.close_now();
        self.send_close();
        if let Err(error) = self.join() {
            tracing::warn!(%error, path = %self.path.display(), "closing the database");
        }
    }
}

/// Waits on this thread. Unlike tokio's own, it does not panic inside a runtime.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = pin!(future);
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn writer_gone() -> StoreError {
    StoreError::Failed { reason: "the writer thread is gone".into() }
}

//! The process from its start to its end: sockets, timers, signals.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use countersign_config::{Config, Loaded, Mode};
use countersign_ipc::{Server, bind};
use countersign_keys::forbid_core_dumps;
use countersign_ledger as ledger;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tracing_subscriber::EnvFilter;

use crate::clock::Clock;
use crate::process::Process;
use crate::room::Room;
use crate::start::{Doors, StartError, assemble, doors};

/// How often counted refusals of ended windows are looked for.
const TIDYING: Duration = Duration::from_secs(60);

/// The whole process, ready to answer.
pub struct Sign {
    process: Arc<Process>,
    doors: Doors,
    config: Config,
    digest: [u8; 32],
}

impl Sign {
    /// Reads keys and certificates, opens the database, compares the ledger with its last
    /// checkpoint, writes the `start` entry. Blocks; call it outside an async runtime.
    ///
    /// # Errors
    /// [`StartError`]: the first thing that keeps the process from starting.
    pub fn open(loaded: &Loaded, clock: Clock, room: Room) -> Result<Self, StartError> {
        let doors = doors(&loaded.config)?;
        Ok(Self {
            process: Arc::new(assemble(loaded, clock, room)?),
            doors,
            config: loaded.config.clone(),
            digest: loaded.digest,
        })
    }

    /// Answers on both sockets until `stop` becomes true; then finishes what is in flight, writes
    /// the `stop` entry and the last checkpoint, and closes the database.
    ///
    /// # Errors
    /// [`StartError::System`] if a socket cannot be made; nothing was answered then.
    pub async fn serve(self, stop: watch::Receiver<bool>) -> Result<(), StartError> {
        let Self { process, doors, config, digest } = self;
        let listen = |path: &Path| {
            bind(path).map_err(|source| StartError::System {
                what: format!(
                    "cannot listen on {} (`sockets.directory` must exist and let this user write)",
                    path.display()
                ),
                source,
            })
        };
        let frames = Server::new(listen(&config.sockets.sign())?, doors.frames, digest);
        let admin = Server::new(listen(&config.sockets.sign_admin())?, doors.admin, digest);
        if config.mode == Mode::Lab {
            tracing::warn!("lab mode: keys are in files, every ledger entry is marked `lab`");
        }
        tracing::info!(
            socket = %config.sockets.sign().display(),
            ea = process.countersigner.key().certificate().subject(),
            "ready to countersign"
        );

        let interval = Duration::from_secs(u64::from(config.sign.checkpoint.interval_seconds));
        let mut timers = JoinSet::new();
        timers.spawn(every(interval, Arc::clone(&process), checkpoint));
        timers.spawn(every(TIDYING, Arc::clone(&process), tidy));
        let answering = Arc::clone(&process);
        let admin_answering = Arc::clone(&process);
        tokio::join!(
            frames.run(
                move |peer, request| {
                    let process = Arc::clone(&answering);
                    async move { process.answer(peer, request).await }
                },
                stop.clone(),
            ),
            admin.run(
                move |peer, request| {
                    let process = Arc::clone(&admin_answering);
                    async move { process.answer_admin(peer, request).await }
                },
                stop,
            ),
        );
        timers.shutdown().await;
        let _ = std::fs::remove_file(config.sockets.sign());
        let _ = std::fs::remove_file(config.sockets.sign_admin());
        process.stop().await;
        Ok(())
    }
}

impl fmt::Debug for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sign").field("process", &self.process).finish_non_exhaustive()
    }
}

/// The program: reads the config file at `config`, answers until SIGTERM or SIGINT. What went
/// wrong is in the log, which goes to standard error as JSON lines.
#[must_use]
pub fn run(config: &Path) -> ExitCode {
    // Before any secret is read.
    let dumps = forbid_core_dumps();
    let filter = EnvFilter::try_from_env("COUNTERSIGN_LOG")
        .unwrap_or_else(|_| EnvFilter::new("info,cryptoki=off"));
    let log = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // Another subscriber is there only where somebody embeds this.
    let _ = log.try_init();
    if let Err(error) = dumps {
        tracing::error!(%error, "not started");
        return ExitCode::FAILURE;
    }
    let loaded = match Config::load(config) {
        Ok(loaded) => loaded,
        Err(problems) => {
            for problem in problems {
                tracing::error!(%problem, "the config file is not usable");
            }
            return ExitCode::from(StartError::CONFIG);
        }
    };
    match start_and_answer(&loaded) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "not started");
            ExitCode::from(error.exit_code())
        }
    }
}

fn start_and_answer(loaded: &Loaded) -> Result<(), StartError> {
    let system = |what: &str, source| StartError::System { what: what.to_owned(), source };
    let sign = Sign::open(loaded, Clock::system(), Room::of_file_system())?;
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers())
        .enable_all()
        .build()
        .map_err(|source| system("no async runtime", source))?
        .block_on(async {
            let no_signals = |source| system("no signal handler", source);
            let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
            let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
            let (stop, stopping) = watch::channel(false);
            tokio::spawn(async move {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                tracing::info!("stopping: finishing what is in flight");
                let _ = stop.send(true);
            });
            sign.serve(stopping).await
        })
}

impl Process {
    /// The end in order: counted refusals, the `stop` entry, the last checkpoint.
    async fn stop(&self) {
        let mut events: Vec<_> =
            self.denials.all().into_iter().map(ledger::Event::DeniedExcess).collect();
        events.push(ledger::Event::Stop(ledger::Stop { reason: "asked to stop".into() }));
        if let Err(error) = self.book.record(events).await {
            tracing::error!(%error, "the `stop` entry was not written");
        }
        if let Err(error) = self.checkpoint().await {
            tracing::error!(%error, "the last checkpoint was not written");
        }
        if let Err(error) = self.book.store().close().await {
            tracing::error!(%error, "the database was not closed in order");
        }
        tracing::info!("stopped");
    }
}

async fn every<Work: Future<Output = ()>>(
    interval: Duration,
    process: Arc<Process>,
    work: impl Fn(Arc<Process>) -> Work,
) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is at once; the start has done that work.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        work(Arc::clone(&process)).await;
    }
}

async fn checkpoint(process: Arc<Process>) {
    // What went wrong is in the readiness and in the log by then.
    let _ = process.checkpoint().await;
}

async fn tidy(process: Arc<Process>) {
    if let Err(error) = process.record(Vec::new()).await {
        process.notice(&error);
    }
    process.look().await;
}

/// Threads of the runtime: half of the cores. Three processes share them with the threads of their
/// tokens and databases, and a thread that sleeps costs more to wake than most requests take.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}

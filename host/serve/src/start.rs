//! From the config to a running process. Whatever is wrong is said here, before a device comes.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use countersign_config::{Config, Finding, Loaded, Mode, ServeSettings, Severity};
use countersign_enrol::{
    BudgetLimits, Enrolments, Metrics, Outbox, Parts, Peers, Records, SCHEMA, ZoneA, ZoneALimits,
    settle,
};
use countersign_ipc::{AdminRequest, Client, Peer, PeerRules, Role, Server, bind, own_uid};
use countersign_scep::Bounds;
use countersign_store::{ColumnKey, Owner, Store};
use prometheus_client::registry::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, Semaphore, watch};

use crate::gate::Gate;
use crate::listener::Listener;
use crate::profiles::{KnownAuthority, authorities, authorities_on_this_host, profiles};
use crate::role_keys::RoleKeys;
use crate::state::{Shared, now};
use crate::{admin, logging, scep};

/// The pause between two looks for signatures and requests that nobody asks for any more.
const SETTLE_EVERY: Duration = Duration::from_secs(600);

/// The pause before the first.
const FIRST_SETTLE: Duration = Duration::from_secs(5);

/// How many may wait in zone A for each request in flight: they only wait.
const ROOM_PER_PLACE: usize = 4;

/// Why the process did not start.
#[derive(Debug)]
pub enum StartError {
    /// Something the process needs is not usable.
    Unusable {
        /// What.
        what: String,
        /// What was found.
        why: String,
    },
    /// The config file, with everything wrong in it.
    Config(Vec<String>),
    /// Critical findings (start gate, row 14).
    Critical(Vec<Finding>),
}

impl StartError {
    pub(crate) fn new(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::Unusable { what: what.to_string(), why: why.to_string() }
    }

    /// For `map_err`: the error was about `what`.
    pub(crate) fn of<E: fmt::Display>(what: impl fmt::Display) -> impl Fn(E) -> Self {
        move |error| Self::new(&what, error)
    }

    /// 1: something is not usable; 3: the config; 4: the start gate.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unusable { .. } => 1,
            Self::Config(_) => 3,
            Self::Critical(_) => 4,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusable { what, why } => write!(f, "{what}: {why}"),
            Self::Config(problems) => f.write_str(&problems.join("\n")),
            Self::Critical(findings) => {
                writeln!(f, "not started: {} critical finding(s)", findings.len())?;
                findings.iter().try_for_each(|finding| writeln!(f, "{finding}"))
            }
        }
    }
}

impl std::error::Error for StartError {}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// [`StartError`], before the listener is bound.
pub fn run(config: &Path) -> Result<(), StartError> {
    countersign_keys::forbid_core_dumps().map_err(StartError::of("this process"))?;
    let loaded = Config::load(config).map_err(|problems| {
        StartError::Config(problems.iter().map(ToString::to_string).collect())
    })?;
    if loaded.config.mode == Mode::Production && own_uid() == 0 {
        return Err(StartError::new(
            "serve runs as root",
            "start it as the user that `[serve] user` names",
        ));
    }
    logging::begin();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers())
        .enable_all()
        .build()
        .map_err(StartError::of("the runtime"))?;
    runtime.block_on(serve(&loaded))
}

async fn serve(loaded: &Loaded) -> Result<(), StartError> {
    let config = &loaded.config;
    let mut findings = loaded.findings.clone();
    let keys = RoleKeys::open(config)?;
    findings.extend(keys.findings.iter().cloned());
    findings.extend(authorities_on_this_host(config).await);
    refuse_critical(&findings)?;

    let authorities = authorities(config)?;
    let profiles = profiles(config, &authorities, &keys.spki_sha256)?;
    let records = records(config)?;
    let peers = peers(loaded);
    let wake = Arc::new(Notify::new());
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let zone_a = ZoneA::new(zone_a_limits(&config.serve), &mut registry);
    let limits = &config.serve.limits;
    let bounds = Bounds::with_size(limits.max_body_bytes as usize);
    let pools = keys.pools.clone();
    let budgets = zone_a.budgets().clone();
    let gate =
        Arc::new(Gate::new(findings, &profiles, peers.clone(), records.clone(), pools, budgets));
    let shared = Arc::new(Shared {
        enrolments: Enrolments::new(Parts {
            opener: keys.opener,
            zone_a,
            responder: keys.responder,
            peers: peers.clone(),
            records: records.clone(),
            metrics: metrics.clone(),
            bounds,
            wake_outbox: Arc::clone(&wake),
            now,
            too_little_room: Store::too_little_room,
        }),
        aliases: aliases(config),
        gate: Arc::clone(&gate),
        in_flight: Arc::new(Semaphore::new(limits.max_in_flight as usize)),
        source_header: config.serve.source_header.as_ref().map(ToString::to_string),
        max_body: limits.max_body_bytes as usize,
        body_deadline: Duration::from_secs(limits.body_seconds.into()),
        request_deadline: Duration::from_secs(limits.request_seconds.into()),
        bounds,
        registry,
        profiles,
    });

    let listener = Listener::bind(
        &config.serve.listen,
        config.serve.tls.as_ref(),
        Duration::from_secs(limits.header_seconds.into()),
        limits.max_connections,
    )
    .await?;
    let admin_socket = config.sockets.serve_admin();
    let admin_listener = bind(&admin_socket).map_err(StartError::of(admin_socket.display()))?;

    let (stop, stopped) = watch::channel(false);
    let mut tasks = tokio::task::JoinSet::new();
    let rules = admin_rules(config.mode);
    let admin_server = Server::new(admin_listener, rules, loaded.digest);
    let for_admin = Arc::clone(&shared);
    tasks.spawn(admin_server.run(
        move |peer: Peer, question: AdminRequest| {
            admin::answer(Arc::clone(&for_admin), peer, question)
        },
        stopped.clone(),
    ));
    if let Some(address) = &config.serve.metrics {
        tasks.spawn(serve_metrics(address.address(), Arc::clone(&shared), stopped.clone()).await?);
    }
    tasks.spawn(Outbox::new(records.clone(), peers.clone(), metrics, wake).run(stopped.clone()));
    tasks.spawn(Arc::clone(&gate).prove(connectors(&authorities), stopped.clone()));
    let patience = shared.profiles.values().map(|profile| profile.patience).max().unwrap_or(0);
    tasks.spawn(settle_now_and_then(shared.enrolments.clone(), patience, stopped.clone()));

    tracing::info!(
        listen = listener.address(),
        mode = %config.mode,
        profiles = ?shared.profiles.keys().collect::<Vec<_>>(),
        config = hex::encode(loaded.digest),
        "serving"
    );
    tasks.spawn(listener.serve(scep::router(shared), stopped));

    wait_for_signal().await?;
    tracing::info!("draining");
    // Nobody listens only if every task is gone already.
    let _ = stop.send(true);
    while tasks.join_next().await.is_some() {}
    records.store().close().await.map_err(StartError::of("closing the database"))?;
    tracing::info!("stopped");
    Ok(())
}

fn zone_a_limits(serve: &ServeSettings) -> ZoneALimits {
    let budgets = &serve.budgets;
    ZoneALimits {
        period: Duration::from_millis(serve.limits.zone_a_milliseconds.into()),
        // Those who wait there give back their place among the requests in flight.
        room: serve.limits.max_in_flight as usize * ROOM_PER_PLACE,
        budgets: BudgetLimits {
            messages_per_source: budgets.messages_per_source,
            failures_per_source: budgets.failures_per_source,
            unwraps_per_key: budgets.unwraps_per_key,
            failures_per_key: budgets.failures_per_key,
            sources: budgets.sources as usize,
        },
    }
}

fn refuse_critical(findings: &[Finding]) -> Result<(), StartError> {
    let critical: Vec<Finding> =
        findings.iter().filter(|finding| finding.severity == Severity::Critical).cloned().collect();
    if critical.is_empty() {
        for finding in findings {
            tracing::warn!(%finding, "finding");
        }
        Ok(())
    } else {
        Err(StartError::Critical(critical))
    }
}

fn records(config: &Config) -> Result<Records, StartError> {
    let path = config.serve.state.join("serve.db");
    let key = config.serve.column_key.read().map_err(StartError::of("[serve] column-key"))?;
    let key = ColumnKey::new(&key).map_err(StartError::of("[serve] column-key"))?;
    let store = Store::open(&path, Owner::Serve, SCHEMA).map_err(StartError::of("the database"))?;
    Ok(Records::new(store, key))
}

fn peers(loaded: &Loaded) -> Peers {
    let sockets = &loaded.config.sockets;
    Peers {
        verify: Client::new(&sockets.verify(), Role::Serve, loaded.digest),
        sign: Client::new(&sockets.sign(), Role::Serve, loaded.digest),
    }
}

fn aliases(config: &Config) -> std::collections::BTreeMap<String, String> {
    config
        .serve
        .aliases
        .iter()
        .map(|(path, profile)| (path.trim_end_matches('/').to_ascii_lowercase(), profile.clone()))
        .collect()
}

/// People: root, and in lab mode the user that runs everything.
fn admin_rules(mode: Mode) -> PeerRules {
    PeerRules::new(mode == Mode::Lab).allow(Role::Admin, 0).allow_own_in_lab(Role::Admin)
}

fn connectors(
    authorities: &std::collections::BTreeMap<String, KnownAuthority>,
) -> std::collections::BTreeMap<String, Arc<dyn countersign_authority::Authority>> {
    authorities
        .iter()
        .map(|(name, authority)| (name.clone(), Arc::clone(&authority.connector)))
        .collect()
}

/// Prometheus on loopback; the config lets nothing else be written here.
async fn serve_metrics(
    address: std::net::SocketAddr,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) -> Result<impl Future<Output = ()>, StartError> {
    let listener = tokio::net::TcpListener::bind(address).await.map_err(StartError::of(address))?;
    let router = axum::Router::new().route(
        "/metrics",
        axum::routing::get(move || {
            let shared = Arc::clone(&shared);
            async move {
                match admin::metrics(&shared) {
                    countersign_ipc::AdminReply::Text(text) => (http::StatusCode::OK, text),
                    _ => (http::StatusCode::INTERNAL_SERVER_ERROR, String::new()),
                }
            }
        }),
    );
    Ok(async move {
        let stopped = async move {
            let _ = stop.wait_for(|stop| *stop).await;
        };
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
            tracing::error!(%error, "the metrics listener ended");
        }
    })
}

async fn settle_now_and_then(
    enrolments: Enrolments,
    patience: u64,
    mut stop: watch::Receiver<bool>,
) {
    // The other processes start beside this one.
    let mut pause = FIRST_SETTLE;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = async { stop.wait_for(|stop| *stop).await.is_ok() } => return,
        }
        pause = SETTLE_EVERY;
        match settle(&enrolments, patience, now()).await {
            Ok(0) => {}
            Ok(closed) => tracing::warn!(closed, "signatures and requests were given up"),
            Err(error) => tracing::error!(%error, "what is unsettled could not be closed"),
        }
    }
}

async fn wait_for_signal() -> Result<(), StartError> {
    let about = "signals";
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::of(about))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::of(about))?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Threads of the runtime: half of the cores. Three processes share them with the threads of their
/// tokens and databases, and a thread that sleeps costs more to wake than most requests take.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}

//! From the config to a running process. A plug-in that is not right is said here, before a device
//! comes.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use countersign_catalog::{Catalog, pool_size};
use countersign_config::{Config, Loaded, MdmCredential, Mode, User};
use countersign_ipc::{
    AdminRequest, ApprovalKey, Client, OutcomeRecord, Peer, PeerRules, Role, Server, VerifyReply,
    VerifyRequest, bind, own_uid,
};
use countersign_sandbox::{ChildCompiler, Compiler, Sandbox};
use countersign_store::{ColumnKey, Owner, Store};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};

use crate::abuse::Abuse;
use crate::challenges::{self, ChallengeKey, Challenges};
use crate::clock::{self, Clock};
use crate::counters::Counters;
use crate::decision::{Installed, Verifiers};
use crate::denials::Denials;
use crate::devices::{self, Reach};
use crate::kv::{self, Kv};
use crate::mdm::{self, Mdm};
use crate::orders::{self, Orders};
use crate::renewal::Renewals;
use crate::schema::SCHEMA;
use crate::{admin, events, logging, outbox, outcome};

/// The pause between two sweeps of what has expired.
const SWEEP_EVERY: Duration = Duration::from_secs(300);

/// How long an ended challenge is remembered, so that its reuse is recognised: 90 days.
const REMEMBER: u64 = 90 * 24 * 60 * 60;

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
}

impl StartError {
    pub(crate) fn of<E: fmt::Display>(what: impl fmt::Display) -> impl Fn(E) -> Self {
        move |error| Self::Unusable { what: what.to_string(), why: error.to_string() }
    }

    /// 1: something is not usable; 3: the config.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unusable { .. } => 1,
            Self::Config(_) => 3,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusable { what, why } => write!(f, "{what}: {why}"),
            Self::Config(problems) => f.write_str(&problems.join("\n")),
        }
    }
}

impl std::error::Error for StartError {}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// [`StartError`], before a socket is bound.
pub fn run(config: &Path) -> Result<(), StartError> {
    countersign_keys::forbid_core_dumps().map_err(StartError::of("this process"))?;
    let loaded = Config::load(config).map_err(|problems| {
        StartError::Config(problems.iter().map(ToString::to_string).collect())
    })?;
    refuse_root(loaded.config.mode)?;
    logging::begin();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers())
        .enable_all()
        .build()
        .map_err(StartError::of("the runtime"))?;
    runtime.block_on(verify(&loaded))
}

pub(crate) fn refuse_root(mode: Mode) -> Result<(), StartError> {
    if mode == Mode::Production && own_uid() == 0 {
        return Err(StartError::Unusable {
            what: "verify runs as root".into(),
            why: "start it as the user that `[verify] user` names".into(),
        });
    }
    Ok(())
}

async fn verify(loaded: &Loaded) -> Result<(), StartError> {
    let config = &loaded.config;
    let verifiers = Arc::new(verifiers(loaded).await?);
    let (frames, questions) = (config.sockets.verify(), config.sockets.verify_admin());
    let frame_listener = bind(&frames).map_err(StartError::of(frames.display()))?;
    let admin_listener = bind(&questions).map_err(StartError::of(questions.display()))?;

    let mdm = match (Mdm::open(config, &verifiers)?, &config.verify.mdm) {
        (Some(mdm), Some(settings)) => Some((mdm, mdm::Listener::bind(settings).await?)),
        _ => None,
    };

    let revoker = match &config.verify.revoker {
        Some(settings) => Some(orders::Listener::bind(settings).await?),
        None => None,
    };

    let (stop, stopped) = watch::channel(false);
    let mut tasks = tokio::task::JoinSet::new();
    let server = Server::new(frame_listener, peer_rules(config)?, loaded.digest);
    let for_serve = Arc::clone(&verifiers);
    tasks.spawn(server.run(
        move |_peer: Peer, request: VerifyRequest| {
            let verifiers = Arc::clone(&for_serve);
            async move { answer(&verifiers, request).await }
        },
        stopped.clone(),
    ));
    let rules = PeerRules::new(config.mode == Mode::Lab)
        .allow(Role::Admin, 0)
        .allow_own_in_lab(Role::Admin);
    // People under their own names, where two are needed.
    let people = config.admin.uids();
    let rules = people.into_iter().fold(rules, |rules, uid| rules.allow(Role::Admin, uid));
    let server = Server::new(admin_listener, rules, loaded.digest);
    let for_admin = Arc::clone(&verifiers);
    tasks.spawn(server.run(
        move |peer: Peer, question: AdminRequest| {
            let verifiers = Arc::clone(&for_admin);
            async move { admin::answer(&verifiers, peer, question, now()).await }
        },
        stopped.clone(),
    ));
    if let Some(address) = &config.verify.metrics {
        let (address, verifiers) = (address.address(), Arc::clone(&verifiers));
        tasks.spawn(serve_metrics(address, verifiers, stopped.clone()).await?);
    }
    if let Some((mdm, listener)) = mdm {
        if let Some(listen) = listener.address() {
            tracing::info!(%listen, "serving device managements");
        }
        tasks.spawn(listener.serve(mdm, stopped.clone()));
    }
    if let Some(listener) = revoker {
        if let Some(listen) = listener.address() {
            tracing::info!(%listen, "serving revokers");
        }
        tasks.spawn(listener.serve(Arc::clone(&verifiers.orders), stopped.clone()));
    }
    tasks.spawn(orders::run(Arc::clone(&verifiers.orders), stopped.clone()));
    tasks.spawn(outbox::run(Arc::clone(&verifiers), stopped.clone()));
    tasks.spawn(events::run(Arc::clone(&verifiers), stopped.clone()));
    tasks.spawn(sweep(verifiers.store.clone(), stopped));
    tracing::info!(
        mode = %config.mode,
        plugins = ?verifiers.plugins.keys().collect::<Vec<_>>(),
        config = hex::encode(loaded.digest),
        "verifying"
    );

    wait_for_signal().await?;
    tracing::info!("draining");
    let _ = stop.send(true);
    while tasks.join_next().await.is_some() {}
    verifiers.store.close().await.map_err(StartError::of("closing the database"))?;
    tracing::info!("stopped");
    Ok(())
}

/// Prometheus on loopback; the config lets nothing else be written here.
async fn serve_metrics(
    address: std::net::SocketAddr,
    verifiers: Arc<Verifiers>,
    mut stop: watch::Receiver<bool>,
) -> Result<impl Future<Output = ()>, StartError> {
    let listener = tokio::net::TcpListener::bind(address).await.map_err(StartError::of(address))?;
    let answer = move || {
        let verifiers = Arc::clone(&verifiers);
        async move { admin::metrics(&verifiers) }
    };
    let router = axum::Router::new().route("/metrics", axum::routing::get(answer));
    Ok(async move {
        let stopped = async move {
            let _ = stop.wait_for(|stop| *stop).await;
        };
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
            tracing::error!(%error, "the metrics listener ended");
        }
    })
}

/// Every message, matched exhaustively: a new one must be thought about here.
async fn answer(verifiers: &Arc<Verifiers>, request: VerifyRequest) -> VerifyReply {
    let now = now();
    let kept = match request {
        VerifyRequest::Verify(asked) => return verifiers.decide(asked, now).await,
        VerifyRequest::Health => {
            let detail = verifiers.why_not_ready().await;
            return VerifyReply::Healthy { ready: detail.is_empty(), detail };
        }
        VerifyRequest::Outcome(record) => {
            let taken = outcome::take(verifiers, vec![record], now).await;
            verifiers.outcomes_came.notify_one();
            taken
        }
        VerifyRequest::TellFirst(record) => {
            return tell_first(verifiers, record, now).await;
        }
        VerifyRequest::Outcomes(records) => return outcomes(verifiers, records, now).await,
        VerifyRequest::Order(order) => outcome::keep_order(&verifiers.store, order, now).await,
        VerifyRequest::RevocationList(part) => {
            return match verifiers.renewals.take(part, now) {
                Ok(()) => VerifyReply::Done,
                Err(detail) => VerifyReply::Unavailable { retry_after: 60, detail },
            };
        }
    };
    match kept {
        Ok(()) => VerifyReply::Done,
        Err(error) => VerifyReply::Unavailable { retry_after: 10, detail: error.to_string() },
    }
}

/// The outcome is durable before anybody is told of it, as every outcome is.
async fn tell_first(verifiers: &Arc<Verifiers>, record: OutcomeRecord, now: u64) -> VerifyReply {
    let (enrolment, attempt) = (record.enrolment.0, record.attempt);
    let told = match outcome::take(verifiers, vec![record], now).await {
        Ok(()) => outbox::tell_first(verifiers, enrolment, attempt).await,
        Err(error) => Err(error),
    };
    verifiers.outcomes_came.notify_one();
    match told {
        Ok(all) => VerifyReply::Told { all },
        Err(error) => VerifyReply::Unavailable { retry_after: 10, detail: error.to_string() },
    }
}

/// One transaction for all of them; each by itself where that fails, so that one which cannot be
/// kept does not hold up the others.
async fn outcomes(verifiers: &Verifiers, records: Vec<OutcomeRecord>, now: u64) -> VerifyReply {
    let mut replies = Vec::with_capacity(records.len());
    match outcome::take(verifiers, records.clone(), now).await {
        Ok(()) => replies.resize(records.len(), VerifyReply::Done),
        Err(_) => {
            for record in records {
                replies.push(match outcome::take(verifiers, vec![record], now).await {
                    Ok(()) => VerifyReply::Done,
                    Err(error) => {
                        VerifyReply::Unavailable { retry_after: 10, detail: error.to_string() }
                    }
                });
            }
        }
    }
    verifiers.outcomes_came.notify_one();
    VerifyReply::Each(replies)
}

async fn verifiers(loaded: &Loaded) -> Result<Verifiers, StartError> {
    let config = &loaded.config;
    let settings = &config.verify;
    let challenge_key =
        settings.challenge_key.read().map_err(StartError::of("[verify] challenge-key"))?;
    let challenge_key =
        ChallengeKey::new(&challenge_key).map_err(StartError::of("[verify] challenge-key"))?;
    let column_key = settings.column_key.read().map_err(StartError::of("[verify] column-key"))?;
    let column_key =
        Arc::new(ColumnKey::new(&column_key).map_err(StartError::of("[verify] column-key"))?);
    let approval_key =
        config.approval.key.read_shared().map_err(StartError::of("[approval] key"))?;
    let approval_key = ApprovalKey::new(&approval_key).map_err(StartError::of("[approval] key"))?;
    let store = Store::open(&settings.state.join("verify.db"), Owner::Verify, SCHEMA)
        .map_err(StartError::of("the database"))?;
    devices::complete(&store).await.map_err(StartError::of("the database"))?;
    let clock = Clock::of(&store).await.map_err(StartError::of("the database"))?;
    let plugins = install(config).await?;
    let sign = Client::new(&config.sockets.sign(), Role::Verify, loaded.digest);
    let orders = Arc::new(Orders::new(config, store.clone(), sign.clone()));
    Ok(Verifiers {
        profiles: config.profile.clone(),
        plugins,
        clock,
        challenges: Arc::new(Challenges::new(store.clone(), challenge_key)),
        kv: Kv::new(store.clone(), Arc::clone(&column_key)),
        column_key,
        store,
        approval_key,
        approval_lifetime: config.approval.lifetime_seconds.into(),
        config_digest: loaded.digest,
        orders,
        reach: Arc::new(Reach::new(&config.profile)),
        denials: Denials::to(sign),
        counters: Counters::default(),
        abuse: Abuse::new(settings.challenges),
        outcomes_came: Notify::new(),
        in_hand: Arc::default(),
        renewals: Renewals::from_config(config)
            .map_err(|(what, why)| StartError::Unusable { what, why })?,
    })
}

/// Installs every plug-in of the config; one that is not right refuses the start by name.
async fn install(config: &Config) -> Result<BTreeMap<String, Installed>, StartError> {
    let about = "the sandbox";
    let sandbox =
        Arc::new(Sandbox::new(pool_size(config.plugin.values())).map_err(StartError::of(about))?);
    let program = std::env::current_exe().map_err(StartError::of(about))?;
    let folder = config.verify.state.join("artefacts");
    let compiler = Compiler::Child(ChildCompiler::new(program));
    let mut catalog =
        Catalog::open(sandbox, &folder, compiler).map_err(StartError::of("the plug-in catalog"))?;
    let mut plugins = BTreeMap::new();
    for (name, settings) in &config.plugin {
        let installed = catalog.install(name, settings).await.map_err(|error| {
            StartError::Unusable { what: format!("[plugin.{name}]"), why: error.to_string() }
        })?;
        tracing::info!(plugin = name, digest = %installed.plugin.digest(), "installed");
        let installed = Installed {
            plugin: installed.plugin,
            kv_entries: settings.limits.kv_entries,
            may_revoke: settings.grants.revocation,
            schedule: settings.schedule_seconds,
        };
        fits(config, name, &installed)
            .map_err(|why| StartError::Unusable { what: format!("[plugin.{name}]"), why })?;
        plugins.insert(name.clone(), installed);
    }
    Ok(plugins)
}

/// What the component says of itself against what the config has it do: a wipe that comes to nothing
/// should be heard of now.
fn fits(config: &Config, name: &str, installed: &Installed) -> Result<(), String> {
    let (offers, description) = (installed.plugin.offers(), installed.plugin.description());
    let posts = |credential: &&MdmCredential| credential.events.iter().any(|named| named == name);
    let is_posted_to =
        config.verify.mdm.iter().any(|mdm| mdm.credential.values().any(|c| posts(&c)));
    let has_events = installed.schedule.is_some() || is_posted_to;
    if has_events && !offers.events {
        return Err(
            "the component exports no `events`: remove `schedule-seconds`, and the plug-in \
                    from `events` of [verify.mdm.credential.NAME]"
                .into(),
        );
    }
    if installed.may_revoke && !offers.events {
        return Err(
            "the component exports no `events`, so the grant `revocation` leads to nothing: \
                    remove it"
                .into(),
        );
    }
    if description.notified_before_answer && !offers.outcomes {
        return Err(
            "the component wants to be notified before a device is answered, and exports no \
                    `outcomes`; ask its vendor"
                .into(),
        );
    }
    Ok(())
}

/// `serve` alone has business here.
fn peer_rules(config: &Config) -> Result<PeerRules, StartError> {
    let rules = PeerRules::new(config.mode == Mode::Lab).allow_own_in_lab(Role::Serve);
    let uid = config.serve.user.as_ref().map(User::uid).transpose();
    match (config.mode, uid) {
        // In lab mode a user that this machine does not have is no obstacle.
        (Mode::Lab, Ok(None) | Err(_)) => Ok(rules),
        (Mode::Lab | Mode::Production, Ok(Some(uid))) => Ok(rules.allow(Role::Serve, uid)),
        (Mode::Production, Ok(None)) => Err(StartError::Unusable {
            what: "[serve] user".into(),
            why: "must be set outside lab mode".into(),
        }),
        (Mode::Production, Err(error)) => Err(StartError::of("[serve] user")(error)),
    }
}

async fn sweep(store: Store, mut stop: watch::Receiver<bool>) {
    loop {
        let now = now();
        let swept = store
            .write(move |tx| {
                clock::keep(tx, now)?;
                challenges::sweep(tx, REMEMBER, now)?;
                kv::sweep(tx, now)?;
                outbox::sweep(tx, now)?;
                events::sweep(tx, now)?;
                mdm::quota::sweep(tx, now)
            })
            .await;
        if let Err(error) = swept {
            tracing::warn!(%error, "what has expired could not be removed");
        }
        tokio::select! {
            () = tokio::time::sleep(SWEEP_EVERY) => {}
            _ = async { stop.wait_for(|stop| *stop).await.is_ok() } => return,
        }
    }
}

async fn wait_for_signal() -> Result<(), StartError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::of("signals"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::of("signals"))?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Seconds since 1970 UTC.
pub(crate) fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Threads of the runtime: half of the cores. Three processes share them with the threads of their
/// tokens and databases, and a thread that sleeps costs more to wake than most requests take.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}

//! One life of `serve`'s state machine: from opening its database to its end, in order or not.

use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use countersign_authority::Authority;
use countersign_enrol::{
    Answer, Arrival, BudgetLimits, Enrolments, Metrics, Opener, Outbox, Parts, Peers, Profile,
    Records, Responder, SCHEMA, Source, ZoneA, ZoneALimits, settle,
};
use countersign_ipc::{Client, Peer, PeerRules, Role as Speaks, Server, bind};
use countersign_keys::{
    CepKey, Deadline, DevelopmentToken, KeyName, KeyPool, KeySpec, Mode, PoolLimits, RepKey,
    RoleCertificate, RoleKind, csr_signed_by, generate_key,
};
use countersign_lab_ca::{LabCa, Options, Role};
use countersign_profile::{Boundary, Limits};
use countersign_scep::client::CaCertificates;
use countersign_scep::{Bounds, Certificate, LegacyAlgorithms, ca_bundle};
use countersign_store::rusqlite::Connection;
use countersign_store::{ColumnKey, Owner, Store, StoreError};
use countersign_tests::{Answer as DeviceAnswer, Device, HttpReply, Sent};
use prometheus_client::registry::Registry;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, watch};

use crate::token::Losable;
use crate::world::{CaFault, Faults, World, now, too_little_room};

/// The profile lets the identical octets out once more where the CA's answer was lost.
pub(crate) const MOST_SUBMISSIONS: u32 = 2;

const PATIENCE: u64 = 86_400;
pub(crate) const PROFILE: &str = "devices";

/// What all cases share: keys, the CA, and the sockets that the peers answer on.
pub(crate) struct Laboratory {
    directory: tempfile::TempDir,
    pub(crate) ca: Arc<LabCa>,
    pub(crate) other_csr: Vec<u8>,
    speaking: Arc<Mutex<Option<Arc<World>>>>,
    _runtime: Runtime,
}

impl Laboratory {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path();
        let ca = Arc::new(LabCa::create(&place.join("ca"), Options::default()).unwrap());
        for (name, role, kind) in
            [("cep", Role::Cep, RoleKind::Cep), ("rep", Role::Rep, RoleKind::Rep)]
        {
            let path = place.join(format!("{name}.key"));
            let key = generate_key(KeySpec::Rsa2048).unwrap();
            fs::write(&path, key.pkcs8_pem().unwrap().as_bytes()).unwrap();
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
                .unwrap();
            let token = token(place, name);
            let deadline = Deadline::after(Duration::from_secs(10));
            let subject = format!("CN={name}");
            let csr = csr_signed_by(&token, &KeyName::new(name), kind, &subject, deadline).unwrap();
            let certificate = ca.issue_role_certificate(&csr, role).unwrap();
            fs::write(place.join(format!("{name}.der")), certificate).unwrap();
        }
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let speaking = Arc::new(Mutex::new(None::<Arc<World>>));
        runtime.block_on(async {
            let rules = || PeerRules::new(true).allow_own_in_lab(Speaks::Serve);
            let verify = Server::new(bind(&place.join("verify")).unwrap(), rules(), [0; 32]);
            let sign = Server::new(bind(&place.join("sign")).unwrap(), rules(), [0; 32]);
            let (never, stopped) = watch::channel(false);
            std::mem::forget(never);
            let world = Arc::clone(&speaking);
            let current = move || Arc::clone(world.lock().unwrap().as_ref().unwrap());
            let for_sign = current.clone();
            tokio::spawn(verify.run(
                move |_: Peer, request| {
                    let world = current();
                    async move { world.verify(request) }
                },
                stopped.clone(),
            ));
            tokio::spawn(sign.run(
                move |_: Peer, request| {
                    let world = for_sign();
                    async move { world.sign(request) }
                },
                stopped,
            ));
        });
        let other_csr = Device::new(&["CN=device-0"], Some("of nobody")).csr;
        Self { directory, ca, other_csr, speaking, _runtime: runtime }
    }

    /// From now on the peers are those of `world`.
    pub(crate) fn peers_speak_for(&self, world: &Arc<World>) {
        *self.speaking.lock().unwrap() = Some(Arc::clone(world));
    }

    fn certificate(&self, name: &str) -> Vec<u8> {
        fs::read(self.directory.path().join(format!("{name}.der"))).unwrap()
    }
}

fn token(place: &Path, name: &str) -> DevelopmentToken {
    let path = place.join(format!("{name}.key"));
    DevelopmentToken::open(Mode::Lab, [(KeyName::new(name), path.as_path())]).unwrap()
}

pub(crate) struct Life {
    runtime: Runtime,
    database: PathBuf,
    enrolments: Enrolments,
    profile: Arc<Profile>,
    ra: CaCertificates,
    _stop: watch::Sender<bool>,
}

impl Life {
    pub(crate) fn begin(laboratory: &Laboratory, world: &Arc<World>, place: &Path) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let database = place.join("serve.db");
        let store = open(&database);
        let _inside = runtime.enter();
        let records = Records::new(store, ColumnKey::new(&[3; 32]).unwrap());
        let at = |name: &str| laboratory.directory.path().join(name);
        let peers = Peers {
            verify: Client::new(&at("verify"), Speaks::Serve, [0; 32]),
            sign: Client::new(&at("sign"), Speaks::Serve, [0; 32]),
        };
        let pool = |name| {
            let token = token(laboratory.directory.path(), name);
            let token = Losable { token, world: Arc::clone(world) };
            KeyPool::start(Arc::new(token), PoolLimits::default()).unwrap()
        };
        let role = |name| RoleCertificate::from_der(&laboratory.certificate(name)).unwrap();
        let parsed = |name| Certificate::parse(&laboratory.certificate(name)).unwrap();
        let cep = CepKey::open(&pool("cep"), KeyName::new("cep"), role("cep")).unwrap();
        let rep = RepKey::open(&pool("rep"), KeyName::new("rep"), role("rep")).unwrap();
        let issuer = Certificate::parse(laboratory.ca.certificate_der()).unwrap();
        let profile = Arc::new(profile(laboratory, world, issuer.clone()));
        let bundle = ca_bundle(&[parsed("cep"), parsed("rep"), issuer]);
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        let wake = Arc::new(Notify::new());
        let (stop, stopped) = watch::channel(false);
        runtime.spawn(
            Outbox::new(records.clone(), peers.clone(), metrics.clone(), Arc::clone(&wake))
                .run(stopped),
        );
        let enrolments = Enrolments::new(Parts {
            opener: Opener::new(vec![(cep, parsed("cep"))]),
            zone_a: ZoneA::new(zone_a(), &mut registry),
            responder: Responder::new(rep, parsed("rep")),
            peers,
            records,
            metrics,
            bounds: Bounds::default(),
            wake_outbox: wake,
            now,
            too_little_room,
        });
        let ra = CaCertificates::parse(&bundle).unwrap();
        drop(_inside);
        Self { runtime, database, enrolments, profile, ra, _stop: stop }
    }

    /// A device sends its request; none if there is no answer.
    pub(crate) fn come(&self, device: &Device, faults: &Faults) -> Option<DeviceAnswer> {
        self.send(device, device.request(&self.ra), faults)
    }

    pub(crate) fn renew(&self, device: &Device, faults: &Faults) -> Option<DeviceAnswer> {
        self.send(device, device.renewal(&self.ra), faults)
    }

    pub(crate) fn poll(&self, device: &Device, faults: &Faults) -> Option<DeviceAnswer> {
        self.send(device, device.poll(&self.ra), faults)
    }

    fn send(&self, device: &Device, sent: Sent, faults: &Faults) -> Option<DeviceAnswer> {
        if faults.store_fails {
            self.sql(
                "CREATE TRIGGER refuse_row BEFORE INSERT ON enrolment
                     BEGIN SELECT RAISE(ABORT, 'a fault'); END;
                 CREATE TRIGGER refuse_outbox BEFORE INSERT ON outbox
                     BEGIN SELECT RAISE(ABORT, 'a fault'); END;",
            );
        }
        let arrival = Arrival {
            profile: Arc::clone(&self.profile),
            path_suffix: String::new(),
            source: Source::Unix,
            message: sent.message.clone(),
        };
        let answering = self.enrolments.answer(arrival, ());
        let answer = if faults.ca == CaFault::Hangs {
            let bounded =
                async { tokio::time::timeout(Duration::from_millis(150), answering).await };
            self.runtime.block_on(bounded).ok()
        } else {
            Some(self.runtime.block_on(answering))
        };
        if faults.store_fails {
            self.sql("DROP TRIGGER refuse_row; DROP TRIGGER refuse_outbox;");
        }
        Some(match answer? {
            Answer::CertRep(body) => {
                let mut headers = http::HeaderMap::new();
                let kind = http::HeaderValue::from_static("application/x-pki-message");
                headers.insert("content-type", kind);
                let reply = HttpReply { status: http::StatusCode::OK, headers, body };
                device.read(&sent, reply, &self.ra)
            }
            other => DeviceAnswer::Http(HttpReply {
                status: http::StatusCode::SERVICE_UNAVAILABLE,
                headers: http::HeaderMap::new(),
                body: format!("{other:?}").into_bytes(),
            }),
        })
    }

    fn sql(&self, sql: &str) {
        let connection = Connection::open(&self.database).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        connection.execute_batch(sql).unwrap();
    }

    /// What a start does and a timer repeats.
    pub(crate) fn settle(&self) {
        let settled = settle(&self.enrolments, PATIENCE, now());
        // A fault of the moment may stand in its way; it is repeated.
        let _ = self.runtime.block_on(settled);
    }

    /// Until the outbox is empty.
    pub(crate) fn drain_outbox(&self) -> Result<(), String> {
        let begin = Instant::now();
        loop {
            let left =
                self.runtime.block_on(self.enrolments.records().store().read(|connection| {
                    Ok(connection
                        .query_row("SELECT count(*) FROM outbox", [], |row| row.get::<_, u32>(0))?)
                }));
            if matches!(left, Ok(0)) {
                return Ok(());
            }
            if begin.elapsed() > Duration::from_secs(5) {
                return Err(format!("the outbox is not delivered: {left:?}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Everything is dropped in the middle; the next life finds what is on the disk.
    pub(crate) fn crash(self, laboratory: &Laboratory, world: &Arc<World>) -> Self {
        let place = self.database.parent().unwrap().to_owned();
        self.end();
        Self::begin(laboratory, world, &place)
    }

    pub(crate) fn end(self) {
        let Self { runtime, enrolments, .. } = self;
        runtime.shutdown_background();
        drop(enrolments);
    }
}

fn open(database: &Path) -> Store {
    let begin = Instant::now();
    loop {
        match Store::open(database, Owner::Serve, SCHEMA) {
            Ok(store) => return store,
            // The tasks of the life before are being dropped.
            Err(StoreError::InUse { .. }) if begin.elapsed() < Duration::from_secs(10) => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn profile(laboratory: &Laboratory, world: &Arc<World>, issuer: Certificate) -> Profile {
    let limits: Limits =
        serde_json::from_value(serde_json::json!({ "max-validity": "3650d" })).unwrap();
    Profile {
        name: PROFILE.to_owned(),
        limits,
        boundary: Boundary::default(),
        authority_name: "lab".to_owned(),
        authority: Arc::clone(world) as Arc<dyn Authority>,
        template: "Device".to_owned(),
        issuing_certificate: countersign_profile::Certificate::parse(
            laboratory.ca.certificate_der(),
        )
        .unwrap(),
        ca_certificates: vec![issuer],
        next_ca: None,
        reply_chain: Vec::new(),
        renews: true,
        legacy: LegacyAlgorithms::default(),
        sha1_renewals: false,
        patience: PATIENCE,
        most_submissions: MOST_SUBMISSIONS,
        waiting_quota: 100,
    }
}

fn zone_a() -> ZoneALimits {
    let plenty = NonZeroU32::new(1_000_000).unwrap();
    ZoneALimits {
        period: Duration::from_millis(5),
        room: 64,
        budgets: BudgetLimits {
            messages_per_source: plenty,
            failures_per_source: plenty,
            unwraps_per_key: plenty,
            failures_per_key: plenty,
            sources: 64,
        },
    }
}

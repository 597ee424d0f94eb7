//! One run: all systems started, warmed, and measured in turns.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::arguments::{Algorithm, Arguments};
use crate::fleet::{self, Fleet, Prepared};
use crate::load::{self, Turn};
use crate::peer::Peer;
use crate::rival::{self, Rival};
use crate::stations::Stations;
use crate::system::{Keys, ProcessorTime, System};
use crate::upstream::{self, Upstream};
use crate::yardstick::{Workbench, Yardsticks};
use crate::{check, proc, token_alone};

/// Enrolments of each system before anything is measured.
const WARM_UP: usize = 32;

/// What goes on behind the answers (the outbox) ends within this time.
const SETTLING: Duration = Duration::from_millis(300);

/// Devices at a time in the long run.
const LONG_AT: usize = 16;

/// Everything that one run found.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) rows: Vec<Row>,
    pub(crate) yardsticks: Yardsticks,
    /// GetCACaps a second: ours, then theirs.
    pub(crate) capabilities: Vec<f64>,
    /// `serve`, `verify`, `sign` at the end in MiB: now, most.
    pub(crate) resident: [(f64, f64); 3],
    /// The others by name: now, most.
    pub(crate) rivals: Vec<(&'static str, (f64, f64))>,
    /// Good answers a second of each tenth of the long run.
    pub(crate) tenths: Vec<f64>,
    /// With the keys of all roles on SoftHSM2: the row, and what the tokens alone spend on the
    /// operations of one enrolment, in microseconds.
    pub(crate) softhsm: Option<(Row, f64)>,
    /// Devices that come when they like.
    pub(crate) upstream: Option<Upstream>,
}

/// One concurrency.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) concurrency: usize,
    pub(crate) ours: Side,
    /// The others, in the order of [`Measured::rivals`].
    pub(crate) theirs: Vec<Side>,
    pub(crate) stations: Stations,
    pub(crate) processor: ProcessorTime,
    /// Group commits of `verify` and jobs in them, while its enrolments were made.
    pub(crate) commits: (f64, f64),
    /// The client's share of one processor while our turns ran.
    pub(crate) client: f64,
}

/// One system at one concurrency.
#[derive(Debug, Default)]
pub(crate) struct Side {
    /// Good answers a second, by turn.
    pub(crate) rates: Vec<f64>,
    pub(crate) good: usize,
    pub(crate) bad: BTreeMap<String, usize>,
    pub(crate) elapsed: Duration,
    /// Of good answers, sorted.
    pub(crate) took: Vec<Duration>,
    pub(crate) processor: Duration,
}

/// Measures all with these keys.
pub(crate) async fn run(arguments: &Arguments, algorithm: Algorithm) -> Measured {
    let mut fleet = Fleet::new(arguments.keys.into());
    let mut system = System::start(algorithm, Keys::Files).await;
    let mut rivals = vec![Rival::scepserver().await];
    if let Some(program) = &arguments.step_ca {
        rivals.push(Rival::step_ca(program, algorithm).await);
    }
    let directory = system.installation.directory().to_owned();
    let mut workbench = Workbench::new(&directory);

    let ours = ours(&mut fleet, &system, WARM_UP).await;
    warm(&system.peer, ours).await;
    for rival in &rivals {
        warm(&rival.peer, theirs(&mut fleet, rival, WARM_UP)).await;
    }
    let mut rows = Vec::new();
    for &concurrency in &arguments.concurrency {
        workbench.measure();
        rows.push(row(arguments, concurrency, &mut fleet, &mut system, &rivals).await);
    }
    workbench.measure();
    let resident = system.resident();
    let rivals_resident = rivals.iter().map(|rival| (rival.name, rival.resident())).collect();
    let time = Duration::from_secs_f64(arguments.capabilities_seconds);
    let mut capabilities = Vec::new();
    for peer in [&system.peer].into_iter().chain(rivals.iter().map(|rival| &rival.peer)) {
        let url = peer.url("GetCACaps");
        capabilities.push(load::gets_per_second(&peer.address, &url, time).await);
    }
    let tenths = long_run(&mut fleet, &system, arguments.long).await;
    workbench.measure();
    system.installation.stop_all().await;
    let softhsm = match arguments.softhsm {
        true => Some(on_softhsm(arguments, algorithm, &mut fleet).await),
        false => None,
    };
    let most = rows.iter().map(|row| row.ours.rate()).fold(0.0, f64::max);
    let upstream = match arguments.upstream {
        true => Some(upstream::measure(algorithm, &mut fleet, most).await),
        false => None,
    };
    Measured {
        rows,
        yardsticks: workbench.medians(),
        capabilities,
        resident,
        rivals: rivals_resident,
        tenths,
        softhsm,
        upstream,
    }
}

/// Ours once more, with every key on a token.
async fn on_softhsm(arguments: &Arguments, algorithm: Algorithm, fleet: &mut Fleet) -> (Row, f64) {
    let mut system = System::start(algorithm, Keys::SoftHsm).await;
    let requests = ours(fleet, &system, WARM_UP).await;
    warm(&system.peer, requests).await;
    let row = row(arguments, LONG_AT, fleet, &mut system, &[]).await;
    system.installation.stop_all().await;
    let alone = token_alone::in_a_process(&system.installation);
    (row, alone)
}

/// Ours alone, in ten parts; good answers a second of each.
async fn long_run(fleet: &mut Fleet, system: &System, enrolments: usize) -> Vec<f64> {
    let mut tenths = Vec::new();
    if enrolments == 0 {
        return tenths;
    }
    for _ in 0..10 {
        let requests = ours(fleet, system, enrolments.div_ceil(10)).await;
        tokio::time::sleep(SETTLING).await;
        let mut side = Side::default();
        side.add(load::enrol(&system.peer, requests, LONG_AT).await, &system.peer);
        tenths.push(side.rate());
    }
    tenths
}

async fn row(
    arguments: &Arguments,
    concurrency: usize,
    fleet: &mut Fleet,
    system: &mut System,
    rivals: &[Rival],
) -> Row {
    let mut row = Row {
        concurrency,
        ours: Side::default(),
        theirs: rivals.iter().map(|_| Side::default()).collect(),
        stations: Stations::default(),
        processor: ProcessorTime::default(),
        commits: (0.0, 0.0),
        client: 0.0,
    };
    let turns = usize::from(arguments.turns);
    let each = arguments.requests.div_ceil(turns);
    let mut client = Duration::ZERO;
    for _ in 0..turns {
        let requests = ours(fleet, system, each).await;
        tokio::time::sleep(SETTLING).await;
        let before = (system.processor_time(), system.stations().await);
        let commits = system.verify_commits().await;
        let client_before = proc::processor_time(std::process::id());
        let turn = load::enrol(&system.peer, requests, concurrency).await;
        client += proc::processor_time(std::process::id()) - client_before;
        tokio::time::sleep(SETTLING).await;
        let after = (system.processor_time(), system.stations().await);
        let commits_after = system.verify_commits().await;
        row.processor.add(&before.0, &after.0);
        row.stations.add(&before.1, &after.1);
        row.commits.0 += commits_after.0 - commits.0;
        row.commits.1 += commits_after.1 - commits.1;
        row.ours.add(turn, &system.peer);

        for (rival, side) in rivals.iter().zip(&mut row.theirs) {
            let requests = theirs(fleet, rival, each);
            tokio::time::sleep(SETTLING).await;
            let before = rival.processor_time();
            let turn = load::enrol(&rival.peer, requests, concurrency).await;
            side.processor += rival.processor_time() - before;
            side.add(turn, &rival.peer);
        }
    }
    let processor = &row.processor;
    row.ours.processor = processor.serve + processor.verify + processor.sign;
    row.client = client.as_secs_f64() / row.ours.elapsed.as_secs_f64();
    row.ours.took.sort();
    row.theirs.iter_mut().for_each(|side| side.took.sort());
    row
}

async fn ours(fleet: &mut Fleet, system: &System, count: usize) -> Vec<Prepared> {
    let devices = system.challenges(fleet.identities(count)).await;
    fleet::prepare(devices, &system.peer)
}

fn theirs(fleet: &mut Fleet, rival: &Rival, count: usize) -> Vec<Prepared> {
    let devices = fleet.identities(count).into_iter();
    let devices = devices.map(|device| (device, rival::CHALLENGE.to_owned())).collect();
    fleet::prepare(devices, &rival.peer)
}

/// One after the other, so that even a server that is wrong under load must be right.
async fn warm(peer: &Peer, requests: Vec<Prepared>) {
    let turn = load::enrol(peer, requests, 1).await;
    let bad: Vec<_> = check::all(&turn.answers, peer).into_iter().filter_map(Result::err).collect();
    assert!(bad.is_empty(), "{} does not answer well: {bad:?}", peer.address);
}

impl Side {
    pub(crate) fn add(&mut self, turn: Turn, peer: &Peer) {
        let mut good = 0;
        for (answer, checked) in turn.answers.iter().zip(check::all(&turn.answers, peer)) {
            match checked {
                Ok(()) => {
                    good += 1;
                    self.took.push(answer.took);
                }
                Err(reason) => *self.bad.entry(reason).or_default() += 1,
            }
        }
        self.good += good;
        self.elapsed += turn.elapsed;
        self.rates.push(good as f64 / turn.elapsed.as_secs_f64());
    }

    /// Good answers a second.
    pub(crate) fn rate(&self) -> f64 {
        self.good as f64 / self.elapsed.as_secs_f64()
    }
}

impl ProcessorTime {
    fn add(&mut self, before: &Self, after: &Self) {
        self.serve += after.serve - before.serve;
        self.verify += after.verify - before.verify;
        self.sign += after.sign - before.sign;
        self.ca += after.ca - before.ca;
    }
}

//! One run: both systems started, warmed, and measured in turns.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::arguments::{Algorithm, Arguments};
use crate::fleet::{self, Fleet, Prepared};
use crate::load::{self, Turn};
use crate::peer::Peer;
use crate::rival::{self, Rival};
use crate::stations::Stations;
use crate::system::{ProcessorTime, System};
use crate::yardstick::{Workbench, Yardsticks};
use crate::{check, proc};

/// Enrolments of each system before anything is measured.
const WARM_UP: usize = 32;

/// What goes on behind the answers (the outbox) ends within this time.
const SETTLING: Duration = Duration::from_millis(300);

/// Everything that one run found.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) rows: Vec<Row>,
    pub(crate) yardsticks: Yardsticks,
    /// GetCACaps a second: ours, theirs.
    pub(crate) capabilities: [f64; 2],
    /// `serve`, `verify`, `sign` at the end in MiB: now, most.
    pub(crate) resident: [(f64, f64); 3],
    pub(crate) rival_resident: (f64, f64),
}

/// One concurrency.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) concurrency: usize,
    pub(crate) ours: Side,
    pub(crate) theirs: Side,
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

/// Measures both with these keys.
pub(crate) async fn run(arguments: &Arguments, algorithm: Algorithm) -> Measured {
    let mut fleet = Fleet::new(arguments.keys.into());
    let mut system = System::start(algorithm).await;
    let rival = Rival::start().await;
    let directory = system.installation.directory().to_owned();
    let mut workbench = Workbench::new(&directory);

    let ours = ours(&mut fleet, &system, WARM_UP).await;
    warm(&system.peer, ours).await;
    warm(&rival.peer, theirs(&mut fleet, &rival, WARM_UP)).await;
    let mut rows = Vec::new();
    for &concurrency in &arguments.concurrency {
        workbench.measure();
        rows.push(row(arguments, concurrency, &mut fleet, &mut system, &rival).await);
    }
    workbench.measure();
    let resident = system.resident();
    let rival_resident = rival.resident();
    let time = Duration::from_secs_f64(arguments.capabilities_seconds);
    let mut capabilities = [0.0; 2];
    for (peer, found) in [&system.peer, &rival.peer].into_iter().zip(&mut capabilities) {
        *found = load::gets_per_second(&peer.address, &peer.url("GetCACaps"), time).await;
    }
    workbench.measure();
    system.installation.stop_all().await;
    Measured { rows, yardsticks: workbench.medians(), capabilities, resident, rival_resident }
}

async fn row(
    arguments: &Arguments,
    concurrency: usize,
    fleet: &mut Fleet,
    system: &mut System,
    rival: &Rival,
) -> Row {
    let mut row = Row {
        concurrency,
        ours: Side::default(),
        theirs: Side::default(),
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

        let requests = theirs(fleet, rival, each);
        tokio::time::sleep(SETTLING).await;
        let before = rival.processor_time();
        let turn = load::enrol(&rival.peer, requests, concurrency).await;
        row.theirs.processor += rival.processor_time() - before;
        row.theirs.add(turn, &rival.peer);
    }
    let processor = &row.processor;
    row.ours.processor = processor.serve + processor.verify + processor.sign;
    row.client = client.as_secs_f64() / row.ours.elapsed.as_secs_f64();
    row.ours.took.sort();
    row.theirs.took.sort();
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
    fn add(&mut self, turn: Turn, peer: &Peer) {
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

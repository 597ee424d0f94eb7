//! The state machine of an enrolment under random faults: devices come, repeat themselves, poll, try
//! what is not theirs, renew; verifiers, `sign`, the CA, the store, the disk, the tokens and the
//! clock misbehave; the process is dropped in the middle and opened again. Whatever the sequence, the invariants hold, and once all
//! is well again no device is stuck.
//!
//! A failing sequence is shrunk and printed with its seed. A longer run:
//!
//! ```text
//! PROPTEST_CASES=2000 cargo test -p countersign-enrol --test machine
//! COUNTERSIGN_SEED=<64 hexadecimal digits> cargo test -p countersign-enrol --test machine
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    missing_docs,
    reason = "a test states what it knows"
)]

mod life;
mod token;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use countersign_scep::client::{DeviceKey, KeySize};
use countersign_tests::{Answer, Device, Issued, csr};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::life::{Laboratory, Life};
use crate::world::{CaFault, Faults, Peer, World};

const DEVICES: usize = 3;

/// Enough for a device to get through all that may be left of a bad time.
const RETRIES: usize = 8;

/// Cases in the usual run; `PROPTEST_CASES` says otherwise.
const CASES: u32 = 24;

#[derive(Debug, Clone)]
enum Step {
    /// A device sends its request, for the first time or again.
    Come { device: usize, faults: Faults },
    /// It asks what became of it.
    Poll { device: usize, faults: Faults },
    /// It renews with what it was given, if it was.
    Renew { device: usize, faults: Faults },
    /// Somebody with the device's challenge and transaction ID, and a key of their own.
    Thief { device: usize, faults: Faults },
    /// The process dies, without a word, and starts again.
    Crash,
    /// The clock is set, within the quarter of an hour that the check grants a CA: beyond it what
    /// was issued counts as not valid yet, and is withheld.
    Clock { seconds: i64 },
    /// The certificate manager decides about what waits at the CA.
    Manager { approves: bool },
    /// What each start does, with everything waiting long enough.
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    let device = || 0..DEVICES;
    prop_oneof![
        6 => (device(), faults()).prop_map(|(device, faults)| Step::Come { device, faults }),
        3 => (device(), faults()).prop_map(|(device, faults)| Step::Poll { device, faults }),
        3 => (device(), faults()).prop_map(|(device, faults)| Step::Renew { device, faults }),
        1 => (device(), faults()).prop_map(|(device, faults)| Step::Thief { device, faults }),
        2 => Just(Step::Crash),
        1 => (-800_i64..800).prop_map(|seconds| Step::Clock { seconds }),
        1 => any::<bool>().prop_map(|approves| Step::Manager { approves }),
        1 => Just(Step::Settle),
    ]
}

fn faults() -> impl Strategy<Value = Faults> {
    let peer = || {
        prop_oneof![
            6 => Just(Peer::Well),
            1 => Just(Peer::Refuses),
            1 => Just(Peer::Pending),
            1 => Just(Peer::Unavailable),
            2 => Just(Peer::LosesItsAnswer),
        ]
    };
    let ca = prop_oneof![
        5 => Just(CaFault::Well),
        1 => Just(CaFault::Refuses),
        2 => Just(CaFault::Pending),
        2 => Just(CaFault::LosesItsAnswer),
        2 => Just(CaFault::NotReached),
        1 => Just(CaFault::IssuesAnother),
        1 => Just(CaFault::Hangs),
    ];
    let rarely = || prop::bool::weighted(0.1);
    let around = (peer(), peer(), peer(), ca);
    let within = (prop::bool::weighted(0.15), rarely(), rarely(), rarely());
    (around, within).prop_map(|((verify, sign, outcomes, ca), within)| {
        let (store_fails, disk_full, cep_lost, rep_lost) = within;
        Faults { verify, sign, outcomes, ca, store_fails, disk_full, cep_lost, rep_lost }
    })
}

/// Devices with their challenges, and a thief for each; the same in each case, because keys take
/// their time.
struct People {
    devices: Vec<Device>,
    thieves: Vec<Device>,
    /// What each device sends when it renews: for a new key, without a challenge.
    renewals: Vec<Vec<u8>>,
}

impl People {
    fn new() -> Self {
        let device = |index: usize| {
            Device::new(&[&format!("CN=device-{index}")], Some(&format!("challenge-{index}")))
        };
        let devices: Vec<_> = (0..DEVICES).map(device).collect();
        let thieves = (0..DEVICES).map(|index| {
            let mut thief = device(index);
            thief.transaction_id = devices[index].transaction_id.clone();
            thief
        });
        let renewals = (0..DEVICES).map(|index| {
            let key = DeviceKey::generate(KeySize::Rsa2048).unwrap();
            csr(&key, &[&format!("CN=device-{index}")], None)
        });
        Self { thieves: thieves.collect(), renewals: renewals.collect(), devices }
    }

    /// The request of whom [`Delivered`] counts so.
    fn csr(&self, who: usize) -> &[u8] {
        let people = self.devices.iter().chain(&self.thieves).map(|device| &device.csr);
        people.chain(&self.renewals).nth(who).unwrap()
    }

    /// The device about to renew, if it has a certificate.
    fn renewing(&self, index: usize, delivered: &Delivered) -> Option<Device> {
        let certificate = delivered.get(&index)?.first()?.clone();
        let device = &self.devices[index];
        let device = Device {
            key: DeviceKey::from_pkcs8(device.key.to_pkcs8()).unwrap(),
            csr: device.csr.clone(),
            signer: device.signer.clone(),
            transaction_id: device.transaction_id.clone(),
        };
        let issued = Issued { all: vec![certificate.clone()], certificate };
        Some(device.renewing(&issued, self.renewals[index].clone()))
    }
}

#[test]
fn whatever_happens_the_invariants_hold_and_nobody_is_stuck() {
    let laboratory = Laboratory::new();
    let people = People::new();
    let seed = seed();
    eprintln!("COUNTERSIGN_SEED={}", hex::encode(seed));
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = Config {
        cases: cases.unwrap_or(CASES),
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(config, rng);
    runner
        .run(&vec(step(), 1..24), |steps| {
            case(&laboratory, &people, &steps)
                .map_err(|wrong| TestCaseError::fail(wrong.to_string()))
        })
        .unwrap_or_else(|failure| panic!("COUNTERSIGN_SEED={}\n{failure}", hex::encode(seed)));
}

fn seed() -> [u8; 32] {
    let given = std::env::var("COUNTERSIGN_SEED").ok();
    match given.map(|text| hex::decode(text).unwrap().try_into().unwrap()) {
        Some(seed) => seed,
        None => {
            let mut seed = [0; 32];
            aws_lc_rs::rand::fill(&mut seed).unwrap();
            seed
        }
    }
}

/// What each device was given.
type Delivered = BTreeMap<usize, Vec<Vec<u8>>>;

fn case(laboratory: &Laboratory, people: &People, steps: &[Step]) -> Result<(), String> {
    let world = World::new(laboratory);
    world.set_clock(0);
    let place = tempfile::tempdir().unwrap();
    let mut life = Life::begin(laboratory, &world, place.path());
    let mut delivered = Delivered::new();
    for step in steps {
        match step {
            Step::Come { device, faults } => {
                world.meet(*faults);
                let answer = life.come(&people.devices[*device], faults);
                life = take(life, answer, *device, &mut delivered, laboratory, &world);
            }
            Step::Poll { device, faults } => {
                world.meet(*faults);
                let answer = life.poll(&people.devices[*device], faults);
                life = take(life, answer, *device, &mut delivered, laboratory, &world);
            }
            Step::Renew { device, faults } => {
                let Some(renewing) = people.renewing(*device, &delivered) else { continue };
                world.meet(*faults);
                let answer = life.renew(&renewing, faults);
                let who = 2 * DEVICES + device;
                life = take(life, answer, who, &mut delivered, laboratory, &world);
            }
            Step::Thief { device, faults } => {
                world.meet(*faults);
                let answer = life.come(&people.thieves[*device], faults);
                life = take(life, answer, DEVICES + device, &mut delivered, laboratory, &world);
            }
            Step::Crash => life = life.crash(laboratory, &world),
            Step::Clock { seconds } => world.set_clock(*seconds),
            Step::Manager { approves } => world.decide(*approves),
            Step::Settle => life.settle(),
        }
    }
    heal(life, laboratory, &world, people, &mut delivered)?;
    world.check(&delivered, people)
}

/// Keeps what was given; an answer that did not come is the end of the process.
fn take(
    life: Life,
    answer: Option<Answer>,
    who: usize,
    delivered: &mut Delivered,
    laboratory: &Laboratory,
    world: &Arc<World>,
) -> Life {
    match answer {
        Some(Answer::Issued(issued)) => {
            let all = delivered.entry(who).or_default();
            if !all.contains(&issued.certificate) {
                all.push(issued.certificate);
            }
            life
        }
        Some(_) => life,
        None => life.crash(laboratory, world),
    }
}

/// All is well again: each device keeps coming until it has an answer for good.
fn heal(
    life: Life,
    laboratory: &Laboratory,
    world: &Arc<World>,
    people: &People,
    delivered: &mut Delivered,
) -> Result<(), String> {
    world.meet(Faults::NONE);
    world.set_clock(0);
    let mut life = life.crash(laboratory, world);
    world.decide(true);
    for (index, device) in people.devices.iter().enumerate() {
        let mut last = None;
        for _ in 0..RETRIES {
            last = life.come(device, &Faults::NONE);
            if !matches!(last, Some(Answer::Pending)) {
                break;
            }
            world.decide(true);
        }
        let known = last.clone();
        life = take(life, last, index, delivered, laboratory, world);
        world.may_end(&device.csr, known)?;
    }
    // A renewal needs `verify` to know of the certificate that it leans on.
    life.drain_outbox()?;
    for index in 0..DEVICES {
        let Some(device) = people.renewing(index, delivered) else { continue };
        let mut last = None;
        for _ in 0..RETRIES {
            last = life.renew(&device, &Faults::NONE);
            if !matches!(last, Some(Answer::Pending)) {
                break;
            }
            world.decide(true);
        }
        let known = last.clone();
        life = take(life, last, 2 * DEVICES + index, delivered, laboratory, world);
        world.may_end(&device.csr, known)?;
    }
    // Thieves too: what waits at the CA is asked for only when its device comes.
    for (index, thief) in people.thieves.iter().enumerate() {
        for _ in 0..RETRIES {
            let answer = life.come(thief, &Faults::NONE);
            let waits = matches!(answer, Some(Answer::Pending));
            life = take(life, answer, DEVICES + index, delivered, laboratory, world);
            if !waits {
                break;
            }
            world.decide(true);
        }
    }
    // Nobody comes any more: what was signed and never submitted is closed.
    world.set_clock(10_000_000);
    life.settle();
    life.drain_outbox()?;
    life.crash(laboratory, world).end();
    Ok(())
}

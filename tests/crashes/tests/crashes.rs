//! Each process dies at each durable step and between frames, is started again, the device comes
//! back as a real client would, and what must hold holds.
//!
//! How often a point is reached in one enrolment is not written down here but found: a point is
//! ordered for the first time it is reached, then for the second, until the enrolment goes through
//! without a death. So a durable step that is added tomorrow is crashed tomorrow.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test states what it knows"
)]

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use countersign_crashes::orders;
use countersign_fail_points::{ORDERED, Point};
use countersign_ipc::AdminRequest;
use countersign_tests::{Answer, Device, Installation, PROFILE, Profile, Program, program};

const SIGABRT: i32 = 6;

/// No point is reached more often than this in one enrolment: something loops.
const MOST: u32 = 12;

/// How long a device keeps coming back.
const PATIENCE: Duration = Duration::from_secs(40);

/// Where each process can die.
const SIGN: [Point; 10] = [
    Point::RequestReceived,
    Point::SignatureNext,
    Point::SignatureMade,
    Point::CommitNext,
    Point::Committed,
    Point::ReplyReady,
    Point::ReplyWritten,
    Point::CheckpointNext,
    Point::CheckpointTorn,
    Point::CheckpointWritten,
];
const VERIFY: [Point; 6] = [
    Point::RequestReceived,
    Point::VerifiersAgreed,
    Point::CommitNext,
    Point::Committed,
    Point::ReplyReady,
    Point::ReplyWritten,
];
const SERVE: [Point; 8] = [
    Point::RequestSent,
    Point::ReplyReceived,
    Point::CommitNext,
    Point::Committed,
    Point::SubmissionNext,
    Point::SubmissionAnswered,
    Point::AnswerReady,
    Point::OutboxDelivered,
];

/// An installation whose processes die when they are told.
struct Crashing {
    installation: Installation,
    devices: usize,
    /// How often a process died at a point.
    deaths: BTreeMap<(Program, Point), u32>,
}

impl Crashing {
    async fn start() -> Self {
        // The device's retry may send the identical octets once more where the CA's answer was
        // lost; otherwise it would wait for an admin.
        let profile = Profile::named(PROFILE).settings("resubmit-unknown = 1");
        let installation = Installation::builder()
            .profile(profile)
            .binary(Program::Sign, Path::new(env!("CARGO_BIN_EXE_countersign-sign-crashing")))
            .binary(Program::Verify, Path::new(env!("CARGO_BIN_EXE_countersign-verify-crashing")))
            .binary(Program::Serve, Path::new(env!("CARGO_BIN_EXE_countersign-serve-crashing")))
            .start()
            .await;
        Self { installation, devices: 0, deaths: BTreeMap::new() }
    }

    /// Crashes `process` at `point`, each time that it is reached.
    async fn crash_everywhere(&mut self, process: Program, points: &[Point]) {
        for point in points {
            for number in 1.. {
                assert!(number <= MOST, "{process:?} reaches {point:?} without an end");
                if !self.crash_once(process, *point, number).await {
                    break;
                }
            }
            assert!(
                self.deaths.contains_key(&(process, *point)),
                "{process:?} never reached {point:?}: the point is gone from its place"
            );
        }
    }

    /// One enrolment, with the process dying the `number`-th time it reaches the point. Whether it
    /// died.
    async fn crash_once(&mut self, process: Program, point: Point, number: u32) -> bool {
        let before = self.installation.sweep();
        self.devices += 1;
        let name = format!("CN=device-{}", self.devices);
        let challenge = self.installation.issue_challenge(PROFILE, &[&name]).await;
        let device = Device::new(&[&name], Some(&challenge));
        let order = orders(self.installation.config(), process.name());
        std::fs::write(&order, format!("{} {number}", point.name())).unwrap();

        let mut died = false;
        let started = Instant::now();
        // The device comes until it has its certificate; somebody starts again what has died.
        let issued = loop {
            let answer = self.come(&device).await;
            died |= self.start_again(process, point, &order).await;
            if let Some(Answer::Issued(issued)) = answer {
                break issued;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "{process:?} at {point:?} {number}: the device got {answer:?} to the end\n{}",
                self.installation.logs()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        // What follows the device's answer may die as well: the outbox, the checkpoint.
        self.checkpoint().await;
        let after = loop {
            died |= self.start_again(process, point, &order).await;
            let sweep = self.installation.sweep();
            if sweep.outbox == 0 && sweep.unsettled == 0 {
                break sweep;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "{process:?} at {point:?} {number}: {sweep:?} to the end\n{}",
                self.installation.logs()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        // A death in the last moment.
        tokio::time::sleep(Duration::from_millis(5)).await;
        died |= self.start_again(process, point, &order).await;
        let _ = std::fs::remove_file(&order);

        let what = format!("{process:?} at {point:?} {number}");
        assert_eq!(after.signatures, before.signatures + 1, "{what}: one signature, no second");
        assert_eq!(after.withheld, before.withheld, "{what}");
        let surplus = after.surplus - before.surplus;
        assert!(surplus <= 1, "{what}: {surplus} surplus certificates");
        // Only a lost answer of the CA makes one: between the submission and its storing.
        if surplus == 1 {
            assert_eq!(process, Program::Serve, "{what} led to a surplus certificate");
        }
        // Whenever it comes again, it gets the same.
        let again = self.installation.enrol(PROFILE, &device).await.issued();
        assert_eq!(again.certificate, issued.certificate, "{what}: another certificate");
        // Its challenge is of no use to anybody else, whatever died in between.
        let thief = Device::new(&[&name], Some(&challenge));
        let answer = self.installation.enrol(PROFILE, &thief).await;
        assert!(answer.is_refused_without_reason(), "{what}: the thief got {answer:?}");
        assert_eq!(self.installation.sweep().signatures, after.signatures, "{what}");
        died
    }

    /// A device's attempt, which may meet a closed door.
    async fn come(&mut self, device: &Device) -> Option<Answer> {
        self.installation.try_enrol(PROFILE, device).await
    }

    /// Starts the process again if it has died, by order or else.
    async fn start_again(&mut self, process: Program, point: Point, order: &Path) -> bool {
        // A connection breaks a moment before the kernel has buried the process.
        let Some(ended) = self.installation.ended_by_now(process).await else { return false };
        assert_eq!(ended.status.signal(), Some(SIGABRT), "{process:?} at {point:?}: {ended:?}");
        let word = format!("{ORDERED}{}", point.name());
        assert!(ended.stderr.contains(&word), "{process:?} at {point:?}: {}", ended.stderr);
        std::fs::remove_file(order).unwrap();
        *self.deaths.entry((process, point)).or_default() += 1;
        self.installation.start(process).await;
        if process == Program::Serve {
            // It serves nobody before the CA is proven.
            let proven = "the CA refuses a request without a countersignature";
            let serve = self.installation.running(process);
            serve.event("the proof of the CA", |event| event["message"] == proven).await;
        }
        true
    }

    /// A checkpoint is asked for; `sign` may die over it.
    async fn checkpoint(&mut self) {
        let _ = self.installation.try_admin(Program::Sign, AdminRequest::Checkpoint).await;
    }

    async fn end(mut self) -> BTreeMap<(Program, Point), u32> {
        let sweep = self.installation.sweep();
        assert_eq!(sweep.signatures, self.devices);
        self.installation.stop_all().await;
        let sweep = self.installation.sweep();
        assert_eq!((sweep.unsettled, sweep.outbox), (0, 0), "{sweep:?}");
        self.deaths
    }
}

async fn crash(process: Program, points: &[Point]) {
    let mut crashing = Crashing::start().await;
    crashing.crash_everywhere(process, points).await;
    let deaths = crashing.end().await;
    println!("{deaths:#?}");
    // So many durable steps there are at least (design: four on the way, and the outbox).
    let durable = match process {
        Program::Sign | Program::Verify => 2,
        Program::Serve => 3,
    };
    assert!(deaths[&(process, Point::Committed)] >= durable, "{deaths:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_dies_at_every_step_and_no_second_signature_leaves() {
    crash(Program::Sign, &SIGN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_dies_at_every_step_and_no_challenge_is_spent_twice() {
    crash(Program::Verify, &VERIFY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_dies_at_every_step_and_no_device_is_stuck() {
    crash(Program::Serve, &SERVE).await;
}

#[test]
fn every_point_is_crashed_by_one_of_them() {
    for point in Point::ALL {
        let tried = SIGN.contains(&point) || VERIFY.contains(&point) || SERVE.contains(&point);
        assert!(tried, "{point:?} is in no process's list");
    }
}

/// What is delivered holds no way to be told to die. Fails when a delivered package
/// asks for the feature `armed`.
#[test]
fn the_delivered_binaries_hold_no_fail_point() {
    let crashing = std::fs::read(env!("CARGO_BIN_EXE_countersign-sign-crashing")).unwrap();
    assert!(holds(&crashing, ORDERED.as_bytes()), "the search finds what is there");
    assert!(holds(&crashing, Point::SignatureMade.name().as_bytes()));
    for process in Program::ALL {
        let delivered = std::fs::read(program(process.name())).unwrap();
        assert!(!holds(&delivered, ORDERED.as_bytes()), "{process:?} can be told to die");
        let name = Point::SignatureMade.name().as_bytes();
        assert!(!holds(&delivered, name), "{process:?} holds the name of a point");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_with_fail_points_refuses_production() {
    let mut installation = Installation::builder()
        .mode("production")
        .binary(Program::Sign, Path::new(env!("CARGO_BIN_EXE_countersign-sign-crashing")))
        .prepare()
        .await;
    let ended = installation.refused_start(Program::Sign).await;
    assert!(!ended.status.success());
    assert!(ended.stderr.contains("THIS IS A TEST BUILD"), "{}", ended.stderr);
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

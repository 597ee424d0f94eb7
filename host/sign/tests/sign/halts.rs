//! What stops signing before it signs: a full disk, a clock that went back, uses of the EA key that
//! the ledger does not know.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use countersign_ipc::{AdminRequest, Client, Role, SignReply, SignRequest};
use countersign_ledger::{self as ledger, Event};
use countersign_sign::{Acceptance, Gap, Room, accept_gap};
use countersign_store::rusqlite::Connection;

use crate::support::{
    Installation, Options, Running, SOON, TestClock, cms, is_unavailable, seal, start, start_in,
    start_in_room, start_with,
};

const MIB: u64 = 1024 * 1024;

async fn sign_one(running: &Running) -> SignReply {
    let csr = running.csr();
    running.countersign(&running.approval(&csr), &csr).await
}

async fn must_not_sign(running: &Running, why: &str) {
    let before = running.ea_signatures().await;
    let reply = sign_one(running).await;
    assert!(is_unavailable(&reply), "{reply:?}");
    assert_eq!(running.ea_signatures().await, before, "stopped before the EA key was used");
    let (ready, detail) = running.health().await;
    assert!(!ready && detail.iter().any(|line| line.contains(why)), "{detail:?}");
}

/// Fails without `look_at_room` in `look.rs`, or where `Trouble::Room` does not stop signing.
#[tokio::test]
async fn too_little_room_stops_signing_before_it_signs_until_there_is_room_again() {
    let free = Arc::new(AtomicU64::new(1024 * MIB));
    let source = Arc::clone(&free);
    let room = Room::by(move || source.load(Ordering::Relaxed));
    let installation = Installation::new(&Options::default());
    let running = start_in_room(installation, TestClock::default(), room).await.unwrap();
    cms(sign_one(&running).await);
    free.store(31 * MIB, Ordering::Relaxed);
    must_not_sign(&running, "make room").await;
    free.store(32 * MIB, Ordering::Relaxed);
    assert!(running.health().await.0);
    cms(sign_one(&running).await);
}

/// A file system of 40 MiB in a mount namespace of its own, which a shell fills and empties as the
/// file `full` beside it comes and goes.
struct OnSmallDisk {
    child: Child,
    serve: Client<SignRequest, SignReply>,
    admin: Client<AdminRequest, countersign_ipc::AdminReply>,
}

impl OnSmallDisk {
    /// None where this user may not make namespaces.
    async fn start(installation: &Installation) -> Option<Self> {
        let allowed = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "true"])
            .stderr(Stdio::null())
            .status();
        if !allowed.is_ok_and(|status| status.success()) {
            return None;
        }
        let loaded = installation.load();
        fs::create_dir_all(installation.path("sign")).unwrap();
        let script = r#"
            set -e
            mount -t tmpfs -o size=40m,mode=0700 none "$1"
            (while [ -e "/proc/$$" ]; do
                if [ -e "$2" ]; then
                    [ -e "$1/filler" ] || dd if=/dev/zero of="$1/filler" bs=64k 2>/dev/null || true
                else
                    rm -f "$1/filler"
                fi
                sleep 0.05
            done) &
            exec "$3" --config "$4"
        "#;
        let child = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
            .arg(installation.path("sign"))
            .arg(installation.path("full"))
            .arg(env!("CARGO_BIN_EXE_countersign-sign"))
            .arg(installation.path("countersign.toml"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let sockets = &loaded.config.sockets;
        let serve = Client::new(&sockets.sign(), Role::Serve, loaded.digest);
        let admin = Client::new(&sockets.sign_admin(), Role::Admin, loaded.digest);
        let program = Self { child, serve, admin };
        program.wait_for("it answers", |_| true).await;
        Some(program)
    }

    async fn wait_for(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        for _ in 0..400 {
            if let Ok(SignReply::Healthy { ready, detail }) =
                self.serve.call(&SignRequest::Health, SOON).await
                && is_so(&format!("ready={ready} {detail:?}"))
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("never: {what}");
    }

    async fn ea_signatures(&self) -> String {
        match self.admin.call(&AdminRequest::Metrics, SOON).await.unwrap() {
            countersign_ipc::AdminReply::Text(text) => text
                .lines()
                .find(|line| line.starts_with("countersign_sign_ea_signatures_total"))
                .unwrap()
                .to_owned(),
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for OnSmallDisk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The same on a disk that is really full. Fails without `look_at_room` in `look.rs`.
#[tokio::test]
async fn a_full_disk_stops_signing_before_it_signs_until_there_is_room_again() {
    // The approval is made by the support's own clock, so any running one will do to make it.
    let running = start_with(Options { ea: "ea-ec", ..Options::default() }).await;
    let requests: Vec<SignRequest> = (0..3)
        .map(|_| {
            let csr = running.csr();
            let sealed = seal(&running.approval(&csr));
            SignRequest::Countersign { sealed, csr: csr.as_slice().into() }
        })
        .collect();
    let (installation, _) = running.stop().await;
    // A new ledger: the database is on the small disk.
    fs::remove_file(installation.path("checkpoints/ledger")).unwrap();
    let Some(program) = OnSmallDisk::start(&installation).await else {
        assert!(std::env::var_os("CI").is_none(), "CI must be able to make a namespace");
        return;
    };
    let ask = |request: &SignRequest| {
        let (serve, request) = (program.serve.clone(), request.clone());
        async move { serve.call(&request, SOON).await.unwrap() }
    };
    cms(ask(&requests[0]).await);
    let before = program.ea_signatures().await;
    fs::write(installation.path("full"), "").unwrap();
    program.wait_for("the disk is full", |state| state.contains("make room")).await;
    for _ in 0..5 {
        let reply = ask(&requests[1]).await;
        assert!(is_unavailable(&reply), "{reply:?}");
    }
    assert_eq!(program.ea_signatures().await, before, "the EA key was not used");
    // What is stored is still given out.
    cms(ask(&requests[0]).await);
    fs::remove_file(installation.path("full")).unwrap();
    program.wait_for("there is room", |state| state.contains("ready=true")).await;
    cms(ask(&requests[1]).await);
    cms(ask(&requests[2]).await);
}

/// The ledger's last entry is older than the jump: only what the clock itself said shows it. Fails
/// without `highest` in `clock.rs`.
#[tokio::test]
async fn a_clock_that_goes_back_in_a_quiet_hour_stops_signing() {
    let running = start().await;
    running.clock.move_by(3000);
    assert!(running.health().await.0);
    running.clock.move_by(-60);
    must_not_sign(&running, "clock went back").await;
    running.clock.move_by(60);
    assert!(running.health().await.0, "well again without any request");
    cms(sign_one(&running).await);
}

/// Fails without the look at the clock in `Ledger::open`.
#[tokio::test]
async fn the_highest_time_survives_a_restart() {
    let running = start().await;
    cms(sign_one(&running).await);
    running.clock.move_by(1000);
    let (installation, clock) = running.stop().await;
    clock.move_by(-500);
    let error = start_in(installation, clock).await.err().unwrap().to_string();
    assert!(error.contains("clock went back"), "{error}");
}

fn acceptance(confirm: Option<String>) -> Acceptance {
    Acceptance { who: "A. Admin".into(), reason: "an old backup".into(), confirm }
}

/// Says it twice, as an operator does, and gives back the words that were shown.
fn accept(installation: &Installation, clock: &TestClock) -> String {
    let loaded = installation.load();
    let clock = clock.clock();
    let Gap::Found { problem, word } = accept_gap(&loaded, &clock, &acceptance(None)).unwrap()
    else {
        panic!("there is something to accept");
    };
    let wrong = accept_gap(&loaded, &clock, &acceptance(Some("00000000".into()))).unwrap();
    assert_eq!(wrong, Gap::Found { problem: problem.clone(), word: word.clone() });
    let accepted = accept_gap(&loaded, &clock, &acceptance(Some(word.clone()))).unwrap();
    assert_eq!(accepted, Gap::Accepted { problem: problem.clone() });
    assert_eq!(accept_gap(&loaded, &clock, &acceptance(Some(word))).unwrap(), Gap::None);
    problem
}

#[tokio::test]
async fn an_operator_accepts_a_lost_end_of_the_ledger_and_everybody_sees_it() {
    let running = start().await;
    cms(sign_one(&running).await);
    let (installation, clock) = running.stop().await;
    let backup = installation.path("backup.db");
    fs::copy(installation.path("sign/sign.db"), &backup).unwrap();
    let running = start_in(installation, clock).await.unwrap();
    cms(sign_one(&running).await);
    let (installation, clock) = running.stop().await;
    fs::copy(&backup, installation.path("sign/sign.db")).unwrap();

    let problem = accept(&installation, &clock);
    assert!(problem.contains("cut off"), "{problem}");
    let running = start_in(installation, clock).await.unwrap();
    let gaps = running.entries("gap").await;
    assert_eq!(gaps.len(), 1);
    assert_eq!(
        (&gaps[0]["who"], &gaps[0]["reason"]),
        (&"A. Admin".into(), &"an old backup".into())
    );
    cms(sign_one(&running).await);
}

#[tokio::test]
async fn an_operator_accepts_that_the_clock_was_ahead() {
    let running = start().await;
    running.clock.move_by(1_000_000);
    let (installation, clock) = running.stop().await;
    clock.move_by(-1_000_000);
    let (installation, clock) = {
        let problem = accept(&installation, &clock);
        assert!(problem.contains("clock went back"), "{problem}");
        (installation, clock)
    };
    let running = start_in(installation, clock).await.unwrap();
    assert_eq!(running.entries("gap").await.len(), 1);
    cms(sign_one(&running).await);
    assert!(running.health().await.0);
}

#[tokio::test]
async fn a_damaged_ledger_is_never_accepted() {
    let running = start().await;
    cms(sign_one(&running).await);
    let (installation, clock) = running.stop().await;
    let database = Connection::open(installation.path("sign/sign.db")).unwrap();
    database
        .execute_batch(
            "DROP TRIGGER ledger_is_not_rewritten;
             UPDATE ledger SET body = replace(body, 'device-17', 'device-18')",
        )
        .unwrap();
    drop(database);
    // Even where something else is lost that could be accepted.
    fs::remove_file(installation.path("checkpoints/ledger")).unwrap();
    let (loaded, clock) = (installation.load(), clock.clock());
    let found = accept_gap(&loaded, &clock, &acceptance(None)).unwrap();
    let Gap::Found { word, .. } = found else { panic!("{found:?}") };
    let refused = accept_gap(&loaded, &clock, &acceptance(Some(word)));
    assert!(refused.unwrap_err().to_string().contains("damaged"));
}

#[tokio::test]
async fn nothing_is_accepted_while_sign_runs_or_where_nothing_is_lost() {
    let running = start().await;
    let loaded = running.installation.load();
    let refused = accept_gap(&loaded, &running.clock.clock(), &acceptance(None));
    assert!(refused.is_err(), "{refused:?}");
    let (installation, clock) = running.stop().await;
    let found = accept_gap(&installation.load(), &clock.clock(), &acceptance(None));
    assert_eq!(found.unwrap(), Gap::None);
}

#[tokio::test]
async fn a_clock_that_jumps_forward_does_not_empty_the_fuse() {
    let running = start_with(Options { fuse: (100, 100, 1), ..Options::default() }).await;
    cms(sign_one(&running).await);
    running.clock.move_by(2 * 86_400);
    let reply = sign_one(&running).await;
    let SignReply::Unavailable { detail, .. } = &reply else { panic!("{reply:?}") };
    assert!(detail.contains("fuse"), "{detail}");
}

/// Someone with the database and the rules of the chain adds a signature that this process never
/// made. Fails without `look_for_drift` in `look.rs`.
#[tokio::test]
async fn row_04_drift_between_ea_key_and_ledger_stops_signing_for_good() {
    let running = start().await;
    cms(sign_one(&running).await);
    assert!(running.health().await.0, "no drift by honest work");
    let entries = running.ledger().await;
    let signed = entries.iter().find(|entry| entry["kind"] == "signed").unwrap();
    let mut body: ledger::Signed = serde_json::from_value(signed["body"].clone()).unwrap();
    body.enrolment = [9; 32].into();
    let mut database = Connection::open(running.installation.path("sign/sign.db")).unwrap();
    let tx = database.transaction().unwrap();
    ledger::append(&tx, &Event::Signed(body), running.clock.now(), true).unwrap();
    tx.commit().unwrap();

    let (ready, detail) = running.health().await;
    assert!(!ready && detail.iter().any(|line| line.contains("somebody else")), "{detail:?}");
    must_not_sign(&running, "somebody else").await;
    let status = running.ask(AdminRequest::Status).await;
    let finding = status["findings"].as_array().unwrap().iter().find(|f| f["row"] == 4).unwrap();
    assert_eq!(
        (&finding["severity"], &finding["id"]),
        (&"critical".into(), &"ea-use-drift".into())
    );
    running.health().await;
    let alarms = running.entries("admin").await;
    let alarms: Vec<_> = alarms.iter().filter(|entry| entry["act"] == "ea-use-drift").collect();
    assert_eq!(alarms.len(), 1, "one alarm: {alarms:?}");
}

/// A ledger that lost an entry is found as well: by its chain, and by the count.
#[tokio::test]
async fn row_04_a_signature_that_is_gone_from_the_ledger_stops_signing() {
    let running = start().await;
    cms(sign_one(&running).await);
    cms(sign_one(&running).await);
    let database = Connection::open(running.installation.path("sign/sign.db")).unwrap();
    let last = "(SELECT max(idx) FROM ledger)";
    let triggers: Vec<String> = database
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    for trigger in triggers {
        database.execute_batch(&format!("DROP TRIGGER {trigger}")).unwrap();
    }
    database
        .execute_batch(&format!(
            "DELETE FROM signature WHERE ledger_index = {last};
             DELETE FROM ledger WHERE idx = {last}"
        ))
        .unwrap();
    must_not_sign(&running, "somebody else").await;
}

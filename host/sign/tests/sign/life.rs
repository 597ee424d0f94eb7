//! Start, stop, crash, fuse and clock.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use countersign_ipc::{AdminRequest, Client, Role, SignReply, SignRequest};
use countersign_ledger::{CheckpointKey, Witness, verify_database};
use countersign_sign::StartError;
use countersign_store::rusqlite::Connection;

use crate::support::{
    Installation, Options, Running, SOON, TestClock, cms, is_unavailable, seal, start, start_in,
    start_with,
};

async fn sign_one(running: &Running) -> SignReply {
    let csr = running.csr();
    running.countersign(&running.approval(&csr), &csr).await
}

#[tokio::test]
async fn row_05_every_entry_of_a_lab_says_so() {
    let running = start().await;
    cms(sign_one(&running).await);
    let entries = running.ledger().await;
    assert_eq!(entries.len(), 2);
    assert!(entries.iter().all(|entry| entry["lab"] == true), "{entries:?}");
    assert_eq!(running.ask(AdminRequest::Status).await["lab"], true);
}

#[tokio::test]
async fn stored_octets_survive_a_restart_and_the_ledger_tells_of_it() {
    let running = start_with(Options { ea: "ea-ec", ..Options::default() }).await;
    let csr = running.csr();
    let sealed = seal(&running.approval(&csr));
    let first = cms(running.bring(&sealed, &csr).await);
    let (installation, clock) = running.stop().await;
    let running = start_in(installation, clock).await.unwrap();
    assert_eq!(cms(running.bring(&sealed, &csr).await), first);
    assert_eq!(running.ea_signatures().await, 0, "since the restart");
    let kinds: Vec<_> = running.ledger().await.iter().map(|entry| entry["kind"].clone()).collect();
    assert_eq!(kinds, ["start", "signed", "stop", "start"]);
}

#[tokio::test]
async fn the_ledger_is_proved_offline_against_the_checkpoints() {
    let running = start().await;
    cms(sign_one(&running).await);
    let checkpoint = running.ask(AdminRequest::Checkpoint).await;
    assert_eq!(checkpoint["size"], 3, "start, signed, and the act of asking");
    let (installation, _) = running.stop().await;
    let key = CheckpointKey::from_file(&installation.path("secrets/checkpoint.key")).unwrap();
    let witness = Witness {
        files: vec![installation.path("checkpoints/ledger")],
        keys: vec![key.verifying_key().clone()],
    };
    let report = verify_database(&installation.path("sign/sign.db"), Some(&witness)).unwrap();
    assert_eq!((report.entries, report.covered), (4, 4));
}

#[tokio::test]
async fn an_older_database_than_the_checkpoint_is_refused_at_start() {
    let running = start().await;
    cms(sign_one(&running).await);
    let (installation, clock) = running.stop().await;
    fs::remove_dir_all(installation.path("sign")).unwrap();
    let refused = start_in(installation, clock).await.err().unwrap();
    assert!(matches!(refused, StartError::Ledger(_)), "{refused}");
    assert!(refused.to_string().contains("cut off"), "{refused}");
}

#[tokio::test]
async fn a_certificate_without_the_agents_purpose_is_refused_at_start() {
    let options = Options { ea: "no-agent", ..Options::default() };
    let refused = start_in(Installation::new(&options), TestClock::default()).await.err().unwrap();
    assert!(matches!(refused, StartError::Findings(_)), "{refused}");
    assert!(refused.to_string().contains("1.3.6.1.4.1.311.20.2.1"), "{refused}");
}

#[tokio::test]
async fn row_42_one_key_in_two_roles_is_refused_at_start() {
    let installation = Installation::new(&Options::default());
    let path = installation.path("countersign.toml");
    let config = fs::read_to_string(&path).unwrap();
    // The same pair under another name, so that only the modulus shows it.
    let copy = installation.path("rep-copy.pem");
    fs::copy(installation.ea_certificate(), &copy).unwrap();
    let rep = config.lines().find(|line| line.starts_with("rep = ")).unwrap();
    let changed =
        format!("rep = {{ certificate = \"{}\", key = \"file:other.key\" }}", copy.display());
    fs::write(&path, config.replace(rep, &changed)).unwrap();
    let refused = start_in(installation, TestClock::default()).await.err().unwrap();
    assert!(refused.to_string().contains("one-key-in-two-roles"), "{refused}");
}

#[tokio::test]
async fn an_expired_certificate_signs_no_more() {
    let running = start().await;
    running.clock.move_by(366 * 86_400);
    let reply = sign_one(&running).await;
    assert!(is_unavailable(&reply), "{reply:?}");
    let (ready, detail) = running.health().await;
    assert!(!ready && detail.iter().any(|line| line.contains("expired")), "{detail:?}");
    assert_eq!(running.ea_signatures().await, 0);
}

#[tokio::test]
async fn the_fuse_holds_across_a_restart_and_raises_one_alarm() {
    let running = start_with(Options { fuse: (2, 100, 100), ..Options::default() }).await;
    for _ in 0..2 {
        cms(sign_one(&running).await);
    }
    for _ in 0..3 {
        let reply = sign_one(&running).await;
        assert!(is_unavailable(&reply), "{reply:?}");
    }
    let (ready, detail) = running.health().await;
    assert!(!ready && detail.iter().any(|line| line.starts_with("fuse")), "{detail:?}");
    let alarms = running.entries("admin").await;
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    assert_eq!(alarms[0]["act"], "fuse-blown");

    // Setting the clock does not move the window of a running process.
    running.clock.move_by(120);
    assert!(is_unavailable(&sign_one(&running).await));
    running.clock.move_by(-120);

    let (installation, clock) = running.stop().await;
    clock.move_by(5);
    let running = start_in(installation, clock).await.unwrap();
    assert!(is_unavailable(&sign_one(&running).await));
    assert_eq!(running.ea_signatures().await, 0);
}

#[tokio::test]
async fn a_clock_that_goes_back_stops_signing_until_it_is_right_again() {
    let running = start().await;
    cms(sign_one(&running).await);
    running.clock.move_by(-60);
    let reply = sign_one(&running).await;
    assert!(is_unavailable(&reply), "{reply:?}");
    let (ready, detail) = running.health().await;
    assert!(!ready && detail.iter().any(|line| line.contains("clock went back")), "{detail:?}");
    assert_eq!(running.ea_signatures().await, 1, "nothing was signed under the wrong clock");
    running.clock.move_by(60);
    cms(sign_one(&running).await);
    assert!(running.health().await.0);
}

#[tokio::test]
async fn questions_of_other_processes_are_sent_there() {
    let running = start().await;
    let asked = AdminRequest::Requests { limit: 1 };
    assert!(running.refused_question(asked).await.contains("`serve`"));
    assert!(running.refused_question(AdminRequest::Plugins).await.contains("`verify`"));
    let status = running.ask(AdminRequest::Status).await;
    assert_eq!(status["ready"], true, "{status}");
    assert_eq!(status["ledger"]["size"], 1);
    assert_eq!(status["unsettled"], 0);
}

#[tokio::test]
async fn a_signature_that_does_not_become_durable_does_not_leave() {
    let running = start_with(Options { fuse: (1, 100, 100), ..Options::default() }).await;
    let database = Connection::open(running.installation.path("sign/sign.db")).unwrap();
    database
        .execute_batch(
            "CREATE TRIGGER broken BEFORE INSERT ON signature
             BEGIN SELECT RAISE(ABORT, 'the disk is on fire'); END",
        )
        .unwrap();
    let reply = sign_one(&running).await;
    assert!(is_unavailable(&reply), "{reply:?}");
    assert_eq!(running.ea_signatures().await, 1, "it was signed, and thrown away");
    // The ledger knows of every use of the key (I2), so there is no drift.
    let acts = running.entries("admin").await;
    assert_eq!(acts[0]["act"], "ea-signature-thrown-away", "{acts:?}");
    // Nothing is signed for a database that does not keep it.
    assert!(running.entries("signed").await.is_empty(), "entry and octets: both or none");

    database.execute_batch("DROP TRIGGER broken").unwrap();
    assert!(running.health().await.0, "well again without any request");
    // The lost one did not eat the only place under the fuse.
    cms(sign_one(&running).await);
}

#[tokio::test]
async fn a_ledger_that_was_rewritten_halts_signing_at_the_next_checkpoint() {
    let running = start().await;
    cms(sign_one(&running).await);
    let database = Connection::open(running.installation.path("sign/sign.db")).unwrap();
    database
        .execute_batch(
            "DROP TRIGGER ledger_is_not_rewritten;
             UPDATE ledger SET body = replace(body, 'device-17', 'device-18')
             WHERE kind = 'signed'",
        )
        .unwrap();
    let refused = running.refused_question(AdminRequest::Checkpoint).await;
    assert!(refused.contains("damaged"), "{refused}");
    assert!(is_unavailable(&sign_one(&running).await));
    assert_eq!(running.ea_signatures().await, 1);
    let (ready, detail) = running.health().await;
    assert!(!ready && detail.iter().any(|line| line.starts_with("halted")), "{detail:?}");
}

/// The program itself, as systemd would run it.
struct Program {
    child: Child,
    serve: Client<SignRequest, SignReply>,
}

impl Program {
    async fn start(installation: &Installation) -> Self {
        let loaded = installation.load();
        let child = Command::new(env!("CARGO_BIN_EXE_countersign-sign"))
            .arg("--config")
            .arg(installation.path("countersign.toml"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let serve = Client::new(&loaded.config.sockets.sign(), Role::Serve, loaded.digest);
        let program = Self { child, serve };
        for _ in 0..400 {
            if program.serve.call(&SignRequest::Health, SOON).await.is_ok() {
                return program;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the program did not answer");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_killed_process_gives_the_same_octets_after_its_restart() {
    // ECDSA: two signatures over the same octets differ, so equal ones are stored ones.
    let running = start_with(Options { ea: "ea-ec", ..Options::default() }).await;
    let csr = running.csr();
    let request = SignRequest::Countersign {
        sealed: seal(&running.approval(&csr)),
        csr: csr.as_slice().into(),
    };
    let (installation, _) = running.stop().await;

    let mut program = Program::start(&installation).await;
    let first = cms(program.serve.call(&request, SOON).await.unwrap());
    // SIGKILL: nothing is written in order.
    program.child.kill().unwrap();
    program.child.wait().unwrap();

    let mut program = Program::start(&installation).await;
    assert_eq!(cms(program.serve.call(&request, SOON).await.unwrap()), first);
    let terminated = Command::new("kill").arg(program.child.id().to_string()).status().unwrap();
    assert!(terminated.success());
    assert!(program.child.wait().unwrap().success(), "SIGTERM ends it in order");
    let kinds = "SELECT count(*) FROM ledger WHERE kind = ";
    assert_eq!(installation.count(&format!("{kinds}'signed'")), 1);
    assert_eq!(installation.count(&format!("{kinds}'start'")), 3);
    assert_eq!(installation.count(&format!("{kinds}'stop'")), 2, "none after the kill");
}

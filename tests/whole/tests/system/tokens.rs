//! Keys on SoftHSM2 behind a module that misbehaves: what a start refuses, and what a running
//! installation does when a token goes, comes back, or signs wrongly. Rows 20, 42 and 57.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use countersign_ipc::AdminRequest;
use countersign_lab_ca::{Algorithm, Role};
use countersign_tests::openssl::{openssl, output, run};
use countersign_tests::pkcs11_shim::ck::{
    CK_ATTRIBUTE_TYPE, CKA_ALWAYS_SENSITIVE, CKA_EXTRACTABLE, CKA_LOCAL, CKA_MODIFIABLE,
    CKA_NEVER_EXTRACTABLE, CKA_PRIVATE, CKA_SENSITIVE, CKA_TOKEN, CKM_RSA_X_509,
};
use countersign_tests::pkcs11_shim::{Change, Objects, Script, TokenPresence, When};
use countersign_tests::{Answer, Ended, Installation, Issued, PROFILE, Program};

/// From the next call of this process on.
fn now(installation: &Installation, program: Program, change: impl FnOnce(Script) -> Script) {
    let script = Script::forwarding_to(countersign_softhsm::module());
    installation.tokens().shim(program).follow(&change(script));
}

fn well(installation: &Installation, program: Program) {
    now(installation, program, |script| script);
}

fn logins(installation: &Installation, program: Program) -> usize {
    installation.tokens().shim(program).count("C_Login")
}

/// `countersign`, seeing the tokens.
fn command_line(installation: &Installation) -> Command {
    let mut command =
        Command::new(countersign_tests::program("serve").with_file_name("countersign"));
    command.env(countersign_softhsm::ENVIRONMENT, installation.file("tokens/softhsm2.conf"));
    command
}

async fn refused(installation: &mut Installation, program: Program) -> Ended {
    let ended = installation.refused_start(program).await;
    assert!(!ended.status.success(), "{program:?} started");
    ended
}

#[tokio::test(flavor = "multi_thread")]
async fn with_all_keys_on_softhsm2_devices_enrol_and_our_own_client_does() {
    for algorithm in [Algorithm::Rsa2048, Algorithm::P256] {
        let mut installation = Installation::builder().algorithm(algorithm).softhsm().start().await;
        let device = installation.new_device(PROFILE, &["CN=device-17"]).await;
        let _ = installation.enrol(PROFILE, &device).await.issued();

        let challenge = installation.issue_challenge(PROFILE, &["CN=device-18"]).await;
        let file = installation.file("challenge");
        std::fs::write(&file, challenge).unwrap();
        let certificate = installation.file("enrolled.pem");
        let Output { status, stderr, .. } = enrol(&installation, &file, &certificate);
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        let ca = installation.file("ca/ca.pem");
        run(openssl(&["verify", "-purpose", "sslclient", "-CAfile"]).arg(ca).arg(certificate));

        assert_eq!(installation.signatures().await, 2);
        let status = command_line(&installation)
            .args(["keys", "status", "--format", "json", "--config"])
            .arg(installation.config())
            .output()
            .unwrap();
        let facts: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
        assert_eq!(facts["good"], true, "{facts}");
        let _ = installation.sweep();
        installation.stop_all().await;
    }
}

fn enrol(installation: &Installation, challenge: &Path, certificate: &Path) -> Output {
    output(
        command_line(installation)
            .args(["enrol", "--subject", "CN=device-18"])
            .arg(installation.url(PROFILE))
            .arg("--challenge-file")
            .arg(challenge)
            .arg("--key")
            .arg(certificate.with_extension("key"))
            .arg("--cert")
            .arg(certificate),
    )
}

/// Asks as devices do until there is a certificate; nothing but 503 may come before.
async fn until_issued(installation: &Installation, device: &countersign_tests::Device) -> Issued {
    let started = Instant::now();
    loop {
        match installation.enrol(PROFILE, device).await {
            Answer::Issued(issued) => return issued,
            Answer::Http(reply) if reply.status == 503 => {}
            other => panic!("expected 503 or a certificate, found {other:?}"),
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{}", installation.logs());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn is_ready(installation: &Installation) -> bool {
    let facts = installation.facts(Program::Serve, AdminRequest::Status).await;
    facts["readiness"]["ready"] == true
}

/// Fails when a process has to be started anew to use a token that was away, or when a lost token
/// costs an enrolment more than time.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_goes_and_comes_back_is_used_again_by_the_same_processes() {
    for presence in [TokenPresence::Removed, TokenPresence::RemovedUntilInitialize] {
        for program in [Program::Serve, Program::Sign] {
            let mut installation = Installation::builder().shims().start().await;
            let ids = Program::ALL.map(|program| installation.running(program).id());
            let first = installation.new_device(PROFILE, &["CN=device-1"]).await;
            let _ = installation.enrol(PROFILE, &first).await.issued();

            now(&installation, program, |script| script.token(presence));
            let device = installation.new_device(PROFILE, &["CN=device-2"]).await;
            for _ in 0..3 {
                match installation.enrol(PROFILE, &device).await {
                    Answer::Http(reply) => {
                        assert_eq!(reply.status, 503, "{program:?}: {}", reply.text());
                        assert!(!reply.header("retry-after").is_empty());
                    }
                    other => panic!("{program:?}: expected 503, found {other:?}"),
                }
            }
            let started = Instant::now();
            while is_ready(&installation).await {
                assert!(started.elapsed() < Duration::from_secs(20), "{program:?} is ready");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            assert_eq!(installation.submissions(), 1);

            well(&installation, program);
            let _ = until_issued(&installation, &device).await;
            installation.wait_until_ready().await;
            let third = installation.new_device(PROFILE, &["CN=device-3"]).await;
            let _ = installation.enrol(PROFILE, &third).await.issued();

            // One for each enrolment, whatever went wrong on the way.
            assert_eq!((installation.signatures().await, installation.submissions()), (3, 3));
            assert_eq!(logins(&installation, program), 2);
            assert_eq!(Program::ALL.map(|program| installation.running(program).id()), ids);
            let _ = installation.sweep();
        }
    }
}

/// Fails when EA's signature is not verified in `sign` before it is used, or REP's in `serve`.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_signature_leaves_neither_sign_nor_serve() {
    let mut installation = Installation::builder().shims().start().await;
    now(&installation, Program::Sign, |script| script.signs_wrongly(When::Always));
    let device = installation.new_device(PROFILE, &["CN=device-1"]).await;
    match installation.enrol(PROFILE, &device).await {
        Answer::Http(reply) => assert_eq!(reply.status, 503),
        other => panic!("expected 503, found {other:?}"),
    }
    assert_eq!((installation.signatures().await, installation.submissions()), (0, 0));
    well(&installation, Program::Sign);
    let _ = until_issued(&installation, &device).await;

    now(&installation, Program::Serve, |script| script.signs_wrongly(When::Always));
    let other = installation.new_device(PROFILE, &["CN=device-2"]).await;
    match installation.enrol(PROFILE, &other).await {
        Answer::Http(reply) => assert_eq!(reply.status, 503),
        other => panic!("expected 503, found {other:?}"),
    }
    well(&installation, Program::Serve);
    let _ = until_issued(&installation, &other).await;
    assert_eq!((installation.signatures().await, installation.submissions()), (2, 2));
    installation.stop_all().await;
}

/// Fails when a hanging module hangs the device, or the process when it is to end.
#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_hangs_is_a_token_that_is_away() {
    let installation = Installation::builder().shims().start().await;
    let slow = Duration::from_secs(25);
    now(&installation, Program::Sign, |script| script.delays("C_Sign", slow, When::FirstCalls(2)));
    let device = installation.new_device(PROFILE, &["CN=device-1"]).await;
    let started = Instant::now();
    match installation.enrol(PROFILE, &device).await {
        Answer::Http(reply) => assert_eq!(reply.status, 503),
        other => panic!("expected 503, found {other:?}"),
    }
    assert!(started.elapsed() < slow, "{:?}", started.elapsed());
    well(&installation, Program::Sign);
    let _ = until_issued(&installation, &device).await;
    assert_eq!(installation.submissions(), 1);
}

/// Fails when raw RSA is needed where the token does not offer it.
#[tokio::test(flavor = "multi_thread")]
async fn without_raw_rsa_devices_enrol_and_it_is_a_finding() {
    let mut installation = Installation::builder().shims().start().await;
    installation.stop(Program::Serve).await;
    now(&installation, Program::Serve, |script| script.without_mechanism(CKM_RSA_X_509));
    installation.start(Program::Serve).await;
    installation.wait_until_ready().await;
    let device = installation.new_device(PROFILE, &["CN=device-1"]).await;
    let _ = installation.enrol(PROFILE, &device).await.issued();
    let facts = installation.facts(Program::Serve, AdminRequest::Status).await;
    assert!(facts["findings"].to_string().contains("token-without-raw-rsa"), "{facts}");
}

const KEPT: [(&str, CK_ATTRIBUTE_TYPE, bool); 8] = [
    ("CKA_TOKEN", CKA_TOKEN, true),
    ("CKA_PRIVATE", CKA_PRIVATE, true),
    ("CKA_SENSITIVE", CKA_SENSITIVE, true),
    ("CKA_ALWAYS_SENSITIVE", CKA_ALWAYS_SENSITIVE, true),
    ("CKA_NEVER_EXTRACTABLE", CKA_NEVER_EXTRACTABLE, true),
    ("CKA_LOCAL", CKA_LOCAL, true),
    ("CKA_EXTRACTABLE", CKA_EXTRACTABLE, false),
    ("CKA_MODIFIABLE", CKA_MODIFIABLE, false),
];

/// Fails when `sign` or `serve` does not examine a key of its own before it starts.
#[tokio::test(flavor = "multi_thread")]
async fn row_20_each_wrong_attribute_of_each_key_refuses_the_start_by_name() {
    let mut installation = Installation::builder().shims().prepare().await;
    for (program, key) in [(Program::Sign, "ea"), (Program::Serve, "cep"), (Program::Serve, "rep")]
    {
        for (attribute, kind, wanted) in KEPT {
            now(&installation, program, |script| {
                script.attribute(Objects::private(key), kind, Change::Set(!wanted))
            });
            let ended = refused(&mut installation, program).await;
            assert!(ended.stderr.contains(attribute), "{attribute} of {key}: {}", ended.stderr);
            assert!(ended.stderr.contains("row 20"), "{attribute} of {key}: {}", ended.stderr);
        }
        now(&installation, program, |script| script.duplicates(Objects::private(key)));
        let ended = refused(&mut installation, program).await;
        assert!(ended.stderr.contains("2 keys"), "{key}: {}", ended.stderr);
        well(&installation, program);
    }
    installation.start_all().await;
}

/// Fails when a log-in is tried again, in the same process or by the one that is started next.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_pin_is_tried_once_and_not_by_the_next_start_either() {
    let mut installation = Installation::builder().shims().prepare().await;
    let file = installation.file("secrets/sign.pin");
    let pin = std::fs::read(&file).unwrap();
    let before = logins(&installation, Program::Sign);
    std::fs::write(&file, "not the PIN").unwrap();
    let ended = refused(&mut installation, Program::Sign).await;
    assert!(ended.stderr.contains("refused its PIN"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("not the PIN"), "{}", ended.stderr);
    for _ in 0..3 {
        let ended = refused(&mut installation, Program::Sign).await;
        assert!(ended.stderr.contains("CKF_USER_PIN_COUNT_LOW"), "{}", ended.stderr);
    }
    assert_eq!(logins(&installation, Program::Sign), before + 1);
    std::fs::write(&file, pin).unwrap();
    let ended = refused(&mut installation, Program::Sign).await;
    assert!(ended.stderr.contains("no log-in is attempted"), "{}", ended.stderr);
}

/// Fails when the PIN's file is read whoever else can read it.
#[tokio::test(flavor = "multi_thread")]
async fn row_57_a_pin_that_others_can_read_refuses_the_start() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut installation = Installation::builder().shims().prepare().await;
    let before = logins(&installation, Program::Sign);
    let file = installation.file("secrets/sign.pin");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ended = refused(&mut installation, Program::Sign).await;
    assert!(ended.stderr.contains("sign.pin"), "{}", ended.stderr);
    assert_eq!(logins(&installation, Program::Sign), before);
}

/// A certificate of another kind for a role's key, by the CSR that `keys init` made.
fn certify(installation: &Installation, key: &str, role: Role) {
    let pem = installation.file(&format!("csr/{key}.csr"));
    let csr = installation.file("again.der");
    run(openssl(&["req", "-outform", "DER", "-in"]).arg(pem).arg("-out").arg(&csr));
    let der = installation.ca().issue_role_certificate(&std::fs::read(csr).unwrap(), role).unwrap();
    std::fs::write(installation.file(&format!("keys/{key}.pem")), der).unwrap();
}

/// Fails when a role's certificate is taken whatever it is for.
#[tokio::test(flavor = "multi_thread")]
async fn row_42_wrong_key_usage_and_the_agents_purpose_on_cep_refuse_the_start() {
    for (key, role, says) in [
        // digitalSignature only: whoever makes CEP sign has a REP.
        ("cep", Role::Rep, "keyEncipherment"),
        // The agent's purpose: whoever takes serve over could countersign.
        ("cep", Role::Ea, "Certificate Request Agent"),
        ("rep", Role::Cep, "digitalSignature"),
        ("rep", Role::Ea, "Certificate Request Agent"),
    ] {
        let mut installation = Installation::builder().shims().prepare().await;
        certify(&installation, key, role);
        let ended = refused(&mut installation, Program::Serve).await;
        assert_eq!(ended.status.code(), Some(4), "{key} as {role:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(says), "{key} as {role:?}: {}", ended.stderr);
    }
}

fn rewrite(installation: &Installation, from: &str, to: &str) {
    let config = std::fs::read_to_string(installation.config()).unwrap();
    assert!(config.contains(from));
    std::fs::write(installation.config(), config.replace(from, to)).unwrap();
}

/// Fails when the same key may have two names, or two roles one modulus.
#[tokio::test(flavor = "multi_thread")]
async fn row_42_one_modulus_in_two_roles_refuses_the_start() {
    // The same name twice is seen in the config.
    let mut installation = Installation::builder().shims().prepare().await;
    rewrite(&installation, "serve;object=rep", "serve;object=cep");
    let ended = refused(&mut installation, Program::Serve).await;
    assert!(ended.stderr.contains("one-key-in-two-roles"), "{}", ended.stderr);

    // A certificate over the modulus of another role is seen at the start: here EA's and REP's,
    // which are in different processes.
    let mut installation = Installation::builder().shims().prepare().await;
    let rep = std::fs::read(installation.file("keys/rep.pem")).unwrap();
    std::fs::write(installation.file("keys/ea.pem"), rep).unwrap();
    let ended = refused(&mut installation, Program::Serve).await;
    assert_eq!(ended.status.code(), Some(4), "{}", ended.stderr);
    assert!(ended.stderr.contains("row 42"), "{}", ended.stderr);
}

/// Fails when `serve` does not look for EA's key on its token (`sees_ea` in `role_keys.rs`).
#[tokio::test(flavor = "multi_thread")]
async fn serve_that_sees_the_modulus_of_ea_does_not_start() {
    let mut installation = Installation::builder().shims().prepare().await;
    let ea = installation.file("keys/ea.pem");
    let modulus = run(openssl(&["x509", "-noout", "-modulus", "-in"]).arg(&ea));
    let modulus = hex::decode(modulus.trim().trim_start_matches("Modulus=")).unwrap();
    installation.tokens().import_public_rsa(Program::Serve, &modulus);
    let ended = refused(&mut installation, Program::Serve).await;
    assert_eq!(ended.status.code(), Some(4), "{}", ended.stderr);
    assert!(ended.stderr.contains("serve-sees-the-ea-key"), "{}", ended.stderr);
    // `sign` has nothing to do with that token.
    installation.start(Program::Sign).await;
}

/// Fails when one token may hold EA and what `serve` uses.
#[tokio::test(flavor = "multi_thread")]
async fn row_57_ea_on_the_token_of_serve_is_refused_by_the_config() {
    let mut installation = Installation::builder().shims().prepare().await;
    rewrite(&installation, "countersign%20sign;object=ea", "countersign%20serve;object=ea");
    for program in [Program::Sign, Program::Serve] {
        let ended = refused(&mut installation, program).await;
        assert!(ended.stderr.contains("ea-shares-a-token"), "{}", ended.stderr);
    }
}

/// `keys status` at a terminal, as a person runs it. Fails when the prompt leaves the echo on.
#[tokio::test(flavor = "multi_thread")]
async fn a_pin_that_a_person_types_for_keys_status_is_not_shown() {
    let installation = Installation::builder().softhsm().prepare().await;
    let mut config = std::fs::read_to_string(installation.config()).unwrap();
    let mut pins = Vec::new();
    for program in [Program::Serve, Program::Sign] {
        let file = format!("secrets/{}.pin", program.name());
        pins.push((program.name(), std::fs::read_to_string(installation.file(&file)).unwrap()));
        config = config.replace(&format!("\"file:{file}\""), "\"prompt\"");
    }
    std::fs::write(installation.config(), config).unwrap();
    let status = format!(
        "{} keys status --format json --config {}",
        countersign_tests::program("serve").with_file_name("countersign").display(),
        installation.config().display()
    );
    let mut script = Command::new("script")
        .args(["--quiet", "--return", "--flush", "--command", &status, "/dev/null"])
        .env(countersign_softhsm::ENVIRONMENT, installation.file("tokens/softhsm2.conf"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("`script` of util-linux is there");
    let (mut keyboard, mut screen) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
    let (mut shown, mut typed, mut some) = (String::new(), Vec::<String>::new(), [0; 256]);
    loop {
        let count = screen.read(&mut some).unwrap();
        if count == 0 {
            break;
        }
        shown.push_str(&String::from_utf8_lossy(&some[..count]));
        // Each token is asked for by its label, in the order of the command.
        let asked = pins.iter().position(|(name, _)| {
            shown.contains(&format!("PIN of the token `countersign {name}`: "))
        });
        if let Some(asked) = asked {
            let (_, pin) = pins.remove(asked);
            keyboard.write_all(format!("{pin}\n").as_bytes()).unwrap();
            typed.push(pin);
        }
    }
    assert!(script.wait().unwrap().success(), "{shown}");
    assert_eq!(typed.len(), 2, "{shown}");
    assert!(typed.iter().all(|pin| !shown.contains(pin)), "a PIN was shown");
    assert!(shown.contains("\"good\": true") || shown.contains("\"good\":true"), "{shown}");
}

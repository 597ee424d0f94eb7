//! What a start refuses, and what keeps devices out until it is well: rows 5, 14, 35, 48, 61, 64.

use countersign_ipc::AdminRequest;
use countersign_lab_ca::{Misbehaviour, Role, Template};
use countersign_tests::openssl::{openssl, run};
use countersign_tests::{Answer, Ended, Installation, PROFILE, Program, TEMPLATE};

async fn refused(installation: &mut Installation, program: Program) -> Ended {
    let ended = installation.refused_start(program).await;
    assert!(!ended.status.success(), "{program:?} started");
    ended
}

/// Each process refuses the config, and says this.
async fn all_refuse(mut installation: Installation, says: &[&str]) {
    for program in Program::ALL {
        let Ended { stderr, .. } = refused(&mut installation, program).await;
        for words in says {
            assert!(stderr.contains(words), "{program:?} does not say {words:?}:\n{stderr}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_05_production_with_keys_in_files_does_not_start() {
    let installation = Installation::builder().mode("production").prepare().await;
    all_refuse(installation, &["software-key-in-production", "serve.keys.cep.key", "HSM"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_35_production_with_a_ca_on_this_host_does_not_start() {
    let installation = Installation::builder().mode("production").prepare().await;
    all_refuse(installation, &["authority-on-this-host", "row 35"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_61_the_switches_of_ndes_are_refused_by_name() {
    for (switch, id) in [
        ("EnforcePassword = 0", "enforce-password-is-no-option"),
        ("UseSinglePassword = 1", "use-single-password-is-no-option"),
    ] {
        let name = switch.split(' ').next().unwrap();
        let installation = Installation::builder().serve(switch).prepare().await;
        all_refuse(installation, &[id, name, "countersign.toml"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_64_plain_http_off_loopback_does_not_start() {
    let installation = Installation::builder().listen("0.0.0.0:0").prepare().await;
    all_refuse(installation, &["plaintext-listener"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_config_says_what_where_and_what_to_do() {
    let installation = Installation::builder().serve("lissten = \"127.0.0.1:1\"").prepare().await;
    all_refuse(installation, &["lissten", "did you mean `listen`", "countersign.toml:"]).await;
}

/// Gives the key of a role a certificate of another.
fn replace_certificate(installation: &Installation, key: &str, role: Role) {
    let csr = installation.file("replaced.csr");
    run(openssl(&["req", "-new", "-subj", "/CN=replaced", "-outform", "DER", "-key"])
        .arg(installation.file(&format!("keys/{key}.key")))
        .arg("-out")
        .arg(&csr));
    let der = installation.ca().issue_role_certificate(&std::fs::read(csr).unwrap(), role).unwrap();
    std::fs::write(installation.file(&format!("keys/{key}.pem")), der).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn row_14_a_critical_finding_about_a_key_refuses_the_start() {
    let mut installation = Installation::builder().prepare().await;
    // REP with the purpose of EA: whoever has `serve` could countersign.
    replace_certificate(&installation, "rep", Role::Ea);
    let ended = refused(&mut installation, Program::Serve).await;
    assert_eq!(ended.status.code(), Some(4), "{}", ended.stderr);
    assert!(ended.stderr.contains("critical"), "{}", ended.stderr);

    let mut installation = Installation::builder().prepare().await;
    // EA without it: nothing it signs is worth anything.
    replace_certificate(&installation, "ea", Role::Rep);
    let ended = refused(&mut installation, Program::Sign).await;
    assert_eq!(ended.status.code(), Some(4), "{}", ended.stderr);
    assert!(ended.stderr.contains("ea-certificate-cannot-countersign"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_14_row_48_while_the_ca_takes_requests_without_countersignature_nobody_is_served() {
    let mut unprotected = Template::named(TEMPLATE);
    unprotected.authorised_signatures = 0;
    let accepting = Template::named(TEMPLATE).that(Misbehaviour::AcceptUncountersigned);
    for template in [unprotected, accepting] {
        let mut installation = Installation::builder().template(template).prepare().await;
        for program in Program::ALL {
            installation.start(program).await;
        }
        let is_alarm = |event: &serde_json::Value| {
            event.to_string().contains("ca-accepts-without-countersignature")
        };
        installation.running(Program::Serve).event("the alarm", is_alarm).await;

        let device = installation.new_device(PROFILE, &["CN=device-17"]).await;
        match installation.enrol(PROFILE, &device).await {
            Answer::Http(reply) => {
                assert_eq!(reply.status, 503);
                assert!(!reply.header("retry-after").is_empty());
            }
            other => panic!("expected 503, found {other:?}"),
        }
        assert_eq!(installation.signatures().await, 0);
        // Readiness may have been looked at just before the probe's answer.
        let mut status = 0;
        for _ in 0..200 {
            status = installation.get("/health/ready").await.status.as_u16();
            if status == 503 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert_eq!(status, 503);
        let facts = installation.facts(Program::Serve, AdminRequest::Status).await;
        assert_eq!(facts["readiness"]["ready"], false, "{facts}");
        assert!(facts["findings"].to_string().contains("ca-accepts-without-countersignature"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_48_until_the_ca_has_refused_the_probe_nobody_is_served() {
    let mut installation = Installation::builder().prepare().await;
    installation.stop_ca().await;
    for program in Program::ALL {
        installation.start(program).await;
    }
    let device = installation.new_device(PROFILE, &["CN=device-17"]).await;
    match installation.enrol(PROFILE, &device).await {
        Answer::Http(reply) => assert_eq!(reply.status, 503),
        other => panic!("expected 503, found {other:?}"),
    }
    // A CA that is down does not fail the load balancer's probe.
    assert_eq!(installation.get("/health/ready").await.status, 200);
    installation.start_ca().await;
    installation.wait_until_ready().await;
    let _ = installation.enrol(PROFILE, &device).await.issued();
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_with_different_configs_do_not_talk() {
    let mut installation = Installation::start_usual().await;
    let device = installation.new_device(PROFILE, &["CN=device-17"]).await;
    installation.stop(Program::Verify).await;
    let config = std::fs::read_to_string(installation.config()).unwrap();
    std::fs::write(installation.config(), format!("{config}\n# changed\n")).unwrap();
    installation.start(Program::Verify).await;
    let answer = installation.enrol(PROFILE, &device).await;
    assert!(matches!(answer, Answer::Http(ref reply) if reply.status == 503), "{answer:?}");
    std::fs::write(installation.config(), config).unwrap();
    installation.stop(Program::Verify).await;
    installation.start(Program::Verify).await;
    let _ = installation.enrol(PROFILE, &device).await.issued();
}

//! A verifier that neither approves nor denies: what the device is told, and what is held for it.

use countersign_ipc::AdminRequest;
use countersign_tests::{Answer, Device, Installation, Plugin, Profile, Program};

use crate::guests::Guest;

const NAMES: [&str; 1] = ["CN=device-17"];

/// Where the guest's verdict lies, free among the other things of [`Guest`].
const VERDICT: u32 = 0x980;

/// A guest that says `pending` (case 2) or `unavailable` (case 3) of so many seconds, always.
pub(crate) fn saying(case: u32, seconds: u32) -> Guest {
    // Case, padding, after-seconds, an empty detail, no attributes.
    let words = [case, 0, seconds, 0, 0, 0, 0];
    let octets: String = words
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .map(|octet| format!("\\{octet:02x}"))
        .collect();
    Guest {
        fields: format!("(data (i32.const {VERDICT}) \"{octets}\")"),
        ..Guest::verifying(format!("(i32.const {VERDICT})"))
    }
}

async fn with(name: &str, guest: &Guest, folder: &tempfile::TempDir) -> Installation {
    let component = folder.path().join("guest.wasm");
    std::fs::write(&component, guest.build()).unwrap();
    Installation::builder()
        .plugin(Plugin::new(name, component, ""))
        .profile(Profile::named(name).verifiers(&["one-time-password", name]))
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_a_verifier_wants_to_wait_is_kept_with_its_challenge() {
    let folder = tempfile::tempdir().unwrap();
    let mut installation = with("waits", &saying(2, 5), &folder).await;
    let challenge = installation.issue_challenge("waits", &NAMES).await;
    let device = Device::new(&NAMES, Some(&challenge));
    assert!(installation.poll("waits", &device).await.is_refused_without_reason());
    assert_eq!(installation.enrol("waits", &device).await, Answer::Pending);
    assert_eq!(installation.enrol("waits", &device).await, Answer::Pending);
    installation.crash(Program::Serve).await;
    installation.crash(Program::Verify).await;
    assert_eq!(installation.poll("waits", &device).await, Answer::Pending);

    // Nobody else can use its challenge in the meantime.
    let thief = Device::new(&NAMES, Some(&challenge));
    assert!(installation.enrol("waits", &thief).await.is_refused_without_reason());

    let requests = installation.facts(Program::Serve, AdminRequest::Requests { limit: 10 }).await;
    assert_eq!(requests.as_array().map(Vec::len), Some(1), "{requests}");
    assert_eq!(requests[0]["state"], "waiting");
    assert_eq!(installation.signatures().await, 0);
    assert_eq!(installation.submissions(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_verifier_cannot_tell_the_device_comes_again_and_nothing_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let installation = with("away", &saying(3, 7), &folder).await;
    let device = installation.new_device("away", &NAMES).await;
    match installation.enrol("away", &device).await {
        Answer::Http(reply) => {
            assert_eq!(reply.status, 503);
            assert_eq!(reply.header("retry-after"), "7");
        }
        other => panic!("expected 503, found {other:?}"),
    }
    let requests = installation.facts(Program::Serve, AdminRequest::Requests { limit: 10 }).await;
    assert_eq!(requests.as_array().map(Vec::len), Some(0), "{requests}");
    assert!(installation.ledger_of("denied").await.is_empty());
    assert_eq!(installation.signatures().await, 0);
}

//! Challenges that come again: counted, an alarm, a pause for their device; and a device that repeats
//! its own when it renews, which is nothing of the kind. Row 2 of the founding checklist.

use countersign_ipc::{AdminReply, AdminRequest};
use countersign_scep::client::{DeviceKey, KeySize};
use countersign_tests::{Device, Installation, Profile, Program, csr};

const NAMES: [&str; 2] = ["CN=device-17", "DNS:device-17.example"];
const PROFILE: &str = "devices";

const LIMITS: &str = "[verify.challenges]\nalarm-after = 3\nlock-device-after = 4\n\
                      lock-source-after = 0\nlock-seconds = 600\n";

async fn start() -> Installation {
    Installation::builder()
        .profile(Profile::named(PROFILE).renewal(&["one-time-password"]))
        .sections(LIMITS)
        .start()
        .await
}

async fn challenge(installation: &Installation, names: &[&str], device_id: &str) -> String {
    let question = AdminRequest::IssueChallenge {
        profile: PROFILE.to_owned(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        device_id: Some(device_id.to_owned()),
        ttl: 600,
    };
    match installation.admin(Program::Verify, question).await {
        AdminReply::Challenge { text, .. } => text.to_string(),
        other => panic!("{other:?}"),
    }
}

async fn metrics(installation: &Installation) -> String {
    match installation.admin(Program::Verify, AdminRequest::Metrics).await {
        AdminReply::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_02_a_challenge_that_others_try_again_alarms_and_makes_its_device_wait() {
    let installation = start().await;
    let spent = challenge(&installation, &NAMES, "17").await;
    let _ = installation.enrol(PROFILE, &Device::new(&NAMES, Some(&spent))).await.issued();
    for _ in 0..4 {
        let thief = Device::new(&NAMES, Some(&spent));
        assert!(installation.enrol(PROFILE, &thief).await.is_refused_without_reason());
    }
    assert!(installation.logs().contains("ALARM: requests keep being refused"));
    let counted = metrics(&installation).await;
    for line in [
        "challenge_abuse_total{kind=\"reuse\"} 4",
        "challenge_alarms_total{kind=\"reuse\",by=\"device\"} 1",
        "challenge_locks_total{by=\"device\"} 1",
    ] {
        assert!(counted.contains(line), "{line}\n{counted}");
    }
    // Whoever gets a fresh one for that device waits now; another device does not.
    let fresh = challenge(&installation, &NAMES, "17").await;
    let device = Device::new(&NAMES, Some(&fresh));
    assert!(installation.enrol(PROFILE, &device).await.is_refused_without_reason());
    let denied = installation.wait_for_ledger("denied", 5).await;
    assert_eq!(denied[4]["body"]["code"], "challenge-locked");
    let names = ["CN=device-18", "DNS:device-18.example"];
    let other = challenge(&installation, &names, "18").await;
    let _ = installation.enrol(PROFILE, &Device::new(&names, Some(&other))).await.issued();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_renews_with_its_own_spent_challenge_is_no_alarm() {
    let installation = start().await;
    let spent = challenge(&installation, &NAMES, "17").await;
    let device = Device::new(&NAMES, Some(&spent));
    let issued = installation.enrol(PROFILE, &device).await.issued();
    installation.wait_until_told().await;
    let next = DeviceKey::generate(KeySize::Rsa2048).unwrap();
    let device = device.renewing(&issued, csr(&next, &NAMES, Some(&spent)));
    for _ in 0..4 {
        assert!(installation.renew(PROFILE, &device).await.is_refused_without_reason());
    }
    let denied = installation.wait_for_ledger("denied", 1).await;
    assert_eq!(denied[0]["body"]["code"], "challenge-used");
    assert!(!metrics(&installation).await.contains("challenge_abuse"));
    // The same text from a stranger is counted.
    let thief = Device::new(&NAMES, Some(&spent));
    assert!(installation.enrol(PROFILE, &thief).await.is_refused_without_reason());
    assert!(metrics(&installation).await.contains("challenge_abuse_total{kind=\"reuse\"} 1"));
    // And the device renews with a fresh one, which no lock keeps from it.
    let fresh = challenge(&installation, &NAMES, "17").await;
    let next = DeviceKey::generate(KeySize::Rsa2048).unwrap();
    let device = Device { csr: csr(&next, &NAMES, Some(&fresh)), ..device };
    let _ = installation.renew(PROFILE, &device).await.issued();
}

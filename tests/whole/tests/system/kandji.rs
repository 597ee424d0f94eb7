//! The plug-in `kandji` between devices with the static challenge of a library item and Kandji's
//! inventory.

use countersign_stubs::{Identity, KandjiDevice, KandjiServer, KandjiTenant};
use countersign_tests::{Answer, Device, Installation, Plugin, Profile, component};

const PROFILE: &str = "kandji";
const CHALLENGE: &str = "OPEN-SESAME-17";
const TOKEN: &str = "7e57-t0ken";

/// Kandji with two Macs, one that is not managed, and those that make it fail.
async fn start() -> (Installation, KandjiServer) {
    let identity = Identity::new(&["DNS:localhost"]);
    let mut tenant = KandjiTenant::new(TOKEN);
    for (number, serial) in [
        (52, "C02XK1"),
        (53, "C02XK2"),
        (60, "ERROR60"),
        (61, "BROKEN61"),
        (62, "TWICE62"),
        (63, "DENIED63"),
        (64, "BUSY64"),
        (65, "SLOW65"),
    ] {
        tenant = tenant.device(KandjiDevice::new(number, serial));
    }
    let kandji = tenant.start(&identity).await;
    let url = format!("https://localhost:{}", kandji.server().address().port());
    let plugin = format!(
        "[settings]\nurl = \"{url}\"\n\
         [grants]\nlog = true\nkv = true\nhosts = [\"{{/url}}\"]\n\
         addresses = [\"127.0.0.0/8\", \"::1\"]\nsecrets = [\"kandji-challenge\"]\n\
         [http]\nroots = \"keys/kandji.pem\"\n\
         [secrets.kandji-challenge]\nvalue = \"file:secrets/kandji.challenge\"\n\
         [credentials.kandji-api]\nhosts = [\"{{/url}}\"]\n\
         [credentials.kandji-api.authentication.bearer]\ntoken = \"file:secrets/kandji.token\"\n"
    );
    let mut installation = Installation::builder()
        .plugin(Plugin::new("kandji", component("kandji"), &plugin))
        .profile(Profile::named(PROFILE).verifiers(&["kandji"]))
        .prepare()
        .await;
    std::fs::write(installation.file("keys/kandji.pem"), identity.certificate_pem()).unwrap();
    for (name, secret) in [("kandji.challenge", CHALLENGE), ("kandji.token", TOKEN)] {
        let file = installation.file("secrets").join(name);
        std::fs::write(&file, format!("{secret}\n")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&file, mode).unwrap();
    }
    installation.start_all().await;
    (installation, kandji)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_of_the_inventory_enrols_once_and_a_wrong_one_never() {
    let (installation, kandji) = start().await;
    // Everybody knows the challenge: it alone opens nothing.
    let stranger = Device::new(&["CN=C02NONE"], Some(CHALLENGE));
    assert!(installation.enrol(PROFILE, &stranger).await.is_refused_without_reason());
    // Row 2: nor does it give another name.
    let thief = Device::new(&["CN=C02XK1", "DNS:boss.example"], Some(CHALLENGE));
    assert!(installation.enrol(PROFILE, &thief).await.is_refused_without_reason());
    let guess = Device::new(&["CN=C02XK1"], Some("OPEN-SESAME-18"));
    assert!(installation.enrol(PROFILE, &guess).await.is_refused_without_reason());

    let device = Device::new(&["CN=C02XK1"], Some(CHALLENGE));
    let _ = installation.enrol(PROFILE, &device).await.issued();
    // The same again gets the same; another key in its name gets nothing.
    let _ = installation.enrol(PROFILE, &device).await.issued();
    let other_key = Device::new(&["CN=C02XK1"], Some(CHALLENGE));
    assert!(installation.enrol(PROFILE, &other_key).await.is_refused_without_reason());
    assert_eq!(installation.signatures().await, 1);
    assert_eq!(kandji.refused(), Vec::<String>::new());
    let denied = installation.wait_for_ledger("denied", 4).await;
    let codes: Vec<_> = denied.iter().map(|entry| entry["body"]["code"].clone()).collect();
    assert_eq!(codes[0], "device-unknown");
    assert_eq!(codes[2..], ["challenge-unknown", "already-enrolled"]);
    assert!(!installation.logs().contains(CHALLENGE), "no challenge in a log");

    // Enrolled anew in Kandji, it may.
    kandji.change("C02XK1", |device| {
        device.last_enrollment = "2025-09-01 08:00:00.000000+00:00".to_owned();
    });
    let _ = installation.enrol(PROFILE, &other_key).await.issued();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_leaves_or_is_to_be_erased_gets_nothing() {
    let (installation, kandji) = start().await;
    let device = Device::new(&["CN=C02XK2"], Some(CHALLENGE));
    kandji.change("C02XK2", |device| {
        device.erase = Some(("2025-06-01T10:00:00.000000Z".to_owned(), 1));
    });
    assert!(installation.enrol(PROFILE, &device).await.is_refused_without_reason());
    kandji.change("C02XK2", |device| {
        device.erase = None;
        device.is_removed = true;
    });
    assert!(installation.enrol(PROFILE, &device).await.is_refused_without_reason());
    kandji.delete("C02XK2");
    assert!(installation.enrol(PROFILE, &device).await.is_refused_without_reason());
    let denied = installation.wait_for_ledger("denied", 3).await;
    let codes: Vec<_> = denied.iter().map(|entry| entry["body"]["code"].clone()).collect();
    assert_eq!(codes, ["device-not-permitted", "device-not-permitted", "device-unknown"]);
    assert_eq!(installation.signatures().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kandji_cannot_say_now_makes_the_device_come_again() {
    let (installation, _kandji) = start().await;
    for serial in ["ERROR60", "BROKEN61", "TWICE62", "DENIED63", "BUSY64", "SLOW65"] {
        let device = Device::new(&[&format!("CN={serial}")], Some(CHALLENGE));
        match installation.enrol(PROFILE, &device).await {
            Answer::Http(reply) => assert_eq!(reply.status, 503, "{serial}"),
            other => panic!("{serial}: expected 503, found {other:?}"),
        }
    }
    assert_eq!(installation.signatures().await, 0);
}

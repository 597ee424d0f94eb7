//! The plug-in `managed-renewal`: a device renews with its current certificate while its management has
//! it, and no longer.

use countersign_scep::client::{DeviceKey, KeySize};
use countersign_stubs::{DeviceApi, DeviceApiServer, Identity};
use countersign_tests::{Answer, Device, Installation, PROFILE, Plugin, Profile, component, csr};
use serde_json::json;

const NAMES: [&str; 2] = ["CN=device-17", "DNS:device-17.example"];

async fn with(api: DeviceApi) -> (Installation, DeviceApiServer) {
    let identity = Identity::new(&["DNS:localhost"]);
    let api = api.start(&identity).await;
    let url = format!("https://localhost:{}/devices/{{CN}}", api.server().address().port());
    let sections = format!(
        "[settings]\nurl = \"{url}\"\npointer = \"/state\"\nexpected = [\"managed\"]\n\
         [grants]\nlog = true\nhosts = [\"{{/url}}\"]\naddresses = [\"127.0.0.0/8\", \"::1\"]\n\
         [http]\nroots = \"keys/api.pem\"\n"
    );
    let mut installation = Installation::builder()
        .plugin(Plugin::new("managed", component("managed-renewal"), &sections))
        .profile(Profile::named(PROFILE).renewal(&["managed"]))
        .prepare()
        .await;
    std::fs::write(installation.file("keys/api.pem"), identity.certificate_pem()).unwrap();
    installation.start_all().await;
    (installation, api)
}

/// A device with its first certificate, about to renew with a new key.
async fn ready_to_renew(installation: &Installation) -> Device {
    let device = installation.new_device(PROFILE, &NAMES).await;
    let issued = installation.enrol(PROFILE, &device).await.issued();
    installation.wait_until_told().await;
    let next = DeviceKey::generate(KeySize::Rsa2048).unwrap();
    device.renewing(&issued, csr(&next, &NAMES, None))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_renews_while_it_is_managed_and_no_longer() {
    let managed = json!({ "state": "managed" });
    let (installation, api) = with(DeviceApi::new().device("device-17", managed)).await;
    let device = ready_to_renew(&installation).await;
    assert_eq!(api.asked(), Vec::<String>::new(), "a first enrolment is not its business");
    let _ = installation.renew(PROFILE, &device).await.issued();
    assert_eq!(api.asked(), ["device-17"]);

    // Retired: its certificate is good and on no list, and still it renews no more.
    api.set("device-17", json!({ "state": "retired" }));
    let device = ready_to_renew(&installation).await;
    assert!(installation.renew(PROFILE, &device).await.is_refused_without_reason());
    api.forget("device-17");
    assert!(installation.renew(PROFILE, &device).await.is_refused_without_reason());
    let denied = installation.wait_for_ledger("denied", 2).await;
    let codes: Vec<_> = denied.iter().map(|entry| entry["body"]["code"].clone()).collect();
    assert_eq!(codes, ["device-not-permitted", "device-unknown"]);
    assert_eq!(installation.signatures().await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_management_that_is_down_makes_the_device_come_again() {
    let (installation, api) = with(DeviceApi::new().device("device-17", json!({}))).await;
    let device = ready_to_renew(&installation).await;
    match installation.renew(PROFILE, &device).await {
        Answer::Http(reply) => assert_eq!(reply.status, 503),
        other => panic!("expected 503, found {other:?}"),
    }
    api.set("device-17", json!({ "state": "managed" }));
    let _ = installation.renew(PROFILE, &device).await.issued();
}

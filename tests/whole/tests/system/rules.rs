//! The plug-in `rules`: expressions of an admin's own over the request, the challenge and what a device
//! management says.

use countersign_ipc::{AdminReply, AdminRequest};
use countersign_stubs::{DeviceApi, DeviceApiServer, Identity};
use countersign_tests::{Answer, Device, Installation, Plugin, Profile, Program, component};
use serde_json::json;

const NAMES: [&str; 2] = ["CN=device-17", "DNS:device-17.example"];
const PROFILE: &str = "ruled";
const TOKEN: &str = "a-bearer-token-of-the-api";

async fn with(api: DeviceApi) -> (Installation, DeviceApiServer) {
    let identity = Identity::new(&["DNS:localhost"]);
    let api = api.bearer(TOKEN).start(&identity).await;
    let url = format!("https://localhost:{}/devices/{{id}}", api.server().address().port());
    // As deep and as long as an expression may be: the sandbox's stack is smaller than ours.
    let deep = format!("{}true{}", "(".repeat(24), ")".repeat(24));
    let long = format!("1{} > 0", " + 1".repeat(60));
    let sections = format!(
        "[settings]\n\
         rules = [{{ name = \"managed\", permit = \"device.state == 'managed'\", \
                     deny-message = \"retired\" }}, \
                  {{ permit = \"request.key.bits >= 2048 && request.kind == 'initial'\" }}, \
                  {{ permit = \"{deep}\" }}, {{ permit = \"{long}\" }}]\n\
         names = \"device.names\"\n\
         look-up = {{ by = \"challenge.device_id\", url = \"{url}\", credential = true, \
                      timeout-ms = 500 }}\n\
         [grants]\nlog = true\nchallenges = true\nhosts = [\"{{/look-up/url}}\"]\n\
         addresses = [\"127.0.0.0/8\", \"::1\"]\n\
         [http]\nroots = \"keys/api.pem\"\n\
         [credentials.device-api]\nhosts = [\"{{/look-up/url}}\"]\n\
         authentication.bearer = {{ token = \"file:secrets/api.token\" }}\n"
    );
    let mut installation = Installation::builder()
        .plugin(Plugin::new("rules", component("rules"), &sections))
        .profile(Profile::named(PROFILE).verifiers(&["rules"]))
        .prepare()
        .await;
    std::fs::write(installation.file("keys/api.pem"), identity.certificate_pem()).unwrap();
    let token = installation.file("secrets/api.token");
    std::fs::write(&token, TOKEN).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&token, mode).unwrap();
    installation.start_all().await;
    (installation, api)
}

/// A challenge for a device of this id.
async fn challenge(installation: &Installation, id: &str) -> String {
    let question = AdminRequest::IssueChallenge {
        profile: PROFILE.to_owned(),
        names: NAMES.map(str::to_owned).to_vec(),
        device_id: Some(id.to_owned()),
        ttl: 3600,
    };
    match installation.admin(Program::Verify, question).await {
        AdminReply::Challenge { text, .. } => text.to_string(),
        other => panic!("expected a challenge, found {other:?}"),
    }
}

async fn denial(installation: &Installation) -> String {
    let denied = installation.wait_for_ledger("denied", 1).await;
    denied[0]["body"]["code"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_enrols_for_the_names_that_its_management_has_while_it_is_managed() {
    let record = json!({ "state": "managed", "names": NAMES });
    let (installation, api) = with(DeviceApi::new().device("17", record)).await;
    let open = challenge(&installation, "17").await;
    // With the challenge of device 17, nobody gets another name.
    let thief = Device::new(&["CN=device-18", "DNS:device-18.example"], Some(&open));
    assert!(installation.enrol(PROFILE, &thief).await.is_refused_without_reason());
    let device = Device::new(&NAMES, Some(&open));
    let _ = installation.enrol(PROFILE, &device).await.issued();
    assert!(api.asked().iter().all(|id| id == "17"));
    assert_eq!(api.refused(), Vec::<&str>::new(), "the credential was there");

    api.set("17", json!({ "state": "retired", "names": NAMES }));
    let device = Device::new(&NAMES, Some(&challenge(&installation, "17").await));
    assert!(installation.enrol(PROFILE, &device).await.is_refused_without_reason());
    assert_eq!(installation.signatures().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_the_management_does_not_know_is_denied() {
    let (installation, _api) = with(DeviceApi::new()).await;
    let device = Device::new(&NAMES, Some(&challenge(&installation, "99").await));
    assert!(installation.enrol(PROFILE, &device).await.is_refused_without_reason());
    assert_eq!(denial(&installation).await, "device-unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_does_not_answer_makes_the_device_come_again() {
    let (installation, api) = with(DeviceApi::new()).await;
    for id in ["stub:401", "stub:429", "stub:500", "stub:slow", "stub:truncated", "stub:html"] {
        let device = Device::new(&NAMES, Some(&challenge(&installation, id).await));
        match installation.enrol(PROFILE, &device).await {
            Answer::Http(reply) => assert_eq!(reply.status, 503, "{id}"),
            other => panic!("{id}: expected 503, found {other:?}"),
        }
        assert_eq!(api.asked().last().map(String::as_str), Some(id));
    }
    assert_eq!(installation.signatures().await, 0);
}

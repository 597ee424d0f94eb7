//! The plug-in `workspace-one` between a UEM that fetches challenges from the NDES page and answers for
//! its devices, and devices that enrol with them.

use countersign_stubs::{Client, Identity, UemConsole, UemDevice, UemServer};
use countersign_tests::{Answer, Device, Installation, Plugin, Profile, component};

use crate::mdm_caller;

const PROFILE: &str = "phones";
const PAGE: &str = "/certsrv/mscep_admin/";

/// A UEM with two phones, those that make it fail, and an installation that asks it.
async fn start() -> (Installation, UemServer, Client) {
    let identity = Identity::new(&["DNS:localhost"]);
    let mut console = UemConsole::new("countersign", "a password of UEM's", "1qaz2wsx3edc");
    for (id, serial) in [
        (52, "F4GXK1"),
        (53, "F4GXK2"),
        (60, "ERROR60"),
        (61, "BROKEN61"),
        (62, "HTML62"),
        (63, "DENIED63"),
        (64, "BUSY64"),
        (65, "SLOW65"),
    ] {
        console = console.device(UemDevice::new(id, serial));
    }
    let uem = console.start(&identity).await;
    let url = format!("https://localhost:{}", uem.server().address().port());
    let plugin = format!(
        "[settings]\nurl = \"{url}\"\ntenant-code = \"1qaz2wsx3edc\"\n\
         ownership = [\"corporate-dedicated\"]\norganization-groups = [570]\n\
         [grants]\nlog = true\nchallenges = true\nkv = true\nhosts = [\"{{/url}}\"]\n\
         addresses = [\"127.0.0.0/8\", \"::1\"]\n\
         [http]\nroots = \"keys/uem.pem\"\n\
         [credentials.workspace-one-api]\nhosts = [\"{{/url}}\"]\n\
         [credentials.workspace-one-api.authentication.basic]\nusername = \"countersign\"\n\
         password = \"file:secrets/uem.password\"\n"
    );
    let sections = format!(
        "{}\n[verify.mdm.page.\"{PAGE}\"]\nprofile = \"{PROFILE}\"\nverifier-knows-names = true\n",
        mdm_caller::section("ws1", &[PROFILE])
    );
    let mut installation = Installation::builder()
        .plugin(Plugin::new("workspace-one", component("workspace-one"), &plugin))
        .profile(Profile::named(PROFILE).verifiers(&["workspace-one"]))
        .sections(&sections)
        .prepare()
        .await;
    std::fs::write(installation.file("keys/uem.pem"), identity.certificate_pem()).unwrap();
    let password = installation.file("secrets/uem.password");
    std::fs::write(&password, "a password of UEM's\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&password, mode).unwrap();
    mdm_caller::identity(&installation);
    installation.start_all().await;
    let client = mdm_caller::client(&mut installation, "ws1").await;
    (installation, uem, client)
}

/// What UEM reads from the page (UTF-16LE without a mark): the text of the bold element after the label.
async fn challenge(client: &Client) -> String {
    let page = client.get(PAGE).await;
    assert_eq!(page.status, 200, "{}", page.text());
    let units = page.body.chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let text: String = char::decode_utf16(units).map(Result::unwrap).collect();
    let (_, after) = text.split_once("The enrollment challenge password is:").expect("the label");
    let (_, bold) = after.split_once("<B>").expect("a bold element");
    bold.split_whitespace().next().expect("a challenge").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enrolled_device_enrols_once_with_what_uem_fetched_and_a_wrong_one_never() {
    let (installation, uem, client) = start().await;
    let first = challenge(&client).await;
    // No device of UEM's; and row 2: names that the record does not hold. Neither burns anything.
    let stranger = Device::new(&["CN=F4GNONE"], Some(&first));
    assert!(installation.enrol(PROFILE, &stranger).await.is_refused_without_reason());
    let thief = Device::new(&["CN=F4GXK1", "DNS:boss.example"], Some(&first));
    assert!(installation.enrol(PROFILE, &thief).await.is_refused_without_reason());

    let device = Device::new(&["CN=F4GXK1"], Some(&first));
    let _ = installation.enrol(PROFILE, &device).await.issued();
    // Used once is used up, and a challenge of one's own does not help.
    let again = Device::new(&["CN=F4GXK2"], Some(&first));
    assert!(installation.enrol(PROFILE, &again).await.is_refused_without_reason());
    let second = challenge(&client).await;
    let in_its_name = Device::new(&["CN=F4GXK1"], Some(&second));
    assert!(installation.enrol(PROFILE, &in_its_name).await.is_refused_without_reason());
    let other = Device::new(&["CN=F4GXK2"], Some(&second));
    let _ = installation.enrol(PROFILE, &other).await.issued();

    assert_eq!(installation.signatures().await, 2);
    assert_eq!(uem.refused(), Vec::<String>::new());
    let denied = installation.wait_for_ledger("denied", 4).await;
    let codes: Vec<_> = denied.iter().map(|entry| entry["body"]["code"].clone()).collect();
    assert_eq!(codes[0], "device-unknown");
    assert_eq!(codes[2..], ["challenge-used", "already-enrolled"]);
    assert!(!installation.logs().contains(&first), "no challenge in a log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_left_or_is_not_the_companys_gets_nothing() {
    let (installation, uem, client) = start().await;
    let text = challenge(&client).await;
    let device = Device::new(&["CN=F4GXK1"], Some(&text));
    uem.change("F4GXK1", |device| device.enrollment_status = "DeviceWipePending".to_owned());
    assert!(installation.enrol(PROFILE, &device).await.is_refused_without_reason());
    uem.change("F4GXK1", |device| {
        device.enrollment_status = "Enrolled".to_owned();
        device.ownership = "E".to_owned();
    });
    assert!(installation.enrol(PROFILE, &device).await.is_refused_without_reason());
    uem.change("F4GXK1", |device| {
        device.ownership = "C".to_owned();
        device.organization_group = 9;
    });
    assert!(installation.enrol(PROFILE, &device).await.is_refused_without_reason());
    uem.delete("F4GXK1");
    assert!(installation.enrol(PROFILE, &device).await.is_refused_without_reason());
    let denied = installation.wait_for_ledger("denied", 4).await;
    let codes: Vec<_> = denied.iter().map(|entry| entry["body"]["code"].clone()).collect();
    let not_permitted = "device-not-permitted";
    assert_eq!(codes, [not_permitted, not_permitted, not_permitted, "device-unknown"]);
    assert_eq!(installation.signatures().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_uem_cannot_say_now_makes_the_device_come_again() {
    let (installation, _uem, client) = start().await;
    for serial in ["ERROR60", "BROKEN61", "HTML62", "DENIED63", "BUSY64", "SLOW65"] {
        let text = challenge(&client).await;
        let device = Device::new(&[&format!("CN={serial}")], Some(&text));
        match installation.enrol(PROFILE, &device).await {
            Answer::Http(reply) => assert_eq!(reply.status, 503, "{serial}"),
            other => panic!("{serial}: expected 503, found {other:?}"),
        }
    }
    assert_eq!(installation.signatures().await, 0);
}

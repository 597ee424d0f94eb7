//! The plug-in `fleet` between a Fleet that fetches challenges in each of its ways and answers for its
//! hosts, and hosts that enrol with Fleet's identifier in the URL.

use countersign_stubs::{Answer, Client, Fleet, FleetHost, FleetServer, Identity};
use countersign_tests::{Answer as Scep, Device, Installation, Plugin, Profile, component};

use crate::mdm_caller;

const PROFILE: &str = "fleet";
const PATH: &str = "/challenge/fleet";
const PAGE: &str = "/certsrv/mscep_admin/";
const SECRET: &str = "OPEN-SESAME-17";
const TOKEN: &str = "fleet-t0ken";

/// Fleet with two Macs and those that make it fail, and an installation that asks it.
async fn start(settings: &str) -> (Installation, FleetServer, Client) {
    let identity = Identity::new(&["DNS:localhost"]);
    let mut fleet = Fleet::new(TOKEN);
    for host in [mac(52), mac(53), failing(60, "ERROR"), failing(61, "BROKEN"), failing(62, "HTML")]
        .into_iter()
        .chain([failing(63, "DENIED"), failing(64, "BUSY"), failing(65, "SLOW")])
    {
        fleet = fleet.host(host);
    }
    let fleet = fleet.start(&identity).await;
    let url = format!("https://localhost:{}", fleet.server().address().port());
    let plugin = format!(
        "[settings]\nurl = \"{url}\"\n{settings}\
         [grants]\nlog = true\nchallenges = true\nkv = true\nhosts = [\"{{/url}}\"]\n\
         addresses = [\"127.0.0.0/8\", \"::1\"]\nsecrets = [\"fleet-challenge\"]\n\
         [http]\nroots = \"keys/fleet.pem\"\n\
         [secrets.fleet-challenge]\nvalue = \"file:secrets/fleet.challenge\"\n\
         [credentials.fleet-api]\nhosts = [\"{{/url}}\"]\n\
         [credentials.fleet-api.authentication.bearer]\ntoken = \"file:secrets/fleet.token\"\n"
    );
    let sections = format!(
        "{}\n[verify.mdm.page.\"{PAGE}\"]\nprofile = \"{PROFILE}\"\nencoding = \"utf-8\"\nverifier-knows-names = true\n",
        mdm_caller::section("fleet", &[PROFILE])
    );
    let mut installation = Installation::builder()
        .plugin(Plugin::new("fleet", component("fleet"), &plugin))
        .profile(Profile::named(PROFILE).verifiers(&["fleet"]))
        .sections(&sections)
        .prepare()
        .await;
    std::fs::write(installation.file("keys/fleet.pem"), identity.certificate_pem()).unwrap();
    for (name, secret) in [("fleet.challenge", SECRET), ("fleet.token", TOKEN)] {
        let file = installation.file("secrets").join(name);
        std::fs::write(&file, format!("{secret}\n")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&file, mode).unwrap();
    }
    mdm_caller::identity(&installation);
    installation.start_all().await;
    let client = mdm_caller::client(&mut installation, "fleet").await;
    (installation, fleet, client)
}

fn mac(id: u32) -> FleetHost {
    FleetHost::new(id, &format!("C02XK{id}"))
}

fn failing(id: u32, how: &str) -> FleetHost {
    FleetHost::new(id, &format!("{how}{id}"))
}

/// The profile's URL with Fleet's identifier behind it.
fn at(host: &FleetHost) -> String {
    format!("{PROFILE}/{}", host.identifier("WIFI"))
}

/// The challenge in an answer as from Smallstep: its body, and nothing else.
fn challenge(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.header("content-type").unwrap().starts_with("text/plain"));
    answer.text()
}

/// The challenge on the page.
async fn from_page(client: &Client) -> String {
    let text = client.get(PAGE).await.text();
    let (_, after) = text.split_once("The enrollment challenge password is:").expect("the label");
    let (_, bold) = after.split_once("<B>").expect("a bold element");
    bold.split_whitespace().next().expect("a challenge").to_owned()
}

async fn codes(installation: &Installation, count: usize) -> Vec<String> {
    let denied = installation.wait_for_ledger("denied", count).await;
    denied.iter().map(|entry| entry["body"]["code"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_enrols_once_with_what_fleet_fetched_as_from_ndes_or_smallstep() {
    let (installation, fleet, client) = start("").await;
    for (number, from_ndes) in [(52, true), (53, false)] {
        let host = mac(number);
        let text = if from_ndes {
            from_page(&client).await
        } else {
            challenge(&fleet.fetch_challenge(&client, PATH, None).await)
        };
        let name = format!("CN={}", host.hardware_serial);
        // Row 2: the URL says one host, the request asks for another one's name.
        let thief = Device::new(&["CN=C02XK99"], Some(&text));
        assert!(installation.enrol(&at(&host), &thief).await.is_refused_without_reason());
        // No host in the URL, and one that Fleet does not hold.
        let lost = Device::new(&[&name], Some(&text));
        assert!(installation.enrol(PROFILE, &lost).await.is_refused_without_reason());
        assert!(installation.enrol(&at(&mac(99)), &lost).await.is_refused_without_reason());

        let device = Device::new(&[&name, &format!("CN={}", host.uuid)], Some(&text));
        let _ = installation.enrol(&at(&host), &device).await.issued();
        let again = Device::new(&[&name], Some(&text));
        assert!(installation.enrol(&at(&host), &again).await.is_refused_without_reason());
        assert!(!installation.logs().contains(&text), "no challenge in a log");
    }
    assert_eq!(installation.signatures().await, 2);
    assert_eq!(fleet.refused(), Vec::<String>::new());
    let each = ["otp_identity_mismatch", "name-mismatch", "device-unknown", "challenge-used"];
    assert_eq!(codes(&installation, 8).await, [each, each].concat());
    assert!(!installation.logs().contains("fleet-secret"), "nor Fleet's own in one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_that_fleet_fetched_for_a_host_is_for_no_other() {
    let (installation, fleet, client) = start("").await;
    let (host, other) = (mac(52), mac(53));
    let text = challenge(&fleet.fetch_challenge(&client, PATH, Some(&host)).await);
    let thief = Device::new(&["CN=C02XK53"], Some(&text));
    assert!(installation.enrol(&at(&other), &thief).await.is_refused_without_reason());
    assert_eq!(codes(&installation, 1).await, ["name-mismatch"]);
    let device = Device::new(&["CN=C02XK52"], Some(&text));
    fleet.change("C02XK52", |host| host.pending_action = "wipe".to_owned());
    assert!(installation.enrol(&at(&host), &device).await.is_refused_without_reason());
    fleet.change("C02XK52", |host| host.pending_action = String::new());
    let _ = installation.enrol(&at(&host), &device).await.issued();
    // Hosts that are not managed get none.
    fleet.change("C02XK53", |host| host.enrollment_status = "Off".to_owned());
    let answer = fleet.fetch_challenge(&client, PATH, Some(&other)).await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    let answer = fleet.fetch_challenge(&client, PATH, Some(&failing(60, "ERROR"))).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_static_challenge_is_one_factor_and_good_once_for_each_host() {
    let (installation, fleet, _client) =
        start("challenge = \"static\"\nidentity = \"CN={serial-number}\"\n").await;
    let guess = Device::new(&["CN=C02XK52"], Some("OPEN-SESAME-18"));
    assert!(installation.enrol(PROFILE, &guess).await.is_refused_without_reason());
    let device = Device::new(&["CN=C02XK52"], Some(SECRET));
    let _ = installation.enrol(PROFILE, &device).await.issued();
    let in_its_name = Device::new(&["CN=C02XK52"], Some(SECRET));
    assert!(installation.enrol(PROFILE, &in_its_name).await.is_refused_without_reason());
    assert_eq!(codes(&installation, 2).await, ["challenge-unknown", "already-enrolled"]);
    fleet.change("C02XK52", |host| host.last_mdm_enrolled_at = "2025-09-01T08:00:00Z".to_owned());
    let _ = installation.enrol(PROFILE, &in_its_name).await.issued();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fleet_cannot_say_now_makes_the_host_come_again() {
    let (installation, fleet, client) = start("").await;
    let text = challenge(&fleet.fetch_challenge(&client, PATH, None).await);
    for (id, how) in
        [(60, "ERROR"), (61, "BROKEN"), (62, "HTML"), (63, "DENIED"), (64, "BUSY"), (65, "SLOW")]
    {
        let host = failing(id, how);
        let device = Device::new(&[&format!("CN={}", host.hardware_serial)], Some(&text));
        match installation.enrol(&at(&host), &device).await {
            Scep::Http(reply) => assert_eq!(reply.status, 503, "{how}"),
            other => panic!("{how}: expected 503, found {other:?}"),
        }
    }
    assert_eq!(installation.signatures().await, 0);
}

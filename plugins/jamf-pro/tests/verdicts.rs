//! What the plug-in answers, natively, on the SDK's mock of the host.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may state what they know"
)]

use std::time::Duration;

use countersign_plugin_jamf_pro::{CREDENTIAL, Field, JamfPro, RevokeGroups, Settings};
use countersign_sdk::{
    Act, Action, Denial, DenialCode, Hint, HttpResponse, IssuedChallenge, Name, Target, Verifier,
    Vouched, mock,
};
use serde_json::{Value, json};

const WITH_DEVICE: &str = include_str!("bodies/challenge-with-target-device.json");
const WITH_DEVICE_XML: &str = include_str!("bodies/challenge-with-target-device.xml");
const WITHOUT_DEVICE: &str = include_str!("bodies/challenge-without-target-device.json");
const WITHOUT_DEVICE_XML: &str = include_str!("bodies/challenge-without-target-device.xml");
const IN_SECONDS: &str = include_str!("bodies/challenge-in-seconds.json");
const UNENROLLED: &str = include_str!("bodies/mobile-device-unenrolled.json");
const CAPABILITY: &str = include_str!("bodies/computer-push-capability-changed.xml");
const GROUP: &str = include_str!("bodies/smart-group-membership-change.json");
const GROUP_XML: &str = include_str!("bodies/smart-group-membership-change.xml");

fn settings() -> Settings {
    Settings::of("https://jamf.example")
}

/// Jamf Pro with one Mac.
fn inventory(host: &mock::Host, record: Value) {
    host.answer_http(move |request| {
        assert_eq!(request.auth.as_deref(), Some(CREDENTIAL));
        let (path, query) = request.url.split_once('?').unwrap();
        let filter = query.split_once("filter=").unwrap().1;
        let asked_for = filter.split("%22").nth(1).unwrap();
        let has =
            |pointer: &str| record.pointer(pointer).and_then(Value::as_str) == Some(asked_for);
        let known = path == "https://jamf.example/api/v3/computers-inventory"
            && (has("/hardware/serialNumber") || has("/udid") || has("/id"));
        let results = if known { vec![record.clone()] } else { Vec::new() };
        Ok(HttpResponse::new(200, json!({ "results": results }).to_string()))
    });
}

fn mac(managed: bool) -> Value {
    json!({
        "id": "52",
        "udid": "00000000-0000-0000-0000-000000000052",
        "general": { "name": "Ann's Mac", "remoteManagement": { "managed": managed } },
        "hardware": { "serialNumber": "C02XK1" },
        "userAndLocation": { "username": "ann", "email": "ann@example.com" },
    })
}

fn host() -> mock::Host {
    let host = mock::Host::new();
    inventory(&host, mac(true));
    host
}

fn hint(body: &str) -> Hint {
    mock::hint("jamf", "jamf")
        .body("application/json", body)
        .attribute("ttl-seconds", "3600")
        .build()
}

fn issue(host: &mock::Host, settings: &Settings, body: &str) -> Result<IssuedChallenge, Denial> {
    host.issue::<JamfPro>(settings, &hint(body))
}

fn code(issued: Result<IssuedChallenge, Denial>) -> String {
    issued.unwrap_err().code.as_str().to_owned()
}

/// What a challenge turns out to vouch for, and for which device.
fn bound(
    host: &mock::Host,
    settings: &Settings,
    issued: &IssuedChallenge,
) -> (Vec<String>, Option<String>) {
    let request = mock::request("jamf").common_name("x").challenge(issued.text.reveal()).build();
    let approval = host.verify_beside_a_denial::<JamfPro>(settings, &request).unwrap();
    let Vouched::Names(names) = approval.vouched() else { panic!("expected names") };
    (names.iter().map(Name::to_string).collect(), approval.device().map(str::to_owned))
}

#[test]
fn golden_cases() -> Result<(), mock::CaseFailures> {
    mock::run_cases::<JamfPro>("cases")
}

#[test]
fn a_webhook_with_target_device_binds_its_challenge_to_the_record_in_json_and_in_xml() {
    for body in [WITH_DEVICE, WITH_DEVICE_XML] {
        let host = host();
        let issued = issue(&host, &settings(), body).unwrap();
        let (names, device) = bound(&host, &settings(), &issued);
        assert_eq!(names, ["CN=C02XK1", "CN=00000000-0000-0000-0000-000000000052"]);
        assert_eq!(device.as_deref(), Some("computer:52"));
    }
}

#[test]
fn row_02_a_webhook_without_target_device_gets_a_challenge_that_vouches_for_nobody() {
    for body in [WITHOUT_DEVICE, WITHOUT_DEVICE_XML, IN_SECONDS] {
        let host = host();
        let issued = issue(&host, &settings(), body).unwrap();
        assert_eq!(bound(&host, &settings(), &issued), (Vec::new(), None));
        assert!(host.http_requests().is_empty(), "there is nobody to ask about");
        let strict = Settings { require_target_device: true, ..settings() };
        assert_eq!(code(issue(&host, &strict, body)), "target-device-missing");
    }
}

#[test]
fn a_profile_for_one_device_names_it_where_the_webhook_does_not() {
    let host = host();
    let payload = "CDB0BC64-F3EB-4B1A-AA5E-9A5D994CA593".to_owned();
    let settings = Settings { payloads: [(payload, "C02XK1".to_owned())].into(), ..settings() };
    let issued = issue(&host, &settings, WITHOUT_DEVICE).unwrap();
    assert_eq!(bound(&host, &settings, &issued).1.as_deref(), Some("computer:52"));
}

#[test]
fn fields_of_a_record_become_the_names_that_the_settings_declare() {
    let host = host();
    let settings = Settings {
        names: [
            "CN={serial-number}",
            "URI:urn:uuid:{udid}",
            "DNS:{serial-number}.macs.example",
            "CN={device-name}",
            // No DNS name, and left out.
            "DNS:{device-name}",
            "email:{email}",
        ]
        .map(str::to_owned)
        .to_vec(),
        user_changeable_fields: [Field::DeviceName, Field::Email].into(),
        ..settings()
    };
    assert!(JamfPro::check_settings(&settings).is_empty());
    let issued = issue(&host, &settings, WITH_DEVICE).unwrap();
    assert!(host.http_requests()[0].url.contains("section=USER_AND_LOCATION"));
    let expected = [
        "CN=C02XK1",
        "URI:urn:uuid:00000000-0000-0000-0000-000000000052",
        "DNS:C02XK1.macs.example",
        "CN=Ann's Mac",
        "email:ann@example.com",
    ];
    assert_eq!(bound(&host, &settings, &issued).0, expected);
}

#[test]
fn what_a_user_can_change_is_never_a_name_unless_the_settings_say_so_by_name() {
    let host = host();
    let names = vec!["CN={device-name}".to_owned(), "CN={serial-number}".to_owned()];
    let settings = Settings { names, ..settings() };
    let problems = JamfPro::check_settings(&settings);
    assert_eq!(problems[0].pointer, "/names/0");
    assert!(problems[0].text.contains("can be changed by the device's user"), "{}", problems[0]);
    // Even if such settings came through, the field counts for nothing.
    let issued = issue(&host, &settings, WITH_DEVICE).unwrap();
    assert_eq!(bound(&host, &settings, &issued).0, ["CN=C02XK1"]);
    assert!(!host.http_requests()[0].url.contains("USER_AND_LOCATION"), "nothing about people");
}

#[test]
fn a_device_that_is_not_managed_gets_no_challenge() {
    let host = mock::Host::new();
    inventory(&host, mac(false));
    assert_eq!(code(issue(&host, &settings(), WITH_DEVICE)), "device-not-permitted");
}

#[test]
fn a_device_that_jamf_pro_does_not_hold_gets_no_challenge() {
    let host = host();
    let unknown = WITH_DEVICE.replace("C02XK1", "C02NONE");
    assert_eq!(code(issue(&host, &settings(), &unknown)), "device-unknown");
    // Both inventories were asked.
    assert_eq!(host.http_requests().len(), 2);
    assert!(host.http_requests()[1].url.contains("/api/v2/mobile-devices/detail?"));
}

#[test]
fn a_webhook_that_says_two_devices_means_none() {
    let host = host();
    let mixed = WITH_DEVICE.replace("000000000052", "000000000053");
    assert_eq!(code(issue(&host, &settings(), &mixed)), "device-unknown");
}

#[test]
fn an_old_webhook_is_refused_and_a_clock_may_differ_a_little() {
    let host = host();
    host.set_now(host.now() + Duration::from_secs(14 * 60));
    assert!(issue(&host, &settings(), WITH_DEVICE).is_ok());
    host.advance(Duration::from_secs(120));
    assert_eq!(code(issue(&host, &settings(), WITH_DEVICE)), "webhook-stale");
    assert_eq!(code(issue(&host, &settings(), IN_SECONDS)), "webhook-stale");
}

#[test]
fn a_profile_for_another_scep_server_is_refused_where_the_settings_name_ours() {
    let host = host();
    let url = Some("https://scep.example/scep/jamf".to_owned());
    let ours = Settings { scep_server_url: url, ..settings() };
    assert!(issue(&host, &ours, WITH_DEVICE).is_ok());
    let other = WITH_DEVICE.replace("/scep/jamf", "/scep/other");
    assert_eq!(code(issue(&host, &ours, &other)), "other-scep-server");
}

#[test]
fn what_is_no_webhook_is_refused() {
    let host = host();
    let entity = WITH_DEVICE_XML.replace(
        "<JSSEvent>",
        "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><JSSEvent>",
    );
    for body in ["", "{}", r#"{"names":["CN=a"]}"#, "names=CN%3Da", UNENROLLED, &entity] {
        assert_eq!(code(issue(&host, &settings(), body)), "not-supported", "{body}");
    }
    let odd = WITH_DEVICE.replace("C02XK1", "C02 or 1");
    assert_eq!(code(issue(&host, &settings(), &odd)), "not-supported");
    assert!(host.http_requests().is_empty());
}

#[test]
fn what_jamf_pro_cannot_answer_now_is_said_as_not_now() {
    for status in [401, 403, 404, 429, 500] {
        let host = mock::Host::new();
        host.answer_http(move |_| Ok(HttpResponse::new(status, "")));
        assert_eq!(code(issue(&host, &settings(), WITH_DEVICE)), "host-unavailable", "{status}");
    }
    let host = mock::Host::new();
    assert_eq!(code(issue(&host, &settings(), WITH_DEVICE)), "host-unavailable");
}

#[test]
fn a_challenge_lives_as_long_as_settings_and_host_both_allow() {
    let host = host();
    let life = |settings: &Settings| {
        let issued = issue(&host, settings, WITH_DEVICE).unwrap();
        issued.expires.duration_since(host.now()).unwrap().as_secs()
    };
    assert_eq!(life(&settings()), 3600);
    assert_eq!(life(&Settings { lifetime_minutes: 5, ..settings() }), 300);
    assert_eq!(life(&Settings { lifetime_minutes: 600, ..settings() }), 3600);
}

/// The devices that an event has revoked.
fn revoked(host: &mock::Host, settings: &Settings, body: &str) -> Result<Vec<String>, String> {
    let actions = host.on_event::<JamfPro>(settings, &mock::event(body).build());
    let device = |action: Action| match action.act {
        Act::Revoke(revocation) => match revocation.target {
            Target::Device(device) => device,
            other => panic!("expected a device, found {other:?}"),
        },
        other => panic!("expected a revocation, found {other:?}"),
    };
    actions
        .map(|actions| actions.into_iter().map(device).collect())
        .map_err(|denial| denial.code.as_str().to_owned())
}

#[test]
fn a_mobile_device_that_leaves_is_revoked_without_asking_anybody() {
    let host = mock::Host::new();
    assert_eq!(revoked(&host, &settings(), UNENROLLED), Ok(vec!["mobile-device:17".to_owned()]));
    assert!(host.http_requests().is_empty());
    // The same webhook again is the same action; another one is another.
    let id = |body: &str| {
        let event = mock::event(body).build();
        host.on_event::<JamfPro>(&settings(), &event).unwrap().remove(0).id
    };
    assert_eq!(id(UNENROLLED), id(UNENROLLED));
    assert_ne!(id(UNENROLLED), id(&UNENROLLED.replace("1767225600456", "1767225700456")));
}

#[test]
fn a_computer_whose_management_went_is_revoked_and_one_whose_came_is_not() {
    let came = host();
    assert_eq!(revoked(&came, &settings(), CAPABILITY), Ok(Vec::new()));
    let went = mock::Host::new();
    inventory(&went, mac(false));
    assert_eq!(revoked(&went, &settings(), CAPABILITY), Ok(vec!["computer:52".to_owned()]));
    let deleted = mock::Host::new();
    inventory(&deleted, json!({ "id": "1" }));
    assert_eq!(revoked(&deleted, &settings(), CAPABILITY), Ok(vec!["computer:52".to_owned()]));
    // Nobody can tell: said as not now, so that it is not taken for "nothing to do".
    let silent = mock::Host::new();
    assert_eq!(revoked(&silent, &settings(), CAPABILITY), Err("host-unavailable".to_owned()));
}

#[test]
fn devices_that_enter_a_named_smart_group_are_revoked_and_those_that_leave_it_are_not() {
    let host = mock::Host::new();
    let groups = RevokeGroups { computers: [99].into(), ..RevokeGroups::default() };
    let named = Settings { revoke_groups: groups, ..settings() };
    for body in [GROUP, GROUP_XML] {
        let expected = vec!["computer:1".to_owned(), "computer:2".to_owned()];
        assert_eq!(revoked(&host, &named, body), Ok(expected), "{body}");
        assert_eq!(revoked(&host, &settings(), body), Ok(Vec::new()), "no group is named");
    }
    let of_phones = GROUP.replace("SmartGroupComputer", "SmartGroupMobileDevice");
    assert_eq!(revoked(&host, &named, &of_phones), Ok(Vec::new()), "another kind of group");
}

#[test]
fn more_devices_than_one_answer_holds_are_for_an_admin() {
    let ids: Vec<u32> = (1..=257).collect();
    let many = GROUP.replace("[1, 2]", &json!(ids).to_string());
    let groups = RevokeGroups { computers: [99].into(), ..RevokeGroups::default() };
    let named = Settings { revoke_groups: groups, ..settings() };
    assert_eq!(revoked(&mock::Host::new(), &named, &many), Err("too-many-devices".to_owned()));
}

#[test]
fn other_webhooks_lead_to_nothing_and_what_is_none_is_refused() {
    let host = mock::Host::new();
    let added = UNENROLLED.replace("MobileDeviceUnEnrolled", "MobileDeviceEnrolled");
    assert_eq!(revoked(&host, &settings(), &added), Ok(Vec::new()));
    let without_id = UNENROLLED.replace("jssID", "other");
    for body in ["", "{}", without_id.as_str()] {
        assert_eq!(revoked(&host, &settings(), body), Err("not-supported".to_owned()), "{body}");
    }
}

#[test]
fn no_challenge_shows_in_what_is_said_and_logged() {
    let host = host();
    let issued = issue(&host, &settings(), WITH_DEVICE).unwrap();
    let request = mock::request("jamf").common_name("x").challenge(issued.text.reveal()).build();
    assert!(host.verify::<JamfPro>(&settings(), &request).is_ok());
    host.issued(&request);
    let verdict = host.verify::<JamfPro>(&settings(), &request);
    let said = format!("{issued:?} {verdict:?} {:?}", host.log());
    assert!(!said.contains(issued.text.reveal()), "{said}");
    assert!(matches!(verdict, Err(countersign_sdk::NotApproved::Deny(Denial { code, .. }))
        if code == DenialCode::ChallengeUsed));
}

#[test]
fn the_schema_describes_every_setting() {
    let schema = host().settings_schema::<JamfPro>();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    for (name, property) in schema["properties"].as_object().unwrap() {
        let described = property["description"].is_string();
        assert!(described, "{name}: {property}");
    }
    assert_eq!(schema["required"], json!(["url"]));
    assert_eq!(schema["additionalProperties"], false);
}

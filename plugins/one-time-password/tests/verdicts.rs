//! What the plug-in answers, natively, on the SDK's mock of the host.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may state what they know")]

use countersign_plugin_one_time_password::{OneTimePassword, Settings};
use countersign_sdk::{DenialCode, Name, NotApproved, Vouched, mock};

const SETTINGS: Settings = Settings { require_device_id: false, require_names: false };

#[test]
fn golden_cases() -> Result<(), mock::CaseFailures> {
    mock::run_cases::<OneTimePassword>("cases")
}

#[test]
fn row_02_challenge_of_one_device_is_useless_for_another() {
    let host = mock::Host::new();
    host.keep(mock::challenge("FOR-17").name("CN=device-17").device_id("17"));

    // Device 18 has got hold of it. All it can have vouched for is device 17's name, and the host
    // refuses a request that asks for more; that refusal is what the mock is told here.
    let thief = mock::request("laptops").common_name("device-18").challenge("FOR-17").build();
    let approval = host.verify_beside_a_denial::<OneTimePassword>(&SETTINGS, &thief).unwrap();
    assert_eq!(approval.vouched(), &Vouched::Names(vec![Name::common_name("device-17")]));

    // Nothing was burnt: device 17 still gets its certificate.
    let owner = mock::request("laptops").common_name("device-17").challenge("FOR-17").build();
    assert!(host.verify::<OneTimePassword>(&SETTINGS, &owner).is_ok());
}

#[test]
fn row_61_no_setting_lets_a_request_in_without_a_challenge() {
    let host = mock::Host::new();
    let request = mock::request("laptops").common_name("device-17").build();
    for require_device_id in [false, true] {
        for require_names in [false, true] {
            let settings = Settings { require_device_id, require_names };
            assert_eq!(denial(&host, &settings, &request), DenialCode::ChallengeMissing);
        }
    }
    let problems = host.check_settings::<OneTimePassword>(r#"{"EnforcePassword":0}"#);
    assert_eq!(problems.first().unwrap().pointer, "/EnforcePassword");
    assert!(problems.first().unwrap().text.contains("unknown field `EnforcePassword`"));
}

#[test]
fn row_62_one_challenge_is_good_for_one_request() {
    let host = mock::Host::new();
    host.keep(mock::challenge("ONCE").name("CN=device-17"));
    let with_key = |byte| {
        mock::request("laptops")
            .common_name("device-17")
            .key(countersign_sdk::KeyAlgorithm::EcP256, 256, [byte; 32])
            .challenge("ONCE")
            .build()
    };
    let (first, second) = (with_key(1), with_key(2));

    assert!(host.verify::<OneTimePassword>(&SETTINGS, &first).is_ok());
    assert_eq!(denial(&host, &SETTINGS, &second), DenialCode::ChallengeUsed);
    host.issued(&first);
    assert_eq!(denial(&host, &SETTINGS, &first), DenialCode::ChallengeUsed);
    assert_eq!(denial(&host, &SETTINGS, &second), DenialCode::ChallengeUsed);
    let problems = host.check_settings::<OneTimePassword>(r#"{"UseSinglePassword":1}"#);
    assert_eq!(problems.first().unwrap().pointer, "/UseSinglePassword");
}

#[test]
fn no_challenge_shows_in_a_denial_or_in_the_log() {
    let host = mock::Host::new();
    host.keep(mock::challenge("SECRET-SPENT").spent());
    for challenge in ["SECRET-SPENT", "SECRET-GUESS"] {
        let request = mock::request("laptops").challenge(challenge).build();
        let verdict = host.verify::<OneTimePassword>(&SETTINGS, &request);
        assert!(!format!("{verdict:?} {request:?} {:?}", host.log()).contains("SECRET"));
    }
}

#[test]
fn the_schema_knows_the_settings_and_no_others() {
    let schema = mock::Host::new().settings_schema::<OneTimePassword>();
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let mut names: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["require-device-id", "require-names"]);
    assert_eq!(schema["additionalProperties"], false);
    assert!(schema.get("required").is_none(), "an empty table of settings is good");
}

fn denial(
    host: &mock::Host,
    settings: &Settings,
    request: &countersign_sdk::Request,
) -> DenialCode {
    match host.verify::<OneTimePassword>(settings, request) {
        Err(NotApproved::Deny(denial)) => denial.code,
        other => panic!("expected a denial, found {other:?}"),
    }
}

#[test]
fn a_challenge_stands_for_what_the_hint_says_and_lives_as_long() {
    let host = mock::Host::new();
    let hint = mock::hint("laptops", "jamf")
        .name(Name::common_name("device-17"))
        .device_id("17")
        .attribute("ttl-seconds", "600")
        .build();
    let issued = host.issue::<OneTimePassword>(&SETTINGS, &hint).unwrap();

    let request = mock::request("laptops").common_name("device-17").challenge(issued.text.reveal());
    let approval = host.verify::<OneTimePassword>(&SETTINGS, &request.build()).unwrap();
    assert_eq!(approval.vouched(), &Vouched::Names(vec![Name::common_name("device-17")]));
}

#[test]
fn row_02_a_challenge_issued_without_names_vouches_for_none() {
    let host = mock::Host::new();
    let hint = mock::hint("laptops", "jamf").build();
    let issued = host.issue::<OneTimePassword>(&SETTINGS, &hint).unwrap();

    let request = mock::request("laptops").common_name("device-17").challenge(issued.text.reveal());
    let approval = host.verify::<OneTimePassword>(&SETTINGS, &request.build()).unwrap();
    assert_eq!(approval.vouched(), &Vouched::Names(Vec::new()));
}

#[test]
fn what_could_not_be_redeemed_is_not_issued() {
    let host = mock::Host::new();
    let issue = |settings: &Settings, hint| {
        host.issue::<OneTimePassword>(settings, &hint).map(|_| ()).map_err(|denial| denial.code)
    };
    let unbound = Err(DenialCode::Other("challenge-unbound".to_owned()));
    let names = Settings { require_names: true, ..SETTINGS };
    assert_eq!(issue(&names, mock::hint("laptops", "jamf").build()), unbound);
    let device = Settings { require_device_id: true, ..SETTINGS };
    assert_eq!(issue(&device, mock::hint("laptops", "jamf").build()), unbound);
    // Params of NDES that tie the password to something this plug-in does not understand.
    let params = mock::hint("laptops", "jamf").attribute("ndes-params", "id=17").build();
    assert_eq!(issue(&SETTINGS, params), Err(DenialCode::NotSupported));
    let life = mock::hint("laptops", "jamf").attribute("ttl-seconds", "an hour").build();
    assert_eq!(issue(&SETTINGS, life), Err(DenialCode::NotSupported));
}

//! What the plug-in answers, natively, on the SDK's mock of the host with real HMAC.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may state what they know"
)]

use std::time::Duration;

use aws_lc_rs::hmac;
use countersign_plugin_ndes_otp::{KEY, NdesOtp, Settings};
use countersign_sdk::{
    Denial, DenialCode, Hint, IssuedChallenge, KeyAlgorithm, Name, NotApproved, Request, Verdict,
    Vouched, mock,
};

/// The key that the golden cases' entries were made under.
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

fn sign(host: &mock::Host) {
    host.answer_mac(|secret, message| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
        (secret == KEY).then(|| hmac::sign(&key, message).as_ref().to_vec())
    });
}

fn host() -> mock::Host {
    let host = mock::Host::new();
    sign(&host);
    host
}

fn issue(
    host: &mock::Host,
    settings: &Settings,
    hint: &Hint,
) -> Result<IssuedChallenge, DenialCode> {
    host.issue::<NdesOtp>(settings, hint).map_err(|Denial { code, .. }| code)
}

/// A password for device 17, as the page shows it.
fn password(host: &mock::Host) -> String {
    let hint = mock::hint("laptops", "ws1")
        .attribute("ndes-params", "device-id=17;CN=device-17")
        .attribute("ttl-seconds", "3600")
        .build();
    issue(host, &Settings::default(), &hint).unwrap().text.reveal().to_owned()
}

fn asking(name: &str, password: &str) -> Request {
    mock::request("laptops").common_name(name).challenge(password).build()
}

fn verify(host: &mock::Host, request: &Request) -> Verdict {
    host.verify::<NdesOtp>(&Settings::default(), request)
}

fn denial(verdict: Verdict) -> DenialCode {
    match verdict {
        Err(NotApproved::Deny(denial)) => denial.code,
        other => panic!("expected a denial, found {other:?}"),
    }
}

#[test]
fn golden_cases() -> Result<(), mock::CaseFailures> {
    mock::run_cases_on::<NdesOtp>("cases", sign)
}

#[test]
fn a_password_has_the_form_of_ndes_and_vouches_for_what_params_say() {
    let host = host();
    let password = password(&host);
    assert_eq!(password.len(), 16);
    assert!(password.bytes().all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte)));
    let approval = verify(&host, &asking("device-17", &password)).unwrap();
    assert_eq!(approval.vouched(), &Vouched::Names(vec![Name::common_name("device-17")]));
    assert_eq!(approval.device(), Some("17"));
}

#[test]
fn names_that_the_host_read_from_json_are_bound_as_well() {
    let host = host();
    let hint = mock::hint("laptops", "ws1").name(Name::common_name("device-17")).device_id("17");
    let issued = issue(&host, &Settings::default(), &hint.build()).unwrap();
    let approval = verify(&host, &asking("device-17", issued.text.reveal())).unwrap();
    assert_eq!(approval.vouched(), &Vouched::Names(vec![Name::common_name("device-17")]));
    assert_eq!(approval.device(), Some("17"));
}

#[test]
fn row_02_the_password_of_one_device_is_useless_for_another_and_burns_nothing() {
    let host = host();
    let password = password(&host);
    let thief = asking("device-18", &password);
    let verdict = host.verify_beside_a_denial::<NdesOtp>(&Settings::default(), &thief);
    // All that it can have vouched for is device 17's name; the host refuses a request for more.
    assert_eq!(verdict.unwrap().vouched(), &Vouched::Names(vec![Name::common_name("device-17")]));
    assert!(verify(&host, &asking("device-17", &password)).is_ok());
}

#[test]
fn row_02_a_password_fetched_without_names_vouches_for_none() {
    let host = host();
    let hint = mock::hint("laptops", "ws1").build();
    let issued = issue(&host, &Settings::default(), &hint).unwrap();
    let approval = verify(&host, &asking("device-17", issued.text.reveal())).unwrap();
    assert_eq!(approval.vouched(), &Vouched::Names(Vec::new()));
}

#[test]
fn row_61_no_setting_lets_a_request_in_without_a_password() {
    let host = host();
    let request = mock::request("laptops").common_name("device-17").build();
    assert_eq!(denial(verify(&host, &request)), DenialCode::ChallengeMissing);
    for value in ["0", "1", "false", "\"no\"", "null", "{}"] {
        let settings = format!("{{\"EnforcePassword\":{value}}}");
        let problems = host.check_settings::<NdesOtp>(&settings);
        assert_eq!(problems[0].pointer, "/EnforcePassword", "{value}");
        assert!(problems[0].text.contains("every request needs a password"), "{value}");
    }
}

#[test]
fn row_62_one_password_is_good_for_one_request() {
    let host = host();
    let password = password(&host);
    let with_key = |byte| {
        mock::request("laptops")
            .common_name("device-17")
            .key(KeyAlgorithm::EcP256, 256, [byte; 32])
            .challenge(&password)
            .build()
    };
    let (first, second) = (with_key(1), with_key(2));
    assert!(verify(&host, &first).is_ok());
    assert!(verify(&host, &first).is_ok(), "a device that lost the answer comes again");
    assert_eq!(denial(verify(&host, &second)), DenialCode::ChallengeUsed);
    host.issued(&first);
    assert_eq!(denial(verify(&host, &first)), DenialCode::ChallengeUsed);
    assert_eq!(denial(verify(&host, &second)), DenialCode::ChallengeUsed);
    let problems = host.check_settings::<NdesOtp>(r#"{"UseSinglePassword":1}"#);
    assert_eq!(problems[0].pointer, "/UseSinglePassword");
    assert!(problems[0].text.contains("good for one request only"), "{}", problems[0].text);
}

#[test]
fn each_call_gets_a_password_of_its_own() {
    let host = host();
    let (first, second) = (password(&host), password(&host));
    assert_ne!(first, second);
    assert!(verify(&host, &asking("device-17", &first)).is_ok());
    assert!(verify(&host, &asking("device-17", &second)).is_ok());
}

#[test]
fn a_password_of_another_profile_is_unknown() {
    let host = host();
    let password = password(&host);
    let elsewhere = mock::request("phones").common_name("device-17").challenge(password).build();
    assert_eq!(denial(verify(&host, &elsewhere)), DenialCode::ChallengeUnknown);
}

#[test]
fn a_password_lives_as_long_as_the_shortest_of_three_say() {
    let host = host();
    let life = |settings: &Settings, ttl: &str| {
        let hint = mock::hint("laptops", "ws1").attribute("ttl-seconds", ttl).build();
        let issued = issue(&host, settings, &hint).unwrap();
        issued.expires.duration_since(host.now()).unwrap()
    };
    let short = Settings { lifetime_minutes: 5, ..Settings::default() };
    assert_eq!(life(&short, "3600"), Duration::from_secs(300));
    assert_eq!(life(&short, "60"), Duration::from_secs(60));
    assert_eq!(life(&Settings::default(), "86400"), Duration::from_secs(3600));

    // One that is over is known as one, not as a guess.
    let password = password(&host);
    host.advance(Duration::from_secs(3600));
    assert_eq!(
        denial(verify(&host, &asking("device-17", &password))),
        DenialCode::ChallengeExpired
    );
    host.advance(Duration::from_secs(7 * 86_400));
    assert_eq!(
        denial(verify(&host, &asking("device-17", &password))),
        DenialCode::ChallengeUnknown
    );
}

#[test]
fn what_could_not_be_redeemed_or_is_not_understood_is_not_given_out() {
    let host = host();
    let bare = || mock::hint("laptops", "ws1");
    let unbound = Err(DenialCode::Other("challenge-unbound".to_owned()));
    let names = Settings { require_names: true, ..Settings::default() };
    let device = Settings { require_device_id: true, ..Settings::default() };
    let given = |settings: &Settings, hint: Hint| issue(&host, settings, &hint).map(|_| ());
    assert_eq!(given(&names, bare().build()), unbound);
    assert_eq!(given(&names, bare().attribute("ndes-params", "device-id=17").build()), unbound);
    assert_eq!(given(&device, bare().attribute("ndes-params", "CN=a").build()), unbound);
    for opaque in ["17", "id=17", "PFJlcXVlc3Q+", "CN=a;", "device-id=1;device-id=2"] {
        let hint = bare().attribute("ndes-params", opaque).build();
        assert_eq!(given(&Settings::default(), hint), Err(DenialCode::NotSupported), "{opaque}");
    }
    let hint = bare().attribute("ttl-seconds", "an hour").build();
    assert_eq!(given(&Settings::default(), hint), Err(DenialCode::NotSupported));
    // keyUsage is a hint to NDES's choice of a template; here the profile has chosen.
    let hint = bare().attribute("ndes-key-usage", "a0").build();
    assert_eq!(given(&Settings::default(), hint), Ok(()));
}

#[test]
fn without_its_key_it_gives_out_nothing_and_redeems_nothing() {
    let host = host();
    let password = password(&host);
    host.answer_mac(|_, _| None);
    let hint = mock::hint("laptops", "ws1").build();
    let host_unavailable = DenialCode::Other("host-unavailable".to_owned());
    assert_eq!(issue(&host, &Settings::default(), &hint).unwrap_err(), host_unavailable);
    let verdict = verify(&host, &asking("device-17", &password));
    assert!(matches!(verdict, Err(NotApproved::Unavailable(_))), "{verdict:?}");
}

#[test]
fn longer_passwords_can_be_had_and_shorter_ones_cannot() {
    let host = host();
    let settings = Settings { password_bytes: 16, ..Settings::default() };
    let issued = issue(&host, &settings, &mock::hint("laptops", "ws1").build()).unwrap();
    assert_eq!(issued.text.reveal().len(), 32);
    assert!(verify(&host, &asking("device-17", issued.text.reveal())).is_ok());
    let problems = host.check_settings::<NdesOtp>(r#"{"password-bytes":4}"#);
    assert_eq!(problems[0].pointer, "/password-bytes");
}

#[test]
fn no_password_shows_in_a_denial_in_the_log_or_in_the_names_of_the_store() {
    let host = host();
    let password = password(&host);
    let used = asking("device-17", &password);
    assert!(host.verify::<NdesOtp>(&Settings::default(), &used).is_ok());
    host.issued(&used);
    for sent in [password.as_str(), "FEDCBA9876543210"] {
        let request = asking("device-17", sent);
        let verdict = verify(&host, &request);
        assert!(!format!("{verdict:?} {request:?} {:?}", host.log()).contains(sent));
    }
}

#[test]
fn the_schema_describes_every_setting() {
    let schema = host().settings_schema::<NdesOtp>();
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let properties = schema["properties"].as_object().unwrap();
    let mut names: Vec<_> = properties.keys().map(String::as_str).collect();
    names.sort_unstable();
    let known = [
        "EnforcePassword",
        "UseSinglePassword",
        "lifetime-minutes",
        "password-bytes",
        "remember-days",
        "require-device-id",
        "require-names",
    ];
    assert_eq!(names, known);
    for (name, property) in properties {
        assert!(property["description"].is_string(), "{name}");
    }
    assert_eq!(schema["additionalProperties"], false);
}

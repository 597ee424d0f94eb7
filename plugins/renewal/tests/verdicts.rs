//! What the plug-in answers, natively, on the SDK's mock of the host.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may state what they know")]

use countersign_plugin_renewal::{Renewal, Settings};
use countersign_sdk::{DenialCode, KeyAlgorithm, Name, NotApproved, RequestKind, Vouched, mock};

#[test]
fn golden_cases() -> Result<(), mock::CaseFailures> {
    mock::run_cases::<Renewal>("cases")
}

#[test]
fn no_setting_approves_what_the_host_did_not_validate() {
    let certificate = || mock::certificate("5a17").name(Name::common_name("device-17")).build();
    for new_key in [false, true] {
        let settings = Settings { new_key, last_days: None };
        for request in [
            mock::request("laptops").common_name("device-17").renewal_of(certificate(), false),
            mock::request("laptops").common_name("device-17").kind(RequestKind::Renewal),
            mock::request("laptops").common_name("device-17").challenge("ANY"),
            mock::request("laptops")
                .renewal_of(certificate(), true)
                .kind(RequestKind::Other("transfer".to_owned())),
        ] {
            let host = mock::Host::new();
            let verdict = host.verify::<Renewal>(&settings, &request.build());
            assert_eq!(code(verdict), DenialCode::NotSupported);
        }
    }
}

#[test]
fn what_the_request_asks_for_adds_no_name() {
    let host = mock::Host::new();
    let current = mock::certificate("5a17").name(Name::common_name("device-17")).build();
    let request = mock::request("laptops").common_name("device-18").renewal_of(current, true);
    let approval = host.verify::<Renewal>(&Settings::default(), &request.build()).unwrap();
    assert_eq!(approval.vouched(), &Vouched::Names(vec![Name::common_name("device-17")]));
}

#[test]
fn a_new_key_is_demanded_where_the_setting_says_so() {
    let host = mock::Host::new();
    let settings = Settings { new_key: true, last_days: None };
    let current = mock::certificate("5a17").name(Name::common_name("device-17")).build();
    let request = |spki: [u8; 32]| {
        mock::request("laptops")
            .common_name("device-17")
            .renewal_of(current.clone(), true)
            .key(KeyAlgorithm::EcP256, 256, spki)
            .build()
    };
    let same: [u8; 32] = current.key.spki_sha256.clone().try_into().unwrap();
    let verdict = host.verify::<Renewal>(&settings, &request(same));
    assert_eq!(code(verdict), DenialCode::Other("same-key".to_owned()));
    assert!(host.verify::<Renewal>(&settings, &request([7; 32])).is_ok());
    assert!(host.verify::<Renewal>(&Settings::default(), &request(same)).is_ok());
}

#[test]
fn the_schema_knows_the_settings_and_no_others() {
    let schema = mock::Host::new().settings_schema::<Renewal>();
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let mut names: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["last-days", "new-key"]);
    assert_eq!(schema["additionalProperties"], false);
    assert!(schema.get("required").is_none(), "an empty table of settings is good");
}

fn code(verdict: countersign_sdk::Verdict) -> DenialCode {
    match verdict {
        Err(NotApproved::Deny(denial)) => denial.code,
        other => panic!("expected a denial, found {other:?}"),
    }
}

//! Tokens in the configuration file: what holds together, and what must be kept apart.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test may state what it knows"
)]

use std::path::Path;

use countersign_config::{Config, Loaded, Problem};

const EXAMPLE: &str = include_str!("../example.toml");

const TOKENS: &str = r#"
[token.serve]
module = "/usr/lib/softhsm/libsofthsm2.so"
label = "RA serve"
pin = "credential:serve-pin"

[token.sign]
module = "/usr/lib/softhsm/libsofthsm2.so"
module-config = "softhsm2.conf"
label = "RA sign"
pin = "file:secrets/sign.pin"
sessions = 2
"#;

/// The example with its keys on tokens, and then changed.
fn on_tokens(changes: &[(&str, &str)]) -> Result<Loaded, Vec<Problem>> {
    let mut text = format!("{EXAMPLE}\n{TOKENS}");
    let moved = [
        ("file:keys/cep.key", "pkcs11:token=RA%20serve;object=cep"),
        ("file:keys/rep.key", "pkcs11:token=RA%20serve;object=rep"),
        ("file:keys/ea.key", "pkcs11:token=RA%20sign;object=ea"),
    ];
    for (from, to) in moved.iter().chain(changes) {
        assert!(text.contains(from), "it lacks {from:?}");
        text = text.replace(from, to);
    }
    Config::from_text(&text, Path::new("/etc/countersign/countersign.toml"))
}

fn refused(changes: &[(&str, &str)]) -> Vec<(Option<u8>, &'static str)> {
    let problems = on_tokens(changes).expect_err("accepted");
    problems.iter().map(|problem| (problem.row, problem.id)).collect()
}

const PRODUCTION: [(&str, &str); 2] =
    [("mode = \"lab\"", "mode = \"production\""), ("https://ca.example.com/", "https://ca.test/")];

#[test]
fn keys_on_tokens_load_in_the_lab_and_in_production() {
    let config = on_tokens(&[]).unwrap().config;
    let places = config.token_places();
    assert_eq!(places.len(), 2);
    let sign = places.iter().find(|place| place.settings.label == "RA sign").unwrap();
    assert_eq!(sign.settings.sessions, 2);
    assert_eq!(sign.module_config.as_deref(), Some(Path::new("/etc/countersign/softhsm2.conf")));
    assert_eq!(sign.pin.to_string(), "file:/etc/countersign/secrets/sign.pin");
    match on_tokens(&PRODUCTION) {
        Ok(_) => {}
        // The users of the example need not be there on this host; the keys are no problem.
        Err(problems) => assert!(problems.iter().all(|problem| problem.row != Some(5))),
    }
}

/// Row 5: fails when `keys_on_hardware` looks at one key only.
#[test]
fn row_05_one_key_left_in_a_file_is_refused_in_production() {
    let left = ("pkcs11:token=RA%20serve;object=cep", "file:keys/cep.key");
    let found = refused(&[PRODUCTION[0], left]);
    assert!(found.contains(&(Some(5), "software-key-in-production")), "{found:?}");
}

/// Fails when `Rules::alone` does not compare sections: `serve` could log in to EA's token.
#[test]
fn row_57_the_ea_key_is_on_a_token_of_its_own() {
    let shared = ("pkcs11:token=RA%20sign;object=ea", "pkcs11:token=RA%20serve;object=ea");
    assert_eq!(refused(&[shared]), [(Some(57), "ea-shares-a-token")]);
    let shared = ("pkcs11:token=RA%20serve;object=rep", "pkcs11:token=RA%20sign;object=rep");
    assert_eq!(refused(&[shared]), [(Some(57), "ea-shares-a-token")]);
}

/// Fails when `Rules::alone` does not compare where the PINs come from.
#[test]
fn row_57_the_ea_token_has_a_pin_of_its_own() {
    let shared = ("file:secrets/sign.pin", "credential:serve-pin");
    assert_eq!(refused(&[shared]), [(Some(57), "ea-shares-a-pin")]);
    // Two prompts are two questions.
    on_tokens(&[("file:secrets/sign.pin", "prompt"), ("credential:serve-pin", "prompt")]).unwrap();
}

#[test]
fn a_key_names_a_token_that_is_there_and_only_one() {
    let unknown = ("label = \"RA sign\"", "label = \"RA other\"");
    assert_eq!(refused(&[unknown]), [(None, "unknown-token")]);
    let twin = ("label = \"RA sign\"", "label = \"RA serve\"");
    let found = refused(&[twin]);
    assert!(found.contains(&(None, "one-token-twice")), "{found:?}");
    // Two tokens of one label are told apart by their serial numbers.
    on_tokens(&[
        ("label = \"RA serve\"", "label = \"RA\"\nserial = \"01\""),
        ("label = \"RA sign\"", "label = \"RA\"\nserial = \"02\""),
        ("token=RA%20serve", "token=RA;serial=01"),
        ("token=RA%20sign", "token=RA;serial=02"),
    ])
    .unwrap();
}

#[test]
fn row_42_two_ways_to_write_one_key_are_one_key() {
    let same = ("pkcs11:token=RA%20serve;object=rep", "pkcs11:object=c%65p;token=RA%20serve");
    assert_eq!(refused(&[same]), [(Some(42), "one-key-in-two-roles")]);
}

/// Row 21: fails when `PinRef` takes text that is no reference, or a problem shows the line.
#[test]
fn row_21_a_pin_in_the_file_is_refused_and_shown_nowhere() {
    for (from, to) in [
        ("file:secrets/sign.pin", "hunter2"),
        ("object=ea", "object=ea?pin-value=hunter2"),
        ("object=ea", "object=ea;pin-value=hunter2"),
    ] {
        let problems = on_tokens(&[(from, to)]).expect_err("accepted");
        for problem in &problems {
            let shown = format!("{problem}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}

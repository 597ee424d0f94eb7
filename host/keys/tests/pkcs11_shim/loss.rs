//! Tokens that go and come back: used again without a restart, and asked seldom while they are
//! gone.

use std::time::{Duration, Instant};

use countersign_keys::pkcs11::{KeyUri, Pin, Pkcs11Settings, Pkcs11Token};
use countersign_keys::{KeySpec, RoleKind, SignatureAlgorithm, Token as _, TokenError};
use countersign_pkcs11_shim::ck::{
    CK_RV, CKR_CRYPTOKI_NOT_INITIALIZED, CKR_DEVICE_ERROR, CKR_GENERAL_ERROR,
    CKR_KEY_HANDLE_INVALID, CKR_OBJECT_HANDLE_INVALID, CKR_OPERATION_ACTIVE, CKR_SESSION_CLOSED,
    CKR_SESSION_HANDLE_INVALID, CKR_USER_NOT_LOGGED_IN,
};
use countersign_pkcs11_shim::{TokenPresence, When};
use countersign_softhsm::{in_a_process, init_token};
use cryptoki::context::Pkcs11;

use crate::{Bench, PIN, name, sign, soon, until_it_works};

fn lost(token: &Pkcs11Token) {
    match sign(token) {
        Err(TokenError::Lost(_)) => {}
        other => panic!("expected a lost token, found {other:?}"),
    }
}

/// Fails when the ladder has no step that opens sessions and logs in again.
#[test]
fn a_token_that_was_taken_out_and_put_back_is_used_again() {
    in_a_process("loss::a_token_that_was_taken_out_and_put_back_is_used_again", |folder| {
        let bench = Bench::new(folder);
        let token = bench.with_ea();
        for _ in 0..2 {
            sign(&token).unwrap();
            bench.now(|script| script.token(TokenPresence::Removed));
            lost(&token);
            // Readiness may have been asked for just before.
            until_it_works(|| match token.health(soon()) {
                Err(_) => Ok(()),
                Ok(()) => Err(TokenError::Busy),
            });
            bench.well();
            until_it_works(|| sign(&token));
            until_it_works(|| token.health(soon()));
        }
        // One log-in for each time that it was there.
        assert_eq!(bench.shim.count("C_Login"), 3);
    });
}

/// Fails when `renew` does not finalize and initialise the module.
#[test]
fn a_token_that_only_a_new_start_of_the_module_shows_is_used_again() {
    in_a_process(
        "loss::a_token_that_only_a_new_start_of_the_module_shows_is_used_again",
        |folder| {
            let bench = Bench::new(folder);
            let token = bench.with_ea();
            bench.now(|script| script.token(TokenPresence::RemovedUntilInitialize));
            lost(&token);
            bench.well();
            until_it_works(|| sign(&token));
            assert!(bench.shim.count("C_Initialize") > 1);
        },
    );
}

/// The same without the shim's help: SoftHSM2's token is moved away on disk.
#[test]
fn a_token_whose_files_went_and_came_back_is_used_again() {
    in_a_process("loss::a_token_whose_files_went_and_came_back_is_used_again", |folder| {
        let bench = Bench::new(folder);
        let token = bench.with_ea();
        let elsewhere = folder.join("elsewhere");
        std::fs::rename(&bench.tokens, &elsewhere).unwrap();
        std::fs::create_dir(&bench.tokens).unwrap();
        // SoftHSM2 goes on with what it has in memory until it is initialised again.
        bench.now(|script| script.fails("C_SignInit", CKR_DEVICE_ERROR, When::FirstCalls(1)));
        lost(&token);
        std::fs::remove_dir(&bench.tokens).unwrap();
        std::fs::rename(&elsewhere, &bench.tokens).unwrap();
        until_it_works(|| sign(&token));
    });
}

/// Fails when one of these codes is missing from `remedy` in `failure.rs`.
#[test]
fn what_a_new_session_mends_is_not_noticed() {
    in_a_process("loss::what_a_new_session_mends_is_not_noticed", |folder| {
        let bench = Bench::new(folder);
        let token = bench.with_ea();
        let codes: [CK_RV; 7] = [
            CKR_SESSION_HANDLE_INVALID,
            CKR_SESSION_CLOSED,
            CKR_OBJECT_HANDLE_INVALID,
            CKR_KEY_HANDLE_INVALID,
            CKR_USER_NOT_LOGGED_IN,
            CKR_OPERATION_ACTIVE,
            CKR_GENERAL_ERROR,
        ];
        for code in codes {
            bench.now(|script| script.fails("C_SignInit", code, When::OnCall(1)));
            sign(&token).unwrap_or_else(|error| panic!("{code:#x}: {error}"));
        }
        assert_eq!(bench.shim.count("C_Initialize"), 1);
        assert_eq!(bench.shim.count("C_Login"), 1);
    });
}

#[test]
fn what_a_new_start_of_the_module_mends_is_not_noticed() {
    in_a_process("loss::what_a_new_start_of_the_module_mends_is_not_noticed", |folder| {
        let bench = Bench::new(folder);
        let token = bench.with_ea();
        for code in [CKR_DEVICE_ERROR, CKR_CRYPTOKI_NOT_INITIALIZED] {
            bench.now(|script| script.fails("C_SignInit", code, When::OnCall(1)));
            until_it_works(|| sign(&token));
        }
        // Something else in the process finalizes our module.
        Pkcs11::new(bench.shim.path()).unwrap().finalize().unwrap();
        until_it_works(|| sign(&token));
    });
}

/// Fails when a session that saw an error is used again: a module may leave it in
/// CKR_OPERATION_ACTIVE for ever.
#[test]
fn a_session_that_saw_an_error_is_closed() {
    in_a_process("loss::a_session_that_saw_an_error_is_closed", |folder| {
        let bench = Bench::new(folder);
        let token = bench.with_ea();
        sign(&token).unwrap();
        let closed = bench.shim.count("C_CloseSession");
        bench.now(|script| script.fails("C_Sign", CKR_GENERAL_ERROR, When::OnCall(1)));
        sign(&token).unwrap();
        assert_eq!(bench.shim.count("C_CloseSession"), closed + 1);
    });
}

/// Fails when the pause of a token that is away ends because another one works (`renew_for_token` in
/// `module.rs`): the others would log in again ten times a second.
#[test]
fn a_token_that_stays_away_seldom_disturbs_the_others_of_its_module() {
    in_a_process(
        "loss::a_token_that_stays_away_seldom_disturbs_the_others_of_its_module",
        |folder| {
            let bench = Bench::new(folder);
            let before = folders(&bench.tokens);
            init_token("another token", "the officer's", PIN);
            let files = folders(&bench.tokens).into_iter().find(|path| !before.contains(path));
            let (files, elsewhere) = (files.unwrap(), folder.join("elsewhere"));
            let stays = bench.with_ea();
            let settings = Pkcs11Settings { label: "another token".into(), ..bench.settings() };
            let key: KeyUri = "pkcs11:token=another%20token;object=ea".parse().unwrap();
            let pin = Pin::new(PIN.as_bytes()).unwrap();
            let goes = Pkcs11Token::open(&settings, pin, [&key], soon()).unwrap();
            goes.generate(&key.key_name(), RoleKind::Ea, KeySpec::EcP256, soon()).unwrap();
            let sign_there =
                || goes.sign(&key.key_name(), SignatureAlgorithm::EcdsaP256Sha256, b"m", soon());
            sign_there().unwrap();

            std::fs::rename(&files, &elsewhere).unwrap();
            bench.now(|script| script.fails("C_SignInit", CKR_DEVICE_ERROR, When::OnCall(1)));
            let (logins, started) = (bench.shim.count("C_Login"), Instant::now());
            let mut signed = 0;
            while started.elapsed() < Duration::from_secs(4) {
                assert!(matches!(sign_there(), Err(TokenError::Lost(_))));
                sign(&stays).unwrap();
                signed += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
            // After 0.1, 0.2, 0.4, 0.8, 1.6 s and so on.
            let disturbed = bench.shim.count("C_Login") - logins;
            assert!(disturbed <= 7 && signed > 50, "{signed} signed, {disturbed} log-ins");
            std::fs::rename(&elsewhere, &files).unwrap();
            until_it_works(sign_there);
            sign(&stays).unwrap();
        },
    );
}

fn folders(place: &std::path::Path) -> Vec<std::path::PathBuf> {
    std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Fails when the pauses of `renew` in `module.rs` are taken out: a module that is down would be
/// initialised for every request.
#[test]
fn while_a_token_is_gone_calls_fail_at_once_and_it_is_looked_for_seldom() {
    in_a_process(
        "loss::while_a_token_is_gone_calls_fail_at_once_and_it_is_looked_for_seldom",
        |folder| {
            let bench = Bench::new(folder);
            let token = bench.with_ea();
            bench.now(|script| script.token(TokenPresence::Removed));
            let before = bench.shim.count("C_Initialize");
            let started = Instant::now();
            let mut calls = 0;
            while started.elapsed() < Duration::from_secs(4) {
                let begin = Instant::now();
                lost(&token);
                assert!(begin.elapsed() < Duration::from_secs(1));
                calls += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
            // After 0.1, 0.2, 0.4, 0.8, 1.6 s and so on.
            let looked = bench.shim.count("C_Initialize") - before;
            assert!(looked <= 7 && calls > 50, "{calls} calls, {looked} looks");
            bench.well();
            until_it_works(|| sign(&token));
        },
    );
}

/// Fails when `find` takes whatever key has the name.
#[test]
fn another_key_under_the_same_name_is_not_used() {
    in_a_process("loss::another_key_under_the_same_name_is_not_used", |folder| {
        let bench = Bench::new(folder);
        let token = bench.with_ea();
        sign(&token).unwrap();
        // Another token of the same label, with another key of the same name.
        let elsewhere = folder.join("elsewhere");
        std::fs::rename(&bench.tokens, &elsewhere).unwrap();
        std::fs::create_dir(&bench.tokens).unwrap();
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["loss::makes_another_token", "--exact", "--ignored"])
            .status()
            .unwrap();
        assert!(status.success());
        bench.now(|script| script.fails("C_SignInit", CKR_DEVICE_ERROR, When::OnCall(1)));
        let why = until_it_works(|| match sign(&token) {
            Err(TokenError::Refused(why)) => Ok(why),
            other => Err(other.expect_err("signed with another key")),
        });
        assert!(why.contains("another key"), "{why}");
        assert_eq!(token.public_key(&name("ea")).unwrap().kind().to_string(), "P-256");
    });
}

/// Started by the test above, in a process of its own: this one has its module.
#[test]
#[ignore = "part of another test"]
fn makes_another_token() {
    let folder = tempfile::tempdir().unwrap();
    drop(Bench::new(folder.path()).with_ea());
}

/// Fails when sessions are left to the end of the process: SoftHSM2 crashes then, now and then.
#[test]
fn a_token_is_given_up_in_order() {
    in_a_process("loss::a_token_is_given_up_in_order", |folder| {
        let bench = Bench::new(folder);
        let token = bench.with_ea();
        sign(&token).unwrap();
        drop(token);
        let calls = bench.shim.calls();
        assert_eq!(calls.last().map(String::as_str), Some("C_Finalize"));
        assert_eq!(bench.shim.count("C_OpenSession"), bench.shim.count("C_CloseSession"));
    });
}

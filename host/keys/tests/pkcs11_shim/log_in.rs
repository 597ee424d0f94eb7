//! Log-in: one attempt, and none where the token warns. Tokens lock after a few wrong ones.

use countersign_keys::TokenError;
use countersign_keys::pkcs11::TokenOpenError;
use countersign_pkcs11_shim::ck::{
    CKF_USER_PIN_COUNT_LOW, CKF_USER_PIN_FINAL_TRY, CKF_USER_PIN_LOCKED,
    CKF_USER_PIN_TO_BE_CHANGED, CKR_PIN_INCORRECT,
};
use countersign_pkcs11_shim::{TokenPresence, When};
use countersign_softhsm::in_a_process;

use crate::{Bench, PIN, sign, until_it_works};

fn refusal(result: Result<impl Sized, TokenOpenError>) -> TokenError {
    match result {
        Err(TokenOpenError::Token { source, .. }) => source,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    }
}

/// Fails when a failed log-in is tried again, as after any other error.
#[test]
fn a_wrong_pin_is_tried_once() {
    in_a_process("log_in::a_wrong_pin_is_tried_once", |folder| {
        let bench = Bench::new(folder);
        assert_eq!(refusal(bench.open_with("a guess", &["ea"])), TokenError::LogInRefused);
        assert_eq!(bench.shim.count("C_Login"), 1);
        // The token remembers, and a second process (a restart loop, say) tries no more.
        let said = refusal(bench.open_with("a guess", &["ea"])).to_string();
        assert!(said.contains("CKF_USER_PIN_COUNT_LOW") && !said.contains("a guess"), "{said}");
        assert_eq!(bench.shim.count("C_Login"), 1);
    });
}

/// Fails when the warnings of `log_in` in `connection.rs` are not looked at before the log-in.
#[test]
fn a_token_that_warns_is_not_logged_in_to() {
    in_a_process("log_in::a_token_that_warns_is_not_logged_in_to", |folder| {
        let bench = Bench::new(folder);
        for (flag, says) in [
            (CKF_USER_PIN_COUNT_LOW, "COUNT_LOW"),
            (CKF_USER_PIN_FINAL_TRY, "FINAL_TRY"),
            (CKF_USER_PIN_LOCKED, "LOCKED"),
            (CKF_USER_PIN_TO_BE_CHANGED, "TO_BE_CHANGED"),
        ] {
            bench.now(|script| script.token_flags(flag));
            match refusal(bench.open_with(PIN, &["ea"])) {
                TokenError::LogInWithheld(why) => assert!(why.contains(says), "{why}"),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(bench.shim.count("C_Login"), 0);
        bench.well();
        drop(bench.open(&["ea"]));
        assert_eq!(bench.shim.count("C_Login"), 1);
    });
}

/// Fails when a process that runs forgets that its PIN was refused (`pin_refused`).
#[test]
fn a_pin_refused_after_a_loss_is_never_tried_again() {
    in_a_process("log_in::a_pin_refused_after_a_loss_is_never_tried_again", |folder| {
        let bench = Bench::new(folder);
        let token = bench.with_ea();
        sign(&token).unwrap();
        assert_eq!(bench.shim.count("C_Login"), 1);
        bench.now(|script| script.token(TokenPresence::Removed));
        assert!(sign(&token).is_err());
        bench.now(|script| script.fails("C_Login", CKR_PIN_INCORRECT, When::Always));
        let started = std::time::Instant::now();
        while started.elapsed() < std::time::Duration::from_secs(8) {
            assert!(sign(&token).is_err());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert_eq!(bench.shim.count("C_Login"), 2);
        // Not even when the token would take it again: a person has to look at it first.
        bench.well();
        assert_eq!(sign(&token), Err(TokenError::LogInRefused));
        assert_eq!(bench.shim.count("C_Login"), 2);
    });
}

#[test]
fn a_warning_that_goes_away_lets_the_process_back_in() {
    in_a_process("log_in::a_warning_that_goes_away_lets_the_process_back_in", |folder| {
        let bench = Bench::new(folder);
        let token = bench.with_ea();
        bench.now(|script| script.token(TokenPresence::Removed));
        assert!(sign(&token).is_err());
        bench.now(|script| script.token_flags(CKF_USER_PIN_FINAL_TRY));
        let withheld = until_it_works(|| match sign(&token) {
            Err(TokenError::LogInWithheld(why)) => Ok(why),
            other => Err(other.expect_err("it is not logged in")),
        });
        assert!(withheld.contains("FINAL_TRY"));
        assert_eq!(bench.shim.count("C_Login"), 1);
        bench.well();
        until_it_works(|| sign(&token));
        assert_eq!(bench.shim.count("C_Login"), 2);
    });
}

//! A token that refuses its PIN, warns, goes away and comes back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test may state what it knows"
)]

mod softhsm;

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_keys::pkcs11::TokenOpenError;
use countersign_keys::{
    Deadline, KeyPool, KeySpec, PoolLimits, RoleKind, SignatureAlgorithm, Token, TokenError,
};
use softhsm::{PIN, alone, soon, uri, with_session};

const ALGORITHM: SignatureAlgorithm = SignatureAlgorithm::RsaPkcs1Sha256;

/// Fails when `log_in` does not look at the token's flags: the second start would try again, and
/// a supervisor that restarts the process would lock the token.
#[test]
fn a_wrong_pin_is_tried_once_and_never_while_the_token_warns() {
    alone(|hsm| {
        hsm.token("careful");
        let refused = hsm.try_open("careful", "00000000", []).unwrap_err();
        assert!(
            matches!(refused, TokenOpenError::Token { source: TokenError::LogInRefused, .. }),
            "{refused}"
        );
        assert!(!refused.to_string().contains("00000000"));
        // The right PIN would do, and is not tried either: the token warns.
        let withheld = hsm.try_open("careful", PIN, []).unwrap_err();
        assert!(
            matches!(withheld, TokenOpenError::Token { source: TokenError::LogInWithheld(_), .. }),
            "{withheld}"
        );
        // A person logs in with the right PIN: the warning is gone.
        with_session("careful", |_| ());
        hsm.open("careful", []);
    });
}

#[test]
fn a_token_that_is_not_there_is_said_with_those_that_are() {
    alone(|hsm| {
        hsm.token("another");
        let missing = hsm.try_open("wanted", PIN, []).unwrap_err().to_string();
        assert!(missing.contains("`wanted`") && missing.contains("`another`"), "{missing}");
    });
}

/// Fails when the ladder ends below `Module::renew`: SoftHSM2 sees a token that returned only
/// after it was initialised again.
#[test]
fn a_token_that_goes_and_comes_back_is_used_again_without_a_restart() {
    alone(|hsm| {
        hsm.token("returns");
        let key = uri("returns", "rep");
        let name = key.key_name();
        let token = hsm.open("returns", [&key]);
        let public_key = token.generate(&name, RoleKind::Rep, KeySpec::Rsa2048, soon()).unwrap();
        token.sign(&name, ALGORITHM, b"before", soon()).unwrap();

        let away = hsm.directory().join("away");
        std::fs::rename(hsm.tokens(), &away).unwrap();
        std::fs::create_dir(hsm.tokens()).unwrap();
        // Somebody else's finalize, and with it every session, is the hardest loss there is.
        let module = cryptoki::context::Pkcs11::new(softhsm::MODULE).unwrap();
        module.finalize().unwrap();
        for _ in 0..3 {
            let began = Instant::now();
            let lost = token.sign(&name, ALGORITHM, b"during", soon());
            assert!(matches!(lost, Err(TokenError::Lost(_))), "{lost:?}");
            assert!(began.elapsed() < Duration::from_secs(2));
        }
        assert!(token.health(soon()).is_err());

        std::fs::remove_dir(hsm.tokens()).unwrap();
        std::fs::rename(&away, hsm.tokens()).unwrap();
        let returned = Instant::now();
        let signature = loop {
            match token.sign(&name, ALGORITHM, b"after", soon()) {
                Ok(signature) => break signature,
                Err(TokenError::Lost(_)) => std::thread::sleep(Duration::from_millis(50)),
                Err(other) => panic!("{other}"),
            }
            assert!(returned.elapsed() < Duration::from_secs(12));
        };
        public_key.verify(ALGORITHM, b"after", &signature).unwrap();
        token.health(soon()).unwrap();
    });
}

/// Fails when sessions or handles of before are used, or the log-in is not looked at.
#[test]
fn a_log_out_or_a_finalize_elsewhere_is_healed_within_the_operation() {
    alone(|hsm| {
        hsm.token("healed");
        let key = uri("healed", "rep");
        let name = key.key_name();
        let token = hsm.open("healed", [&key]);
        let public_key = token.generate(&name, RoleKind::Rep, KeySpec::Rsa2048, soon()).unwrap();
        for round in 0..3 {
            // A log-out anywhere kills every private handle of the process.
            with_session("healed", |session| session.logout().unwrap());
            let signature = token.sign(&name, ALGORITHM, b"out", soon()).unwrap();
            public_key.verify(ALGORITHM, b"out", &signature).unwrap();
            if round == 1 {
                cryptoki::context::Pkcs11::new(softhsm::MODULE).unwrap().finalize().unwrap();
                token.sign(&name, ALGORITHM, b"finalized", soon()).unwrap();
            }
        }
    });
}

/// Another token under the same label is not used: fails when `find` does not compare.
#[test]
fn another_key_of_the_same_name_is_not_the_key() {
    alone(|hsm| {
        hsm.token("same");
        let key = uri("same", "rep");
        let name = key.key_name();
        let token = hsm.open("same", [&key]);
        token.generate(&name, RoleKind::Rep, KeySpec::Rsa2048, soon()).unwrap();
        token.sign(&name, ALGORITHM, b"m", soon()).unwrap();
        with_session("same", |session| {
            for object in session.find_objects(&[]).unwrap() {
                session.destroy_object(object).unwrap();
            }
            softhsm::make_key(session, "rep", 9, &[]);
        });
        let refused = token.sign(&name, ALGORITHM, b"m", soon());
        assert!(matches!(refused, Err(TokenError::Refused(_))), "{refused:?}");
    });
}

/// Many at once, with the token lost in the middle: everyone gets an answer in time, and the
/// threads, the sessions and the module end in order.
#[test]
fn many_callers_through_a_loss_all_get_an_answer_and_the_end_is_clean() {
    alone(|hsm| {
        hsm.token("many");
        let key = uri("many", "rep");
        let name = key.key_name();
        let token = Arc::new(hsm.open("many", [&key]));
        token.generate(&name, RoleKind::Rep, KeySpec::Rsa2048, soon()).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let pool = KeyPool::start(token.clone() as Arc<dyn Token>, PoolLimits::default()).unwrap();
        assert_eq!(token.capacity().reserved_for_signing, 1);
        runtime.block_on(async {
            let mut good = 0;
            for loss in [false, true] {
                if loss {
                    // Between calls: what a stranger's finalize does to calls that run in the
                    // module is undefined, and SoftHSM2's heap does not survive it.
                    cryptoki::context::Pkcs11::new(softhsm::MODULE).unwrap().finalize().unwrap();
                }
                let mut tasks = tokio::task::JoinSet::new();
                for round in 0..20 {
                    let pool = pool.clone();
                    tasks.spawn(async move {
                        tokio::time::sleep(Duration::from_millis(10 * round)).await;
                        pool.health(Deadline::after(Duration::from_secs(20))).await
                    });
                    let (token, name) = (token.clone(), name.clone());
                    tasks.spawn_blocking(move || {
                        std::thread::sleep(Duration::from_millis(10 * round));
                        token.sign(&name, ALGORITHM, b"m", soon()).map(drop)
                    });
                }
                while let Some(result) = tasks.join_next().await {
                    match result.unwrap() {
                        Ok(()) => good += 1,
                        Err(TokenError::Lost(_)) if loss => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            }
            assert!(good > 40, "{good} of 80");
        });
        drop(pool);
        drop(token);
        // Finalized: somebody else may initialise it now.
        let module = cryptoki::context::Pkcs11::new(softhsm::MODULE).unwrap();
        let flags = cryptoki::context::CInitializeFlags::OS_LOCKING_OK;
        module.initialize(cryptoki::context::CInitializeArgs::new(flags)).unwrap();
        module.finalize().unwrap();
    });
}

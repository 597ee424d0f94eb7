//! Tokens that sign wrongly, and modules that hang.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_keys::{
    Deadline, KeyPool, KeySpec, KeyTransport, PoolLimits, RoleKind, Token as _, TokenError,
};
use countersign_pkcs11_shim::When;
use countersign_softhsm::in_a_process;

use crate::{Bench, MESSAGE, name, preferred, sign, soon};

/// Fails when a fresh signature is not verified before it leaves (`sign` in `token.rs`): one faulty
/// RSA signature gives the key away.
#[test]
fn a_wrong_signature_never_leaves() {
    in_a_process("faults::a_wrong_signature_never_leaves", |folder| {
        let bench = Bench::new(folder);
        let token = bench.open(&["ea", "cep"]);
        for spec in [KeySpec::EcP256, KeySpec::Rsa2048] {
            // The name matters to nobody here.
            let key = name(if spec == KeySpec::EcP256 { "ea" } else { "cep" });
            let public_key = token.generate(&key, RoleKind::Rep, spec, soon()).unwrap();
            let sign = || token.sign(&key, preferred(&public_key), MESSAGE, soon());
            sign().unwrap();
            bench.now(|script| script.signs_wrongly(When::Always));
            for _ in 0..3 {
                assert_eq!(sign(), Err(TokenError::Faulty));
            }
            bench.now(|script| script.signs_wrongly(When::OnCall(2)));
            sign().unwrap();
            assert_eq!(sign(), Err(TokenError::Faulty));
            let signature = sign().unwrap();
            public_key.verify(preferred(&public_key), MESSAGE, &signature).unwrap();
        }
    });
}

/// Fails when the pool waits for the module and not for the deadline.
#[test]
fn a_module_that_hangs_does_not_hang_its_callers() {
    in_a_process("faults::a_module_that_hangs_does_not_hang_its_callers", |folder| {
        let bench = Bench::new(folder);
        let token = Arc::new(bench.with_ea());
        let pool = KeyPool::start(Arc::clone(&token) as _, PoolLimits::default()).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(pool.health(soon())).unwrap();
        std::thread::sleep(Duration::from_millis(1100));

        bench.now(|script| script.delays("C_Sign", Duration::from_secs(3), When::Always));
        let started = Instant::now();
        let asked = runtime.block_on(pool.health(Deadline::after(Duration::from_millis(300))));
        assert_eq!(asked, Err(TokenError::Deadline));
        assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
        // A later caller has its own deadline, and the module its time: it is used again.
        bench.well();
        runtime.block_on(pool.health(soon())).unwrap();
        sign(&token).unwrap();
    });
}

/// Fails when unwraps may take every session (`reserved_for_signing`): strangers cause unwraps.
#[test]
fn while_unwraps_hang_answers_are_still_signed() {
    in_a_process("faults::while_unwraps_hang_answers_are_still_signed", |folder| {
        let bench = Bench::new(folder);
        let token = bench.open(&["ea", "cep"]);
        token.generate(&name("cep"), RoleKind::Cep, KeySpec::Rsa2048, soon()).unwrap();
        token.generate(&name("ea"), RoleKind::Ea, KeySpec::EcP256, soon()).unwrap();
        let token = Arc::new(token);
        let ciphertext = vec![1; 256];
        // What is tried out at the first use is not what is tested.
        let unwrap = |deadline| {
            token.rsa_unwrap(&name("cep"), KeyTransport::Pkcs1v15, &ciphertext, 16, deadline)
        };
        unwrap(soon()).unwrap();
        bench.now(|script| script.delays("C_Decrypt", Duration::from_secs(2), When::Always));
        let started = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| unwrap(soon()).unwrap());
            }
            std::thread::sleep(Duration::from_millis(100));
            sign(&token).unwrap();
            assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
        });
    });
}

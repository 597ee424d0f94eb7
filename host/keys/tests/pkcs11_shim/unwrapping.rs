//! Envelopes: what a stranger sends never shows in the answer, nor in the token's health.

use aws_lc_rs::rsa::{Pkcs1PublicEncryptingKey, PublicEncryptingKey};
use countersign_keys::pkcs11::Pkcs11Token;
use countersign_keys::{Finding, KeyTransport, RoleKind, Severity, Token as _};
use countersign_pkcs11_shim::When;
use countersign_pkcs11_shim::ck::{
    CK_RV, CKM_RSA_X_509, CKR_DATA_INVALID, CKR_DEVICE_ERROR, CKR_ENCRYPTED_DATA_INVALID,
    CKR_FUNCTION_FAILED, CKR_GENERAL_ERROR, CKR_MECHANISM_INVALID,
};
use countersign_softhsm::in_a_process;

use crate::{Bench, name, soon};

/// CKM_RSA_PKCS and CKM_RSA_X_509 as the shim notes them.
const PADDED: &str = "C_DecryptInit 0x1";
const RAW: &str = "C_DecryptInit 0x3";

fn unwrap(token: &Pkcs11Token, ciphertext: &[u8]) -> Vec<u8> {
    token
        .rsa_unwrap(&name("cep"), KeyTransport::Pkcs1v15, ciphertext, 16, soon())
        .unwrap()
        .as_bytes()
        .to_vec()
}

fn encrypt(token: &Pkcs11Token, content_key: &[u8]) -> Vec<u8> {
    let key = token.public_key(&name("cep")).unwrap();
    let key = PublicEncryptingKey::from_der(key.spki_der()).unwrap();
    let key = Pkcs1PublicEncryptingKey::new(key).unwrap();
    let mut ciphertext = vec![0; key.ciphertext_size()];
    key.encrypt(content_key, &mut ciphertext).unwrap();
    ciphertext
}

/// Good ciphertexts give their key; bad ones of every kind a key that looks like any other and stays
/// the same.
fn opens_uniformly(token: &Pkcs11Token) {
    let good = encrypt(token, &[7; 16]);
    assert_eq!(unwrap(token, &good), [7; 16]);
    let mut spoiled = good.clone();
    spoiled[100] ^= 1;
    let wrong_length = encrypt(token, &[7; 24]);
    let too_large = vec![0xff; 256];
    let too_short = vec![1; 255];
    let mut seen = Vec::new();
    for bad in [spoiled, wrong_length, too_large, too_short, Vec::new()] {
        let key = unwrap(token, &bad);
        assert_eq!(key.len(), 16);
        assert_ne!(key, [7; 16]);
        assert_eq!(key, unwrap(token, &bad));
        assert!(!seen.contains(&key));
        seen.push(key);
    }
    assert_eq!(unwrap(token, &good), [7; 16]);
}

fn examined(token: &Pkcs11Token) -> Vec<Finding> {
    token.examine(&name("cep"), RoleKind::Cep, soon()).unwrap()
}

/// Fails when the padding is left to the token although it offers raw RSA.
#[test]
fn raw_rsa_is_used_where_it_is_offered() {
    in_a_process("unwrapping::raw_rsa_is_used_where_it_is_offered", |folder| {
        let bench = Bench::new(folder);
        let token = bench.with_cep();
        opens_uniformly(&token);
        assert_eq!(examined(&token), []);
        let calls = bench.shim.calls();
        assert!(calls.iter().any(|call| call == RAW));
        assert!(!calls.iter().any(|call| call == PADDED));
        assert_eq!((bench.shim.count("C_Initialize"), bench.shim.count("C_Login")), (1, 1));
    });
}

/// Fails without the fallback, or where a bad padding is an error in it.
#[test]
fn without_raw_rsa_the_answers_are_as_uniform_and_it_is_said() {
    in_a_process(
        "unwrapping::without_raw_rsa_the_answers_are_as_uniform_and_it_is_said",
        |folder| {
            let bench = Bench::new(folder);
            bench.now(|script| script.without_mechanism(CKM_RSA_X_509));
            let token = bench.with_cep();
            opens_uniformly(&token);
            let calls = bench.shim.calls();
            assert!(calls.iter().any(|call| call == PADDED));
            assert!(!calls.iter().any(|call| call == RAW));
            let findings = examined(&token);
            let said = findings.iter().find(|finding| finding.id == "token-without-raw-rsa");
            assert_eq!(said.map(|finding| finding.severity), Some(Severity::High), "{findings:?}");
            let critical = findings.iter().find(|finding| finding.severity == Severity::Critical);
            assert_eq!(critical, None);
            assert_eq!((bench.shim.count("C_Initialize"), bench.shim.count("C_Login")), (1, 1));
        },
    );
}

/// Some modules list the mechanism and fail at it. Fails when `opens_raw` believes the list.
#[test]
fn a_token_that_lists_raw_rsa_and_cannot_do_it_is_found_out() {
    in_a_process(
        "unwrapping::a_token_that_lists_raw_rsa_and_cannot_do_it_is_found_out",
        |folder| {
            let bench = Bench::new(folder);
            drop(bench.with_cep());
            // The first decryption of a new process tries raw RSA out.
            bench.now(|script| {
                script.fails("C_DecryptInit", CKR_MECHANISM_INVALID, When::OnCall(1))
            });
            let token = bench.open(&["cep"]);
            opens_uniformly(&token);
            assert!(bench.shim.calls().iter().any(|call| call == PADDED));
        },
    );
}

/// Fails when a return code that a ciphertext can cause is taken for a lost token: strangers could
/// take the token away, and see which of their paddings were good.
#[test]
fn what_the_token_says_of_a_bad_padding_is_neither_an_error_nor_a_loss() {
    in_a_process(
        "unwrapping::what_the_token_says_of_a_bad_padding_is_neither_an_error_nor_a_loss",
        |folder| {
            let bench = Bench::new(folder);
            bench.now(|script| script.without_mechanism(CKM_RSA_X_509));
            let token = bench.with_cep();
            let good = encrypt(&token, &[7; 16]);
            assert_eq!(unwrap(&token, &good), [7; 16]);
            let codes: [CK_RV; 5] = [
                CKR_GENERAL_ERROR,
                CKR_DEVICE_ERROR,
                CKR_FUNCTION_FAILED,
                CKR_ENCRYPTED_DATA_INVALID,
                CKR_DATA_INVALID,
            ];
            for code in codes {
                bench.now(|script| {
                    script.without_mechanism(CKM_RSA_X_509).fails("C_Decrypt", code, When::Always)
                });
                let mut sessions = Vec::new();
                for _ in 0..4 {
                    assert_ne!(unwrap(&token, &good), [7; 16], "{code:#x}");
                    sessions.push(bench.shim.count("C_OpenSession"));
                }
            }
            bench.now(|script| script.without_mechanism(CKM_RSA_X_509));
            assert_eq!(unwrap(&token, &good), [7; 16]);
            assert_eq!((bench.shim.count("C_Initialize"), bench.shim.count("C_Login")), (1, 1));
        },
    );
}

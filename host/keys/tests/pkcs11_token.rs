//! A PKCS#11 token against SoftHSM2: what it signs, what it opens, and what it never tells.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test may state what it knows"
)]

mod softhsm;

use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, Pkcs1PublicEncryptingKey,
    PublicEncryptingKey,
};
use countersign_keys::{
    KeyName, KeySpec, KeyTransport, PublicKey, RoleKind, Severity, SignatureAlgorithm, Token,
    TokenError,
};
use softhsm::{alone, alone_with, soon, uri};

const TRANSPORTS: [KeyTransport; 3] =
    [KeyTransport::Pkcs1v15, KeyTransport::OaepSha1, KeyTransport::OaepSha256];

fn wrap(public_key: &PublicKey, transport: KeyTransport, content_key: &[u8]) -> Vec<u8> {
    let key = || PublicEncryptingKey::from_der(public_key.spki_der()).unwrap();
    let mut ciphertext = vec![0; 256];
    let oaep = || OaepPublicEncryptingKey::new(key()).unwrap();
    let length = match transport {
        KeyTransport::Pkcs1v15 => Pkcs1PublicEncryptingKey::new(key())
            .unwrap()
            .encrypt(content_key, &mut ciphertext)
            .unwrap()
            .len(),
        KeyTransport::OaepSha1 => {
            oaep().encrypt(&OAEP_SHA1_MGF1SHA1, content_key, &mut ciphertext, None).unwrap().len()
        }
        KeyTransport::OaepSha256 => oaep()
            .encrypt(&OAEP_SHA256_MGF1SHA256, content_key, &mut ciphertext, None)
            .unwrap()
            .len(),
    };
    ciphertext.truncate(length);
    ciphertext
}

#[test]
fn a_key_made_for_a_role_is_there_is_kept_as_it_must_be_and_works() {
    alone(|hsm| {
        hsm.token("made");
        let keys = ["ea", "cep", "rep", "ec"].map(|object| uri("made", object));
        let token = hsm.open("made", &keys);
        for (key, role, spec) in [
            (&keys[0], RoleKind::Ea, KeySpec::Rsa2048),
            (&keys[1], RoleKind::Cep, KeySpec::Rsa2048),
            (&keys[2], RoleKind::Rep, KeySpec::Rsa2048),
            (&keys[3], RoleKind::Ea, KeySpec::EcP256),
        ] {
            let name = key.key_name();
            assert!(!token.has(&name, soon()).unwrap());
            let public_key = token.generate(&name, role, spec, soon()).unwrap();
            assert!(token.has(&name, soon()).unwrap());
            assert_eq!(token.public_key(&name).unwrap(), public_key);
            assert_eq!(token.examine(&name, role, soon()).unwrap(), [], "{role}");
            let again = token.generate(&name, role, spec, soon());
            assert!(matches!(again, Err(TokenError::Refused(_))), "{again:?}");
            assert!(token.holds(&public_key, soon()).unwrap());
            // Its CSR is signed, the CEP key's, too, which has no CKA_SIGN.
            let csr = token.csr(&name, role, "CN=Countersign", soon()).unwrap();
            softhsm::check_csr(&csr, &public_key);
        }
        let other = countersign_keys::generate_key(KeySpec::EcP256).unwrap();
        assert!(!token.holds(other.public_key(), soon()).unwrap());
        token.health(soon()).unwrap();
    });
}

#[test]
fn each_kind_of_key_signs_with_what_goes_with_it_and_nothing_else() {
    use SignatureAlgorithm::*;
    let all = [RsaPkcs1Sha256, RsaPkcs1Sha384, RsaPkcs1Sha512, EcdsaP256Sha256, EcdsaP384Sha384];
    alone(|hsm| {
        hsm.token("signs");
        for (object, spec, good) in [
            ("rsa", KeySpec::Rsa2048, &all[..3]),
            ("p256", KeySpec::EcP256, &all[3..4]),
            ("p384", KeySpec::EcP384, &all[4..]),
        ] {
            let key = uri("signs", object);
            let token = hsm.open("signs", [&key]);
            let public_key = token.generate(&key.key_name(), RoleKind::Rep, spec, soon()).unwrap();
            for algorithm in all {
                let signed = token.sign(&key.key_name(), algorithm, b"message", soon());
                if good.contains(&algorithm) {
                    public_key.verify(algorithm, b"message", &signed.unwrap()).unwrap();
                } else {
                    assert!(matches!(signed, Err(TokenError::Refused(_))), "{spec:?} {algorithm}");
                }
            }
        }
    });
}

#[test]
fn a_wrapped_content_key_is_unwrapped_by_every_transport_and_of_every_length() {
    alone(|hsm| {
        hsm.token("opens");
        let key = uri("opens", "cep");
        let token = hsm.open("opens", [&key]);
        let name = key.key_name();
        let public_key = token.generate(&name, RoleKind::Cep, KeySpec::Rsa2048, soon()).unwrap();
        for transport in TRANSPORTS {
            for length in [8usize, 16, 24, 32] {
                let content_key: Vec<u8> = (0..length as u8).map(|byte| byte ^ 0x5a).collect();
                let wrapped = wrap(&public_key, transport, &content_key);
                let found = token.rsa_unwrap(&name, transport, &wrapped, length, soon()).unwrap();
                assert_eq!(found.as_bytes(), content_key, "{transport:?} {length}");
            }
        }
    });
}

/// Fails when `Pkcs11Token::unwrap` gives an error, or no key, for any of these.
#[test]
fn whatever_is_wrong_with_a_ciphertext_the_same_substitute_comes_back_twice() {
    alone(|hsm| {
        hsm.token("masks");
        let key = uri("masks", "cep");
        let token = hsm.open("masks", [&key]);
        let name = key.key_name();
        let public_key = token.generate(&name, RoleKind::Cep, KeySpec::Rsa2048, soon()).unwrap();
        let good = wrap(&public_key, KeyTransport::Pkcs1v15, &[7; 16]);
        let mut flipped = good.clone();
        flipped[100] ^= 1;
        let longer = wrap(&public_key, KeyTransport::Pkcs1v15, &[7; 17]);
        for (what, bad) in [
            ("flipped", flipped),
            ("another length", longer),
            ("above the modulus", vec![0xff; 256]),
            ("zero", vec![0; 256]),
            ("short", good[..255].to_vec()),
            ("long", [good.as_slice(), &[0]].concat()),
            ("empty", vec![]),
        ] {
            for transport in TRANSPORTS {
                let one = token.rsa_unwrap(&name, transport, &bad, 16, soon()).unwrap();
                let two = token.rsa_unwrap(&name, transport, &bad, 16, soon()).unwrap();
                assert_eq!(one.as_bytes().len(), 16);
                assert_eq!(one.as_bytes(), two.as_bytes(), "{what}");
                assert_ne!(one.as_bytes(), [7; 16], "{what}");
                assert_ne!(one.as_bytes(), [0; 16], "{what}");
            }
        }
        // The token is as well as before.
        let found = token.rsa_unwrap(&name, KeyTransport::Pkcs1v15, &good, 16, soon()).unwrap();
        assert_eq!(found.as_bytes(), [7; 16]);
        for length in [0, 33] {
            let refused = token.rsa_unwrap(&name, KeyTransport::Pkcs1v15, &good, length, soon());
            assert!(matches!(refused, Err(TokenError::Refused(_))));
        }
    });
}

#[test]
fn a_key_that_is_not_there_or_is_there_twice_is_no_key() {
    alone(|hsm| {
        hsm.token("once");
        let (none, twice) = (uri("once", "none"), uri("once", "twice"));
        let token = hsm.open("once", [&none, &twice]);
        let missing = token.public_key(&none.key_name());
        assert_eq!(
            missing,
            Err(TokenError::NoSuchKey { name: none.key_name().as_str().into(), found: 0 })
        );
        softhsm::with_session("once", |session| {
            for id in [1, 2] {
                softhsm::make_key(session, "twice", id, &[]);
            }
        });
        let two = token.public_key(&twice.key_name());
        assert!(matches!(two, Err(TokenError::NoSuchKey { found: 2, .. })), "{two:?}");
        let stranger = token.public_key(&KeyName::new("pkcs11:token=once;object=other"));
        assert!(matches!(stranger, Err(TokenError::NoSuchKey { found: 0, .. })));
    });
}

/// Some FIPS modes have no raw RSA. Fails when `padded` gives an error for a bad padding, or the
/// loss is not said.
#[test]
fn without_raw_rsa_a_bad_padding_still_gives_the_same_substitute_twice() {
    // SoftHSM2 2.6.1 takes a list of what is allowed; one of what is forbidden has no effect.
    let allowed = "slots.mechanisms = CKM_RSA_PKCS,CKM_RSA_PKCS_KEY_PAIR_GEN\n";
    alone_with(allowed, |hsm| {
        hsm.token("padded");
        let key = uri("padded", "cep");
        let token = hsm.open("padded", [&key]);
        let name = key.key_name();
        let public_key = token.generate(&name, RoleKind::Cep, KeySpec::Rsa2048, soon()).unwrap();
        let good = wrap(&public_key, KeyTransport::Pkcs1v15, &[7; 16]);
        let mut flipped = good.clone();
        flipped[100] ^= 1;
        let transport = KeyTransport::Pkcs1v15;
        for _ in 0..50 {
            let found = token.rsa_unwrap(&name, transport, &good, 16, soon()).unwrap();
            assert_eq!(found.as_bytes(), [7; 16]);
            let one = token.rsa_unwrap(&name, transport, &flipped, 16, soon()).unwrap();
            let two = token.rsa_unwrap(&name, transport, &flipped, 16, soon()).unwrap();
            assert_eq!(one.as_bytes(), two.as_bytes());
            assert_ne!(one.as_bytes(), [7; 16]);
        }
        // Its CSR needs a signature, so here, and only here, it may sign.
        let csr = token.csr(&name, RoleKind::Cep, "CN=Countersign", soon()).unwrap();
        softhsm::check_csr(&csr, &public_key);
        let findings = token.examine(&name, RoleKind::Cep, soon()).unwrap();
        let ids: Vec<_> = findings.iter().map(|finding| (finding.id, finding.severity)).collect();
        assert_eq!(
            ids,
            [("key-attribute-sign", Severity::High), ("token-without-raw-rsa", Severity::High)]
        );
        token.health(soon()).unwrap();
    });
}

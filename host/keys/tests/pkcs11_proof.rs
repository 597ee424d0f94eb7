//! What a key must say of itself: each attribute that real tokens let be set wrong, set wrong.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test may state what it knows"
)]

mod certificate;
mod softhsm;

use certificate::{KEY_ENCIPHERMENT, Template, role_certificate_for};
use countersign_keys::pkcs11::{KeyUri, Pkcs11Token};
use countersign_keys::{
    Cep, Finding, KeyPlace, KeySpec, Mode, OpenError, Rep, RoleKind, Severity, Token, TokenPlace,
    Tokens, check_distinct_keys, generate_key,
};
use cryptoki::object::{Attribute, KeyType, ObjectClass};
use softhsm::{PIN, alone, make_key, soon, uri, with_session};

fn ids(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.id).collect()
}

fn examined(token: &Pkcs11Token, key: &KeyUri, role: RoleKind) -> Vec<Finding> {
    token.examine(&key.key_name(), role, soon()).unwrap()
}

/// Fails when `proof::attributes` leaves one of them out. Those that SoftHSM2 does not let be
/// wrong are flipped by the shim.
#[test]
fn row_20_a_key_that_is_not_kept_as_its_role_demands_is_refused_by_attribute() {
    alone(|hsm| {
        hsm.token("kept");
        let good = uri("kept", "good");
        let cases: [(&str, &[Attribute], &[&str]); 7] = [
            ("good", &[], &[]),
            ("private", &[Attribute::Private(false)], &["key-attribute-private"]),
            (
                "sensitive",
                &[Attribute::Sensitive(false)],
                &["key-attribute-sensitive", "key-attribute-always-sensitive"],
            ),
            (
                "extractable",
                &[Attribute::Extractable(true)],
                &["key-attribute-never-extractable", "key-attribute-extractable"],
            ),
            ("modifiable", &[Attribute::Modifiable(true)], &["key-attribute-modifiable"]),
            ("decrypts", &[Attribute::Decrypt(true)], &["key-attribute-decrypt"]),
            (
                "unwraps",
                &[Attribute::Unwrap(true), Attribute::Derive(true)],
                &["key-attribute-unwrap", "key-attribute-derive"],
            ),
        ];
        let keys: Vec<KeyUri> = cases.iter().map(|(object, ..)| uri("kept", object)).collect();
        let token = hsm.open("kept", &keys);
        with_session("kept", |session| {
            for (id, (object, differently, _)) in cases.iter().enumerate() {
                make_key(session, object, id as u8 + 1, differently);
            }
        });
        for (object, _, expected) in cases {
            let findings = examined(&token, &uri("kept", object), RoleKind::Rep);
            assert_eq!(ids(&findings), expected, "{object}");
            for finding in findings {
                assert_eq!((finding.row, finding.severity), (Some(20), Severity::Critical));
                assert!(finding.message.contains("CKA_"), "{finding}");
            }
        }
        // Good for signing is not good for opening.
        let findings = examined(&token, &good, RoleKind::Cep);
        assert_eq!(ids(&findings), ["key-attribute-decrypt", "key-attribute-sign"]);
    });
}

/// Fails when CKA_LOCAL is not asked for: an imported key may have a copy.
#[test]
fn row_22_an_imported_key_is_refused() {
    alone(|hsm| {
        hsm.token("imported");
        let key = uri("imported", "imported");
        let token = hsm.open("imported", [&key]);
        with_session("imported", |session| {
            session
                .create_object(&[
                    Attribute::Class(ObjectClass::PRIVATE_KEY),
                    Attribute::KeyType(KeyType::RSA),
                    Attribute::Token(true),
                    Attribute::Private(true),
                    Attribute::Sensitive(true),
                    Attribute::Extractable(false),
                    Attribute::Modifiable(false),
                    Attribute::Sign(true),
                    Attribute::SignRecover(false),
                    Attribute::Decrypt(false),
                    Attribute::Unwrap(false),
                    Attribute::Derive(false),
                    Attribute::Label(b"imported".to_vec()),
                    Attribute::Modulus([&[0xc1], [0x5b; 255].as_slice()].concat()),
                    Attribute::PublicExponent(vec![1, 0, 1]),
                    Attribute::PrivateExponent(vec![0x3d; 256]),
                    Attribute::Prime1(vec![0xc3; 128]),
                    Attribute::Prime2(vec![0xc5; 128]),
                    Attribute::Exponent1(vec![0x11; 128]),
                    Attribute::Exponent2(vec![0x13; 128]),
                    Attribute::Coefficient(vec![0x17; 128]),
                ])
                .unwrap();
        });
        assert_eq!(
            ids(&examined(&token, &key, RoleKind::Rep)),
            [
                "key-attribute-always-sensitive",
                "key-attribute-never-extractable",
                "key-attribute-local"
            ]
        );
    });
}

/// Fails when `copies` is not asked: the second object may be one that can be read.
#[test]
fn row_20_a_key_that_is_on_the_token_twice_is_refused() {
    alone(|hsm| {
        hsm.token("twice");
        let key = uri("twice", "one");
        let token = hsm.open("twice", [&key]);
        with_session("twice", |session| {
            // Only what can be changed can be copied under another label.
            make_key(session, "one", 1, &[Attribute::Modifiable(true)]);
            let template =
                [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(b"one".to_vec())];
            let one = session.find_objects(&template).unwrap()[0];
            session.copy_object(one, &[Attribute::Label(b"another".to_vec())]).unwrap();
        });
        let found = examined(&token, &key, RoleKind::Rep);
        assert_eq!(ids(&found), ["key-attribute-modifiable", "key-twice-on-token"]);
    });
}

fn place(hsm: &softhsm::SoftHsm, label: &str) -> TokenPlace {
    TokenPlace {
        settings: hsm.settings(label),
        module_config: None,
        pin: countersign_keys::pkcs11::PinSource::File(hsm.pin_file(PIN)),
    }
}

/// Fails when `Tokens::take` does not call `KeyHandle::prove`, or `holding` finds nothing.
#[test]
fn a_process_takes_keys_into_their_roles_and_knows_whose_else_are_on_its_token() {
    alone(|hsm| {
        hsm.token("serve");
        let (cep, rep, ea) = (uri("serve", "cep"), uri("serve", "rep"), uri("serve", "ea"));
        let public = {
            let token = hsm.open("serve", [&cep, &rep, &ea]);
            [(&cep, RoleKind::Cep), (&rep, RoleKind::Rep), (&ea, RoleKind::Ea)].map(
                |(key, role)| {
                    token.generate(&key.key_name(), role, KeySpec::Rsa2048, soon()).unwrap()
                },
            )
        };
        let (cep, rep) = (KeyPlace::Pkcs11(cep), KeyPlace::Pkcs11(rep));
        let places = [place(hsm, "serve")];
        // Production takes PKCS#11, and it alone.
        let tokens = Tokens::open(Mode::Production, &places, [&cep, &rep], soon()).unwrap();
        assert_eq!(tokens.pools().len(), 1, "one log-in for two keys of one token");
        let encipherment = Template { key_usage: Some(KEY_ENCIPHERMENT), ..Template::default() };
        let opens = tokens
            .take::<Cep>(&cep, role_certificate_for(&public[0], &encipherment), soon())
            .unwrap();
        let signs = tokens
            .take::<Rep>(&rep, role_certificate_for(&public[1], &Template::default()), soon())
            .unwrap();
        assert_eq!(tokens.examine(&opens, soon()).unwrap(), []);
        assert_eq!(tokens.examine(&signs, soon()).unwrap(), []);

        // A certificate of another key; a key that cannot do what the role does.
        let wrong = role_certificate_for(&public[0], &Template::default());
        let refused = tokens.take::<Rep>(&rep, wrong, soon());
        assert!(matches!(refused, Err(OpenError::WrongCertificate { .. })), "{refused:?}");
        let not_signing = role_certificate_for(&public[0], &Template::default());
        let refused = tokens.take::<Rep>(&cep, not_signing, soon());
        assert!(matches!(refused, Err(OpenError::Token(_))), "{refused:?}");

        // EA's key on this token, by whatever name, is seen.
        let holding = tokens.holding(&public[2], soon()).unwrap().unwrap();
        assert_eq!(holding.label, "serve");
        assert!(holding.serial.is_some_and(|serial| !serial.is_empty()));
        let stranger = generate_key(KeySpec::Rsa2048).unwrap();
        assert_eq!(tokens.holding(stranger.public_key(), soon()).unwrap(), None);
    });
}

#[test]
fn row_42_one_modulus_in_two_roles_is_found() {
    let key = generate_key(KeySpec::Rsa2048).unwrap();
    let found = check_distinct_keys(&[
        (RoleKind::Cep, key.public_key()),
        (RoleKind::Rep, key.public_key()),
    ]);
    assert_eq!(ids(&found), ["one-key-in-two-roles"]);
}

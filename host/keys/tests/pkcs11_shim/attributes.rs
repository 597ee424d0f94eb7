//! Row 20: what a key says of itself before it takes a role.

use countersign_keys::pkcs11::Pkcs11Token;
use countersign_keys::{Finding, KeySpec, RoleKind, Severity, Token as _, TokenError};
use countersign_pkcs11_shim::ck::{
    CK_ATTRIBUTE_TYPE, CKA_ALWAYS_AUTHENTICATE, CKA_ALWAYS_SENSITIVE, CKA_DECRYPT, CKA_DERIVE,
    CKA_EXTRACTABLE, CKA_LOCAL, CKA_MODIFIABLE, CKA_NEVER_EXTRACTABLE, CKA_PRIVATE, CKA_SENSITIVE,
    CKA_SIGN, CKA_TOKEN, CKA_UNWRAP, CKR_SESSION_HANDLE_INVALID,
};
use countersign_pkcs11_shim::{Change, Objects, When};
use countersign_softhsm::in_a_process;
use cryptoki::context::Pkcs11;
use cryptoki::object::{Attribute, KeyType, ObjectClass};

use crate::{Bench, name, sign, soon};

/// What every role's key must be.
const KEPT: [(&str, CK_ATTRIBUTE_TYPE, bool); 8] = [
    ("CKA_TOKEN", CKA_TOKEN, true),
    ("CKA_PRIVATE", CKA_PRIVATE, true),
    ("CKA_SENSITIVE", CKA_SENSITIVE, true),
    ("CKA_ALWAYS_SENSITIVE", CKA_ALWAYS_SENSITIVE, true),
    ("CKA_NEVER_EXTRACTABLE", CKA_NEVER_EXTRACTABLE, true),
    ("CKA_LOCAL", CKA_LOCAL, true),
    ("CKA_EXTRACTABLE", CKA_EXTRACTABLE, false),
    ("CKA_MODIFIABLE", CKA_MODIFIABLE, false),
];

const SIGNING: [(&str, CK_ATTRIBUTE_TYPE, bool); 2] =
    [("CKA_SIGN", CKA_SIGN, true), ("CKA_DECRYPT", CKA_DECRYPT, false)];

const OPENING: [(&str, CK_ATTRIBUTE_TYPE, bool); 2] =
    [("CKA_SIGN", CKA_SIGN, false), ("CKA_DECRYPT", CKA_DECRYPT, true)];

/// What no role's key may be.
const NEVER: [(&str, CK_ATTRIBUTE_TYPE, bool); 3] = [
    ("CKA_UNWRAP", CKA_UNWRAP, false),
    ("CKA_DERIVE", CKA_DERIVE, false),
    ("CKA_ALWAYS_AUTHENTICATE", CKA_ALWAYS_AUTHENTICATE, false),
];

fn examined(token: &Pkcs11Token, key: &str, role: RoleKind) -> Vec<Finding> {
    token.examine(&name(key), role, soon()).unwrap()
}

/// There is one finding; it is critical, of row 20, and names the attribute.
fn names(findings: &[Finding], attribute: &str, what: &str) {
    let [finding] = findings else { panic!("{attribute} {what}: {findings:?}") };
    assert_eq!((finding.severity, finding.row), (Severity::Critical, Some(20)), "{finding}");
    assert!(finding.message.contains(attribute), "{attribute} {what}: {finding}");
}

/// Fails when a line of `KEPT`, `NEVER`, `SIGN` or `NO_DECRYPT` in `proof.rs` is taken out.
#[test]
fn row_20_each_wrong_attribute_of_a_signing_key_is_refused_by_name() {
    in_a_process(
        "attributes::row_20_each_wrong_attribute_of_a_signing_key_is_refused_by_name",
        |folder| {
            let bench = Bench::new(folder);
            let token = bench.with_ea();
            each_is_refused(&bench, &token, "ea", RoleKind::Ea, &SIGNING);
            each_is_refused(&bench, &token, "ea", RoleKind::Rep, &SIGNING);
        },
    );
}

/// Fails when a line of `KEPT`, `NEVER`, `DECRYPT` or `NO_SIGN` in `proof.rs` is taken out.
#[test]
fn row_20_each_wrong_attribute_of_an_opening_key_is_refused_by_name() {
    in_a_process(
        "attributes::row_20_each_wrong_attribute_of_an_opening_key_is_refused_by_name",
        |folder| {
            let bench = Bench::new(folder);
            let token = bench.with_cep();
            each_is_refused(&bench, &token, "cep", RoleKind::Cep, &OPENING);
        },
    );
}

fn each_is_refused(
    bench: &Bench,
    token: &Pkcs11Token,
    key: &str,
    role: RoleKind,
    uses: &[(&str, CK_ATTRIBUTE_TYPE, bool)],
) {
    assert_eq!(examined(token, key, role), []);
    for (attribute, kind, wanted) in KEPT.iter().chain(uses).chain(&NEVER) {
        bench.now(|script| script.attribute(Objects::private(key), *kind, Change::Set(!wanted)));
        names(&examined(token, key, role), attribute, "turned");
    }
    // A module that does not tell what it must tell is not taken at its silence.
    for (attribute, kind, _) in KEPT.iter().chain(uses) {
        bench.now(|script| script.attribute(Objects::private(key), *kind, Change::Omit));
        names(&examined(token, key, role), attribute, "not told");
    }
    // One that does not know what a key must never be able to do cannot do it.
    for (_, kind, _) in &NEVER {
        bench.now(|script| script.attribute(Objects::private(key), *kind, Change::Omit));
        assert_eq!(examined(token, key, role), []);
    }
    bench.well();
    assert_eq!(examined(token, key, role), []);
}

/// Fails when `find` does not look at the attributes of a key that it finds anew: a token of the
/// same label could be put in while the process runs.
#[test]
fn row_20_a_key_that_is_found_anew_is_examined_anew() {
    in_a_process("attributes::row_20_a_key_that_is_found_anew_is_examined_anew", |folder| {
        let bench = Bench::new(folder);
        let token = bench.with_ea();
        assert_eq!(examined(&token, "ea", RoleKind::Ea), []);
        sign(&token).unwrap();
        bench.now(|script| {
            script.fails("C_SignInit", CKR_SESSION_HANDLE_INVALID, When::OnCall(1)).attribute(
                Objects::private("ea"),
                CKA_EXTRACTABLE,
                Change::Set(true),
            )
        });
        match sign(&token) {
            Err(TokenError::Refused(why)) => assert!(why.contains("CKA_EXTRACTABLE"), "{why}"),
            other => panic!("expected a refusal, found {other:?}"),
        }
        assert_eq!(bench.shim.calls().iter().filter(|call| *call == "C_Sign").count() % 2, 0);
    });
}

/// Fails when `find` takes the first of several.
#[test]
fn row_20_a_key_that_is_there_twice_is_refused() {
    in_a_process("attributes::row_20_a_key_that_is_there_twice_is_refused", |folder| {
        let bench = Bench::new(folder);
        drop(bench.with_ea());
        bench.now(|script| script.duplicates(Objects::private("ea")));
        let token = bench.open(&["ea"]);
        match token.public_key(&name("ea")) {
            Err(TokenError::NoSuchKey { found: 2, .. }) => {}
            other => panic!("expected a refusal, found {other:?}"),
        }
        bench.now(|script| script.hides(Objects::private("ea")));
        match token.public_key(&name("ea")) {
            Err(TokenError::NoSuchKey { found: 0, .. }) => {}
            other => panic!("expected a refusal, found {other:?}"),
        }
        bench.well();
        token.public_key(&name("ea")).unwrap();
    });
}

/// Fails when `copies` in `proof.rs` is not asked: the second object may be extractable.
#[test]
fn row_20_a_second_object_of_the_same_key_is_refused_whatever_its_name() {
    in_a_process(
        "attributes::row_20_a_second_object_of_the_same_key_is_refused_whatever_its_name",
        |folder| {
            let bench = Bench::new(folder);
            let token = bench.with_cep();
            assert_eq!(examined(&token, "cep", RoleKind::Cep), []);
            let public_key = token.public_key(&name("cep")).unwrap();
            let spki = public_key.spki_der();
            // A 2048-bit key's modulus stands before its exponent, 65537.
            let modulus = &spki[spki.len() - 261..spki.len() - 5];
            import_rsa(&bench, "backup of cep", modulus);
            let findings = examined(&token, "cep", RoleKind::Cep);
            let [finding] = findings.as_slice() else { panic!("{findings:?}") };
            assert_eq!((finding.id, finding.severity), ("key-twice-on-token", Severity::Critical));
        },
    );
}

/// Fails when `CKA_LOCAL` or the history attributes are not asked. No shim lies here: this is what
/// SoftHSM2 says of a key that came from elsewhere.
#[test]
fn row_20_an_imported_key_is_refused() {
    in_a_process("attributes::row_20_an_imported_key_is_refused", |folder| {
        let bench = Bench::new(folder);
        // Open first: it owns the module.
        let token = bench.open(&["ea"]);
        import_rsa(&bench, "ea", &[0xc5; 256]);
        let findings = examined(&token, "ea", RoleKind::Ea);
        for attribute in ["CKA_LOCAL", "CKA_ALWAYS_SENSITIVE", "CKA_NEVER_EXTRACTABLE"] {
            let named = findings.iter().any(|finding| finding.message.contains(attribute));
            assert!(named, "{attribute}: {findings:?}");
        }
    });
}

/// Fails when `generate` makes a second pair of a name that is taken.
#[test]
fn a_key_is_never_made_over_another() {
    in_a_process("attributes::a_key_is_never_made_over_another", |folder| {
        let bench = Bench::new(folder);
        let token = bench.with_ea();
        let before = token.public_key(&name("ea")).unwrap();
        let again = token.generate(&name("ea"), RoleKind::Ea, KeySpec::EcP256, soon());
        assert!(matches!(again, Err(TokenError::Refused(_))), "{again:?}");
        assert_eq!(bench.shim.count("C_GenerateKeyPair"), 1);
        let after = token.public_key(&name("ea")).unwrap();
        assert_eq!(before.spki_sha256(), after.spki_sha256());
    });
}

/// A private key object with this modulus and nothing else that is true. The token is logged in.
fn import_rsa(bench: &Bench, label: &str, modulus: &[u8]) {
    let module = Pkcs11::new(bench.shim.path()).unwrap();
    let slot = module.get_slots_with_initialized_token().unwrap()[0];
    let session = module.open_rw_session(slot).unwrap();
    let number = |octet: u8, length| vec![octet; length];
    session
        .create_object(&[
            Attribute::Class(ObjectClass::PRIVATE_KEY),
            Attribute::KeyType(KeyType::RSA),
            Attribute::Label(label.as_bytes().to_vec()),
            Attribute::Id(vec![9]),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Modifiable(false),
            Attribute::Sign(true),
            Attribute::Decrypt(false),
            Attribute::Unwrap(false),
            Attribute::Derive(false),
            Attribute::Modulus(modulus.to_vec()),
            Attribute::PublicExponent(vec![1, 0, 1]),
            Attribute::PrivateExponent(number(0x33, 256)),
            Attribute::Prime1(number(0xc7, 128)),
            Attribute::Prime2(number(0xc9, 128)),
            Attribute::Exponent1(number(0x11, 128)),
            Attribute::Exponent2(number(0x13, 128)),
            Attribute::Coefficient(number(0x15, 128)),
        ])
        .unwrap();
}

//! The development token: what it signs, what it opens, and what it never tells.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test may state what it knows"
)]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, Pkcs1PublicEncryptingKey,
    PublicEncryptingKey,
};
use countersign_keys::{
    Deadline, DevelopmentToken, GeneratedKey, KeyName, KeySpec, KeyTransport, LoadError, Mode,
    SignatureAlgorithm, Token, TokenError, generate_key,
};

static RSA: LazyLock<GeneratedKey> = LazyLock::new(|| generate_key(KeySpec::Rsa2048).unwrap());

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

fn write(directory: &tempfile::TempDir, name: &str, key: &GeneratedKey) -> PathBuf {
    let path = directory.path().join(name);
    key.write_pem(&path).unwrap();
    path
}

fn token_with(key: &GeneratedKey) -> (DevelopmentToken, KeyName) {
    let directory = tempfile::tempdir().unwrap();
    let path = write(&directory, "key.pem", key);
    let name = KeyName::new("key");
    let token = DevelopmentToken::open(Mode::Lab, [(name.clone(), path.as_path())]).unwrap();
    (token, name)
}

fn wrap(transport: KeyTransport, content_key: &[u8]) -> Vec<u8> {
    let key = || PublicEncryptingKey::from_der(RSA.public_key().spki_der()).unwrap();
    let mut ciphertext = vec![0; 256];
    match transport {
        KeyTransport::Pkcs1v15 => Pkcs1PublicEncryptingKey::new(key())
            .unwrap()
            .encrypt(content_key, &mut ciphertext)
            .unwrap()
            .len(),
        KeyTransport::OaepSha1 => OaepPublicEncryptingKey::new(key())
            .unwrap()
            .encrypt(&OAEP_SHA1_MGF1SHA1, content_key, &mut ciphertext, None)
            .unwrap()
            .len(),
        KeyTransport::OaepSha256 => OaepPublicEncryptingKey::new(key())
            .unwrap()
            .encrypt(&OAEP_SHA256_MGF1SHA256, content_key, &mut ciphertext, None)
            .unwrap()
            .len(),
    };
    ciphertext
}

const TRANSPORTS: [KeyTransport; 3] =
    [KeyTransport::Pkcs1v15, KeyTransport::OaepSha1, KeyTransport::OaepSha256];

#[test]
fn each_kind_of_key_signs_with_each_algorithm_that_goes_with_it_and_no_other() {
    use SignatureAlgorithm::*;
    let all = [RsaPkcs1Sha256, RsaPkcs1Sha384, RsaPkcs1Sha512, EcdsaP256Sha256, EcdsaP384Sha384];
    for (spec, good) in
        [(KeySpec::Rsa2048, &all[..3]), (KeySpec::EcP256, &all[3..4]), (KeySpec::EcP384, &all[4..])]
    {
        let key = generate_key(spec).unwrap();
        let (token, name) = token_with(&key);
        assert_eq!(&token.public_key(&name).unwrap(), key.public_key());
        assert!(good.contains(&SignatureAlgorithm::preferred_for(key.public_key().kind())));
        for algorithm in all {
            let signed = token.sign(&name, algorithm, b"message", soon());
            if good.contains(&algorithm) {
                let signature = signed.unwrap();
                let public_key = key.public_key();
                public_key.verify(algorithm, b"message", &signature).unwrap();
                assert!(public_key.verify(algorithm, b"massage", &signature).is_err());
            } else {
                assert!(matches!(signed, Err(TokenError::Refused(_))), "{spec:?} {algorithm}");
            }
        }
    }
}

#[test]
fn a_wrapped_content_key_is_unwrapped_by_every_transport_and_of_every_length() {
    let (token, name) = token_with(&RSA);
    for transport in TRANSPORTS {
        for length in [16usize, 24, 32] {
            let content_key: Vec<u8> = (0..length as u8).map(|byte| byte ^ 0x5a).collect();
            let found = token
                .rsa_unwrap(&name, transport, &wrap(transport, &content_key), length, soon())
                .unwrap();
            assert_eq!(found.as_bytes(), content_key, "{transport:?} {length}");
        }
    }
}

#[test]
fn whatever_is_wrong_with_a_ciphertext_a_key_of_the_wanted_length_comes_back() {
    let (token, name) = token_with(&RSA);
    let good = wrap(KeyTransport::Pkcs1v15, &[7; 16]);
    let mut flipped = good.clone();
    flipped[100] ^= 1;
    let bad: Vec<(&str, Vec<u8>)> = vec![
        ("flipped", flipped),
        ("all ones, above the modulus", vec![0xff; 256]),
        ("zero", vec![0; 256]),
        ("short", good[..255].to_vec()),
        ("long", [good.as_slice(), &[0]].concat()),
        ("empty", Vec::new()),
        ("huge", vec![1; 100_000]),
        ("wrapped the other way", wrap(KeyTransport::OaepSha1, &[7; 16])),
        ("a key of another length", wrap(KeyTransport::Pkcs1v15, &[7; 15])),
        ("a longer key", wrap(KeyTransport::Pkcs1v15, &[7; 32])),
        ("a key of no bytes", wrap(KeyTransport::Pkcs1v15, &[])),
        ("as long as fits", wrap(KeyTransport::Pkcs1v15, &[7; 245])),
    ];
    for (what, ciphertext) in &bad {
        for wanted in [16, 24, 32] {
            if wanted == 32 && *what == "a longer key" {
                continue;
            }
            let found = token
                .rsa_unwrap(&name, KeyTransport::Pkcs1v15, ciphertext, wanted, soon())
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(found.as_bytes().len(), wanted, "{what}");
            assert!(found.as_bytes().iter().any(|byte| *byte != 0), "{what}");
            assert_ne!(found.as_bytes()[..7], [7; 7], "{what}: part of the wrapped key");
        }
    }
    for transport in [KeyTransport::OaepSha1, KeyTransport::OaepSha256] {
        let found = token.rsa_unwrap(&name, transport, &good, 16, soon()).unwrap();
        assert_ne!(found.as_bytes(), [7; 16]);
    }
}

#[test]
fn the_substitute_is_the_same_for_the_same_ciphertext_and_different_for_others_and_elsewhere() {
    let (token, name) = token_with(&RSA);
    let unwrap = |token: &DevelopmentToken, ciphertext: &[u8]| {
        let key = token.rsa_unwrap(&name, KeyTransport::Pkcs1v15, ciphertext, 32, soon()).unwrap();
        key.as_bytes().to_vec()
    };
    let first = unwrap(&token, &[1; 256]);
    assert_eq!(first, unwrap(&token, &[1; 256]));
    assert_ne!(first, unwrap(&token, &[2; 256]));
    // Whoever has the ciphertext but not this process's secret cannot compute it.
    let (another, _) = token_with(&RSA);
    assert_ne!(first, unwrap(&another, &[1; 256]));
}

#[test]
fn a_length_no_cipher_has_is_the_callers_fault_whatever_the_ciphertext() {
    let (token, name) = token_with(&RSA);
    for length in [0, 33, usize::MAX] {
        for ciphertext in [wrap(KeyTransport::Pkcs1v15, &[7; 16]), vec![0; 256]] {
            let found =
                token.rsa_unwrap(&name, KeyTransport::Pkcs1v15, &ciphertext, length, soon());
            assert!(matches!(found, Err(TokenError::Refused(_))), "{length}");
        }
    }
}

#[test]
fn good_and_bad_ciphertexts_take_about_the_same_time() {
    let (token, name) = token_with(&RSA);
    let good = wrap(KeyTransport::Pkcs1v15, &[7; 16]);
    let mut bad = good.clone();
    bad[9] ^= 0x40;
    let timed = |ciphertext: &[u8]| {
        let start = std::time::Instant::now();
        token.rsa_unwrap(&name, KeyTransport::Pkcs1v15, ciphertext, 16, soon()).unwrap();
        start.elapsed()
    };
    // In turns, so that other work on the machine slows both alike; the quickest of each is the
    // one least disturbed.
    let pairs: Vec<_> = (0..64).map(|_| (timed(&good), timed(&bad))).collect();
    let quickest = |times: Vec<Duration>| times.into_iter().min().unwrap().as_secs_f64();
    // Far from a proof: it catches an early return.
    let ratio = quickest(pairs.iter().map(|pair| pair.0).collect())
        / quickest(pairs.iter().map(|pair| pair.1).collect());
    assert!((0.5..2.0).contains(&ratio), "{ratio}");
}

#[test]
fn an_elliptic_curve_key_opens_nothing_and_an_unknown_key_does_nothing() {
    let (token, name) = token_with(&generate_key(KeySpec::EcP256).unwrap());
    let opened = token.rsa_unwrap(&name, KeyTransport::Pkcs1v15, &[0; 256], 16, soon());
    assert!(matches!(opened, Err(TokenError::Refused(_))));
    let none = KeyName::new("none");
    assert_eq!(
        token.public_key(&none),
        Err(TokenError::NoSuchKey { name: "none".into(), found: 0 })
    );
    let signed = token.sign(&none, SignatureAlgorithm::EcdsaP256Sha256, b"", soon());
    assert!(matches!(signed, Err(TokenError::NoSuchKey { .. })));
}

#[test]
fn after_the_deadline_the_token_does_nothing() {
    let (token, name) = token_with(&RSA);
    let passed = Deadline::after(Duration::ZERO);
    let signed = token.sign(&name, SignatureAlgorithm::RsaPkcs1Sha256, b"", passed);
    assert_eq!(signed, Err(TokenError::Deadline));
    let opened = token.rsa_unwrap(&name, KeyTransport::Pkcs1v15, &[0; 256], 16, passed);
    assert_eq!(opened.map(|_| ()), Err(TokenError::Deadline));
    assert_eq!(token.health(passed), Err(TokenError::Deadline));
    assert_eq!(token.health(soon()), Ok(()));
}

#[test]
fn row_05_keys_in_files_are_refused_in_production() {
    let directory = tempfile::tempdir().unwrap();
    let path = write(&directory, "ea.pem", &RSA);
    let files = [(KeyName::new("ea"), path.as_path())];
    let refused = DevelopmentToken::open(Mode::Production, files.clone());
    assert!(matches!(refused, Err(LoadError::Production)), "{refused:?}");
    let token = DevelopmentToken::open(Mode::Lab, files).unwrap();
    assert!(!token.description().hardware);
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = write(&directory, "ea.pem", &RSA);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let refused = DevelopmentToken::open(Mode::Lab, [(KeyName::new("ea"), path.as_path())]);
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("chmod 0600"), "{text}");
}

fn open_bytes(bytes: &[u8]) -> Result<DevelopmentToken, LoadError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    countersign_keys::secret_file::create(&path, bytes).unwrap();
    DevelopmentToken::open(Mode::Lab, [(KeyName::new("key"), path.as_path())])
}

#[test]
fn pem_and_der_load_and_other_files_are_refused_in_words() {
    open_bytes(RSA.pkcs8_der()).unwrap();
    open_bytes(RSA.pkcs8_pem().unwrap().as_bytes()).unwrap();
    open_bytes(format!("\n{}\n\n", RSA.pkcs8_pem().unwrap().as_str()).as_bytes()).unwrap();
    let ec_label = RSA.pkcs8_pem().unwrap().replace("PRIVATE", "RSA PRIVATE");
    for bytes in
        [ec_label.as_bytes(), b"hello", b"\x30\x03\x02\x01\x01", RSA.public_key().spki_der()]
    {
        let text = open_bytes(bytes).unwrap_err().to_string();
        assert!(text.contains("PKCS#8"), "{text}");
    }
}

#[test]
fn two_keys_of_one_name_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = write(&directory, "key.pem", &RSA);
    let files: [(KeyName, &Path); 2] = [(KeyName::new("cep"), &path), (KeyName::new("cep"), &path)];
    let refused = DevelopmentToken::open(Mode::Lab, files);
    assert!(matches!(refused, Err(LoadError::DuplicateName(name)) if name == "cep"));
}

#[test]
fn nothing_that_is_printed_holds_a_private_key() {
    let (token, name) = token_with(&RSA);
    let content_key = token
        .rsa_unwrap(
            &name,
            KeyTransport::Pkcs1v15,
            &wrap(KeyTransport::Pkcs1v15, &[0xab; 16]),
            16,
            soon(),
        )
        .unwrap();
    let printed = format!("{token:?} {:?} {content_key:?}", *RSA);
    assert!(printed.len() < 300, "{printed}");
    assert!(!printed.contains("171") && !printed.contains("ab, ab"), "{printed}");
}

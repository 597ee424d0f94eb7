use proptest::prelude::*;

use super::*;
use crate::{
    der::encode,
    extension::KeyUsageBit,
    forge::{self, Key, recorded},
};

#[test]
fn a_serial_number_of_32_octets_is_read() {
    let leaf = Certificate::parse(recorded!("openssl-long-serial.cer")).unwrap();
    let serial = "7f00112233445566778899aabbccddeeff00112233445566778899aabbccddee";
    assert_eq!(leaf.serial_hex(), serial);
    assert_eq!(leaf.serial_der()[..2], [tag::INTEGER, 32]);
    assert_eq!(&leaf.serial_der()[2..], leaf.serial());
}

#[test]
fn certificates_of_openssl_are_laid_open() {
    let ca = Certificate::parse(recorded!("openssl-constrained-ca.cer")).unwrap();
    let leaf = Certificate::parse(recorded!("openssl-long-serial.cer")).unwrap();
    assert!(ca.is_ca());
    assert_eq!(ca.basic_constraints().unwrap().path_length, Some(0));
    assert!(!leaf.is_ca());
    assert_eq!(leaf.subject().unwrap().to_string(), "O=Example,CN=a");
    assert_eq!(leaf.issuer().unwrap(), ca.subject().unwrap());
    assert_eq!(leaf.issuer_der(), ca.subject_der());
    assert_eq!(leaf.sans().unwrap(), ["DNS:a.devices.example".parse().unwrap()]);
    assert_eq!(leaf.ekus().unwrap(), [known::CLIENT_AUTH]);
    let usage: Vec<_> = leaf.key_usage().unwrap().unwrap().bits().collect();
    assert_eq!(usage, [KeyUsageBit::DigitalSignature]);
    assert_eq!(leaf.not_after() - leaf.not_before(), 365 * 86_400);
    assert!(leaf.is_current(leaf.not_before()) && leaf.is_current(leaf.not_after()));
    assert!(!leaf.is_current(leaf.not_before() - 1) && !leaf.is_current(leaf.not_after() + 1));
    assert_eq!(leaf.public_key().unwrap().algorithm().to_string(), "RSA-2048");
    assert_eq!(ca.subject_key_identifier().unwrap().len(), 20);
    assert!(ca.sans().unwrap().is_empty() && ca.ekus().unwrap().is_empty());
    assert_eq!(leaf.sha256(), sha256(leaf.der()));
    assert!(!leaf.signature().is_empty());
}

#[test]
fn signatures_are_verified_against_the_named_issuer() {
    let ca = Certificate::parse(recorded!("openssl-constrained-ca.cer")).unwrap();
    let leaf = Certificate::parse(recorded!("openssl-long-serial.cer")).unwrap();
    leaf.verify_signed_by(&ca, LegacyDigests::Refused).unwrap();
    ca.verify_signed_by(&ca, LegacyDigests::Refused).unwrap();
    assert_eq!(ca.verify_signed_by(&leaf, LegacyDigests::Refused), Err(CertificateError::Issuer));
    let mut changed = leaf.der().to_vec();
    let position = changed.windows(9).position(|window| window == b"a.devices").unwrap();
    changed[position] = b'b';
    let changed = Certificate::parse(&changed).unwrap();
    assert_eq!(
        changed.verify_signed_by(&ca, LegacyDigests::Refused),
        Err(CertificateError::Signature(SignatureError::Invalid))
    );
    let same_name = forge::Certificate { subject: ca.subject_der().to_vec(), ..Default::default() };
    let key = Key::new();
    let impostor = Certificate::parse(&same_name.sign(key.spki(), &key)).unwrap();
    assert!(leaf.verify_signed_by(&impostor, LegacyDigests::Refused).is_err());
}

#[test]
fn odd_contents_wait_until_they_are_asked_for() {
    let key = Key::new();
    let odd = forge::Certificate {
        subject: forge::name(&[&[("2.5.4.3", encode(tag::INTEGER, &[&[1]]))]]),
        extensions: vec![
            forge::san(&[forge::dns("not a host")]),
            forge::ekus(&[]),
            forge::extension(known::BASIC_CONSTRAINTS, vec![1]),
        ],
        ..forge::Certificate::default()
    };
    let certificate = Certificate::parse(&odd.sign(key.spki(), &key)).unwrap();
    assert!(certificate.subject().is_err());
    assert!(certificate.sans().is_err());
    assert!(certificate.ekus().is_err());
    assert!(certificate.basic_constraints().is_err());
    assert!(!certificate.is_ca());
}

#[test]
fn two_signature_algorithms_and_repeated_extensions_are_refused() {
    let key = Key::new();
    let forged = forge::Certificate::default().sign(key.spki(), &key);
    let mut two = forged.clone();
    let algorithm = forge::ecdsa_sha256();
    let last = two.windows(algorithm.len()).rposition(|window| window == algorithm).unwrap();
    // ecdsa-with-SHA256 becomes ecdsa-with-SHA384.
    two[last + algorithm.len() - 1] = 3;
    assert_eq!(Certificate::parse(&two), Err(CertificateError::TwoAlgorithms));
    let repeated = forge::Certificate {
        extensions: vec![forge::key_usage(0x80), forge::key_usage(0x80)],
        ..forge::Certificate::default()
    };
    let error = Certificate::parse(&repeated.sign(key.spki(), &key)).unwrap_err();
    assert_eq!(
        error,
        CertificateError::Extension(ExtensionError::Repeated(known::KEY_USAGE.into()))
    );
}

#[test]
fn a_certificate_cut_anywhere_is_an_error_and_no_panic() {
    let der = recorded!("openssl-constrained-ca.cer");
    for end in 0..der.len() {
        assert!(Certificate::parse(&der[..end]).is_err());
    }
    let large = vec![0x30; Certificate::MAX_OCTETS + 1];
    assert_eq!(Certificate::parse(&large), Err(CertificateError::TooLarge(large.len())));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_changed_certificate_panics(changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4)) {
        let mut der = recorded!("openssl-constrained-ca.cer").to_vec();
        for (position, octet) in changes {
            let position = position % der.len();
            der[position] = octet;
        }
        if let Ok(certificate) = Certificate::parse(&der) {
            prop_assert_eq!(certificate.der(), &der[..]);
            let _ = (certificate.subject(), certificate.sans(), certificate.ekus());
            let _ = (certificate.key_usage(), certificate.is_ca(), certificate.public_key());
            let _ = certificate.verify_signed_by(&certificate, LegacyDigests::Sha1);
            let chain = [certificate];
            if let Ok(constraints) = crate::NameConstraints::from_certificates(&chain) {
                let sans = ["DNS:a.example", "UPN:a@b", "IP:192.0.2.1", "URI:https://a/", "email:a@b"]
                    .map(|name| name.parse().unwrap());
                let _ = constraints.violations(&"O=a,CN=b".parse().unwrap(), &sans);
            }
        }
    }
}

use super::*;
use crate::{
    der::encode,
    forge::{Key, recorded, rsa_spki, sequence, tlv},
};

fn modulus(bits: usize) -> Vec<u8> {
    let mut octets = vec![0xa5; bits.div_ceil(8)];
    octets[0] = 1 << ((bits - 1) % 8);
    octets
}

fn ec_spki(point: &[u8]) -> Vec<u8> {
    sequence(&[
        sequence(&[Oid::from(known::EC_PUBLIC_KEY).to_der(), Oid::from(known::P256).to_der()]),
        encode(tag::BIT_STRING, &[&[0], point]),
    ])
}

#[test]
fn sizes_and_exponents_are_read() {
    for bits in [1024, 2047, 2048, 3072, 4096, 16_384] {
        let key = PublicKey::from_spki_der(&rsa_spki(&modulus(bits), &[1, 0, 1])).unwrap();
        assert_eq!(key.algorithm(), KeyAlgorithm::Rsa { bits: u32::try_from(bits).unwrap() });
        assert_eq!(key.rsa_exponent(), Some(65_537));
    }
    let spki = Key::new().spki();
    let key = PublicKey::from_spki_der(&spki).unwrap();
    assert_eq!(key.algorithm(), KeyAlgorithm::EcP256);
    assert_eq!(key.spki_der(), spki);
    assert_eq!(key.spki_sha256(), sha256(&spki));
    assert_eq!(key.rsa_exponent(), None);
}

#[test]
fn rsa_keys_that_no_honest_generator_makes_are_refused() {
    let good = modulus(2048);
    let mut even = good.clone();
    *even.last_mut().unwrap() = 0xa4;
    let refused = |modulus: &[u8], exponent: &[u8]| {
        PublicKey::from_spki_der(&rsa_spki(modulus, exponent)).unwrap_err()
    };
    assert_eq!(refused(&even, &[1, 0, 1]), KeyError::Modulus("even"));
    assert_eq!(refused(&[], &[1, 0, 1]), KeyError::Modulus("zero"));
    assert_eq!(refused(&modulus(16_385), &[1, 0, 1]), KeyError::Modulus("larger than 16384 bits"));
    assert_eq!(refused(&good, &[1]), KeyError::Exponent("too small"));
    assert_eq!(refused(&good, &[1, 0, 0]), KeyError::Exponent("even"));
    assert_eq!(refused(&good, &[1, 0, 0, 0, 1]), KeyError::Exponent("too large"));
    PublicKey::from_spki_der(&rsa_spki(&good, &[0xff, 0xff, 0xff, 0xff])).unwrap();
}

#[test]
fn negative_integers_are_refused() {
    let key =
        sequence(&[encode(tag::INTEGER, &[&modulus(2048)]), encode(tag::INTEGER, &[&[1, 0, 1]])]);
    let spki = sequence(&[
        sequence(&[Oid::from(known::RSA_ENCRYPTION).to_der(), vec![tag::NULL, 0]]),
        tlv(tag::BIT_STRING, &[vec![0], key]),
    ]);
    assert!(matches!(PublicKey::from_spki_der(&spki), Err(KeyError::Der(_))));
}

#[test]
fn points_are_uncompressed_and_of_their_curve() {
    let compressed = [[2].as_slice(), &[7; 32]].concat();
    let short = [[4].as_slice(), &[7; 63]].concat();
    for point in [compressed, short, vec![0], vec![]] {
        assert_eq!(PublicKey::from_spki_der(&ec_spki(&point)).unwrap_err(), KeyError::Point);
    }
}

#[test]
fn a_point_off_its_curve_verifies_nothing() {
    let off = [[4].as_slice(), &[7; 64]].concat();
    let key = PublicKey::from_spki_der(&ec_spki(&off)).unwrap();
    let scheme = SignatureScheme::Ecdsa(crate::DigestAlgorithm::Sha256);
    let result = key.verify(scheme, LegacyDigests::Refused, b"message", &[0x30, 0]);
    assert_eq!(result, Err(SignatureError::Invalid));
}

#[test]
fn parameters_of_rsa_are_null_or_absent() {
    let key = sequence(&[
        encode(tag::INTEGER, &[&[0], &modulus(2048)]),
        encode(tag::INTEGER, &[&[1, 0, 1]]),
    ]);
    let read = |parameters: &[u8]| {
        PublicKey::from_spki_der(&sequence(&[
            sequence(&[Oid::from(known::RSA_ENCRYPTION).to_der(), parameters.to_vec()]),
            tlv(tag::BIT_STRING, &[vec![0], key.clone()]),
        ]))
    };
    assert!(read(&[]).is_ok());
    assert!(read(&[tag::NULL, 0]).is_ok());
    assert!(read(&[tag::NULL, 1, 7]).is_err());
    assert!(read(&[tag::OCTET_STRING, 0]).is_err());
    assert!(read(&[tag::NULL, 0, tag::NULL, 0]).is_err());
}

#[test]
fn unknown_algorithms_are_named() {
    let spki = sequence(&[
        sequence(&[crate::forge::oid("1.2.840.10040.4.1")]),
        encode(tag::BIT_STRING, &[&[0, 1]]),
    ]);
    let error = PublicKey::from_spki_der(&spki).unwrap_err();
    assert!(error.to_string().contains("1.2.840.10040.4.1"));
}

#[test]
fn keys_of_recorded_requests_have_their_names() {
    for (der, name) in [
        (recorded!("openssl-rsa1024.csr"), "RSA-1024"),
        (recorded!("openssl-p384-sha384.csr"), "P-384"),
        (recorded!("openssl-p521-sha512.csr"), "P-521"),
        (recorded!("openssl-ed25519.csr"), "Ed25519"),
    ] {
        assert_eq!(crate::Csr::parse(der).unwrap().public_key().algorithm().to_string(), name);
    }
}

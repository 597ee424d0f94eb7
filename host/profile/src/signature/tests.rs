use super::*;
use crate::{
    csr::{Csr, CsrError},
    der::encode,
    forge::{recorded, sequence},
    key::KeyError,
};

fn verify(der: &[u8], legacy: LegacyDigests) -> Result<(), SignatureError> {
    Csr::parse(der).unwrap().verify_self_signature(legacy)
}

fn identifier(oid: const_oid::ObjectIdentifier) -> Vec<u8> {
    sequence(&[Oid::from(oid).to_der(), vec![tag::NULL, 0]])
}

#[test]
fn requests_of_openssl_and_strongswan_verify() {
    for der in [
        recorded!("openssl-rsa-sha256.csr"),
        recorded!("openssl-rsa-sha384.csr"),
        recorded!("openssl-rsa-sha512.csr"),
        recorded!("openssl-rsa-pss.csr"),
        recorded!("openssl-rsa1024.csr"),
        recorded!("openssl-rsa-e3.csr"),
        recorded!("openssl-p256-sha256.csr"),
        recorded!("openssl-p256-sha384.csr"),
        recorded!("openssl-p256-sha512.csr"),
        recorded!("openssl-p384-sha256.csr"),
        recorded!("openssl-p384-sha384.csr"),
        recorded!("openssl-p521-sha512.csr"),
        recorded!("openssl-ed25519.csr"),
        recorded!("strongswan-pss.csr"),
        recorded!("strongswan-p256.csr"),
    ] {
        verify(der, LegacyDigests::Refused).unwrap();
        let mut changed = der.to_vec();
        *changed.last_mut().unwrap() ^= 1;
        assert_eq!(verify(&changed, LegacyDigests::Refused), Err(SignatureError::Invalid));
    }
}

#[test]
fn sha1_needs_the_legacy_switch() {
    for der in [recorded!("openssl-rsa-sha1.csr"), recorded!("openssl-p256-sha1.csr")] {
        assert_eq!(verify(der, LegacyDigests::Refused), Err(SignatureError::LegacyDigest));
        verify(der, LegacyDigests::Sha1).unwrap();
    }
}

#[test]
fn md5_and_sha224_are_never_accepted() {
    for der in [recorded!("openssl-rsa-md5.csr"), recorded!("openssl-rsa-sha224.csr")] {
        assert!(matches!(verify(der, LegacyDigests::Sha1), Err(SignatureError::Algorithm(_))));
    }
}

#[test]
fn pss_with_another_salt_is_refused_by_its_parameters() {
    let der = recorded!("openssl-rsa-pss-long-salt.csr");
    assert_eq!(verify(der, LegacyDigests::Sha1), Err(SignatureError::PssParameters));
}

#[test]
fn pss_without_parameters_means_sha1_and_is_refused() {
    let bare = sequence(&[Oid::from(known::RSASSA_PSS).to_der()]);
    let empty = sequence(&[Oid::from(known::RSASSA_PSS).to_der(), sequence(&[])]);
    for der in [bare, empty] {
        let result = SignatureScheme::from_algorithm_identifier(&der);
        assert_eq!(result, Err(SignatureError::PssParameters));
    }
}

#[test]
fn other_curves_and_explicit_parameters_are_refused_by_name() {
    for der in [recorded!("openssl-k256.csr"), recorded!("openssl-explicit-curve.csr")] {
        assert_eq!(Csr::parse(der).unwrap_err(), CsrError::Key(KeyError::Curve));
    }
}

#[test]
fn a_scheme_of_another_key_is_refused() {
    let csr = Csr::parse(recorded!("openssl-p256-sha256.csr")).unwrap();
    for scheme in [
        SignatureScheme::RsaPkcs1(DigestAlgorithm::Sha256),
        SignatureScheme::RsaPss(DigestAlgorithm::Sha256),
        SignatureScheme::Ed25519,
    ] {
        let result = csr.public_key().verify(scheme, LegacyDigests::Refused, b"", b"");
        assert!(matches!(result, Err(SignatureError::KeyMismatch(_))));
    }
}

#[test]
fn cms_names_the_digest_apart_or_twice_alike() {
    use DigestAlgorithm::{Sha1, Sha256, Sha512};
    let sha256 = identifier(known::SHA256);
    let read = |oid, digest: &[u8]| SignatureScheme::from_signer_info(&identifier(oid), digest);
    assert_eq!(read(known::RSA_ENCRYPTION, &sha256), Ok(SignatureScheme::RsaPkcs1(Sha256)));
    assert_eq!(read(known::SHA256_WITH_RSA, &sha256), Ok(SignatureScheme::RsaPkcs1(Sha256)));
    assert_eq!(read(known::ECDSA_SHA256, &sha256), Ok(SignatureScheme::Ecdsa(Sha256)));
    assert_eq!(read(known::SHA512_WITH_RSA, &sha256), Err(SignatureError::DigestMismatch));
    assert_eq!(read(known::ED25519, &sha256), Err(SignatureError::DigestMismatch));
    let sha512 = identifier(known::SHA512);
    assert_eq!(read(known::ED25519, &sha512), Ok(SignatureScheme::Ed25519));
    assert_eq!(read(known::ECDSA_SHA512, &sha512), Ok(SignatureScheme::Ecdsa(Sha512)));
    let sha1 = identifier(known::SHA1);
    assert_eq!(read(known::RSA_ENCRYPTION, &sha1), Ok(SignatureScheme::RsaPkcs1(Sha1)));
    let md5 = sequence(&[crate::forge::oid("1.2.840.113549.2.5"), vec![tag::NULL, 0]]);
    assert!(matches!(read(known::RSA_ENCRYPTION, &md5), Err(SignatureError::Algorithm(_))));
}

#[test]
fn parameters_that_should_be_null_are_null() {
    let odd = sequence(&[
        Oid::from(known::SHA256_WITH_RSA).to_der(),
        encode(tag::OCTET_STRING, &[b"odd"]),
    ]);
    assert!(matches!(
        SignatureScheme::from_algorithm_identifier(&odd),
        Err(SignatureError::Der(_))
    ));
}

#[test]
fn digests_have_their_lengths() {
    use DigestAlgorithm::{Sha1, Sha256, Sha384, Sha512};
    for digest in [Sha1, Sha256, Sha384, Sha512] {
        assert_eq!(digest.digest(b"abc").len(), digest.output_len());
    }
}

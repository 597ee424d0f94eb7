//! The certificates of the roles, and keys taken into their roles.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test may state what it knows"
)]

mod certificate;

use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use certificate::{
    ANY_EXTENDED_KEY_USAGE, CERTIFICATE_REQUEST_AGENT, CLIENT_AUTH, DIGITAL_SIGNATURE,
    KEY_ENCIPHERMENT, Template, certificate, role_certificate,
};
use countersign_keys::{
    CepKey, Deadline, DevelopmentToken, EaKey, GeneratedKey, KeyName, KeyPool, KeySpec,
    KeyTransport, Mode, OpenError, PoolLimits, RepKey, RoleCertificate, RoleKind, Severity,
    SignatureAlgorithm, check_distinct_keys, check_role_certificate, csr_signed_by, generate_key,
};

static RSA: LazyLock<GeneratedKey> = LazyLock::new(|| generate_key(KeySpec::Rsa2048).unwrap());
static EC: LazyLock<GeneratedKey> = LazyLock::new(|| generate_key(KeySpec::EcP256).unwrap());

/// 2026-01-01.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600)
}

fn ea() -> Template<'static> {
    Template { ekus: Some(&[CERTIFICATE_REQUEST_AGENT]), ..Template::default() }
}

fn cep() -> Template<'static> {
    Template { key_usage: Some(KEY_ENCIPHERMENT), ..Template::default() }
}

fn found(
    role: RoleKind,
    key: &GeneratedKey,
    template: &Template<'_>,
) -> Vec<(&'static str, Severity)> {
    check_role_certificate(role, &role_certificate(key, template), now())
        .iter()
        .map(|finding| {
            assert!(!finding.remedy.is_empty());
            (finding.id, finding.severity)
        })
        .collect()
}

#[test]
fn a_certificate_that_suits_its_role_gives_no_finding() {
    assert!(found(RoleKind::Ea, &EC, &ea()).is_empty());
    assert!(found(RoleKind::Ea, &RSA, &ea()).is_empty());
    assert!(found(RoleKind::Cep, &RSA, &cep()).is_empty());
    assert!(found(RoleKind::Rep, &RSA, &Template::default()).is_empty());
}

#[test]
fn row_42_a_cep_or_rep_certificate_that_may_countersign_is_critical() {
    let lists: [&[&[u8]]; 3] = [
        &[CERTIFICATE_REQUEST_AGENT],
        &[CLIENT_AUTH, CERTIFICATE_REQUEST_AGENT],
        &[ANY_EXTENDED_KEY_USAGE],
    ];
    for list in lists {
        let expected = [("countersigning-outside-ea", Severity::Critical)];
        let template = Template { ekus: Some(list), ..cep() };
        assert_eq!(found(RoleKind::Cep, &RSA, &template), expected);
        let template = Template { ekus: Some(list), ..Template::default() };
        assert_eq!(found(RoleKind::Rep, &RSA, &template), expected);
        // AD CS reads application policies before the EKU.
        let template = Template { application_policies: Some(list), ..Template::default() };
        assert_eq!(found(RoleKind::Rep, &RSA, &template), expected);
    }
}

#[test]
fn row_42_a_certificate_without_any_eku_is_shown() {
    let template = Template { ekus: None, ..Template::default() };
    assert_eq!(
        found(RoleKind::Rep, &RSA, &template),
        [("certificate-without-eku", Severity::Medium)]
    );
}

#[test]
fn row_42_wrong_key_usage_is_critical() {
    let expected = [("wrong-key-usage", Severity::Critical)];
    assert_eq!(
        found(RoleKind::Ea, &RSA, &Template { key_usage: Some(KEY_ENCIPHERMENT), ..ea() }),
        expected
    );
    assert_eq!(
        found(
            RoleKind::Rep,
            &RSA,
            &Template { key_usage: Some(KEY_ENCIPHERMENT), ..Template::default() }
        ),
        expected
    );
    assert_eq!(found(RoleKind::Cep, &RSA, &Template { key_usage: None, ..cep() }), expected);
    assert_eq!(
        found(RoleKind::Cep, &RSA, &Template { key_usage: Some(DIGITAL_SIGNATURE), ..cep() }),
        [expected[0], ("cep-certificate-may-sign", Severity::High)]
    );
    assert_eq!(
        found(
            RoleKind::Cep,
            &RSA,
            &Template { key_usage: Some(DIGITAL_SIGNATURE | KEY_ENCIPHERMENT), ..cep() }
        ),
        [("cep-certificate-may-sign", Severity::High)]
    );
}

#[test]
fn an_ea_certificate_that_cannot_countersign_is_critical() {
    let expected = [("ea-certificate-cannot-countersign", Severity::Critical)];
    assert_eq!(found(RoleKind::Ea, &EC, &Template::default()), expected);
    assert_eq!(found(RoleKind::Ea, &EC, &Template { ekus: None, ..ea() }), expected);
}

#[test]
fn scep_clients_need_rsa_from_cep_and_rep() {
    let expected = [("role-needs-rsa", Severity::Critical)];
    assert_eq!(found(RoleKind::Cep, &EC, &cep()), expected);
    assert_eq!(found(RoleKind::Rep, &EC, &Template::default()), expected);
}

#[test]
fn a_certificate_outside_its_validity_is_critical_and_near_its_end_high() {
    let at = |not_after| found(RoleKind::Ea, &EC, &Template { not_after, ..ea() });
    assert_eq!(at("20251231235959Z"), [("role-certificate-expired", Severity::Critical)]);
    assert_eq!(at("20260120000000Z"), [("role-certificate-ends-soon", Severity::High)]);
    assert!(at("20260301000000Z").is_empty());
    let early = SystemTime::UNIX_EPOCH + Duration::from_secs(1_500_000_000);
    let findings = check_role_certificate(RoleKind::Ea, &role_certificate(&EC, &ea()), early);
    assert_eq!(findings[0].id, "role-certificate-not-yet-valid");
}

#[test]
fn row_42_one_key_pair_in_two_roles_is_critical() {
    let (one, two) = (RSA.public_key(), EC.public_key());
    let findings = check_distinct_keys(&[(RoleKind::Ea, one), (RoleKind::Cep, one)]);
    assert_eq!(findings.len(), 1);
    assert_eq!((findings[0].row, findings[0].severity), (Some(42), Severity::Critical));
    assert!(check_distinct_keys(&[(RoleKind::Ea, two), (RoleKind::Cep, one)]).is_empty());
    // A former CEP key is in its own role.
    assert!(check_distinct_keys(&[(RoleKind::Cep, one), (RoleKind::Cep, one)]).is_empty());
}

#[test]
fn a_certificate_keeps_issuer_and_serial_as_received() {
    // Twenty-one octets: longer than RFC 5280 allows, and seen in the wild.
    let serial = [0x7f; 21];
    let der = certificate(&RSA, &Template { serial: &serial, ..Template::default() });
    let parsed = RoleCertificate::from_der(&der).unwrap();
    assert_eq!(parsed.der(), der);
    assert_eq!(parsed.serial_der(), [&[0x02, 21], serial.as_slice()].concat());
    let issuer = parsed.issuer_der();
    assert_eq!(issuer[0], 0x30);
    assert!(der.windows(issuer.len()).any(|window| window == issuer));
    assert_eq!(parsed.subject_key_identifier(), Some([9; 20].as_slice()));
    assert_eq!(parsed.subject(), "CN=Test");
    assert!(parsed.public_key().is_same_key(RSA.public_key()));
}

#[test]
fn a_pem_file_may_have_words_before_and_a_chain_after_the_certificate() {
    let der = certificate(&RSA, &Template::default());
    let block =
        |der: &[u8]| der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, der).unwrap();
    let other = certificate(&EC, &Template::default());
    let file = format!("subject=CN = Test\n{}{}", block(&der), block(&other));
    assert_eq!(RoleCertificate::parse(file.as_bytes()).unwrap().der(), der);
    assert_eq!(RoleCertificate::parse(&der).unwrap().der(), der);
    for wrong in [&b"hello"[..], b"", b"\x30\x00", b"-----BEGIN X-----\nAA==\n-----END X-----\n"] {
        assert!(RoleCertificate::parse(wrong).is_err());
    }
}

#[test]
fn a_csr_for_each_role_is_signed_by_its_key_and_asks_for_what_the_role_needs() {
    use x509_cert::der::{Decode, Encode};
    let (pool, _directory) = pool();
    for (role, name, usage, countersigns) in [
        (RoleKind::Ea, "ea", DIGITAL_SIGNATURE, true),
        (RoleKind::Cep, "cep", KEY_ENCIPHERMENT, false),
        (RoleKind::Rep, "rep", DIGITAL_SIGNATURE, false),
    ] {
        let key = KeyName::new(name);
        let token = pool.token().as_ref();
        let der = csr_signed_by(token, &key, role, "CN=RA,O=Example", soon()).unwrap();
        let csr = x509_cert::request::CertReq::from_der(&der).unwrap();
        assert_eq!(csr.info.subject.to_string(), "CN=RA,O=Example");
        let public_key = token.public_key(&key).unwrap();
        assert_eq!(csr.info.public_key.to_der().unwrap(), public_key.spki_der());
        public_key
            .verify(
                SignatureAlgorithm::preferred_for(public_key.kind()),
                &csr.info.to_der().unwrap(),
                csr.signature.raw_bytes(),
            )
            .unwrap();
        let contains = |needle: &[u8]| der.windows(needle.len()).any(|window| window == needle);
        assert_eq!(contains(CERTIFICATE_REQUEST_AGENT), countersigns, "{role}");
        assert!(contains(&[0x03, 0x02, usage.trailing_zeros() as u8, usage]), "{role}");
    }
    for subject in ["", "Example", "CN", "9.9.9.9=x"] {
        let key = KeyName::new("ea");
        let token = pool.token().as_ref();
        assert!(csr_signed_by(token, &key, RoleKind::Ea, subject, soon()).is_err(), "{subject}");
    }
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// A pool with the keys `ea` (P-256), `cep` and `rep` (RSA).
fn pool() -> (KeyPool, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let rep = generate_key(KeySpec::Rsa2048).unwrap();
    let files = [("ea", &*EC), ("cep", &*RSA), ("rep", &rep)].map(|(name, key)| {
        let path = directory.path().join(name);
        key.write_pem(&path).unwrap();
        (KeyName::new(name), path)
    });
    let files = files.iter().map(|(name, path)| (name.clone(), path.as_path()));
    let token = DevelopmentToken::open(Mode::Lab, files).unwrap();
    (KeyPool::start(Arc::new(token), PoolLimits::default()).unwrap(), directory)
}

#[tokio::test]
async fn keys_work_in_their_roles() {
    let (pool, _directory) = pool();
    let ea = EaKey::open(&pool, KeyName::new("ea"), role_certificate(&EC, &ea())).unwrap();
    let signature = ea.sign(b"approved".to_vec(), soon()).await.unwrap();
    ea.public_key().verify(ea.signature_algorithm(), b"approved", &signature).unwrap();

    let cep = CepKey::open(&pool, KeyName::new("cep"), role_certificate(&RSA, &cep())).unwrap();
    let key =
        cep.unwrap_content_key(KeyTransport::Pkcs1v15, vec![1; 256], 16, soon()).await.unwrap();
    assert_eq!(key.as_bytes().len(), 16);
    pool.health(soon()).await.unwrap();
}

#[tokio::test]
async fn a_key_does_not_take_a_role_with_another_keys_certificate() {
    let (pool, _directory) = pool();
    let refused =
        RepKey::open(&pool, KeyName::new("rep"), role_certificate(&RSA, &Template::default()));
    let Err(OpenError::WrongCertificate { role, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(role, RoleKind::Rep);
    let missing =
        RepKey::open(&pool, KeyName::new("none"), role_certificate(&RSA, &Template::default()));
    assert!(matches!(missing, Err(OpenError::Token(_))));
}

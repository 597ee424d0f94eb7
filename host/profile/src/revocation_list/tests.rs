use super::*;
use crate::{
    der::encode,
    forge::{self, Key},
};

const NOW: u64 = 1_780_315_200; // 2026-06-01 12:00

/// A list of `CN=CA` with these entries and extensions, in the week from 2026-06-01.
fn list(key: &Key, entries: &[Vec<u8>], extensions: &[Vec<u8>]) -> Vec<u8> {
    between(key, "260601000000Z", Some("260608000000Z"), entries, extensions)
}

fn between(
    key: &Key,
    this_update: &str,
    next_update: Option<&str>,
    entries: &[Vec<u8>],
    extensions: &[Vec<u8>],
) -> Vec<u8> {
    let time = |text: &str| encode(tag::UTC_TIME, &[text.as_bytes()]);
    let mut fields = vec![
        encode(tag::INTEGER, &[&[1]]),
        forge::ecdsa_sha256(),
        forge::common_name("CA"),
        time(this_update),
    ];
    fields.extend(next_update.map(time));
    if !entries.is_empty() {
        fields.push(forge::sequence(entries));
    }
    if !extensions.is_empty() {
        fields.push(forge::tlv(0xa0, &[forge::sequence(extensions)]));
    }
    key.sign(forge::sequence(&fields))
}

fn entry(serial: &[u8], extensions: &[Vec<u8>]) -> Vec<u8> {
    let mut fields =
        vec![encode(tag::INTEGER, &[serial]), encode(tag::UTC_TIME, &[b"260601000000Z"])];
    if !extensions.is_empty() {
        fields.push(forge::sequence(extensions));
    }
    forge::sequence(&fields)
}

fn critical(oid: ObjectIdentifier, value: Vec<u8>) -> Vec<u8> {
    forge::sequence(&[
        crate::Oid::from(oid).to_der(),
        encode(tag::BOOLEAN, &[&[0xff]]),
        encode(tag::OCTET_STRING, &[&value]),
    ])
}

struct Scene {
    key: Key,
    ca: Certificate,
}

impl Scene {
    fn new() -> Self {
        let key = Key::new();
        Self { ca: forge::Certificate::authority(&key, Vec::new()), key }
    }

    /// The serial number of a forged certificate is 5a17.
    fn device(&self, extensions: Vec<Vec<u8>>) -> Certificate {
        let forged = forge::Certificate { extensions, ..forge::Certificate::default() };
        Certificate::parse(&forged.sign(Key::new().spki(), &self.key)).unwrap()
    }

    fn read(&self, der: Vec<u8>) -> Result<RevocationList, RevocationListError> {
        RevocationList::read(der, &self.ca)
    }
}

#[test]
fn a_certificate_on_the_list_is_found_wherever_it_stands_and_no_other_is() {
    let scene = Scene::new();
    let device = scene.device(Vec::new());
    let others: Vec<Vec<u8>> = (1..60u8).map(|octet| entry(&[octet, 9, octet], &[])).collect();
    let without = scene.read(list(&scene.key, &others, &[])).unwrap();
    assert!(!without.revokes(&device));
    assert_eq!(without.len(), 59);
    for position in [0, 30, 59] {
        let mut entries = others.clone();
        let reason =
            forge::extension(ObjectIdentifier::new_unwrap("2.5.29.21"), encode(0x0a, &[&[6]]));
        entries.insert(position, entry(&[0x5a, 0x17], &[reason]));
        let with = scene.read(list(&scene.key, &entries, &[])).unwrap();
        assert!(with.revokes(&device), "{position}");
    }
    // A zero in front does not make it another number; a longer number is another.
    assert!(
        scene
            .read(list(&scene.key, &[entry(&[0, 0x5a, 0x17], &[])], &[]))
            .unwrap()
            .revokes(&device)
    );
    assert!(
        !scene
            .read(list(&scene.key, &[entry(&[0x5a, 0x17, 0], &[])], &[]))
            .unwrap()
            .revokes(&device)
    );
    assert!(scene.read(list(&scene.key, &[], &[])).unwrap().is_empty());
}

#[test]
fn a_list_of_another_ca_or_with_another_octet_is_refused() {
    let scene = Scene::new();
    let good = list(&scene.key, &[entry(&[0x5a, 0x17], &[])], &[]);
    assert!(scene.read(good.clone()).is_ok());
    // The line in `read` that verifies.
    let other = list(&Key::new(), &[], &[]);
    assert_eq!(scene.read(other).unwrap_err(), SignatureError::Invalid.into());
    let at = good.windows(2).position(|window| window == [0x5a, 0x17]).unwrap();
    let mut altered = good.clone();
    altered[at] ^= 1;
    assert_eq!(scene.read(altered).unwrap_err(), SignatureError::Invalid.into());
    let renamed = Certificate::parse(
        &forge::Certificate {
            subject: forge::common_name("Other CA"),
            ..forge::Certificate::default()
        }
        .sign(scene.key.spki(), &scene.key),
    )
    .unwrap();
    assert_eq!(RevocationList::read(good, &renamed).unwrap_err(), RevocationListError::Issuer);
}

#[test]
fn a_list_is_current_from_its_making_until_the_next_and_must_say_when_that_comes() {
    let scene = Scene::new();
    let read = scene.read(list(&scene.key, &[], &[])).unwrap();
    assert!(read.is_current(NOW));
    assert!(read.is_current(read.next_update()));
    assert!(!read.is_current(read.next_update() + 1));
    assert!(read.is_current(read.this_update() - SKEW));
    assert!(!read.is_current(read.this_update() - SKEW - 1));
    let endless = between(&scene.key, "260601000000Z", None, &[], &[]);
    assert_eq!(scene.read(endless).unwrap_err(), RevocationListError::NoNextUpdate);
}

#[test]
fn a_list_that_says_less_than_it_seems_to_is_refused() {
    let scene = Scene::new();
    let point = |fields: &[Vec<u8>]| critical(ISSUING_DISTRIBUTION_POINT, forge::sequence(fields));
    let yes = |number| encode(tag::context(number), &[&[0xff]]);
    for (what, extension) in [
        ("a delta", critical(DELTA_CRL_INDICATOR, encode(tag::INTEGER, &[&[1]]))),
        ("an unknown one", critical(ObjectIdentifier::new_unwrap("1.2.3.4"), vec![5, 0])),
        ("CAs only", point(&[yes(2)])),
        ("some reasons", point(&[encode(tag::context(3), &[&[1, 0x40]])])),
        ("indirect", point(&[yes(4)])),
        ("attribute certificates", point(&[yes(5)])),
        ("a relative name", point(&[forge::tlv(0xa0, &[forge::tlv(0xa1, &[])])])),
    ] {
        let refused = scene.read(list(&scene.key, &[], &[extension])).unwrap_err();
        assert!(matches!(refused, RevocationListError::NotComplete(_)), "{what}: {refused}");
    }
    // certificateIssuer: the entry would be about another CA's certificate.
    let foreign = critical(ObjectIdentifier::new_unwrap("2.5.29.29"), forge::sequence(&[]));
    let indirect = list(&scene.key, &[entry(&[1], &[foreign])], &[]);
    assert!(matches!(scene.read(indirect), Err(RevocationListError::NotComplete(_))));
    assert!(scene.read(list(&scene.key, &[], &[point(&[yes(1)])])).is_ok());
}

#[test]
fn a_list_for_one_distribution_point_speaks_for_certificates_that_name_it() {
    let scene = Scene::new();
    let place = |url: &str| forge::tlv(0xa0, &[forge::tlv(0xa0, &[forge::uri(url)])]);
    let cdp = |url: &str| {
        let points = forge::sequence(&[forge::sequence(&[place(url)])]);
        scene.device(vec![forge::extension(CRL_DISTRIBUTION_POINTS, points)])
    };
    let value = forge::sequence(&[place("http://ca.example/1.crl")]);
    let partial = critical(ISSUING_DISTRIBUTION_POINT, value);
    let partial = scene.read(list(&scene.key, &[], &[partial])).unwrap();
    assert!(partial.covers(&cdp("http://ca.example/1.crl")));
    assert!(!partial.covers(&cdp("http://ca.example/2.crl")));
    assert!(!partial.covers(&scene.device(Vec::new())));
    let whole = scene.read(list(&scene.key, &[], &[])).unwrap();
    assert!(whole.covers(&cdp("http://ca.example/2.crl")));
}

#[test]
fn cut_or_doubled_octets_never_make_a_list() {
    let scene = Scene::new();
    let good = list(&scene.key, &[entry(&[1], &[])], &[]);
    for length in 0..good.len() {
        assert!(scene.read(good[..length].to_vec()).is_err());
    }
    assert!(scene.read([good.clone(), good].concat()).is_err());
    let large = vec![0; RevocationList::MAX_OCTETS + 1];
    assert!(matches!(scene.read(large), Err(RevocationListError::TooLarge(_))));
}

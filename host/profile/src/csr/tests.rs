use proptest::prelude::*;

use super::*;
use crate::{
    der::encode,
    extension::KeyUsageBit,
    forge::{self, Key, Request, recorded},
    subject::Rdn,
};

fn names(csr: &Csr) -> Vec<String> {
    csr.names().iter().map(ToString::to_string).collect()
}

fn forged(request: &Request) -> Result<Csr, CsrError> {
    Csr::parse(&request.sign(&Key::new()))
}

fn with_challenge(value: Vec<u8>) -> Result<Csr, CsrError> {
    let attributes = vec![forge::attribute(known::CHALLENGE_PASSWORD, &[value])];
    forged(&Request { attributes, ..Request::default() })
}

#[test]
fn everything_openssl_puts_into_a_request_is_laid_open() {
    let der = recorded!("openssl-full.csr");
    let csr = Csr::parse(der).unwrap();
    assert_eq!(
        names(&csr),
        [
            "C=CH",
            "O=Example, Inc.",
            "OU=Devices",
            "CN=device-17",
            "serialNumber=7+7",
            "DNS:device-17.example",
            "email:ops@example",
            "URI:https://device-17.example/id?x=1",
            "URI:tag:microsoft.com,2022-09-14:sid:S-1-5-21-1-2-3-1104",
            "IP:192.0.2.17",
            "IP:2001:db8::17",
            "UPN:device-17@corp.example",
            "otherName:1.2.3.4:0c056f74686572",
            "dirName:O=Example,CN=device-17",
        ]
    );
    assert_eq!(
        csr.subject().to_string(),
        r"C=CH,O=Example\, Inc.,OU=Devices,CN=device-17,serialNumber=7\+7"
    );
    assert_eq!(csr.subject().common_name(), Some("device-17"));
    assert_eq!(csr.challenge().unwrap().text(), "correct horse");
    let purposes: Vec<_> = csr.requested_ekus().iter().map(ToString::to_string).collect();
    assert_eq!(purposes, ["clientAuth", "serverAuth"]);
    let usage: Vec<_> = csr.key_usage().unwrap().bits().collect();
    assert_eq!(usage, [KeyUsageBit::DigitalSignature, KeyUsageBit::KeyEncipherment]);
    assert_eq!(csr.basic_constraints(), Some(BasicConstraints { ca: false, path_length: None }));
    assert_eq!(csr.extensions().len(), 4);
    assert!(csr.extensions()[1].critical);
    assert_eq!(csr.attributes().count(), 2);
    assert_eq!(csr.public_key().algorithm().to_string(), "RSA-2048");
    assert_eq!(csr.der(), der);
    assert_eq!(csr.sha256(), sha256(der));
    assert_eq!(csr.info_sha256(), sha256(csr.info_der()));
    assert_eq!(csr.info_der()[0], tag::SEQUENCE);
    csr.verify_self_signature(LegacyDigests::Refused).unwrap();
}

#[test]
fn strongswan_requests_with_unsorted_attributes_keep_their_signature() {
    for der in [recorded!("strongswan.csr"), recorded!("strongswan-profile.csr")] {
        let csr = Csr::parse(der).unwrap();
        let order: Vec<_> = csr.attributes().map(|(oid, _)| oid.clone()).collect();
        assert_eq!(order, [known::EXTENSION_REQUEST, known::CHALLENGE_PASSWORD].map(Oid::from));
        // DER would have them the other way round.
        let encodings: Vec<_> = csr.attributes().map(|(_, set)| set.len()).collect();
        assert!(encodings[0] > encodings[1]);
        csr.verify_self_signature(LegacyDigests::Refused).unwrap();
        assert_eq!(csr.challenge().unwrap().text(), "correct horse");
        assert!(names(&csr).contains(&"DNS:device-17.example".to_owned()));
    }
}

#[test]
fn a_changed_request_fails_its_self_signature() {
    let mut der = recorded!("strongswan.csr").to_vec();
    let position = der.windows(9).position(|window| window == b"device-17").unwrap();
    der[position] = b'D';
    let csr = Csr::parse(&der).unwrap();
    assert_eq!(csr.verify_self_signature(LegacyDigests::Refused), Err(SignatureError::Invalid));
}

#[test]
fn a_request_without_the_attributes_field_is_read() {
    let csr = forged(&Request { without_attributes: true, ..Request::default() }).unwrap();
    assert_eq!(names(&csr), ["CN=device-17"]);
    assert!(csr.challenge().is_none());
    csr.verify_self_signature(LegacyDigests::Refused).unwrap();
}

#[test]
fn challenges_are_read_from_every_string_type() {
    for der in [
        recorded!("openssl-challenge-default.csr"),
        recorded!("openssl-challenge-utf8only.csr"),
        recorded!("openssl-challenge-mask0x800.csr"),
    ] {
        let csr = Csr::parse(der).unwrap();
        assert_eq!(csr.challenge().unwrap().text(), "Zauber@Wort_17");
    }
    let wide: Vec<u8> = "Zß𝄞".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let widest: Vec<u8> = "Zß𝄞".chars().flat_map(|c| u32::from(c).to_be_bytes()).collect();
    for (tag, octets, text) in [
        (tag::PRINTABLE_STRING, b"abc".to_vec(), "abc"),
        (tag::IA5_STRING, b"a@c".to_vec(), "a@c"),
        (tag::VISIBLE_STRING, b"a c".to_vec(), "a c"),
        (tag::NUMERIC_STRING, b"123".to_vec(), "123"),
        (tag::TELETEX_STRING, vec![b'a', 0xdf], "aß"),
        (tag::UTF8_STRING, "aß".as_bytes().to_vec(), "aß"),
        (tag::BMP_STRING, wide, "Zß𝄞"),
        (tag::UNIVERSAL_STRING, widest, "Zß𝄞"),
    ] {
        let csr = with_challenge(encode(tag, &[&octets])).unwrap();
        assert_eq!(csr.challenge().unwrap().text(), text, "tag 0x{tag:02x}");
    }
}

#[test]
fn an_empty_challenge_is_no_challenge() {
    assert!(with_challenge(forge::utf8("")).unwrap().challenge().is_none());
}

#[test]
fn challenges_that_are_no_text_are_refused() {
    for value in [
        encode(tag::INTEGER, &[&[7]]),
        encode(tag::BMP_STRING, &[b"abc"]),
        encode(tag::UTF8_STRING, &[&[0xff]]),
        encode(tag::PRINTABLE_STRING, &[&[0xe4]]),
    ] {
        assert!(matches!(with_challenge(value), Err(CsrError::Challenge(_))));
    }
}

// Fails when the bound on challenges in `csr.rs` goes back to that of names, or goes.
#[test]
fn a_challenge_is_read_up_to_its_bound_in_every_string_type() {
    type Spell = fn(&str) -> Vec<u8>;
    let kinds: [(u8, Spell); 5] = [
        (tag::UTF8_STRING, |text| text.as_bytes().to_vec()),
        (tag::PRINTABLE_STRING, |text| text.as_bytes().to_vec()),
        (tag::TELETEX_STRING, |text| text.as_bytes().to_vec()),
        (tag::BMP_STRING, |text| text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
        (tag::UNIVERSAL_STRING, |text| {
            text.chars().flat_map(|character| u32::from(character).to_be_bytes()).collect()
        }),
    ];
    for (string_tag, spell) in kinds {
        // Four octets a character leave no room for as many in a request.
        let most = match string_tag {
            tag::UNIVERSAL_STRING => 12 * 1024,
            _ => Challenge::MAX_CHARACTERS,
        };
        for length in [1025, most] {
            let text = "ab+/".repeat(length.div_ceil(4))[..length].to_owned();
            let csr = with_challenge(encode(string_tag, &[&spell(&text)])).unwrap();
            assert_eq!(csr.challenge().unwrap().text(), text, "tag 0x{string_tag:02x}");
        }
        if most == Challenge::MAX_CHARACTERS {
            let longer = encode(string_tag, &[&spell(&"a".repeat(most + 1))]);
            let error = with_challenge(longer).unwrap_err();
            assert_eq!(error, CsrError::ChallengeTooLong, "tag 0x{string_tag:02x}");
        }
    }
}

#[test]
fn a_request_never_shows_its_challenge() {
    let csr = with_challenge(forge::utf8("correct horse")).unwrap();
    assert!(!format!("{csr:?} {:?}", csr.challenge()).contains("horse"));
}

#[test]
fn attributes_and_their_values_stand_once() {
    let challenge = forge::attribute(known::CHALLENGE_PASSWORD, &[forge::utf8("a")]);
    let twice = Request { attributes: vec![challenge.clone(), challenge], ..Request::default() };
    let two = [forge::utf8("a"), forge::utf8("b")];
    let two_values = Request {
        attributes: vec![forge::attribute(known::CHALLENGE_PASSWORD, &two)],
        ..Request::default()
    };
    let none = Request {
        attributes: vec![forge::attribute(known::CHALLENGE_PASSWORD, &[])],
        ..Request::default()
    };
    for request in [twice, two_values, none] {
        let error = forged(&request).unwrap_err();
        assert_eq!(error, CsrError::Attribute(known::CHALLENGE_PASSWORD.into()));
    }
}

#[test]
fn an_extension_that_stands_twice_is_refused() {
    let extensions = vec![
        forge::san(&[forge::dns("a.example")]),
        forge::key_usage(0x80),
        forge::san(&[forge::dns("b.example")]),
    ];
    let error = forged(&Request { extensions, ..Request::default() }).unwrap_err();
    let repeated = ExtensionError::Repeated(known::SUBJECT_ALT_NAME.into());
    assert_eq!(error, CsrError::Extension(repeated));
}

#[test]
fn extension_requests_are_read_under_each_identifier_but_only_one_of_them() {
    let wanted = forge::sequence(&[forge::san(&[forge::dns("a.example")])]);
    let kinds = [
        known::EXTENSION_REQUEST,
        known::EXTENSION_REQUEST_VERISIGN,
        known::EXTENSION_REQUEST_MICROSOFT,
    ];
    let requests = kinds.map(|kind| forge::attribute(kind, std::slice::from_ref(&wanted)));
    for request in &requests {
        let attributes = vec![request.clone()];
        let csr = forged(&Request { attributes, ..Request::default() }).unwrap();
        assert_eq!(names(&csr), ["CN=device-17", "DNS:a.example"]);
    }
    let attributes = requests[..2].to_vec();
    let error = forged(&Request { attributes, ..Request::default() }).unwrap_err();
    assert_eq!(error, CsrError::ExtensionRequests);
}

#[test]
fn empty_extension_values_are_refused() {
    for extensions in [
        vec![forge::san(&[])],
        vec![forge::ekus(&[])],
        vec![forge::extension(known::KEY_USAGE, encode(tag::BIT_STRING, &[]))],
    ] {
        assert!(forged(&Request { extensions, ..Request::default() }).is_err());
    }
}

#[test]
fn multi_valued_rdns_are_kept_apart() {
    let csr = Csr::parse(recorded!("openssl-multi-valued.csr")).unwrap();
    assert_eq!(csr.subject().to_string(), "O=Example,CN=device-17+serialNumber=7");
    let several: Vec<_> = csr.subject().rdns().iter().map(Rdn::is_multi_valued).collect();
    assert_eq!(several, [false, true]);
}

#[test]
fn names_that_a_person_cannot_see_are_refused() {
    for text in [
        "",
        " a",
        "a ",
        "a\0b",
        "a\nb",
        "a\u{1b}[2Jb",
        "a\u{7f}",
        "a\u{85}b",
        "a\u{202e}b",
        "a\u{2066}b",
        "a\u{200b}b",
        "a\u{feff}b",
        "a\u{2028}b",
        "a\u{e0041}b",
    ] {
        let subject = forge::common_name(text);
        let error = forged(&Request { subject, ..Request::default() }).unwrap_err();
        assert!(matches!(error, CsrError::Name(NameError::Text { .. })), "{text:?}: {error}");
        assert!(!error.to_string().contains(char::is_control));
    }
    let subject = forge::name(&[&[("2.5.4.3", encode(tag::BIT_STRING, &[&[0, 1]]))]]);
    assert!(forged(&Request { subject, ..Request::default() }).is_err());
}

#[test]
fn alternative_names_of_odd_form_are_refused() {
    for name in [
        forge::dns(""),
        forge::dns("a..example"),
        forge::dns("a.example."),
        forge::dns("192.0.2.1"),
        forge::dns("a\0.example"),
        forge::dns("a b"),
        forge::dns("a.*.example"),
        forge::email("nobody"),
        forge::email("a@b@c"),
        forge::email("@example"),
        forge::uri("/relative"),
        forge::uri("https://user@host.example/"),
        forge::uri("https:///path"),
        forge::uri("urn:with space"),
        forge::ip(&[1, 2, 3]),
        forge::ip(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1]),
        forge::upn("nobody"),
        forge::upn("a@b@c"),
        forge::other_name("1.3.6.1.4.1.311.20.2.3", forge::printable("a@b.example")),
        encode(0x88, &[&[0x2a, 3]]),
        forge::tlv(0xa3, &[forge::sequence(&[])]),
        forge::tlv(0xa5, &[forge::sequence(&[])]),
    ] {
        let extensions = vec![forge::san(std::slice::from_ref(&name))];
        let result = forged(&Request { extensions, ..Request::default() });
        assert!(result.is_err(), "{:02x?} was read", name);
    }
}

#[test]
fn large_and_crowded_requests_are_refused() {
    let large = vec![0x30; Csr::MAX_OCTETS + 1];
    assert_eq!(Csr::parse(&large).unwrap_err(), CsrError::TooLarge(large.len()));
    let crowd: Vec<_> = (0..33)
        .map(|number| forge::attribute(format!("1.2.3.{number}").parse::<Oid>().unwrap(), &[]))
        .collect();
    let error = forged(&Request { attributes: crowd, ..Request::default() }).unwrap_err();
    assert_eq!(error, CsrError::Der(DerError::TooMany { what: "attributes", limit: 32 }));
    let rdn: &[_] = &[("2.5.4.3", forge::utf8("a"))];
    let subject = forge::name(&[rdn; 65]);
    assert!(forged(&Request { subject, ..Request::default() }).is_err());
    let names: Vec<_> = (0..129).map(|number| forge::dns(&format!("h{number}"))).collect();
    let extensions = vec![forge::san(&names)];
    assert!(forged(&Request { extensions, ..Request::default() }).is_err());
}

#[test]
fn trailing_bytes_and_other_versions_are_refused() {
    let mut longer = recorded!("strongswan.csr").to_vec();
    longer.push(0);
    assert_eq!(Csr::parse(&longer).unwrap_err(), CsrError::Der(DerError::Trailing));
    let mut newer = recorded!("strongswan.csr").to_vec();
    assert_eq!(newer[8..11], [tag::INTEGER, 1, 0]);
    newer[10] = 1;
    assert_eq!(Csr::parse(&newer).unwrap_err(), CsrError::Version);
}

#[test]
fn a_request_cut_anywhere_is_an_error_and_no_panic() {
    for der in [recorded!("openssl-full.csr"), recorded!("strongswan-profile.csr")] {
        for end in 0..der.len() {
            assert!(Csr::parse(&der[..end]).is_err());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_changed_request_panics(changes in prop::collection::vec((0_usize..1043, any::<u8>()), 1..4)) {
        let mut der = recorded!("openssl-full.csr").to_vec();
        for (position, octet) in changes {
            let position = position % der.len();
            der[position] = octet;
        }
        if let Ok(csr) = Csr::parse(&der) {
            prop_assert_eq!(csr.der(), &der[..]);
            for name in csr.names() {
                prop_assert_eq!(&name.to_string().parse::<Name>().unwrap(), &name);
            }
            let _ = crate::Limits::default().admit(&csr, &crate::Boundary::default());
        }
    }

    #[test]
    fn no_random_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Csr::parse(&bytes);
        let _ = crate::Certificate::parse(&bytes);
        let _ = PublicKey::from_spki_der(&bytes);
        let _ = San::list_from_der(&bytes);
        let _ = Subject::from_der(&bytes);
    }
}

//! What real clients sent parses, verifies and opens; each case is a file and a line in
//! `tests/golden/scep/messages.txt`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test states what it knows"
)]

mod forge;

use countersign_scep::{
    Bounds, FailInfo, LegacyAlgorithms, Message, MessageType, Query, Refused, Request, RequestData,
};
use forge::{Forge, golden, golden_certificate, golden_key};

struct Case {
    file: String,
    kind: String,
    signature: String,
    cipher: String,
    recipients: usize,
    legacy: LegacyAlgorithms,
    inside: Vec<String>,
}

fn cases() -> Vec<Case> {
    let text = String::from_utf8(golden("messages.txt")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let cases: Vec<Case> = lines
        .map(|line| {
            let columns: Vec<String> = line.split('|').map(|c| c.trim().to_owned()).collect();
            let [file, kind, signature, cipher, recipients, legacy, inside] =
                columns.try_into().unwrap();
            let switches: Vec<&str> = legacy.split(", ").collect();
            Case {
                file,
                kind,
                signature,
                cipher,
                recipients: recipients.parse().unwrap(),
                legacy: LegacyAlgorithms {
                    sha1_signatures: switches.contains(&"sha1"),
                    triple_des: switches.contains(&"des3"),
                    single_des: switches.contains(&"des"),
                    triple_des_replies: false,
                },
                inside: inside.split(", ").map(str::to_owned).collect(),
            }
        })
        .collect();
    assert!(cases.len() >= 8);
    cases
}

fn body(file: &str) -> Vec<u8> {
    let bytes = golden(file);
    if file.ends_with(".get") {
        let query = String::from_utf8(bytes).unwrap();
        return Query::parse(&query, &Bounds::REQUEST).unwrap().pki_message().unwrap();
    }
    bytes
}

fn open(request: &Request) -> RequestData {
    let cep = [golden_certificate("rep"), golden_certificate("cep")];
    let mut addressed = request.envelope().addressed_to(&cep[1..]).unwrap();
    assert_eq!(addressed.certificate, 0);
    assert_eq!(addressed.content_key_len, request.envelope().cipher().key_len());
    addressed.certificate = 1;
    let content_key = golden_key("cep").unwrap(&addressed).unwrap();
    request.open(&content_key).unwrap()
}

#[test]
fn every_recorded_message_parses_verifies_and_opens() {
    for case in cases() {
        let message = Message::parse(&body(&case.file), &Bounds::REQUEST).unwrap();
        let request =
            message.verify(&case.legacy).unwrap_or_else(|error| panic!("{}: {error}", case.file));
        assert_eq!(request.kind().to_string(), case.kind, "{}", case.file);
        assert_eq!(format!("{:?}", message.signature_scheme().unwrap()), case.signature);
        assert_eq!(request.envelope().cipher().name(), case.cipher);
        assert_eq!(request.envelope().recipients().len(), case.recipients, "{}", case.file);
        assert_eq!(request.sender_nonce().as_bytes().len(), 16);
        assert_eq!(message.sender_nonce().as_ref(), Some(request.sender_nonce()));
        match open(&request) {
            RequestData::Pkcs10(csr) => {
                let names: Vec<String> = csr.names().iter().map(ToString::to_string).collect();
                for name in &case.inside {
                    assert!(names.contains(name), "{}: {name} not in {names:?}", case.file);
                }
                assert_eq!(csr.challenge().unwrap().text(), "golden-challenge");
            }
            RequestData::IssuerAndSubject(names) => {
                assert_eq!(case.inside, ["issuer and subject"]);
                // strongSwan names what it was given as --cacert-sig: one more reason to believe
                // nothing that a CertPoll says but who signed it.
                assert_eq!(names.issuer, golden_certificate("rep").subject_der());
            }
            RequestData::IssuerAndSerial(_) => panic!("{}: no such case yet", case.file),
        }
    }
}

#[test]
fn old_algorithms_are_badalg_without_their_switch() {
    let mut refused = 0;
    for case in cases().into_iter().filter(|case| case.legacy != LegacyAlgorithms::default()) {
        let message = Message::parse(&body(&case.file), &Bounds::REQUEST).unwrap();
        let sha1_only = LegacyAlgorithms { sha1_signatures: true, ..LegacyAlgorithms::default() };
        let cipher_only = LegacyAlgorithms { sha1_signatures: false, ..case.legacy };
        for legacy in [LegacyAlgorithms::default(), sha1_only, cipher_only] {
            let error = message.verify(&legacy).unwrap_err();
            assert!(matches!(error, Refused::Algorithm(_)), "{}: {error}", case.file);
            assert_eq!(error.fail_info(), FailInfo::BadAlg);
            refused += 1;
        }
    }
    assert_eq!(refused, 12);
}

#[test]
fn renewals_are_signed_with_the_old_certificate_and_first_requests_with_the_new_key() {
    for case in cases() {
        let message = Message::parse(&body(&case.file), &Bounds::REQUEST).unwrap();
        let request = message.verify(&case.legacy).unwrap();
        // certmonger says PKCSReq when it renews, with the same key or another.
        let renews = case.file.starts_with("certmonger-re");
        if renews || message.message_type().unwrap() == MessageType::RenewalReq {
            assert_eq!(request.signer().der(), golden("device.der"), "{}", case.file);
            continue;
        }
        assert!(request.signer().is_self_issued(), "{}", case.file);
        if let RequestData::Pkcs10(csr) = open(&request) {
            assert!(request.is_signed_with_key_of(&csr), "{}", case.file);
        }
    }
}

#[test]
fn a_get_in_every_spelling_is_the_same_message() {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    let message = golden("strongswan-pkcsreq.der");
    let standard = STANDARD.encode(&message);
    let lines: Vec<&str> =
        standard.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    for text in [
        standard.clone(),
        standard.replace('+', " "),
        standard.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D"),
        standard.trim_end_matches('=').to_owned(),
        lines.join("%0A") + "%0A",
        lines.join("%0D%0A"),
        URL_SAFE_NO_PAD.encode(&message),
    ] {
        let query = format!("operation=PKIOperation&message={text}");
        let query = Query::parse(&query, &Bounds::REQUEST).unwrap();
        assert_eq!(query.pki_message().unwrap(), message);
    }
}

/// OpenSSL's BER around the content, ours around that.
#[test]
fn every_envelope_of_openssl_opens() {
    let device = golden_certificate("device");
    let legacy = LegacyAlgorithms { triple_des: true, ..LegacyAlgorithms::default() };
    let mut opened = 0;
    for entry in std::fs::read_dir(forge::golden_directory()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.ends_with(".env") {
            continue;
        }
        let forge = Forge::new("19", &device, &golden(&name));
        let message = forge.message(&golden_key("device"));
        let message = Message::parse(&message, &Bounds::REQUEST).unwrap();
        let request = message.verify(&legacy).unwrap_or_else(|error| panic!("{name}: {error}"));
        let RequestData::Pkcs10(csr) = open(&request) else { panic!("{name}: not a PKCS#10") };
        assert_eq!(csr.der(), golden("openssl-csr.der"), "{name}");
        opened += 1;
    }
    assert_eq!(opened, 9);
}

#[test]
fn trailing_text_junk_is_dropped() {
    let mut message = golden("strongswan-pkcsreq.der");
    message.extend(b"\r\n\0");
    let message = Message::parse(&message, &Bounds::REQUEST).unwrap();
    assert!(message.verify(&LegacyAlgorithms::default()).is_ok());
}

//! What is wrong with a message decides whether it is HTTP 400 or a FAILURE, and which one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test states what it knows"
)]

mod forge;

use std::sync::LazyLock;

use countersign_scep::client::{Ask, DeviceKey, Outgoing, Sealing};
use countersign_scep::{
    AlgorithmError, Bounds, Capabilities, CertRep, Certificate, ContentCipher, FailInfo,
    LegacyAlgorithms, Message, Nonce, ParseError, Refused, TransactionId,
};
use forge::{
    CONTENT_TYPE, Forge, MESSAGE_DIGEST, MESSAGE_TYPE, SENDER_NONCE, TRANSACTION_ID, golden,
    golden_certificate, golden_key, oid, printable, self_signed, tlv,
};

static KEY: LazyLock<DeviceKey> = LazyLock::new(|| golden_key("device"));

fn signer() -> Certificate {
    golden_certificate("device")
}

fn good() -> Forge {
    Forge::new("19", &signer(), &golden("openssl-aes128-streamed.env"))
}

fn parse(forge: &Forge) -> Result<Message, ParseError> {
    Message::parse(&forge.message(&KEY), &Bounds::REQUEST)
}

fn refused(forge: &Forge) -> Refused {
    parse(forge).unwrap().verify(&LegacyAlgorithms::default()).unwrap_err()
}

#[test]
fn the_forge_itself_makes_a_good_message() {
    assert!(parse(&good()).unwrap().verify(&LegacyAlgorithms::default()).is_ok());
}

#[test]
fn every_message_type_but_the_five_requests_is_refused() {
    for number in 0..=255u32 {
        let forge = good().with(MESSAGE_TYPE, vec![printable(&number.to_string())]);
        let verdict = parse(&forge).unwrap().verify(&LegacyAlgorithms::default());
        match number {
            17 | 19..=22 => assert!(verdict.is_ok(), "{number}"),
            3 => assert_eq!(verdict.unwrap_err(), Refused::NotARequest),
            _ => assert_eq!(
                verdict.unwrap_err(),
                Refused::UnknownMessageType(number.to_string()),
                "CVE-2026-30836"
            ),
        }
    }
    for text in ["", "019", "19 ", " 19", "+19", "0x13", "19\0"] {
        let error = refused(&good().with(MESSAGE_TYPE, vec![printable(text)]));
        assert!(matches!(error, Refused::UnknownMessageType(_)), "{text:?}: {error}");
        assert_eq!(error.fail_info(), FailInfo::BadMessageCheck);
    }
}

#[test]
fn a_message_without_one_transaction_id_cannot_be_answered() {
    let id = || printable("x");
    let mut repeated = good();
    repeated.attributes.push((TRANSACTION_ID.to_owned(), vec![id()]));
    for forge in [
        good().without(TRANSACTION_ID),
        good().with(TRANSACTION_ID, vec![]),
        good().with(TRANSACTION_ID, vec![id(), id()]),
        good().with(TRANSACTION_ID, vec![printable("")]),
        good().with(TRANSACTION_ID, vec![printable(&"x".repeat(256))]),
        good().with(TRANSACTION_ID, vec![tlv(0x02, &[1])]),
        repeated,
    ] {
        assert!(matches!(parse(&forge).unwrap_err(), ParseError::NoTransactionId(_)));
    }
    assert!(parse(&good().with(TRANSACTION_ID, vec![printable(&"x".repeat(255))])).is_ok());
}

#[test]
fn a_message_without_one_signer_cannot_be_answered() {
    for count in [0, 2, 3] {
        let error = parse(&Forge { signer_infos: count, ..good() }).unwrap_err();
        assert_eq!(error, ParseError::SignerCount(count));
    }
    let error = parse(&Forge { certificates: vec![], ..good() }).unwrap_err();
    assert_eq!(error, ParseError::NoSignerCertificate);
    let error = parse(&Forge { certificates: vec![golden("rep.der")], ..good() }).unwrap_err();
    assert_eq!(error, ParseError::NoSignerCertificate);
    let error = parse(&Forge { certificates: vec![tlv(0x30, &[])], ..good() }).unwrap_err();
    assert!(matches!(error, ParseError::SignerCertificate(_)));
    let error = parse(&Forge { signed_attributes: false, ..good() }).unwrap_err();
    assert!(matches!(error, ParseError::NoTransactionId(_)), "ForgedAttributes");
}

#[test]
fn each_attribute_must_be_there_once_with_one_value() {
    for name in [CONTENT_TYPE, MESSAGE_DIGEST, MESSAGE_TYPE, SENDER_NONCE] {
        let error = refused(&good().without(name));
        assert!(matches!(error, Refused::MissingAttribute(_)), "{name}: {error}");
        let (_, values) = good().attributes.into_iter().find(|(oid, _)| oid == name).unwrap();
        let mut repeated = good();
        repeated.attributes.push((name.to_owned(), values.clone()));
        let error = refused(&repeated);
        assert!(matches!(error, Refused::RepeatedAttribute(_)), "{name}: {error}");
        for wrong in [vec![], [values.clone(), values].concat()] {
            let error = refused(&good().with(name, wrong));
            assert!(matches!(error, Refused::MalformedAttribute(_)), "{name}: {error}");
            assert_eq!(error.fail_info(), FailInfo::BadMessageCheck);
        }
    }
    // One that nobody reads may not come twice either.
    let mut repeated = good();
    repeated
        .attributes
        .extend([("1.2.3".into(), vec![vec![5, 0]]), ("1.2.3".into(), vec![vec![5, 0]])]);
    assert_eq!(refused(&repeated), Refused::RepeatedAttribute("1.2.3".into()));
}

#[test]
fn nonces_have_8_to_64_bytes() {
    for (length, taken) in [(0, false), (7, false), (8, true), (64, true), (65, false)] {
        let forge = good().with(SENDER_NONCE, vec![tlv(0x04, &vec![1; length])]);
        let message = parse(&forge).unwrap();
        assert_eq!(message.verify(&LegacyAlgorithms::default()).is_ok(), taken, "{length}");
        assert_eq!(message.sender_nonce().is_some(), taken);
    }
}

#[test]
fn what_is_signed_must_be_what_is_there() {
    let wrong = good().with(CONTENT_TYPE, vec![oid("1.2.840.113549.1.7.3")]);
    assert_eq!(refused(&wrong), Refused::ContentType);
    let wrong = Forge { content_type: "1.2.840.113549.1.7.3".into(), ..good() };
    assert_eq!(refused(&wrong), Refused::ContentType);
    let wrong = good().with(MESSAGE_DIGEST, vec![tlv(0x04, &[0; 32])]);
    assert_eq!(refused(&wrong), Refused::MessageDigest);
    let mut wrong = good();
    wrong.content.as_mut().unwrap()[100] ^= 1;
    assert_eq!(refused(&wrong), Refused::MessageDigest);
    assert_eq!(refused(&Forge { spoil_signature: true, ..good() }), Refused::Signature);
    let none = Forge { content: None, ..Forge::new("19", &signer(), &[]) };
    assert_eq!(refused(&none), Refused::NoContent);
    // Somebody else's certificate of the same key's message.
    let mut stolen = good();
    stolen.certificates = vec![golden("rep.der")];
    let rep = golden_certificate("rep");
    stolen.signer_identifier = tlv(0x30, &[rep.issuer_der(), rep.serial_der()].concat());
    assert_eq!(refused(&stolen), Refused::Signature);
}

#[test]
fn nothing_of_scep_may_be_unsigned() {
    for name in [MESSAGE_TYPE, TRANSACTION_ID, CONTENT_TYPE, "2.16.840.1.113733.1.9.99"] {
        let mut forge = good();
        forge.unsigned = vec![(name.to_owned(), vec![printable("19")])];
        assert_eq!(refused(&forge), Refused::UnsignedAttribute(name.to_owned()));
    }
    let mut forge = good();
    forge.unsigned = vec![("1.2.840.113549.1.9.16.2.14".to_owned(), vec![tlv(0x30, &[])])];
    assert!(parse(&forge).unwrap().verify(&LegacyAlgorithms::default()).is_ok(), "a time-stamp");
}

#[test]
fn attributes_out_of_order_verify_as_received_or_as_sorted() {
    let mut forge = good();
    forge.attributes.reverse();
    assert!(parse(&forge).unwrap().verify(&LegacyAlgorithms::default()).is_ok());
    forge.sign_sorted = true;
    assert!(parse(&forge).unwrap().verify(&LegacyAlgorithms::default()).is_ok());
}

#[test]
fn a_signer_may_be_named_by_its_key_identifier() {
    let signer = signer();
    let mut forge = good();
    forge.signer_identifier = tlv(0x80, signer.subject_key_identifier().unwrap());
    assert!(parse(&forge).unwrap().verify(&LegacyAlgorithms::default()).is_ok());
}

#[test]
fn algorithms_that_are_not_taken_are_badalg() {
    let null = vec![5, 0];
    let algorithm = |name: &str| tlv(0x30, &[oid(name), null.clone()].concat());
    let md5 = algorithm("1.2.840.113549.2.5");
    let sha1 = algorithm("1.3.14.3.2.26");
    let ecdsa = tlv(0x30, &oid("1.2.840.10045.4.3.2"));
    for forge in [
        Forge { digest_algorithm: md5.clone(), ..good() },
        Forge { digest_algorithm: sha1, ..good() },
        Forge { digest_algorithm: algorithm("1.2.3"), ..good() },
        Forge { signature_algorithm: algorithm("1.2.840.113549.1.1.4"), ..good() },
        Forge { signature_algorithm: algorithm("1.2.840.113549.1.1.12"), ..good() },
        Forge { signature_algorithm: ecdsa, ..good() },
        Forge { signature_algorithm: algorithm("1.2.3"), ..good() },
    ] {
        assert_eq!(refused(&forge).fail_info(), FailInfo::BadAlg, "{}", refused(&forge));
    }
    // No switch lets MD5 in.
    let md5 = parse(&Forge { digest_algorithm: md5, ..good() }).unwrap();
    let error = md5.verify(&LegacyAlgorithms::EVERYTHING).unwrap_err();
    assert_eq!(error.fail_info(), FailInfo::BadAlg);
    // The long identifier is as good as the short one.
    let long = Forge { signature_algorithm: algorithm("1.2.840.113549.1.1.11"), ..good() };
    assert!(parse(&long).unwrap().verify(&LegacyAlgorithms::default()).is_ok());
}

#[test]
fn an_envelope_for_somebody_else_is_refused_before_any_key_is_used() {
    let request = parse(&good()).unwrap().verify(&LegacyAlgorithms::default()).unwrap();
    let stranger = self_signed(&KEY);
    let error = request.envelope().addressed_to([&stranger]).unwrap_err();
    assert_eq!(error, Refused::NoRecipient);
    assert_eq!(error.fail_info(), FailInfo::BadMessageCheck);
    assert!(request.envelope().addressed_to([&stranger, &golden_certificate("cep")]).is_ok());
}

#[test]
fn what_is_no_envelope_is_refused() {
    for content in [vec![0x30, 0], b"text".to_vec(), golden("bundle.p7"), golden("openssl-csr.der")]
    {
        let error = refused(&Forge::new("19", &signer(), &content));
        assert!(matches!(error, Refused::Envelope(_)), "{error}");
    }
    // A ciphertext that is not whole blocks.
    let mut envelope = golden("openssl-aes192-definite.env");
    let last = envelope.len() - 1;
    envelope.truncate(last);
    let error = refused(&Forge::new("19", &signer(), &envelope));
    assert!(matches!(error, Refused::Envelope(_)), "{error}");
}

#[test]
fn bytes_that_are_no_message_are_no_message() {
    for bytes in [&b""[..], b"GET / HTTP/1.1", &golden("cep.der"), &golden("openssl-csr.der")] {
        assert!(Message::parse(bytes, &Bounds::REQUEST).is_err());
    }
    assert_eq!(
        Message::parse(&golden("bundle.p7"), &Bounds::REQUEST).unwrap_err(),
        ParseError::SignerCount(0)
    );
    let large = Message::parse(&vec![0x30; 70_000], &Bounds::REQUEST).unwrap_err();
    assert!(matches!(large, ParseError::Encoding(_)));
}

#[test]
fn single_des_is_never_written() {
    let sealing =
        Sealing { cipher: ContentCipher::Des, ..Sealing::for_server(&Capabilities::MODERN) };
    let csr = golden("openssl-csr.der");
    let outgoing = Outgoing {
        ask: Ask::PkcsReq(&csr),
        transaction_id: &TransactionId::new("1").unwrap(),
        sender_nonce: &Nonce::random().unwrap(),
        signer: &signer(),
        recipient: &golden_certificate("cep"),
        sealing,
    };
    assert!(outgoing.to_be_signed().is_err());
}

#[test]
fn a_signer_with_a_serial_of_33_octets_and_a_critical_key_identifier_is_answered() {
    let signer = golden_certificate("signer-odd");
    assert_eq!(signer.serial_der().len(), 2 + 33);
    let forge = Forge::new("19", &signer, &golden("openssl-aes256-indefinite.env"));
    let request = parse(&forge).unwrap().verify(&LegacyAlgorithms::default()).unwrap();
    let reply = CertRep::success(&request, &[golden_certificate("device")]).unwrap();
    let nonce = Nonce::random().unwrap();
    let reply = reply.to_be_signed(&golden_certificate("rep"), &nonce).finish(&[0; 256]);
    assert!(
        reply.windows(signer.serial_der().len()).any(|window| window == signer.serial_der()),
        "the answer names the signer by the very bytes of its serial"
    );
}

#[test]
fn a_signer_without_an_rsa_key_of_2048_bits_is_badalg() {
    for (name, expected) in [
        ("signer-ec", AlgorithmError::EllipticCurveSigner),
        ("signer-weak", AlgorithmError::SignerKey("RSA-1024".into())),
    ] {
        let forge =
            Forge::new("19", &golden_certificate(name), &golden("openssl-aes256-indefinite.env"));
        let error = refused(&forge);
        assert_eq!(error, Refused::Algorithm(expected));
        assert_eq!(error.fail_info(), FailInfo::BadAlg);
    }
}

//! What one side builds the other reads: requests, replies, bundles.
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

use countersign_profile::Name;
use countersign_scep::client::{
    Ask, CaCertificates, CsrDraft, DeviceKey, Expected, Outgoing, Reply, ReplyError, Sealing,
};
use countersign_scep::{
    Bounds, Bundle, Capabilities, CertRep, Certificate, ContentCipher, DigestAlgorithm, FailInfo,
    IssuerAndSerial, IssuerAndSubject, KeyTransport, LegacyAlgorithms, Message, Nonce, Request,
    RequestData, RequestType, ToBeSigned, TransactionId, ca_bundle,
};
use forge::{golden, golden_certificate, golden_key, self_signed, tlv};
use proptest::prelude::*;

static DEVICE: LazyLock<DeviceKey> = LazyLock::new(|| golden_key("device"));
static REP: LazyLock<DeviceKey> = LazyLock::new(|| golden_key("rep"));
static CEP: LazyLock<DeviceKey> = LazyLock::new(|| golden_key("cep"));

const ALL_CIPHERS: [ContentCipher; 4] =
    [ContentCipher::Aes128, ContentCipher::Aes192, ContentCipher::Aes256, ContentCipher::TripleDes];

fn names() -> Vec<Name> {
    [
        "CN=device-17",
        "O=Exämple",
        "serialNumber=42",
        "C=DE",
        "DNS:device-17.example.org",
        "email:device@example.org",
        "URI:urn:device:17",
        "IP:192.0.2.7",
        "IP:2001:db8::7",
        "UPN:device@example.org",
    ]
    .into_iter()
    .map(|name| name.parse().unwrap())
    .collect()
}

fn csr() -> Vec<u8> {
    let names = names();
    CsrDraft { names: &names, challenge: Some("secret words"), ..CsrDraft::default() }
        .sign(&DEVICE)
        .unwrap()
}

fn modern() -> Sealing {
    Sealing::for_server(&Capabilities::MODERN)
}

fn sign(key: &DeviceKey, message: ToBeSigned) -> Vec<u8> {
    let digest = message.digest();
    message.sign_with(|bytes| key.sign(digest, bytes)).unwrap()
}

fn request(
    ask: Ask<'_>,
    sealing: Sealing,
    signer: &Certificate,
) -> (Vec<u8>, TransactionId, Nonce) {
    let transaction_id = TransactionId::of_public_key(DEVICE.spki_der());
    let sender_nonce = Nonce::random().unwrap();
    let recipient = golden_certificate("cep");
    let outgoing = Outgoing {
        ask,
        transaction_id: &transaction_id,
        sender_nonce: &sender_nonce,
        signer,
        recipient: &recipient,
        sealing,
    };
    (sign(&DEVICE, outgoing.to_be_signed().unwrap()), transaction_id, sender_nonce)
}

fn verified(bytes: &[u8], legacy: &LegacyAlgorithms) -> Request {
    Message::parse(bytes, &Bounds::REQUEST).unwrap().verify(legacy).unwrap()
}

fn open(request: &Request) -> RequestData {
    let cep = golden_certificate("cep");
    let content_key = CEP.unwrap(&request.envelope().addressed_to([&cep]).unwrap()).unwrap();
    request.open(&content_key).unwrap()
}

#[test]
fn a_request_of_every_type_is_read_as_it_was_asked() {
    let signer = self_signed(&DEVICE);
    let csr = csr();
    let names = IssuerAndSubject {
        issuer: golden_certificate("ca").subject_der().to_vec(),
        subject: signer.subject_der().to_vec(),
    };
    let certificate = IssuerAndSerial::of(&golden_certificate("device"));
    for (ask, kind) in [
        (Ask::PkcsReq(&csr), RequestType::PkcsReq),
        (Ask::RenewalReq(&csr), RequestType::RenewalReq),
        (Ask::CertPoll(&names), RequestType::CertPoll),
        (Ask::GetCert(&certificate), RequestType::GetCert),
        (Ask::GetCrl(&certificate), RequestType::GetCrl),
    ] {
        let (bytes, transaction_id, nonce) = request(ask, modern(), &signer);
        let request = verified(&bytes, &LegacyAlgorithms::default());
        assert_eq!(request.kind(), kind);
        assert_eq!(request.transaction_id(), &transaction_id);
        assert_eq!(request.sender_nonce(), &nonce);
        assert_eq!(request.signer(), &signer);
        match open(&request) {
            RequestData::Pkcs10(found) => {
                assert!(matches!(kind, RequestType::PkcsReq | RequestType::RenewalReq));
                assert_eq!(found.der(), csr);
                assert!(request.is_signed_with_key_of(&found));
            }
            RequestData::IssuerAndSubject(found) => {
                assert_eq!((kind, found), (RequestType::CertPoll, names.clone()));
            }
            RequestData::IssuerAndSerial(found) => {
                assert!(matches!(kind, RequestType::GetCert | RequestType::GetCrl));
                assert_eq!(found, certificate);
            }
        }
    }
}

#[test]
fn a_drafted_csr_asks_for_exactly_its_names() {
    let csr = countersign_profile::Csr::parse(&csr()).unwrap();
    csr.verify_self_signature(countersign_profile::LegacyDigests::Refused).unwrap();
    let mut asked = csr.names();
    let mut expected = names();
    asked.sort();
    expected.sort();
    assert_eq!(asked, expected);
    assert_eq!(csr.challenge().unwrap().text(), "secret words");
    assert_eq!(csr.public_key().spki_der(), DEVICE.spki_der());
}

#[test]
fn every_cipher_transport_and_digest_arrives() {
    let signer = self_signed(&DEVICE);
    let csr = csr();
    let legacy = LegacyAlgorithms { triple_des: true, ..LegacyAlgorithms::default() };
    let oaep = |digest| KeyTransport::Oaep { digest };
    for cipher in ALL_CIPHERS {
        for transport in [
            KeyTransport::Pkcs1v15,
            oaep(DigestAlgorithm::Sha1),
            oaep(DigestAlgorithm::Sha256),
            oaep(DigestAlgorithm::Sha384),
            oaep(DigestAlgorithm::Sha512),
        ] {
            for digest in
                [DigestAlgorithm::Sha256, DigestAlgorithm::Sha384, DigestAlgorithm::Sha512]
            {
                let sealing = Sealing { cipher, transport, digest };
                let (bytes, ..) = request(Ask::PkcsReq(&csr), sealing, &signer);
                let request = verified(&bytes, &legacy);
                assert_eq!(request.envelope().cipher(), cipher);
                assert_eq!(request.envelope().recipients()[0].transport(), Ok(transport));
                assert!(matches!(open(&request), RequestData::Pkcs10(_)));
            }
        }
    }
}

fn answer(message: CertRep<'_>) -> Vec<u8> {
    sign(&REP, message.to_be_signed(&golden_certificate("rep"), &Nonce::random().unwrap()))
}

#[test]
fn success_brings_leaf_and_chain_in_the_cipher_and_digest_of_the_request() {
    let signer = self_signed(&DEVICE);
    let csr = csr();
    let responders = [golden_certificate("rep")];
    let certificates = [golden_certificate("device"), golden_certificate("ca")];
    for (legacy_reply, cipher, expected) in [
        (false, ContentCipher::Aes128, ContentCipher::Aes128),
        (false, ContentCipher::Aes192, ContentCipher::Aes192),
        (true, ContentCipher::Aes256, ContentCipher::Aes256),
        (false, ContentCipher::TripleDes, ContentCipher::Aes128),
        (true, ContentCipher::TripleDes, ContentCipher::TripleDes),
    ] {
        let legacy = LegacyAlgorithms {
            triple_des: true,
            triple_des_replies: legacy_reply,
            ..LegacyAlgorithms::default()
        };
        let sealing = Sealing { cipher, digest: DigestAlgorithm::Sha384, ..modern() };
        let (bytes, transaction_id, sender_nonce) = request(Ask::PkcsReq(&csr), sealing, &signer);
        let request = verified(&bytes, &legacy);
        let reply = answer(CertRep::success(&request, &certificates).unwrap());
        let parsed = Message::parse(&reply, &Bounds::REPLY).unwrap();
        assert_eq!(parsed.reply_digest(), DigestAlgorithm::Sha384);
        let expect = Expected {
            transaction_id: &transaction_id,
            sender_nonce: &sender_nonce,
            responders: &responders,
            legacy,
        };
        let Reply::Success(sealed) = Reply::read(&reply, &expect).unwrap() else { panic!() };
        assert_eq!(sealed.envelope().cipher(), expected);
        let content_key = DEVICE.unwrap(&sealed.addressed_to(&signer).unwrap()).unwrap();
        let bundle = sealed.open(&content_key).unwrap();
        assert_eq!(bundle.certificates, certificates);
        assert!(bundle.crls.is_empty());
    }
}

#[test]
fn pending_failure_and_crl_arrive() {
    let signer = self_signed(&DEVICE);
    let name = IssuerAndSerial::of(&golden_certificate("device"));
    let (bytes, transaction_id, sender_nonce) = request(Ask::GetCrl(&name), modern(), &signer);
    let request = verified(&bytes, &LegacyAlgorithms::default());
    let responders = [golden_certificate("rep")];
    let expect = Expected {
        transaction_id: &transaction_id,
        sender_nonce: &sender_nonce,
        responders: &responders,
        legacy: LegacyAlgorithms::default(),
    };
    let read = |reply: CertRep<'_>| Reply::read(&answer(reply), &expect).unwrap();
    assert!(matches!(read(CertRep::pending(request.message())), Reply::Pending));
    for fail_info in [
        FailInfo::BadAlg,
        FailInfo::BadMessageCheck,
        FailInfo::BadRequest,
        FailInfo::BadTime,
        FailInfo::BadCertId,
    ] {
        for said in [None, Some("the CA is closed — ask tomorrow")] {
            match read(CertRep::failure(request.message(), fail_info, said)) {
                Reply::Failure { fail_info: found, text } => {
                    assert_eq!((found, text.as_deref()), (fail_info, said));
                }
                other => panic!("{other:?}"),
            }
        }
    }
    let crl = tlv(0x30, &[tlv(0x30, &[]), tlv(0x30, &[]), tlv(0x03, &[0])].concat());
    let Reply::Success(sealed) = read(CertRep::crl(&request, &crl).unwrap()) else { panic!() };
    let content_key = DEVICE.unwrap(&sealed.addressed_to(&signer).unwrap()).unwrap();
    assert_eq!(sealed.open(&content_key).unwrap().crls, [crl]);
    let wrong_key = vec![0; content_key.len()];
    assert!(sealed.open(&wrong_key).is_err());
}

#[test]
fn an_answer_to_something_else_is_not_believed() {
    let signer = self_signed(&DEVICE);
    let csr = csr();
    let (bytes, transaction_id, sender_nonce) = request(Ask::PkcsReq(&csr), modern(), &signer);
    let request = verified(&bytes, &LegacyAlgorithms::default());
    let reply = answer(CertRep::pending(request.message()));
    let responders = [golden_certificate("rep")];
    let expect = Expected {
        transaction_id: &transaction_id,
        sender_nonce: &sender_nonce,
        responders: &responders,
        legacy: LegacyAlgorithms::default(),
    };
    let other_id = TransactionId::new("another").unwrap();
    let other_nonce = Nonce::random().unwrap();
    let strangers = [golden_certificate("cep")];
    let error = |expect: Expected<'_>| Reply::read(&reply, &expect).unwrap_err();
    assert!(matches!(
        error(Expected { transaction_id: &other_id, ..expect }),
        ReplyError::OtherTransaction { .. }
    ));
    assert_eq!(error(Expected { sender_nonce: &other_nonce, ..expect }), ReplyError::OtherNonce);
    assert_eq!(error(Expected { responders: &strangers, ..expect }), ReplyError::UnknownResponder);
    // A request is no answer, even from a responder.
    let rep = golden_certificate("rep");
    let cep = golden_certificate("cep");
    let outgoing = Outgoing {
        ask: Ask::PkcsReq(&csr),
        transaction_id: &transaction_id,
        sender_nonce: &sender_nonce,
        signer: &rep,
        recipient: &cep,
        sealing: modern(),
    };
    let reply = sign(&REP, outgoing.to_be_signed().unwrap());
    assert!(matches!(Reply::read(&reply, &expect).unwrap_err(), ReplyError::NotACertRep(_)));
}

#[test]
fn the_transaction_id_comes_back_with_the_type_it_came_with() {
    for tag in [0x13u8, 0x0c, 0x16, 0x14, 0x04] {
        let id = tlv(tag, b"a/b=c");
        let forge = forge::Forge::new("19", &golden_certificate("device"), b"")
            .with(forge::TRANSACTION_ID, vec![id.clone()]);
        let message = Message::parse(&forge.message(&DEVICE), &Bounds::REQUEST).unwrap();
        let reply = answer(CertRep::failure(&message, FailInfo::BadMessageCheck, None));
        let found = Message::parse(&reply, &Bounds::REPLY).unwrap();
        assert_eq!(found.transaction_id(), message.transaction_id());
        assert_eq!(found.transaction_id().tag(), tag);
    }
}

#[test]
fn openssl_reads_what_is_written_here() {
    let signer = self_signed(&DEVICE);
    let (bytes, ..) = request(Ask::PkcsReq(&csr()), modern(), &signer);
    let request = verified(&bytes, &LegacyAlgorithms::default());
    let directory = std::env::temp_dir().join(format!("countersign-scep-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let reply = answer(CertRep::success(&request, &[golden_certificate("device")]).unwrap());
    std::fs::write(directory.join("reply"), reply).unwrap();
    std::fs::write(directory.join("key"), DEVICE.to_pkcs8()).unwrap();
    let script = "openssl cms -verify -noverify -inform DER -in reply -out envelope \
        && openssl cms -decrypt -inform DER -in envelope -inkey key -keyform DER -out certificates \
        && openssl pkcs7 -inform DER -in certificates -print_certs -noout";
    let output = std::process::Command::new("sh")
        .args(["-c", script])
        .current_dir(&directory)
        .output()
        .unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && printed.contains("golden-device"), "{printed}{said}");
}

#[test]
fn a_bundle_names_recipient_and_ca() {
    let bundle = [golden_certificate("cep"), golden_certificate("rep"), golden_certificate("ca")];
    for body in [golden("bundle.p7"), ca_bundle(&bundle)] {
        let found = CaCertificates::parse(&body).unwrap();
        assert_eq!(found.all().len(), 3);
        assert_eq!(found.recipient(), Some(&bundle[0]));
        assert_eq!(found.ca(), Some(&bundle[2]));
    }
    assert_eq!(Bundle::parse(&ca_bundle(&bundle), &Bounds::REPLY).unwrap().certificates, bundle);
    let alone = CaCertificates::parse(&golden("ca.der")).unwrap();
    assert_eq!(alone.recipient(), Some(&bundle[2]));
    assert!(CaCertificates::parse(&ca_bundle(&[])).is_err());
    assert!(CaCertificates::parse(b"<html>").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_subject_challenge_and_cipher_survive_the_way(
        name in "[a-zA-Z0-9äß. -]{1,40}",
        challenge in "[ -~]{1,200}",
        cipher in prop::sample::select(ALL_CIPHERS.to_vec()),
        id in "[A-Za-z0-9+/=:-]{1,255}",
    ) {
        let name = name.trim();
        prop_assume!(!name.is_empty());
        let names: Vec<Name> = vec![format!("CN={name}").parse().unwrap()];
        let draft = CsrDraft { names: &names, challenge: Some(&challenge), ..CsrDraft::default() };
        let csr = draft.sign(&DEVICE).unwrap();
        let signer = self_signed(&DEVICE);
        let transaction_id = TransactionId::new(&id).unwrap();
        let sender_nonce = Nonce::random().unwrap();
        let cep = golden_certificate("cep");
        let outgoing = Outgoing {
            ask: Ask::PkcsReq(&csr),
            transaction_id: &transaction_id,
            sender_nonce: &sender_nonce,
            signer: &signer,
            recipient: &cep,
            sealing: Sealing { cipher, ..modern() },
        };
        let bytes = sign(&DEVICE, outgoing.to_be_signed().unwrap());
        let legacy = LegacyAlgorithms { triple_des: true, ..LegacyAlgorithms::default() };
        let request = verified(&bytes, &legacy);
        prop_assert_eq!(request.transaction_id().as_bytes(), id.as_bytes());
        let RequestData::Pkcs10(found) = open(&request) else { panic!() };
        prop_assert_eq!(found.challenge().unwrap().text(), challenge.as_str());
        prop_assert_eq!(found.names(), names);
    }
}

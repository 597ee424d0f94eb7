//! Invariant I4: from unwrap to the self-signature of the PKCS#10, no failure can be told from
//! another by what is answered.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test states what it knows"
)]

mod forge;

use countersign_scep::client::{Ask, Outgoing, Sealing};
use countersign_scep::{
    Bounds, Capabilities, CertRep, ContentCipher, FailInfo, LegacyAlgorithms, Message, Nonce,
    NotOpened, TransactionId,
};
use forge::{Forge, golden, golden_certificate, golden_key};

const CIPHERS: [ContentCipher; 4] =
    [ContentCipher::Aes128, ContentCipher::Aes192, ContentCipher::Aes256, ContentCipher::TripleDes];

/// The signed answer without what may differ: the nonce of the server and the signature.
fn answer(message: &Message) -> Vec<u8> {
    let rep = golden_key("rep");
    let sender_nonce = Nonce::new(&[9; 16]).unwrap();
    let reply = CertRep::failure(message, FailInfo::BadMessageCheck, None)
        .to_be_signed(&golden_certificate("rep"), &sender_nonce);
    let digest = reply.digest();
    let mut reply = reply.sign_with(|bytes| rep.sign(digest, bytes)).unwrap();
    let signature = reply.len() - 256;
    reply.truncate(signature);
    reply
}

/// A message around this content; `spoil` may change the ciphertext before it is signed.
fn message(content: &[u8], cipher: ContentCipher, spoil: impl FnOnce(&mut Vec<u8>)) -> Message {
    let device = golden_certificate("device");
    let cep = golden_certificate("cep");
    let transaction_id = TransactionId::new("0123456789abcdef").unwrap();
    let sender_nonce = Nonce::new(&[7; 16]).unwrap();
    let sealing = Sealing { cipher, ..Sealing::for_server(&Capabilities::MODERN) };
    let outgoing = Outgoing {
        ask: Ask::PkcsReq(content),
        transaction_id: &transaction_id,
        sender_nonce: &sender_nonce,
        signer: &device,
        recipient: &cep,
        sealing,
    };
    let signed = outgoing.to_be_signed().unwrap().finish(&[]);
    // The envelope is the eContent: from its ContentInfo to the certificates.
    let enveloped = forge::oid("1.2.840.113549.1.7.3");
    let at = signed.windows(enveloped.len()).position(|window| window == enveloped).unwrap() - 4;
    let length = 4 + usize::from(u16::from_be_bytes([signed[at + 2], signed[at + 3]]));
    let mut envelope = signed[at..at + length].to_vec();
    spoil(&mut envelope);
    let forged = Forge::new("19", &device, &envelope)
        .with(forge::TRANSACTION_ID, vec![forge::printable("0123456789abcdef")]);
    Message::parse(&forged.message(&golden_key("device")), &Bounds::REQUEST).unwrap()
}

#[test]
fn every_failure_of_zone_a_is_answered_with_the_same_bytes() {
    let legacy = LegacyAlgorithms { triple_des: true, ..LegacyAlgorithms::default() };
    let csr = golden("openssl-csr.der");
    let mut wrong_signature = csr.clone();
    *wrong_signature.last_mut().unwrap() ^= 1;
    let mut wrong_key = csr.clone();
    let middle = csr.len() / 2;
    wrong_key[middle] ^= 0x40;
    let garbage = vec![0x55; csr.len()];
    let mut trailing = csr.clone();
    trailing.extend(b"x");
    for cipher in CIPHERS {
        let block = cipher.block_len();
        let good_key = |message: &Message| {
            let request = message.verify(&legacy).unwrap();
            let cep = golden_certificate("cep");
            let addressed = request.envelope().addressed_to([&cep]).unwrap();
            golden_key("cep").unwrap(&addressed).unwrap().to_vec()
        };
        let good = message(&csr, cipher, |_| {});
        assert!(good.verify(&legacy).unwrap().open(&good_key(&good)).is_ok());

        let nothing = |_: &mut Vec<u8>| {};
        let last = |envelope: &mut Vec<u8>| *envelope.last_mut().unwrap() ^= 0x80;
        let before_last = |envelope: &mut Vec<u8>| {
            let at = envelope.len() - block - 1;
            envelope[at] ^= 0x80;
        };
        let first = |envelope: &mut Vec<u8>| {
            let at = envelope.len() - csr.len() / block * block;
            envelope[at] ^= 1;
        };
        let cases = [
            ("substitute key", message(&csr, cipher, nothing), true),
            ("last block changed", message(&csr, cipher, last), false),
            ("padding changed", message(&csr, cipher, before_last), false),
            ("content changed", message(&csr, cipher, first), false),
            ("self-signature wrong", message(&wrong_signature, cipher, nothing), false),
            ("key wrong", message(&wrong_key, cipher, nothing), false),
            ("not a PKCS#10", message(&garbage, cipher, nothing), false),
            ("something follows", message(&trailing, cipher, nothing), false),
        ];
        let expected = answer(&good);
        for (what, message, substitute) in cases {
            let request = message.verify(&legacy).unwrap();
            let key = if substitute { vec![0xa5; cipher.key_len()] } else { good_key(&message) };
            assert_eq!(request.open(&key).unwrap_err(), NotOpened, "{what} in {}", cipher.name());
            assert_eq!(answer(&message), expected, "{what} in {}", cipher.name());
        }
    }
}

#[test]
fn a_content_key_of_any_length_is_no_other_failure() {
    let message = message(&golden("openssl-csr.der"), ContentCipher::Aes256, |_| {});
    let request = message.verify(&LegacyAlgorithms::default()).unwrap();
    for length in [0, 1, 16, 24, 31, 32, 33, 256] {
        assert_eq!(request.open(&vec![1; length]).unwrap_err(), NotOpened, "{length}");
    }
}

#[test]
fn answers_of_zone_a_and_answers_before_it_have_one_length() {
    let good = message(&golden("openssl-csr.der"), ContentCipher::Aes128, |_| {});
    let rep = golden_certificate("rep");
    let nonce = Nonce::new(&[1; 16]).unwrap();
    let length = |fail_info| {
        CertRep::failure(&good, fail_info, None).to_be_signed(&rep, &nonce).finish(&[0; 256]).len()
    };
    assert_eq!(length(FailInfo::BadMessageCheck), length(FailInfo::BadAlg));
    assert_eq!(length(FailInfo::BadMessageCheck), length(FailInfo::BadRequest));
}

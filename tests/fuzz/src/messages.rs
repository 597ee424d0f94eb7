//! SCEP messages: everything that a server or a client would do with them, short of a private key.

use std::sync::LazyLock;

use countersign_profile::Csr;
use countersign_scep::client::{Ask, DeviceKey, Expected, Outgoing, Reply, Sealing};
use countersign_scep::{
    Bounds, Capabilities, CertRep, Certificate, FailInfo, LegacyAlgorithms, Message, Nonce,
    Request, TransactionId,
};

use crate::forge::{self, Forge};

static DEVICE: LazyLock<DeviceKey> = LazyLock::new(|| forge::golden_key("device"));
static CEP: LazyLock<DeviceKey> = LazyLock::new(|| forge::golden_key("cep"));
static CERTIFICATES: LazyLock<[Certificate; 3]> =
    LazyLock::new(|| ["device", "cep", "rep"].map(forge::golden_certificate));

/// Bytes as they come off the wire.
pub(crate) fn signed(bytes: &[u8]) -> bool {
    read_as_reply(bytes);
    let Ok(message) = Message::parse(bytes, &Bounds::REQUEST) else { return false };
    exercise(&message);
    true
}

/// Bytes behind a good signature.
pub(crate) fn enveloped(bytes: &[u8]) -> bool {
    let [device, ..] = &*CERTIFICATES;
    let message = Forge::new("19", device, bytes).message(&DEVICE);
    let message = Message::parse(&message, &Bounds::REQUEST).expect("our own message is read");
    exercise(&message);
    message.verify(&LegacyAlgorithms::EVERYTHING).is_ok()
}

/// Bytes inside a good envelope.
pub(crate) fn content(bytes: &[u8]) -> bool {
    let [device, cep, _] = &*CERTIFICATES;
    let (transaction_id, sender_nonce) = names();
    let outgoing = Outgoing {
        ask: Ask::PkcsReq(bytes),
        transaction_id: &transaction_id,
        sender_nonce: &sender_nonce,
        signer: device,
        recipient: cep,
        sealing: Sealing::for_server(&Capabilities::MODERN),
    };
    let Ok(message) = outgoing.to_be_signed() else { return false };
    let digest = message.digest();
    let message = message.sign_with(|octets| DEVICE.sign(digest, octets)).expect("the key signs");
    let message = Message::parse(&message, &Bounds::REQUEST).expect("our own message is read");
    let request = message.verify(&LegacyAlgorithms::default()).expect("our own signature holds");
    let addressed = request.envelope().addressed_to([cep]).expect("it is for CEP");
    let content_key = CEP.unwrap(&addressed).expect("CEP opens it");
    let opened = request.open(&content_key).is_ok();
    // Opened means: a request whose own signature was checked.
    assert!(!opened || Csr::parse(bytes).is_ok(), "what was opened is no request");
    opened
}

fn exercise(message: &Message) {
    let [_, cep, rep] = &*CERTIFICATES;
    let _ = (message.message_type(), message.sender_nonce(), message.transaction_id().to_string());
    if let Ok(request) = message.verify(&LegacyAlgorithms::EVERYTHING) {
        exercise_request(&request, cep);
    }
    // Whatever was parsed can be answered.
    let Some(nonce) = Nonce::new(&[1; 16]) else { return };
    let reply =
        CertRep::failure(message, FailInfo::BadMessageCheck, None).to_be_signed(rep, &nonce);
    let reply = reply.finish(&[0; 256]);
    assert!(Message::parse(&reply, &Bounds::REPLY).is_ok(), "our own answer cannot be read");
}

fn exercise_request(request: &Request, cep: &Certificate) {
    let _ = request.envelope().addressed_to([cep]);
    let content_key = vec![3; request.envelope().cipher().key_len()];
    let _ = request.open(&content_key);
    let _ = CertRep::success(request, std::slice::from_ref(cep));
}

fn read_as_reply(bytes: &[u8]) {
    let [_, _, rep] = &*CERTIFICATES;
    let (transaction_id, sender_nonce) = names();
    let expected = Expected {
        transaction_id: &transaction_id,
        sender_nonce: &sender_nonce,
        responders: std::slice::from_ref(rep),
        legacy: LegacyAlgorithms::EVERYTHING,
    };
    let _ = Reply::read(bytes, &expected);
}

fn names() -> (TransactionId, Nonce) {
    (TransactionId::new("1").expect("printable"), Nonce::new(&[0; 16]).expect("16 octets"))
}

//! What the fuzz targets and the test `mutated_messages` do with bytes from a stranger: everything
//! that a server or a client would, short of a private key.

#![allow(unreachable_pub, reason = "included by the fuzz targets and by a test")]

use countersign_scep::client::{CaCertificates, Expected, Reply};
use countersign_scep::{
    Bounds, Bundle, CertRep, Certificate, FailInfo, LegacyAlgorithms, Message, Nonce, Query,
    Request, TransactionId,
};

/// Reads the bytes as everything that could arrive.
pub fn exercise(bytes: &[u8], cep: &Certificate, rep: &Certificate) {
    if let Ok(message) = Message::parse(bytes, &Bounds::REQUEST) {
        exercise_message(&message, cep, rep);
    }
    let _ = Bundle::parse(bytes, &Bounds::REPLY);
    let _ = CaCertificates::parse(bytes).map(|found| {
        let _ = (found.ca().is_some(), found.recipient().is_some());
    });
    let _ = Certificate::parse(bytes);
    if let Ok(query) = std::str::from_utf8(bytes) {
        let _ = Query::parse(query, &Bounds::REQUEST).and_then(|query| query.pki_message());
    }
    let (Some(transaction_id), Some(sender_nonce)) =
        (TransactionId::new("1"), Nonce::new(&[0; 16]))
    else {
        return;
    };
    let expected = Expected {
        transaction_id: &transaction_id,
        sender_nonce: &sender_nonce,
        responders: std::slice::from_ref(rep),
        legacy: LegacyAlgorithms::EVERYTHING,
    };
    let _ = Reply::read(bytes, &expected);
}

fn exercise_message(message: &Message, cep: &Certificate, rep: &Certificate) {
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

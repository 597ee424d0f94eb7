//! Messages that no good client sends: good envelopes inside bad messages, and the other way round.

use countersign_scep::TransactionId;
use countersign_scep::client::{Ask, CaCertificates};
use countersign_tests::Device;

use crate::forge::{self, Forge};

/// The envelope of the message that this device would send, DER.
pub(crate) fn envelope(device: &Device, ra: &CaCertificates, plain: &[u8]) -> Vec<u8> {
    let message = device.ask(ra, Ask::PkcsReq(plain)).message;
    // The envelope is the eContent: a ContentInfo of type envelopedData, with a length in two octets.
    let enveloped = forge::oid("1.2.840.113549.1.7.3");
    let at = message.windows(enveloped.len()).position(|window| window == enveloped).unwrap() - 4;
    let length = 4 + usize::from(u16::from_be_bytes([message[at + 2], message[at + 3]]));
    message[at..at + length].to_vec()
}

/// A message of this type around this envelope, signed by the device.
pub(crate) fn message(device: &Device, kind: &str, envelope: &[u8]) -> Vec<u8> {
    Forge::new(kind, &device.signer, envelope)
        .with(forge::TRANSACTION_ID, vec![transaction(&device.transaction_id)])
        .message(&device.key)
}

fn transaction(id: &TransactionId) -> Vec<u8> {
    forge::tlv(id.tag(), id.as_bytes())
}

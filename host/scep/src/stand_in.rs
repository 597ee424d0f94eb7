//! The PKCS#10 that is read where none came out of an envelope.
//!
//! Reading a request and verifying its self-signature takes tens of microseconds, and stopping
//! before it tells at which step an envelope failed (invariant I4). So every failure reads and
//! verifies one: its own, or this, which has the size and the key of the one that the signer of
//! the message would have sent.

use crate::certificate::Certificate;
use crate::oid;
use crate::tlv;

/// Names that a request usually asks for.
const SUBJECT_ALT_NAMES: &[u8] = b"stand-in.invalid";

/// Characters of a challenge that is still read: a longer one would end the reading there.
const MOST: usize = countersign_profile::Challenge::MAX_CHARACTERS;

/// A well-formed PKCS#10 with the subject and key of `signer`, `length` bytes long where that is
/// long enough, whose self-signature is `signature` and does not hold.
pub(crate) fn stand_in(signer: &Certificate, signature: &[u8], length: usize) -> Vec<u8> {
    let empty = with_challenge(signer, signature, &[]);
    // What is longer than this can fill is a request with many names. The length bytes that grow with
    // the challenge are too few to be a difference in time.
    let rest = length.saturating_sub(empty.len()).min(MOST);
    if rest == 0 { empty } else { with_challenge(signer, signature, &vec![b'A'; rest]) }
}

fn with_challenge(signer: &Certificate, signature: &[u8], challenge: &[u8]) -> Vec<u8> {
    let attribute = |identifier, value: &[u8]| {
        tlv::sequence(&[&oid_element(identifier), &tlv::element(tlv::SET, &[value])])
    };
    // GeneralName dNSName is [2] IMPLICIT IA5String.
    let names = tlv::sequence(&[&tlv::element(0x82, &[SUBJECT_ALT_NAMES])]);
    let extension = tlv::sequence(&[
        &oid_element(oid::SUBJECT_ALT_NAME),
        &tlv::element(tlv::OCTET_STRING, &[&names]),
    ]);
    let attributes = tlv::element(
        tlv::CONTEXT_0,
        &[
            &attribute(oid::CHALLENGE_PASSWORD, &tlv::element(tlv::PRINTABLE_STRING, &[challenge])),
            &attribute(oid::EXTENSION_REQUEST, &tlv::sequence(&[&extension])),
        ],
    );
    let info = tlv::sequence(&[
        &tlv::small_integer(0),
        signer.subject_der(),
        signer.spki_der(),
        &attributes,
    ]);
    let algorithm = tlv::sequence(&[&oid_element(oid::SHA256_WITH_RSA), &tlv::null()]);
    let signature = tlv::element(tlv::BIT_STRING, &[&[0], signature]);
    tlv::sequence(&[&info, &algorithm, &signature])
}

fn oid_element(identifier: const_oid::ObjectIdentifier) -> Vec<u8> {
    tlv::element(tlv::OBJECT_IDENTIFIER, &[identifier.as_bytes()])
}

#[cfg(test)]
mod tests {
    use countersign_profile::{Csr, LegacyDigests};

    use super::*;
    use crate::client::{DeviceKey, KeySize, SelfSigned, Validity};

    // Fails when the stand-in stops being read to its end: then it costs less than a request.
    #[test]
    fn it_reads_like_a_request_of_its_size_and_does_not_verify() {
        let key = DeviceKey::generate(KeySize::Rsa2048).unwrap();
        let names = ["CN=device-17".parse().unwrap()];
        let signer =
            SelfSigned { names: &names, validity: Validity { not_before: 0, not_after: 1 } }
                .sign(&key)
                .unwrap();
        for length in [0, 700, 1000, 5000, 17_000, 40_000] {
            let der = stand_in(&signer, &[0x5a; 256], length);
            let filled = der.len().abs_diff(length) < 16;
            assert!(length == 0 || length == 40_000 || filled, "{length}: {}", der.len());
            let csr = Csr::parse(&der).unwrap();
            assert_eq!(csr.sans().len(), 1);
            // An empty challenge counts as none.
            assert_eq!(csr.challenge().is_some(), length > 0);
            assert_eq!(csr.public_key().key_bits(), signer.public_key().unwrap().key_bits());
            assert!(csr.verify_self_signature(LegacyDigests::Refused).is_err());
        }
    }
}

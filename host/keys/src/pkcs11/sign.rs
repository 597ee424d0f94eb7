//! Signatures: the digest is ours, the private-key operation the token's.

use cryptoki::mechanism::Mechanism;
use der::Encode;
use der::asn1::UintRef;

use super::connection::Mechanisms;
use crate::algorithm::{DigestAlgorithm, SignatureAlgorithm};
use crate::public_key::KeyKind;

/// What the token is asked, over what.
pub(super) struct Question {
    pub(super) mechanism: Mechanism<'static>,
    pub(super) input: Vec<u8>,
}

/// How to ask for this signature, or `None` where the algorithm does not go with the key.
///
/// The digest is made here where the token signs digests: a message has up to 64 KiB, which a
/// network HSM would otherwise be sent; and SoftHSM2 knows no CKM_ECDSA_SHA256.
pub(super) fn question(
    kind: KeyKind,
    algorithm: SignatureAlgorithm,
    mechanisms: Mechanisms,
    message: &[u8],
) -> Option<Question> {
    let digest = algorithm.digest();
    if SignatureAlgorithm::for_key_and_digest(kind, digest) != Some(algorithm) {
        return None;
    }
    let (mechanism, input) = match kind {
        KeyKind::Rsa { .. } if mechanisms.rsa_over_digest => {
            (Mechanism::RsaPkcs, digest_info(digest, message))
        }
        KeyKind::Rsa { .. } => (
            match digest {
                DigestAlgorithm::Sha256 => Mechanism::Sha256RsaPkcs,
                DigestAlgorithm::Sha384 => Mechanism::Sha384RsaPkcs,
                DigestAlgorithm::Sha512 => Mechanism::Sha512RsaPkcs,
            },
            message.to_vec(),
        ),
        KeyKind::EcP256 | KeyKind::EcP384 if mechanisms.ecdsa_over_digest => {
            (Mechanism::Ecdsa, digest.digest(message))
        }
        KeyKind::EcP256 => (Mechanism::EcdsaSha256, message.to_vec()),
        KeyKind::EcP384 => (Mechanism::EcdsaSha384, message.to_vec()),
    };
    Some(Question { mechanism, input })
}

/// The signature in the form of certificates: PKCS#11 gives ECDSA as r and s, equally long
/// (v2.40 §2.3.1); everyone else wants `Ecdsa-Sig-Value` (RFC 3279 §2.2.3).
pub(super) fn answer(kind: KeyKind, signature: Vec<u8>) -> Option<Vec<u8>> {
    match kind {
        KeyKind::Rsa { .. } => Some(signature),
        KeyKind::EcP256 | KeyKind::EcP384 => ecdsa_der(&signature).ok(),
    }
}

/// The block that RSASSA-PKCS1-v1_5 takes to the power (RFC 8017 §9.2), for a key that only
/// decrypts and signs its own CSR.
pub(super) fn encoded_block(bits: usize, digest: DigestAlgorithm, message: &[u8]) -> Vec<u8> {
    let info = digest_info(digest, message);
    let length = bits.div_ceil(8);
    let mut block = vec![0, 1];
    block.resize(length.saturating_sub(info.len() + 1), 0xff);
    block.push(0);
    block.extend_from_slice(&info);
    block
}

/// DigestInfo with NULL parameters, as RFC 8017 §9.2 note 1 writes it out.
fn digest_info(digest: DigestAlgorithm, message: &[u8]) -> Vec<u8> {
    let (last_arc, length) = match digest {
        DigestAlgorithm::Sha256 => (1, 32),
        DigestAlgorithm::Sha384 => (2, 48),
        DigestAlgorithm::Sha512 => (3, 64),
    };
    let mut info = vec![0x30, 17 + length, 0x30, 0x0d, 0x06, 0x09];
    info.extend_from_slice(&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, last_arc]);
    info.extend_from_slice(&[0x05, 0x00, 0x04, length]);
    info.extend_from_slice(&digest.digest(message));
    info
}

fn ecdsa_der(signature: &[u8]) -> Result<Vec<u8>, der::Error> {
    #[derive(der::Sequence)]
    struct EcdsaSigValue<'a> {
        r: UintRef<'a>,
        s: UintRef<'a>,
    }
    let (r, s) = signature.split_at(signature.len() / 2);
    EcdsaSigValue { r: UintRef::new(r)?, s: UintRef::new(s)? }.to_der()
}

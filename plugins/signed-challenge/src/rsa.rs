//! RSASSA-PKCS1-v1_5 with SHA-256, verification only (RFC 8017 §8.2.2). Everything here is public, so
//! time tells nothing. The expected encoding is made and compared whole: nothing in a signature is
//! ever parsed, which is where forgeries of this scheme came from.

use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Odd, U64, Uint};
use sha2::{Digest as _, Sha256};

/// 65537, the only one taken. Small ones have been forged, large ones cost time.
pub(crate) const EXPONENT: [u8; 3] = [1, 0, 1];
/// DigestInfo for SHA-256 without the hash (RFC 8017 §9.2, note 1).
const DIGEST_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

/// Whether a modulus is one that can be used: 2048, 3072 or 4096 bits, odd.
pub(crate) fn is_modulus(modulus: &[u8]) -> bool {
    matches!(modulus.len(), 256 | 384 | 512)
        && modulus.first().is_some_and(|byte| byte & 0x80 != 0)
        && modulus.last().is_some_and(|byte| byte & 1 == 1)
}

/// Whether `signature` is over `message` under the key of this modulus.
pub(crate) fn verify(modulus: &[u8], message: &[u8], signature: &[u8]) -> bool {
    if !is_modulus(modulus) || signature.len() != modulus.len() {
        return false;
    }
    let expected = encoded(message, modulus.len());
    match modulus.len() {
        256 => opens_to::<{ limbs(2048) }>(modulus, signature, &expected),
        384 => opens_to::<{ limbs(3072) }>(modulus, signature, &expected),
        512 => opens_to::<{ limbs(4096) }>(modulus, signature, &expected),
        _ => false,
    }
}

const fn limbs(bits: u32) -> usize {
    (bits / crypto_bigint::Limb::BITS) as usize
}

fn opens_to<const LIMBS: usize>(modulus: &[u8], signature: &[u8], expected: &[u8]) -> bool {
    let number = Uint::<LIMBS>::from_be_slice;
    let (modulus, signature) = (number(modulus), number(signature));
    if signature >= modulus {
        return false;
    }
    let Some(odd) = Odd::new(modulus).into_option() else {
        return false;
    };
    let parameters = FixedMontyParams::new_vartime(odd);
    let opened = FixedMontyForm::new(&signature, &parameters)
        .pow_bounded_exp(&U64::from_u32(65_537), 17)
        .retrieve();
    opened == number(expected)
}

/// EMSA-PKCS1-v1_5 (RFC 8017 §9.2).
fn encoded(message: &[u8], length: usize) -> Vec<u8> {
    let hash = Sha256::digest(message);
    let padding = length.saturating_sub(3 + DIGEST_INFO.len() + hash.len());
    let mut encoded = vec![0x00, 0x01];
    encoded.resize(2 + padding, 0xff);
    encoded.push(0x00);
    encoded.extend_from_slice(&DIGEST_INFO);
    encoded.extend_from_slice(&hash);
    encoded
}

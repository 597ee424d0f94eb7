//! RSA paddings taken off in constant time, where a token gives the bare block.
//!
//! The content cipher says how long its key is, so every byte of the block has one known place:
//! nothing is searched, nothing branches on what is found, and the caller gets bytes and a
//! [`Choice`], never a reason (RFC 8017 §7.1.2 note, §7.2.2 note).

use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::algorithm::KeyTransport;

/// What stands where the key would be, and whether the padding around it is right.
pub(crate) struct Unpadded {
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    pub(crate) good: Choice,
}

/// Takes the padding off a block as long as the modulus, around `wanted_length` bytes.
pub(crate) fn unpad(transport: KeyTransport, block: &[u8], wanted_length: usize) -> Unpadded {
    match transport {
        KeyTransport::Pkcs1v15 => pkcs1v15(block, wanted_length),
        KeyTransport::OaepSha1 => oaep(&SHA1_FOR_LEGACY_USE_ONLY, block, wanted_length),
        KeyTransport::OaepSha256 => oaep(&SHA256, block, wanted_length),
    }
}

/// RFC 8017 §7.2.2: `00 02`, at least eight bytes none of which is zero, `00`, the key.
fn pkcs1v15(block: &[u8], wanted_length: usize) -> Unpadded {
    // Lengths are the key's and the cipher's, no secret.
    let Some((padding, message)) =
        block.len().checked_sub(wanted_length).and_then(|at| block.split_at_checked(at))
    else {
        return nothing(wanted_length);
    };
    if padding.len() < 11 {
        return nothing(wanted_length);
    }
    let last = padding.len() - 1;
    let mut good = Choice::from(1);
    for (position, byte) in padding.iter().enumerate() {
        good &= match position {
            0 => byte.ct_eq(&0),
            1 => byte.ct_eq(&2),
            at if at == last => byte.ct_eq(&0),
            _ => !byte.ct_eq(&0),
        };
    }
    Unpadded { bytes: Zeroizing::new(message.to_vec()), good }
}

/// RFC 8017 §7.1.2 with an empty label and MGF1 over the same hash.
fn oaep(hash: &'static Algorithm, block: &[u8], wanted_length: usize) -> Unpadded {
    let hash_length = hash.output_len();
    let parts = block.split_first().and_then(|(first, rest)| {
        let (seed, data) = rest.split_at_checked(hash_length)?;
        Some((first, seed, data))
    });
    let Some((first, masked_seed, masked_data)) = parts else {
        return nothing(wanted_length);
    };
    let Some(separator) = masked_data.len().checked_sub(wanted_length + 1) else {
        return nothing(wanted_length);
    };
    if separator < hash_length {
        return nothing(wanted_length);
    }
    let seed = masked(masked_seed, &mask(hash, masked_data, masked_seed.len()));
    let data = masked(masked_data, &mask(hash, &seed, masked_data.len()));

    let label = digest(hash, b"");
    let mut good = first.ct_eq(&0);
    for (position, byte) in data.iter().enumerate().take(separator + 1) {
        good &= match label.as_ref().get(position) {
            Some(expected) => byte.ct_eq(expected),
            None if position == separator => byte.ct_eq(&1),
            None => byte.ct_eq(&0),
        };
    }
    let message = data.get(separator + 1..).unwrap_or_default();
    Unpadded { bytes: Zeroizing::new(message.to_vec()), good }
}

fn masked(bytes: &[u8], mask: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(bytes.iter().zip(mask).map(|(one, two)| one ^ two).collect())
}

/// MGF1 (RFC 8017 appendix B.2.1).
fn mask(hash: &'static Algorithm, seed: &[u8], length: usize) -> Zeroizing<Vec<u8>> {
    let mut mask = Zeroizing::new(Vec::with_capacity(length + hash.output_len()));
    let mut input = Zeroizing::new(Vec::with_capacity(seed.len() + 4));
    let mut counter = 0u32;
    while mask.len() < length {
        input.clear();
        input.extend_from_slice(seed);
        input.extend_from_slice(&counter.to_be_bytes());
        mask.extend_from_slice(digest(hash, &input).as_ref());
        counter += 1;
    }
    mask.truncate(length);
    mask
}

fn nothing(wanted_length: usize) -> Unpadded {
    Unpadded { bytes: Zeroizing::new(vec![0; wanted_length]), good: Choice::from(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pkcs1_block(key: &[u8]) -> Vec<u8> {
        let mut block = vec![0, 2];
        block.resize(256 - key.len() - 1, 0x5a);
        block.push(0);
        block.extend_from_slice(key);
        block
    }

    fn is_good(transport: KeyTransport, block: &[u8], wanted: usize) -> bool {
        unpad(transport, block, wanted).good.into()
    }

    #[test]
    fn a_good_pkcs1_block_gives_its_key() {
        for length in [1, 16, 24, 32] {
            let key = vec![7; length];
            let found = unpad(KeyTransport::Pkcs1v15, &pkcs1_block(&key), length);
            assert!(bool::from(found.good));
            assert_eq!(*found.bytes, key);
        }
    }

    /// Each byte of the padding counts: fails if `pkcs1v15` leaves one of its checks out.
    #[test]
    fn every_byte_of_pkcs1_padding_is_checked() {
        let block = pkcs1_block(&[7; 16]);
        let end_of_padding = block.len() - 17;
        for position in 0..=end_of_padding {
            let mut spoiled = block.clone();
            spoiled[position] = match position {
                0 | 1 => 3,
                at if at == end_of_padding => 1,
                _ => 0,
            };
            assert!(!is_good(KeyTransport::Pkcs1v15, &spoiled, 16), "byte {position}");
        }
        // The key is longer or shorter than the cipher says.
        assert!(!is_good(KeyTransport::Pkcs1v15, &block, 15));
        assert!(!is_good(KeyTransport::Pkcs1v15, &block, 17));
        assert!(!is_good(KeyTransport::Pkcs1v15, &block[..20], 16));
        assert!(!is_good(KeyTransport::Pkcs1v15, &[], 16));
    }

    fn oaep_block(hash: &'static Algorithm, key: &[u8]) -> Vec<u8> {
        let seed = vec![0x33; hash.output_len()];
        let mut data = digest(hash, b"").as_ref().to_vec();
        data.resize(256 - 1 - hash.output_len() - key.len() - 1, 0);
        data.push(1);
        data.extend_from_slice(key);
        let masked_data = masked(&data, &mask(hash, &seed, data.len()));
        let masked_seed = masked(&seed, &mask(hash, &masked_data, seed.len()));
        [&[0], masked_seed.as_slice(), masked_data.as_slice()].concat()
    }

    #[test]
    fn a_good_oaep_block_gives_its_key_and_a_spoiled_one_does_not() {
        let both = [
            (KeyTransport::OaepSha1, &SHA1_FOR_LEGACY_USE_ONLY),
            (KeyTransport::OaepSha256, &SHA256),
        ];
        for (transport, hash) in both {
            let block = oaep_block(hash, &[9; 32]);
            let found = unpad(transport, &block, 32);
            assert!(bool::from(found.good));
            assert_eq!(*found.bytes, [9; 32]);
            for position in 0..block.len() - 32 {
                let mut spoiled = block.clone();
                spoiled[position] ^= 1;
                assert!(!is_good(transport, &spoiled, 32), "{transport:?} byte {position}");
            }
            assert!(!is_good(transport, &block, 31));
            assert!(!is_good(transport, &block[..40], 32));
        }
    }
}

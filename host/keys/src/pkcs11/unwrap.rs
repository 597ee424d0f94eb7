//! Unwrapping content keys: raw RSA with our own padding check where the token offers it.
//!
//! **Raw** (CKM_RSA_X_509): the token gives m = c^d whatever stands in it, and the padding is
//! taken off here in constant time; good and bad ciphertexts cost the token and us the same.
//!
//! **Padded** (CKM_RSA_PKCS, CKM_RSA_PKCS_OAEP), where raw is not offered or does not work: the
//! token checks the padding, says by its return code whether it was good, and takes what time it
//! takes: that time is the module's, and nobody here can make it constant. The answer is still
//! uniform: every return code that a ciphertext can cause gives the substitute key, and the
//! session is closed after each unwrap, good or bad, so that the closing of a failed one does
//! not show either. It is a finding (`token-without-raw-rsa`).

use std::sync::Arc;

use aws_lc_rs::rand;
use aws_lc_rs::rsa::{Pkcs1PublicEncryptingKey, PublicEncryptingKey};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism, MechanismType};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::failure::is_surely_not_the_ciphertext;
use super::operation::{Afterwards, Work};
use super::token::Pkcs11Token;
use crate::algorithm::{KeyTransport, SignatureAlgorithm};
use crate::error::TokenError;
use crate::padding::unpad;
use crate::public_key::PublicKey;
use crate::token::{ContentKey, Deadline, KeyName, Token as _};

/// Length of the key in the known answer.
const KNOWN_LENGTH: usize = 16;

/// How a key unwraps, and a ciphertext whose content is known.
pub(super) struct Unwrapping {
    raw: bool,
    ciphertext: Vec<u8>,
    content_key: Zeroizing<[u8; KNOWN_LENGTH]>,
}

impl Unwrapping {
    /// A ciphertext of our own making for this key; how it unwraps is still to be tried.
    fn new(public_key: &PublicKey) -> Result<Self, TokenError> {
        let failed = || TokenError::Refused("its public key does not encrypt".into());
        let mut content_key = Zeroizing::new([0u8; KNOWN_LENGTH]);
        rand::fill(content_key.as_mut_slice()).map_err(|_| failed())?;
        let key = PublicEncryptingKey::from_der(public_key.spki_der()).map_err(|_| failed())?;
        let key = Pkcs1PublicEncryptingKey::new(key).map_err(|_| failed())?;
        let mut ciphertext = vec![0; key.ciphertext_size()];
        let length =
            key.encrypt(content_key.as_slice(), &mut ciphertext).map_err(|_| failed())?.len();
        ciphertext.truncate(length);
        Ok(Self { raw: false, ciphertext, content_key })
    }

    fn is_known(&self, key: &ContentKey) -> bool {
        key.as_bytes().ct_eq(self.content_key.as_slice()).into()
    }
}

impl Pkcs11Token {
    pub(super) fn unwrap(
        &self,
        key: &KeyName,
        transport: KeyTransport,
        ciphertext: &[u8],
        wanted_length: usize,
        deadline: Deadline,
    ) -> Result<ContentKey, TokenError> {
        let unwrapping = self.unwrapping(key, deadline)?;
        let public_key = self.known(key, deadline)?.public_key;
        let modulus = public_key.rsa_modulus().unwrap_or_default();
        let prepared = self.substitute.prepare(ciphertext, wanted_length)?;
        // Anyone can see that these are no ciphertexts for this key. The token is given one of
        // ours in their place, so that they cost what others cost.
        let fits = is_in_range(ciphertext, modulus);
        let given = if fits { ciphertext } else { &unwrapping.ciphertext };
        let (found, good) = if unwrapping.raw {
            let block = self.raw(key, &unwrapping, given, modulus.len(), deadline)?;
            let found =
                unpad(transport, block.as_deref().map_or(&[], Vec::as_slice), wanted_length);
            (found.bytes, found.good)
        } else {
            self.padded(key, transport, given, wanted_length, deadline)?
        };
        Ok(prepared.choose(&found, good & Choice::from(u8::from(fits))))
    }

    /// Whether a key unwraps by raw RSA, as far as that is known.
    pub(super) fn unwraps_raw(&self, key: &KeyName) -> Option<bool> {
        let known = self.known.lock();
        known.get(key)?.unwrapping.as_ref().map(|unwrapping| unwrapping.raw)
    }

    /// Finds out how a key unwraps.
    pub(super) fn try_unwrapping(
        &self,
        key: &KeyName,
        deadline: Deadline,
    ) -> Result<(), TokenError> {
        self.unwrapping(key, deadline).map(drop)
    }

    /// Does with a key what it is for, and compares the outcome: for health, and at start.
    pub(super) fn try_out(&self, key: &KeyName, deadline: Deadline) -> Result<(), TokenError> {
        let known = self.known(key, deadline)?;
        if let Some(unwrapping) = known.unwrapping {
            let found = self.unwrap(
                key,
                KeyTransport::Pkcs1v15,
                &unwrapping.ciphertext,
                KNOWN_LENGTH,
                deadline,
            )?;
            return match unwrapping.is_known(&found) {
                true => Ok(()),
                false => Err(TokenError::Lost(format!(
                    "`{key}` does not open a ciphertext that it opened at start"
                ))),
            };
        }
        let algorithm = SignatureAlgorithm::preferred_for(known.public_key.kind());
        self.sign(key, algorithm, b"countersign: is this token well?", deadline).map(drop)
    }

    /// How a key unwraps; tried out the first time.
    fn unwrapping(&self, key: &KeyName, deadline: Deadline) -> Result<Arc<Unwrapping>, TokenError> {
        let known = self.known(key, deadline)?;
        if let Some(unwrapping) = known.unwrapping {
            return Ok(unwrapping);
        }
        let Some(modulus) = known.public_key.rsa_modulus() else {
            return Err(TokenError::Refused(format!("`{key}` is not an RSA key")));
        };
        let mut unwrapping = Unwrapping::new(&known.public_key)?;
        // Some modules list the mechanism and fail at it.
        unwrapping.raw = self.opens_raw(key, &unwrapping, modulus.len(), deadline)?;
        if !unwrapping.raw {
            let transport = KeyTransport::Pkcs1v15;
            let (found, good) =
                self.padded(key, transport, &unwrapping.ciphertext, KNOWN_LENGTH, deadline)?;
            if !bool::from(good & found.as_slice().ct_eq(unwrapping.content_key.as_slice())) {
                return Err(TokenError::Refused(format!(
                    "`{key}` opens nothing, neither by CKM_RSA_X_509 nor by CKM_RSA_PKCS: it \
                     lacks CKA_DECRYPT, or a policy of the token (a FIPS mode) forbids both"
                )));
            }
        }
        let unwrapping = Arc::new(unwrapping);
        if let Some(known) = self.known.lock().get_mut(key) {
            known.unwrapping = Some(Arc::clone(&unwrapping));
        }
        Ok(unwrapping)
    }

    fn opens_raw(
        &self,
        key: &KeyName,
        known: &Unwrapping,
        block_length: usize,
        deadline: Deadline,
    ) -> Result<bool, TokenError> {
        self.with_key(key, Afterwards::Close, deadline, |work| {
            if !work.mechanisms.raw_rsa {
                return Ok(false);
            }
            match decrypt(work, &Mechanism::RsaX509, &known.ciphertext) {
                Ok(block) => {
                    let block = right_aligned(&block, block_length);
                    let found = unpad(KeyTransport::Pkcs1v15, &block, KNOWN_LENGTH);
                    Ok(bool::from(
                        found.good & found.bytes.as_slice().ct_eq(known.content_key.as_slice()),
                    ))
                }
                Err(error) if is_surely_not_the_ciphertext(&error) => Err(error.into()),
                Err(_) => Ok(false),
            }
        })
    }

    /// m = c^d, whatever stands in it. `None` where the token refuses this ciphertext and opens
    /// another one: no module is initialised again because of what a stranger sent.
    fn raw(
        &self,
        key: &KeyName,
        known: &Unwrapping,
        ciphertext: &[u8],
        block_length: usize,
        deadline: Deadline,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, TokenError> {
        let block = self.with_key(key, Afterwards::Keep, deadline, |work| {
            match decrypt(work, &Mechanism::RsaX509, ciphertext) {
                Ok(block) => Ok(Some(right_aligned(&block, block_length))),
                Err(error) if is_surely_not_the_ciphertext(&error) => Err(error.into()),
                Err(_) => {
                    work.spoiled.set(true);
                    Ok(None)
                }
            }
        })?;
        if block.is_none() {
            self.power(key, &known.ciphertext, block_length, deadline)?;
        }
        Ok(block)
    }

    /// m = c^d of a number that is ours: any failure is the token's.
    pub(super) fn power(
        &self,
        key: &KeyName,
        number: &[u8],
        block_length: usize,
        deadline: Deadline,
    ) -> Result<Zeroizing<Vec<u8>>, TokenError> {
        self.with_key(key, Afterwards::Keep, deadline, |work| {
            let block = decrypt(work, &Mechanism::RsaX509, number)?;
            Ok(right_aligned(&block, block_length))
        })
    }

    fn padded(
        &self,
        key: &KeyName,
        transport: KeyTransport,
        ciphertext: &[u8],
        wanted_length: usize,
        deadline: Deadline,
    ) -> Result<(Zeroizing<Vec<u8>>, Choice), TokenError> {
        let mechanism = padded_mechanism(transport);
        self.with_key(key, Afterwards::Close, deadline, |work| {
            let found = match decrypt(work, &mechanism, ciphertext) {
                Ok(found) => found,
                Err(error) if is_surely_not_the_ciphertext(&error) => return Err(error.into()),
                // Whatever else it says may be about the padding.
                Err(_) => Zeroizing::new(Vec::new()),
            };
            let good = (found.len() as u64).ct_eq(&(wanted_length as u64));
            Ok((found, good))
        })
    }
}

fn decrypt(
    work: &Work<'_>,
    mechanism: &Mechanism<'_>,
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, cryptoki::error::Error> {
    work.session.decrypt(mechanism, work.key, ciphertext).map(Zeroizing::new)
}

fn padded_mechanism(transport: KeyTransport) -> Mechanism<'static> {
    let oaep = |hash, mask| {
        Mechanism::RsaPkcsOaep(PkcsOaepParams::new(hash, mask, PkcsOaepSource::empty()))
    };
    match transport {
        KeyTransport::Pkcs1v15 => Mechanism::RsaPkcs,
        KeyTransport::OaepSha1 => oaep(MechanismType::SHA1, PkcsMgfType::MGF1_SHA1),
        KeyTransport::OaepSha256 => oaep(MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
    }
}

/// Some modules leave out leading zeros of the block.
fn right_aligned(block: &[u8], length: usize) -> Zeroizing<Vec<u8>> {
    let mut aligned = Zeroizing::new(vec![0u8; length]);
    for (to, from) in aligned.iter_mut().rev().zip(block.iter().rev()) {
        *to = *from;
    }
    aligned
}

/// As long as the modulus, and 1 < c < n - 1: tokens in FIPS mode refuse the edges (SP 800-56B
/// §7.1.2), and everyone can compute what those decrypt to.
fn is_in_range(ciphertext: &[u8], modulus: &[u8]) -> bool {
    let Some((last, above)) = ciphertext.split_last() else { return false };
    let is_zero_or_one = *last <= 1 && above.iter().all(|byte| *byte == 0);
    // n is odd, so n - 1 differs in the last bit alone.
    let is_n_minus_one =
        modulus.split_last().is_some_and(|(low, high)| above == high && *last == (*low & !1));
    ciphertext.len() == modulus.len() && ciphertext < modulus && !is_zero_or_one && !is_n_minus_one
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_between_one_and_n_minus_one_go_to_the_token() {
        let n = [0xc1, 0x00, 0x07];
        for (ciphertext, fits) in [
            (vec![0x00, 0x00, 0x02], true),
            (vec![0xc1, 0x00, 0x05], true),
            (vec![0xc1, 0x00, 0x06], false),
            (vec![0xc1, 0x00, 0x07], false),
            (vec![0xff, 0x00, 0x00], false),
            (vec![0x00, 0x00, 0x00], false),
            (vec![0x00, 0x00, 0x01], false),
            (vec![0x02, 0x00], false),
            (vec![0x00, 0x02, 0x00, 0x00], false),
            (vec![], false),
        ] {
            assert_eq!(is_in_range(&ciphertext, &n), fits, "{ciphertext:?}");
        }
    }

    #[test]
    fn a_block_without_its_leading_zeros_is_aligned_to_the_right() {
        assert_eq!(*right_aligned(&[2, 3], 4), [0, 0, 2, 3]);
        assert_eq!(*right_aligned(&[1, 2, 3, 4], 4), [1, 2, 3, 4]);
    }
}

//! CMS EnvelopedData: whom it is for, how its key travels, and opening it with that key
//! (RFC 5652 §6, RFC 8894 §3.2.2).

use aws_lc_rs::cipher::{self, DecryptingKey, DecryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq, ConstantTimeLess};
use zeroize::Zeroizing;

use crate::algorithm::{
    AlgorithmError, AlgorithmIdentifier, ContentCipher, KeyTransport, LegacyAlgorithms,
};
use crate::ber::{self, Bounds};
use crate::certificate::Certificate;
use crate::message::Refused;
use crate::oid;
use crate::signed_data::{Identifier, StructureError, content};
use crate::tlv::{self, Element, TlvError};

/// The most recipients looked at. micromdm's client writes one for each certificate of GetCACert.
const MOST_RECIPIENTS: usize = 16;

/// An envelope whose structure and algorithms are good, not opened yet.
#[derive(Clone, Debug)]
pub struct Enveloped {
    recipients: Vec<Recipient>,
    cipher: ContentCipher,
    iv: Vec<u8>,
    ciphertext: Vec<u8>,
}

/// One key-transport recipient. Key-agreement, key-encryption and password recipients are passed
/// over.
#[derive(Clone, Debug)]
pub struct Recipient {
    identifier: Identifier,
    transport: Result<KeyTransport, AlgorithmError>,
    encrypted_key: Vec<u8>,
}

/// The recipient that is one of ours: what the key's owner needs to unwrap.
#[derive(Clone, Copy, Debug)]
pub struct Addressed<'a> {
    /// Which of the given certificates it is for.
    pub certificate: usize,
    /// How the content key was encrypted.
    pub transport: KeyTransport,
    /// The encrypted content key.
    pub encrypted_key: &'a [u8],
    /// The length of the content key that the declared cipher needs, in bytes. A substitute key
    /// must have exactly this length (T5 of the threat model).
    pub content_key_len: usize,
}

/// The envelope did not open into what the message type needs. One value for all causes: wrong
/// content key, wrong padding, not a PKCS#10, wrong self-signature. It is the only thing that may be
/// known about them (invariant I4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the envelope does not open into what its message type holds")]
pub struct NotOpened;

impl Enveloped {
    pub(crate) fn read(
        content_info: &[u8],
        bounds: &Bounds,
        legacy: &LegacyAlgorithms,
    ) -> Result<Enveloped, Refused> {
        if content_info.is_empty() {
            return Err(Refused::NoContent);
        }
        let der = ber::normalise(content_info, bounds)
            .map_err(|error| Refused::Envelope(error.to_string()))?;
        let parts = Parts::read(&der).map_err(|error| Refused::Envelope(error.to_string()))?;
        let algorithm = parts.algorithm;
        let cipher = ContentCipher::from_oid(algorithm.oid)
            .ok_or_else(|| AlgorithmError::Cipher(oid::dotted(algorithm.oid)))?;
        if !cipher.allowed(legacy) {
            return Err(AlgorithmError::LegacyCipher(cipher.name()).into());
        }
        let iv = algorithm
            .parameters
            .filter(|iv| iv.tag == tlv::OCTET_STRING && iv.content.len() == cipher.block_len())
            .ok_or_else(|| Refused::Envelope("initialisation vector of the wrong length".into()))?;
        if parts.ciphertext.is_empty() || !parts.ciphertext.len().is_multiple_of(cipher.block_len())
        {
            return Err(Refused::Envelope("ciphertext is not whole blocks".into()));
        }
        Ok(Enveloped {
            recipients: parts.recipients,
            cipher,
            iv: iv.content.to_vec(),
            ciphertext: parts.ciphertext.to_vec(),
        })
    }

    /// The content cipher.
    pub fn cipher(&self) -> ContentCipher {
        self.cipher
    }

    /// How long the plaintext usually is: the ciphertext without half a block of padding.
    pub(crate) fn plain_len(&self) -> usize {
        self.ciphertext.len() - self.cipher.block_len() / 2
    }

    /// The key-transport recipients, in the order of the message.
    pub fn recipients(&self) -> &[Recipient] {
        &self.recipients
    }

    /// Finds the first recipient that is one of these certificates, by issuer and serial or by
    /// subject key identifier. Several certificates are in use while one is rolled over.
    pub fn addressed_to<'c>(
        &self,
        certificates: impl IntoIterator<Item = &'c Certificate>,
    ) -> Result<Addressed<'_>, Refused> {
        let certificates: Vec<&Certificate> = certificates.into_iter().collect();
        for recipient in &self.recipients {
            let found = certificates.iter().position(|ours| recipient.identifier.names(ours));
            if let Some(certificate) = found {
                return Ok(Addressed {
                    certificate,
                    transport: recipient.transport.clone()?,
                    encrypted_key: &recipient.encrypted_key,
                    content_key_len: self.cipher.key_len(),
                });
            }
        }
        Err(Refused::NoRecipient)
    }

    /// Decrypts with the content key.
    ///
    /// The padding is checked without a branch on what it holds. What an error is told apart from
    /// here must not be told to a device: see [`crate::Request::open`].
    pub fn decrypt(&self, content_key: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
        let (mut plain, good, len) = self.decrypt_blocks(content_key)?;
        plain.truncate(len);
        if bool::from(good) { Ok(plain) } else { Err(NotOpened) }
    }

    /// All plain blocks, whether their padding is good, and their length without it.
    fn decrypt_blocks(
        &self,
        content_key: &[u8],
    ) -> Result<(Zeroizing<Vec<u8>>, Choice, usize), NotOpened> {
        let mut blocks = Zeroizing::new(self.ciphertext.clone());
        let key =
            UnboundCipherKey::new(algorithm(self.cipher), content_key).map_err(|_| NotOpened)?;
        let context = match *self.iv.as_slice() {
            [a, b, c, d, e, f, g, h] => {
                DecryptionContext::Iv64(FixedLength::from(&[a, b, c, d, e, f, g, h]))
            }
            _ => {
                let iv: [u8; 16] = self.iv.as_slice().try_into().map_err(|_| NotOpened)?;
                DecryptionContext::Iv128(FixedLength::from(&iv))
            }
        };
        DecryptingKey::cbc(key)
            .and_then(|key| key.decrypt(&mut blocks, context).map(|_| ()))
            .map_err(|_| NotOpened)?;
        let (good, len) = unpadded(&blocks, self.cipher.block_len());
        Ok((blocks, good, len))
    }
}

impl Recipient {
    /// How the content key was encrypted.
    pub fn transport(&self) -> Result<KeyTransport, &AlgorithmError> {
        self.transport.as_ref().copied()
    }

    /// Whether this recipient is the certificate.
    pub fn is(&self, certificate: &Certificate) -> bool {
        self.identifier.names(certificate)
    }

    fn read(element: &Element<'_>) -> Result<Recipient, TlvError> {
        let mut recipient = element.reader();
        recipient.expect(tlv::INTEGER)?;
        let identifier = Identifier::read(&recipient.next()?)?;
        let algorithm = recipient.expect(tlv::SEQUENCE)?;
        let transport = KeyTransport::read(&AlgorithmIdentifier::read(&algorithm)?);
        let encrypted_key = recipient.expect(tlv::OCTET_STRING)?.content.to_vec();
        recipient.finish()?;
        Ok(Recipient { identifier, transport, encrypted_key })
    }
}

/// The fields of an EnvelopedData.
struct Parts<'a> {
    recipients: Vec<Recipient>,
    algorithm: AlgorithmIdentifier<'a>,
    ciphertext: &'a [u8],
}

impl<'a> Parts<'a> {
    fn read(content_info: &'a [u8]) -> Result<Self, StructureError> {
        let mut enveloped = content(content_info, oid::ENVELOPED_DATA)?.reader();
        enveloped.expect(tlv::INTEGER)?;
        // originatorInfo serves key agreement only.
        enveloped.optional(tlv::CONTEXT_0)?;
        let set = enveloped.expect(tlv::SET)?;
        let mut encrypted = enveloped.expect(tlv::SEQUENCE)?.reader();
        enveloped.optional(tlv::CONTEXT_1)?;
        enveloped.finish()?;

        let mut recipients = Vec::new();
        let mut seen = 0;
        let mut reader = set.reader();
        while !reader.is_empty() {
            seen += 1;
            if seen > MOST_RECIPIENTS {
                return Err(StructureError::TooManyMembers);
            }
            let element = reader.next()?;
            if element.tag == tlv::SEQUENCE {
                recipients.push(Recipient::read(&element)?);
            }
        }
        let content_type = encrypted.expect(tlv::OBJECT_IDENTIFIER)?.content;
        if content_type != oid::DATA.as_bytes() {
            return Err(StructureError::ContentType {
                expected: oid::DATA.to_string(),
                found: oid::dotted(content_type),
            });
        }
        let algorithm = AlgorithmIdentifier::read(&encrypted.expect(tlv::SEQUENCE)?)?;
        let ciphertext = encrypted.expect(tlv::CONTEXT_0_PRIMITIVE)?.content;
        encrypted.finish()?;
        Ok(Parts { recipients, algorithm, ciphertext })
    }
}

#[allow(deprecated, reason = "DES and Triple DES are let in by named legacy switches only")]
pub(crate) fn algorithm(cipher: ContentCipher) -> &'static cipher::Algorithm {
    match cipher {
        ContentCipher::Aes128 => &cipher::AES_128,
        ContentCipher::Aes192 => &cipher::AES_192,
        ContentCipher::Aes256 => &cipher::AES_256,
        ContentCipher::TripleDes => &cipher::DES_EDE3_FOR_LEGACY_USE_ONLY,
        ContentCipher::Des => &cipher::DES_FOR_LEGACY_USE_ONLY,
    }
}

/// Whether the blocks end in PKCS#7 padding, and how long they are without it; their whole length
/// where they do not. Looks at every byte of the last block whatever it holds.
fn unpadded(blocks: &[u8], block_len: usize) -> (Choice, usize) {
    let block_len = block_len.min(blocks.len());
    let last = blocks.iter().rev().take(block_len);
    let pad = blocks.last().copied().unwrap_or_default();
    let limit = u8::try_from(block_len).unwrap_or(u8::MAX);
    let mut good = !pad.ct_eq(&0) & !limit.ct_lt(&pad);
    for (position, byte) in (0u8..).zip(last) {
        let is_padding = position.ct_lt(&pad);
        good &= byte.ct_eq(&pad) | !is_padding;
    }
    let cut = u8::conditional_select(&0, &pad, good);
    (good, blocks.len() - usize::from(cut))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_accepted_exactly_where_pkcs7_allows_it() {
        for block_len in [8usize, 16] {
            for pad in 0..=u8::MAX {
                let mut blocks = vec![0xaau8; block_len * 2];
                let len = blocks.len();
                for byte in blocks.iter_mut().rev().take(usize::from(pad)) {
                    *byte = pad;
                }
                let (good, left) = unpadded(&blocks, block_len);
                let expected = (1..=block_len).contains(&usize::from(pad));
                // A pad byte of 0 leaves 0xaa at the end, which is out of range as well.
                assert_eq!(bool::from(good), expected, "{pad} in blocks of {block_len}");
                assert_eq!(left, if expected { len - usize::from(pad) } else { len });
            }
        }
    }

    #[test]
    fn one_wrong_padding_byte_spoils_it() {
        for at in 12..16 {
            let mut block = vec![4u8; 16];
            block[at] ^= 1;
            let (good, _) = unpadded(&block, 16);
            // Changing the last byte makes another padding length, which does not hold either.
            assert!(!bool::from(good), "byte {at}");
        }
    }
}

//! Making an EnvelopedData: a fresh content key, encrypted to RSA certificates (RFC 5652 §6).

use aws_lc_rs::cipher::{EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512,
    OaepAlgorithm, OaepPublicEncryptingKey, Pkcs1PublicEncryptingKey, PublicEncryptingKey,
};
use countersign_profile::DigestAlgorithm;
use zeroize::Zeroizing;

use crate::algorithm::{ContentCipher, KeyTransport, object_identifier};
use crate::certificate::Certificate;
use crate::envelope;
use crate::oid;
use crate::signed_data::content_info;
use crate::tlv;
use crate::transaction::RandomError;

/// Why nothing could be encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The recipient's key is not an RSA key that can be encrypted to.
    #[error("the recipient's certificate holds no RSA key that can be encrypted to")]
    RecipientKey,
    /// Single DES is read from old clients, never written.
    #[error("single DES is not written; choose AES")]
    SingleDes,
    /// No random numbers.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The cipher failed.
    #[error("the content could not be encrypted")]
    Cipher,
}

/// ContentInfo { envelopedData } of the plain bytes for these recipients.
pub(crate) fn envelope(
    plain: &[u8],
    recipients: &[&Certificate],
    cipher: ContentCipher,
    transport: KeyTransport,
) -> Result<Vec<u8>, SealError> {
    let mut content_key = Zeroizing::new(vec![0; cipher.key_len()]);
    let mut iv = vec![0; cipher.block_len()];
    aws_lc_rs::rand::fill(&mut content_key).map_err(|_| RandomError)?;
    aws_lc_rs::rand::fill(&mut iv).map_err(|_| RandomError)?;
    let ciphertext = encrypt(plain, cipher, &content_key, &iv)?;
    let recipients = recipients
        .iter()
        .map(|recipient| {
            let encrypted_key = wrap(&content_key, recipient, transport)?;
            Ok(tlv::sequence(&[
                &tlv::small_integer(0),
                &recipient.issuer_and_serial(),
                &transport.identifier(),
                &tlv::element(tlv::OCTET_STRING, &[&encrypted_key]),
            ]))
        })
        .collect::<Result<Vec<_>, SealError>>()?;
    let encrypted = tlv::sequence(&[
        &object_identifier(oid::DATA),
        &cipher.identifier(&iv),
        &tlv::element(tlv::CONTEXT_0_PRIMITIVE, &[&ciphertext]),
    ]);
    let enveloped = tlv::sequence(&[&tlv::small_integer(0), &tlv::set_of(recipients), &encrypted]);
    Ok(content_info(oid::ENVELOPED_DATA, &enveloped))
}

fn encrypt(
    plain: &[u8],
    cipher: ContentCipher,
    content_key: &[u8],
    iv: &[u8],
) -> Result<Vec<u8>, SealError> {
    if cipher == ContentCipher::Des {
        return Err(SealError::SingleDes);
    }
    let key = UnboundCipherKey::new(envelope::algorithm(cipher), content_key)
        .map_err(|_| SealError::Cipher)?;
    let context = match *iv {
        [a, b, c, d, e, f, g, h] => {
            EncryptionContext::Iv64(FixedLength::from(&[a, b, c, d, e, f, g, h]))
        }
        _ => {
            let iv: [u8; 16] = iv.try_into().map_err(|_| SealError::Cipher)?;
            EncryptionContext::Iv128(FixedLength::from(&iv))
        }
    };
    let mut in_out = plain.to_vec();
    PaddedBlockEncryptingKey::cbc_pkcs7(key)
        .and_then(|key| key.less_safe_encrypt(&mut in_out, context).map(|_| ()))
        .map_err(|_| SealError::Cipher)?;
    Ok(in_out)
}

fn wrap(
    content_key: &[u8],
    recipient: &Certificate,
    transport: KeyTransport,
) -> Result<Vec<u8>, SealError> {
    if !recipient.has_rsa_key() {
        return Err(SealError::RecipientKey);
    }
    let key =
        PublicEncryptingKey::from_der(recipient.spki_der()).map_err(|_| SealError::RecipientKey)?;
    let mut encrypted = vec![0; key.key_size_bytes()];
    let len = match transport {
        KeyTransport::Pkcs1v15 => Pkcs1PublicEncryptingKey::new(key)
            .and_then(|key| key.encrypt(content_key, &mut encrypted).map(|bytes| bytes.len())),
        KeyTransport::Oaep { digest } => OaepPublicEncryptingKey::new(key).and_then(|key| {
            key.encrypt(oaep(digest), content_key, &mut encrypted, None).map(|bytes| bytes.len())
        }),
    }
    .map_err(|_| SealError::RecipientKey)?;
    encrypted.truncate(len);
    Ok(encrypted)
}

pub(crate) fn oaep(digest: DigestAlgorithm) -> &'static OaepAlgorithm {
    match digest {
        DigestAlgorithm::Sha1 => &OAEP_SHA1_MGF1SHA1,
        DigestAlgorithm::Sha256 => &OAEP_SHA256_MGF1SHA256,
        DigestAlgorithm::Sha384 => &OAEP_SHA384_MGF1SHA384,
        DigestAlgorithm::Sha512 => &OAEP_SHA512_MGF1SHA512,
    }
}

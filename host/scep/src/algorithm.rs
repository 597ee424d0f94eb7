//! Digests, signatures, content ciphers and key transports: which there are and which are let in.

use countersign_profile::{DigestAlgorithm, SignatureError, SignatureScheme};

use crate::oid;
use crate::tlv::{self, Element, TlvError};

/// Old algorithms that a profile lets in by name, each for devices that can do no better.
///
/// All are off by default. MD5 is not here: it is refused always. None of them touches what
/// signs replies: that is SHA-2 always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegacyAlgorithms {
    /// SHA-1 as digest of the message's own signature (micromdm's client, old Cisco).
    pub sha1_signatures: bool,
    /// Triple DES around the request (NDES-era clients).
    pub triple_des: bool,
    /// Single DES around the request (micromdm's client). A challenge in it is worth 56 bits.
    pub single_des: bool,
    /// Triple DES around the reply where the request came in DES or Triple DES; AES-128 otherwise.
    pub triple_des_replies: bool,
}

impl LegacyAlgorithms {
    /// Everything that can be read at all: for looking at recorded messages (`scep open`), never
    /// for a listener.
    pub const EVERYTHING: LegacyAlgorithms = LegacyAlgorithms {
        sha1_signatures: true,
        triple_des: true,
        single_des: true,
        triple_des_replies: true,
    };
}

/// The usual name, `SHA-256`.
pub(crate) fn digest_name(digest: DigestAlgorithm) -> &'static str {
    match digest {
        DigestAlgorithm::Sha1 => "SHA-1",
        DigestAlgorithm::Sha256 => "SHA-256",
        DigestAlgorithm::Sha384 => "SHA-384",
        DigestAlgorithm::Sha512 => "SHA-512",
    }
}

/// SHA-2 stays itself; SHA-1 becomes SHA-256: what a reply is signed with.
pub(crate) fn modern(digest: DigestAlgorithm) -> DigestAlgorithm {
    match digest {
        DigestAlgorithm::Sha1 | DigestAlgorithm::Sha256 => DigestAlgorithm::Sha256,
        DigestAlgorithm::Sha384 => DigestAlgorithm::Sha384,
        DigestAlgorithm::Sha512 => DigestAlgorithm::Sha512,
    }
}

/// AlgorithmIdentifier of a digest with NULL parameters, as all SCEP clients write and expect it.
pub(crate) fn digest_identifier(digest: DigestAlgorithm) -> Vec<u8> {
    let oid = match digest {
        DigestAlgorithm::Sha1 => oid::SHA1,
        DigestAlgorithm::Sha256 => oid::SHA256,
        DigestAlgorithm::Sha384 => oid::SHA384,
        DigestAlgorithm::Sha512 => oid::SHA512,
    };
    identifier(oid, &tlv::null())
}

/// AlgorithmIdentifier of the RSA PKCS#1 v1.5 signature with this digest, as certificates and
/// PKCS#10 requests need it (a SignerInfo says `rsaEncryption`).
pub(crate) fn rsa_signature_identifier(digest: DigestAlgorithm) -> Vec<u8> {
    let oid = match digest {
        DigestAlgorithm::Sha1 => oid::SHA1_WITH_RSA,
        DigestAlgorithm::Sha256 => oid::SHA256_WITH_RSA,
        DigestAlgorithm::Sha384 => oid::SHA384_WITH_RSA,
        DigestAlgorithm::Sha512 => oid::SHA512_WITH_RSA,
    };
    identifier(oid, &tlv::null())
}

/// Reads the two AlgorithmIdentifiers of a SignerInfo, each a whole element.
///
/// A signer with an elliptic-curve key is refused here: the reply could not be encrypted to it.
pub(crate) fn read_signature(
    digest: &[u8],
    signature: &[u8],
) -> Result<SignatureScheme, AlgorithmError> {
    let names = |whole: &[u8], wanted: const_oid::ObjectIdentifier| {
        tlv::only(whole, tlv::SEQUENCE)
            .and_then(|element| AlgorithmIdentifier::read(&element))
            .is_ok_and(|algorithm| algorithm.is(wanted))
    };
    if names(digest, oid::MD5) || names(signature, oid::MD5_WITH_RSA) {
        return Err(AlgorithmError::Md5);
    }
    match SignatureScheme::from_signer_info(signature, digest)? {
        scheme @ (SignatureScheme::RsaPkcs1(_) | SignatureScheme::RsaPss(_)) => Ok(scheme),
        SignatureScheme::Ecdsa(_) | SignatureScheme::Ed25519 => {
            Err(AlgorithmError::EllipticCurveSigner)
        }
    }
}

/// The cipher around the content of an envelope, always in CBC mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContentCipher {
    /// AES with a 16-byte key: what RFC 8894 §2.9 makes mandatory.
    Aes128,
    /// AES with a 24-byte key.
    Aes192,
    /// AES with a 32-byte key.
    Aes256,
    /// Triple DES with a 24-byte key: behind a legacy switch.
    TripleDes,
    /// Single DES with an 8-byte key: behind a legacy switch, and never written.
    Des,
}

impl ContentCipher {
    /// Length of the content key in bytes: what a substitute key must have (T5).
    pub fn key_len(self) -> usize {
        match self {
            ContentCipher::Aes128 => 16,
            ContentCipher::Aes192 | ContentCipher::TripleDes => 24,
            ContentCipher::Aes256 => 32,
            ContentCipher::Des => 8,
        }
    }

    /// Length of a block, and so of the initialisation vector, in bytes.
    pub fn block_len(self) -> usize {
        match self {
            ContentCipher::Aes128 | ContentCipher::Aes192 | ContentCipher::Aes256 => 16,
            ContentCipher::TripleDes | ContentCipher::Des => 8,
        }
    }

    /// The usual name, `AES-128-CBC`.
    pub fn name(self) -> &'static str {
        match self {
            ContentCipher::Aes128 => "AES-128-CBC",
            ContentCipher::Aes192 => "AES-192-CBC",
            ContentCipher::Aes256 => "AES-256-CBC",
            ContentCipher::TripleDes => "DES-EDE3-CBC",
            ContentCipher::Des => "DES-CBC",
        }
    }

    /// The cipher of the reply to a request in this cipher: AES is mirrored.
    pub fn for_reply(self, legacy: &LegacyAlgorithms) -> ContentCipher {
        match self {
            ContentCipher::Aes128 | ContentCipher::Aes192 | ContentCipher::Aes256 => self,
            ContentCipher::TripleDes | ContentCipher::Des if legacy.triple_des_replies => {
                ContentCipher::TripleDes
            }
            ContentCipher::TripleDes | ContentCipher::Des => ContentCipher::Aes128,
        }
    }

    pub(crate) fn allowed(self, legacy: &LegacyAlgorithms) -> bool {
        match self {
            ContentCipher::Aes128 | ContentCipher::Aes192 | ContentCipher::Aes256 => true,
            ContentCipher::TripleDes => legacy.triple_des,
            ContentCipher::Des => legacy.single_des,
        }
    }

    pub(crate) fn from_oid(identifier: &[u8]) -> Option<Self> {
        match identifier {
            id if id == oid::AES_128_CBC.as_bytes() => Some(ContentCipher::Aes128),
            id if id == oid::AES_192_CBC.as_bytes() => Some(ContentCipher::Aes192),
            id if id == oid::AES_256_CBC.as_bytes() => Some(ContentCipher::Aes256),
            id if id == oid::TRIPLE_DES_CBC.as_bytes() => Some(ContentCipher::TripleDes),
            id if id == oid::DES_CBC.as_bytes() => Some(ContentCipher::Des),
            _ => None,
        }
    }

    pub(crate) fn identifier(self, iv: &[u8]) -> Vec<u8> {
        let oid = match self {
            ContentCipher::Aes128 => oid::AES_128_CBC,
            ContentCipher::Aes192 => oid::AES_192_CBC,
            ContentCipher::Aes256 => oid::AES_256_CBC,
            ContentCipher::TripleDes => oid::TRIPLE_DES_CBC,
            ContentCipher::Des => oid::DES_CBC,
        };
        identifier(oid, &tlv::element(tlv::OCTET_STRING, &[iv]))
    }
}

/// How the content key is encrypted to a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyTransport {
    /// RSAES-PKCS1-v1_5: what almost every client sends.
    Pkcs1v15,
    /// RSAES-OAEP with an empty label and MGF1 with the same digest.
    Oaep {
        /// The digest of OAEP and of its mask generation.
        digest: DigestAlgorithm,
    },
}

impl KeyTransport {
    /// The usual name, `RSAES-OAEP with SHA-256`.
    pub fn name(self) -> String {
        match self {
            KeyTransport::Pkcs1v15 => "RSAES-PKCS1-v1_5".to_owned(),
            KeyTransport::Oaep { digest } => format!("RSAES-OAEP with {}", digest_name(digest)),
        }
    }

    pub(crate) fn read(algorithm: &AlgorithmIdentifier<'_>) -> Result<Self, AlgorithmError> {
        if algorithm.is(oid::RSA_ENCRYPTION) {
            return Ok(KeyTransport::Pkcs1v15);
        }
        if algorithm.is(oid::RSA_OAEP) {
            return oaep_digest(algorithm.parameters).map(|digest| KeyTransport::Oaep { digest });
        }
        Err(AlgorithmError::KeyTransport(oid::dotted(algorithm.oid)))
    }

    pub(crate) fn identifier(self) -> Vec<u8> {
        match self {
            KeyTransport::Pkcs1v15 => identifier(oid::RSA_ENCRYPTION, &tlv::null()),
            // Absent means SHA-1 in both fields (RFC 8017 §A.2.1).
            KeyTransport::Oaep { digest: DigestAlgorithm::Sha1 } => {
                identifier(oid::RSA_OAEP, &tlv::sequence(&[]))
            }
            KeyTransport::Oaep { digest } => {
                let mgf = identifier(oid::MGF1, &digest_identifier(digest));
                identifier(
                    oid::RSA_OAEP,
                    &tlv::sequence(&[
                        &tlv::element(tlv::CONTEXT_0, &[&digest_identifier(digest)]),
                        &tlv::element(tlv::CONTEXT_1, &[&mgf]),
                    ]),
                )
            }
        }
    }
}

/// Why an algorithm is not taken. All of these are answered with `badAlg`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlgorithmError {
    /// MD5, which no switch lets in.
    #[error("the message is signed with MD5; the client must use SHA-256")]
    Md5,
    /// SHA-1 without the legacy switch.
    #[error("the message is signed with SHA-1, which this profile does not let in")]
    Sha1,
    /// An ECDSA signer: the reply could not be encrypted to its key.
    #[error("the message is signed with an elliptic-curve key; SCEP needs an RSA key here")]
    EllipticCurveSigner,
    /// The signer's key is no RSA key of 2048 to 8192 bits.
    #[error("the signer's key is not an RSA key of a size taken here: {0}")]
    SignerKey(String),
    /// An algorithm or parameters that are not known, or do not agree.
    #[error("the message's signature algorithms are not taken: {0}")]
    Signature(#[from] SignatureError),
    /// OAEP with parameters other than one digest and an empty label.
    #[error("RSA-OAEP parameters other than one digest and an empty label")]
    OaepParameters,
    /// An unknown content cipher, or AES in another mode than CBC.
    #[error("content cipher {0} is not known here")]
    Cipher(String),
    /// A known old cipher without its legacy switch.
    #[error("content cipher {0} is not let in by this profile")]
    LegacyCipher(&'static str),
    /// A key transport that is neither PKCS#1 v1.5 nor OAEP.
    #[error("key transport {0} is not known here")]
    KeyTransport(String),
}

/// An AlgorithmIdentifier as it came: content bytes of the identifier, parameters if any.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AlgorithmIdentifier<'a> {
    pub(crate) oid: &'a [u8],
    pub(crate) parameters: Option<Element<'a>>,
}

impl<'a> AlgorithmIdentifier<'a> {
    pub(crate) fn read(element: &Element<'a>) -> Result<Self, TlvError> {
        if element.tag != tlv::SEQUENCE {
            return Err(TlvError::Tag { expected: tlv::SEQUENCE, found: element.tag });
        }
        let mut reader = element.reader();
        let oid = reader.expect(tlv::OBJECT_IDENTIFIER)?.content;
        let parameters = if reader.is_empty() { None } else { Some(reader.next()?) };
        reader.finish()?;
        Ok(AlgorithmIdentifier { oid, parameters })
    }

    pub(crate) fn is(&self, oid: const_oid::ObjectIdentifier) -> bool {
        self.oid == oid.as_bytes()
    }
}

/// AlgorithmIdentifier in DER.
pub(crate) fn identifier(oid: const_oid::ObjectIdentifier, parameters: &[u8]) -> Vec<u8> {
    tlv::sequence(&[&object_identifier(oid), parameters])
}

pub(crate) fn object_identifier(oid: const_oid::ObjectIdentifier) -> Vec<u8> {
    tlv::element(tlv::OBJECT_IDENTIFIER, &[oid.as_bytes()])
}

/// RFC 8017 §A.2.1. Absent parameters and absent fields mean SHA-1.
fn oaep_digest(parameters: Option<Element<'_>>) -> Result<DigestAlgorithm, AlgorithmError> {
    const WRONG: AlgorithmError = AlgorithmError::OaepParameters;
    let Some(parameters) = parameters.filter(|element| element.tag != tlv::NULL) else {
        return Ok(DigestAlgorithm::Sha1);
    };
    if parameters.tag != tlv::SEQUENCE {
        return Err(WRONG);
    }
    let mut reader = parameters.reader();
    let digest = match explicit(&mut reader, tlv::CONTEXT_0).map_err(|_| WRONG)? {
        Some(digest) => plain_digest(&digest).ok_or(WRONG)?,
        None => DigestAlgorithm::Sha1,
    };
    let mgf = match explicit(&mut reader, tlv::CONTEXT_1).map_err(|_| WRONG)? {
        Some(mgf) => mgf1_digest(&mgf).ok_or(WRONG)?,
        None => DigestAlgorithm::Sha1,
    };
    let label = explicit(&mut reader, tlv::CONTEXT_2).map_err(|_| WRONG)?;
    reader.finish().map_err(|_| WRONG)?;
    let label_is_empty = label.is_none_or(|label| {
        AlgorithmIdentifier::read(&label).is_ok_and(|source| {
            source.is(oid::P_SPECIFIED)
                && source.parameters.is_some_and(|label| label.whole == [tlv::OCTET_STRING, 0])
        })
    });
    if mgf == digest && label_is_empty { Ok(digest) } else { Err(WRONG) }
}

fn explicit<'a>(reader: &mut tlv::Reader<'a>, tag: u8) -> Result<Option<Element<'a>>, TlvError> {
    let Some(outer) = reader.optional(tag)? else {
        return Ok(None);
    };
    let mut inside = outer.reader();
    let element = inside.next()?;
    inside.finish()?;
    Ok(Some(element))
}

fn plain_digest(element: &Element<'_>) -> Option<DigestAlgorithm> {
    DigestAlgorithm::from_algorithm_identifier(element.whole).ok()
}

fn mgf1_digest(element: &Element<'_>) -> Option<DigestAlgorithm> {
    let mgf = AlgorithmIdentifier::read(element).ok()?;
    if mgf.is(oid::MGF1) { plain_digest(&mgf.parameters?) } else { None }
}

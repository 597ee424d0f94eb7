//! CSRs for the roles' own keys: what `keys init` prints for the CA.

use std::str::FromStr;

use const_oid::ObjectIdentifier;
use der::asn1::{Any, BitString, OctetString, SetOfVec};
use der::{Decode, Encode};
use x509_cert::attr::{Attribute, Attributes};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{ExtendedKeyUsage, KeyUsage, KeyUsages};
use x509_cert::name::Name;
use x509_cert::request::{CertReq, CertReqInfo, Version};

use crate::algorithm::SignatureAlgorithm;
use crate::certificate::CERTIFICATE_REQUEST_AGENT;
use crate::error::TokenError;
use crate::public_key::PublicKey;
use crate::role::RoleKind;
use crate::token::{Deadline, KeyName, Token};

const KEY_USAGE: ObjectIdentifier = const_oid::db::rfc5280::ID_CE_KEY_USAGE;
const EXTENDED_KEY_USAGE: ObjectIdentifier = const_oid::db::rfc5280::ID_CE_EXT_KEY_USAGE;
const EXTENSION_REQUEST: ObjectIdentifier = const_oid::db::rfc5912::ID_EXTENSION_REQ;

/// A CSR that waits for its signature.
#[derive(Clone, Debug)]
pub struct UnsignedCsr {
    info: CertReqInfo,
    info_der: Vec<u8>,
    algorithm: SignatureAlgorithm,
}

impl UnsignedCsr {
    /// A CSR for the key of a role: its subject (RFC 4514 text such as
    /// `CN=Countersign EA,O=Example`), its key usage and, for EA, the EKU it needs.
    ///
    /// # Errors
    /// The subject is not RFC 4514 text, or is empty.
    pub fn new(role: RoleKind, subject: &str, public_key: &PublicKey) -> Result<Self, CsrError> {
        let name = Name::from_str(subject)
            .map_err(|source| CsrError::Subject { subject: subject.to_owned(), source })?;
        if name.is_empty() {
            return Err(CsrError::EmptySubject);
        }
        let info = CertReqInfo {
            version: Version::V1,
            subject: name,
            public_key: Decode::from_der(public_key.spki_der())?,
            attributes: extension_request(&extensions(role)?)?,
        };
        let info_der = info.to_der()?;
        let algorithm = SignatureAlgorithm::preferred_for(public_key.kind());
        Ok(Self { info, info_der, algorithm })
    }

    /// The bytes to sign.
    pub fn to_be_signed(&self) -> &[u8] {
        &self.info_der
    }

    /// The algorithm to sign them with.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// The CSR as DER.
    ///
    /// # Errors
    /// The encoder fails.
    pub fn finish(self, signature: &[u8]) -> Result<Vec<u8>, CsrError> {
        let request = CertReq {
            info: self.info,
            algorithm: Decode::from_der(self.algorithm.certificate_identifier_der())?,
            signature: BitString::from_bytes(signature)?,
        };
        Ok(request.to_der()?)
    }
}

/// The CSR (DER) of a key on a token, signed by that key. Blocks on the token.
///
/// # Errors
/// As [`UnsignedCsr::new`]; or the token does not sign with this key.
pub fn csr_signed_by(
    token: &dyn Token,
    key: &KeyName,
    role: RoleKind,
    subject: &str,
    deadline: Deadline,
) -> Result<Vec<u8>, CsrError> {
    let csr = UnsignedCsr::new(role, subject, &token.public_key(key)?)?;
    let signature = token.sign(key, csr.algorithm(), csr.to_be_signed(), deadline)?;
    csr.finish(&signature)
}

/// Why a CSR could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CsrError {
    /// Not a distinguished name.
    #[error(
        "`{subject}` is not a distinguished name ({source}); expected text such as `CN=Countersign EA,O=Example`"
    )]
    Subject {
        /// What was given.
        subject: String,
        /// Why.
        source: der::Error,
    },
    /// No name at all.
    #[error("the subject is empty; expected text such as `CN=Countersign EA,O=Example`")]
    EmptySubject,
    /// The token does not sign.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The encoder failed.
    #[error("the CSR cannot be encoded: {0}")]
    Encoding(#[from] der::Error),
}

fn extensions(role: RoleKind) -> Result<Vec<Extension>, der::Error> {
    let usage = match role {
        RoleKind::Ea | RoleKind::Rep => KeyUsages::DigitalSignature,
        RoleKind::Cep => KeyUsages::KeyEncipherment,
    };
    let mut extensions = vec![Extension {
        extn_id: KEY_USAGE,
        critical: true,
        extn_value: OctetString::new(KeyUsage(usage.into()).to_der()?)?,
    }];
    if role == RoleKind::Ea {
        let purposes = ExtendedKeyUsage(vec![CERTIFICATE_REQUEST_AGENT]);
        extensions.push(Extension {
            extn_id: EXTENDED_KEY_USAGE,
            critical: false,
            extn_value: OctetString::new(purposes.to_der()?)?,
        });
    }
    Ok(extensions)
}

/// RFC 2985 §5.4.2: one attribute with one value, the Extensions.
fn extension_request(extensions: &Vec<Extension>) -> Result<Attributes, der::Error> {
    let mut values = SetOfVec::new();
    values.insert(Any::encode_from(extensions)?)?;
    let mut attributes = SetOfVec::new();
    attributes.insert(Attribute { oid: EXTENSION_REQUEST, values })?;
    Ok(attributes)
}

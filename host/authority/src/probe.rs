//! The question whether a CA really insists on the countersignature.

use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use aws_lc_rs::{rand, signature};
use der::asn1::{Any, BitString, ObjectIdentifier, SetOfVec, Utf8StringRef};
use der::{Encode, Sequence, Tag};

use crate::disposition::Disposition;
use crate::error::AuthorityError;
use crate::hresult::Hresult;
use crate::{Authority, Submission};

/// What a CA did with a request that nobody countersigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeResult {
    /// It refused for want of a signature: the template protects itself.
    RefusedAsItMust {
        /// The CA's code.
        hresult: Hresult,
    },
    /// It issued, or keeps the request for approval: whoever may enrol at this template gets any
    /// name without us. Critical; the start must not go on.
    Accepted {
        /// What the CA answered, so that the certificate can be revoked.
        disposition: Disposition,
    },
    /// Nothing was learnt: the CA was not reached, or refused for another reason.
    Inconclusive {
        /// What came instead.
        reason: AuthorityError,
    },
}

/// Submits a bare PKCS#10, made with a throw-away key, to `template`; a CA whose template demands
/// one authorised signature must refuse it.
///
/// On a CA that accepts it, this costs one certificate for a meaningless name, whose key is gone.
pub async fn probe_uncountersigned(authority: &dyn Authority, template: &str) -> ProbeResult {
    let request = match bare_request() {
        Ok(request) => request,
        Err(reason) => return ProbeResult::Inconclusive { reason },
    };
    let submission = Submission { cms: &request, template };
    match authority.submit(submission).await {
        Ok(disposition) => ProbeResult::Accepted { disposition },
        Err(AuthorityError::Refused { hresult, .. })
            if matches!(hresult, Hresult::SIGNATURE_POLICY_REQUIRED | Hresult::SIGNATURE_COUNT) =>
        {
            ProbeResult::RefusedAsItMust { hresult }
        }
        Err(reason) => ProbeResult::Inconclusive { reason },
    }
}

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const SHA256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
/// What an admin sees where a CA keeps or issues the probe.
const NAME: &str = "countersign probe: must be refused";

#[derive(Sequence)]
struct CertificationRequest {
    info: Any,
    algorithm: AlgorithmIdentifier,
    signature: BitString,
}

#[derive(Sequence)]
struct CertificationRequestInfo {
    version: u8,
    subject: Vec<SetOfVec<AttributeTypeAndValue>>,
    public_key: Any,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT")]
    attributes: SetOfVec<Any>,
}

#[derive(Sequence)]
struct AlgorithmIdentifier {
    oid: ObjectIdentifier,
    parameters: der::asn1::Null,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Sequence, der::ValueOrd)]
struct AttributeTypeAndValue {
    oid: ObjectIdentifier,
    value: Any,
}

/// A PKCS#10 with an RSA-2048 key that is dropped here.
fn bare_request() -> Result<Vec<u8>, AuthorityError> {
    let key = KeyPair::generate(KeySize::Rsa2048)
        .map_err(|_| AuthorityError::unavailable("no key could be made for the probe"))?;
    encode(&key).map_err(|error| {
        AuthorityError::unavailable(format!("the probe could not be written: {error}"))
    })
}

fn encode(key: &KeyPair) -> Result<Vec<u8>, der::Error> {
    let name =
        AttributeTypeAndValue { oid: COMMON_NAME, value: Any::from(Utf8StringRef::new(NAME)?) };
    let mut subject = SetOfVec::new();
    subject.insert(name)?;
    let info = CertificationRequestInfo {
        version: 0,
        subject: vec![subject],
        public_key: subject_public_key_info(key.public_key().as_ref())?,
        attributes: SetOfVec::new(),
    }
    .to_der()?;
    let mut bytes = vec![0; key.public_modulus_len()];
    key.sign(&signature::RSA_PKCS1_SHA256, &rand::SystemRandom::new(), &info, &mut bytes)
        .map_err(|_| der::Error::from(der::ErrorKind::Failed))?;
    CertificationRequest {
        info: der::Decode::from_der(&info)?,
        algorithm: rsa(SHA256_WITH_RSA),
        signature: BitString::from_bytes(&bytes)?,
    }
    .to_der()
}

fn subject_public_key_info(rsa_public_key: &[u8]) -> Result<Any, der::Error> {
    const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
    let mut content = rsa(RSA_ENCRYPTION).to_der()?;
    content.extend(BitString::from_bytes(rsa_public_key)?.to_der()?);
    Any::new(Tag::Sequence, content)
}

fn rsa(oid: ObjectIdentifier) -> AlgorithmIdentifier {
    AlgorithmIdentifier { oid, parameters: der::asn1::Null }
}

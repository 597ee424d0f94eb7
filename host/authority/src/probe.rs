//! The question whether a CA really insists on the countersignature.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use aws_lc_rs::{rand, signature};
use der::asn1::{Any, BitString, Null, ObjectIdentifier, SetOfVec, Utf8StringRef};
use der::{Decode, Encode, Sequence};

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
    // Making an RSA key takes long enough to hold up the executor.
    let request = match tokio::task::spawn_blocking(bare_request).await {
        Ok(Ok(request)) => request,
        Ok(Err(reason)) => return ProbeResult::Inconclusive { reason },
        Err(failed) => {
            let reason =
                AuthorityError::unavailable(format!("the probe could not be made: {failed}"));
            return ProbeResult::Inconclusive { reason };
        }
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

/// PKCS#10 (RFC 2986 §4).
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
    parameters: Null,
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
    let failed = |_| der::Error::from(der::ErrorKind::Failed);
    let spki: PublicKeyX509Der<'_> = key.public_key().as_der().map_err(failed)?;
    let name =
        AttributeTypeAndValue { oid: COMMON_NAME, value: Any::from(Utf8StringRef::new(NAME)?) };
    let mut subject = SetOfVec::new();
    subject.insert(name)?;
    let info = CertificationRequestInfo {
        version: 0,
        subject: vec![subject],
        public_key: Any::from_der(spki.as_ref())?,
        attributes: SetOfVec::new(),
    }
    .to_der()?;
    let mut bytes = vec![0; key.public_modulus_len()];
    let random = rand::SystemRandom::new();
    key.sign(&signature::RSA_PKCS1_SHA256, &random, &info, &mut bytes).map_err(failed)?;
    CertificationRequest {
        info: Any::from_der(&info)?,
        algorithm: AlgorithmIdentifier { oid: SHA256_WITH_RSA, parameters: Null },
        signature: BitString::from_bytes(&bytes)?,
    }
    .to_der()
}

#[cfg(test)]
mod tests {
    use countersign_profile::Csr;

    use super::*;

    #[test]
    fn the_probe_is_a_sound_request_of_an_unmistakable_name() {
        let csr = Csr::parse(&bare_request().unwrap()).unwrap();
        csr.verify_self_signature(countersign_profile::LegacyDigests::Refused).unwrap();
        assert_eq!(csr.subject().common_name(), Some(NAME));
        assert_eq!(csr.attributes().count(), 0);
        let again = Csr::parse(&bare_request().unwrap()).unwrap();
        assert_ne!(csr.info_sha256(), again.info_sha256(), "a key of its own each time");
    }
}

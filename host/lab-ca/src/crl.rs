//! The revocation list, written by hand: `x509-cert`'s builder names the wrong key in a sub-CA's list
//! and writes an empty list where RFC 5280 §5.1.2.6 wants none.

use std::time::{Duration, SystemTime};

use der::asn1::{Any, BitString, Int, ObjectIdentifier, OctetString};
use der::{Decode, Encode, Sequence};
use x509_cert::ext::Extension;
use x509_cert::time::Time;

use crate::certificate::{Issuer, extension, time};
use crate::error::LabCaError;
use crate::state::State;

const CRL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.20");
const REASON_CODE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.21");
/// A week, as AD CS's default.
const LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// For clocks that are behind.
const BACKDATED: Duration = Duration::from_secs(600);

#[derive(Sequence)]
struct CertificateList {
    tbs: Any,
    algorithm: Any,
    signature: BitString,
}

#[derive(Sequence)]
struct TbsCertList {
    version: u8,
    algorithm: Any,
    issuer: Any,
    this_update: Time,
    next_update: Time,
    #[asn1(optional = "true")]
    revoked: Option<Vec<Revoked>>,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    extensions: Vec<Extension>,
}

#[derive(Sequence)]
struct Revoked {
    serial: Int,
    time: Time,
    #[asn1(optional = "true")]
    extensions: Option<Vec<Extension>>,
}

/// The list as of now.
pub(crate) fn write(issuer: &Issuer, state: &State) -> Result<Vec<u8>, LabCaError> {
    let now = SystemTime::now();
    let mut revoked = Vec::new();
    for certificate in state.certificates.values() {
        let Some(revocation) = certificate.revocation else {
            continue;
        };
        let serial = hex::decode(&certificate.serial)
            .map_err(|_| LabCaError::NotFound(format!("serial {}", certificate.serial)))?;
        revoked.push(Revoked {
            serial: Int::new(&serial)?,
            time: time(SystemTime::UNIX_EPOCH + Duration::from_secs(revocation.time))?,
            extensions: reason(revocation.reason)?.map(|reason| vec![reason]),
        });
    }
    let algorithm = issuer.key.signature_algorithm()?;
    let tbs = TbsCertList {
        version: 1,
        algorithm: algorithm.clone(),
        issuer: issuer.name.clone(),
        this_update: time(now - BACKDATED)?,
        next_update: time(now + LIFETIME)?,
        revoked: (!revoked.is_empty()).then_some(revoked),
        extensions: vec![
            issuer.authority_key_identifier()?,
            // Grows with time, as RFC 5280 §5.2.3 asks.
            extension(CRL_NUMBER, false, &crate::unix(now))?,
        ],
    }
    .to_der()?;
    let signature = issuer.key.sign(&tbs)?;
    Ok(CertificateList {
        tbs: Any::from_der(&tbs)?,
        algorithm,
        signature: BitString::from_bytes(&signature)?,
    }
    .to_der()?)
}

/// RFC 5280 §5.3.1: "unspecified" is left out.
fn reason(code: u8) -> Result<Option<Extension>, LabCaError> {
    if code == 0 {
        return Ok(None);
    }
    const ENUMERATED: u8 = 0x0a;
    Ok(Some(Extension {
        extn_id: REASON_CODE,
        critical: false,
        extn_value: OctetString::new(vec![ENUMERATED, 1, code])?,
    }))
}

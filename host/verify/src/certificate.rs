//! A certificate as plug-ins see it: parsed, so that no guest needs ASN.1.

use countersign_profile::{Certificate, CertificateError};
use countersign_sandbox::model;

use crate::{names, question};

/// Everything that a plug-in is told about a certificate.
///
/// # Errors
/// A part of it cannot be read.
pub(crate) fn describe(certificate: &Certificate) -> Result<model::Certificate, CertificateError> {
    let serial = certificate.serial_hex();
    let serial = serial.trim_start_matches('0');
    Ok(model::Certificate {
        der: certificate.der().to_vec(),
        sha256: certificate.sha256(),
        serial_number: if serial.is_empty() { "0".to_owned() } else { serial.to_owned() },
        issuer: certificate.issuer()?.to_string(),
        subject: names::subject(&certificate.subject()?),
        subject_alternative_names: names::sans(&certificate.sans()?),
        not_before: certificate.not_before(),
        not_after: certificate.not_after(),
        extended_key_usages: certificate
            .ekus()?
            .iter()
            .map(|usage| usage.oid().to_string())
            .collect(),
        key: question::key(&certificate.public_key()?),
        attributes: Vec::new(),
    })
}

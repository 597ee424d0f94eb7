//! Requests, from a case or from a real PKCS#10, as a plug-in is asked about them.

use countersign_cases::{Asked, Current, RequestKind as Kind, stand_in, stand_in_digest};
use countersign_profile::{Csr, KeyAlgorithm as Algorithm};
use countersign_sandbox::model::{
    Certificate, CurrentCertificate, KeyAlgorithm, Name, PublicKey, Request, RequestKind, Secret,
};

use crate::names;

/// A request of a case: the same as the SDK's mock makes of it.
pub(crate) fn of_case(asked: &Asked) -> Result<Request, String> {
    let subject = asked
        .subject
        .iter()
        .map(|step| step.names().iter().map(|name| names::read_attribute(name)).collect())
        .collect::<Result<Vec<Vec<_>>, String>>()?;
    let subject_alternative_names = names::read_alternative(&asked.subject_alternative_names)?;
    let key = key();
    let texts: Vec<String> = subject
        .iter()
        .flatten()
        .map(|attribute| Name::SubjectAttribute(attribute.clone()).to_string())
        .chain(subject_alternative_names.iter().map(Name::to_string))
        .collect();
    let (csr, csr_sha256) = stand_in(&texts, &key.spki_sha256, asked.challenge.as_deref());
    let current_certificate = match &asked.current_certificate {
        None => None,
        Some(current) => Some(CurrentCertificate {
            certificate: certificate(current)?,
            host_validated: current.host_validated.unwrap_or(true),
        }),
    };
    Ok(Request {
        kind: match asked.kind {
            Kind::Initial => RequestKind::Initial,
            Kind::Renewal => RequestKind::Renewal,
        },
        profile: asked.profile.clone(),
        path_suffix: asked.path_suffix.clone().unwrap_or_default(),
        transaction_id: asked
            .transaction_id
            .clone()
            .unwrap_or_else(|| "mock-transaction".to_owned()),
        attempt: 1,
        csr: csr.into_bytes(),
        csr_sha256,
        subject,
        subject_alternative_names,
        key,
        extended_key_usages: Vec::new(),
        challenge: asked.challenge.as_ref().map(Secret::new),
        current_certificate,
        attestation: None,
        source_address: Some("192.0.2.17".to_owned()),
        attributes: asked.attributes.clone().into_iter().collect(),
    })
}

/// A first request with a real PKCS#10, as `verify` asks about it.
///
/// # Errors
///
/// It is none.
pub fn csr_request(csr: &Csr, profile: &str) -> Request {
    let key = csr.public_key();
    let algorithm = key.algorithm();
    Request {
        kind: RequestKind::Initial,
        profile: profile.to_owned(),
        path_suffix: String::new(),
        transaction_id: hex::encode(csr.sha256().get(..8).unwrap_or_default()),
        attempt: 1,
        csr: csr.der().to_vec(),
        csr_sha256: csr.sha256(),
        subject: csr
            .subject()
            .rdns()
            .iter()
            .map(|rdn| rdn.attributes().iter().map(names::to_attribute).collect())
            .collect(),
        subject_alternative_names: csr
            .sans()
            .iter()
            .map(|san| names::to_plugin(&countersign_profile::Name::San(san.clone())))
            .collect(),
        key: PublicKey {
            algorithm: match algorithm {
                Algorithm::Rsa { .. } => KeyAlgorithm::Rsa,
                Algorithm::EcP256 => KeyAlgorithm::EcP256,
                Algorithm::EcP384 => KeyAlgorithm::EcP384,
                Algorithm::EcP521 => KeyAlgorithm::EcP521,
                Algorithm::Ed25519 => KeyAlgorithm::Ed25519,
            },
            bits: algorithm.bits(),
            spki_sha256: key.spki_sha256(),
        },
        extended_key_usages: csr.requested_ekus().iter().map(|eku| eku.oid().to_string()).collect(),
        challenge: csr.challenge().map(|challenge| Secret::new(challenge.text())),
        current_certificate: None,
        attestation: None,
        source_address: Some("192.0.2.17".to_owned()),
        attributes: Vec::new(),
    }
}

/// A certificate of a case: the same as the SDK's mock makes of it.
pub(crate) fn certificate(current: &Current) -> Result<Certificate, String> {
    Ok(Certificate {
        der: format!("certificate {}", current.serial_number).into_bytes(),
        sha256: stand_in_digest(current.serial_number.as_bytes()),
        serial_number: current.serial_number.clone(),
        issuer: "CN=Mock CA".to_owned(),
        subject: current
            .subject
            .iter()
            .map(|name| Ok(vec![names::read_attribute(name)?]))
            .collect::<Result<_, String>>()?,
        subject_alternative_names: names::read_alternative(&current.subject_alternative_names)?,
        not_before: current.not_before,
        not_after: current.not_after.unwrap_or(Current::LATEST),
        extended_key_usages: vec!["1.3.6.1.5.5.7.3.2".to_owned()],
        key: key(),
        attributes: Vec::new(),
    })
}

fn key() -> PublicKey {
    PublicKey { algorithm: KeyAlgorithm::EcP256, bits: 256, spki_sha256: [0x17; 32] }
}

//! A request as a plug-in is asked about it.

use countersign_ipc::{Kind, VerifyEnrolment};
use countersign_profile::{Csr, KeyAlgorithm, PublicKey};
use countersign_sandbox::model;

use crate::names;

/// What the plug-in learns: everything in the request, parsed, so that no guest needs ASN.1.
/// `current` only where this process validated it: the flag says no less.
pub(crate) fn question(
    asked: &VerifyEnrolment,
    csr: &Csr,
    current: Option<model::Certificate>,
) -> model::Request {
    model::Request {
        kind: match asked.kind {
            Kind::Initial => model::RequestKind::Initial,
            Kind::Renewal => model::RequestKind::Renewal,
        },
        profile: asked.profile.clone(),
        path_suffix: asked.path_suffix.clone(),
        transaction_id: asked.transaction_id.0.escape_ascii().to_string(),
        attempt: asked.attempt,
        csr: csr.der().to_vec(),
        csr_sha256: csr.sha256(),
        subject: names::subject(csr.subject()),
        subject_alternative_names: names::sans(csr.sans()),
        key: key(csr.public_key()),
        extended_key_usages: csr.requested_ekus().iter().map(|eku| eku.oid().to_string()).collect(),
        challenge: csr.challenge().map(|challenge| model::Secret::new(challenge.text())),
        current_certificate: current
            .map(|certificate| model::CurrentCertificate { certificate, host_validated: true }),
        attestation: None,
        source_address: Some(asked.source.clone()),
        attributes: Vec::new(),
    }
}

/// A public key, described.
pub(crate) fn key(key: &PublicKey) -> model::PublicKey {
    let algorithm = key.algorithm();
    model::PublicKey {
        algorithm: match algorithm {
            KeyAlgorithm::Rsa { .. } => model::KeyAlgorithm::Rsa,
            KeyAlgorithm::EcP256 => model::KeyAlgorithm::EcP256,
            KeyAlgorithm::EcP384 => model::KeyAlgorithm::EcP384,
            KeyAlgorithm::EcP521 => model::KeyAlgorithm::EcP521,
            KeyAlgorithm::Ed25519 => model::KeyAlgorithm::Ed25519,
        },
        bits: algorithm.bits(),
        spki_sha256: key.spki_sha256(),
    }
}

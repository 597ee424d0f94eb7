//! The host's questions in the words of 1.0.0-rc.2.

use super::{
    WireContext,
    bindings::{
        countersign::verifier::{challenges, types},
        exports::countersign::verifier::{challenges_issuer, events, outcomes},
    },
};
use crate::model;

impl From<WireContext> for types::Context {
    fn from(context: WireContext) -> Self {
        Self {
            milliseconds_left: context.milliseconds_left,
            now: context.call.now,
            trace_id: context.call.trace_id,
            trial: context.call.trial,
            settings: context.settings.as_ref().to_owned(),
            attributes: context.call.attributes,
        }
    }
}

impl From<model::SubjectAttribute> for types::SubjectAttribute {
    fn from(attribute: model::SubjectAttribute) -> Self {
        Self { type_: attribute.attribute_type, value: attribute.value }
    }
}

impl From<model::Name> for types::Name {
    fn from(name: model::Name) -> Self {
        match name {
            model::Name::SubjectAttribute(attribute) => Self::SubjectAttribute(attribute.into()),
            model::Name::Dns(value) => Self::Dns(value),
            model::Name::Email(value) => Self::Email(value),
            model::Name::Uri(value) => Self::Uri(value),
            model::Name::Ip(value) => Self::Ip(value),
            model::Name::Upn(value) => Self::Upn(value),
            model::Name::Other(value) => Self::Other(value),
        }
    }
}

impl From<model::PublicKey> for types::PublicKey {
    fn from(key: model::PublicKey) -> Self {
        Self {
            algorithm: match key.algorithm {
                model::KeyAlgorithm::Rsa => types::KeyAlgorithm::Rsa,
                model::KeyAlgorithm::EcP256 => types::KeyAlgorithm::EcP256,
                model::KeyAlgorithm::EcP384 => types::KeyAlgorithm::EcP384,
                model::KeyAlgorithm::EcP521 => types::KeyAlgorithm::EcP521,
                model::KeyAlgorithm::Ed25519 => types::KeyAlgorithm::Ed25519,
                model::KeyAlgorithm::Other(word) => types::KeyAlgorithm::Other(word),
            },
            bits: key.bits,
            spki_sha256: key.spki_sha256.to_vec(),
        }
    }
}

impl From<model::Certificate> for types::Certificate {
    fn from(certificate: model::Certificate) -> Self {
        Self {
            der: certificate.der,
            sha256: certificate.sha256.to_vec(),
            serial_number: certificate.serial_number,
            issuer: certificate.issuer,
            subject: subject(certificate.subject),
            subject_alternative_names: all(certificate.subject_alternative_names),
            not_before: certificate.not_before,
            not_after: certificate.not_after,
            extended_key_usages: certificate.extended_key_usages,
            key: certificate.key.into(),
            attributes: certificate.attributes,
        }
    }
}

impl From<model::Request> for types::Request {
    fn from(request: model::Request) -> Self {
        Self {
            kind: match request.kind {
                model::RequestKind::Initial => types::RequestKind::Initial,
                model::RequestKind::Renewal => types::RequestKind::Renewal,
            },
            profile: request.profile,
            path_suffix: request.path_suffix,
            transaction_id: request.transaction_id,
            attempt: request.attempt,
            csr: request.csr,
            csr_sha256: request.csr_sha256.to_vec(),
            subject: subject(request.subject),
            subject_alternative_names: all(request.subject_alternative_names),
            key: request.key.into(),
            extended_key_usages: request.extended_key_usages,
            challenge: request.challenge.map(|challenge| challenge.expose().to_owned()),
            current_certificate: request.current_certificate.map(|current| {
                types::CurrentCertificate {
                    certificate: current.certificate.into(),
                    host_validated: current.host_validated,
                }
            }),
            attestation: request.attestation.map(|attestation| types::Attestation {
                format: attestation.format,
                evidence: attestation.evidence,
                attributes: attestation.attributes,
            }),
            source_address: request.source_address,
            attributes: request.attributes,
        }
    }
}

impl From<model::Outcome> for outcomes::Outcome {
    fn from(outcome: model::Outcome) -> Self {
        Self {
            request: outcome.request.into(),
            ending: match outcome.ending {
                model::Ending::Issued(certificate) => {
                    outcomes::Ending::Issued((*certificate).into())
                }
                model::Ending::Failed(why) => outcomes::Ending::Failed(why),
                model::Ending::Withheld(why) => outcomes::Ending::Withheld(why),
            },
            memo: outcome.memo,
            idempotency_key: outcome.idempotency_key,
            attributes: outcome.attributes,
        }
    }
}

impl From<model::Hint> for challenges_issuer::Hint {
    fn from(hint: model::Hint) -> Self {
        Self {
            profile: hint.profile,
            requester: hint.requester,
            names: all(hint.names),
            device_id: hint.device_id,
            media_type: hint.media_type,
            body: hint.body,
            attributes: hint.attributes,
        }
    }
}

impl From<model::Event> for events::Event {
    fn from(event: model::Event) -> Self {
        Self {
            path_suffix: event.path_suffix,
            query: event.query,
            headers: event.headers,
            body: event.body,
            received: event.received,
            attributes: event.attributes,
        }
    }
}

impl From<model::ActionResult> for events::ActionResult {
    fn from(result: model::ActionResult) -> Self {
        Self {
            id: result.id,
            kind: match result.settlement {
                model::Settlement::Done => events::ResultKind::Done,
                model::Settlement::NothingToDo => events::ResultKind::NothingToDo,
                model::Settlement::Refused(why) => events::ResultKind::Refused(why),
                model::Settlement::Failed(why) => events::ResultKind::Failed(why),
            },
            attributes: result.attributes,
        }
    }
}

impl From<model::ChallengeBinding> for challenges::Binding {
    fn from(binding: model::ChallengeBinding) -> Self {
        Self {
            names: all(binding.names),
            device_id: binding.device_id,
            attributes: binding.attributes,
        }
    }
}

fn subject(rdns: Vec<model::RelativeDistinguishedName>) -> Vec<types::RelativeDistinguishedName> {
    rdns.into_iter().map(all).collect()
}

fn all<A, B: From<A>>(list: Vec<A>) -> Vec<B> {
    list.into_iter().map(B::from).collect()
}

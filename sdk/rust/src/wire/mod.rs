//! Between the types of this crate and those that `wit-bindgen` makes of the contract.

mod exports;

use std::time::Duration;

use crate::bindings::plugin::countersign::verifier::types as wire;
use crate::time::{from_unix_seconds, to_seconds, to_unix_seconds};
use crate::{
    Approval, Attestation, Attributes, Certificate, Challenge, Context, CurrentCertificate, Denial,
    DenialCode, KeyAlgorithm, Name, NotApproved, PublicKey, RelativeDistinguishedName, Request,
    RequestKind, Retry, SubjectAttribute, Verdict, Vouched,
};

/// The context without the settings, which are read into their own type.
impl From<wire::Context> for Context {
    fn from(context: wire::Context) -> Self {
        Self {
            time_left: Duration::from_millis(context.milliseconds_left.into()),
            now: from_unix_seconds(context.now),
            trace_id: context.trace_id,
            trial: context.trial,
            attributes: Attributes::from_wire(context.attributes),
        }
    }
}

impl From<wire::SubjectAttribute> for SubjectAttribute {
    fn from(attribute: wire::SubjectAttribute) -> Self {
        Self { kind: attribute.type_, value: attribute.value }
    }
}

impl From<wire::Name> for Name {
    fn from(name: wire::Name) -> Self {
        match name {
            wire::Name::SubjectAttribute(attribute) => Self::SubjectAttribute(attribute.into()),
            wire::Name::Dns(value) => Self::Dns(value),
            wire::Name::Email(value) => Self::Email(value),
            wire::Name::Uri(value) => Self::Uri(value),
            wire::Name::Ip(value) => Self::Ip(value),
            wire::Name::Upn(value) => Self::Upn(value),
            wire::Name::Other(text) => Self::Other(text),
        }
    }
}

impl From<Name> for wire::Name {
    fn from(name: Name) -> Self {
        match name {
            Name::SubjectAttribute(attribute) => Self::SubjectAttribute(wire::SubjectAttribute {
                type_: attribute.kind,
                value: attribute.value,
            }),
            Name::Dns(value) => Self::Dns(value),
            Name::Email(value) => Self::Email(value),
            Name::Uri(value) => Self::Uri(value),
            Name::Ip(value) => Self::Ip(value),
            Name::Upn(value) => Self::Upn(value),
            Name::Other(text) => Self::Other(text),
        }
    }
}

fn names(list: Vec<wire::Name>) -> Vec<Name> {
    list.into_iter().map(Into::into).collect()
}

fn subject(list: Vec<Vec<wire::SubjectAttribute>>) -> Vec<RelativeDistinguishedName> {
    list.into_iter().map(|step| step.into_iter().map(Into::into).collect()).collect()
}

impl From<wire::PublicKey> for PublicKey {
    fn from(key: wire::PublicKey) -> Self {
        let algorithm = match key.algorithm {
            wire::KeyAlgorithm::Rsa => KeyAlgorithm::Rsa,
            wire::KeyAlgorithm::EcP256 => KeyAlgorithm::EcP256,
            wire::KeyAlgorithm::EcP384 => KeyAlgorithm::EcP384,
            wire::KeyAlgorithm::EcP521 => KeyAlgorithm::EcP521,
            wire::KeyAlgorithm::Ed25519 => KeyAlgorithm::Ed25519,
            wire::KeyAlgorithm::Other(text) => KeyAlgorithm::Other(text),
        };
        Self { algorithm, bits: key.bits, spki_sha256: key.spki_sha256 }
    }
}

impl From<wire::Certificate> for Certificate {
    fn from(certificate: wire::Certificate) -> Self {
        Self {
            der: certificate.der.into(),
            sha256: certificate.sha256,
            serial_number: certificate.serial_number,
            issuer: certificate.issuer,
            subject: subject(certificate.subject),
            subject_alternative_names: names(certificate.subject_alternative_names),
            not_before: from_unix_seconds(certificate.not_before),
            not_after: from_unix_seconds(certificate.not_after),
            extended_key_usages: certificate.extended_key_usages,
            key: certificate.key.into(),
            attributes: Attributes::from_wire(certificate.attributes),
        }
    }
}

impl From<wire::Request> for Request {
    fn from(request: wire::Request) -> Self {
        Self {
            kind: match request.kind {
                wire::RequestKind::Initial => RequestKind::Initial,
                wire::RequestKind::Renewal => RequestKind::Renewal,
                wire::RequestKind::Other(text) => RequestKind::Other(text),
            },
            profile: request.profile,
            path_suffix: request.path_suffix,
            transaction_id: request.transaction_id,
            attempt: request.attempt,
            csr: request.csr.into(),
            csr_sha256: request.csr_sha256,
            subject: subject(request.subject),
            subject_alternative_names: names(request.subject_alternative_names),
            key: request.key.into(),
            extended_key_usages: request.extended_key_usages,
            challenge: request.challenge.map(Challenge::new),
            current_certificate: request.current_certificate.map(|current| CurrentCertificate {
                certificate: current.certificate.into(),
                host_validated: current.host_validated,
            }),
            attestation: request.attestation.map(|attestation| Attestation {
                format: attestation.format,
                evidence: attestation.evidence.into(),
                attributes: Attributes::from_wire(attestation.attributes),
            }),
            source_address: request.source_address,
            attributes: Attributes::from_wire(request.attributes),
        }
    }
}

pub(crate) fn verdict(verdict: Verdict) -> wire::Verdict {
    match verdict {
        Ok(approval) => wire::Verdict::Approve(approval.into()),
        Err(NotApproved::Deny(denial)) => wire::Verdict::Deny(denial.into()),
        Err(NotApproved::Pending(retry)) => wire::Verdict::Pending(retry.into()),
        Err(NotApproved::Unavailable(retry)) => wire::Verdict::Unavailable(retry.into()),
    }
}

impl From<Approval> for wire::Approval {
    fn from(approval: Approval) -> Self {
        Self {
            vouched: match approval.vouched {
                Vouched::ExactlyAsRequested => wire::Vouched::ExactlyAsRequested,
                Vouched::Names(names) => {
                    wire::Vouched::Names(names.into_iter().map(Into::into).collect())
                }
            },
            device_id: approval.device_id,
            latest_end: approval.latest_end.map(to_unix_seconds),
            evidence: approval.evidence.into_wire(),
            memo: approval.memo,
            attributes: approval.attributes.into_wire(),
        }
    }
}

impl From<Denial> for wire::Denial {
    fn from(denial: Denial) -> Self {
        let code = match denial.code {
            DenialCode::ChallengeMissing => wire::DenialCode::ChallengeMissing,
            DenialCode::ChallengeUnknown => wire::DenialCode::ChallengeUnknown,
            DenialCode::ChallengeExpired => wire::DenialCode::ChallengeExpired,
            DenialCode::ChallengeUsed => wire::DenialCode::ChallengeUsed,
            DenialCode::NameMismatch => wire::DenialCode::NameMismatch,
            DenialCode::DeviceUnknown => wire::DenialCode::DeviceUnknown,
            DenialCode::DeviceNotPermitted => wire::DenialCode::DeviceNotPermitted,
            DenialCode::DeviceNotCompliant => wire::DenialCode::DeviceNotCompliant,
            DenialCode::AttestationInvalid => wire::DenialCode::AttestationInvalid,
            DenialCode::NotSupported => wire::DenialCode::NotSupported,
            DenialCode::Other(word) => wire::DenialCode::Other(word),
        };
        Self { code, detail: denial.detail, attributes: denial.attributes.into_wire() }
    }
}

impl From<Retry> for wire::Retry {
    fn from(retry: Retry) -> Self {
        Self {
            after_seconds: to_seconds(retry.after),
            detail: retry.detail,
            attributes: retry.attributes.into_wire(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{deny, pending, unavailable};

    #[test]
    fn only_ok_becomes_approve() {
        let wait = Duration::from_secs(5);
        let approve = verdict(Ok(Approval::of_names([])));
        assert!(matches!(
            approve,
            wire::Verdict::Approve(wire::Approval { vouched: wire::Vouched::Names(names), .. })
                if names.is_empty()
        ));
        let deny = verdict(Err(deny(DenialCode::DeviceUnknown, "none")));
        assert!(matches!(deny, wire::Verdict::Deny(_)));
        let pending = verdict(Err(pending(wait, "an admin")));
        assert!(matches!(pending, wire::Verdict::Pending(retry) if retry.after_seconds == 5));
        let unavailable = verdict(Err(unavailable(wait, "down")));
        assert!(matches!(unavailable, wire::Verdict::Unavailable(_)));
    }

    #[test]
    fn the_word_of_every_denial_is_that_of_the_contract() {
        let contract = include_str!("../../../../wit/types.wit");
        for code in [
            DenialCode::ChallengeMissing,
            DenialCode::ChallengeUnknown,
            DenialCode::ChallengeExpired,
            DenialCode::ChallengeUsed,
            DenialCode::NameMismatch,
            DenialCode::DeviceUnknown,
            DenialCode::DeviceNotPermitted,
            DenialCode::DeviceNotCompliant,
            DenialCode::AttestationInvalid,
            DenialCode::NotSupported,
        ] {
            assert!(contract.contains(&format!("\n    {},\n", code.as_str())), "{code:?}");
        }
    }
}

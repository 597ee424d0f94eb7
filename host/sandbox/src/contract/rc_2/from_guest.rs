//! A plug-in's answers in the host's words.

use super::bindings::{
    countersign::verifier::{challenges, types},
    exports::countersign::verifier::{challenges_issuer, events, verifier},
};
use crate::model::{self, Malformed};

impl From<types::Name> for model::Name {
    fn from(name: types::Name) -> Self {
        match name {
            types::Name::SubjectAttribute(attribute) => {
                Self::SubjectAttribute(model::SubjectAttribute {
                    attribute_type: attribute.type_,
                    value: attribute.value,
                })
            }
            types::Name::Dns(value) => Self::Dns(value),
            types::Name::Email(value) => Self::Email(value),
            types::Name::Uri(value) => Self::Uri(value),
            types::Name::Ip(value) => Self::Ip(value),
            types::Name::Upn(value) => Self::Upn(value),
            types::Name::Other(value) => Self::Other(value),
        }
    }
}

impl From<types::Verdict> for model::Verdict {
    fn from(verdict: types::Verdict) -> Self {
        match verdict {
            types::Verdict::Approve(approval) => Self::Approve(approval.into()),
            types::Verdict::Deny(denial) => Self::Deny(denial.into()),
            types::Verdict::Pending(retry) => Self::Pending(retry.into()),
            types::Verdict::Unavailable(retry) => Self::Unavailable(retry.into()),
        }
    }
}

impl From<types::Approval> for model::Approval {
    fn from(approval: types::Approval) -> Self {
        Self {
            vouched: match approval.vouched {
                types::Vouched::ExactlyAsRequested => model::Vouched::ExactlyAsRequested,
                types::Vouched::Names(names) => {
                    model::Vouched::Names(names.into_iter().map(Into::into).collect())
                }
            },
            device_id: approval.device_id,
            latest_end: approval.latest_end,
            evidence: approval.evidence,
            memo: approval.memo,
            attributes: approval.attributes,
        }
    }
}

impl From<types::Denial> for model::Denial {
    fn from(denial: types::Denial) -> Self {
        Self {
            code: match denial.code {
                types::DenialCode::ChallengeMissing => model::DenialCode::ChallengeMissing,
                types::DenialCode::ChallengeUnknown => model::DenialCode::ChallengeUnknown,
                types::DenialCode::ChallengeExpired => model::DenialCode::ChallengeExpired,
                types::DenialCode::ChallengeUsed => model::DenialCode::ChallengeUsed,
                types::DenialCode::NameMismatch => model::DenialCode::NameMismatch,
                types::DenialCode::DeviceUnknown => model::DenialCode::DeviceUnknown,
                types::DenialCode::DeviceNotPermitted => model::DenialCode::DeviceNotPermitted,
                types::DenialCode::DeviceNotCompliant => model::DenialCode::DeviceNotCompliant,
                types::DenialCode::AttestationInvalid => model::DenialCode::AttestationInvalid,
                types::DenialCode::NotSupported => model::DenialCode::NotSupported,
                types::DenialCode::Other(word) => model::DenialCode::Other(word),
            },
            detail: denial.detail,
            attributes: denial.attributes,
        }
    }
}

impl From<types::Retry> for model::Retry {
    fn from(retry: types::Retry) -> Self {
        Self {
            after: model::bounded_retry(retry.after_seconds),
            detail: retry.detail,
            attributes: retry.attributes,
        }
    }
}

impl From<verifier::Description> for model::Description {
    fn from(description: verifier::Description) -> Self {
        Self {
            name: description.name,
            version: description.version,
            vendor: description.vendor,
            summary: description.summary,
            settings_schema: description.settings_schema,
            wants: description
                .wants
                .into_iter()
                .map(|want| model::Want { power: want.power.into(), why: want.why })
                .collect(),
            events: description.events,
            vouches_from_user_attributes: description.vouches_from_user_attributes,
            notified_before_answer: description.notified_before_answer,
            links: description
                .links
                .into_iter()
                .map(|(kind, url)| model::Link { kind, url })
                .collect(),
            attributes: description.attributes,
        }
    }
}

impl From<verifier::Power> for model::Power {
    fn from(power: verifier::Power) -> Self {
        match power {
            verifier::Power::Challenges => Self::Challenges,
            verifier::Power::Kv => Self::Kv,
            verifier::Power::Host(host) => Self::Host(host),
            verifier::Power::Secret(secret) => Self::Secret(secret),
            verifier::Power::ExactlyAsRequested => Self::ExactlyAsRequested,
            verifier::Power::Revocation => Self::Revocation,
            verifier::Power::Other(other) => Self::Other(other),
        }
    }
}

impl From<verifier::Problem> for model::Problem {
    fn from(problem: verifier::Problem) -> Self {
        Self { pointer: problem.pointer, text: problem.text }
    }
}

impl From<challenges_issuer::Challenge> for model::Challenge {
    fn from(challenge: challenges_issuer::Challenge) -> Self {
        Self {
            text: model::Secret::new(challenge.text),
            expires: challenge.expires,
            attributes: challenge.attributes,
        }
    }
}

impl From<challenges::Binding> for model::ChallengeBinding {
    fn from(binding: challenges::Binding) -> Self {
        Self {
            names: binding.names.into_iter().map(Into::into).collect(),
            device_id: binding.device_id,
            attributes: binding.attributes,
        }
    }
}

/// Actions that mean something to this host. A target or a reason that it does not know is no
/// small matter: guessing could revoke the wrong thing.
pub(super) fn actions(actions: Vec<events::Action>) -> Result<Vec<model::Action>, Malformed> {
    actions
        .into_iter()
        .map(|action| {
            let act = match action.act {
                events::Act::Revoke(revocation) => {
                    model::Act::Revoke(self::revocation(revocation)?)
                }
                events::Act::Other(word) => model::Act::Other(word),
            };
            Ok(model::Action { id: action.id, act, attributes: action.attributes })
        })
        .collect()
}

pub(super) fn batch(batch: events::Batch) -> Result<model::Batch, Malformed> {
    Ok(model::Batch {
        actions: actions(batch.actions)?,
        cursor: batch.cursor,
        more: batch.more,
        attributes: batch.attributes,
    })
}

fn revocation(revocation: events::Revocation) -> Result<model::Revocation, Malformed> {
    let unknown = |field, word: String| Malformed {
        field,
        expected: "one that this host knows".into(),
        found: format!("other({})", word.escape_debug()),
    };
    Ok(model::Revocation {
        target: match revocation.target {
            events::Target::Device(device) => model::Target::Device(device),
            events::Target::Certificate((issuer, serial_number)) => {
                model::Target::Certificate { issuer, serial_number }
            }
            events::Target::Other(word) => return Err(unknown("revocation.target", word)),
        },
        reason: match revocation.reason {
            events::Reason::Unspecified => model::RevocationReason::Unspecified,
            events::Reason::KeyCompromise => model::RevocationReason::KeyCompromise,
            events::Reason::AffiliationChanged => model::RevocationReason::AffiliationChanged,
            events::Reason::Superseded => model::RevocationReason::Superseded,
            events::Reason::CessationOfOperation => model::RevocationReason::CessationOfOperation,
            events::Reason::Other(word) => return Err(unknown("revocation.reason", word)),
        },
        detail: revocation.detail,
    })
}

use super::names;
use crate::bindings::challenges_issuer::exports::countersign::verifier::challenges_issuer as issuer;
use crate::bindings::events::exports::countersign::verifier::events;
use crate::bindings::outcomes::exports::countersign::verifier::outcomes;
use crate::bindings::plugin::exports::countersign::verifier::verifier;
use crate::time::{from_unix_seconds, to_unix_seconds};
use crate::{
    Act, Action, ActionResult, Attributes, Batch, Description, Ending, Event, Hint,
    IssuedChallenge, Outcome, Power, Problem, Reason, ResultKind, Target,
};

impl Description {
    pub(crate) fn into_wire(self, settings_schema: String) -> verifier::Description {
        verifier::Description {
            name: self.name,
            version: self.version,
            vendor: self.vendor,
            summary: self.summary,
            settings_schema,
            wants: self
                .wants
                .into_iter()
                .map(|(power, why)| verifier::Want { power: power.into(), why })
                .collect(),
            events: self.events,
            vouches_from_user_attributes: self.vouches_from_user_attributes,
            notified_before_answer: self.notified_before_answer,
            links: self.links,
            attributes: self.attributes.into_wire(),
        }
    }
}

impl From<Power> for verifier::Power {
    fn from(power: Power) -> Self {
        match power {
            Power::Challenges => Self::Challenges,
            Power::Kv => Self::Kv,
            Power::Host(pattern) => Self::Host(pattern),
            Power::Secret(name) => Self::Secret(name),
            Power::ExactlyAsRequested => Self::ExactlyAsRequested,
            Power::Revocation => Self::Revocation,
            Power::Other(text) => Self::Other(text),
        }
    }
}

impl From<Problem> for verifier::Problem {
    fn from(problem: Problem) -> Self {
        Self {
            pointer: problem.pointer,
            text: problem.text,
            attributes: problem.attributes.into_wire(),
        }
    }
}

impl From<outcomes::Outcome> for Outcome {
    fn from(outcome: outcomes::Outcome) -> Self {
        Self {
            request: outcome.request.into(),
            ending: match outcome.ending {
                outcomes::Ending::Issued(certificate) => Ending::Issued(certificate.into()),
                outcomes::Ending::Failed(text) => Ending::Failed(text),
                outcomes::Ending::Withheld(text) => Ending::Withheld(text),
                outcomes::Ending::Other(text) => Ending::Other(text),
            },
            memo: outcome.memo.into(),
            idempotency_key: outcome.idempotency_key,
            attributes: Attributes::from_wire(outcome.attributes),
        }
    }
}

impl From<issuer::Hint> for Hint {
    fn from(hint: issuer::Hint) -> Self {
        Self {
            profile: hint.profile,
            requester: hint.requester,
            names: names(hint.names),
            device_id: hint.device_id,
            media_type: hint.media_type,
            body: hint.body.into(),
            attributes: Attributes::from_wire(hint.attributes),
        }
    }
}

impl From<IssuedChallenge> for issuer::Challenge {
    fn from(challenge: IssuedChallenge) -> Self {
        Self {
            text: challenge.text.reveal().to_owned(),
            expires: to_unix_seconds(challenge.expires),
            attributes: challenge.attributes.into_wire(),
        }
    }
}

impl From<events::Event> for Event {
    fn from(event: events::Event) -> Self {
        Self {
            path_suffix: event.path_suffix,
            query: event.query,
            headers: event.headers,
            body: event.body.into(),
            received: from_unix_seconds(event.received),
            attributes: Attributes::from_wire(event.attributes),
        }
    }
}

impl From<Action> for events::Action {
    fn from(action: Action) -> Self {
        Self {
            id: action.id,
            act: match action.act {
                Act::Revoke(revocation) => events::Act::Revoke(events::Revocation {
                    target: revocation.target.into(),
                    reason: revocation.reason.into(),
                    detail: revocation.detail,
                }),
                Act::Other(text) => events::Act::Other(text),
            },
            attributes: action.attributes.into_wire(),
        }
    }
}

impl From<Target> for events::Target {
    fn from(target: Target) -> Self {
        match target {
            Target::Device(id) => Self::Device(id),
            Target::Certificate { issuer, serial_number } => {
                Self::Certificate((issuer, serial_number))
            }
            Target::Other(text) => Self::Other(text),
        }
    }
}

impl From<Reason> for events::Reason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Unspecified => Self::Unspecified,
            Reason::KeyCompromise => Self::KeyCompromise,
            Reason::AffiliationChanged => Self::AffiliationChanged,
            Reason::Superseded => Self::Superseded,
            Reason::CessationOfOperation => Self::CessationOfOperation,
            Reason::Other(text) => Self::Other(text),
        }
    }
}

impl From<Batch> for events::Batch {
    fn from(batch: Batch) -> Self {
        Self {
            actions: batch.actions.into_iter().map(Into::into).collect(),
            cursor: batch.cursor,
            more: batch.more,
            attributes: batch.attributes.into_wire(),
        }
    }
}

impl From<events::ActionResult> for ActionResult {
    fn from(result: events::ActionResult) -> Self {
        Self {
            id: result.id,
            kind: match result.kind {
                events::ResultKind::Done => ResultKind::Done,
                events::ResultKind::NothingToDo => ResultKind::NothingToDo,
                events::ResultKind::Refused(text) => ResultKind::Refused(text),
                events::ResultKind::Failed(text) => ResultKind::Failed(text),
                events::ResultKind::Other(text) => ResultKind::Other(text),
            },
            attributes: Attributes::from_wire(result.attributes),
        }
    }
}

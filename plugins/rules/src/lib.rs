//! Expressions of the admin's own decide, in the Common Expression Language: over the request, the
//! challenge that was redeemed, the current certificate, and what a table or a device management says
//! of the device.
//!
//! Every rule must be true. What cannot be evaluated is no approval. Names come from the challenge,
//! the certificate that the host validated, and the look-up: an expression for names does not even see
//! the request. To vouch for what the request says is a setting of its own and a power of its own.

mod expression;
mod issuing;
mod look_up;
mod review;
mod scope;
mod settings;

use countersign_sdk::{
    Approval, Context, CurrentCertificate, DenialCode, Description, Host, Name, NotApproved, Power,
    Problem, Request, RequestKind, Verdict, Verifier, deny,
};

pub use self::expression::{Expression, ExpressionError};
use self::look_up::Found;
use self::scope::{Known, Values};
use self::settings::parse;
pub use self::settings::{ChallengeUse, LookUp, Rule, Settings};

/// The name of the credential for the look-up.
pub const CREDENTIAL: &str = "device-api";
const MOST_NAMES: usize = 64;

/// The verifier.
#[derive(Debug)]
pub struct Rules;

impl Verifier for Rules {
    type Settings = Settings;

    fn describe() -> Description {
        Description::new("rules", env!("CARGO_PKG_VERSION"), "Countersign")
            .summary("Devices that your own rules permit")
            .wants(Power::Challenges, "To issue challenges, and redeem the one that rules look at")
            .wants(Power::Host("{/look-up/url}".into()), "To look devices up, if at a URL")
            .wants(Power::Secret(CREDENTIAL.into()), "The credential of the look-up's API")
            .wants(
                Power::ExactlyAsRequested,
                "To vouch for whatever names a permitted request asks for: needed only where the \
                 setting `exactly-as-requested` is true",
            )
            // Nobody but the admin knows whether a user can change the field that a rule takes names
            // from.
            .vouches_from_user_attributes()
    }

    fn check_settings(settings: &Settings) -> Vec<Problem> {
        settings.problems()
    }

    fn verify(settings: &Settings, context: &Context, request: &Request, host: &Host) -> Verdict {
        let mut values = Values::new(context, request);
        if let Some(current) = proven(request)? {
            values.current(current);
        }
        let redeemed = redeem(settings, request, host)?;
        if let Some(binding) = &redeemed {
            values.challenge(binding);
        }
        let found = match &settings.look_up {
            None => None,
            Some(look_up) => {
                let found = look_up::find(look_up, &values, host)?;
                values.device(&found.record);
                Some(found)
            }
        };
        for (index, rule) in settings.rules.iter().enumerate() {
            check(settings, index, rule, &values)?;
        }
        let mut approval = vouched(settings, &values)?;
        let device_id = match &settings.device_id {
            Some(text) => evaluated(settings, text, Known::VOUCHED, &values)
                .and_then(expression::Outcome::id_or_null)
                .map_err(|why| not_evaluated("device-id", why))?,
            None => redeemed.and_then(|binding| binding.device_id),
        };
        if let Some(id) = device_id {
            approval = approval.device_id(id);
        }
        if let Some(Found { id, source, .. }) = found {
            approval = approval.evidence("looked-up", id).evidence("looked-up-in", source);
        }
        Ok(approval.evidence("rules", settings.rules.len().to_string()))
    }
}

/// The certificate of a renewal. One that the host did not validate proves nothing, and is not shown
/// to a rule.
fn proven(request: &Request) -> Result<Option<&CurrentCertificate>, NotApproved> {
    match (&request.kind, &request.current_certificate) {
        (RequestKind::Initial, _) => Ok(None),
        (RequestKind::Renewal, Some(current)) if current.host_validated => Ok(Some(current)),
        (RequestKind::Renewal, _) => Err(deny(
            DenialCode::NotSupported,
            "a renewal without a current certificate that the host validated",
        )),
        (RequestKind::Other(kind), _) => {
            Err(deny(DenialCode::NotSupported, format!("a request of the kind `{kind}`")))
        }
    }
}

fn redeem(
    settings: &Settings,
    request: &Request,
    host: &Host,
) -> Result<Option<countersign_sdk::Binding>, NotApproved> {
    match (settings.challenge, &request.challenge) {
        (ChallengeUse::Ignored, _) | (ChallengeUse::IfPresent, None) => Ok(None),
        (ChallengeUse::Required, None) => Err(deny(
            DenialCode::ChallengeMissing,
            "the request carries no challengePassword, and the setting `challenge` demands one",
        )),
        (ChallengeUse::Required | ChallengeUse::IfPresent, Some(challenge)) => {
            Ok(Some(host.challenges().redeem(challenge)?))
        }
    }
}

fn check(
    settings: &Settings,
    index: usize,
    rule: &Rule,
    values: &Values,
) -> Result<(), NotApproved> {
    let name = rule.name.clone().unwrap_or_else(|| (index + 1).to_string());
    let permitted = evaluated(settings, &rule.permit, Known::RULE, values)
        .and_then(|value| value.truth())
        .map_err(|why| not_evaluated(&format!("the rule `{name}`"), why))?;
    if permitted {
        return Ok(());
    }
    let why = rule.deny_message.as_deref().unwrap_or("its `permit` is false");
    Err(deny(
        DenialCode::Other("rule-denied".to_owned()),
        format!("the rule `{name}` does not permit it: {why}"),
    ))
}

fn vouched(settings: &Settings, values: &Values) -> Result<Approval, NotApproved> {
    if settings.exactly_as_requested {
        return Ok(Approval::exactly_as_requested());
    }
    let Some(text) = &settings.names else {
        return Ok(Approval::of_names([]));
    };
    let texts = evaluated(settings, text, Known::VOUCHED, values)
        .and_then(|value| value.texts(MOST_NAMES))
        .map_err(|why| not_evaluated("names", why))?;
    let names: Result<Vec<Name>, _> = texts.iter().map(|text| text.parse()).collect();
    let names = names
        .map_err(|error| not_evaluated("names", ExpressionError::of_value(error.to_string())))?;
    Ok(Approval::of_names(names))
}

/// Settings that passed their check parse; should they not, nothing is approved.
fn evaluated(
    settings: &Settings,
    text: &str,
    known: Known,
    values: &Values,
) -> Result<expression::Outcome, ExpressionError> {
    parse(text, known.of(settings))?.evaluate(values)
}

fn not_evaluated(what: &str, why: ExpressionError) -> NotApproved {
    deny(DenialCode::Other("rule-error".to_owned()), format!("{what} cannot be evaluated: {why}"))
}

countersign_sdk::export!(Rules with challenges);

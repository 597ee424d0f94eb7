//! How an enrolment ended: step-ca's NOTIFYING request.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use countersign_sdk::{
    ActionResult, Certificate, Context, Ending, NotApproved, Outcome, ResultKind, Retry,
};
use serde_json::{Map, Value, json};

use crate::body::{add_key, certified_key, common, details, names};
use crate::settings::{Format, Settings};
use crate::time::rfc3339;

const RETRY: Duration = Duration::from_secs(5);
/// failInfo badRequest (RFC 8894 §3.2.1.4.3): what the device was told.
const BAD_REQUEST: u32 = 2;

/// The notice of an outcome. The challenge is not in it: it is spent, or still good.
pub(crate) fn notice(
    settings: &Settings,
    context: &Context,
    outcome: &Outcome,
) -> Map<String, Value> {
    let mut body = common(settings, context, &outcome.request);
    let failed = |body: &mut Map<String, Value>, why: &str| {
        body.insert("scepErrorCode".into(), BAD_REQUEST.into());
        body.insert("scepErrorDescription".into(), why.into());
    };
    let event = match &outcome.ending {
        Ending::Issued(issued) => {
            body.insert("x509Certificate".into(), certificate(issued));
            "issued"
        }
        Ending::Failed(why) => {
            failed(&mut body, why);
            "failed"
        }
        Ending::Withheld(why) => {
            failed(&mut body, why);
            "withheld"
        }
        Ending::Other(why) => {
            failed(&mut body, why);
            "other"
        }
    };
    if settings.format == Format::Countersign {
        let mut details = details(event, context, &outcome.request);
        if let Some(members) = details.as_object_mut() {
            let key = outcome.idempotency_key.as_str();
            members.insert("idempotencyKey".into(), key.into());
        }
        body.insert("countersign".into(), details);
    }
    body
}

/// What became of events: `done`, `nothing-to-do`, `refused`, `failed`.
pub(crate) fn settled(context: &Context, results: &[ActionResult]) -> Map<String, Value> {
    let result = |result: &ActionResult| {
        let (kind, detail) = match &result.kind {
            ResultKind::Done => ("done", ""),
            ResultKind::NothingToDo => ("nothing-to-do", ""),
            ResultKind::Refused(why) => ("refused", why.as_str()),
            ResultKind::Failed(why) => ("failed", why.as_str()),
            ResultKind::Other(word) => ("other", word.as_str()),
        };
        json!({ "id": result.id, "result": kind, "detail": detail })
    };
    let mut body = Map::new();
    body.insert("timestamp".into(), rfc3339(context.now).into());
    body.insert(
        "countersign".into(),
        json!({
            "version": 1,
            "event": "settled",
            "results": results.iter().map(result).collect::<Vec<_>>(),
        }),
    );
    body
}

fn certificate(issued: &Certificate) -> Value {
    let mut map = names(&issued.subject, &issued.subject_alternative_names);
    map.insert("version".into(), 3.into());
    map.insert("serialNumber".into(), issued.serial_number.as_str().into());
    map.insert("raw".into(), STANDARD.encode(&issued.der).into());
    map.insert("notBefore".into(), rfc3339(issued.not_before).into());
    map.insert("notAfter".into(), rfc3339(issued.not_after).into());
    add_key(&mut map, &issued.key, certified_key(&issued.der));
    Value::Object(map)
}

/// The end point did not take it: it is told again.
pub(crate) fn refused(status: u16) -> Retry {
    Retry::new(RETRY, format!("the end point answered {status} to a notice"))
}

/// What kept a question from being answered keeps a notice from being delivered.
pub(crate) fn later(why: NotApproved) -> Retry {
    match why {
        NotApproved::Unavailable(retry) | NotApproved::Pending(retry) => retry,
        NotApproved::Deny(denial) => Retry::new(RETRY, denial.detail),
    }
}

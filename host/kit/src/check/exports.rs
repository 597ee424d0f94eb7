use std::sync::Arc;
use std::time::Duration;

use countersign_cases::{Case, Expected};
use countersign_sandbox::{
    CallFailure, CallOutcome,
    model::{Event, Hint, Outcome as Ended, Verdict},
};
use serde_json::Map;

use super::{Bench, Checks};
use crate::answer;
use crate::memory::Memory;
use crate::play::{Manner, Set, used_by};
use crate::question;
use crate::upstream::Plan;

const LEFT: Duration = Duration::from_millis(1000);

/// The optional interfaces, where nothing outside answers and what comes makes no sense.
pub(super) async fn check(bench: &mut Bench<'_>) -> Checks {
    let mut checks = Checks::new(
        "exports",
        "its other interfaces answer, and do not trap, when nothing outside does",
    );
    let offers = bench.workshop.inspection.offers;
    let case = bench.approving().into_iter().next().map_or_else(
        || empty(bench.settings.as_ref().map(|given| given.settings.clone()).unwrap_or_default()),
        |(_, case)| case,
    );
    let manner = Manner::planned(Plan::InAnyOrder);
    let Ok(mut set) = bench.workshop.set(&case, &manner).await else {
        return checks.or_note("there are no settings to try them with");
    };
    if offers.outcomes {
        outcomes(bench, &mut checks, &case, &set).await;
    }
    // Without any recorded answer.
    let mut alone = case.clone();
    alone.host.http.clear();
    match bench.workshop.set(&alone, &manner).await {
        Ok(found) => set = found,
        Err(_) => return checks,
    }
    let backend = || {
        let memory: Arc<Memory> = Arc::clone(&set.memory);
        memory.seen_by([0; 32])
    };
    if offers.challenges_issuer {
        let hint = Hint {
            profile: case.request.as_ref().map_or_else(String::new, |asked| asked.profile.clone()),
            requester: "kit".to_owned(),
            names: Vec::new(),
            device_id: None,
            media_type: None,
            body: Vec::new(),
            attributes: Vec::new(),
        };
        let issued = set.rehearsal.issue(set.context(Some(LEFT)), hint, backend()).await;
        judge(bench, &mut checks, "issue, about nobody", &issued);
    }
    if offers.events {
        let event = Event {
            path_suffix: String::new(),
            query: Vec::new(),
            headers: Vec::new(),
            body: b"{\"no\":\"event of yours".to_vec(),
            received: set.memory.now(),
            attributes: Vec::new(),
        };
        let understood = set.rehearsal.on_event(set.context(Some(LEFT)), event, backend()).await;
        if let Ok(outcome) = &understood
            && let Ok(actions) = &outcome.answer
            && !actions.is_empty()
        {
            checks.fail("on-event, with nonsense", "it asks for actions");
        } else {
            judge(bench, &mut checks, "on-event, with nonsense", &understood);
        }
        let pulled = set.rehearsal.on_schedule(set.context(Some(LEFT)), None, backend()).await;
        judge(bench, &mut checks, "on-schedule, with no one there", &pulled);
        let settled = set.rehearsal.settled(set.context(Some(LEFT)), Vec::new(), backend()).await;
        judge(bench, &mut checks, "settled, about nothing", &settled);
    }
    checks.or_note("it exports no other interface")
}

/// Each ending of an approved request.
async fn outcomes(bench: &mut Bench<'_>, checks: &mut Checks, case: &Case, set: &Set) {
    let Some(Ok(request)) = case.request.as_ref().map(question::of_case) else {
        return;
    };
    let backend = || set.memory.seen_by(request.csr_sha256);
    let approved = set.rehearsal.verify(set.context(None), request.clone(), backend()).await;
    let memo = match approved.map(|outcome| outcome.answer) {
        Ok(Verdict::Approve(approval)) => approval.memo,
        _ => Vec::new(),
    };
    let certificate = countersign_cases::Current {
        serial_number: "17".to_owned(),
        subject: Vec::new(),
        subject_alternative_names: Vec::new(),
        not_before: set.memory.now(),
        not_after: None,
        host_validated: None,
    };
    use countersign_sandbox::model::Ending;
    let mut endings = vec![
        ("failed", Ending::Failed("the CA refused".to_owned())),
        ("withheld", Ending::Withheld("another name".to_owned())),
    ];
    if let Ok(certificate) = question::certificate(&certificate) {
        endings.insert(0, ("issued", Ending::Issued(Box::new(certificate))));
    }
    for (word, ending) in endings {
        let ended = Ended {
            request: request.clone(),
            ending,
            memo: memo.clone(),
            idempotency_key: format!("kit-{word}"),
            attributes: Vec::new(),
        };
        let told = set.rehearsal.notify(set.context(Some(LEFT)), ended, backend()).await;
        judge(bench, checks, &format!("notify, {word}, with no one there"), &told);
    }
}

fn judge<T>(
    bench: &mut Bench<'_>,
    checks: &mut Checks,
    name: &str,
    answer: &Result<CallOutcome<T>, CallFailure>,
) {
    bench.uses(used_by(answer));
    match answer {
        Ok(_) => checks.pass(name, ""),
        Err(failure) => checks.fail(name, answer::fail(failure)),
    }
}

fn empty(settings: Map<String, serde_json::Value>) -> Case {
    Case {
        summary: String::new(),
        settings,
        host: Default::default(),
        earlier: Vec::new(),
        request: None,
        expect: Expected::Unavailable,
    }
}

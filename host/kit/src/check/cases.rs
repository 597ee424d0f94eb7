use countersign_sandbox::model::Verdict;

use super::{Bench, Checks};
use crate::answer::{self, Answered};
use crate::play::Manner;
use crate::upstream::Plan;

/// Golden cases.
pub(super) async fn check(bench: &mut Bench<'_>) -> Checks {
    let mut checks = Checks::new("cases", "answers every golden case as the case says");
    let mut seen = Vec::new();
    for (path, case) in &bench.cases {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match case {
            Err(error) => checks.fail(name, error.to_string()),
            Ok(file) => match bench.workshop.try_case(&file.case).await {
                Err(wrong) => checks.fail(name, wrong),
                Ok(played) => {
                    checks.pass(name, file.case.summary.clone());
                    seen.extend(played);
                }
            },
        }
    }
    for played in seen {
        bench.uses(played.used);
        bench.answer_bytes = bench.answer_bytes.max(size(&played.answer));
    }
    checks.or_note("there are none: name a folder of them with --cases")
}

/// The same twice, from the beginning.
pub(super) async fn deterministic(bench: &mut Bench<'_>) -> Checks {
    let mut checks = Checks::new(
        "determinism",
        "the same request on the same host gets the same answer and sends the same",
    );
    for (name, case) in bench.asking() {
        let manner = Manner::planned(Plan::InAnyOrder);
        let first = bench.workshop.play(&case, &manner).await;
        let second = bench.workshop.play(&case, &manner).await;
        let (Ok(first), Ok(second)) = (first, second) else {
            // Told with the cases.
            continue;
        };
        bench.uses(first.used);
        let (one, other) = (answer::say(&first.answer), answer::say(&second.answer));
        if verdict(&first.answer) != verdict(&second.answer) {
            checks.fail(name, format!("first {one}, then {other}"));
        } else if first.sent != second.sent {
            checks.fail(
                name,
                "it sends something else each time; take time from `context.now`, and keep what is \
                 sent in an order of its own (a `BTreeMap`, not a `HashMap`)",
            );
        } else {
            checks.pass(name, "");
        }
    }
    checks.or_note("there is no case that asks something")
}

/// The same request comes again, to the host as it is then: what was lost on the way is asked anew.
pub(super) async fn twice(bench: &mut Bench<'_>) -> Checks {
    let mut checks =
        Checks::new("duplicates", "a request that comes again gets the same answer again");
    for (name, case) in bench.approving() {
        // Spent challenges and other verifiers' denials are another story.
        if case.request.as_ref().is_none_or(|asked| asked.issued || asked.denied_elsewhere) {
            continue;
        }
        let Ok((first, second)) = bench.workshop.play_twice(&case).await else { continue };
        bench.uses(first.used);
        // What it asks the second time is not always what it asked first, and then nobody knows what
        // its service would say.
        if second.strayed {
            continue;
        }
        if decision(&first.answer) == decision(&second.answer) {
            checks.pass(name, "");
        } else {
            let (one, other) = (answer::say(&first.answer), answer::say(&second.answer));
            checks.fail(
                name,
                format!(
                    "first {one}, then {other}; do in `verify` nothing that must happen once, tell \
                     your service in `outcomes.notify`"
                ),
            );
        }
    }
    checks.or_note("there is no case that ends with an approval")
}

/// All of an answer, or why there is none.
fn verdict(answer: &Answered) -> Result<&Verdict, &'static str> {
    match answer {
        Ok(outcome) => Ok(&outcome.answer),
        Err(failure) => Err(failure.error.word()),
    }
}

/// What an answer decides: evidence and memo may tell one call from another.
fn decision(answer: &Answered) -> String {
    let end = match answer.as_ref().map(|outcome| &outcome.answer) {
        Ok(Verdict::Approve(approval)) => approval.latest_end,
        _ => None,
    };
    format!("{} {end:?}", answer::say(answer))
}

fn size(answer: &Answered) -> usize {
    match answer {
        Ok(outcome) => serde_json::to_vec(&outcome.answer).map_or(0, |bytes| bytes.len()),
        Err(_) => 0,
    }
}

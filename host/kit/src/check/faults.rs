use std::time::Duration;

use countersign_sandbox::model::Verdict;
use tokio::time::Instant;

use super::{Bench, Checks};
use crate::answer;
use crate::play::{Manner, Played, is_approval};
use crate::upstream::{Plan, Spoiling};

/// What the host has left for a call whose upstream never answers.
const LEFT: Duration = Duration::from_millis(1000);

/// Every recorded answer, spoilt in every way.
pub(super) async fn malformed(bench: &mut Bench<'_>) -> Checks {
    let mut checks = Checks::new(
        "malformed",
        "an upstream's answer that is cut short, no JSON, 401, 429 or 500 never approves",
    );
    for (name, case) in bench.asking() {
        for (place, exchange) in case.host.http.iter().enumerate() {
            for spoiling in Spoiling::ALL {
                if !exchange.decides || spoiling.spoil(&exchange.answer).is_none() {
                    continue;
                }
                let manner = Manner::planned(Plan::Spoilt(place, spoiling));
                let Ok(played) = bench.workshop.play(&case, &manner).await else { continue };
                bench.uses(played.used);
                let line = format!("{} {}", exchange.method, exchange.url);
                if !was_sent(&played, &exchange.method, &exchange.url) {
                    continue;
                }
                let check = format!("{name}: {line}, {}", spoiling.word());
                checks.judge(check, no_approval(&played));
            }
        }
    }
    checks.or_note("no case records an answer over HTTP")
}

/// Every recorded answer, never coming.
pub(super) async fn silent(bench: &mut Bench<'_>) -> Checks {
    let mut checks = Checks::new(
        "deadline",
        "an upstream that never answers makes it `unavailable`, in time, and not a trap",
    );
    let mut known = Vec::new();
    for (name, case) in bench.approving() {
        for (place, exchange) in case.host.http.iter().enumerate() {
            let line = format!("{} {}", exchange.method, exchange.url);
            // A second each: once for each question is enough.
            if !exchange.decides || known.contains(&line) {
                continue;
            }
            let manner = Manner { time_left: Some(LEFT), ..Manner::planned(Plan::Silent(place)) };
            let began = Instant::now();
            let Ok(played) = bench.workshop.play(&case, &manner).await else { continue };
            if !was_sent(&played, &exchange.method, &exchange.url) {
                continue;
            }
            let found = answer::say(&played.answer);
            let unavailable = matches!(
                &played.answer,
                Ok(outcome) if matches!(outcome.answer, Verdict::Unavailable(_))
            );
            checks.judge(
                format!("{name}: {line}"),
                if unavailable {
                    Ok(format!("after {} ms", began.elapsed().as_millis()))
                } else {
                    Err(format!("expected unavailable, found {found}"))
                },
            );
            known.push(line);
        }
    }
    checks.or_note("no case that ends with an approval records an answer over HTTP")
}

/// An answer, whichever, but no approval.
pub(super) fn no_approval(played: &Played) -> Result<String, String> {
    let found = answer::say(&played.answer);
    match &played.answer {
        Err(_) => Err(format!("expected an answer, found {found}")),
        Ok(_) if is_approval(&played.answer) => {
            Err(format!("expected anything but an approval, found {found}"))
        }
        Ok(_) => Ok(found),
    }
}

fn was_sent(played: &Played, method: &str, url: &str) -> bool {
    played.sent.iter().any(|sent| sent.method == method && sent.url == url)
}

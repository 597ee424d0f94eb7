//! The interfaces that a plug-in may have beside `verifier`, through the adapter and back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    missing_docs,
    reason = "tests may state what they know"
)]

use std::time::Duration;

use countersign_sandbox::{
    Budgets, CallError, Offers, Plugin,
    model::{
        Act, Action, ActionResult, Ending, Event, Hint, Outcome, Revocation, RevocationReason,
        Settlement, Target,
    },
};

mod guests;
#[path = "guests/backend.rs"]
mod host;

use guests::{Guest, SCRATCH};
use host::{Bench, context, memory, request};

/// `context` as core parameters.
const CONTEXT: &str = "i32 i64 i32 i32 i32 i32 i32 i32 i32";

/// Approves, is told, issues, revokes the device "guest" on every event, and has no feed.
fn everything(reason: u32) -> Guest {
    let on_schedule: &'static str =
        Box::leak(format!("(param {CONTEXT} i32 i32 i32) (result i32)").into());
    let settled: &'static str = Box::leak(format!("(param {CONTEXT} i32 i32) (result i32)").into());
    let issue = format!(
        "(call $issue (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
           (i32.const 0) (i32.const 0) (i32.const 600) (i32.const {SCRATCH}))
         (memory.copy (i32.const 0xc08) (i32.const {}) (i32.const 16)) (i32.const 0xc00)",
        SCRATCH + 8
    );
    // result ok, one action at 0xd20: id "test", revoke, device "guest", a reason, no detail.
    let on_event = format!(
        "(i32.store (i32.const 0xd04) (i32.const 0xd20)) (i32.store (i32.const 0xd08) (i32.const 1))
         (i32.store (i32.const 0xd20) (i32.const 0x1000)) (i32.store (i32.const 0xd24) (i32.const 4))
         (i32.store (i32.const 0xd30) (i32.const 0x1005)) (i32.store (i32.const 0xd34) (i32.const 5))
         (i32.store8 (i32.const 0xd40) (i32.const {reason})) (i32.const 0xd00)"
    );
    // result err(retry), after 0 seconds.
    let no_feed = "(i32.store8 (i32.const 0xe00) (i32.const 1)) (i32.const 0xe00)";
    let one = "(param i32) (result i32)";
    Guest {
        world: "plugin-with-everything",
        exports: vec![
            ("outcomes", "notify", one, "(i32.const 0xf00)".into()),
            ("challenges-issuer", "issue", one, issue),
            ("events", "on-event", one, on_event),
            ("events", "on-schedule", on_schedule, no_feed.into()),
            ("events", "settled", settled, "(i32.const 0xf00)".into()),
        ],
        ..Guest::default()
    }
    .importing("challenges", "issue", "(param i32 i32 i32 i32 i32 i32 i32 i32 i32)")
}

fn event() -> Event {
    Event {
        path_suffix: String::new(),
        query: Vec::new(),
        headers: Vec::new(),
        body: b"{}".to_vec(),
        received: 1,
        attributes: Vec::new(),
    }
}

fn hint() -> Hint {
    Hint {
        profile: "laptops".into(),
        requester: "admin".into(),
        names: Vec::new(),
        device_id: None,
        media_type: None,
        body: Vec::new(),
        attributes: Vec::new(),
    }
}

async fn plugin(bench: &Bench, guest: &Guest) -> Plugin {
    bench.plugin(guest, Budgets::default()).await
}

#[tokio::test]
async fn what_a_component_exports_is_what_it_offers() {
    let bench = Bench::new();
    let offers = plugin(&bench, &everything(1)).await.offers();
    assert_eq!(offers, Offers { outcomes: true, challenges_issuer: true, events: true });
    let only = Guest {
        world: "plugin-with-outcomes",
        exports: vec![everything(1).exports.swap_remove(0)],
        ..Guest::default()
    };
    let offers = plugin(&bench, &only).await.offers();
    assert_eq!(offers, Offers { outcomes: true, ..Offers::default() });
}

#[tokio::test]
async fn outcomes_and_results_are_told() {
    let bench = Bench::new();
    let plugin = plugin(&bench, &everything(1)).await;
    let outcome = Outcome {
        request: request(),
        ending: Ending::Failed("the CA said no".into()),
        memo: vec![1, 2, 3],
        idempotency_key: "k".into(),
        attributes: Vec::new(),
    };
    assert_eq!(plugin.notify(context(), outcome, memory()).await.unwrap().answer, Ok(()));
    let results = vec![ActionResult {
        id: "test".into(),
        settlement: Settlement::Done,
        attributes: Vec::new(),
    }];
    assert_eq!(plugin.settled(context(), results, memory()).await.unwrap().answer, Ok(()));
}

#[tokio::test]
async fn a_challenge_is_issued_by_the_host_and_handed_on() {
    let bench = Bench::new();
    let plugin = plugin(&bench, &everything(1)).await;
    let outcome = plugin.issue(context(), hint(), memory()).await.unwrap();
    let challenge = outcome.answer.unwrap();
    assert_eq!((challenge.text.expose(), challenge.expires), ("FRESH", 600));
}

#[tokio::test]
async fn a_challenge_is_not_issued_in_verify() {
    // The same import, from the wrong place: the guest traps if it is not refused.
    let verify = format!(
        "(call $issue (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
           (i32.const 0) (i32.const 0) (i32.const 600) (i32.const {SCRATCH}))
         (if (i32.eqz (i32.load8_u (i32.const {SCRATCH}))) (then (unreachable)))
         (i32.const 0x800)"
    );
    let bench = Bench::new();
    let plugin = plugin(&bench, &Guest { verify, ..everything(1) }).await;
    plugin.verify(context(), request(), memory()).await.unwrap();
}

#[tokio::test]
async fn an_event_becomes_an_action() {
    let bench = Bench::new();
    let plugin = plugin(&bench, &everything(1)).await;
    let outcome = plugin.on_event(context(), event(), memory()).await.unwrap();
    let revocation = Revocation {
        target: Target::Device("guest".into()),
        reason: RevocationReason::KeyCompromise,
        detail: String::new(),
    };
    let action = Action { id: "test".into(), act: Act::Revoke(revocation), attributes: Vec::new() };
    assert_eq!(outcome.answer.unwrap(), [action]);
}

#[tokio::test]
async fn a_reason_that_this_host_does_not_know_is_not_guessed() {
    let bench = Bench::new();
    let plugin = plugin(&bench, &everything(5)).await;
    let failure = plugin.on_event(context(), event(), memory()).await.unwrap_err();
    let CallError::Malformed(malformed) = failure.error else { panic!("{failure}") };
    assert_eq!(malformed.field, "revocation.reason");
}

#[tokio::test]
async fn a_retry_is_kept_within_a_second_and_a_day() {
    let bench = Bench::new();
    let plugin = plugin(&bench, &everything(1)).await;
    let outcome = plugin.on_schedule(context(), Some(vec![1]), memory()).await.unwrap();
    assert_eq!(outcome.answer.unwrap_err().after, Duration::from_secs(1));
}

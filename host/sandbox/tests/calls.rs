//! What a plug-in can do through its imports, and what stays within a call.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    missing_docs,
    reason = "tests may state what they know"
)]

use std::{sync::Arc, time::Duration};

use countersign_sandbox::{
    BreakerSettings, Budgets, BulkheadSettings, CallError, Grants, ImportRefusal, KvChange,
    KvExpectation, KvWrite, LoadError, PluginSettings, Redeemed,
    model::{Secret, Verdict},
};

mod guests;
#[path = "guests/backend.rs"]
mod host;

use guests::{APPROVE, DENY, Guest, SCRATCH, exporting_only, importing_only};
use host::{Bench, all, binding, context, memory, request};

const KV_SET: &str = "(param i32 i32 i32 i32 i32 i32 i32)";
const COMPARE: &str = "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)";
const FOREVER: &str = "(loop $l (br $l)) (unreachable)";

/// `test` is at 0x1000 (the beginning of "test-guest"), `guest` at 0x1005.
const KEY: &str = "(i32.const 0x1000) (i32.const 4)";
const VALUE: &str = "(i32.const 0x1005) (i32.const 5)";

/// Approves if the byte in scratch is 0, the case `ok` of every result; denies otherwise.
fn approve_if_ok(call: &str) -> String {
    format!(
        "{call} (if (result i32) (i32.load8_u (i32.const {SCRATCH}))
           (then (i32.const {DENY})) (else (i32.const {APPROVE})))"
    )
}

fn redeeming() -> Guest {
    let text = "(i32.store (i32.const 0xb00) (i32.const 0x444f4f47))";
    let redeem = format!("(call $redeem (i32.const 0xb00) (i32.const 4) (i32.const {SCRATCH}))");
    Guest::verifying(approve_if_ok(&format!("{text} {redeem}"))).importing(
        "challenges",
        "redeem",
        "(param i32 i32 i32)",
    )
}

fn setting() -> Guest {
    let set =
        format!("(call $set {KEY} {VALUE} (i32.const 1) (i32.const 60) (i32.const {SCRATCH}))");
    Guest::verifying(approve_if_ok(&set)).importing("kv", "set", KV_SET)
}

#[tokio::test]
async fn a_redeemed_challenge_is_staged_with_its_binding_and_asked_for_by_plugin_and_profile() {
    let bench = Bench::new();
    let plugin = bench.plugin(&redeeming(), Budgets::default()).await;
    let backend = memory();
    let outcome = plugin.verify(context(), request(), backend.clone()).await.unwrap();
    assert!(matches!(outcome.answer, Verdict::Approve(_)));
    let redeemed = Redeemed { text: Secret::new("GOOD"), binding: binding() };
    assert_eq!(outcome.staged.redeemed, [redeemed]);
    assert_eq!(*backend.asked.lock().unwrap(), ["p/laptops/GOOD"]);
    assert!(!format!("{outcome:?}").contains("GOOD"), "a challenge is never shown");
}

#[tokio::test]
async fn guessing_challenges_is_bounded() {
    let redeem = format!("(call $redeem (i32.const 0x1000) (i32.const 4) (i32.const {SCRATCH}))");
    let verify = format!("{} (i32.const {APPROVE})", redeem.repeat(10));
    let guest = Guest::verifying(verify).importing("challenges", "redeem", "(param i32 i32 i32)");
    let bench = Bench::new();
    let plugin = bench.plugin(&guest, Budgets { challenges: 3, ..Budgets::default() }).await;
    let backend = memory();
    plugin.verify(context(), request(), backend.clone()).await.unwrap();
    assert_eq!(backend.asked.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_write_is_staged_and_nothing_is_stored() {
    let bench = Bench::new();
    let plugin = bench.plugin(&setting(), Budgets::default()).await;
    let backend = memory();
    let outcome = plugin.verify(context(), request(), backend.clone()).await.unwrap();
    let write = KvWrite {
        key: "test".into(),
        expected: KvExpectation::Anything,
        change: KvChange::Set { value: b"guest".to_vec(), ttl_seconds: Some(60) },
    };
    assert_eq!(outcome.staged.kv_writes, [write]);
    assert!(backend.values.lock().unwrap().is_empty());
}

#[tokio::test]
async fn compare_and_set_remembers_what_it_compared() {
    // Expects nothing there.
    let compare = format!(
        "(call $compare-and-set {KEY} (i32.const 0) (i32.const 0) (i32.const 0) {VALUE}
           (i32.const 0) (i32.const 0) (i32.const {SCRATCH}))"
    );
    let guest =
        Guest::verifying(approve_if_ok(&compare)).importing("kv", "compare-and-set", COMPARE);
    let bench = Bench::new();
    let plugin = bench.plugin(&guest, Budgets::default()).await;
    let backend = memory();
    let outcome = plugin.verify(context(), request(), backend.clone()).await.unwrap();
    assert_eq!(outcome.staged.kv_writes[0].expected, KvExpectation::Nothing);
    backend.values.lock().unwrap().insert(("p".into(), "test".into()), b"other".to_vec());
    let outcome = plugin.verify(context(), request(), backend).await.unwrap();
    assert!(outcome.staged.kv_writes.is_empty(), "something is there: false, and nothing staged");
}

#[tokio::test]
async fn writes_over_the_budget_are_refused_to_the_guest() {
    let bench = Bench::new();
    let plugin = bench.plugin(&setting(), Budgets { kv_writes: 0, ..Budgets::default() }).await;
    let outcome = plugin.verify(context(), request(), memory()).await.unwrap();
    assert!(matches!(outcome.answer, Verdict::Deny(_)), "the guest saw an error");
    assert!(outcome.staged.is_empty());
}

#[tokio::test]
async fn describe_and_validate_settings_cannot_use_what_is_granted() {
    // Trap unless the host refuses.
    let get = format!(
        "(call $get {KEY} (i32.const {SCRATCH}))
         (if (i32.eqz (i32.load8_u (i32.const {SCRATCH}))) (then (unreachable)))"
    );
    let guest = Guest { describe: get.clone(), validate: get, ..Guest::default() }.importing(
        "kv",
        "get",
        "(param i32 i32 i32)",
    );
    let bench = Bench::new();
    bench.plugin(&guest, Budgets::default()).await;
}

#[tokio::test]
async fn a_missing_grant_is_refused_at_load_by_name_with_its_line() {
    let bench = Bench::new();
    for (guest, grant) in [
        (redeeming(), "challenges"),
        (setting(), "kv"),
        (Guest::verifying("(call $log (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)) (unreachable)").logging(), "log"),
    ] {
        let component = bench.component(&guest.build());
        let error = bench.sandbox.load(&component, &PluginSettings::new("otp")).await.unwrap_err();
        let LoadError::Import(ImportRefusal::NotGranted { import, line, .. }) = error else {
            panic!("{error}")
        };
        assert_eq!(import, format!("countersign:verifier/{grant}@1.0.0-rc.2"));
        assert_eq!(line, format!("{grant} = true"));
        // Looking at it needs no grant.
        assert!(bench.sandbox.describe(&component).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn imports_of_files_sockets_and_what_is_not_offered_are_refused_by_name() {
    let bench = Bench::new();
    for import in [
        "wasi:filesystem/types@0.2.6",
        "wasi:filesystem/preopens@0.2.6",
        "wasi:sockets/tcp@0.2.6",
        "wasi:http/outgoing-handler@0.2.6",
        "countersign:verifier/sockets@1.0.0-rc.2",
        "env:anything/else",
    ] {
        let component = bench.component(&importing_only(import));
        let settings = PluginSettings { grants: all(), ..PluginSettings::new("p") };
        let error = bench.sandbox.load(&component, &settings).await.unwrap_err();
        let LoadError::Import(ImportRefusal::Refused { import: named, .. }) = error else {
            panic!("{import}: {error}")
        };
        assert_eq!(named, import);
        assert_eq!(bench.sandbox.describe(&component).await.unwrap(), None);
    }
}

#[tokio::test]
async fn another_version_of_the_contract_and_no_verifier_at_all_are_told_apart() {
    let bench = Bench::new();
    let settings = PluginSettings::new("p");
    let other = bench.component(&exporting_only("countersign:verifier/verifier@1.0.0-rc.9"));
    let error = bench.sandbox.load(&other, &settings).await.unwrap_err().to_string();
    assert!(error.contains("1.0.0-rc.9") && error.contains("1.0.0-rc.2"), "{error}");
    let none = bench.component(&exporting_only("acme:tool/run@1.0.0"));
    let error = bench.sandbox.load(&none, &settings).await.unwrap_err();
    assert!(matches!(error, LoadError::NoVerifier { .. }), "{error}");
    let empty = bench.component(&exporting_only("countersign:verifier/verifier@1.0.0-rc.2"));
    let error = bench.sandbox.load(&empty, &settings).await.unwrap_err();
    assert!(matches!(error, LoadError::Link(_)), "an interface without functions: {error}");
}

#[tokio::test]
async fn settings_are_held_to_the_schema_before_the_plugin_sees_them() {
    let guest = Guest {
        schema: r#"{"type":"object","required":["tenant"],"additionalProperties":false,
                    "properties":{"tenant":{"type":"string"}}}"#
            .into(),
        // Would say so if it were asked.
        validate: "(unreachable)".into(),
        ..Guest::default()
    };
    let bench = Bench::new();
    let component = bench.component(&guest.build());
    let mut settings = PluginSettings::new("p");
    settings.settings.insert("tennant".into(), "x".into());
    let error = bench.sandbox.load(&component, &settings).await.unwrap_err();
    let LoadError::Settings { problems, .. } = error else { panic!("{error}") };
    assert_eq!(problems.len(), 2, "{problems:?}");
}

#[tokio::test]
async fn a_describe_that_changes_its_mind_is_refused() {
    // Its summary holds the time.
    let guest = Guest {
        describe: "(i64.store (i32.const 0x1014)
              (i64.or (i64.const 0x6161616161616161)
                (i64.and (i64.const 0x0f0f0f0f0f0f0f0f)
                  (i64.mul (call $now) (i64.const 0x9e3779b97f4a7c15)))))"
            .into(),
        ..Guest::default()
    }
    .importing("wasi:clocks/monotonic-clock@0.2.6", "now", "(result i64)");
    let bench = Bench::new();
    let component = bench.component(&guest.build());
    let error = bench.sandbox.load(&component, &PluginSettings::new("p")).await.unwrap_err();
    assert!(matches!(error, LoadError::Impure), "{error}");
}

/// Vouches `exactly-as-requested`: case 0 of `vouched`.
fn exactly() -> Guest {
    Guest::verifying(format!("(i32.store8 (i32.const 0x808) (i32.const 0)) (i32.const {APPROVE})"))
}

#[tokio::test]
async fn exactly_as_requested_is_no_answer_without_its_grant() {
    let bench = Bench::new();
    let plugin = bench.plugin(&exactly(), Budgets::default()).await;
    let failure = plugin.verify(context(), request(), memory()).await.unwrap_err();
    assert!(matches!(failure.error, CallError::Ungranted), "{failure}");
    let grants = Grants { exactly_as_requested: true, ..Grants::default() };
    let settings = PluginSettings { grants, ..PluginSettings::new("p") };
    let component = bench.component(&exactly().build());
    let plugin = bench.sandbox.load(&component, &settings).await.unwrap();
    let outcome = plugin.verify(context(), request(), memory()).await.unwrap();
    assert!(matches!(outcome.answer, Verdict::Approve(_)));
}

#[tokio::test]
async fn an_interface_that_is_not_exported_is_an_error_of_the_caller() {
    let bench = Bench::new();
    let plugin = bench.plugin(&Guest::default(), Budgets::default()).await;
    assert!(!plugin.offers().events);
    let failure = plugin.on_schedule(context(), None, memory()).await.unwrap_err();
    assert!(matches!(failure.error, CallError::NotExported(_)));
}

#[tokio::test]
async fn nothing_of_one_plugin_is_seen_by_another_in_the_same_slot() {
    // One slot, so that the second guest gets the very memory, table and stack of the first.
    let bench = Bench::with_calls(1);
    let canary = Guest {
        pages: 64,
        fields: "(global $seen (export \"seen\") (mut i64) (i64.const 0))".into(),
        ..Guest::verifying(format!(
            "(memory.fill (i32.const 0x8000) (i32.const 0xc5) (i32.const 0x3f0000))
             (global.set $seen (i64.const 77)) (i32.const {APPROVE})"
        ))
    };
    let prober = Guest {
        pages: 2,
        fields: "(global $seen (mut i64) (i64.const 0))".into(),
        ..Guest::verifying(format!(
            "(local $at i32)
             (drop (memory.grow (i32.const 62)))
             (local.set $at (i32.const 0x8000))
             (loop $l
               (if (i64.ne (i64.load (local.get $at)) (i64.const 0))
                 (then (return (i32.const {DENY}))))
               (local.set $at (i32.add (local.get $at) (i32.const 8)))
               (br_if $l (i32.lt_u (local.get $at) (i32.const 0x3f8000))))
             (if (i64.ne (global.get $seen) (i64.const 0)) (then (return (i32.const {DENY}))))
             (i32.const {APPROVE})"
        ))
    };
    let budgets = Budgets { time: Duration::from_secs(5), ..Budgets::default() };
    let teller = bench.plugin(&canary, budgets.clone()).await;
    let prober = bench.plugin(&prober, budgets).await;
    for _ in 0..20 {
        teller.verify(context(), request(), memory()).await.unwrap();
        let outcome = prober.verify(context(), request(), memory()).await.unwrap();
        assert!(matches!(outcome.answer, Verdict::Approve(_)), "saw the other's memory");
    }
}

#[tokio::test]
async fn state_of_one_call_is_not_seen_by_the_next() {
    let guest = Guest {
        fields: "(global $calls (mut i32) (i32.const 0))".into(),
        ..Guest::verifying(format!(
            "(if (global.get $calls) (then (return (i32.const {DENY}))))
             (global.set $calls (i32.const 1)) (i32.const {APPROVE})"
        ))
    };
    let bench = Bench::new();
    let plugin = bench.plugin(&guest, Budgets::default()).await;
    for _ in 0..3 {
        let outcome = plugin.verify(context(), request(), memory()).await.unwrap();
        assert!(matches!(outcome.answer, Verdict::Approve(_)));
    }
}

#[tokio::test]
async fn a_plugin_that_keeps_failing_is_not_asked_for_a_while() {
    let bench = Bench::new();
    let settings = PluginSettings {
        breaker: BreakerSettings { failures: 3, pause: Duration::from_millis(200) },
        ..PluginSettings::new("p")
    };
    let component = bench.component(&Guest::verifying("(unreachable)").build());
    let plugin = bench.sandbox.load(&component, &settings).await.unwrap();
    for _ in 0..3 {
        let failure = plugin.verify(context(), request(), memory()).await.unwrap_err();
        assert!(matches!(failure.error, CallError::Trap(_)), "{failure}");
    }
    let failure = plugin.verify(context(), request(), memory()).await.unwrap_err();
    assert!(matches!(failure.error, CallError::Suspended(_)), "{failure}");
    assert!(plugin.is_suspended());
    tokio::time::sleep(Duration::from_millis(250)).await;
    let failure = plugin.verify(context(), request(), memory()).await.unwrap_err();
    assert!(matches!(failure.error, CallError::Trap(_)), "one is tried: {failure}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_plugin_cannot_take_all_the_room() {
    let bench = Bench::new();
    let settings = PluginSettings {
        budgets: Budgets { time: Duration::from_millis(500), ..Budgets::default() },
        bulkhead: BulkheadSettings { concurrency: 2, queue: 1, patience: Duration::from_secs(5) },
        ..PluginSettings::new("greedy")
    };
    let hour = "(call $block (call $subscribe-duration (i64.const 3600000000000))) (unreachable)";
    let component = bench.component(&Guest::verifying(hour).sleeping().build());
    let greedy = Arc::new(bench.sandbox.load(&component, &settings).await.unwrap());
    let calls: Vec<_> = (0..6)
        .map(|_| {
            let greedy = Arc::clone(&greedy);
            tokio::spawn(async move { greedy.verify(context(), request(), memory()).await })
        })
        .collect();
    let harmless = bench.plugin(&Guest::default(), Budgets::default()).await;
    assert!(harmless.verify(context(), request(), memory()).await.is_ok());
    let mut words = Vec::new();
    for call in calls {
        words.push(call.await.unwrap().unwrap_err().error.word());
    }
    words.sort_unstable();
    assert_eq!(words, ["busy", "busy", "busy", "deadline", "deadline", "deadline"]);
}

#[tokio::test]
async fn a_full_pool_is_busy_and_no_fault_of_the_plugin() {
    let bench = Bench::with_calls(1);
    let hour = "(call $block (call $subscribe-duration (i64.const 3600000000000))) (unreachable)";
    let budgets = Budgets { time: Duration::from_millis(400), ..Budgets::default() };
    let harmless = bench.plugin(&Guest::default(), budgets.clone()).await;
    let sleeper = Arc::new(bench.plugin(&Guest::verifying(hour).sleeping(), budgets).await);
    let asleep = tokio::spawn(async move { sleeper.verify(context(), request(), memory()).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let failure = harmless.verify(context(), request(), memory()).await.unwrap_err();
    assert!(matches!(failure.error, CallError::Busy), "{failure}");
    assert!(asleep.await.unwrap().is_err());
    assert!(harmless.verify(context(), request(), memory()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_whose_caller_went_away_stops_at_the_next_tick() {
    let bench = Bench::new();
    let budgets = Budgets { time: Duration::from_secs(60), ..Budgets::default() };
    let plugin = bench.plugin(&Guest::verifying(FOREVER), budgets).await;
    let call = plugin.verify(context(), request(), memory());
    assert!(tokio::time::timeout(Duration::from_millis(50), call).await.is_err());
    for _ in 0..100 {
        if bench.sandbox.pool_use().component_instances == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the guest still runs two seconds after its caller went away");
}

/// CVE-2026-27195 and its kind: callers that go away, and time-outs, in the middle of a call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_calls_given_up_half_way_leave_a_host_that_answers() {
    let bench = Bench::with_calls(300);
    let hour = "(call $block (call $subscribe-duration (i64.const 3600000000000))) (unreachable)";
    let load = async |guest: Guest, concurrency| {
        let settings = PluginSettings {
            grants: all(),
            budgets: Budgets { time: Duration::from_millis(20), ..Budgets::default() },
            bulkhead: BulkheadSettings {
                concurrency,
                queue: 20_000,
                patience: Duration::from_secs(60),
            },
            breaker: BreakerSettings { failures: u32::MAX, pause: Duration::from_secs(1) },
            ..PluginSettings::new("p")
        };
        let component = bench.component(&guest.build());
        Arc::new(bench.sandbox.load(&component, &settings).await.unwrap())
    };
    let sleeper = load(Guest::verifying(hour).sleeping(), 250).await;
    let spinner = load(Guest::verifying(FOREVER), 16).await;
    let mut calls = Vec::new();
    for n in 0..10_000_u64 {
        let plugin = if n % 50 == 0 { &spinner } else { &sleeper };
        let plugin = Arc::clone(plugin);
        calls.push(tokio::spawn(async move {
            let call = plugin.verify(context(), request(), memory());
            if n % 2 == 0 {
                // The caller goes away.
                let _ = tokio::time::timeout(Duration::from_micros(n % 5_000), call).await;
            } else {
                let failure = call.await.unwrap_err();
                assert!(matches!(failure.error, CallError::Deadline(_)), "{failure}");
            }
        }));
    }
    for call in calls {
        call.await.unwrap();
    }
    // What was abandoned ends by itself and gives its place back.
    let mut left = u64::MAX;
    for _ in 0..100 {
        left = bench.sandbox.pool_use().component_instances;
        if left == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(left, 0);
    let harmless = bench.plugin(&Guest::default(), Budgets::default()).await;
    assert!(harmless.verify(context(), request(), memory()).await.is_ok());
}

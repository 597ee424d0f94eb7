//! Every budget stops the guest that goes over it, by its own name, and the host goes on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    missing_docs,
    reason = "tests may state what they know"
)]

use std::time::{Duration, Instant};

use countersign_sandbox::{
    Budgets, CallError, CallFailure, CallOutcome, Exceeded, LoadError, PluginSettings,
    model::Verdict,
};

mod guests;
#[path = "guests/backend.rs"]
mod host;

use guests::{APPROVE, Guest, SCRATCH};
use host::{Bench, all, context, memory, request};

const FOREVER: &str = "(loop $l (br $l)) (unreachable)";

/// Wide, because test machines are busy; far from for ever all the same.
const LATE: Duration = Duration::from_secs(2);

fn quick() -> Budgets {
    Budgets { time: Duration::from_millis(300), ..Budgets::default() }
}

async fn ask(guest: &Guest, budgets: Budgets) -> Result<CallOutcome<Verdict>, CallFailure> {
    let bench = Bench::new();
    let plugin = bench.plugin(guest, budgets).await;
    let result = plugin.verify(context(), request(), memory()).await;
    // The host goes on, with nothing left behind in the pool.
    let harmless = bench.plugin(&Guest::default(), quick()).await;
    let after = harmless.verify(context(), request(), memory()).await;
    assert!(matches!(after.unwrap().answer, Verdict::Approve(_)));
    assert_eq!(bench.sandbox.pool_use().component_instances, 0);
    result
}

async fn exceeded(guest: &Guest, budgets: Budgets) -> Exceeded {
    match ask(guest, budgets).await.unwrap_err().error {
        CallError::Budget(exceeded) => exceeded,
        other => panic!("expected a budget, got: {other}"),
    }
}

#[tokio::test]
async fn a_harmless_guest_is_answered_within_all_budgets() {
    let outcome = ask(&Guest::default(), quick()).await.unwrap();
    assert!(matches!(outcome.answer, Verdict::Approve(_)));
    assert!(outcome.staged.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_loop_ends_in_time() {
    let started = Instant::now();
    let failure = ask(&Guest::verifying(FOREVER), quick()).await.unwrap_err();
    assert!(matches!(failure.error, CallError::Deadline(_)), "{failure}");
    assert!(failure.used.time >= Duration::from_millis(290), "{:?}", failure.used.time);
    assert!(failure.used.time < LATE, "{:?}", failure.used.time);
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn an_endless_loop_lets_others_run_on_the_same_thread() {
    let bench = Bench::new();
    let plugin = bench.plugin(&Guest::verifying(FOREVER), quick()).await;
    let mut beats = 0;
    let call = plugin.verify(context(), request(), memory());
    tokio::pin!(call);
    let failure = loop {
        tokio::select! {
            result = &mut call => break result.unwrap_err(),
            () = tokio::time::sleep(Duration::from_millis(20)) => beats += 1,
        }
    };
    assert!(matches!(failure.error, CallError::Deadline(_)));
    assert!(beats >= 5, "the only thread came by {beats} times");
}

#[tokio::test]
async fn a_guest_that_sleeps_in_wasi_ends_in_time() {
    let hour = "(call $block (call $subscribe-duration (i64.const 3600000000000))) (unreachable)";
    let failure = ask(&Guest::verifying(hour).sleeping(), quick()).await.unwrap_err();
    assert!(matches!(failure.error, CallError::Deadline(_)), "{failure}");
    assert!(failure.used.time < LATE, "{:?}", failure.used.time);
}

#[tokio::test]
async fn copying_memory_without_end_ends_in_time() {
    let copy = "(loop $l
        (memory.copy (i32.const 0) (i32.const 16777216) (i32.const 16777216)) (br $l))
        (unreachable)";
    let guest = Guest { pages: 512, ..Guest::verifying(copy) };
    let failure = ask(&guest, quick()).await.unwrap_err();
    assert!(matches!(failure.error, CallError::Deadline(_)), "{failure}");
    assert!(failure.used.time < LATE, "{:?}", failure.used.time);
}

#[tokio::test]
async fn the_callers_time_counts_where_it_is_shorter() {
    let bench = Bench::new();
    let plugin = bench.plugin(&Guest::verifying(FOREVER), Budgets::default()).await;
    let left = |millis| countersign_sandbox::CallContext {
        time_left: Some(Duration::from_millis(millis)),
        ..context()
    };
    let failure = plugin.verify(left(100), request(), memory()).await.unwrap_err();
    assert!(matches!(failure.error, CallError::Deadline(_)));
    assert!(failure.used.time < LATE, "{:?}", failure.used.time);
    let failure = plugin.verify(left(0), request(), memory()).await.unwrap_err();
    assert!(matches!(failure.error, CallError::Deadline(_)));
    assert_eq!(failure.used.time, Duration::ZERO, "it was not even started");
}

#[tokio::test]
async fn a_stuck_store_of_the_host_ends_in_time() {
    let get =
        format!("(call $get (i32.const 0x1000) (i32.const 4) (i32.const {SCRATCH})) (unreachable)");
    let guest = Guest::verifying(get).importing("kv", "get", "(param i32 i32 i32)");
    let bench = Bench::new();
    let plugin = bench.plugin(&guest, quick()).await;
    let stuck = std::sync::Arc::new(host::Memory { stuck: true, ..host::Memory::default() });
    let failure = plugin.verify(context(), request(), stuck).await.unwrap_err();
    assert!(matches!(failure.error, CallError::Deadline(_)), "{failure}");
    assert!(failure.used.time < LATE, "{:?}", failure.used.time);
}

#[tokio::test]
async fn growing_memory_stops_at_the_budget() {
    let grow =
        "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)";
    let budgets = Budgets { memory_bytes: 8 << 20, ..quick() };
    assert_eq!(exceeded(&Guest::verifying(grow), budgets).await, Exceeded::Memory(8 << 20));
}

#[tokio::test]
async fn memories_are_summed() {
    // Each alone stays below the budget.
    let guest = Guest {
        fields: "(memory $other 1)".into(),
        ..Guest::verifying(
            "(drop (memory.grow $memory (i32.const 80)))
             (drop (memory.grow $other (i32.const 80)))
             (unreachable)",
        )
    };
    let budgets = Budgets { memory_bytes: 8 << 20, ..quick() };
    assert_eq!(exceeded(&guest, budgets).await, Exceeded::Memory(8 << 20));
}

#[tokio::test]
async fn more_memory_from_the_start_is_refused_too() {
    let bench = Bench::new();
    let guest = Guest { pages: 256, ..Guest::default() };
    let budgets = Budgets { memory_bytes: 8 << 20, ..quick() };
    let settings = PluginSettings { budgets, ..PluginSettings::new("p") };
    let error = bench.sandbox.load(&bench.component(&guest.build()), &settings).await.unwrap_err();
    let LoadError::Trial { failure, .. } = error else { panic!("{error}") };
    assert!(matches!(failure.error, CallError::Budget(Exceeded::Memory(_))), "{failure}");
}

async fn trial(guest: &Guest, budgets: Budgets) -> CallError {
    let bench = Bench::new();
    let settings = PluginSettings { grants: all(), budgets, ..PluginSettings::new("p") };
    let error = bench.sandbox.load(&bench.component(&guest.build()), &settings).await.unwrap_err();
    let LoadError::Trial { failure, .. } = error else { panic!("{error}") };
    failure.error
}

#[tokio::test]
async fn many_memories_are_refused() {
    let guest = Guest { fields: "(memory 0)".repeat(5), ..Guest::default() };
    let error = trial(&guest, Budgets { memories: 4, ..quick() }).await;
    assert!(matches!(error, CallError::Budget(Exceeded::Memories(4))), "{error}");
}

#[tokio::test]
async fn many_tables_are_refused() {
    let guest = Guest { fields: "(table 1 funcref)".repeat(20), ..Guest::default() };
    let error = trial(&guest, Budgets { tables: 16, ..quick() }).await;
    assert!(matches!(error, CallError::Budget(Exceeded::Tables(16))), "{error}");
}

#[tokio::test]
async fn many_core_instances_are_refused() {
    // A guest that imports has a shim and a fix-up beside its own module.
    let error = trial(&Guest::default().logging(), Budgets { core_instances: 1, ..quick() }).await;
    assert!(matches!(error, CallError::Budget(Exceeded::CoreInstances(1))), "{error}");
}

#[tokio::test]
async fn growing_tables_stops_at_the_budget_over_all_tables() {
    let guest = Guest {
        fields: "(table $a 1 funcref) (table $b 1 funcref)".into(),
        ..Guest::verifying(
            "(drop (table.grow $a (ref.null func) (i32.const 600)))
             (drop (table.grow $b (ref.null func) (i32.const 600)))
             (unreachable)",
        )
    };
    let budgets = Budgets { table_elements: 1000, ..quick() };
    assert_eq!(exceeded(&guest, budgets).await, Exceeded::TableElements(1000));
}

#[tokio::test]
async fn deep_recursion_ends_at_the_stack() {
    let guest = Guest {
        fields: "(func $deep (param i64) (result i64)
                   (i64.add (local.get 0) (call $deep (i64.add (local.get 0) (i64.const 1)))))"
            .into(),
        ..Guest::verifying("(drop (call $deep (i64.const 0))) (unreachable)")
    };
    assert_eq!(exceeded(&guest, quick()).await, Exceeded::Stack);
}

/// `deny` with a detail of so many bytes: the length lies 24 bytes into the verdict.
fn long_detail(bytes: u32) -> Guest {
    let verify = format!(
        "(memory.fill (i32.const 0x10000) (i32.const 97) (i32.const {bytes}))
         (i32.store (i32.const 0x914) (i32.const 0x10000))
         (i32.store (i32.const 0x918) (i32.const {bytes}))
         (i32.const 0x900)"
    );
    Guest { pages: 128, ..Guest::verifying(verify) }
}

#[tokio::test]
async fn a_huge_text_does_not_cross_the_boundary() {
    let found = exceeded(&long_detail(2 << 20), quick()).await;
    assert_eq!(found, Exceeded::Crossing(1 << 20));
}

#[tokio::test]
async fn a_text_over_the_contracts_limit_is_malformed() {
    assert!(matches!(ask(&long_detail(4096), quick()).await.unwrap().answer, Verdict::Deny(_)));
    let failure = ask(&long_detail(4097), quick()).await.unwrap_err();
    let CallError::Malformed(malformed) = failure.error else { panic!("{failure}") };
    assert_eq!(malformed.field, "denial.detail");
}

#[tokio::test]
async fn a_pointer_out_of_memory_is_no_answer() {
    let failure = ask(&Guest::verifying("(i32.const -64)"), quick()).await.unwrap_err();
    assert!(matches!(failure.error, CallError::Trap(_)), "{failure}");
    let failure = ask(
        &Guest::verifying("(i32.store8 (i32.const 0x900) (i32.const 4)) (i32.const 0x900)"),
        quick(),
    )
    .await
    .unwrap_err();
    assert!(matches!(failure.error, CallError::Trap(_)), "a fifth verdict: {failure}");
}

#[tokio::test]
async fn text_that_is_no_utf_8_is_no_answer() {
    let verify = "(i32.store (i32.const 0x1000) (i32.const -1))
        (i32.store (i32.const 0x914) (i32.const 0x1000))
        (i32.store (i32.const 0x918) (i32.const 4)) (i32.const 0x900)";
    let failure = ask(&Guest::verifying(verify), quick()).await.unwrap_err();
    assert!(matches!(failure.error, CallError::Trap(_)), "{failure}");
}

fn logs(lines: u32, bytes: u32) -> Guest {
    let verify = format!(
        "(local $n i32)
         (loop $l
           (call $log (i32.const 2) (i32.const 0x10000) (i32.const {bytes}) (i32.const 0) (i32.const 0))
           (local.set $n (i32.add (local.get $n) (i32.const 1)))
           (br_if $l (i32.lt_u (local.get $n) (i32.const {lines}))))
         (i32.const {APPROVE})"
    );
    Guest { pages: 16, ..Guest::verifying(verify).logging() }
}

#[tokio::test]
async fn too_many_host_calls_end_the_call() {
    let budgets = Budgets { host_calls: 100, ..quick() };
    assert!(ask(&logs(100, 1), budgets.clone()).await.is_ok());
    assert_eq!(exceeded(&logs(101, 1), budgets).await, Exceeded::HostCalls(100));
}

#[tokio::test]
async fn a_flood_of_log_lines_is_counted_and_dropped() {
    let outcome = ask(&logs(500, 1), quick()).await.unwrap();
    assert_eq!((outcome.log.len(), outcome.used.log_dropped), (64, 436));
    let outcome = ask(&logs(10, 3000), quick()).await.unwrap();
    // Zero bytes are control characters, shown longer than they were: lines end at 4 KiB, and
    // with the mark of the cut, three of them fit into 16 KiB.
    assert_eq!((outcome.log.len(), outcome.used.log_dropped), (3, 7));
    assert!(outcome.log.iter().all(|line| line.message.starts_with("\\u{0}")));
}

fn subscribes(times: u32) -> Guest {
    let verify = format!(
        "(local $n i32)
         (loop $l
           (drop (call $subscribe-duration (i64.const 1)))
           (local.set $n (i32.add (local.get $n) (i32.const 1)))
           (br_if $l (i32.lt_u (local.get $n) (i32.const {times}))))
         (i32.const {APPROVE})"
    );
    Guest::verifying(verify).sleeping()
}

#[tokio::test]
async fn handles_and_resources_are_bounded_apart() {
    let handles = Budgets { component_handles: 32, resources: 1000, ..quick() };
    assert!(ask(&subscribes(20), handles.clone()).await.is_ok());
    assert_eq!(exceeded(&subscribes(40), handles).await, Exceeded::Handles(32));
    let resources = Budgets { component_handles: 1000, resources: 64, ..quick() };
    assert_eq!(exceeded(&subscribes(100), resources).await, Exceeded::Resources(64));
}

#[tokio::test]
async fn a_trap_says_what_it_was() {
    let failure = ask(&Guest::verifying("(unreachable)"), quick()).await.unwrap_err();
    assert!(failure.to_string().contains("unreachable"), "{failure}");
}

#[tokio::test]
async fn what_runs_before_and_beside_verify_is_bounded_too() {
    let forever = "(loop $l (br $l))".to_owned();
    for guest in [
        Guest { start: forever.clone(), ..Guest::default() },
        Guest { describe: forever.clone(), ..Guest::default() },
        Guest { validate: forever, ..Guest::default() },
    ] {
        let error = trial(&guest, quick()).await;
        assert!(matches!(error, CallError::Deadline(_)), "{error}");
    }
}

#[tokio::test]
async fn a_budget_over_the_pool_is_refused_at_load() {
    let bench = Bench::new();
    let budgets = Budgets { memory_bytes: 1 << 30, ..quick() };
    let settings = PluginSettings { budgets, ..PluginSettings::new("p") };
    let component = bench.component(&Guest::default().build());
    let error = bench.sandbox.load(&component, &settings).await.unwrap_err();
    assert!(matches!(error, LoadError::Pool { .. }), "{error}");
}

//! What the conformance kit says of guests that break one rule each, made by hand, and of one that
//! breaks none.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    missing_docs,
    reason = "tests may state what they know"
)]

use std::fs;
use std::path::Path;

use countersign_kit::check::{Options, Outcome, Report, check};
use countersign_sandbox::Compiler;

// The same guests as the sandbox's own tests use.
#[path = "../../sandbox/tests/guests/mod.rs"]
mod guests;

use guests::{APPROVE, DENY, Guest, SCRATCH};

/// A schema that takes nothing.
const CLOSED: &str = r#"{"type":"object","additionalProperties":false}"#;

/// The guest approves `DNS:host.example` for whoever asks.
const APPROVES: &str = r#"{"summary":"s","request":{"profile":"laptops"},
    "expect":{"verdict":"approve","vouched":["DNS:host.example"]}}"#;

/// As before, and asks a service, which agrees.
const ASKS: &str = r#"{"summary":"s","host":{"http":[{"method":"GET","url":"https://mdm.example/",
    "answer":{"response":{"status":200,"body":"{\"allowed\":true}"}}}]},
    "request":{"profile":"laptops"},
    "expect":{"verdict":"approve","vouched":["DNS:host.example"]}}"#;

async fn report_of(component: &[u8], cases: &[(&str, &str)]) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guest.wasm");
    fs::write(&path, component).unwrap();
    let options = Options { cases: Some(folder.path().to_owned()), settings: None };
    for (name, case) in cases {
        fs::write(folder.path().join(format!("{name}.json")), case).unwrap();
    }
    check(&path, &Compiler::InThisProcess, &options).await.unwrap()
}

/// What failed in a group, with its detail.
fn failures(report: &Report, group: &str) -> Vec<String> {
    report
        .checks
        .iter()
        .filter(|found| found.id == group)
        .flat_map(|found| &found.checks)
        .filter(|check| check.outcome == Outcome::Failed)
        .map(|check| format!("{}: {}", check.name, check.detail))
        .collect()
}

fn must_fail(report: &Report, group: &str, part: &str) {
    let found = failures(report, group);
    assert!(!report.passed);
    assert!(found.iter().any(|failure| failure.contains(part)), "{part}: {report:#?}");
}

fn must_not_fail(report: &Report, groups: &[&str]) {
    for group in groups {
        assert!(failures(report, group).is_empty(), "{group}: {report:#?}");
    }
}

fn closed(guest: Guest) -> Guest {
    Guest { schema: CLOSED.into(), ..guest }
}

#[tokio::test]
async fn a_guest_that_breaks_no_rule_passes() {
    let report = report_of(&closed(Guest::default()).build(), &[("approves", APPROVES)]).await;
    assert!(report.passed, "{report:#?}");
    assert!(report.used.fuel > 0 && report.used.memory_bytes > 0, "{report:#?}");
    let junit = report.junit();
    assert!(junit.contains("failures=\"0\"") && junit.contains("approves.json"), "{junit}");
}

#[tokio::test]
async fn a_forbidden_import_fails_by_its_name() {
    let report = report_of(&guests::importing_only("wasi:filesystem/types@0.2.6"), &[]).await;
    must_fail(&report, "imports", "plug-ins have no files");
}

#[tokio::test]
async fn another_contract_fails_with_both_versions_and_what_to_do() {
    let component = guests::exporting_only("countersign:verifier/verifier@1.0.0-rc.1");
    let report = report_of(&component, &[]).await;
    must_fail(
        &report,
        "imports",
        "version 1.0.0-rc.1 of the contract, this host speaks 1.0.0-rc.2",
    );
    must_fail(&report, "imports", "use a version of the plug-in that was built for 1.0.0-rc.2");
}

#[tokio::test]
async fn an_import_that_describe_does_not_explain_fails() {
    let guest = closed(Guest::default()).importing("kv", "get", "(param i32 i32 i32)");
    let report = report_of(&guest.build(), &[("approves", APPROVES)]).await;
    must_fail(&report, "imports", ".wants(Power::Kv");
}

#[tokio::test]
async fn a_describe_that_changes_fails() {
    let guest = closed(Guest {
        describe: "(i64.store (i32.const 0x1014)
              (i64.or (i64.const 0x6161616161616161)
                (i64.and (i64.const 0x0f0f0f0f0f0f0f0f)
                  (i64.mul (call $now) (i64.const 0x9e3779b97f4a7c15)))))"
            .into(),
        ..Guest::default()
    })
    .importing("wasi:clocks/monotonic-clock@0.2.6", "now", "(result i64)");
    let report = report_of(&guest.build(), &[]).await;
    must_fail(&report, "imports", "it must be pure");
}

#[tokio::test]
async fn a_version_that_is_none_fails() {
    let guest = closed(Guest { version: "today", ..Guest::default() });
    let report = report_of(&guest.build(), &[("approves", APPROVES)]).await;
    must_fail(&report, "description", "expected a semantic version");
}

#[tokio::test]
async fn a_schema_that_takes_what_it_does_not_know_fails() {
    let report = report_of(&Guest::default().build(), &[("approves", APPROVES)]).await;
    must_fail(&report, "settings", "both take it");
}

/// The guest's `validate-settings` takes everything: the schema is the guard, so that is no failure.
#[tokio::test]
async fn a_validate_settings_that_takes_what_the_schema_refuses_is_worth_a_look() {
    let report = report_of(&closed(Guest::default()).build(), &[("approves", APPROVES)]).await;
    let settings = report.checks.iter().find(|group| group.id == "settings").unwrap();
    assert_eq!(settings.outcome(), Some(Outcome::Warned), "{report:#?}");
    assert!(settings.checks.iter().any(|check| check.detail.contains("deny_unknown_fields")));
}

#[tokio::test]
async fn settings_that_nothing_accepts_fail() {
    let schema = r#"{"type":"object","required":["host"],"additionalProperties":false,
        "properties":{"host":{"type":"string","pattern":"^[0-9]+$"}}}"#;
    let guest = Guest { schema: schema.into(), ..Guest::default() };
    let report = report_of(&guest.build(), &[]).await;
    must_fail(&report, "settings", "give some with --settings");
}

#[tokio::test]
async fn a_schema_that_is_none_fails() {
    let guest = Guest { schema: r#"{"type":7}"#.into(), ..Guest::default() };
    let report = report_of(&guest.build(), &[("approves", APPROVES)]).await;
    must_fail(&report, "description", "settings schema is not usable");
}

#[tokio::test]
async fn a_case_that_goes_otherwise_fails_with_both() {
    let guest = closed(Guest::verifying(format!("(i32.const {DENY})")));
    let report = report_of(&guest.build(), &[("approves", APPROVES)]).await;
    must_fail(&report, "cases", "expected approve: DNS:host.example, found deny found");
}

#[tokio::test]
async fn a_trap_and_a_case_that_cannot_be_read_fail() {
    let guest = closed(Guest::verifying("unreachable"));
    let cases = [("approves", APPROVES), ("misspelt", r#"{"sumary":"s"}"#)];
    let report = report_of(&guest.build(), &cases).await;
    must_fail(&report, "cases", "no answer");
    must_fail(&report, "cases", "/sumary");
}

/// Instructions that send `GET https://mdm.example/` and do not care what comes back.
fn careless() -> Guest {
    let send = format!(
        "(call $send (i32.const 0x680) (i32.const 3) (i32.const 0x688) (i32.const 20)
           (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
           (i32.const 0) (i32.const 0) (i32.const 0) (i32.const {SCRATCH}))
         (i32.const {APPROVE})"
    );
    let mut guest = closed(Guest::verifying(send)).importing(
        "http",
        "send",
        "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)",
    );
    // Two wants of the kind host, case 2, each with its reason.
    let wants: String = [2_u32, 0x690, 11, 0x680, 3, 2, 0x6a0, 13, 0x680, 3]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .map(|octet| format!("\\{octet:02x}"))
        .collect();
    guest.fields = format!(
        "(data (i32.const 0x600) \"{wants}\")
         (data (i32.const 0x680) \"GET\")
         (data (i32.const 0x688) \"https://mdm.example/\")
         (data (i32.const 0x6a0) \"other.example\")"
    );
    guest.describe = "(i32.store (i32.const 0x428) (i32.const 0x600))
                      (i32.store (i32.const 0x42c) (i32.const 2))"
        .into();
    guest
}

#[tokio::test]
async fn a_guest_that_approves_whatever_its_service_says_fails() {
    let report = report_of(&careless().build(), &[("asks", ASKS)]).await;
    must_not_fail(&report, &["imports", "description", "settings", "cases", "determinism"]);
    for spoilt in ["cut short", "a web page", "status 401", "status 429", "status 500"] {
        must_fail(&report, "malformed", spoilt);
    }
    must_fail(&report, "deadline", "expected unavailable");
    must_fail(&report, "grants", "the host refused it, and it went on to approve");
}

/// A case says that one of its answers is not what decides; nothing is spoilt then.
#[tokio::test]
async fn an_answer_that_does_not_decide_is_not_spoilt() {
    let case = ASKS.replace("\"method\"", "\"decides\":false,\"method\"");
    let report = report_of(&careless().build(), &[("asks", &case)]).await;
    must_not_fail(&report, &["malformed", "deadline", "cases"]);
}

#[tokio::test]
async fn what_is_sent_to_a_host_that_is_not_wanted_fails_and_says_so() {
    let mut guest = careless();
    guest.describe = "(i32.store (i32.const 0x428) (i32.const 0x614))
                      (i32.store (i32.const 0x42c) (i32.const 1))"
        .into();
    let report = report_of(&guest.build(), &[("asks", ASKS)]).await;
    must_fail(&report, "cases", "is recorded and was not sent");
    must_fail(&report, "cases", "refused 1 of its calls for want of a grant");
}

#[tokio::test]
async fn an_answer_of_its_own_each_time_fails() {
    let verify = format!(
        "(i32.store8 (i32.const 0x820) (i32.const 1))
         (i64.store (i32.const 0x828) (call $now))
         (i32.const {APPROVE})"
    );
    let guest = closed(Guest::verifying(verify)).importing(
        "wasi:clocks/monotonic-clock@0.2.6",
        "now",
        "(result i64)",
    );
    let report = report_of(&guest.build(), &[("approves", APPROVES)]).await;
    must_not_fail(&report, &["cases"]);
    must_fail(&report, "determinism", "approves");
    must_fail(&report, "duplicates", "do in `verify` nothing that must happen once");
}

#[tokio::test]
async fn work_over_the_default_budget_fails_and_much_memory_is_worth_a_look() {
    let verify = format!(
        "(local $i i32)
         (loop $again
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $again (i32.lt_u (local.get $i) (i32.const 250000000))))
         (i32.const {APPROVE})"
    );
    let busy = closed(Guest::verifying(verify));
    let report = report_of(&busy.build(), &[("approves", APPROVES)]).await;
    must_not_fail(&report, &["cases"]);
    must_fail(&report, "budgets", "fuel");

    let greedy = closed(Guest { pages: 900, ..Guest::default() });
    let report = report_of(&greedy.build(), &[("approves", APPROVES)]).await;
    let budgets = report.checks.iter().find(|group| group.id == "budgets").unwrap();
    let memory = budgets.checks.iter().find(|check| check.name == "memory").unwrap();
    assert_eq!(memory.outcome, Outcome::Warned, "{memory:?}");
}

#[tokio::test]
async fn an_optional_interface_that_traps_fails() {
    let guest = Guest {
        world: "plugin-with-outcomes",
        exports: vec![("outcomes", "notify", "(param i32) (result i32)", "unreachable".into())],
        ..closed(Guest::default())
    };
    let report = report_of(&guest.build(), &[("approves", APPROVES)]).await;
    must_not_fail(&report, &["cases", "settings"]);
    must_fail(&report, "exports", "notify, issued");
}

#[tokio::test]
async fn what_is_no_component_is_no_report() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guest.wasm");
    fs::write(&path, b"text").unwrap();
    let refused = check(&path, &Compiler::InThisProcess, &Options::default()).await;
    assert!(refused.unwrap_err().to_string().contains("expected a WebAssembly component"));
    let absent = Options { cases: Some(Path::new("/nowhere").into()), settings: None };
    let refused = check(&path, &Compiler::InThisProcess, &absent).await;
    assert!(refused.unwrap_err().to_string().contains("--cases"));
}

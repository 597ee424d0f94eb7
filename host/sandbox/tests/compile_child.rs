//! The compiler as a child process, for real: this test is its own child, so it has no harness.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    unreachable_pub,
    missing_docs,
    reason = "tests may state what they know"
)]

use std::{env, process::ExitCode, time::Duration};

use countersign_sandbox::{
    ChildCompiler, CompileError, Compiler, ComponentError, PluginSettings, PoolSize, Sandbox,
    run_if_child,
};

mod guests;

use guests::Guest;

fn main() -> ExitCode {
    if let Some(code) = run_if_child(env::args_os()) {
        return code;
    }
    let tests: [(&str, fn()); 4] = [
        ("a_child_compiles_what_this_engine_loads_and_runs", compiles),
        ("garbage_is_refused_by_the_child_with_its_reason", garbage),
        ("a_child_without_memory_dies_and_the_plugin_is_refused", no_memory),
        ("a_child_without_time_dies_and_the_plugin_is_refused", no_time),
    ];
    for (name, test) in tests {
        test();
        println!("test {name} ... ok");
    }
    ExitCode::SUCCESS
}

fn child() -> ChildCompiler {
    ChildCompiler::new(env::current_exe().unwrap())
}

fn sandbox() -> Sandbox {
    Sandbox::new(PoolSize { concurrent_calls: 1, ..PoolSize::default() }).unwrap()
}

fn refusal(bytes: &[u8], child: ChildCompiler) -> CompileError {
    match sandbox().component_once(bytes, &Compiler::Child(child)).unwrap_err() {
        ComponentError::Compile(error) => error,
        ComponentError::Store(error) => panic!("{error}"),
    }
}

fn compiles() {
    let sandbox = sandbox();
    let component =
        sandbox.component_once(&Guest::default().build(), &Compiler::Child(child())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let plugin = runtime.block_on(sandbox.load(&component, &PluginSettings::new("p"))).unwrap();
    assert_eq!(plugin.description().name, "test-guest");
}

fn garbage() {
    let error = refusal(b"\0asm\x0d\0\x01\0garbage", child());
    assert!(matches!(error, CompileError::Invalid(_)), "{error}");
}

fn no_memory() {
    let tight = ChildCompiler { memory_bytes: 24 << 20, ..child() };
    let error = refusal(&large(), tight);
    assert!(matches!(error, CompileError::Died(_) | CompileError::Invalid(_)), "{error}");
}

fn no_time() {
    let short = ChildCompiler { time: Duration::from_millis(50), ..child() };
    let error = refusal(&large(), short);
    assert!(matches!(error, CompileError::Deadline(_)), "{error}");
}

/// A component that takes a compiler some seconds and memory.
fn large() -> Vec<u8> {
    let function = "(func (param i32) (result i32) (local i64 i64)
        (loop $l (local.set 1 (i64.mul (local.get 2) (i64.extend_i32_u (local.get 0))))
          (local.set 2 (i64.add (local.get 1) (i64.const 3)))
          (br_if $l (i32.wrap_i64 (local.get 2)))) (local.get 0))";
    Guest { fields: function.repeat(20_000), ..Guest::default() }.build()
}

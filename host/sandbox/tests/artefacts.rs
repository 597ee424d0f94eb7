//! Machine code is loaded only if it is ours; anything else is made again, or refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    missing_docs,
    reason = "tests may state what they know"
)]

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use countersign_sandbox::{
    ArtefactError, Artefacts, COMPONENT_BYTES, ChildCompiler, CompileError, Compiler,
    ComponentError, PoolSize, Sandbox,
};

mod guests;

use guests::Guest;

fn sandbox() -> Sandbox {
    Sandbox::new(PoolSize { concurrent_calls: 1, ..PoolSize::default() }).unwrap()
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A compiler that cannot: what loads with it was not compiled.
fn no_compiler() -> Compiler {
    Compiler::Child(ChildCompiler::new("/nonexistent/compiler".into()))
}

fn shell(script: &str) -> ChildCompiler {
    ChildCompiler {
        arguments: vec!["-c".into(), script.into()],
        time: Duration::from_secs(20),
        ..ChildCompiler::new("/bin/sh".into())
    }
}

/// A folder with one artefact in it: (folder, its path, the artefact's path, the component).
fn stored() -> (tempfile::TempDir, PathBuf, PathBuf, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("artefacts");
    let bytes = Guest::default().build();
    let artefacts = Artefacts::open(&path).unwrap();
    sandbox().component(&bytes, &artefacts, &Compiler::InThisProcess).unwrap();
    let artefact = fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "artefact"))
        .unwrap();
    (folder, path, artefact, bytes)
}

fn loads_without_compiling(path: &Path, bytes: &[u8]) -> bool {
    let artefacts = Artefacts::open(path).unwrap();
    sandbox().component(bytes, &artefacts, &no_compiler()).is_ok()
}

#[test]
fn what_was_compiled_once_is_loaded_by_the_next_process() {
    let (_folder, path, artefact, bytes) = stored();
    assert!(loads_without_compiling(&path, &bytes));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(&artefact).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        fs::metadata(path.join("artefact.key")).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn an_artefact_with_one_bit_changed_is_not_loaded_but_made_again() {
    let (_folder, path, artefact, bytes) = stored();
    let whole = fs::read(&artefact).unwrap();
    for at in [0, 31, 32, whole.len() / 2, whole.len() - 1] {
        let mut altered = whole.clone();
        altered[at] ^= 1;
        fs::write(&artefact, &altered).unwrap();
        assert!(!loads_without_compiling(&path, &bytes), "byte {at}");
    }
    let artefacts = Artefacts::open(&path).unwrap();
    sandbox().component(&bytes, &artefacts, &Compiler::InThisProcess).unwrap();
    assert!(loads_without_compiling(&path, &bytes));
}

#[test]
fn an_artefact_cut_short_appended_to_or_empty_is_not_loaded() {
    let (_folder, path, artefact, bytes) = stored();
    let whole = fs::read(&artefact).unwrap();
    for wrong in
        [&whole[..whole.len() - 1], &whole[..32], &whole[..5], &[], &[&whole[..], b"x"].concat()]
    {
        fs::write(&artefact, wrong).unwrap();
        assert!(!loads_without_compiling(&path, &bytes), "{} bytes", wrong.len());
    }
}

#[test]
fn an_artefact_of_another_component_or_another_key_is_not_loaded() {
    let (_folder, path, artefact, bytes) = stored();
    let (_other_folder, other_path, _, _) = stored();
    // Sound machine code, at the place of other code.
    let second = Guest { version: "9.9.9", ..Guest::default() }.build();
    let artefacts = Artefacts::open(&path).unwrap();
    sandbox().component(&second, &artefacts, &Compiler::InThisProcess).unwrap();
    let digest = countersign_sandbox::Digest::of(&second).hex();
    let second_artefact = fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&digest))
        .unwrap();
    fs::copy(&artefact, &second_artefact).unwrap();
    assert!(!loads_without_compiling(&path, &second));
    // The same component, from another installation.
    let name = artefact.file_name().unwrap();
    fs::copy(other_path.join(name), &artefact).unwrap();
    assert!(!loads_without_compiling(&path, &bytes));
}

#[test]
fn an_artefact_open_to_others_or_behind_a_link_is_not_loaded() {
    let (_folder, path, artefact, bytes) = stored();
    for open in [0o620, 0o602, 0o640, 0o604] {
        mode(&artefact, open);
        assert!(!loads_without_compiling(&path, &bytes), "{open:o}");
    }
    mode(&artefact, 0o600);
    let elsewhere = path.join("elsewhere");
    fs::rename(&artefact, &elsewhere).unwrap();
    symlink(&elsewhere, &artefact).unwrap();
    assert!(!loads_without_compiling(&path, &bytes));
}

#[test]
fn a_folder_or_key_open_to_others_is_refused_with_what_to_do() {
    let (_folder, path, _, _) = stored();
    for open in [0o770, 0o707, 0o750, 0o701] {
        mode(&path, open);
        let error = Artefacts::open(&path).unwrap_err();
        assert!(matches!(error, ArtefactError::Unprotected { .. }), "{open:o}: {error}");
        assert!(error.to_string().contains("chmod"), "{error}");
    }
    mode(&path, 0o700);
    mode(&path.join("artefact.key"), 0o640);
    assert!(matches!(Artefacts::open(&path), Err(ArtefactError::Unprotected { .. })));
    mode(&path.join("artefact.key"), 0o600);
    fs::write(path.join("artefact.key"), b"short").unwrap();
    assert!(matches!(Artefacts::open(&path), Err(ArtefactError::Shape { .. })));
}

#[test]
fn a_folder_that_is_a_link_or_a_file_is_refused() {
    let (folder, path, _, _) = stored();
    let link = folder.path().join("link");
    symlink(&path, &link).unwrap();
    assert!(matches!(Artefacts::open(&link), Err(ArtefactError::Shape { .. })));
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    assert!(matches!(Artefacts::open(&file), Err(ArtefactError::Shape { .. })));
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_of_another_user_is_refused() {
    // Only root can make one; for others this is shown by the folder of root itself.
    let (_folder, path, _, _) = stored();
    let foreign = if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
        path
    } else {
        PathBuf::from("/root")
    };
    assert!(matches!(Artefacts::open(&foreign), Err(ArtefactError::Unprotected { .. })));
}

fn refusal(bytes: &[u8], compiler: Compiler) -> CompileError {
    match sandbox().component_once(bytes, &compiler).unwrap_err() {
        ComponentError::Compile(error) => error,
        ComponentError::Store(error) => panic!("{error}"),
    }
}

#[test]
fn what_is_no_component_is_refused_machine_code_above_all() {
    let (_folder, _, artefact, _) = stored();
    let code = fs::read(&artefact).unwrap()[32..].to_vec();
    assert!(code.starts_with(b"\x7fELF"));
    let core = wat::parse_str("(module)").unwrap();
    let text = b"(component)".to_vec();
    for bytes in [code, core, text, Vec::new(), b"\0asm\x0d\0\x01\0garbage".to_vec()] {
        let error = refusal(&bytes, Compiler::InThisProcess);
        assert!(matches!(error, CompileError::Invalid(_)), "{error}");
    }
    let error = refusal(&vec![0; COMPONENT_BYTES + 1], no_compiler());
    assert!(matches!(error, CompileError::TooLarge { .. }), "{error}");
}

#[test]
fn features_that_are_off_are_refused() {
    for module in [
        "(module (memory i64 1))",
        "(module (memory 1 1 shared))",
        "(module (func $f (return_call $f)))",
        "(module (type (struct (field i32))))",
        "(module (tag (param i32)))",
    ] {
        let bytes = wat::parse_str(format!("(component (core {}", &module[1..]) + ")").unwrap();
        let error = refusal(&bytes, Compiler::InThisProcess);
        assert!(matches!(error, CompileError::Invalid(_)), "{module}: {error}");
    }
}

#[test]
fn nested_components_compile() {
    // 48.0.8 panics here when multi-memory is off.
    let nested = wat::parse_str(
        r#"(component
             (component $inner
               (core module $m (memory (export "m") 1) (func (export "f") (param i32 i32))
                 (func (export "r") (param i32 i32 i32 i32) (result i32) i32.const 0))
               (core instance $i (instantiate $m))
               (func (export "f") (param "s" string)
                 (canon lift (core func $i "f") (memory $i "m") (realloc (func $i "r")))))
             (component $outer
               (import "f" (func $f (param "s" string)))
               (core module $l (memory (export "m") 1))
               (core instance $li (instantiate $l))
               (core func $low (canon lower (func $f) (memory $li "m")))
               (core module $n (import "" "f" (func (param i32 i32))))
               (core instance (instantiate $n (with "" (instance (export "f" (func $low)))))))
             (instance $a (instantiate $inner))
             (instance (instantiate $outer (with "f" (func $a "f")))))"#,
    )
    .unwrap();
    sandbox().component_once(&nested, &Compiler::InThisProcess).unwrap();
}

#[test]
fn a_compiler_that_dies_hangs_lies_or_is_absent_means_refused() {
    let bytes = Guest::default().build();
    let error = refusal(&bytes, Compiler::Child(shell("kill -9 $$")));
    assert!(matches!(error, CompileError::Died(_)), "{error}");

    let started = Instant::now();
    let hanging = ChildCompiler { time: Duration::from_millis(300), ..shell("exec sleep 60") };
    let error = refusal(&bytes, Compiler::Child(hanging));
    assert!(matches!(error, CompileError::Deadline(_)), "{error}");
    assert!(started.elapsed() < Duration::from_secs(10));

    for liar in ["true", "echo hello", "exit 3", "cat >/dev/null; printf CSCWASM1"] {
        let error = refusal(&bytes, Compiler::Child(shell(liar)));
        assert!(matches!(error, CompileError::Died(_)), "{liar}: {error}");
    }

    let error = refusal(&bytes, no_compiler());
    assert!(matches!(error, CompileError::Start { .. }), "{error}");
}

#[test]
fn what_a_compiler_says_is_shown_harmlessly() {
    let says = shell("printf 'bad\\033[2Jthing' >&2; exit 2");
    let error = refusal(&Guest::default().build(), Compiler::Child(says)).to_string();
    assert!(error.contains("bad\\u{1b}[2Jthing"), "{error}");
}

#[test]
fn the_compiler_gets_nothing_of_our_environment() {
    // PATH is what every test has; a shell makes one up for itself, so look at what it was given.
    let looks = shell("tr '\\0' '\\n' < /proc/self/environ >&2; echo end >&2; exit 2");
    let error = refusal(&Guest::default().build(), Compiler::Child(looks)).to_string();
    assert!(error.ends_with("end") && !error.contains("CARGO"), "{error}");
}

//! The integrators' guide, run as it is written: every block of commands in `sdk/README.md`, in order, in
//! an empty folder, offline.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test states what it knows"
)]

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const GUIDE: &str = include_str!("../../../sdk/README.md");

/// Where the guide's demo listens.
const LISTEN: &str = "127.0.0.1:8085";

/// The demo, until the test ends.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        // As Ctrl-C does: it ends its processes.
        if let Some(pid) = rustix::process::Pid::from_raw(self.0.id().cast_signed()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.0.wait();
    }
}

#[test]
fn every_command_of_the_integrators_guide_does_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let blocks: Vec<String> = blocks().iter().map(|block| block.replace(LISTEN, &free)).collect();
    assert!(blocks.len() >= 5, "the guide's commands are gone");
    let mut at = folder.path().to_owned();
    let mut demo = None;
    let mut said = String::new();
    for block in &blocks {
        if block.contains("demo --keep") {
            demo = Some(start_demo(&at, block));
        } else {
            said.push_str(&run(&mut at, block));
        }
    }
    drop(demo);
    assert!(said.contains("checks passed"), "{said}");
    assert!(said.contains("approve: CN=device-17"), "{said}");
    assert!(said.contains("as the case says"), "{said}");
    assert!(said.contains("device-30"), "the certificate's subject: {said}");
    let certificate = fs::read_to_string(at.join("device-30.pem")).unwrap();
    assert!(certificate.contains("BEGIN CERTIFICATE"));

    // The other projects that `plugin new` writes; with what is compiled already.
    for (name, with) in [("bare", ""), ("every", "--with challenges --with outcomes --with events")]
    {
        let script = format!(
            "countersign plugin new {name} {with} && cd {name}
             export CARGO_TARGET_DIR={target:?}
             cargo test && cargo build --release --target wasm32-wasip2
             countersign plugin check \"$CARGO_TARGET_DIR\"/wasm32-wasip2/release/{name}.wasm \\
               --cases cases",
            target = at.join("target").display().to_string()
        );
        let said = run(&mut folder.path().to_owned(), &script);
        assert!(said.contains("checks passed") && !said.contains("worth a look"), "{said}");
    }
}

/// What stands in fences marked `sh`.
fn blocks() -> Vec<String> {
    GUIDE
        .split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

fn shell(at: &Path, script: &str) -> Command {
    let countersign = countersign();
    let path = std::env::var("PATH").unwrap();
    let mut command = Command::new("bash");
    command
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(at)
        .env("PATH", format!("{}:{path}", countersign.parent().unwrap().display()))
        .env("CARGO_NET_OFFLINE", "true")
        // As an author's shell has it: the project builds in its own folder.
        .env_remove("CARGO_TARGET_DIR")
        .stdin(Stdio::null());
    command
}

fn run(at: &mut PathBuf, block: &str) -> String {
    let place = at.join(".place");
    let script = format!("{block}\npwd > {:?}", place.display().to_string());
    let output = shell(at, &script).output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{block}\n{out}\n{error}");
    *at = PathBuf::from(fs::read_to_string(&place).unwrap().trim());
    out
}

fn start_demo(at: &Path, block: &str) -> Demo {
    let said = at.join("demo.out");
    let file = File::create(&said).unwrap();
    let child = shell(at, &format!("exec {}", block.trim()))
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn()
        .unwrap();
    let mut demo = Demo(child);
    let deadline = Instant::now() + Duration::from_secs(180);
    loop {
        let text = fs::read_to_string(&said).unwrap();
        if text.contains("It stays up") {
            return demo;
        }
        let ended = demo.0.try_wait().unwrap();
        assert!(ended.is_none() && Instant::now() < deadline, "the demo did not stay up:\n{text}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn countersign() -> PathBuf {
    // Two above the test's own: `target/debug/deps/…`.
    let this = std::env::current_exe().unwrap();
    let program = this.parent().and_then(Path::parent).unwrap().join("countersign");
    assert!(program.is_file(), "{} is not there: run `cargo xtask build` first", program.display());
    program
}

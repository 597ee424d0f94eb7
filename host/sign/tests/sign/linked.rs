//! What this process links is part of its review.

use std::process::Command;

#[test]
fn the_process_links_neither_http_nor_webassembly_nor_scep() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "-p", "countersign-sign", "-e", "normal"])
        .args(["--prefix", "none", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    let crates: Vec<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(crates.contains(&"countersign-ledger"), "the tree was read: {tree}");
    for unwanted in [
        "axum",
        "hyper",
        "hyper-util",
        "http",
        "h2",
        "wasmtime",
        "wasmtime-wasi",
        "rustls",
        "tokio-rustls",
        "rsa",
        "ring",
        "countersign-scep",
        "countersign-sandbox",
        "countersign-enrol",
        "countersign-authority",
    ] {
        assert!(!crates.contains(&unwanted), "countersign-sign links {unwanted}");
    }
}

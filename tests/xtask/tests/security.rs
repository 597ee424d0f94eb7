//! `SECURITY.md` names tests; all of them must be there, or its table says more than is shown.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test states what it knows"
)]

use std::collections::BTreeSet;
use std::path::Path;

fn tests_in(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                tests_in(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            for (number, line) in lines.iter().enumerate() {
                let Some(rest) =
                    line.strip_prefix("fn ").or_else(|| line.strip_prefix("async fn "))
                else {
                    continue;
                };
                let above = lines[number.saturating_sub(4)..number].iter();
                if above.rev().any(|line| line.starts_with("#[test]") || line.contains("::test")) {
                    let end = rest.find(['(', '<']).unwrap_or(rest.len());
                    found.insert(rest[..end].to_owned());
                }
            }
        }
    }
}

#[test]
fn every_test_that_security_md_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let mut there = BTreeSet::new();
    for folder in ["host", "plugins", "sdk", "tests"] {
        tests_in(&root.join(folder), &mut there);
    }
    assert!(there.len() > 500, "only {} tests found", there.len());
    let text = std::fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let mut named = 0;
    for row in text.lines().filter(|line| line.starts_with("| ")) {
        let Some(shown_by) = row.trim_end_matches('|').rsplit('|').next() else { continue };
        for name in shown_by.split('`').skip(1).step_by(2) {
            let is_test =
                name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
                    && name.matches('_').count() >= 3;
            if is_test {
                assert!(there.contains(name), "SECURITY.md names `{name}`, which is no test");
                named += 1;
            }
        }
    }
    assert!(named > 50, "SECURITY.md names only {named} tests");
}

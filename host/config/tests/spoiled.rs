//! Spoiled files: never a panic, never a problem without a place, never half a check.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test may state what it knows"
)]

use std::path::Path;

use countersign_config::{Config, Problem};

const EXAMPLE: &str = include_str!("../example.toml");

fn problems(text: &str) -> Vec<Problem> {
    match Config::from_text(text, Path::new("countersign.toml")) {
        Ok(_) => Vec::new(),
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a word:\n{text}");
            for problem in &problems {
                assert!(problem.line >= 1 && problem.column >= 1);
                assert!(problem.line <= text.lines().count() + 1, "{problem}");
                assert!(!problem.to_string().is_empty());
            }
            problems
        }
    }
}

#[test]
fn a_file_cut_anywhere_is_refused_or_loads_and_never_panics() {
    for cut in (0..EXAMPLE.len()).step_by(13).filter(|cut| EXAMPLE.is_char_boundary(*cut)) {
        problems(&EXAMPLE[..cut]);
    }
}

#[test]
fn a_file_that_lacks_any_one_line_is_refused_or_loads_and_never_panics() {
    let lines: Vec<&str> = EXAMPLE.lines().collect();
    for missing in 0..lines.len() {
        let mut rest = lines.clone();
        rest.remove(missing);
        problems(&rest.join("\n"));
    }
}

/// Whatever stands in place of a value, the walk over the file finds it. Were it left to the
/// deserialiser, the first such value would hide all others.
#[test]
fn every_value_of_another_kind_is_found_by_the_walk_and_placed_on_its_line() {
    let others = [
        "1",
        "-1",
        "1.5",
        "nan",
        "true",
        "\"x\"",
        "\"\"",
        "[]",
        "[1]",
        "[\"x\"]",
        "[[]]",
        "{}",
        "{ x = 1 }",
        "1979-05-27",
        "99999999999999999999",
        "0xff",
    ];
    let mut refused = 0;
    for (number, line) in EXAMPLE.lines().enumerate() {
        let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) else {
            continue;
        };
        for other in others {
            let mut lines: Vec<String> = EXAMPLE.lines().map(str::to_owned).collect();
            lines[number] = format!("{key} = {other}");
            for problem in problems(&lines.join("\n")) {
                assert!(
                    problem.id == "syntax" || !problem.path.is_empty(),
                    "{key} = {other} was left to the deserialiser: {problem}"
                );
                refused += 1;
            }
        }
    }
    assert!(refused > 400, "{refused}");
}

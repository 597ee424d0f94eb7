//! A file on disk: who may change it, and what is no configuration at all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test may state what it knows"
)]

use std::fs::{Permissions, set_permissions, write};
use std::os::unix::fs::PermissionsExt;

use countersign_config::Config;

const EXAMPLE: &str = include_str!("../example.toml");

fn refused(content: &[u8], mode: u32) -> Vec<&'static str> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("countersign.toml");
    write(&path, content).unwrap();
    set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    match Config::load(&path) {
        Ok(loaded) => {
            assert_eq!(loaded.path, path);
            Vec::new()
        }
        Err(problems) => problems.iter().map(|problem| problem.id).collect(),
    }
}

#[test]
fn the_example_loads_from_a_file_that_its_owner_alone_can_write() {
    assert!(refused(EXAMPLE.as_bytes(), 0o644).is_empty());
    assert_eq!(refused(EXAMPLE.as_bytes(), 0o664), ["file-writable-by-others"]);
    assert_eq!(refused(EXAMPLE.as_bytes(), 0o646), ["file-writable-by-others"]);
}

#[test]
fn a_missing_file_a_directory_and_an_endless_file_are_refused_in_words() {
    let directory = tempfile::tempdir().unwrap();
    let missing = Config::load(&directory.path().join("none.toml")).unwrap_err();
    assert_eq!(missing[0].id, "unreadable");
    assert!(missing[0].to_string().contains("none.toml:1:1"), "{}", missing[0]);
    assert_eq!(Config::load(directory.path()).unwrap_err()[0].id, "not-a-config-file");
    assert_eq!(refused(&vec![b'#'; (1 << 20) + 1], 0o600), ["not-a-config-file"]);
    assert_eq!(refused(b"mode = \"\xff\"", 0o600), ["not-utf-8"]);
}

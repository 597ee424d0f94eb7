//! Encrypted columns: what is altered or moved does not open.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests state what they know"
)]

use std::os::unix::fs::PermissionsExt as _;

use countersign_store::{ColumnKey, ColumnKeyError};

#[test]
fn a_value_opens_only_where_it_was_sealed() {
    let key = ColumnKey::new(&[7; 32]).unwrap();
    let sealed = key.seal("enrolment", "csr", b"row 1", b"secret").unwrap();
    assert_eq!(&**key.open("enrolment", "csr", b"row 1", &sealed).unwrap(), b"secret");
    for (table, column, row) in [
        ("enrolment", "csr", b"row 2".as_slice()),
        ("enrolment", "cms", b"row 1"),
        ("other", "csr", b"row 1"),
        ("enrolmen", "tcsr", b"row 1"),
        ("enrolment", "csrrow", b" 1"),
    ] {
        let error = key.open(table, column, row, &sealed).unwrap_err();
        assert!(matches!(error, ColumnKeyError::Open { .. }), "{table} {column}");
    }
    let other = ColumnKey::new(&[8; 32]).unwrap();
    assert!(other.open("enrolment", "csr", b"row 1", &sealed).is_err());
}

#[test]
fn every_altered_or_missing_octet_is_noticed() {
    let key = ColumnKey::new(&[7; 32]).unwrap();
    let sealed = key.seal("t", "c", b"r", b"a value").unwrap();
    for place in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[place] ^= 0x80;
        assert!(key.open("t", "c", b"r", &altered).is_err(), "octet {place}");
        assert!(key.open("t", "c", b"r", &sealed[..place]).is_err(), "cut at {place}");
    }
}

#[test]
fn the_same_value_is_never_sealed_alike() {
    let key = ColumnKey::new(&[7; 32]).unwrap();
    let seal = || key.seal("t", "c", b"r", b"").unwrap();
    assert_ne!(seal(), seal());
    assert!(key.open("t", "c", b"r", &seal()).unwrap().is_empty());
}

#[test]
fn a_key_file_is_made_once_kept_private_and_read_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("column.key");
    let made = ColumnKey::create_file(&path).unwrap();
    let metadata = std::fs::metadata(&path).unwrap();
    assert_eq!((metadata.len(), metadata.permissions().mode() & 0o777), (32, 0o600));
    let sealed = made.seal("t", "c", b"r", b"v").unwrap();
    let read = ColumnKey::from_file(&path).unwrap();
    assert_eq!(&**read.open("t", "c", b"r", &sealed).unwrap(), b"v");
    assert!(ColumnKey::create_file(&path).is_err(), "a key is never overwritten");

    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = ColumnKey::from_file(&path).unwrap_err().to_string();
    assert!(error.contains("expected mode 0600, found 0644"), "{error}");

    let short = directory.path().join("short.key");
    std::fs::write(&short, [1; 31]).unwrap();
    std::fs::set_permissions(&short, std::fs::Permissions::from_mode(0o600)).unwrap();
    let error = ColumnKey::from_file(&short).unwrap_err().to_string();
    assert!(error.contains("expected exactly 32 octets, found 31"), "{error}");
}

#[test]
fn the_key_does_not_show_in_debug() {
    assert_eq!(format!("{:?}", ColumnKey::new(&[7; 32]).unwrap()), "ColumnKey(..)");
}

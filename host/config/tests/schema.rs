//! The checked-in schema is the schema, and the example obeys it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test may state what it knows"
)]

use std::path::Path;

#[test]
fn the_schema_beside_the_crate_is_the_one_the_types_give() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema.json");
    let fresh = serde_json::to_string_pretty(&countersign_config::schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == fresh,
        "host/config/schema.json is out of date; run \
         `UPDATE_SCHEMA=1 cargo test -p countersign-config --test schema` and commit it"
    );
}

#[test]
fn an_editor_that_checks_by_the_schema_accepts_the_example() {
    let example: serde_json::Value = toml::from_str(include_str!("../example.toml")).unwrap();
    let validator = jsonschema::validator_for(&countersign_config::schema()).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(&example).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
    let mut wrong = example;
    wrong["serve"]["limts"] = 1.into();
    assert!(!validator.is_valid(&wrong));
}

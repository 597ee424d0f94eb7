//! Settings against the plug-in's JSON Schema. Nothing is fetched: a schema that refers elsewhere is
//! refused.

use jsonschema::{Draft, PatternOptions};
use serde_json::Value;

use crate::model::Problem;

const PROBLEMS: usize = 32;

/// A schema that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the plug-in's settings schema is not usable, expected a JSON Schema (2020-12) without \
     references to other documents: {0}"
)]
pub struct SchemaError(String);

/// What the schema finds wrong with settings, at most so many that one can read them.
pub fn check(schema: &str, settings: &Value) -> Result<Vec<Problem>, SchemaError> {
    let schema: Value =
        serde_json::from_str(schema).map_err(|error| SchemaError(error.to_string()))?;
    let validator = jsonschema::options()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(true)
        // Linear time: the patterns are the plug-in's, and not to be trusted with a backtracker.
        .with_pattern_options(PatternOptions::regex())
        .build(&schema)
        .map_err(|error| SchemaError(error.to_string()))?;
    Ok(validator
        .iter_errors(settings)
        .take(PROBLEMS)
        .map(|error| Problem {
            pointer: error.instance_path().to_string(),
            text: error.to_string(),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SCHEMA: &str = r#"{
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": false,
        "properties": { "length": { "type": "integer", "minimum": 1 } }
    }"#;

    #[test]
    fn everything_wrong_is_said_at_once_with_its_place() {
        let problems = check(SCHEMA, &json!({ "length": 0, "lenght": 2 })).unwrap();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems.iter().any(|problem| problem.pointer == "/length"));
        assert!(check(SCHEMA, &json!({ "length": 3 })).unwrap().is_empty());
    }

    #[test]
    fn a_schema_that_points_outside_is_refused_without_fetching() {
        for target in ["https://127.0.0.1:1/x.json", "file:///etc/passwd"] {
            let schema = json!({ "$ref": target }).to_string();
            assert!(check(&schema, &json!({})).is_err(), "{target}");
        }
    }

    #[test]
    fn no_json_no_schema() {
        assert!(check("", &json!({})).is_err());
        assert!(check(r#"{"type": 7}"#, &json!({})).is_err());
    }
}

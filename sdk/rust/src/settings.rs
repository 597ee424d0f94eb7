use std::fmt::Write as _;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

use crate::{Attributes, Verifier};

/// For plug-ins without settings: an object that must be empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// Something wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("settings{}{pointer}: {text}", if pointer.is_empty() { "" } else { " " })]
pub struct Problem {
    /// Where, as a JSON pointer (RFC 6901); empty for the whole.
    pub pointer: String,
    /// What was expected, what was found, what to do.
    pub text: String,
    /// Open-ended facts for the host.
    pub attributes: Attributes,
}

impl Problem {
    /// A problem without further attributes.
    ///
    /// ```
    /// # use countersign_sdk::Problem;
    /// Problem::new("/lifetime", "expected at most 3600 seconds, found 86400: shorten it");
    /// ```
    pub fn new(pointer: impl Into<String>, text: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), text: text.into(), attributes: Attributes::new() }
    }
}

/// Reads settings from the text that the host hands over.
pub(crate) fn read<S: DeserializeOwned>(text: &str) -> Result<S, Problem> {
    let mut json = serde_json::Deserializer::from_str(text);
    let settings = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| Problem::new(pointer(error.path()), error.inner().to_string()))?;
    json.end().map_err(|error| Problem::new("", error.to_string()))?;
    Ok(settings)
}

/// Everything that is wrong with settings: what their type says, or else what the author checks.
pub(crate) fn check<V: Verifier>(text: &str) -> Vec<Problem> {
    match read(text) {
        Ok(settings) => V::check_settings(&settings),
        Err(problem) => vec![problem],
    }
}

/// The JSON Schema (2020-12) of a settings type.
///
/// A top-level key that the type does not name is refused also where the author forgot to say
/// `deny_unknown_fields`: a misspelt setting that is silently ignored would leave the admin with
/// weaker checks than he wrote down.
pub(crate) fn schema<S: JsonSchema>() -> String {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<S>();
    close(&mut schema);
    schema.as_value().to_string()
}

fn close(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    let is_plain_object = object.get("type").and_then(|found| found.as_str()) == Some("object")
        && !["additionalProperties", "unevaluatedProperties", "allOf", "anyOf", "oneOf", "$ref"]
            .iter()
            .any(|keyword| object.contains_key(*keyword));
    if is_plain_object {
        object.insert("additionalProperties".to_owned(), false.into());
    }
}

fn pointer(path: &Path) -> String {
    path.iter().fold(String::new(), |mut pointer, segment| {
        // Writing to a String cannot fail.
        let _ = match segment {
            Segment::Seq { index } => write!(pointer, "/{index}"),
            Segment::Map { key } => write!(pointer, "/{}", escape(key)),
            Segment::Enum { variant } => write!(pointer, "/{}", escape(variant)),
            Segment::Unknown => Ok(()),
        };
        pointer
    })
}

/// RFC 6901 §3.
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct Settings {
        #[allow(dead_code, reason = "read by its schema and its errors only")]
        tenants: Vec<Tenant>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    struct Tenant {
        #[serde(rename = "a/b~c")]
        #[allow(dead_code, reason = "read by its schema and its errors only")]
        lifetime: u32,
    }

    #[test]
    fn a_wrong_value_is_pointed_at() {
        let problem = read::<Settings>(r#"{"tenants":[{"a/b~c":"x"}]}"#).unwrap_err();
        assert_eq!(problem.pointer, "/tenants/0/a~1b~0c");
        assert!(problem.text.contains("expected u32"), "{problem}");
    }

    #[test]
    fn an_unknown_key_is_pointed_at_and_the_known_ones_are_named() {
        let problem = read::<Settings>(r#"{"tenants":[],"EnforcePassword":0}"#).unwrap_err();
        assert_eq!(problem.pointer, "/EnforcePassword");
        assert!(problem.text.contains("`tenants`"), "{problem}");
    }

    #[test]
    fn text_after_the_object_is_refused() {
        assert!(read::<NoSettings>("{} {}").is_err());
    }

    #[test]
    fn schemas_refuse_unknown_keys() {
        #[derive(JsonSchema)]
        #[allow(dead_code, reason = "only its schema is asked for")]
        struct Forgetful {
            key: String,
        }
        for schema in [schema::<Forgetful>(), schema::<NoSettings>(), schema::<Settings>()] {
            let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
            assert_eq!(schema.get("additionalProperties"), Some(&false.into()), "{schema}");
            assert!(schema.get("$schema").unwrap().as_str().unwrap().contains("2020-12"));
        }
    }

    #[test]
    fn schemas_of_maps_stay_open() {
        let schema = schema::<std::collections::BTreeMap<String, u32>>();
        assert!(!schema.contains("\"additionalProperties\":false"), "{schema}");
    }
}

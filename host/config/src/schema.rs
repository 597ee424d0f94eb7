//! The file's JSON Schema, from the same types that read it.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::config::Config;

/// The JSON Schema (2020-12) of the configuration file, for editors and `config schema`. A copy
/// lies beside this crate as `schema.json`; a test compares the two.
pub fn schema() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Config>().to_value()
}

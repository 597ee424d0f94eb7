//! Reading a JSON Schema: what shape it gives a value.

use serde_json::Value;
use toml::de::DeValue;

/// The name of the definition that a schema refers to.
pub(super) fn definition(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.strip_prefix("#/$defs/")
}

pub(super) fn branches(schema: &Value) -> Option<Vec<&Value>> {
    let all = schema.get("oneOf").or_else(|| schema.get("anyOf"))?.as_array()?;
    let is_null = |branch: &&Value| branch.get("type").and_then(Value::as_str) == Some("null");
    Some(all.iter().filter(|branch| !is_null(branch)).collect())
}

pub(super) fn choices(schema: &Value) -> Vec<&str> {
    let single = schema.get("const").and_then(Value::as_str);
    let many = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    single.into_iter().chain(many.filter_map(Value::as_str)).collect()
}

/// The tag of an externally tagged variant: a table with exactly one key.
pub(super) fn only_key(schema: &Value) -> Option<&str> {
    match schema.get("required")?.as_array()?.as_slice() {
        [only] => only.as_str(),
        _ => None,
    }
}

pub(super) fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name.as_str()],
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect()
        }
        _ => Vec::new(),
    }
}

/// The widest number of an integer type that names no maximum.
pub(super) fn widest(schema: &Value) -> Option<i128> {
    match schema.get("format").and_then(Value::as_str)? {
        "uint8" => Some(u8::MAX.into()),
        "uint16" => Some(u16::MAX.into()),
        "uint32" => Some(u32::MAX.into()),
        _ => None,
    }
}

pub(super) fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "string",
        DeValue::Integer(_) => "integer",
        DeValue::Float(_) => "number",
        DeValue::Boolean(_) => "boolean",
        DeValue::Datetime(_) => "date",
        DeValue::Array(_) => "array",
        DeValue::Table(_) => "object",
    }
}

pub(super) fn type_words(name: &str) -> &str {
    match name {
        "string" => "text in quotes",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "date" => "a date",
        "array" => "a list in [ ]",
        "object" => "a table",
        other => other,
    }
}

use countersign_cases::Expected;
use countersign_sandbox::check_schema;
use serde_json::{Map, Value};

use super::{Bench, Checks};

/// A key that no plug-in has.
const UNKNOWN: &str = "countersign-kit-asks-for-an-unknown-key";

/// The schema and `validate-settings` are two guards of one door.
pub(super) async fn check(bench: &Bench<'_>) -> Checks {
    let mut checks = Checks::new(
        "settings",
        "the schema and `validate-settings` agree, and neither takes what it does not know",
    );
    let candidates = candidates(bench);
    let mut accepted = Vec::new();
    for (name, given) in &candidates {
        match both(bench, given).await {
            Ok((schema, own)) if schema.is_empty() && own.is_empty() => {
                checks.pass(name.clone(), "accepted by both");
                accepted.push(given.clone());
            }
            // What a schema cannot say, only a person can know: an invention may fail there.
            Ok((_, own)) if name == INVENTED && !own.is_empty() => {}
            Ok((schema, own)) => {
                let who = if schema.is_empty() { "`validate-settings`" } else { "the schema" };
                let why = if schema.is_empty() { own } else { schema };
                checks.fail(name.clone(), format!("{who} refuses them: {}", why.join("; ")));
            }
            Err(error) => checks.fail(name.clone(), error),
        }
    }
    let Some(minimal) = accepted.first() else {
        checks.fail(
            "settings that are accepted",
            "there are none: give some with --settings, or with a golden case that asks something",
        );
        return checks;
    };
    let mut unknown = minimal.clone();
    unknown.insert(UNKNOWN.to_owned(), true.into());
    refused(bench, &mut checks, "an unknown key is refused", &unknown).await;
    // A wrong type, for each key at the top.
    for (key, value) in minimal {
        let mut wrong = minimal.clone();
        let other = if value.is_object() { Value::Bool(true) } else { Value::Object(Map::new()) };
        wrong.insert(key.clone(), other);
        refused(bench, &mut checks, &format!("another type in `{key}` is refused"), &wrong).await;
    }
    checks
}

const INVENTED: &str = "the least that the schema demands";

/// Settings that should be good, each with a name, the least first.
fn candidates(bench: &Bench<'_>) -> Vec<(String, Map<String, Value>)> {
    let mut candidates = Vec::new();
    let schema = bench.workshop.description().map_or("", |described| &described.settings_schema);
    if let Ok(schema) = serde_json::from_str::<Value>(schema)
        && let Some(invented) = least(&schema)
        && check_schema(&schema.to_string(), &Value::Object(invented.clone()))
            .is_ok_and(|problems| problems.is_empty())
    {
        candidates.push((INVENTED.to_owned(), invented));
    }
    if let Some(given) = &bench.settings {
        candidates.push(("those of --settings".to_owned(), given.settings.clone()));
    }
    for (name, case) in bench.asking() {
        if matches!(case.expect, Expected::Settings { .. })
            || candidates.iter().any(|(_, known)| *known == case.settings)
        {
            continue;
        }
        candidates.push((format!("those of {name}"), case.settings));
    }
    candidates
}

/// The required members of an object, as far as they can be invented.
fn least(schema: &Value) -> Option<Map<String, Value>> {
    let required = schema.get("required").and_then(Value::as_array);
    let properties = schema.get("properties");
    let mut made = Map::new();
    for key in required.into_iter().flatten().filter_map(Value::as_str) {
        made.insert(key.to_owned(), invent(properties?.get(key)?)?);
    }
    Some(made)
}

fn invent(schema: &Value) -> Option<Value> {
    for ready in ["default", "const"] {
        if let Some(value) = schema.get(ready) {
            return Some(value.clone());
        }
    }
    for list in ["examples", "enum"] {
        if let Some(value) = schema.get(list).and_then(|list| list.get(0)) {
            return Some(value.clone());
        }
    }
    match schema.get("type")?.as_str()? {
        "string" => Some("example".into()),
        "boolean" => Some(false.into()),
        "integer" | "number" => Some(schema.get("minimum").cloned().unwrap_or(1.into())),
        "array" if schema.get("minItems").is_none() => Some(Value::Array(Vec::new())),
        "object" => least(schema).map(Value::Object),
        _ => None,
    }
}

/// What the schema and what `validate-settings` find wrong.
async fn both(
    bench: &Bench<'_>,
    settings: &Map<String, Value>,
) -> Result<(Vec<String>, Vec<String>), String> {
    let schema = bench.workshop.description().map_or("", |described| &described.settings_schema);
    let said = check_schema(schema, &Value::Object(settings.clone()))
        .map_err(|error| error.to_string())?;
    let own = bench.workshop.problems(settings).await?;
    let text = |problem: &countersign_sandbox::model::Problem| problem.to_string();
    Ok((said.iter().map(text).collect(), own.iter().map(text).collect()))
}

/// The schema is the guard; `validate-settings` sees only what passed it, and may be one more.
async fn refused(
    bench: &Bench<'_>,
    checks: &mut Checks,
    name: &str,
    settings: &Map<String, Value>,
) {
    match both(bench, settings).await {
        Err(error) => checks.fail(name, error),
        Ok((schema, own)) => match (schema.is_empty(), own.is_empty()) {
            (false, false) => checks.pass(name, "by both"),
            (false, true) => checks.warn(
                name,
                "by the schema alone: `validate-settings` takes it; with the SDK, add \
                 `#[serde(deny_unknown_fields)]` to the settings",
            ),
            (true, false) => {
                checks.fail(name, "the schema takes it, and `validate-settings` does not");
            }
            (true, true) => checks.fail(
                name,
                "both take it: a misspelt setting would leave an admin with less than was written \
                 down; close the schema with `\"additionalProperties\": false`",
            ),
        },
    }
}
